//! Numbers that an operator takes from an account: released, or moved to another account.

use chrono::{DateTime, TimeDelta, Utc};
use numberbank::accounts::{self, Status};
use numberbank::error::Denied;
use numberbank::inventory::State;
use numberbank::numbers::{self, Biography};
use numberbank::releases::{self, Refused};
use numberbank::values::phone::PhoneNumber;
use numberbank::values::sid::{AccountSid, NumberSid};
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::support::{Account, World, move_number, test};

const NUMBER: i64 = 4_158_670_000;

fn number() -> PhoneNumber {
    PhoneNumber::new(NUMBER).expect("a number")
}

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

async fn buy(world: &World, account: &Account) -> NumberSid {
    world.clock.advance(TimeDelta::days(1));
    let form = [("Url", "http://example.com/"), ("FriendlyName", "Desk")];
    world.server.buy(account, &form).await.assert_status(201).element("Sid").parse().expect("a Sid")
}

async fn transfer(world: &World, to: &Account) -> Result<Biography, Denied<Refused>> {
    world.clock.advance(TimeDelta::days(1));
    move_number(&world.db, &world.clock, number(), None, sid(to), Some("sold his shop")).await
}

async fn release(world: &World, of: Option<NumberSid>) -> Result<Biography, Denied<Refused>> {
    world.clock.advance(TimeDelta::days(1));
    releases::release_by_operator(&world.db, &world.clock, number(), of, Some("fraud")).await
}

async fn restore(world: &World) -> Result<Biography, Denied<Refused>> {
    world.clock.advance(TimeDelta::days(1));
    releases::restore_number(&world.db, &world.clock, number()).await
}

/// Two accounts, of which the first holds the only number.
async fn scene(world: &World) -> (Account, Account, NumberSid) {
    world.stock(NUMBER, 1).await;
    let (one, other) = (world.account("50.00").await, world.account("50.00").await);
    let sid = buy(world, &one).await;
    (one, other, sid)
}

#[track_caller]
fn assert_refused(done: Result<Biography, Denied<Refused>>, expected: &Refused) {
    let refused = done.expect_err("a refusal");
    assert!(matches!(&refused, Denied::Refused(reason) if reason == expected), "{refused:?}");
}

/// What became of an account, as its events tell it.
async fn events(world: &World, account: &Account) -> Vec<String> {
    let told = "select change || ' ' || reason || ' ' || phone_number || ' ' || note from reporting.account_events
        where account_sid = $1 and change = 'number_lost' order by id";
    sqlx::query_scalar(told).bind(&account.sid).fetch_all(&world.db).await.expect("events")
}

/// Who held the number at a time, as `reporting.holdings` tells it.
async fn held_at(world: &World, time: DateTime<Utc>) -> Vec<String> {
    let held = "select account_sid from reporting.holdings
        where phone_number = $1 and held_from <= $2 and (held_until > $2 or held_until is null)";
    sqlx::query_scalar(held).bind(NUMBER).bind(time).fetch_all(&world.db).await.expect("holders")
}

/// An account, from when to when it held the number, and under which Sid.
type Row = (String, DateTime<Utc>, Option<DateTime<Utc>>, String);

/// The history of the number is the same as in `reporting.holdings`.
async fn assert_told_alike(world: &World, told: &Biography) {
    let view = "select account_sid, held_from, held_until, number_sid from reporting.holdings
        where phone_number = $1 order by held_from, held_until";
    let view: Vec<Row> = sqlx::query_as(view).bind(NUMBER).fetch_all(&world.db).await.expect("holdings");
    let history = told.history.iter().map(|it| (it.account_sid.to_string(), it.from, it.to, it.sid.to_string()));
    assert_eq!(history.collect::<Vec<_>>(), view);
}

