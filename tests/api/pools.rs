//! The lifetime of pooled connections.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, join_all, select, try_join_all};
use numberbank::db::{Db, Terms};
use numberbank::values::sid::AccountSid;
use sqlx::postgres::PgPoolOptions;
use tokio::time::timeout;

use crate::support::{World, eventually, test};

const LONG: Duration = Duration::from_hours(1);

fn pool(world: &World, lifetime: Duration) -> Db {
    let options = world.options.clone().application_name("pool");
    Db::new(PgPoolOptions::new(), options, Terms { connections: 4, waiting: 100, must_write: true, lifetime })
}

/// The server processes that many statements at once have used, each for a moment.
async fn met(db: &Db) -> BTreeSet<i32> {
    let one = || sqlx::query_scalar("select pg_backend_pid() from pg_sleep(0.05)").fetch_one(db);
    try_join_all((0..16).map(|_| one())).await.expect("they are answered").into_iter().collect()
}

async fn open(world: &World) -> i64 {
    let count =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'pool'";
    world.value(count).await
}

#[test]
fn a_connection_has_a_greatest_age() {
    test(async |world| {
        let (short, long) = (pool(world, Duration::from_millis(500)), pool(world, LONG));
        let (first, kept) = (met(&short).await, met(&long).await);
        eventually("none of the first is left", async || met(&short).await.is_disjoint(&first)).await;
        assert_eq!(met(&long).await, kept);
        short.close().await;
        long.close().await;
    });
}

/// As when a client hangs up: its account may not come to more connections by that.
#[test]
fn a_transaction_that_is_dropped_keeps_its_share_until_it_has_ended() {
    test(async |world| {
        let (db, account) = (pool(world, LONG), AccountSid::random());
        world.stock(4_158_670_000, 1).await;
        let lock = "select from stock for update";
        let mut holder = world.db.begin().await.expect("a transaction");
        sqlx::query(lock).execute(&mut *holder).await.expect("a lock");
        let wait = async || {
            let mut transaction = db.of(account, true).expect("a share").begin().await.expect("a transaction");
            sqlx::query(lock).execute(&mut *transaction).await.map(drop)
        };
        let first = pin!(eventually("it waits", async || world.waiting().await == 1));
        assert!(matches!(select(first, pin!(wait())).await, Either::Left(_)), "it is dropped");
        for _ in 0..3 {
            timeout(Duration::from_millis(200), wait()).await.expect_err("it is dropped");
            assert_eq!(world.waiting().await, 1, "a share is a quarter of four connections");
        }
        holder.rollback().await.expect("a rollback");
        wait().await.expect("the share is free again");
        db.close().await;
    });
}

#[test]
fn a_connection_that_is_not_to_the_primary_goes_and_the_idle_ones_with_it() {
    test(async |world| {
        let db = pool(world, LONG);
        // The states of a standby, of a server that shuts down, and of a pooler that lost its server. The last one is
        // an ordinary refusal.
        for (state, is_kept) in [("25006", false), ("57P01", false), ("08006", false), ("22012", true)] {
            let before = met(&db).await;
            assert_eq!(before.len(), 4);
            let raise = format!("do $$ begin raise exception using errcode = '{state}'; end $$");
            sqlx::raw_sql(sqlx::AssertSqlSafe(raise)).execute(&db).await.expect_err("an error");
            if is_kept {
                assert_eq!(met(&db).await, before, "{state}");
            } else {
                eventually("all are closed", async || open(world).await == 0).await;
            }
        }
        db.close().await;
    });
}

#[test]
fn a_new_connection_is_not_used_where_its_server_takes_no_writes() {
    test(async |world| {
        let name: String = world.value("select current_database()").await;
        let set = async |to: &str| {
            let statement = format!("alter database {name} set default_transaction_read_only = {to}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&world.db).await.expect("a setting");
        };
        let db = pool(world, LONG);
        set("on").await;
        let refused = join_all((0..8).map(|_| sqlx::query("select 1").execute(&db))).await;
        assert!(refused.iter().all(Result::is_err), "nothing is read there");
        set("off").await;
        assert_eq!(met(&db).await.len(), 4);
        db.close().await;
    });
}
