//! A purchase with a key is made once, however often it is sent.

use chrono::TimeDelta;
use numberbank::purchases;
use reqwest::header::HeaderValue;

use crate::support::{Account, Answer, WithForm, World, test};

/// Two accounts with money for several of the numbers in stock.
async fn scene(world: &World) -> (Account, Account) {
    world.stock(4_158_670_000, 10).await;
    (world.account("10.00").await, world.account("10.00").await)
}

/// Buys with a header as raw bytes.
async fn buy_with(world: &World, account: &Account, header: &str, key: &[u8]) -> Answer {
    let call = world.server.call(account, "POST", "/IncomingPhoneNumbers/Local");
    Answer::of(call.header(header, HeaderValue::from_bytes(key).expect("a header")).with_form(&[])).await
}

#[track_caller]
fn assert_replayed(answer: &Answer, first: &Answer) {
    assert_eq!(answer.assert_status(201).body, first.body);
    assert_eq!(answer.header("Location"), first.header("Location"));
    assert_eq!(answer.header("Content-Type"), first.header("Content-Type"));
    assert_eq!((first.header("Idempotent-Replayed"), answer.header("Idempotent-Replayed")), ("", "true"));
}

#[test]
fn a_replay_is_the_first_answer_also_after_an_update_and_a_release() {
    test(async |world| {
        let (account, _) = scene(world).await;
        let form = [("AreaCode", "415"), ("FriendlyName", "Ünï & <Co>"), ("Url", "http://example.com/a?b=c&d")];
        let first = world.server.buy_once(&account, "key", &form).await;
        let path = format!("/IncomingPhoneNumbers/{}", first.assert_status(201).element("Sid"));
        assert_replayed(&world.server.buy_once(&account, "key", &form).await, &first);
        world.clock.advance(TimeDelta::hours(1));
        world.server.put(&account, &path, &[("Url", ""), ("FriendlyName", "Other")]).await.assert_status(200);
        assert_replayed(&world.server.buy_once(&account, "key", &form).await, &first);
        world.server.delete(&account, &path).await.assert_status(204);
        assert_replayed(&world.server.buy_once(&account, "key", &form).await, &first);
        assert_replayed(&world.another_server().buy_once(&account, "key", &form).await, &first);
        assert_eq!(world.server.balance(&account).await, "9.00");
    });
}

#[test]
fn a_key_is_forgotten_after_a_day() {
    test(async |world| {
        let (account, _) = scene(world).await;
        let first = world.server.buy_once(&account, "key", &[]).await;
        world.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
        assert_replayed(&world.server.buy_once(&account, "key", &[]).await, &first);
        world.clock.advance(TimeDelta::seconds(2));
        // Even with another request, because the key is unused again.
        let form = [("FriendlyName", "Next day")];
        let second = world.server.buy_once(&account, "key", &form).await;
        assert_eq!(second.assert_status(201).header("Idempotent-Replayed"), "");
        assert_ne!(second.element("Sid"), first.element("Sid"));
        assert_replayed(&world.server.buy_once(&account, "key", &form).await, &second);
        assert_eq!(world.server.balance(&account).await, "8.00");
    });
}

#[test]
fn another_request_with_the_same_key_is_refused() {
    test(async |world| {
        let (account, _) = scene(world).await;
        world.stock(8_005_550_100, 2).await;
        world.server.buy_once(&account, "key", &[("AreaCode", "415")]).await.assert_status(201);
        for form in [&[][..], &[("AreaCode", "212")], &[("AreaCode", "415"), ("FriendlyName", "A")]] {
            world.server.buy_once(&account, "key", form).await.assert_refused(409, 29005);
        }
        let tollfree = world.server.call(&account, "POST", "/IncomingPhoneNumbers/TollFree");
        let tollfree = tollfree.header("Idempotency-Key", "key").with_form(&[("AreaCode", "415")]);
        Answer::of(tollfree).await.assert_refused(409, 29005);
        assert_eq!(world.server.balance(&account).await, "9.00");
    });
}

#[test]
fn parameters_in_another_order_are_the_same_request() {
    test(async |world| {
        let (account, _) = scene(world).await;
        let form = [("AreaCode", "415"), ("FriendlyName", "A"), ("Url", "http://example.com/")];
        let first = world.server.buy_once(&account, "key", &form).await;
        let turned = [form[2], form[0], form[1]];
        assert_replayed(&world.server.buy_once(&account, "key", &turned).await, &first);
    });
}

