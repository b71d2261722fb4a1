//! Monthly fees: charged on the right day, once, at the price of the sale; and accounts that cannot pay them.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use futures_util::stream;
use numberbank::accounts::{Reason, Status};
use numberbank::billing::{self, Billed};
use numberbank::db;
use numberbank::inventory::Quarantine;
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::values::sid::{AccountSid, NumberSid};
use numberbank::{accounts, jobs};

use crate::support::{Account, World, eventually, test};

const ACTIVE: (Status, Option<Reason>) = (Status::Active, None);
const UNPAID: (Status, Option<Reason>) = (Status::Suspended, Some(Reason::Unpaid));

/// An account with this balance that has bought `count` numbers at a dollar a month.
async fn holder(world: &World, balance: &str, numbers: i64) -> Account {
    world.stock(4_158_670_000, numbers).await;
    let account = world.account(balance).await;
    for _ in 0..numbers {
        world.server.buy(&account, &[]).await.assert_status(201);
    }
    account
}

/// An account that has bought many numbers on one day: a third each for nothing, for one dollar and for 2.50. Then it has
/// this balance.
async fn large(world: &World, cents: i64) -> Account {
    let account = world.account("9000.00").await;
    for price in [0, 100, 250] {
        world.set_price(Kind::Local, None, Money::from_cents(price)).await;
        for _ in 0..15 {
            let bought = join_all((0..10).map(|_| world.server.buy(&account, &[]))).await;
            assert!(bought.iter().all(|answer| answer.status == 201), "{bought:?}");
        }
    }
    let sid = account.sid.parse().expect("a Sid");
    let spare = accounts::find(&world.db, sid).await.expect("an account").balance.cents() - cents;
    world.debit(&account, spare, None).await.expect("a debit");
    account
}

/// The Sids of the numbers that an account holds, the oldest first.
async fn held(world: &World, account: &Account) -> Vec<String> {
    let mut sids = world.server.get(account, "/IncomingPhoneNumbers").await.elements("Sid");
    sids.reverse();
    sids
}

/// The days on which fees were charged, and their sums in cents.
async fn fees(world: &World) -> Vec<(String, i64)> {
    let fees = "select (at at time zone 'UTC')::date::text, amount from ledger_entries
        where kind = 'monthly_fee' order by account_sid, id";
    sqlx::query_as(fees).fetch_all(&world.db).await.expect("fees")
}

fn day(day: &str, cents: i64) -> (String, i64) {
    (day.to_owned(), cents)
}

pub fn charged(charged: i64) -> Billed {
    Billed { charged, amount: Money::from_cents(charged * 100), ..Billed::default() }
}

/// What a run of billing returns if one account could not pay.
fn short(charged: i64) -> Billed {
    Billed { suspended: 1, ..self::charged(charged) }
}

#[test]
fn a_fee_is_charged_once_a_month_on_the_day_of_the_purchase() {
    test(async |world| {
        world.on("2007-12-31T23:59:59Z");
        holder(world, "50.00", 1).await;
        for _ in 0..24 * 130 {
            world.clock.advance(TimeDelta::hours(1));
            world.bill().await;
        }
        // 2008 has a 29 February.
        let days = ["2008-01-31", "2008-02-29", "2008-03-31", "2008-04-30"];
        assert_eq!(fees(world).await, days.map(|date| day(date, -100)));
    });
}

#[test]
fn no_fee_comes_early() {
    test(async |world| {
        world.on("2009-01-31T15:00:00Z");
        holder(world, "50.00", 1).await;
        world.on("2009-02-27T23:59:59.999999Z");
        assert_eq!(world.bill().await, charged(0));
        world.on("2009-02-28T00:00:00Z");
        assert_eq!(world.bill().await, charged(1));
    });
}

#[test]
fn a_fee_is_the_price_of_the_sale_whatever_the_next_sale_costs() {
    test(async |world| {
        let account = holder(world, "50.00", 1).await;
        for cents in [0, 900] {
            let price = Money::from_cents(cents);
            world.set_price(Kind::Local, None, price).await;
            let sid = account.sid.parse().expect("a Sid");
            world.set_price(Kind::Local, Some(sid), price).await;
            world.clock.advance(TimeDelta::days(31));
            assert_eq!(world.bill().await, charged(1));
        }
        assert_eq!(world.server.balance(&account).await, "47.00");
    });
}

