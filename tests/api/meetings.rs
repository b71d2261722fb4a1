//! Requests that meet an uncommitted credit: they wait, read the account again, and are right.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use numberbank::accounts::{self, AuthToken, Change, Leftover, Reason, Said, Status};
use numberbank::billing::{self, Billed};
use numberbank::db::Transaction;
use numberbank::error::Denied;
use numberbank::inventory::State;
use numberbank::ledger::{self, Direction, Links, Order, Repeated};
use numberbank::releases::{self, Closing};
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::values::sid::{AccountSid, NumberSid};

use crate::support::{Account, Answer, World, eventually, order, test};

const ACTIVE: (Status, Option<Reason>) = (Status::Active, None);

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

/// Changes each account's balance by `cents`, in a transaction that stays open.
async fn begun(world: &World, direction: Direction, accounts: &[&Account], cents: i64) -> Transaction {
    let mut accounts: Vec<_> = accounts.iter().map(|account| sid(account)).collect();
    accounts.sort();
    let mut open = world.db.begin().await.expect("a transaction");
    for account in accounts {
        let order = Order { account, to: None, amount: Money::from_cents(cents), note: None, repeated: Repeated::Done };
        ledger::hold(&mut open, &[account]).await.expect("a lock");
        let moved = ledger::enter(&mut open, &order, direction, Links::default(), world.clock.now()).await;
        moved.expect("money is moved");
    }
    open
}

/// Does the work beside an open transaction, which is committed half a second later.
async fn beside<T>(open: Transaction, work: impl Future<Output = T>) -> T {
    let commit = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        open.commit().await.expect("a commit");
    };
    join(work, commit).await.0
}

/// Does the work beside an open credit of one account.
async fn beside_a_credit<T>(world: &World, account: &Account, cents: i64, work: impl Future<Output = T>) -> T {
    beside(begun(world, Direction::Credit, &[account], cents).await, work).await
}

/// An account that the server knows, and a number that it has just bought with its last dollar.
async fn holder(world: &World) -> (Account, NumberSid) {
    world.stock(4_158_670_000, 1).await;
    let account = world.account("1.00").await;
    let bought = world.server.buy(&account, &[]).await.assert_status(201).element("Sid");
    (account, bought.parse().expect("a Sid"))
}

#[test]
fn a_purchase_that_meets_a_credit_is_made() {
    test(async |world| {
        let account = &world.known_accounts(&[&world.server], 1, "0.00").await[0];
        world.stock(4_158_670_000, 5).await;
        let bought = beside_a_credit(world, account, 150, world.server.buy(account, &[])).await;
        bought.assert_status(201);
        assert_eq!(world.server.balance(account).await, "0.50");
        let again = beside_a_credit(world, account, 49, world.server.buy_once(account, "once", &[])).await;
        again.assert_refused(402, 29001);
        assert_eq!(world.server.balance(account).await, "0.99");
        let third = beside_a_credit(world, account, 1, world.server.buy_once(account, "once", &[])).await;
        assert_eq!(third.assert_status(201).header("Idempotent-Replayed"), "");
        assert_eq!(world.server.balance(account).await, "0.00");
    });
}

/// The purchase waits for the only number, and then for the account.
#[test]
fn a_purchase_that_waits_for_its_number_and_meets_a_credit_is_made() {
    test(async |world| {
        let account = &world.known_accounts(&[&world.server], 1, "0.00").await[0];
        world.stock(4_158_670_000, 1).await;
        let mut number = world.db.begin().await.expect("a transaction");
        sqlx::query("select from stock for update").execute(&mut *number).await.expect("the number is locked");
        let credit = begun(world, Direction::Credit, &[account], 100).await;
        let let_go = async {
            eventually("the buyer waits for the number", async || world.waiting().await > 0).await;
            number.rollback().await.expect("the number is let go");
            tokio::time::sleep(Duration::from_millis(300)).await;
            credit.commit().await.expect("a commit");
        };
        let (bought, ()) = join(world.server.buy(account, &[]), let_go).await;
        bought.assert_status(201);
        assert_eq!(world.server.balance(account).await, "0.00");
    });
}

