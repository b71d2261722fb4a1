//! The stock, as operators change it.

use chrono::TimeDelta;
use numberbank::error::Denied;
use numberbank::inventory::{self, Changed, Correction, Quarantine, Refused, Retirement, State};
use numberbank::numbers::biography;
use numberbank::values::phone::PhoneNumber;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{World, test};

const FIRST: i64 = 4_158_675_309;
const SECOND: i64 = 4_158_675_310;

fn numbers(digits: &[i64]) -> Vec<PhoneNumber> {
    digits.iter().map(|digits| PhoneNumber::new(*digits).expect("a number")).collect()
}

async fn states(world: &World) -> Vec<State> {
    sqlx::query_scalar("select state from stock order by phone_number").fetch_all(&world.db).await.expect("the stock")
}

#[test]
fn a_withdrawn_number_goes_back_to_where_it_was() {
    test(async |world| {
        world.stock(FIRST, 1).await;
        let account = world.account("5.00").await;
        let sid = world.server.buy(&account, &[]).await.element("Sid");
        world.server.delete(&account, &format!("/IncomingPhoneNumbers/{sid}")).await.assert_status(204);
        world.stock(SECOND, 1).await;

        let both = numbers(&[FIRST, SECOND]);
        assert_eq!(inventory::withdraw(&world.db, &world.clock, &both, None).await.expect("withdrawn").changed, 2);
        assert_eq!(states(world).await, [State::Withdrawn, State::Withdrawn]);
        assert_eq!(inventory::put_back(&world.db, &world.clock, &both, false).await.expect("put back").changed, 2);
        assert_eq!(states(world).await, [State::Quarantined, State::Available], "a quarantine is not cut short");
    });
}

#[test]
fn numbers_are_moved_together_or_not_at_all() {
    test(async |world| {
        world.stock(FIRST, 2).await;
        let account = world.account("5.00").await;
        let sold = world.server.buy(&account, &[]).await.element("PhoneNumber");
        let both = numbers(&[FIRST, SECOND]);
        let refused = inventory::withdraw(&world.db, &world.clock, &both, None).await.expect_err("one is in use");
        let sold = sold.parse().expect("a number");
        assert!(matches!(refused, Denied::Refused(Refused::CannotWithdraw(number, State::InUse)) if number == sold));
        let unknown = numbers(&[FIRST, SECOND, 4_158_675_311]);
        inventory::withdraw(&world.db, &world.clock, &unknown, None).await.expect_err("one is not in stock");
        let mut now = states(world).await;
        now.sort_by_key(|state| *state != State::Available);
        assert_eq!(now, [State::Available, State::InUse], "nothing was changed");
    });
}

/// The moves of a number: cause, note, and why it was retired.
async fn moves(world: &World, number: PhoneNumber) -> Vec<String> {
    let told = biography(&world.db, number).await.expect("a biography").moves;
    let told = told.iter().map(|made| format!("{:?} {:?} {:?}", made.cause, made.note, made.retirement));
    told.map(|line| line.replace("Some(", "").replace([')', '"'], "")).collect()
}