#[test]
fn missed_runs_are_caught_up_month_by_month() {
    test(async |world| {
        world.on("2008-01-31T10:00:00Z");
        let account = holder(world, "50.00", 2).await;
        world.on("2008-04-30T10:00:00Z");
        assert_eq!(world.bill().await, charged(6));
        assert_eq!(world.bill().await, charged(0));
        assert_eq!(world.server.balance(&account).await, "42.00");
        let months = "select string_agg(month::text, ' ' order by id) from ledger_entries where month > 0";
        assert_eq!(world.value::<String>(months).await, "1 1 2 2 3 3");
    });
}

#[test]
fn a_run_of_the_past_charges_what_was_due_then_and_dates_nothing_back() {
    test(async |world| {
        world.on("2008-01-31T10:00:00Z");
        holder(world, "50.00", 1).await;
        world.on("2008-05-01T00:00:00Z");
        let as_of = "2008-03-30T00:00:00Z".parse().expect("a time");
        let billed = billing::bill(&world.db, &world.clock, as_of, TimeDelta::days(14), |_| {}).await;
        assert_eq!(billed.expect("a run"), charged(1));
        assert_eq!(fees(world).await, [day("2008-05-01", -100)]);
    });
}

#[test]
fn nothing_is_charged_after_a_release() {
    test(async |world| {
        let account = holder(world, "50.00", 1).await;
        world.clock.advance(TimeDelta::days(40));
        // Not even the months that a missed run has left uncharged are charged.
        world.server.release(&account, &held(world, &account).await[0]).await.assert_status(204);
        world.clock.advance(TimeDelta::days(400));
        assert_eq!(world.bill().await, charged(0));
        assert_eq!(world.server.balance(&account).await, "49.00");
    });
}

#[test]
fn a_free_number_is_charged_nothing_and_never_refused_or_taken_away() {
    test(async |world| {
        world.set_price(Kind::Local, None, Money::ZERO).await;
        let account = holder(world, "0.00", 1).await;
        for _ in 0..3 {
            world.clock.advance(TimeDelta::days(31));
            world.bill().await;
        }
        assert_eq!(fees(world).await.into_iter().map(|(_, cents)| cents).collect::<Vec<_>>(), [0, 0, 0]);
        assert_eq!((world.standing(&account).await, held(world, &account).await.len()), (ACTIVE, 1));
        // It is not released either if the account cannot pay for another number.
        world.set_price(Kind::Local, None, Money::from_cents(100)).await;
        world.stock(4_158_671_000, 1).await;
        world.credit(&account, "1.00").await;
        world.server.buy(&account, &[]).await.assert_status(201);
        for _ in 0..3 {
            world.clock.advance(TimeDelta::days(31));
            world.bill().await;
        }
        // The number that it could not pay has gone, and with it what it owed.
        assert_eq!((world.standing(&account).await, held(world, &account).await.len()), (ACTIVE, 1));
        assert_eq!(fees(world).await.len(), 6);
    });
}

#[test]
fn several_runs_at_once_charge_once() {
    test(async |world| {
        world.stock(4_158_670_000, 200).await;
        let accounts = world.known_accounts(&[&world.server], 4, "500.00").await;
        for account in &accounts {
            join_all((0..50).map(|_| world.server.buy(account, &[]))).await;
        }
        world.clock.advance(TimeDelta::days(62));
        let runs = join_all((0..4).map(|_| world.bill())).await;
        assert_eq!(runs.iter().map(|billed| billed.charged).sum::<i64>(), 400);
        assert_eq!(fees(world).await.len(), 400);
    });
}

#[test]
fn a_run_beside_purchases_releases_and_credits_loses_nothing() {
    test(async |world| {
        world.stock(4_158_670_000, 400).await;
        let accounts = world.known_accounts(&[&world.server], 3, "60.00").await;
        for account in &accounts {
            join_all((0..50).map(|_| world.server.buy(account, &[]))).await;
        }
        world.clock.advance(TimeDelta::days(31));
        let others = join_all(accounts.iter().map(|account| async {
            for sid in held(world, account).await.iter().take(15) {
                world.server.release(account, sid).await.assert_status(204);
                world.server.buy(account, &[]).await;
                world.credit(account, "0.50").await;
            }
        }));
        let runs = join_all((0..3).map(|_| world.bill()));
        futures_util::future::join(others, runs).await;
        world.clock.advance(TimeDelta::days(14));
        world.bill().await;
    });
}