/// The number of purchases. All other requests must be refused because of the balance.
fn bought(answers: &[Answer]) -> usize {
    let (bought, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    refused.iter().for_each(|answer| answer.assert_refused(402, 29001));
    bought.len()
}

#[test]
fn many_purchases_of_two_accounts_that_meet_credits_are_made_as_far_as_the_money_goes() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let accounts = world.known_accounts(&servers, 2, "0.00").await;
        let [one, other] = &accounts[..] else { panic!("two accounts") };
        world.stock(4_158_670_000, 50).await;
        let credits = begun(world, Direction::Credit, &[one, other], 300).await;
        let buying = |account| {
            let ways = servers.iter().cycle().take(16);
            join_all(ways.map(move |server| server.buy(account, &[("AreaCode", "415")])))
        };
        let (ones, others) = beside(credits, join(buying(one), buying(other))).await;
        assert_eq!((bought(&ones), bought(&others)), (3, 3));
        assert_eq!(
            (world.server.balance(one).await, world.server.balance(other).await),
            ("0.00".into(), "0.00".into())
        );
        servers[1].stop().await;
    });
}

/// Here no credit stays open: each is committed after a statement's snapshot and before its lock.
#[test]
fn purchases_beside_a_stream_of_credits_are_made_or_refused_and_nothing_else() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let account = &world.known_accounts(&servers, 1, "0.00").await[0];
        world.stock(4_158_670_000, 400).await;
        world.set_price(Kind::Local, None, Money::from_cents(1)).await;
        let credits = async {
            for _ in 0..100 {
                world.credit(account, "0.01").await;
            }
        };
        let buyers = servers.iter().cycle().take(4).map(|server| async move {
            let mut answers = Vec::new();
            for _ in 0..40 {
                answers.push(server.buy(account, &[]).await);
            }
            bought(&answers)
        });
        let (sold, ()) = join(join_all(buyers), credits).await;
        let (sold, left) = (sold.iter().sum::<usize>(), world.server.balance(account).await);
        assert_eq!(left, Money::from_cents(100 - i64::try_from(sold).expect("a count")).to_string());
        servers[1].stop().await;
    });
}

#[test]
fn a_debit_that_meets_a_credit_takes_what_is_there_then() {
    test(async |world| {
        let account = world.account("1.00").await;
        // A trigger before updates makes PostgreSQL lock a row before it checks any constraint. Nobody relies on that.
        let untold = "drop trigger accounts_token_replaced on accounts; drop trigger accounts_change_told on accounts";
        sqlx::raw_sql(untold).execute(&world.db).await.expect("no triggers");
        let debited = beside_a_credit(world, &account, 500, world.debit(&account, 600, None)).await;
        assert_eq!(debited.expect("a debit"), Money::ZERO);
        let refused = beside_a_credit(world, &account, 500, world.debit(&account, 501, None)).await;
        assert!(matches!(refused, Err(Denied::Refused(ledger::Refused::Insufficient { .. }))));
        let debit = begun(world, Direction::Debit, &[&account], 500).await;
        let refused = beside(debit, world.debit(&account, 1, None)).await;
        assert!(matches!(refused, Err(Denied::Refused(ledger::Refused::Insufficient { .. }))));
        assert_eq!(world.server.balance(&account).await, "0.00");
    });
}

#[test]
fn a_credit_that_meets_a_credit_pays_what_both_cover() {
    test(async |world| {
        let (account, _) = holder(world).await;
        world.clock.advance(TimeDelta::days(31));
        assert_eq!(world.bill().await.suspended, 1);
        let credited = beside_a_credit(world, &account, 60, world.credit(&account, "0.50")).await;
        assert_eq!((credited.charged, credited.balance.cents(), credited.owed.cents()), (1, 10, 0));
        assert_eq!((credited.status, world.standing(&account).await), (Status::Active, ACTIVE));
    });
}

