//! Instances whose clocks differ from one another and from the database's.

use chrono::{DateTime, TimeDelta, Utc};
use numberbank::db;
use numberbank::db::violated;
use numberbank::error::Denied;
use numberbank::inventory::{self, Quarantine};
use numberbank::values::clock::Clock;
use numberbank::values::phone::PhoneNumber;
use numberbank::{accounts, billing, jobs, numbers, purchases, releases};

use crate::support::{Account, Answer, Server, World, beginning, test};

const NO_QUARANTINE: Quarantine = Quarantine { local: TimeDelta::zero(), tollfree: TimeDelta::zero() };

/// A second instance, whose clock is an hour behind.
struct Late {
    clock: Clock,
    server: Server,
}

impl Late {
    fn new(world: &World) -> Self {
        let clock = Clock::frozen(world.clock.now() - TimeDelta::hours(1));
        Self { server: Server::start(&world.options, &clock), clock }
    }
}

fn rfc2822(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

fn words_of<T, E: std::fmt::Display>(done: Result<T, E>) -> String {
    done.err().expect("a refusal").to_string()
}

async fn restore(world: &World, clock: &Clock, sid: &str) -> Result<(), Denied<releases::Refused>> {
    releases::restore(&world.db, clock, sid.parse().expect("a Sid")).await.map(drop)
}

/// A number that one account bought and released, and then another one through the late instance.
async fn sold_twice(world: &World, late: &Late) -> ([Account; 2], [Answer; 2]) {
    world.stock(4_158_670_000, 1).await;
    let accounts = [world.account("5.00").await, world.account("5.00").await];
    let first = world.server.buy(&accounts[0], &[]).await;
    world.server.release(&accounts[0], &first.assert_status(201).element("Sid")).await.assert_status(204);
    let now = world.clock.now();
    assert_eq!(inventory::recycle(&world.db, &world.clock, now, NO_QUARANTINE).await.expect("a run"), 1);
    let second = late.server.buy(&accounts[1], &[]).await;
    second.assert_status(201);
    (accounts, [first, second])
}

#[test]
fn a_tenancy_begins_no_earlier_than_the_last_move_and_the_answer_says_so() {
    test(async |world| {
        let late = Late::new(world);
        let (accounts, [_, second]) = sold_twice(world, &late).await;
        assert_eq!(second.element("DateCreated"), rfc2822(beginning()));
        let path = format!("/IncomingPhoneNumbers/{}", second.element("Sid"));
        assert_eq!(world.server.get(&accounts[1], &path).await.body, second.body);
        let entry = "select at from ledger_entries where kind = 'purchase' order by id desc limit 1";
        assert_eq!(world.value::<DateTime<Utc>>(entry).await, beginning());
        let updated = late.server.post(&accounts[1], &path, &[("Url", ""), ("FriendlyName", "Mine")]).await;
        assert_eq!(updated.assert_status(200).element("DateUpdated"), rfc2822(beginning()));
        late.server.delete(&accounts[1], &path).await.assert_status(204);
        let moved = "select bool_and(at = $$2008-04-01 18:26:32Z$$) from stock_moves";
        assert!(world.value::<bool>(moved).await);
        let ended = "select bool_and(ended_at >= started_at and ended_at = $$2008-04-01 18:26:32Z$$) from tenancies";
        assert!(world.value::<bool>(ended).await);
        late.server.stop().await;
    });
}

#[test]
fn a_number_goes_back_to_its_last_holder_whatever_the_clocks_say() {
    test(async |world| {
        let late = Late::new(world);
        let (accounts, answers) = sold_twice(world, &late).await;
        let sids = answers.map(|answer| answer.element("Sid"));
        // As an instance with a late clock left it, before moves had ids.
        let back = "update tenancies set started_at = started_at - interval '1 hour' where ended_at is null";
        sqlx::raw_sql(back).execute(&world.db).await.expect("the second sale is dated back");
        late.server.release(&accounts[1], &sids[1]).await.assert_status(204);
        assert!(restore(world, &late.clock, &sids[0]).await.is_err());
        restore(world, &late.clock, &sids[1]).await.expect("the last holder has it back");
        let number = PhoneNumber::new(4_158_670_000).expect("a number");
        let told = numbers::biography(&world.db, number).await.expect("a biography");
        let causes: Vec<_> = told.moves.iter().map(|made| format!("{:?}", made.cause)).collect();
        assert_eq!(causes, ["Sale", "Release", "Recycle", "Sale", "Release", "Restore"]);
        let history: Vec<_> = told.history.iter().map(|tenancy| tenancy.sid.to_string()).collect();
        assert_eq!(history, [&sids[..], &sids[1..]].concat());
        assert_eq!(told.holder.map(|sid| sid.to_string()), Some(accounts[1].sid.clone()));
        let on = "update tenancies set started_at = started_at + interval '1 hour' where ended_at is null";
        sqlx::raw_sql(on).execute(&world.db).await.expect("mended");
        late.server.stop().await;
    });
}

#[test]
fn no_move_is_dated_back() {
    test(async |world| {
        let late = Late::new(world);
        world.stock(4_158_670_000, 1).await;
        let numbers = [PhoneNumber::new(4_158_670_000).expect("a number")];
        inventory::withdraw(&world.db, &late.clock, &numbers, None).await.expect("a withdrawal");
        inventory::put_back(&world.db, &late.clock, &numbers, false).await.expect("a return");
        assert!(world.value::<bool>("select bool_and(at = $$2008-04-01 18:26:32Z$$) from stock_moves").await);
        let back =
            "update stock set state = 'withdrawn', moved_by = 'withdraw', state_since = state_since - interval '1 s'";
        let error = sqlx::raw_sql(back).execute(&world.db).await.expect_err(back);
        assert_eq!(violated(&error), Some("stock_moves_forward"), "{error}");
        late.server.stop().await;
    });
}

/// A watched clock that is wrong by this many seconds, after a comparison.
async fn compared(world: &World, seconds: i64) -> Clock {
    let clock = Clock::wrong_by(TimeDelta::seconds(seconds));
    db::clock::compare(&clock, &world.db).await.expect("the database tells its time");
    clock
}

#[test]
fn a_clock_that_is_wrong_by_more_than_thirty_seconds_sells_and_bills_nothing() {
    test(async |world| {
        world.stock(4_158_670_000, 3).await;
        let account = world.account("5.00").await;
        let held = world.server.buy(&account, &[]).await.assert_status(201).element("Sid");
        let path = format!("/IncomingPhoneNumbers/{held}");
        let number = [PhoneNumber::new(4_158_670_000).expect("a number")];
        let before = world.fingerprint().await;
        for seconds in [-86_400, -45, 45, 86_400] {
            let clock = compared(world, seconds).await;
            let server = Server::start(&world.options, &clock);
            let refused = server.buy_once(&account, "once", &[]).await;
            refused.assert_refused(503, 20503);
            assert!(refused.header("Retry-After").parse::<u32>().is_ok_and(|seconds| seconds > 0));
            assert!(!refused.body.contains("clock"), "{}", refused.body);
            server.get(&account, "/IncomingPhoneNumbers").await.assert_status(200);
            let now = clock.now();
            let sides = [
                words_of(billing::bill(&world.db, &clock, now, TimeDelta::days(14), |_| {}).await),
                words_of(inventory::recycle(&world.db, &clock, now, NO_QUARANTINE).await),
                words_of(purchases::forget_old_keys(&world.db, &clock).await),
                words_of(restore(world, &clock, &held).await),
                words_of(inventory::add(&world.db, &clock, &[4_158_670_020..=4_158_670_029], |_| {}).await),
                words_of(inventory::withdraw(&world.db, &clock, &number, None).await),
                words_of(inventory::put_back(&world.db, &clock, &number, false).await),
            ];
            let side = if seconds < 0 { "behind" } else { "ahead of" };
            for told in sides {
                assert!(told.contains("this machine's clock") && told.contains(side), "{told}");
            }
            let (database, quarantine) = (world.options.clone(), NO_QUARANTINE);
            let every = std::time::Duration::from_secs(1);
            let jobs = jobs::JobOptions { database, clock, every, quarantine, grace: TimeDelta::days(14) };
            assert!(jobs::run(&jobs).await.is_err());
            server.stop().await;
        }
        assert_eq!(world.fingerprint().await, before);
        // Everything else still works: a release is never dated before the sale.
        let late = Server::start(&world.options, &compared(world, -45).await);
        late.post(&account, &path, &[("Url", ""), ("FriendlyName", "Mine")]).await.assert_status(200);
        late.release(&account, &held).await.assert_status(204);
        late.stop().await;
    });
}

#[test]
fn a_clock_that_is_a_little_wrong_sells() {
    test(async |world| {
        world.stock(4_158_670_000, 3).await;
        let account = world.account("5.00").await;
        for seconds in [-15, 0, 15] {
            let server = Server::start(&world.options, &compared(world, seconds).await);
            server.buy(&account, &[]).await.assert_status(201);
            server.stop().await;
        }
    });
}

/// Between two comparisons, the clock is checked against the monotonic clock.
#[test]
fn a_clock_that_is_set_wrong_stops_selling_at_once_and_set_right_goes_on() {
    test(async |world| {
        world.stock(4_158_670_000, 3).await;
        let account = world.account("5.00").await;
        let clock = compared(world, 0).await;
        let server = Server::start(&world.options, &clock);
        server.buy(&account, &[]).await.assert_status(201);
        clock.advance(TimeDelta::seconds(45));
        server.buy(&account, &[]).await.assert_refused(503, 20503);
        clock.advance(TimeDelta::seconds(-90));
        server.buy(&account, &[]).await.assert_refused(503, 20503);
        clock.advance(TimeDelta::seconds(45));
        server.buy(&account, &[]).await.assert_status(201);
        server.stop().await;
    });
}

#[test]
fn an_event_has_the_time_of_its_action_and_not_of_the_accounts_last_change() {
    test(async |world| {
        let account = world.account("0.00").await;
        let sid = account.sid.parse().expect("a Sid");
        let ahead = Clock::frozen(world.clock.now() + TimeDelta::hours(1));
        accounts::suspend(&world.db, &ahead, sid, None).await.expect("a suspension");
        accounts::activate(&world.db, &world.clock, sid, None).await.expect("an activation");
        let events = accounts::events(&world.db, sid).await.expect("the events");
        let times: Vec<_> = events.iter().map(|event| event.at).collect();
        assert_eq!(times, [ahead.now(), world.clock.now()]);
    });
}