/// If a run is killed at any point, the next one continues.
#[test]
fn a_run_can_end_at_any_point() {
    test(async |world| {
        world.on("2008-01-10T00:00:00Z");
        world.stock(4_158_670_000, 60).await;
        let account = world.account("2000.00").await;
        for _ in 0..60 {
            world.clock.advance(TimeDelta::hours(7));
            world.server.buy(&account, &[]).await.assert_status(201);
        }
        world.on("2009-02-01T00:00:00Z");
        for micros in (0..40).map(|attempt| attempt * 700) {
            let run = tokio::time::timeout(Duration::from_micros(micros), world.bill());
            let _ = run.await;
        }
        world.bill().await;
        assert_eq!(fees(world).await.len(), 60 * 12);
        assert_eq!(world.server.balance(&account).await, "1220.00");
    });
}

#[test]
fn a_large_account_is_charged_in_batches() {
    test(async |world| {
        world.stock(4_158_670_000, 2100).await;
        let account = world.account("2100.00").await;
        let purchases = (0..2100).map(|_| world.server.buy(&account, &[]));
        let bought: Vec<_> = stream::iter(purchases).buffer_unordered(8).collect().await;
        assert!(bought.iter().all(|answer| answer.status == 201));
        world.credit(&account, "2050.00").await;
        world.clock.advance(TimeDelta::days(31));
        assert_eq!(world.bill().await, short(2050));
        assert_eq!(world.server.balance(&account).await, "0.00");
        world.clock.advance(TimeDelta::days(14));
        assert_eq!(world.bill().await.released, 50);
    });
}

#[test]
fn too_little_money_suspends_and_leaves_the_balance_alone() {
    test(async |world| {
        let account = holder(world, "1.99", 1).await;
        world.clock.advance(TimeDelta::days(31));
        for expected in [short(0), charged(0)] {
            assert_eq!(world.bill().await, expected);
            assert_eq!(world.standing(&account).await, UNPAID);
            assert_eq!(world.server.balance(&account).await, "0.99");
        }
        world.server.get(&account, "").await.assert_status(200);
        world.server.buy(&account, &[]).await.assert_refused(403, 20005);
        assert_eq!(held(world, &account).await.len(), 1);
    });
}

#[test]
fn fees_are_paid_in_their_order_as_far_as_the_money_goes() {
    test(async |world| {
        let account = holder(world, "5.00", 3).await;
        world.clock.advance(TimeDelta::days(31));
        assert_eq!(world.bill().await, short(2));
        assert_eq!(world.server.balance(&account).await, "0.00");
        // Paid numbers stay when the grace period has ended.
        world.clock.advance(TimeDelta::days(14));
        assert_eq!(world.bill().await, Billed { released: 1, ..charged(0) });
        assert_eq!(held(world, &account).await.len(), 2);
    });
}

#[test]
fn an_unpaid_number_is_kept_for_the_grace_and_then_released() {
    test(async |world| {
        let account = holder(world, "1.00", 1).await;
        world.clock.advance(TimeDelta::days(31));
        world.bill().await;
        world.clock.advance(TimeDelta::days(14) - TimeDelta::microseconds(1));
        assert_eq!(world.bill().await, charged(0));
        assert_eq!(held(world, &account).await.len(), 1);
        world.clock.advance(TimeDelta::microseconds(1));
        assert_eq!(world.bill().await, Billed { released: 1, ..charged(0) });
        assert_eq!(held(world, &account).await.len(), 0);
        // Nothing is owed any more.
        assert_eq!(world.standing(&account).await, ACTIVE);
        let moved = "select string_agg(cause::text || ' ' || to_state, ', ') from stock_moves";
        assert_eq!(world.value::<String>(moved).await, "unpaid quarantined");
        let events = "select string_agg(change || ' ' || reason, ', ' order by id) from account_events";
        let expected = "suspended unpaid, number_lost unpaid, activated nothing_owed";
        assert_eq!(world.value::<String>(events).await, expected);
    });
}

