//! Accounts that are closed with more numbers than one transaction releases.

use std::sync::Mutex;

use futures_util::future::{join, join_all};
use numberbank::accounts::{self, Change, Leftover, Reason, Refused, Said, Status};
use numberbank::db::Transaction;
use numberbank::error::Denied;
use numberbank::numbers::Settings;
use numberbank::releases::{self, Closing};
use numberbank::values::chance::Chance;
use numberbank::values::money::Money;
use numberbank::values::phone::PhoneNumber;
use numberbank::values::sid::AccountSid;
use numberbank::{billing, purchases};

use crate::support::{Account, Answer, CLOSING, WithForm, World, eventually, test, test_without_audit};

/// More than two transactions release.
const MANY: i64 = 510;
const FIRST: i64 = 4_158_670_000;

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

/// Buys `count` numbers; it must be a multiple of ten.
async fn buy(world: &World, account: &Account, count: i64) {
    for _ in 0..count / 10 {
        let bought = join_all((0..10).map(|_| world.server.buy(account, &[]))).await;
        assert!(bought.iter().all(|answer| answer.status == 201), "{bought:?}");
    }
}

/// An account with many numbers and 7.00.
async fn large(world: &World) -> Account {
    world.stock(FIRST, MANY + 10).await;
    let account = world.account("517.00").await;
    buy(world, &account, MANY).await;
    account
}

/// Holds a number that is among the last to be released, until it is committed.
async fn busy(world: &World) -> Transaction {
    let mut open = world.db.begin().await.expect("a transaction");
    let last = "select from stock where tenancy_sid in (
            select sid from tenancies where ended_at is null order by kind, started_at, sid offset 505
        ) for update";
    assert!(sqlx::query(last).execute(&mut *open).await.expect("a lock").rows_affected() > 0);
    open
}

async fn held(world: &World) -> i64 {
    world.value("select count(*) from tenancies where ended_at is null").await
}

/// Closes an account until it waits for [`busy`]. Then it is cut off, as if the command was killed.
async fn half_close(world: &World, account: &Account) {
    let open = busy(world).await;
    let close = releases::close_account(&world.db, &world.clock, sid(account), CLOSING);
    let waits = eventually("it waits", async || world.waiting().await == 1);
    tokio::select! {
        closed = close => panic!("{closed:?}"),
        () = waits => {}
    }
    drop(open);
    eventually("nothing waits any more", async || world.waiting().await == 0).await;
}

async fn events(world: &World, account: &Account) -> Vec<(Change, Reason, Option<String>)> {
    let happened = accounts::events(&world.db, sid(account)).await.expect("events");
    happened.into_iter().map(|event| (event.change, event.reason, event.note)).collect()
}

fn to_be_closed(by: Reason) -> (Change, Reason, Option<String>) {
    (Change::Suspended, by, Some("to be closed".to_owned()))
}

#[test]
fn many_numbers_go_some_at_a_time_and_then_the_account() {
    test(async |world| {
        let account = large(world).await;
        let told = Mutex::new(Vec::new());
        let closing =
            Closing { leftover: Some(Leftover::Refunded), shown: Some((MANY, Money::from_cents(700))), ..CLOSING };
        let tell = |released| told.lock().expect("a list").push(released);
        let closed = releases::close_account_in_portions(&world.db, &world.clock, sid(&account), closing, tell).await;
        let closed = closed.expect("a closing");
        assert_eq!((closed.released, closed.refunded.cents(), closed.account.status), (510, 700, Status::Closed));
        assert_eq!(told.into_inner().expect("a list"), [250, 500, 510]);
        let happened = events(world, &account).await;
        assert_eq!(happened, [to_be_closed(Reason::Operator), (Change::Closed, Reason::Operator, None)]);
        assert_eq!(held(world).await, 0);
    });
}

#[test]
fn few_numbers_go_with_the_account_at_once() {
    test(async |world| {
        world.stock(FIRST, 300).await;
        let account = world.account("250.00").await;
        buy(world, &account, 250).await;
        assert_eq!(
            releases::close_account(&world.db, &world.clock, sid(&account), CLOSING).await.expect("it").released,
            250
        );
        assert_eq!(events(world, &account).await, [(Change::Closed, Reason::Operator, None)]);
    });
}