#[test]
fn an_operator_ends_a_customer_s_number_also_of_a_suspended_account() {
    test(async |world| {
        let (one, other, held) = scene(world).await;
        world.suspend(&one).await;
        let released = release(world, Some(held)).await.expect("a release");
        assert_eq!((released.stocked.state, released.holder, released.price), (State::Quarantined, None, None));
        assert_eq!((released.last_holder, released.last_holder_name.as_deref()), (Some(sid(&one)), Some("Test")));
        assert_eq!(released.since.since, world.clock.now());
        assert_eq!(released.since.back_on_sale, Some(world.clock.now() + TimeDelta::days(45)));
        let last = json!(released.moves.last().expect("a move"));
        assert_eq!((&last["cause"], &last["note"]), (&json!("operator_release"), &json!("fraud")));
        assert_eq!(events(world, &one).await, [format!("number_lost operator {NUMBER} fraud")]);
        assert_eq!(events(world, &other).await, [""; 0]);
        assert_eq!(world.server.get(&one, "/IncomingPhoneNumbers").await.attribute("total"), "0");

        assert_refused(release(world, None).await, &Refused::NotInUse(number(), State::Quarantined));
        let restored = restore(world).await.expect("it goes back");
        assert_eq!((restored.holder, restored.last_holder, restored.since.back_on_sale), (Some(sid(&one)), None, None));
        let unknown = PhoneNumber::new(NUMBER + 1).expect("a number");
        let unknown = releases::release_by_operator(&world.db, &world.clock, unknown, None, None).await;
        assert!(matches!(unknown, Err(Denied::Refused(Refused::NotInStock(_)))));
    });
}

#[test]
fn a_number_goes_back_to_its_last_holder_by_its_digits() {
    test(async |world| {
        let (one, other, first) = scene(world).await;
        assert_refused(restore(world).await, &Refused::IsHeld(number(), first));
        release(world, None).await.expect("a release");
        world.clock.advance(TimeDelta::days(45));
        world.recycle().await;
        assert_refused(restore(world).await, &Refused::NotQuarantined(number(), State::Available));
        let second = buy(world, &other).await;
        assert_refused(release(world, Some(first)).await, &Refused::HeldUnderAnother(number(), first));
        release(world, Some(second)).await.expect("a release");
        let restored = restore(world).await.expect("it goes back");
        assert_eq!((restored.holder, &restored.history[2].sid), (Some(sid(&other)), &second));
        assert_eq!(world.server.get(&one, "/IncomingPhoneNumbers").await.attribute("total"), "0");
        world.close(&other).await;
        assert_refused(restore(world).await, &Refused::HolderClosed(second));
        world.stock(NUMBER + 1, 1).await;
        let fresh = PhoneNumber::new(NUMBER + 1).expect("a number");
        let fresh = releases::restore_number(&world.db, &world.clock, fresh).await;
        assert!(matches!(fresh, Err(Denied::Refused(Refused::NotQuarantined(_, State::Available)))));
    });
}

#[test]
fn a_number_that_is_moved_is_the_same_under_its_new_account() {
    test(async |world| {
        let (one, other, held) = scene(world).await;
        let below = format!("/IncomingPhoneNumbers/{held}");
        let before = world.server.get(&one, &below).await.assert_status(200).body.clone();
        let moved = transfer(world, &other).await.expect("a transfer");
        assert_eq!((moved.holder, moved.holder_name.as_deref()), (Some(sid(&other)), Some("Test")));
        assert_eq!((moved.since.since, moved.price.map(|price| price.cents())), (world.clock.now(), Some(100)));
        let transfer =
            json!({ "at": "2008-04-03T18:26:32.000Z", "from": one.sid, "to": other.sid, "note": "sold his shop" });
        assert_eq!(json!(moved.transfers), json!([transfer]));
        world.server.get(&one, &below).await.assert_refused(404, 20404);
        world.server.post(&one, &below, &[("FriendlyName", "Mine")]).await.assert_refused(404, 20404);
        world.server.release(&one, &held.to_string()).await.assert_refused(404, 20404);
        let after = world.server.get(&other, &below).await.assert_status(200).body.clone();
        let (date, there) = ("<DateUpdated>", after.replace(&other.sid, &one.sid));
        assert!(after.contains("<DateUpdated>Thu, 03 Apr 2008"), "{after}");
        let timeless = |body: &str| {
            let (head, rest) = body.split_once(date).expect("a date");
            format!("{head}{}", rest.split_once('<').expect("its end").1)
        };
        assert_eq!(timeless(&there), timeless(&before));
        assert_eq!(
            (world.server.balance(&one).await, world.server.balance(&other).await),
            ("49.00".into(), "50.00".into())
        );
        assert_eq!(events(world, &one).await, [format!("number_lost moved {NUMBER} sold his shop")]);
        assert_eq!(events(world, &other).await, [""; 0]);
        let fees =
            async |account| accounts::find(&world.db, sid(account)).await.expect("an account").monthly_fees.cents();
        assert_eq!((fees(&one).await, fees(&other).await), (0, 100));
        assert_eq!(world.server.get(&other, "/IncomingPhoneNumbers").await.attribute("total"), "1");
    });
}