/// After unpaid numbers were released, the balance may cover the other fees.
#[test]
fn no_number_is_taken_away_whose_fees_the_balance_covers() {
    test(async |world| {
        world.on("2008-01-24T12:00:00Z");
        world.set_price(Kind::Local, None, Money::from_cents(300)).await;
        let account = holder(world, "6.00", 1).await;
        world.on("2008-02-03T12:00:00Z");
        world.set_price(Kind::Local, None, Money::from_cents(100)).await;
        world.stock(4_158_671_000, 1).await;
        world.server.buy(&account, &[]).await.assert_status(201);
        world.on("2008-02-24T12:00:00Z");
        assert_eq!(world.bill().await, short(0));
        world.on("2008-03-03T12:00:00Z");
        assert_eq!(world.bill().await, charged(0));
        world.on("2008-03-09T12:00:00Z");
        assert_eq!(world.bill().await, Billed { released: 1, ..charged(0) });
        assert_eq!((world.standing(&account).await, held(world, &account).await.len()), (UNPAID, 1));
        assert_eq!(world.bill().await, Billed { activated: 1, ..charged(1) });
        assert_eq!((world.standing(&account).await, held(world, &account).await.len()), (ACTIVE, 1));
        assert_eq!(world.server.balance(&account).await, "1.00");
    });
}

/// If the suspension comes late, the account still has the whole grace period.
#[test]
fn the_grace_begins_when_the_account_is_suspended() {
    test(async |world| {
        let account = holder(world, "1.00", 1).await;
        world.clock.advance(TimeDelta::days(100));
        assert_eq!(world.bill().await, short(0));
        world.clock.advance(TimeDelta::days(13));
        assert_eq!(world.bill().await, charged(0));
        world.clock.advance(TimeDelta::days(1));
        assert_eq!(world.bill().await.released, 1);
        assert_eq!(held(world, &account).await.len(), 0);
    });
}

#[test]
fn a_credit_that_covers_what_is_due_charges_it_once_and_activates() {
    test(async |world| {
        world.on("2008-01-31T10:00:00Z");
        let account = holder(world, "2.50", 2).await;
        world.on("2008-02-29T00:00:00Z");
        assert_eq!(world.bill().await, short(0));
        world.on("2008-03-01T00:00:00Z");
        let credited = world.credit(&account, "1.49").await;
        let dollars = |money: Money| money.to_string();
        assert_eq!(
            (credited.charged, dollars(credited.balance), dollars(credited.owed)),
            (0, "1.99".into(), "2.00".into())
        );
        assert_eq!((world.standing(&account).await, fees(world).await), (UNPAID, vec![]));
        let credited = world.credit(&account, "0.01").await;
        assert_eq!((credited.charged, credited.balance), (2, Money::ZERO));
        assert_eq!(world.standing(&account).await, ACTIVE);
        assert_eq!(fees(world).await, [day("2008-03-01", -100), day("2008-03-01", -100)]);
        assert_eq!(world.bill().await, charged(0));
        assert_eq!(world.credit(&account, "5.00").await.charged, 0);
        assert_eq!(world.server.balance(&account).await, "5.00");
        let events = accounts::events(&world.db, account.sid.parse().expect("a Sid")).await.expect("events");
        let told: Vec<_> = events.iter().map(|event| format!("{:?} {:?}", event.change, event.reason)).collect();
        assert_eq!(told, ["Suspended Unpaid", "Activated Paid"]);
    });
}

#[test]
fn a_credit_pays_all_months_that_have_begun_meanwhile_in_their_order() {
    test(async |world| {
        world.on("2008-01-31T10:00:00Z");
        let account = holder(world, "1.00", 1).await;
        world.on("2008-02-10T00:00:00Z");
        world.credit(&account, "1.00").await;
        world.stock(4_158_671_000, 1).await;
        world.server.buy(&account, &[]).await.assert_status(201);
        world.on("2008-03-05T00:00:00Z");
        assert_eq!(world.bill().await, short(0));
        world.on("2008-03-10T00:00:00Z");
        assert_eq!(world.credit(&account, "2.00").await.charged, 2);
        let paid = "select string_agg(month || '/' || t.started_at::date, ' ' order by e.id)
            from ledger_entries e join tenancies t on t.sid = e.tenancy_sid where e.kind = 'monthly_fee'";
        assert_eq!(world.value::<String>(paid).await, "1/2008-01-31 1/2008-02-10");
    });
}