#[test]
fn numbers_that_are_ours_no_longer_come_back_by_force_only() {
    test(async |world| {
        world.stock(FIRST, 1).await;
        let account = world.account("5.00").await;
        let sid = world.server.buy(&account, &[]).await.element("Sid");
        let (one, both) = (numbers(&[FIRST]), numbers(&[FIRST, SECOND]));
        let (db, clock) = (&world.db, &world.clock);
        let held = inventory::retire(db, clock, &one, Retirement::PortedOut, None).await.expect_err("it is in use");
        assert!(matches!(held, Denied::Refused(Refused::CannotRetire(_, State::InUse))));
        world.server.release(&account, &sid).await.assert_status(204);
        world.stock(SECOND, 1).await;
        inventory::withdraw(db, clock, &numbers(&[SECOND]), Some("noise")).await.expect("a withdrawal");
        let done = inventory::retire(db, clock, &both, Retirement::PortedOut, Some("to Acme")).await.expect("retired");
        assert_eq!(done, Changed { changed: 2, already: 0 });
        let again =
            inventory::retire(db, clock, &both, Retirement::Mistake, Some("no")).await.expect("they are already");
        assert_eq!(again, Changed { changed: 0, already: 2 });
        assert_eq!(states(world).await, [State::Retired, State::Retired]);
        let told = biography(db, one[0]).await.expect("a biography");
        assert_eq!((told.since.retirement, told.since.back_on_sale), (Some(Retirement::PortedOut), None));
        assert_eq!(moves(world, one[0]).await, ["Sale None None", "Release None None", "Retire to Acme PortedOut"]);
        let summary = inventory::summary(db).await.expect("a summary");
        assert_eq!((summary.len(), summary[0].total, summary[0].retired), (1, 0, 2));

        world.clock.advance(TimeDelta::days(50));
        assert_eq!(world.recycle().await, 0);
        world.server.buy(&account, &[]).await.assert_refused(400, 21452);
        let plain = inventory::put_back(db, clock, &both, false).await.expect_err("they are retired");
        assert!(matches!(plain, Denied::Refused(Refused::CannotReturn(_, State::Retired))));
        let withdrawn = inventory::withdraw(db, clock, &both, None).await.expect_err("they are retired");
        assert!(matches!(withdrawn, Denied::Refused(Refused::CannotWithdraw(_, State::Retired))));
        let back = inventory::put_back(db, clock, &both, true).await.expect("they come back");
        assert_eq!(back, Changed { changed: 2, already: 0 });
        assert_eq!(states(world).await, [State::Quarantined, State::Available]);
        assert_eq!(biography(db, one[0]).await.expect("a biography").since.retirement, None);
        let expected = ["Withdraw noise None", "Retire to Acme PortedOut", "Return None None"];
        assert_eq!(moves(world, both[1]).await, expected);
        assert_eq!(world.recycle().await, 1);
    });
}

#[test]
fn what_is_so_already_is_counted_and_left_alone() {
    test(async |world| {
        world.stock(FIRST, 2).await;
        let (one, both) = (numbers(&[FIRST]), numbers(&[FIRST, SECOND, FIRST]));
        let (db, clock) = (&world.db, &world.clock);
        inventory::withdraw(db, clock, &one, None).await.expect("a withdrawal");
        let withdrawn = inventory::withdraw(db, clock, &both, None).await.expect("a withdrawal");
        assert_eq!(withdrawn, Changed { changed: 1, already: 1 });
        inventory::put_back(db, clock, &one, false).await.expect("a return");
        let returned = inventory::put_back(db, clock, &both, false).await.expect("a return");
        assert_eq!(returned, Changed { changed: 1, already: 1 });
        let many: Vec<_> = (0..=100_000).map(|at| PhoneNumber::new(2_128_670_000 + at).expect("a number")).collect();
        let refused = inventory::withdraw(db, clock, &many, None).await.expect_err("too many");
        assert!(matches!(refused, Denied::Refused(Refused::TooManyMoved(100_001))));
    });
}

#[test]
fn what_is_known_of_numbers_is_corrected_whatever_their_state() {
    test(async |world| {
        world.stock(FIRST, 2).await;
        let account = world.account("5.00").await;
        world.server.buy(&account, &[]).await.assert_status(201);
        let (one, both) = (numbers(&[FIRST]), numbers(&[FIRST, SECOND]));
        let known = async || {
            let known = "select string_agg(concat_ws(' ', provider, provider_cost, note), ', ' order by phone_number) from stock";
            world.value::<String>(known).await
        };
        let set = async |numbers: &[PhoneNumber], correction: Correction| {
            let done = inventory::set(&world.db, numbers, &correction).await.expect("a correction");
            (done.changed, done.already)
        };
        let text = |text: &str| Some(text.to_owned());
        let cost = |text: &str| Some(Some(text.parse().expect("a cost")));
        let all = Correction { provider: text("Acme"), provider_cost: cost("0.35"), note: text("new") };
        assert_eq!(set(&one, all.clone()).await, (1, 0));
        assert_eq!(set(&both, all).await, (1, 1));
        assert_eq!(known().await, "Acme 3500 new, Acme 3500 new");
        assert_eq!(set(&one, Correction { provider_cost: cost("0"), ..Correction::default() }).await, (1, 0));
        assert_eq!(set(&one, Correction { note: text(""), ..Correction::default() }).await, (1, 0));
        let nothing = Correction { provider: text(""), provider_cost: Some(None), note: None };
        assert_eq!(set(&numbers(&[SECOND]), nothing).await, (1, 0));
        assert_eq!(known().await, "Acme 0, new");
        let unknown = inventory::set(&world.db, &numbers(&[FIRST, 2_128_670_000]), &Correction::default()).await;
        assert!(matches!(unknown, Err(Denied::Refused(Refused::NotInStock(_)))));
    });
}