#[test]
fn a_key_has_1_to_255_visible_ascii_characters() {
    test(async |world| {
        let (account, _) = scene(world).await;
        let longest = "k".repeat(255);
        for key in ["", &format!("{longest}k"), "ключ", "ü", "two words", "tab\there"] {
            buy_with(world, &account, "Idempotency-Key", key.as_bytes()).await.assert_refused(400, 29002);
        }
        assert_eq!(world.server.balance(&account).await, "10.00");
        for key in ["!", "~", &longest] {
            buy_with(world, &account, "Idempotency-Key", key.as_bytes()).await.assert_status(201);
        }
        assert_eq!(world.server.balance(&account).await, "7.00");
    });
}

#[test]
fn both_headers_carry_the_same_key() {
    test(async |world| {
        let (account, _) = scene(world).await;
        let first = buy_with(world, &account, "Idempotency-Key", b"key").await;
        let again = buy_with(world, &account, "I-Twilio-Idempotency-Token", b"key").await;
        assert_replayed(&again, &first);
        let call = world.server.call(&account, "POST", "/IncomingPhoneNumbers/Local");
        let both = call.header("Idempotency-Key", "key").header("I-Twilio-Idempotency-Token", "key").with_form(&[]);
        assert_replayed(&Answer::of(both).await, &first);
        let call = world.server.call(&account, "POST", "/IncomingPhoneNumbers/Local");
        let unlike = call.header("Idempotency-Key", "key").header("I-Twilio-Idempotency-Token", "other").with_form(&[]);
        Answer::of(unlike).await.assert_refused(400, 29003);
    });
}

#[test]
fn a_key_belongs_to_one_account() {
    test(async |world| {
        let (own, other) = scene(world).await;
        let first = world.server.buy_once(&own, "key", &[]).await;
        let second = world.server.buy_once(&other, "key", &[("FriendlyName", "Mine")]).await;
        assert_ne!(second.assert_status(201).element("PhoneNumber"), first.assert_status(201).element("PhoneNumber"));
        assert_replayed(&world.server.buy_once(&own, "key", &[]).await, &first);
    });
}

#[test]
fn a_purchase_that_failed_does_not_burn_its_key() {
    test(async |world| {
        scene(world).await;
        let poor = world.account("0.50").await;
        world.server.buy_once(&poor, "key", &[]).await.assert_refused(402, 29001);
        world.server.buy_once(&poor, "key", &[("AreaCode", "212")]).await.assert_refused(400, 21452);
        world.credit(&poor, "0.50").await;
        let bought = world.server.buy_once(&poor, "key", &[]).await;
        assert_eq!(bought.assert_status(201).header("Idempotent-Replayed"), "");
        assert_eq!(world.server.balance(&poor).await, "0.00");
    });
}

#[test]
fn a_key_is_stored_in_the_transaction_of_its_purchase() {
    test(async |world| {
        let (account, _) = scene(world).await;
        world.server.buy_once(&account, "key", &[]).await.assert_status(201);
        world.server.buy_once(&account, "another", &[]).await.assert_status(201);
        // xmin is the transaction that wrote a row.
        let together = "select count(*) from idempotency_keys as key
            join tenancies on tenancies.sid = key.tenancy_sid and tenancies.xmin = key.xmin
            join ledger_entries as entry on entry.tenancy_sid = key.tenancy_sid and entry.xmin = key.xmin
            join stock on stock.tenancy_sid = key.tenancy_sid and stock.xmin = key.xmin";
        assert_eq!(world.value::<i64>(together).await, 2);
    });
}

#[test]
fn old_keys_are_deleted_some_at_a_time() {
    test(async |world| {
        let (account, _) = scene(world).await;
        world.server.buy_once(&account, "new", &[]).await.assert_status(201);
        world.clock.advance(TimeDelta::hours(1));
        // Every other one is too old.
        let keys = "insert into idempotency_keys
            select account_sid, 'key' || n, request, tenancy_sid, created_at - n % 2 * interval '24 hours'
            from idempotency_keys, generate_series(1, 10000) as n";
        sqlx::query(keys).execute(&world.db).await.expect("keys");
        let count = "create table deletes ();
            create function counted() returns trigger as 'begin insert into deletes default values; return null; end'
            language plpgsql;
            create trigger counted after delete on idempotency_keys execute function counted()";
        sqlx::raw_sql(count).execute(&world.db).await.expect("a counter");
        // One that another session has locked is left for the next run, and keeps no other.
        let mut open = world.db.begin().await.expect("a transaction");
        let last = "select from idempotency_keys where key = 'key9999' for update";
        sqlx::query(last).execute(&mut *open).await.expect("a lock");
        let forget = async || purchases::forget_old_keys(&world.db, &world.clock).await.expect("a run");
        let left = async || world.value::<i64>("select count(*) from idempotency_keys").await;
        assert_eq!((forget().await, left().await), (4_999, 5_002));
        assert!(world.value::<i64>("select count(*) from deletes").await > 1, "some at a time");
        open.commit().await.expect("a commit");
        assert_eq!((forget().await, forget().await, left().await), (1, 0, 5_001));
    });
}