/// As of a later time: fees that it found due stay due.
#[test]
fn a_credit_pays_what_a_run_of_the_future_found_due() {
    test(async |world| {
        let account = holder(world, "1.00", 1).await;
        let later = world.clock.now() + TimeDelta::days(31);
        let clock = world.clock.not_before(later);
        billing::bill(&world.db, &clock, later, TimeDelta::days(14), |_| {}).await.expect("a run");
        assert_eq!(world.standing(&account).await, UNPAID);
        assert_eq!(world.credit(&account, "1.00").await.charged, 1);
        assert_eq!(world.standing(&account).await, ACTIVE);
        // The tenancy does not end before the last month that was paid ahead begins.
        world.server.release(&account, &held(world, &account).await[0]).await.assert_status(204);
    });
}

#[test]
fn the_operator_s_suspension_is_his_to_lift() {
    test(async |world| {
        let account = holder(world, "1.00", 1).await;
        let operator = (Status::Suspended, Some(Reason::Operator));
        world.suspend(&account).await;
        world.clock.advance(TimeDelta::days(31));
        assert_eq!(world.bill().await, short(0));
        assert_eq!(world.standing(&account).await, operator);
        assert_eq!(world.credit(&account, "1.00").await.charged, 1);
        assert_eq!(world.standing(&account).await, operator);
        let sid = account.sid.parse().expect("a Sid");
        accounts::activate(&world.db, &world.clock, sid, None).await.expect("an activation");
        assert_eq!(world.standing(&account).await, ACTIVE);
        // It also activates an unpaid account; the due fees stay due.
        world.clock.advance(TimeDelta::days(31));
        world.bill().await;
        assert_eq!(world.standing(&account).await, UNPAID);
        accounts::activate(&world.db, &world.clock, sid, None).await.expect("an activation");
        assert_eq!(world.standing(&account).await, ACTIVE);
        assert_eq!(world.bill().await, short(0));
    });
}

fn settings(world: &World) -> jobs::JobOptions {
    let quarantine = Quarantine { local: TimeDelta::days(45), tollfree: TimeDelta::days(10) };
    let (database, clock) = (world.options.clone(), world.clock.clone());
    jobs::JobOptions { database, clock, every: Duration::from_millis(20), quarantine, grace: TimeDelta::days(14) }
}

#[test]
fn the_jobs_do_all_that_is_due_one_instance_at_a_time() {
    test(async |world| {
        let account = holder(world, "9.00", 2).await;
        world.stock(8_005_550_100, 1).await;
        let local = held(world, &account).await.remove(0);
        let tollfree = world.server.post(&account, "/IncomingPhoneNumbers/TollFree", &[]).await.element("Sid");
        world.server.release(&account, &local).await.assert_status(204);
        world.server.release(&account, &tollfree).await.assert_status(204);
        world.clock.advance(TimeDelta::days(31));
        let lock = db::lock(&world.options, jobs::LOCK, Duration::ZERO).await.expect("a lock");
        assert!(jobs::run(&settings(world)).await.expect("a run").is_none());
        drop(lock);
        let mut done = None;
        eventually("the lock is free", async || {
            done = jobs::run(&settings(world)).await.expect("a run");
            done.is_some()
        })
        .await;
        let done = done.expect("what was done");
        assert_eq!((done.recycled, done.billed), (1, charged(1)));
    });
}

#[test]
fn the_jobs_run_again_and_again() {
    test(async |world| {
        let account = holder(world, "9.00", 1).await;
        let running = tokio::spawn(jobs::keep_running(settings(world)));
        for balance in ["7.00", "6.00"] {
            world.clock.advance(TimeDelta::days(31));
            eventually("the fee is charged", async || world.server.balance(&account).await == balance).await;
        }
        running.abort();
    });
}