#[test]
fn a_closing_that_is_cut_off_leaves_a_suspended_account_and_the_next_one_goes_on() {
    test(async |world| {
        let account = large(world).await;
        let other = world.account("5.00").await;
        world.server.buy(&other, &[]).await.assert_status(201);
        half_close(world, &account).await;
        // What went stays gone; the rest is still the account's, which may read and release, but get none.
        assert_eq!(held(world).await, 11);
        assert_eq!(world.standing(&account).await, (Status::Suspended, Some(Reason::Operator)));
        assert_eq!(events(world, &account).await, [to_be_closed(Reason::Operator)]);
        world.server.buy(&account, &[]).await.assert_refused(403, 20005);
        let of_other = "select stock.phone_number from stock join tenancies on tenancies.sid = tenancy_sid
            join account_sums using (account_sid) where local_numbers = 1";
        let number = PhoneNumber::new(world.value(of_other).await).expect("a number");
        let moved = crate::support::move_number(&world.db, &world.clock, number, None, sid(&account), None).await;
        assert!(matches!(moved, Err(Denied::Refused(releases::Refused::TakerSuspended(_)))), "{moved:?}");
        let free = world.value("select phone_number from stock where state = 'available' limit 1").await;
        let free = PhoneNumber::new(free).expect("a number");
        let assigned = purchases::assign(
            &world.db,
            &world.clock,
            &Chance::System,
            sid(&account),
            free,
            Some(Money::ZERO),
            Settings::default(),
        );
        assert!(matches!(assigned.await, Err(Denied::Refused(purchases::Refused::Suspended))));
        // What is given back to it, it holds; and credits and fees are as always.
        let gone = world.value("select phone_number from stock where state = 'quarantined' limit 1").await;
        let gone = PhoneNumber::new(gone).expect("a number");
        releases::restore_number(&world.db, &world.clock, gone).await.expect("it is given back");
        world.credit(&account, "1.00").await;
        assert_eq!(world.bill().await.charged, 0);
        let standing = billing::standing(&world.db, &world.clock, sid(&account), chrono::TimeDelta::days(14)).await;
        assert_eq!(standing.expect("an account").account.local_numbers, 11);

        let closed = releases::close_account(&world.db, &world.clock, sid(&account), CLOSING).await.expect("the rest");
        assert_eq!((closed.released, closed.account.balance.cents()), (11, 800));
        assert_eq!(events(world, &account).await.len(), 2);
        assert_eq!(held(world).await, 1);
    });
}

#[test]
fn a_closing_that_is_cut_off_can_be_taken_back() {
    test(async |world| {
        let account = large(world).await;
        half_close(world, &account).await;
        accounts::activate(&world.db, &world.clock, sid(&account), None).await.expect("an account");
        world.server.buy(&account, &[]).await.assert_status(201);
        assert_eq!(held(world).await, 11);
    });
}

#[test]
fn an_account_that_is_made_active_keeps_what_has_not_gone() {
    test(async |world| {
        let account = large(world).await;
        let open = busy(world).await;
        let close = releases::close_account(&world.db, &world.clock, sid(&account), CLOSING);
        let activate = async {
            eventually("it waits", async || world.waiting().await == 1).await;
            accounts::activate(&world.db, &world.clock, sid(&account), None).await.expect("an account");
            open.commit().await.expect("a commit");
        };
        let (closed, ()) = join(close, activate).await;
        assert!(matches!(closed, Err(Denied::Refused(Refused::Reopened(_)))), "{closed:?}");
        assert_eq!((held(world).await, world.standing(&account).await), (10, (Status::Active, None)));
    });
}

/// The activation comes after the last portion, and before the account would be closed.
#[test]
fn an_account_that_is_made_active_while_its_last_numbers_go_is_not_closed() {
    test(async |world| {
        let account = large(world).await;
        let activate = |released| {
            if released == MANY.unsigned_abs() {
                let activate = accounts::activate(&world.db, &world.clock, sid(&account), None);
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(activate))
                    .expect("an account");
            }
        };
        let closed =
            releases::close_account_in_portions(&world.db, &world.clock, sid(&account), CLOSING, activate).await;
        assert!(matches!(closed, Err(Denied::Refused(Refused::Reopened(_)))), "{closed:?}");
        assert_eq!((held(world).await, world.standing(&account).await), (0, (Status::Active, None)));
        assert_eq!(world.server.balance(&account).await, "7.00");
    });
}

