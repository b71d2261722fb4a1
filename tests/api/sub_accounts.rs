//! Sub-accounts below 2010-04-01: accounts of a main account, which pays for them.

use futures_util::future::join;
use numberbank::accounts::Refused;
use numberbank::error::Denied;
use numberbank::ledger;
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::values::sid::AccountSid;
use serde_json::{Value, json};

use crate::support::{Account, Answer, WithForm, World, eventually, move_number, test};
use crate::v2010::{assert_refused, document, path};

const NUMBERS: &str = "/IncomingPhoneNumbers.json";

/// A request of `caller` on the path of `account`.
async fn act(
    world: &World,
    caller: &Account,
    account: &Account,
    method: &str,
    below: &str,
    form: &[(&str, &str)],
) -> Answer {
    let as_caller = Account { sid: account.sid.clone(), token: caller.token.clone() };
    let request = world.server.request(method, &path(&as_caller, below)).basic_auth(&caller.sid, Some(&caller.token));
    Answer::of(if form.is_empty() { request } else { request.with_form(form) }).await
}

async fn accounts(world: &World, caller: &Account, method: &str, query: &str, form: &[(&str, &str)]) -> Answer {
    let path = format!("/2010-04-01/Accounts.json{query}");
    let request = world.server.request(method, &path).basic_auth(&caller.sid, Some(&caller.token));
    Answer::of(if form.is_empty() { request } else { request.with_form(form) }).await
}

/// A new sub-account.
async fn child(world: &World, owner: &Account, name: &str) -> Account {
    let made = document(&accounts(world, owner, "POST", "", &[("FriendlyName", name)]).await, 201);
    let text = |key: &str| made[key].as_str().expect("a text").to_owned();
    Account { sid: text("sid"), token: text("auth_token") }
}

/// A main account with ten dollars, numbers in stock, and a sub-account.
async fn family(world: &World) -> (Account, Account) {
    world.stock(4_158_675_300, 10).await;
    let owner = world.account("10.00").await;
    let child = child(world, &owner, "Child").await;
    (owner, child)
}

async fn buy(world: &World, caller: &Account, account: &Account) -> Answer {
    act(world, caller, account, "POST", NUMBERS, &[("AreaCode", "415")]).await
}

fn number_of(answer: &Answer) -> String {
    document(answer, 201)["sid"].as_str().expect("a Sid").to_owned()
}

async fn total(world: &World, caller: &Account, account: &Account) -> Value {
    document(&act(world, caller, account, "GET", NUMBERS, &[]).await, 200)["total"].clone()
}

#[test]
fn a_sub_account_is_made_and_buys_with_its_owners_money() {
    test(async |world| {
        let owner = world.account("10.00").await;
        world.stock(4_158_675_300, 3).await;
        let made = document(&accounts(world, &owner, "POST", "", &[("FriendlyName", "s")]).await, 201);
        assert_eq!(
            (&made["owner_account_sid"], &made["status"], &made["friendly_name"]),
            (&json!(owner.sid), &json!("active"), &json!("s"))
        );
        assert!(
            made["subresource_uris"]["balance"].is_null()
                && made["subresource_uris"]["incoming_phone_numbers"].is_string(),
            "{made}"
        );
        let text = |key: &str| made[key].as_str().expect("a text").to_owned();
        let child = Account { sid: text("sid"), token: text("auth_token") };
        // By its own credentials, and by its owner's on its path.
        for caller in [&child, &owner] {
            let bought = document(&buy(world, caller, &child).await, 201);
            assert_eq!(bought["account_sid"], json!(child.sid));
        }
        assert_eq!(world.server.balance(&owner).await, "8.00");
        assert_eq!((total(world, &child, &child).await, total(world, &owner, &owner).await), (json!(2), json!(0)));
        for caller in [&child, &owner] {
            assert_refused(&act(world, caller, &child, "GET", "/Balance.json", &[]).await, 404, 20404);
        }
        // Later, its token is not shown any more.
        let shown = document(&act(world, &owner, &child, "GET", ".json", &[]).await, 200);
        assert_eq!((&shown["auth_token"], &shown["sid"]), (&Value::Null, &json!(child.sid)));
        let unnamed = document(&accounts(world, &owner, "POST", "", &[]).await, 201);
        assert_eq!(unnamed["friendly_name"], "SubAccount Created at 2008-04-01 06:26 PM");
        let ledger =
            "select string_agg(kind::text || amount, ' ' order by id) from ledger_entries where account_sid = $1";
        let entries: Option<String> =
            sqlx::query_scalar(ledger).bind(uuid(&owner)).fetch_one(&world.db).await.expect("the entries");
        assert_eq!(entries.as_deref(), Some("credit1000 purchase-100 purchase-100"));
    });
}