#[test]
fn a_run_of_the_fees_that_meets_a_credit_takes_what_is_there_then() {
    test(async |world| {
        let (account, _) = holder(world).await;
        world.clock.advance(TimeDelta::days(31));
        let charged = Billed { charged: 1, amount: Money::from_cents(100), ..Billed::default() };
        assert_eq!(beside_a_credit(world, &account, 100, world.bill()).await, charged);
        assert_eq!((world.server.balance(&account).await, world.standing(&account).await), ("0.00".into(), ACTIVE));
        world.clock.advance(TimeDelta::days(31));
        let short = Billed { charged: 0, amount: Money::ZERO, suspended: 1, ..charged.clone() };
        assert_eq!(beside_a_credit(world, &account, 99, world.bill()).await, short);
        // If a credit pays no fees and another credit follows, the next run charges the fees.
        let open = begun(world, Direction::Credit, &[&account], 1).await;
        open.commit().await.expect("a commit");
        let paid = Billed { activated: 1, ..charged.clone() };
        assert_eq!(beside_a_credit(world, &account, 500, world.bill()).await, paid);
        assert_eq!(world.server.balance(&account).await, "5.00");
    });
}

#[test]
fn an_unpaid_number_is_released_beside_a_credit_that_does_not_pay() {
    test(async |world| {
        let (account, _) = holder(world).await;
        world.clock.advance(TimeDelta::days(31));
        world.bill().await;
        world.clock.advance(TimeDelta::days(14));
        assert_eq!(beside_a_credit(world, &account, 1, world.bill()).await.released, 1);
        assert_eq!(world.server.balance(&account).await, "0.01");
        assert_eq!(world.server.get(&account, "/IncomingPhoneNumbers").await.attribute("total"), "0");
    });
}

#[test]
fn an_unpaid_number_is_kept_where_the_credit_beside_the_run_pays() {
    test(async |world| {
        let (account, _) = holder(world).await;
        world.clock.advance(TimeDelta::days(31));
        world.bill().await;
        world.clock.advance(TimeDelta::days(14));
        let mut open = begun(world, Direction::Credit, &[&account], 200).await;
        let paid = "with active as (update accounts set unpaid_since = null),
            paid as (update account_sums set balance = balance - 100 returning account_sid as sid, balance),
            next as (update tenancies set due_month = 2, due_on = month_begins(started_at, 2))
            insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            select paid.sid, started_at, 'monthly_fee', -100, balance, tenancies.sid, 1 from paid, tenancies";
        sqlx::query(paid).execute(&mut *open).await.expect("the fee is paid");
        assert_eq!(beside(open, world.bill()).await.released, 0);
        assert_eq!(world.server.get(&account, "/IncomingPhoneNumbers").await.attribute("total"), "1");
    });
}

#[test]
fn a_release_and_a_restoration_that_meet_a_credit_are_made() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let path = number.to_string();
        beside_a_credit(world, &account, 100, world.server.release(&account, &path)).await.assert_status(204);
        let restored = releases::restore(&world.db, &world.clock, number);
        let restored = beside_a_credit(world, &account, 100, restored).await.expect("a restoration");
        assert_eq!((restored.stocked.state, restored.holder), (State::InUse, Some(sid(&account))));
        let list = world.server.get(&account, "/IncomingPhoneNumbers").await;
        assert_eq!((list.element("Sid"), world.server.balance(&account).await), (path, "2.00".into()));
    });
}

