//! Sessions that hang with a lock, such as a psql that was left in a transaction: what they keep from whom.

use std::pin::pin;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{Either, join_all, select};
use numberbank::billing::Billed;
use numberbank::db::Transaction;
use numberbank::db::transact::MOST_WAITS;
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::values::sid::AccountSid;
use sqlx::{AssertSqlSafe, Executor};
use tokio::time::timeout;

use crate::billing::charged;
use crate::support::{Account, World, eventually, test, test_without_audit};

/// An account that holds some numbers at a dollar a month, and has this balance besides.
async fn holder(world: &World, numbers: i64, balance: &str) -> Account {
    let account = world.account(&format!("{numbers}.00")).await;
    for _ in 0..numbers {
        world.server.buy(&account, &[]).await.assert_status(201);
    }
    world.credit(&account, balance).await;
    account
}

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

/// A transaction that stays open and has locked the rows of a table for this account.
async fn hang(world: &World, rows: &str, account: &Account) -> Transaction {
    let mut open = world.db.begin().await.expect("a transaction");
    let lock = format!("select from {rows} $1 for update");
    sqlx::query(AssertSqlSafe(lock)).bind(sid(account)).execute(&mut *open).await.expect("a lock");
    open
}

fn passed_by(account: &Account, billed: Billed) -> Billed {
    Billed { busy: vec![sid(account)], ..billed }
}

#[test]
fn a_run_charges_all_but_the_payer_of_whom_something_is_locked() {
    test(async |world| {
        world.stock(4_158_670_000, 6).await;
        let hanging = holder(world, 2, "50.00").await;
        for _ in 0..2 {
            holder(world, 2, "50.00").await;
        }
        let rows = ["accounts where sid =", "tenancies where account_sid =", "account_sums where account_sid ="];
        for (month, rows) in rows.into_iter().enumerate() {
            world.on(&format!("2008-{:02}-15T00:00:00Z", month + 5));
            let open = hang(world, rows, &hanging).await;
            assert_eq!(world.bill().await, passed_by(&hanging, charged(4)), "{rows}");
            open.rollback().await.expect("a rollback");
            assert_eq!(world.bill().await, charged(2), "{rows}");
        }
    });
}

/// Its sub-account is to be suspended with it.
#[test]
fn a_run_suspends_all_but_the_payer_whose_sub_account_is_locked() {
    test(async |world| {
        world.stock(4_158_670_000, 6).await;
        let accounts =
            [holder(world, 2, "0.10").await, holder(world, 2, "0.10").await, holder(world, 2, "50.00").await];
        let child = world.child(&accounts[0]).await;
        world.on("2008-05-15T00:00:00Z");
        let open = hang(world, "accounts where sid =", &child).await;
        assert_eq!(world.bill().await, passed_by(&accounts[0], Billed { suspended: 1, ..charged(2) }));
        open.rollback().await.expect("a rollback");
        assert_eq!(world.bill().await, Billed { suspended: 1, ..charged(0) });
    });
}

/// Its sub-account is to be activated with it.
#[test]
fn a_run_settles_all_but_the_payer_whose_sub_account_is_locked() {
    test(async |world| {
        world.stock(4_158_670_000, 6).await;
        let accounts = [world.account("5.50").await, world.account("5.50").await];
        let child = world.child(&accounts[0]).await;
        let mut dear = Vec::new();
        for account in &accounts {
            world.set_price(Kind::Local, None, Money::from_cents(300)).await;
            dear.push(world.server.buy(account, &[]).await.element("Sid"));
            world.clock.advance(TimeDelta::days(1));
            world.set_price(Kind::Local, None, Money::from_cents(100)).await;
            world.server.buy(account, &[]).await.assert_status(201);
        }
        world.on("2008-04-16T00:00:00Z");
        holder(world, 1, "50.00").await;
        world.on("2008-05-15T00:00:00Z");
        assert_eq!(world.bill().await, Billed { suspended: 2, ..charged(0) });
        for (account, dear) in accounts.iter().zip(&dear) {
            world.server.release(account, dear).await.assert_status(204);
        }
        world.on("2008-05-16T00:00:00Z");
        let open = hang(world, "accounts where sid =", &child).await;
        assert_eq!(world.bill().await, passed_by(&accounts[0], Billed { activated: 1, ..charged(2) }));
        open.rollback().await.expect("a rollback");
        assert_eq!(world.bill().await, Billed { activated: 1, ..charged(1) });
    });
}