fn uuid(account: &Account) -> sqlx::types::Uuid {
    account.sid[2..].parse().expect("a Sid")
}

#[test]
fn only_the_family_is_reached_and_only_downwards() {
    test(async |world| {
        let (owner, child) = family(world).await;
        let (sibling, stranger) = (self::child(world, &owner, "Sibling").await, world.account("5.00").await);
        for (caller, account) in
            [(&child, &owner), (&child, &sibling), (&stranger, &child), (&owner, &stranger), (&stranger, &owner)]
        {
            for below in [".json", NUMBERS, "/Balance.json"] {
                assert_refused(&act(world, caller, account, "GET", below, &[]).await, 404, 20404);
            }
            assert_refused(&buy(world, caller, account).await, 404, 20404);
        }
        // The other version knows its own path only.
        let request = world.server.request("GET", &format!("/2008-08-01/Accounts/{}", child.sid));
        Answer::of(request.basic_auth(&owner.sid, Some(&owner.token))).await.assert_refused(404, 20404);
        assert_eq!(world.server.get(&child, "").await.assert_status(200).element("Status"), "2");
        assert_refused(&accounts(world, &child, "POST", "", &[]).await, 403, 20006);
        let list = async |caller: &Account, query: &str| {
            let list = document(&accounts(world, caller, "GET", query, &[]).await, 200);
            let names =
                list["accounts"].as_array().expect("a list").iter().map(|account| account["friendly_name"].clone());
            (names.collect::<Vec<_>>(), list["total"].clone())
        };
        assert_eq!(list(&child, "").await, (vec![json!("Child")], json!(1)));
        assert_eq!(list(&owner, "").await.1, json!(3));
        assert_eq!(list(&owner, "?FriendlyName=Sibling&Status=active").await, (vec![json!("Sibling")], json!(1)));
        assert_eq!(list(&owner, "?Status=closed").await, (vec![], json!(0)));
        assert_eq!(list(&owner, "?Status=shut").await, (vec![], json!(0)));
        let (first, second) = (list(&owner, "?PageSize=2").await, list(&owner, "?PageSize=2&Page=1").await);
        assert_eq!((first.0.len(), second.0.len()), (2, 1));
        assert_refused(
            &accounts(world, &owner, "GET", &format!("?PageToken=PAPN{}", "0".repeat(32)), &[]).await,
            400,
            21481,
        );
    });
}