#[test]
fn how_long_quarantines_are_is_kept_by_each_run_that_has_other_lengths() {
    test(async |world| {
        world.stock(FIRST, 1).await;
        let account = world.account("5.00").await;
        let sid = world.server.buy(&account, &[]).await.element("Sid");
        world.server.release(&account, &sid).await.assert_status(204);
        let released = world.clock.now();
        let back = async || biography(&world.db, numbers(&[FIRST])[0]).await.expect("a biography").since.back_on_sale;
        assert_eq!(back().await, Some(released + TimeDelta::days(45)));
        let lengths = Quarantine { local: TimeDelta::days(30), tollfree: TimeDelta::days(60) };
        let writes = "select string_agg(xmin::text || days, ' ' order by kind) from quarantine_lengths";
        let mut before = world.value::<String>(writes).await;
        for changes in [true, false] {
            let now = world.clock.now();
            inventory::recycle(&world.db, &world.clock, now, lengths).await.expect("a run");
            let after = world.value::<String>(writes).await;
            assert_eq!(after != before, changes, "{before} {after}");
            before = after;
        }
        assert_eq!(back().await, Some(released + TimeDelta::days(30)));
        world.recycle().await;
        assert_eq!(back().await, Some(released + TimeDelta::days(45)));
    });
}

/// With statistics of a sold-out stock, PostgreSQL would walk a million new numbers for each purchase.
#[test]
fn the_planner_knows_of_many_numbers_that_were_added() {
    test(async |world| {
        world.stock(FIRST, 30_000).await;
        let known = "select reltuples::bigint from pg_class where relname = 'stock'";
        assert_eq!(world.value::<i64>(known).await, 30_000);
    });
}

/// Runs a statement, which must succeed.
async fn run(world: &World, statement: &'static str) {
    world.db.execute(statement).await.expect(statement);
}

/// Before N11 exchanges were refused, such a number could come into stock, and be sold.
#[test]
fn a_service_number_that_is_in_stock_already_lives_on() {
    test(async |world| {
        run(world, "alter table stock disable trigger stock_no_service_exchange").await;
        run(
            world,
            "insert into stock (phone_number, kind, state_since, added_at)
            values (4159110000, 'local', now(), now())",
        )
        .await;
        run(world, "alter table stock enable trigger stock_no_service_exchange").await;
        let account = world.account("5.00").await;
        let sid = world.server.buy(&account, &[]).await.assert_status(201).element("Sid");
        for spelling in ["4159110000", "%2B1+%28415%29+911-0000", "tel:%2B14159110000"] {
            let found = world.server.get(&account, &format!("/IncomingPhoneNumbers?PhoneNumber={spelling}")).await;
            assert_eq!(found.assert_status(200).element("Sid"), sid, "{spelling}");
        }
        world.server.release(&account, &sid).await.assert_status(204);
        let number = ["415-911-0000".parse().expect("a number that has a name")];
        assert_eq!(inventory::withdraw(&world.db, &world.clock, &number, None).await.expect("withdrawn").changed, 1);
        let added = inventory::add(&world.db, &world.clock, &[4_159_109_999..=4_159_120_000], |_| {}).await;
        let added = added.expect("the good ones");
        assert_eq!((added.added, added.already_known, added.rejected), (2, 0, 10_000));
    });
}

#[test]
fn the_migration_of_costs_loses_none() {
    test(async |world| {
        let migration = include_str!("../../migrations/V14__imports.sql");
        let (of_costs, _) =
            migration.split_once("-- The import that the number came in with").expect("the part on costs");
        let mut transaction = world.db.begin().await.expect("a transaction");
        let old = "create schema old; set local search_path to old;
            create table stock (phone_number bigint, monthly_cost bigint constraint stock_monthly_cost_not_negative
                check (monthly_cost >= 0));
            insert into stock values (1, 85), (2, null), (3, 0), (4, 100000000000)";
        sqlx::raw_sql(old).execute(&mut *transaction).await.expect("stock as it was");
        sqlx::raw_sql(AssertSqlSafe(of_costs)).execute(&mut *transaction).await.expect("migrated");
        let costs = sqlx::query_scalar::<_, Option<i64>>("select provider_cost from stock order by phone_number");
        let costs = costs.fetch_all(&mut *transaction).await.expect("costs");
        assert_eq!(costs, [Some(8_500), None, Some(0), Some(10_000_000_000_000)]);
    });
}