/// The operator was shown 7.00. Once the account is suspended, that more comes in does not keep it open.
#[test]
fn what_an_account_is_credited_with_while_its_numbers_go_is_refunded_too() {
    test(async |world| {
        let account = large(world).await;
        let closing =
            Closing { leftover: Some(Leftover::Refunded), shown: Some((MANY, Money::from_cents(700))), ..CLOSING };
        let credit = |released| {
            if released == 250 {
                let credit = world.credit(&account, "1.00");
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(credit));
            }
        };
        let closed = releases::close_account_in_portions(&world.db, &world.clock, sid(&account), closing, credit).await;
        assert_eq!(closed.expect("a closing").refunded.cents(), 800);
    });
}

/// Numbers that the stock does not give to their holder cannot be released: the audit names them.
#[test]
fn a_closing_whose_numbers_cannot_go_ends() {
    test_without_audit(async |world| {
        let account = large(world).await;
        let astray = "set session_replication_role = replica; update stock set tenancy_sid = gen_random_uuid() where tenancy_sid is not null";
        sqlx::raw_sql(astray).execute(&world.db).await.expect("numbers astray");
        let closed = releases::close_account(&world.db, &world.clock, sid(&account), CLOSING).await;
        assert!(matches!(closed, Err(Denied::Refused(Refused::HoldsNumbers { .. }))), "{closed:?}");
    });
}

#[test]
fn nothing_goes_if_the_account_holds_more_than_was_shown_or_cannot_be_closed() {
    test(async |world| {
        let account = large(world).await;
        let child = world.child(&account).await;
        let refused = async |closing| {
            let closed = releases::close_account(&world.db, &world.clock, sid(&account), closing).await;
            assert_eq!((held(world).await, world.standing(&account).await), (MANY, (Status::Active, None)));
            assert_eq!(events(world, &account).await, []);
            match closed {
                Err(Denied::Refused(refused)) => refused,
                closed => panic!("{closed:?}"),
            }
        };
        assert!(matches!(refused(CLOSING).await, Refused::OwnsAccounts { sub_accounts: 1, .. }));
        world.close(&child).await;
        assert!(matches!(refused(Closing { leftover: None, ..CLOSING }).await, Refused::HoldsMoney { .. }));
        let shown = |numbers, cents| Some((numbers, Money::from_cents(cents)));
        assert!(matches!(refused(Closing { shown: shown(MANY - 1, 700), ..CLOSING }).await, Refused::HoldsMore(_)));
        let refund = Closing { leftover: Some(Leftover::Refunded), shown: shown(MANY, 699), ..CLOSING };
        assert!(matches!(refused(refund).await, Refused::HoldsMore(_)));
        // What it keeps does not go.
        let kept = Closing { shown: shown(MANY, 0), said: Said::by_operator(Some("gone")), ..CLOSING };
        let closed = releases::close_account(&world.db, &world.clock, sid(&account), kept).await.expect("a closing");
        assert_eq!(closed.account.balance.cents(), 700);
    });
}

#[test]
fn two_closings_at_once_share_the_work() {
    test(async |world| {
        let account = large(world).await;
        let close = || releases::close_account(&world.db, &world.clock, sid(&account), CLOSING);
        let (one, two) = join(close(), close()).await;
        let released = [one, two].map(|closed| closed.expect("a closing").released);
        assert_eq!(released.iter().sum::<u64>(), 510);
        assert_eq!(events(world, &account).await.len(), 2);
    });
}

#[test]
fn an_owner_buys_while_its_large_sub_account_is_closed() {
    test(async |world| {
        world.stock(FIRST, MANY + 10).await;
        let owner = world.account("600.00").await;
        let child = world.child(&owner).await;
        buy(world, &child, MANY).await;
        let open = busy(world).await;
        let path = format!("/2010-04-01/Accounts/{}.json", child.sid);
        let close = world.server.request("POST", &path).basic_auth(&owner.sid, Some(&owner.token));
        let close = Answer::of(close.with_form(&[("Status", "closed")]));
        let buy = async {
            eventually("it waits", async || world.waiting().await == 1).await;
            assert_eq!(world.standing(&child).await, (Status::Suspended, Some(Reason::Owner)));
            world.server.buy(&owner, &[]).await.assert_status(201);
            open.commit().await.expect("a commit");
        };
        let (closed, ()) = join(close, buy).await;
        closed.assert_status(200);
        assert_eq!(events(world, &child).await, [to_be_closed(Reason::Owner), (Change::Closed, Reason::Owner, None)]);
        assert_eq!(held(world).await, 1);
    });
}