#[test]
fn an_owner_suspends_and_closes_its_sub_accounts() {
    test(async |world| {
        let (owner, child) = family(world).await;
        let number = number_of(&buy(world, &child, &child).await);
        number_of(&buy(world, &owner, &child).await);
        let set = async |caller: &Account, account: &Account, status: &str| {
            act(world, caller, account, "POST", ".json", &[("Status", status)]).await
        };
        let shown = async |answer: Answer| document(&answer, 200)["status"].clone();
        assert_eq!(shown(set(&owner, &child, "suspended").await).await, "suspended");
        for caller in [&child, &owner] {
            assert_refused(&buy(world, caller, &child).await, 403, 20005);
            let below = format!("/IncomingPhoneNumbers/{number}.json");
            assert_refused(&act(world, caller, &child, "POST", &below, &[("FriendlyName", "x")]).await, 403, 20005);
        }
        assert_eq!(total(world, &child, &child).await, json!(2));
        assert_eq!(shown(set(&owner, &child, "active").await).await, "active");
        assert_refused(&set(&owner, &child, "shut").await, 400, 21475);
        assert_refused(&set(&owner, &owner, "closed").await, 400, 21477);
        assert_refused(&set(&child, &child, "closed").await, 403, 20006);
        // What the operator has begun, only the operator ends.
        world.suspend(&child).await;
        assert_refused(&set(&owner, &child, "active").await, 400, 21478);
        let sid = child.sid.parse().expect("a Sid");
        numberbank::accounts::activate(&world.db, &world.clock, sid, None).await.expect("it is activated");

        assert_eq!(shown(set(&owner, &child, "closed").await).await, "closed");
        assert_refused(&act(world, &child, &child, "GET", ".json", &[]).await, 401, 20003);
        assert_eq!(total(world, &owner, &child).await, json!(0));
        for status in ["active", "suspended", "closed"] {
            assert_refused(&set(&owner, &child, status).await, 400, 21479);
        }
        assert_refused(&buy(world, &owner, &child).await, 403, 20005);
        let closed = document(&accounts(world, &owner, "GET", "?Status=closed", &[]).await, 200);
        assert_eq!(closed["accounts"][0]["sid"], json!(child.sid));
        assert_eq!(world.server.balance(&owner).await, "8.00");
    });
}

#[test]
fn sub_accounts_are_suspended_with_their_owner() {
    test(async |world| {
        let (owner, child) = family(world).await;
        let number = number_of(&buy(world, &child, &child).await);
        let status = async || document(&act(world, &child, &child, "GET", ".json", &[]).await, 200)["status"].clone();
        world.suspend(&owner).await;
        assert_eq!(status().await, "suspended");
        for caller in [&child, &owner] {
            assert_refused(&buy(world, caller, &child).await, 403, 20005);
        }
        assert_refused(&accounts(world, &owner, "POST", "", &[]).await, 403, 20005);
        assert_refused(&act(world, &owner, &child, "POST", ".json", &[("Status", "active")]).await, 400, 21476);
        // Releasing stays allowed.
        let below = format!("/IncomingPhoneNumbers/{number}.json");
        act(world, &child, &child, "DELETE", &below, &[]).await.assert_status(204);
        let sid = owner.sid.parse().expect("a Sid");
        numberbank::accounts::activate(&world.db, &world.clock, sid, None).await.expect("it is activated");
        assert_eq!(status().await, "active");
        document(&buy(world, &child, &child).await, 201);
    });
}