#[test]
fn who_held_a_number_at_a_time_has_one_answer_after_moves() {
    test(async |world| {
        let (one, other, held) = scene(world).await;
        let begun = world.clock.now();
        let day = |days: i64| begun + TimeDelta::days(days);
        transfer(world, &other).await.expect("day 1");
        release(world, None).await.expect("day 2");
        assert_eq!(restore(world).await.expect("day 3").holder, Some(sid(&other)));
        transfer(world, &one).await.expect("day 4");
        transfer(world, &other).await.expect("day 5");
        world.clock.advance(TimeDelta::days(1));
        world.server.release(&other, &held.to_string()).await.assert_status(204);
        let (nobody, first, second) = (vec![], vec![one.sid.clone()], vec![other.sid.clone()]);
        let moment = TimeDelta::microseconds(1);
        for (days, holder) in
            [(0, &first), (1, &second), (2, &nobody), (3, &second), (4, &first), (5, &second), (6, &nobody)]
        {
            assert_eq!(&held_at(world, day(days)).await, holder, "from day {days}");
            assert_eq!(&held_at(world, day(days + 1) - moment).await, holder, "through day {days}");
        }
        assert_eq!(held_at(world, begun - moment).await, nobody);
        let told = numbers::biography(&world.db, number()).await.expect("a biography");
        assert_eq!((told.history.len(), told.transfers.len(), told.last_holder), (5, 3, Some(sid(&other))));
        assert_told_alike(world, &told).await;
        world.clock.advance(TimeDelta::days(45));
        world.recycle().await;
        buy(world, &one).await;
        assert_told_alike(world, &numbers::biography(&world.db, number()).await.expect("a biography")).await;
    });
}

#[test]
fn a_number_moves_only_from_who_holds_it_to_another_active_account() {
    test(async |world| {
        let (one, other, held) = scene(world).await;
        assert_refused(transfer(world, &one).await, &Refused::SameAccount(number(), sid(&one)));
        let nobody: AccountSid = format!("AC{}", "0".repeat(32)).parse().expect("a Sid");
        let to_nobody = move_number(&world.db, &world.clock, number(), None, nobody, None).await;
        assert_refused(to_nobody, &Refused::NoTaker(nobody));
        world.suspend(&other).await;
        assert_refused(transfer(world, &other).await, &Refused::TakerSuspended(sid(&other)));
        world.close(&other).await;
        assert_refused(transfer(world, &other).await, &Refused::TakerClosed(sid(&other)));
        release(world, None).await.expect("a release");
        assert_refused(transfer(world, &one).await, &Refused::NotInUse(number(), State::Quarantined));
        let another: NumberSid = format!("PN{}", "0".repeat(32)).parse().expect("a Sid");
        restore(world).await.expect("it goes back");
        let third = world.account("0.00").await;
        let before = world.fingerprint().await;
        let wrong = move_number(&world.db, &world.clock, number(), Some(another), sid(&third), None).await;
        assert_refused(wrong, &Refused::HeldUnderAnother(number(), another));
        assert_eq!(world.fingerprint().await, before);
        let right = move_number(&world.db, &world.clock, number(), Some(held), sid(&third), None).await;
        assert_eq!(right.expect("a transfer").holder, Some(sid(&third)));
    });
}

#[test]
fn each_month_of_a_moved_number_is_paid_by_its_holder_of_that_day() {
    test(async |world| {
        let (one, other, _) = scene(world).await;
        let month = async |months: &str| {
            world.on(months);
            world.bill().await.charged
        };
        assert_eq!(month("2008-05-02T00:00:00Z").await, 1);
        transfer(world, &other).await.expect("a transfer");
        assert_eq!((month("2008-06-02T00:00:00Z").await, month("2008-07-02T00:00:00Z").await), (1, 1));
        transfer(world, &one).await.expect("it is moved back");
        assert_eq!(month("2008-08-02T00:00:00Z").await, 1);
        assert_eq!(
            (world.server.balance(&one).await, world.server.balance(&other).await),
            ("47.00".into(), "48.00".into())
        );
    });
}

