//! How much PostgreSQL reads for each operation: a few rows, however large the tables are.

use chrono::TimeDelta;
use numberbank::db::{self, Db};
use numberbank::reporting::{self, Condition, Form, Limits, View};
use numberbank::values::phone::PhoneNumber;
use numberbank::{billing, inventory, numbers};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

use crate::support::{Account, Server, World, eventually, order, test, test_without_audit};

/// The number of rows of each kind.
const MANY: u32 = 20_000;

/// The most rows that may be read: far more than are needed, and far fewer than there are.
const FEW: i64 = 1_000;

/// A number that is sold, and the first of those that were held before.
const SOLD: i64 = 4_152_000_001;
const HELD_BEFORE: i64 = 2_128_670_001;

/// Makes many accounts, numbers on sale, in quarantine and in use, and ended tenancies. One of each kind is what the
/// operations look for.
async fn many(world: &World) -> Account {
    let account = world.large_account(MANY, "Everywhere").await;
    let db = db::for_command(&world.options);
    for range in [HELD_BEFORE..=HELD_BEFORE + i64::from(MANY), 3_058_670_000..=3_058_670_009] {
        inventory::add(&db, &world.clock, &[range], |_| {}).await.expect("stock");
    }
    let statements = format!(
        "set session_replication_role = replica;
        alter table stock set (autovacuum_enabled = off);
        alter table tenancies set (autovacuum_enabled = off);
        alter table accounts set (autovacuum_enabled = off);
        alter table account_sums set (autovacuum_enabled = off);
        alter table ledger_entries set (autovacuum_enabled = off);
        insert into ledger_entries (account_sid, at, kind, amount, balance_after)
            select '{sid}', timestamptz '2007-01-01' + n * interval '1 minute', 'credit', 100, 100
            from generate_series(1, {MANY}) as n;
        insert into accounts (sid, name, credential, token_digest, created_at, updated_at)
            select gen_random_uuid(), 'Another', gen_random_uuid(), sha256('x'), now(), now()
            from generate_series(1, {MANY});
        insert into account_sums (account_sid, is_main)
            select sid, true from accounts where name = 'Another';
        insert into stock (phone_number, kind, state, state_since, quarantined_at, added_at)
            select 9042000000 + n, 'local', 'quarantined', since, since, '2008-01-01'
            from generate_series(1, {MANY}) as n, lateral (values (case n when 1 then timestamptz '2008-01-01'
                else '2008-03-31' end)) as quarantine (since);
        insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, due_on, ended_at)
            select gen_random_uuid(), (select sid from accounts where name = 'Another' limit 1), phone_number, 'local', 100,
                '2007-01-01', '2007-02-01', '2007-02-01', '2007-02-01' from stock where area_code = 212;
        update tenancies set friendly_name = 'Rare', due_on = '2008-04-01' where phone_number = {SOLD};
        update tenancies set account_sid = '{sid}' where phone_number = {HELD_BEFORE} and ended_at is not null;
        reset session_replication_role;
        vacuum analyze stock; vacuum analyze tenancies; vacuum analyze accounts; vacuum analyze account_sums;
        vacuum analyze ledger_entries;
        select brin_summarize_new_values('ledger_entries_at')",
        sid = &account.sid[2..]
    );
    let mut connection = PgConnection::connect_with(&world.options).await.expect("a connection");
    for statement in statements.split(';') {
        raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect("many");
    }
    connection.close().await.expect("it ends");
    db.close().await;
    account
}

/// The number of connections. PostgreSQL surely has counted what they read once they are closed.
async fn connections(world: &World) -> i64 {
    world.value("select count(*) from pg_stat_activity where datname = current_database()").await
}

/// The number of entries of tables and indexes that were read.
async fn read(world: &World) -> i64 {
    let statement = "select ((select sum(seq_tup_read) from pg_stat_user_tables)
        + (select sum(idx_tup_read) from pg_stat_user_indexes))::bigint";
    world.value(statement).await
}

/// Does the work on connections of its own, and fails if they read a lot.
async fn reads_few(world: &World, what: &str, work: impl AsyncFnOnce(&Server, &Db)) {
    let (others, before) = (connections(world).await, read(world).await);
    let (server, db) = (world.another_server(), db::for_jobs(&world.options));
    work(&server, &db).await;
    server.stop().await;
    db.close().await;
    eventually("they hang up", async || connections(world).await <= others).await;
    eventually("it is counted", async || read(world).await > before).await;
    let read = read(world).await - before;
    assert!(read < FEW, "{what} read {read} rows and entries");
}