#[test]
fn a_number_is_transferred_within_the_family() {
    test(async |world| {
        let (owner, child) = family(world).await;
        let sibling = self::child(world, &owner, "Sibling").await;
        let stranger = world.account("5.00").await;
        let bought = document(&buy(world, &child, &child).await, 201);
        let number = bought["sid"].as_str().expect("a Sid");
        let below = format!("/IncomingPhoneNumbers/{number}.json");
        let give = async |caller: &Account, from: &Account, form: &[(&str, &str)]| {
            act(world, caller, from, "POST", &below, form).await
        };
        let nobody = format!("AC{}", "0".repeat(32));
        let before = world.fingerprint().await;
        for (caller, to, code) in [
            (&owner, "AC1", 21470),
            (&owner, &*nobody, 21473),
            (&owner, &stranger.sid, 21473),
            (&child, &owner.sid, 21474),
            (&child, &sibling.sid, 21474),
        ] {
            assert_refused(&give(caller, &child, &[("AccountSid", to)]).await, 400, code);
        }
        assert_refused(&give(&owner, &sibling, &[("AccountSid", &owner.sid)]).await, 404, 20404);
        assert_eq!(before, world.fingerprint().await);
        let moved =
            document(&give(&owner, &child, &[("AccountSid", &owner.sid), ("FriendlyName", "Moved")]).await, 200);
        let shown =
            |number: &Value| json!(["sid", "account_sid", "date_created", "friendly_name"].map(|key| &number[key]));
        assert_eq!(shown(&moved), json!([number, owner.sid, bought["date_created"], "Moved"]));
        assert!(moved["uri"].as_str().is_some_and(|uri| uri.contains(&owner.sid)), "{moved}");
        assert_refused(&act(world, &owner, &child, "GET", &below, &[]).await, 404, 20404);
        // On to another one, out of a suspended one, and not to one.
        assert_eq!(
            document(&give(&owner, &owner, &[("AccountSid", &child.sid)]).await, 200)["account_sid"],
            json!(child.sid)
        );
        act(world, &owner, &child, "POST", ".json", &[("Status", "suspended")]).await.assert_status(200);
        assert_eq!(
            document(&give(&owner, &child, &[("AccountSid", &sibling.sid)]).await, 200)["account_sid"],
            json!(sibling.sid)
        );
        assert_refused(&give(&owner, &sibling, &[("AccountSid", &child.sid)]).await, 400, 21472);
        assert_eq!(world.server.balance(&owner).await, "9.00");
        assert_eq!(world.server.balance(&stranger).await, "5.00");
    });
}

#[test]
fn a_number_that_left_the_family_meanwhile_stays_where_it_is() {
    test(async |world| {
        let (owner, child) = family(world).await;
        let stranger = world.account("5.00").await;
        let number = number_of(&buy(world, &child, &child).await);
        let below = format!("/IncomingPhoneNumbers/{number}.json");
        let digits =
            world.value::<i64>("select phone_number from tenancies").await.to_string().parse().expect("digits");
        let to = stranger.sid.parse().expect("a Sid");
        let mut lock = world.db.begin().await.expect("a transaction");
        sqlx::query("select from stock where state = 'in_use' for update").execute(&mut *lock).await.expect("a lock");
        let moved = move_number(&world.db, &world.clock, digits, None, to, None);
        let given = async {
            eventually("the operator waits", async || world.waiting().await == 1).await;
            let form = [("AccountSid", &*owner.sid)];
            let given = act(world, &owner, &child, "POST", &below, &form);
            let let_go = async {
                eventually("the owner waits", async || world.waiting().await == 2).await;
                lock.rollback().await.expect("it ends");
            };
            join(given, let_go).await.0
        };
        let (moved, given) = join(moved, given).await;
        assert!(moved.is_ok(), "{moved:?}");
        assert_refused(&given, 404, 20404);
        assert_eq!(total(world, &stranger, &stranger).await, json!(1));
    });
}