#[test]
fn old_idempotency_keys_are_forgotten() {
    test(async |world| {
        world.stock(4_158_670_000, 2).await;
        let account = world.account("9.00").await;
        world.server.buy_once(&account, "old", &[]).await.assert_status(201);
        world.clock.advance(TimeDelta::hours(23));
        world.server.buy_once(&account, "young", &[]).await.assert_status(201);
        world.clock.advance(TimeDelta::hours(1));
        let done = jobs::run(&settings(world)).await.expect("a run").expect("nobody else runs them");
        assert_eq!(done.keys_forgotten, 1);
        assert_eq!(world.value::<String>("select key from idempotency_keys").await, "young");
    });
}

/// The model counts month by month, which is slow and simple.
#[test]
fn the_months_that_are_due_are_those_that_have_begun() {
    test(async |world| {
        let differ = "select count(*) from
            unnest(array[timestamptz '2008-01-31 23:59:59Z', '2008-02-01 00:00Z', '2007-12-29 12:00Z']) as started,
            generate_series(1, 14) as due,
            generate_series(timestamp '2008-01-31', '2009-03-02', '1 day') as day
            where greatest(months_due(started, due, day::date), 0)
                <> (select count(*) from generate_series(due, 20) as month where month_begins(started, month) <= day)";
        assert_eq!(world.value::<i64>(differ).await, 0);
    });
}

#[test]
fn a_dry_run_says_what_a_run_then_does_and_writes_nothing() {
    test(async |world| {
        world.on("2008-01-31T10:00:00Z");
        world.stock(4_158_670_000, 8).await;
        let [rich, poor, late, free] = ["50.00", "3.00", "1.00", "0.00"].map(|balance| world.account(balance));
        let accounts = [rich.await, poor.await, late.await, free.await];
        let sids = accounts.each_ref().map(|account| account.sid.parse().expect("a Sid"));
        world.set_price(Kind::Local, Some(sids[3]), Money::ZERO).await;
        for (account, numbers) in accounts.iter().zip([2, 2, 1, 1]) {
            for _ in 0..numbers {
                world.server.buy(account, &[]).await.assert_status(201);
            }
        }
        world.on("2008-02-29T00:00:00Z");
        assert_eq!(world.bill().await.suspended, 2);
        world.credit(&accounts[1], "0.10").await;
        // The first pays two fees. Of the second, which paid one of two a month ago, the other number goes; so does the
        // only number of the third. The free number costs nothing.
        world.on("2008-03-31T00:00:00Z");
        let before = world.fingerprint().await;
        let forecast = world.forecast().await;
        assert_eq!(world.fingerprint().await, before);
        let of = |sid: &AccountSid| {
            let found = forecast.accounts.iter().find(|account| account.account_sid == *sid).expect("an account");
            (found.charged, found.amount.cents(), found.suspended, found.activated, found.released)
        };
        let going = (0, 0, false, false, 1);
        let expected = [(2, 200, false, false, 0), going, going, (1, 0, false, false, 0)];
        assert_eq!(sids.each_ref().map(of), expected);
        assert_eq!(forecast.fees.len(), 2 + 3 + 2 + 1);
        assert_eq!(forecast.fees.iter().filter(|fee| fee.released).count(), 2 + 2);
        assert_eq!(forecast.total, world.bill().await);
    });
}

#[test]
fn what_a_run_has_to_do_is_counted_in_months() {
    test(async |world| {
        world.on("2008-01-31T10:00:00Z");
        holder(world, "50.00", 2).await;
        world.on("2008-04-30T10:00:00Z");
        let by = world.clock.now();
        assert_eq!(billing::count_due(&world.db, by).await.expect("a count"), 6);
        let mut done = 0;
        billing::bill(&world.db, &world.clock, by, TimeDelta::days(14), |more| done += more.looked_at)
            .await
            .expect("a run");
        assert_eq!((done, billing::count_due(&world.db, by).await.expect("a count")), (6, 0));
    });
}

#[test]
fn a_dry_run_foresees_who_pays_after_all() {
    test(async |world| {
        world.stock(4_158_670_000, 2).await;
        let account = world.account("5.50").await;
        for cents in [300, 100] {
            world.set_price(Kind::Local, None, Money::from_cents(cents)).await;
            world.server.buy(&account, &[]).await.assert_status(201);
            world.clock.advance(TimeDelta::days(1));
        }
        world.on("2008-05-01T12:00:00Z");
        assert_eq!(world.bill().await, short(0));
        world.on("2008-05-02T12:00:00Z");
        // Without the dear number, the balance covers the other one.
        world.server.release(&account, &held(world, &account).await[0]).await.assert_status(204);
        let (forecast, billed) = (world.forecast().await, world.bill().await);
        assert_eq!((forecast.total, billed.clone()), (billed, Billed { activated: 1, ..charged(1) }));
        assert!(forecast.accounts[0].activated && forecast.fees[0].charged);
    });
}