#[test]
fn nothing_reads_more_than_it_needs() {
    test_without_audit(async |world| {
        let others = connections(world).await;
        let account = &many(world).await;
        eventually("those who made them hang up", async || connections(world).await <= others).await;
        let clock = &world.clock;
        for (form, number) in [(&[("AreaCode", "305")][..], "305"), (&[], "")] {
            reads_few(world, "a purchase", async |server, _| {
                let bought = server.buy(account, form).await;
                assert!(bought.assert_status(201).element("PhoneNumber").starts_with(number));
            })
            .await;
        }
        for (list, total) in [("?PageSize=50", MANY + 2), ("?FriendlyName=Rare", 1), ("?PhoneNumber=4152000001", 1)] {
            reads_few(world, list, async |server, _| {
                let page = server.get(account, &format!("/IncomingPhoneNumbers{list}")).await;
                assert_eq!(page.assert_status(200).attribute("total"), total.to_string());
            })
            .await;
        }
        reads_few(world, "the history of a number", async |_, db| {
            let number = PhoneNumber::new(HELD_BEFORE).expect("a number");
            numbers::biography(db, number).await.expect("a biography");
        })
        .await;
        reads_few(world, "a run of the fees", async |_, db| {
            let billed = billing::bill(db, clock, clock.now(), TimeDelta::days(14), |_| {}).await.expect("a run");
            assert_eq!(billed.charged, 1);
        })
        .await;
        reads_few(world, "a recycling", async |_, db| {
            let quarantine = inventory::Quarantine { local: TimeDelta::days(45), tollfree: TimeDelta::days(45) };
            let recycled = inventory::recycle(db, clock, clock.now(), quarantine).await.expect("a run");
            assert_eq!(recycled, 1);
        })
        .await;
        for report in
            ["accounts where spent_this_month >= 0 and sid =", "tenancies where ended_at is not null and account_sid ="]
        {
            reads_few(world, report, async |_, db| {
                let statement = format!("select count(*) from reporting.{report} '{}'", account.sid);
                let found = sqlx::query_scalar::<_, i64>(AssertSqlSafe(statement)).fetch_one(db).await;
                assert_eq!(found.expect("a report"), 1);
            })
            .await;
        }
        come_back(world).await;
        for state in ["withdrawn", "quarantined", "in_use"] {
            reads_few(world, state, async |_, db| {
                let limits = Limits { rows: Some(5), ..Limits::default() };
                let listed = View::INVENTORY.limited(limits).expect("a report").and(Condition::InState(state));
                let columns = reporting::columns(db, View::INVENTORY).await.expect("columns");
                let mut lines = 0;
                let take = |_: &[u8]| -> numberbank::error::Result<()> {
                    lines += 1;
                    Ok(())
                };
                reporting::rows(db, &listed, &columns, Form::Csv, take).await.expect("a report");
                assert_eq!(lines, 2, "the header and a number that is {state}");
            })
            .await;
        }
    });
}

/// All numbers of each state but one came on sale since the statistics were made, which tell of many.
async fn come_back(world: &World) {
    let others = connections(world).await;
    let mut connection = PgConnection::connect_with(&world.options).await.expect("a connection");
    for statement in [
        "set session_replication_role = replica",
        "update stock set state = 'withdrawn' where state = 'available'",
        "analyze stock",
        "update stock set state = 'available', tenancy_sid = null, quarantined_at = null
            where phone_number not in (select min(phone_number) from stock group by state)",
        "update tenancies set ended_at = now()
            where ended_at is null and phone_number not in (select phone_number from stock where state = 'in_use')",
        "vacuum stock",
        "vacuum tenancies",
    ] {
        raw_sql(statement).execute(&mut connection).await.expect("they come back");
    }
    connection.close().await.expect("it ends");
    eventually("who did it hangs up", async || connections(world).await <= others).await;
}

/// Changes an account's sums many times, each in a transaction of its own.
async fn change_sums(world: &World, account: &Account) {
    let others = connections(world).await;
    let mut connection = PgConnection::connect_with(&world.options).await.expect("a connection");
    let changes = format!(
        "do $$ begin
            for n in 1..{MANY} loop
                update account_sums set version = version + 1
                where account_sid = '{sid}' and version >= (select version from sums_of('{sid}'));
                commit;
            end loop;
        end $$",
        sid = &account.sid[2..]
    );
    raw_sql(AssertSqlSafe(changes)).execute(&mut connection).await.expect("many changes");
    connection.close().await.expect("it ends");
    eventually("who changed them hangs up", async || connections(world).await <= others).await;
}

/// While somebody holds a snapshot, as a backup does, PostgreSQL keeps all versions of a row that changes.
#[test]
fn no_request_reads_the_old_sums_of_an_account_that_a_snapshot_keeps() {
    test(async |world| {
        world.stock(4_158_670_000, 9).await;
        let account = &world.account("50.00").await;
        for _ in 0..7 {
            // Of very few accounts, a command reads the whole table.
            world.account("0.00").await;
        }
        let sid = world.server.buy(account, &[]).await.element("Sid");
        let mut reader = PgConnection::connect_with(&world.options).await.expect("a connection");
        let hold = "begin isolation level repeatable read; select from stock limit 1";
        raw_sql(hold).execute(&mut reader).await.expect("a snapshot");
        change_sums(world, account).await;
        let mut vacuum = PgConnection::connect_with(&world.options).await.expect("a connection");
        raw_sql("vacuum analyze account_sums").execute(&mut vacuum).await.expect("statistics");
        vacuum.close().await.expect("it ends");
        reads_few(world, "a purchase", async |server, _| {
            server.buy(account, &[]).await.assert_status(201);
        })
        .await;
        reads_few(world, "the balance", async |server, _| assert_eq!(server.balance(account).await, "48.00")).await;
        reads_few(world, "a page", async |server, _| {
            assert_eq!(server.get(account, "/IncomingPhoneNumbers").await.attribute("total"), "2");
        })
        .await;
        reads_few(world, "a release", async |server, _| {
            server.release(account, &sid).await.assert_status(204);
        })
        .await;
        reads_few(world, "a credit", async |_, db| {
            billing::credit(db, &world.clock, order(account, "1.00")).await.expect("a credit");
        })
        .await;
        reader.close().await.expect("it ends");
    });
}
