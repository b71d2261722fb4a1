//! The stock, as operators change it.

use numberbank::error::Denied;
use numberbank::inventory::{self, Filter, Refused, State};
use numberbank::values::phone::PhoneNumber;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{World, test};

const FIRST: i64 = 4_158_675_309;
const SECOND: i64 = 4_158_675_310;

fn numbers(digits: &[i64]) -> Vec<PhoneNumber> {
    digits.iter().map(|digits| PhoneNumber::new(*digits).expect("a number")).collect()
}

async fn states(world: &World) -> Vec<State> {
    let stock = inventory::list(&world.db, Filter::default(), None, 10).await.expect("the stock");
    stock.iter().map(|stocked| stocked.state).collect()
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
        assert_eq!(inventory::withdraw(&world.db, &world.clock, &both).await.expect("withdrawn"), 2);
        assert_eq!(states(world).await, [State::Withdrawn, State::Withdrawn]);
        assert_eq!(inventory::put_back(&world.db, &world.clock, &both).await.expect("put back"), 2);
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
        let refused = inventory::withdraw(&world.db, &world.clock, &both).await.expect_err("one is in use");
        let sold = sold.parse().expect("a number");
        assert!(matches!(refused, Denied::Refused(Refused::CannotWithdraw(number, State::InUse)) if number == sold));
        let unknown = numbers(&[FIRST, SECOND, 4_158_675_311]);
        inventory::withdraw(&world.db, &world.clock, &unknown).await.expect_err("one is not in stock");
        let mut now = states(world).await;
        now.sort_by_key(|state| *state != State::Available);
        assert_eq!(now, [State::Available, State::InUse], "nothing was changed");
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
        assert_eq!(inventory::withdraw(&world.db, &world.clock, &number).await.expect("withdrawn"), 1);
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