#[test]
fn a_dry_run_of_recycling_names_who_held_the_numbers_last() {
    test(async |world| {
        world.stock(4_158_670_000, 1).await;
        let [first, last] = [world.account("5.00").await, world.account("5.00").await];
        for account in [&first, &last] {
            let sid = world.server.buy(account, &[]).await.element("Sid");
            world.server.release(account, &sid).await.assert_status(204);
            world.clock.advance(TimeDelta::days(46));
            let (numbers, _) = world.recyclable().await;
            let told: Vec<_> =
                numbers.iter().map(|it| (it.account_sid.map(|sid| sid.to_string()), it.recycled)).collect();
            assert_eq!(told, [(Some(account.sid.clone()), 1)]);
            assert_eq!(world.recycle().await, 1);
        }
    });
}

/// Those that one transaction charges are next to each other in the order in which a forecast goes.
#[test]
fn a_run_charges_the_same_of_many_fees_as_was_forecast() {
    test(async |world| {
        world.stock(4_158_670_000, 1000).await;
        let (short, rich) = (large(world, 30_000).await, large(world, 90_000).await);
        world.on("2008-05-15T00:00:00Z");
        let fees = world.forecast().await.fees.into_iter();
        let mut foreseen: Vec<_> = fees.filter(|fee| fee.charged).map(|fee| fee.number_sid).collect();
        foreseen.sort();
        let billed = world.bill().await;
        let charged = "select tenancy_sid from ledger_entries where kind = 'monthly_fee' order by tenancy_sid";
        let charged: Vec<NumberSid> = sqlx::query_scalar(charged).fetch_all(&world.db).await.expect("Sids");
        assert_eq!((billed.charged, billed.suspended), (charged.len() as i64, 1));
        assert!(charged.len() > 500 && charged.len() < 900, "{}", charged.len());
        assert_eq!(charged, foreseen);
        assert_eq!((world.standing(&short).await, world.standing(&rich).await), (UNPAID, ACTIVE));
    });
}

#[test]
fn a_run_holds_an_account_only_while_it_is_charged() {
    test(async |world| {
        world.stock(4_158_670_000, 1000).await;
        for _ in 0..2 {
            large(world, 90_000).await;
        }
        world.on("2008-05-15T00:00:00Z");
        let mut open = world.db.begin().await.expect("a transaction");
        let last = "select from accounts order by sid desc limit 1 for update";
        sqlx::query(last).execute(&mut *open).await.expect("a lock");
        let charged =
            async || world.value::<i64>("select count(*) from ledger_entries where kind = 'monthly_fee'").await;
        let others = async {
            eventually("it waits", async || world.waiting().await == 1).await;
            // All of the other account's, also those that share a portion with the account that is held.
            assert_eq!(charged().await, 450);
            open.commit().await.expect("a commit");
        };
        let (billed, ()) = join(world.bill(), others).await;
        assert_eq!((billed.charged, charged().await), (900, 900));
    });
}

#[test]
fn unpaid_numbers_are_released_some_at_a_time() {
    test(async |world| {
        world.stock(4_158_670_000, 500).await;
        large(world, 0).await;
        world.on("2008-06-15T00:00:00Z");
        let mut open = world.db.begin().await.expect("a transaction");
        let last = "select from stock where tenancy_sid = (
            select sid from tenancies where price > 0 order by sid desc limit 1) for update";
        sqlx::query(last).execute(&mut *open).await.expect("a lock");
        let held = async || world.value::<i64>("select count(*) from tenancies where ended_at is null").await;
        let others = async {
            eventually("it waits", async || world.waiting().await == 1).await;
            assert_eq!(held().await, 151);
            open.commit().await.expect("a commit");
        };
        world.bill().await;
        world.on("2008-07-15T00:00:00Z");
        let (billed, ()) = join(world.bill(), others).await;
        assert_eq!((billed.released, held().await), (300, 150));
    });
}