/// Two accounts with a sub-account and two numbers each, for which they have not paid for long.
async fn unpaid(world: &World) -> [(Account, Account); 2] {
    world.stock(4_158_670_000, 20).await;
    let accounts = [holder(world, 2, "0.10").await, holder(world, 2, "0.10").await];
    let children = [world.child(&accounts[0]).await, world.child(&accounts[1]).await];
    world.on("2008-05-15T00:00:00Z");
    assert_eq!(world.bill().await.suspended, 2);
    let [one, other] = accounts;
    let [its, the_others] = children;
    [(one, its), (other, the_others)]
}

/// A run beside a lock releases some of four unpaid numbers and passes a payer by; one without it releases the others.
async fn assert_released(world: &World, rows: &str, locked: &Account, hanging: &Account, some: u64) {
    world.on("2008-06-15T00:00:00Z");
    let open = hang(world, rows, locked).await;
    assert_eq!(world.bill().await, passed_by(hanging, Billed { released: some, ..charged(0) }));
    open.rollback().await.expect("a rollback");
    assert_eq!(world.bill().await, Billed { released: 4 - some, ..charged(0) });
}

#[test]
fn a_run_releases_all_unpaid_numbers_but_those_that_are_locked() {
    test(async |world| {
        let [(hanging, _), _] = unpaid(world).await;
        let rows = "stock where tenancy_sid = (select sid from tenancies where account_sid = $1 limit 1) and $1 =";
        assert_released(world, rows, &hanging, &hanging, 3).await;
    });
}

/// A run looks at the first ten thousand unpaid numbers that it finds, of which each is older.
#[test]
fn a_run_releases_what_comes_after_very_many_numbers_of_a_payer_that_is_locked() {
    test_without_audit(async |world| {
        let hanging = world.large_account(10_200, "Many").await;
        world.db.execute("update tenancies set due_on = '2008-05-01'").await.expect("they are due");
        world.stock(4_158_670_000, 1).await;
        holder(world, 1, "0.10").await;
        world.on("2008-05-15T00:00:00Z");
        assert_eq!(world.bill().await, Billed { suspended: 2, ..charged(100) });
        world.on("2008-06-15T00:00:00Z");
        let open = hang(world, "accounts where sid =", &hanging).await;
        assert_eq!(world.bill().await, passed_by(&hanging, Billed { released: 1, ..charged(0) }));
        open.rollback().await.expect("a rollback");
    });
}

/// A payer without unpaid numbers is active again, and its sub-account with it.
#[test]
fn a_run_releases_all_unpaid_numbers_but_those_of_the_payer_whose_sub_account_is_locked() {
    test(async |world| {
        let [(hanging, child), _] = unpaid(world).await;
        assert_released(world, "accounts where sid =", &child, &hanging, 2).await;
    });
}

#[test]
fn a_release_that_waits_for_a_sub_account_keeps_no_other_waiting() {
    test(async |world| {
        let [(hanging, child), _] = unpaid(world).await;
        let other = holder(world, 10, "50.00").await;
        let held = async |account| world.server.get(account, "/IncomingPhoneNumbers").await.elements("Sid");
        let (unpaid, others) = (held(&hanging).await, held(&other).await);
        let open = hang(world, "accounts where sid =", &child).await;
        let unpaid = pin!(join_all(unpaid.iter().map(|sid| world.server.release(&hanging, sid))));
        let others = pin!(async {
            eventually("it waits", async || world.waiting().await == 1).await;
            join_all(others.iter().map(|sid| world.server.release(&other, sid))).await
        });
        let Either::Right((others, unpaid)) = select(unpaid, others).await else {
            panic!("the others waited behind it");
        };
        assert!(others.iter().all(|answer| answer.status == 204), "{others:?}");
        assert!(unpaid.await.iter().any(|answer| answer.status == 503));
        open.rollback().await.expect("a rollback");
    });
}

#[test]
fn a_run_waits_for_few_of_many_payers_that_are_locked() {
    test(async |world| {
        const PAYERS: usize = MOST_WAITS + 6;
        world.stock(4_158_670_000, PAYERS as i64).await;
        let free = holder(world, 1, "50.00").await;
        for _ in 1..PAYERS {
            holder(world, 1, "50.00").await;
        }
        world.on("2008-05-15T00:00:00Z");
        let open = hang(world, "accounts where sid <>", &free).await;
        // Each wait takes five seconds.
        let billed = timeout(Duration::from_secs(45), world.bill()).await.expect("a run that ends");
        assert_eq!((billed.charged, billed.busy.len()), (1, PAYERS - 1));
        open.rollback().await.expect("a rollback");
        assert_eq!(world.bill().await, charged(PAYERS as i64 - 1));
    });
}