#[test]
fn a_closing_that_meets_a_credit_closes_with_all_the_money() {
    test(async |world| {
        let (account, _) = holder(world).await;
        beside_a_credit(world, &account, 700, world.close(&account)).await;
        let closed = accounts::find(&world.db, sid(&account)).await.expect("an account");
        assert_eq!((closed.status, closed.balance.cents(), closed.local_numbers), (Status::Closed, 700, 0));
        // The request waits for the closing, and is refused then.
        let other = world.account("0.00").await;
        let mut open = world.db.begin().await.expect("a transaction");
        accounts::close(&mut open, &world.clock, sid(&other), None, Said::by_operator(None)).await.expect("a closing");
        let late = billing::credit(&world.db, &world.clock, order(&other, "0.01"));
        let late = beside(open, late).await;
        assert!(matches!(late, Err(Denied::Refused(ledger::Refused::NoOpenAccount(_)))));
    });
}

#[test]
fn what_changes_an_account_beside_a_credit_leaves_the_money_alone() {
    test(async |world| {
        let account = world.account("0.00").await;
        let suspended = accounts::suspend(&world.db, &world.clock, sid(&account), None);
        let suspended = beside_a_credit(world, &account, 100, suspended).await.expect("a suspension");
        assert_eq!((suspended.status, suspended.balance.cents()), (Status::Suspended, 100));
        let activated = accounts::activate(&world.db, &world.clock, sid(&account), None);
        let activated = beside_a_credit(world, &account, 100, activated).await.expect("an activation");
        assert_eq!((activated.status, activated.balance.cents()), (Status::Active, 200));
        let rotated = accounts::replace_token(&world.db, &world.clock, sid(&account), AuthToken::random());
        let rotated = beside_a_credit(world, &account, 100, rotated).await.expect("a new token");
        assert_eq!(rotated.balance.cents(), 300);
        let account = Account { token: rotated.auth_token.reveal().to_owned(), ..account };
        let renamed = world.server.post(&account, "", &[("FriendlyName", "Other")]);
        beside_a_credit(world, &account, 100, renamed).await.assert_status(200);
        assert_eq!(world.server.balance(&account).await, "4.00");
    });
}

/// The request holds the number and waits for the account. Another transaction does the opposite. PostgreSQL ends the
/// one that waited first.
#[test]
fn a_release_that_is_ended_for_a_deadlock_is_done_again() {
    test(async |world| {
        let (account, number) = holder(world).await;
        world.server.get(&account, "").await.assert_status(200);
        let mut open = world.db.begin().await.expect("a transaction");
        sqlx::query("select from accounts for update").execute(&mut *open).await.expect("the account is locked");
        let crosswise = async {
            eventually("the release waits for the account", async || world.waiting().await > 0).await;
            // On a slow machine, PostgreSQL may end this transaction.
            let _ = sqlx::query("select from stock for update").execute(&mut *open).await;
            open.rollback().await.expect("all is let go");
        };
        let sid = number.to_string();
        let (released, ()) = join(world.server.release(&account, &sid), crosswise).await;
        released.assert_status(204);
    });
}

#[test]
fn two_operators_who_do_the_same_at_once_leave_one_event() {
    test(async |world| {
        let account = world.account("1.00").await;
        let (db, clock, sid) = (&world.db, &world.clock, sid(&account));
        let suspend = || accounts::suspend(db, clock, sid, None);
        let both = beside_a_credit(world, &account, 1, join(suspend(), suspend())).await;
        assert!(both.0.is_ok() && both.1.is_ok());
        let activate = || accounts::activate(db, clock, sid, None);
        let both = beside_a_credit(world, &account, 1, join(activate(), activate())).await;
        assert!(both.0.is_ok() && both.1.is_ok());
        let close = || {
            releases::close_account(
                db,
                clock,
                sid,
                Closing { releases: false, leftover: Some(Leftover::Kept), said: Said::by_operator(None), shown: None },
            )
        };
        let both = beside_a_credit(world, &account, 1, join(close(), close())).await;
        assert!(both.0.is_ok() && both.1.is_ok());
        let events = accounts::events(db, sid).await.expect("the events");
        let changes: Vec<_> = events.iter().map(|event| event.change).collect();
        assert_eq!(changes, [Change::Suspended, Change::Activated, Change::Closed]);
    });
}