#[test]
fn the_accounts_of_a_family_are_walked_in_both_directions() {
    test(async |world| {
        let owner = world.account("1.00").await;
        for at in 0..6 {
            world.clock.advance(chrono::TimeDelta::seconds(1));
            child(world, &owner, &format!("Child {at}")).await;
        }
        let names = |page: &Value| {
            let rows = page["accounts"].as_array().expect("a list");
            rows.iter().map(|account| account["friendly_name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
        };
        let follow =
            async |uri: &Value| document(&world.server.follow(&owner, uri.as_str().expect("a URI")).await, 200);
        let first = document(&accounts(world, &owner, "GET", "?PageSize=3", &[]).await, 200);
        let second = follow(&first["next_page_uri"]).await;
        let third = follow(&second["next_page_uri"]).await;
        let expected = ["Child 5", "Child 4", "Child 3", "Child 2", "Child 1", "Child 0", "Test"];
        assert_eq!([&first, &second, &third].map(names).concat(), expected);
        assert!(first["previous_page_uri"].is_null() && third["next_page_uri"].is_null(), "{first} {third}");
        assert_eq!(names(&follow(&third["previous_page_uri"]).await), names(&second));
        assert_eq!(names(&follow(&second["previous_page_uri"]).await), names(&first));
        assert_eq!(names(&follow(&first["last_page_uri"]).await), names(&third));
    });
}

#[test]
fn a_price_of_the_owner_holds_for_its_sub_accounts() {
    test(async |world| {
        let (owner, child) = family(world).await;
        let (owners, childs) = (owner.sid.parse().expect("a Sid"), child.sid.parse().expect("a Sid"));
        let next = async || {
            let prices = numbers_prices(world, childs).await;
            let before = world.server.balance(&owner).await.parse::<f64>().expect("an amount");
            number_of(&buy(world, &child, &child).await);
            let after = world.server.balance(&owner).await.parse::<f64>().expect("an amount");
            (prices, ((before - after) * 100.0).round() as i64)
        };
        assert_eq!(next().await, (100, 100));
        world.set_price(Kind::Local, Some(owners), Money::from_cents(333)).await;
        assert_eq!(next().await, (333, 333));
        world.set_price(Kind::Local, Some(childs), Money::from_cents(50)).await;
        assert_eq!(next().await, (50, 50));
    });
}

/// What a local number costs an account, in cents, as the operator is told.
async fn numbers_prices(world: &World, account: AccountSid) -> i64 {
    let prices = world.prices(Some(account)).await;
    prices.iter().find(|price| price.kind == Kind::Local).expect("a price").price.cents()
}

#[test]
fn what_is_kept_for_ever_is_not_changed_without_end() {
    test(async |world| {
        let (owner, child) = family(world).await;
        let number = number_of(&buy(world, &owner, &owner).await);
        let below = format!("/IncomingPhoneNumbers/{number}.json");
        // Numbers that it loses are no changes of its status.
        let lost = number_of(&buy(world, &owner, &child).await);
        let lost = format!("/IncomingPhoneNumbers/{lost}.json");
        for (from, to) in [(&child, &owner), (&owner, &child)] {
            act(world, &owner, from, "POST", &lost, &[("AccountSid", &to.sid)]).await.assert_status(200);
        }
        let set = async |status: &str| act(world, &owner, &child, "POST", ".json", &[("Status", status)]).await;
        for status in ["suspended", "active"].iter().cycle().take(100) {
            set(status).await.assert_status(200);
        }
        assert_refused(&set("suspended").await, 429, 20429);
        let sibling = self::child(world, &owner, "Sibling").await;
        let give = async |from: &Account, to: &Account| {
            act(world, &owner, from, "POST", &below, &[("AccountSid", &to.sid)]).await
        };
        for (from, to) in [(&owner, &sibling), (&sibling, &owner)].into_iter().cycle().take(100) {
            give(from, to).await.assert_status(200);
        }
        assert_refused(&give(&owner, &sibling).await, 429, 20429);
        world.clock.advance(chrono::TimeDelta::days(2));
        set("suspended").await.assert_status(200);
        give(&owner, &sibling).await.assert_status(200);
    });
}

/// As after an answer that was lost, or a 503 between the two changes.
#[test]
fn a_change_of_name_and_status_that_is_sent_again_goes_on() {
    test(async |world| {
        let (owner, child) = family(world).await;
        let set = async |name: &str, status: &str| {
            act(world, &owner, &child, "POST", ".json", &[("FriendlyName", name), ("Status", status)]).await
        };
        for _ in 0..2 {
            let shown = document(&set("Resting", "suspended").await, 200);
            assert_eq!((&shown["friendly_name"], &shown["status"]), (&json!("Resting"), &json!("suspended")));
        }
        assert_refused(&set("Another", "suspended").await, 403, 20005);
        let closed = document(&set("Resting", "closed").await, 200);
        assert_eq!((&closed["friendly_name"], &closed["status"]), (&json!("Resting"), &json!("closed")));
        for name in ["Resting", "Another"] {
            assert_refused(&set(name, "suspended").await, 400, 21479);
        }
    });
}

#[test]
fn a_sub_account_is_not_told_what_its_owner_has_left() {
    test(async |world| {
        let (owner, child) = family(world).await;
        world.debit(&owner, 950, None).await.expect("a debit");
        let refused = buy(world, &child, &child).await;
        assert_refused(&refused, 402, 29001);
        assert!(!refused.body.contains("0.50"), "{}", refused.body);
        let refused = buy(world, &owner, &owner).await;
        assert!(refused.body.contains("0.50"), "{}", refused.body);
    });
}

#[test]
fn fees_of_a_family_are_paid_by_its_owner() {
    test(async |world| {
        let (owner, child) = family(world).await;
        number_of(&buy(world, &child, &child).await);
        number_of(&buy(world, &owner, &owner).await);
        world.debit(&owner, 700, None).await.expect("a debit");
        world.on("2008-05-02T00:00:00Z");
        assert_eq!(world.bill().await.suspended, 1);
        for account in [&owner, &child] {
            assert_refused(&buy(world, account, account).await, 403, 20005);
        }
        let credited = world.credit(&owner, "5.00").await;
        assert!(credited.activated, "{credited:?}");
        assert_eq!(world.server.balance(&owner).await, "4.00");
        document(&buy(world, &child, &child).await, 201);
        // Money goes to the owner only.
        let order = crate::support::order(&child, "1.00");
        let credited = numberbank::billing::credit(&world.db, &world.clock, order).await;
        let refused = credited.expect_err("a sub-account has no money");
        assert!(matches!(refused, Denied::Refused(ledger::Refused::PaidByOwner(_))), "{refused:?}");
    });
}

#[test]
fn an_account_owns_up_to_a_thousand_open_sub_accounts() {
    test(async |world| {
        let (owner, _) = family(world).await;
        let many = "insert into accounts (sid, owner_sid, name, credential, token_digest, created_at, updated_at)
            select gen_random_uuid(), $1, 'x', gen_random_uuid(), decode(repeat('00', 32), 'hex'), now(), now()
            from generate_series(1, 998)";
        sqlx::query(many).bind(uuid(&owner)).execute(&world.db).await.expect("accounts");
        let count = "update accounts set sub_accounts = 999 where sid = $1";
        sqlx::query(count).bind(uuid(&owner)).execute(&world.db).await.expect("a count");
        let last = child(world, &owner, "last").await;
        assert_refused(&accounts(world, &owner, "POST", "", &[]).await, 400, 21480);
        act(world, &owner, &last, "POST", ".json", &[("Status", "closed")]).await.assert_status(200);
        child(world, &owner, "another").await;
        let closing = numberbank::releases::close_account(
            &world.db,
            &world.clock,
            owner.sid.parse().expect("a Sid"),
            crate::support::CLOSING,
        );
        let refused = closing.await.expect_err("it owns open accounts");
        assert!(matches!(refused, Denied::Refused(Refused::OwnsAccounts { .. })), "{refused:?}");
        // Closed ones are kept, and so are bounded.
        let many =
            "insert into accounts (sid, owner_sid, name, credential, token_digest, created_at, updated_at, closed_at)
            select gen_random_uuid(), $1, 'x', gen_random_uuid(), decode(repeat('00', 32), 'hex'), now(), now(), now()
            from generate_series(1, 8999)";
        sqlx::query(many).bind(uuid(&owner)).execute(&world.db).await.expect("accounts");
        act(world, &owner, &last, "GET", ".json", &[]).await.assert_status(200);
        let open = document(&accounts(world, &owner, "GET", "?Status=active&PageSize=1", &[]).await, 200);
        let open =
            Account { sid: open["accounts"][0]["sid"].as_str().expect("a Sid").to_owned(), token: String::new() };
        act(world, &owner, &open, "POST", ".json", &[("Status", "closed")]).await.assert_status(200);
        assert_refused(&accounts(world, &owner, "POST", "", &[]).await, 400, 21480);
    });
}
