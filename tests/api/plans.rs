//! What requests ask of the database is looked up in indexes, also by plans that were made while the tables were empty.

use numberbank::accounts::Holder;
use numberbank::db::replica::Source;
use numberbank::db::{self, Db};
use numberbank::numbers::lists::{Filter, Lists};
use numberbank::numbers::settings::Changes;
use numberbank::numbers::{Lookups, Settings, Updates};
use numberbank::purchases::{self, IdempotencyKey, Order, Purchase, PurchaseQueues, Wanted};
use numberbank::releases::Releases;
use numberbank::values::chance::Chance;
use numberbank::values::page::{Cursor, Page};
use numberbank::values::phone::{Kind, PhoneNumber};
use numberbank::values::sid::AccountSid;
use sqlx::{AssertSqlSafe, Row};

use crate::support::{World, test};

/// The kept plans of the statements that this connection has prepared.
async fn plans(db: &Db) -> Vec<(String, String)> {
    let prepared = "select name, statement, cardinality(parameter_types) from pg_prepared_statements order by name";
    let mut plans = Vec::new();
    for row in sqlx::raw_sql(prepared).fetch_all(db).await.expect("the statements") {
        let (name, statement, count): (String, String, i32) = (row.get(0), row.get(1), row.get(2));
        let values = vec!["null"; count.unsigned_abs() as usize].join(", ");
        let values = if count == 0 { String::new() } else { format!("({values})") };
        let ask = format!("explain (verbose, costs off) execute {name} {values}");
        let lines = sqlx::raw_sql(AssertSqlSafe(ask)).fetch_all(db).await.expect("a plan");
        let lines: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        plans.push((statement, lines.join("\n")));
    }
    plans
}

/// Buys, finds, changes and releases a number of an account, by the use cases of a request.
async fn use_a_number(world: &World, db: &Db, account: AccountSid, wanted: Wanted) {
    let queues = PurchaseQueues::new(1, 8);
    let key = Some(IdempotencyKey { text: "once".to_owned(), request: vec![1] });
    let order = Order { wanted, settings: Settings::default(), key };
    let bought = purchases::buy(&queues, db, &world.clock, &Chance::System, Holder::main(account), order.into()).await;
    let Ok(Purchase::Made(number)) = bought else { panic!("{bought:?}") };
    let found = Lookups::new(8).find(Source::Primary(db), account, number.sid).await;
    assert_eq!(found.expect("it is held").phone_number, number.phone_number);
    let changed = Updates::new(&world.clock, 8).update(db, account, number.sid, Changes::default()).await;
    changed.expect("an update");
    Releases::new(&world.clock, 8).release(db, account, number.sid).await.expect("a release");
}

#[test]
fn no_request_reads_a_whole_table_though_its_tables_were_empty_when_it_was_planned() {
    test(async |world| {
        // Of a table that is known to be empty, the planner prefers to read all. So it is with keys after a quiet day.
        sqlx::raw_sql("vacuum analyze").execute(&world.db).await.expect("statistics");
        world.stock(4_158_670_000, 2).await;
        let accounts = [world.account("5.00").await, world.account("5.00").await];
        let [one, other] = accounts.map(|account| account.sid.parse().expect("a Sid"));
        let db = db::serving(&world.options, 1, 8);
        let number = PhoneNumber::new(4_158_670_001).expect("a number");
        use_a_number(world, &db, one, Wanted::This { number, price: None }).await;
        use_a_number(world, &db, other, Wanted::Next { kind: Kind::Local, area_code: None }).await;
        let page = Page { number: 0, size: 50, cursor: Cursor::ByNumber };
        let held = Lists::new(8).page(Source::Primary(&db), one, &Filter::default(), page).await.expect("a page");
        assert_eq!(held.total, 0);
        let plans = plans(&db).await;
        assert!(plans.iter().filter(|(statement, _)| statement.contains("idempotency_keys")).count() >= 2);
        assert!(plans.len() >= 5, "{plans:#?}");
        let reads_all = |plan: &str| plan.contains("Seq Scan") || plan.contains("hashed SubPlan");
        for (statement, plan) in plans {
            assert!(!reads_all(&plan), "{statement}\n\n{plan}");
        }
        db.close().await;
    });
}