#[test]
fn an_account_that_owed_for_the_moved_number_only_is_active_again() {
    test(async |world| {
        world.stock(NUMBER, 1).await;
        let (poor, rich) = (world.account("1.00").await, world.account("5.00").await);
        buy(world, &poor).await;
        world.on("2008-05-02T00:00:00Z");
        assert_eq!((world.bill().await.suspended, world.standing(&poor).await.0), (1, Status::Suspended));
        transfer(world, &rich).await.expect("a transfer");
        assert_eq!(world.standing(&poor).await.0, Status::Active);
        let told = "select string_agg(change || ' ' || reason, ', ' order by id) from account_events";
        assert_eq!(world.value::<String>(told).await, "suspended unpaid, number_lost moved, activated nothing_owed");
        assert_eq!((world.bill().await.charged, world.server.balance(&rich).await), (1, "4.00".into()));
    });
}

/// The clock of the machine that releases is behind that of the one that moved the number.
#[test]
fn a_release_by_a_slow_clock_is_no_earlier_than_the_transfer_before_it() {
    test(async |world| {
        let (one, other, _) = scene(world).await;
        transfer(world, &other).await.expect("a transfer");
        let moved = world.clock.now();
        world.clock.advance(TimeDelta::hours(-5));
        let early = world.clock.now();
        let released = releases::release_by_operator(&world.db, &world.clock, number(), None, None).await;
        assert_eq!(released.expect("a release").since.since, moved);
        assert_eq!(held_at(world, early).await, [one.sid]);
        assert_eq!(held_at(world, moved).await, [""; 0]);
    });
}

/// A client walks through its list while the number beside which the next page lies is moved.
#[test]
fn a_list_goes_on_beside_a_number_that_was_moved() {
    test(async |world| {
        world.stock(NUMBER, 4).await;
        let (one, other) = (world.account("50.00").await, world.account("50.00").await);
        let mut held = Vec::new();
        for at in 0..4 {
            world.clock.advance(TimeDelta::seconds(1));
            let bought = world.server.buy(&one, &[("FriendlyName", "Desk")]).await;
            held.insert(0, (bought.element("Sid"), bought.element("PhoneNumber")));
            assert_eq!(held.len(), at + 1);
        }
        let second = held[1].1.parse().expect("a number");
        move_number(&world.db, &world.clock, second, None, sid(&other), None).await.expect("a transfer");
        let cursor = &held[1].0;
        for named in ["", "&FriendlyName=Desk"] {
            let below = |query: &str| format!("/IncomingPhoneNumbers?PageSize=2&{query}{named}");
            let after = world.server.get(&one, &below(&format!("Page=1&AfterSid={cursor}"))).await;
            assert_eq!(after.assert_status(200).elements("Sid"), [&*held[2].0, &*held[3].0], "{named}");
            let before = world.server.get(&one, &below(&format!("Page=0&BeforeSid={cursor}"))).await;
            assert_eq!(before.assert_status(200).elements("Sid")[0], held[0].0, "{named}");
            let stranger = world.account("0.00").await;
            let refused = world.server.get(&stranger, &below(&format!("Page=1&AfterSid={cursor}"))).await;
            refused.assert_refused(400, 29002);
        }
    });
}

/// Both find the rows of one of two numbers, whichever index they have.
#[test]
fn the_transfers_of_other_numbers_are_not_told() {
    test(async |world| {
        let (one, other, _) = scene(world).await;
        transfer(world, &other).await.expect("a transfer");
        world.stock(NUMBER + 1, 1).await;
        world.server.buy(&one, &[]).await.assert_status(201);
        let second = PhoneNumber::new(NUMBER + 1).expect("a number");
        move_number(&world.db, &world.clock, second, None, sid(&other), None).await.expect("a transfer");
        for number in [number(), second] {
            let told = numbers::biography(&world.db, number).await.expect("a biography");
            assert_eq!((told.transfers.len(), told.history.len()), (1, 2));
        }
        let view = "select count(*) from reporting.transfers where from_account_sid = $1 and to_account_sid = $2";
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(view.to_owned())).bind(&one.sid).bind(&other.sid);
        assert_eq!(count.fetch_one(&world.db).await.expect("a count"), 2);
    });
}
