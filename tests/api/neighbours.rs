//! Settings of a role, a database or a server change nothing.

use futures_util::future::join_all;
use numberbank::db::{self, Db, Meant};
use refinery_core::{Migration, Runner};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{Answer, World, eventually, test, test_without_audit};

async fn run(world: &World, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&world.db).await.expect("it runs");
}

/// Changes a setting for the whole database.
async fn set(world: &World, name: &str, value: &str) {
    let database = world.value::<String>("select current_database()::text").await;
    run(world, format!("alter database {database} set {name} = {value}")).await;
}

#[test]
fn settings_of_others_reach_no_connection() {
    test(async |world| {
        let expected = [
            ("search_path", "public, pg_temp"),
            ("default_transaction_isolation", "read committed"),
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
            ("DateStyle", "ISO, MDY"),
            ("IntervalStyle", "postgres"),
            ("TimeZone", "UTC"),
            ("row_security", "on"),
        ];
        for (name, value) in [
            ("search_path", "shadow, public"),
            ("default_transaction_isolation", "serializable"),
            ("client_encoding", "latin1"),
            ("standard_conforming_strings", "off"),
            ("datestyle", "'SQL, DMY'"),
            ("intervalstyle", "iso_8601"),
            ("timezone", "'Asia/Tokyo'"),
            ("row_security", "off"),
            ("plan_cache_mode", "force_custom_plan"),
            ("enable_seqscan", "on"),
            ("jit", "on"),
            ("lock_timeout", "1"),
            ("idle_in_transaction_session_timeout", "1"),
            ("statement_timeout", "1"),
        ] {
            set(world, name, value).await;
        }
        let own = [
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "plan_cache_mode",
            "enable_seqscan",
            "jit",
        ];
        let connections: [(Db, [&str; 6]); 3] = [
            (db::serving(&world.options, 1, 1), ["4s", "2s", "10s", "force_generic_plan", "off", "off"]),
            (db::for_command(&world.options), ["0", "1min", "0", "auto", "on", "off"]),
            (db::for_jobs(&world.options), ["10min", "1min", "10min", "auto", "on", "on"]),
        ];
        for (db, values) in connections {
            for (name, value) in expected.into_iter().chain(own.into_iter().zip(values)) {
                let shown = sqlx::query_scalar::<_, String>("select current_setting($1)").bind(name);
                assert_eq!(shown.fetch_one(&db).await.expect("a setting"), value, "{name}");
            }
            db.close().await;
        }
        assert_eq!(db::migrate(&world.options, Meant::Registry).await.expect("nothing to do"), Vec::<String>::new());
        assert!(db::is_current(&world.options, Meant::Registry).await.expect("an answer"));
    });
}

/// If an operator made a database read-only, it stays so.
#[test]
fn a_read_only_database_is_left_read_only() {
    test(async |world| {
        set(world, "default_transaction_read_only", "on").await;
        let db = db::for_command(&world.options);
        let refused = sqlx::raw_sql("update prices set price = 1").execute(&db).await.expect_err("it is read-only");
        assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("25006"));
        db.close().await;
    });
}

#[test]
fn another_isolation_level_refuses_nobody() {
    for level in ["'repeatable read'", "'serializable'"] {
        test(async |world| {
            set(world, "default_transaction_isolation", level).await;
            let server = world.another_server();
            world.stock(4_158_670_000, 60).await;
            let account = world.account("90.00").await;
            server.get(&account, "").await.assert_status(200);
            let bought = join_all((0..30).map(|_| server.buy(&account, &[]))).await;
            let statuses = |answers: &[Answer]| answers.iter().map(|answer| answer.status).collect::<Vec<_>>();
            assert_eq!(statuses(&bought), [201; 30]);
            let sids: Vec<_> = bought.iter().map(|answer| answer.element("Sid")).collect();
            let released = join_all(sids.iter().map(|sid| server.release(&account, sid))).await;
            assert_eq!(statuses(&released), [204; 30]);
            server.stop().await;
        });
    }
}

#[test]
fn a_schema_named_like_the_role_takes_nothing_over() {
    test(async |world| {
        let (victim, stranger) = (world.account("9.00").await, world.account("0.00").await);
        let shadow = "create schema numberbank; create table numberbank.accounts (like public.accounts including all);
            insert into numberbank.accounts overriding system value select * from public.accounts";
        // Generated columns cannot be copied as they are.
        let shadow = shadow.split_once(" insert").map_or(shadow, |(tables, _)| tables.trim_end_matches(';'));
        run(world, shadow.replace("including all", "including defaults")).await;
        run(world, "insert into numberbank.accounts select * from public.accounts".to_owned()).await;
        let forged = format!(
            "update numberbank.accounts set token_hash = (select token_hash from public.accounts where sid = '{}'),
                credential = gen_random_uuid()",
            &stranger.sid[2..]
        );
        run(world, forged).await;
        let server = world.another_server();
        let mut forged = victim.clone();
        forged.token.clone_from(&stranger.token);
        server.get(&forged, "").await.assert_status(401);
        server.get(&victim, "").await.assert_status(200);
        assert_eq!(server.balance(&victim).await, "9.00");
        server.stop().await;
    });
}

#[test]
fn a_migration_waits_for_readers_and_lets_others_by() {
    test_without_audit(async |world| {
        let account = world.account("9.00").await;
        world.server.get(&account, "").await.assert_status(200);
        let reader = world.options.clone();
        let mut reader = {
            use sqlx::ConnectOptions;
            reader.connect().await.expect("a connection")
        };
        let mut reading = reader.begin().await.expect("a transaction");
        read(&mut reading).await;
        let applied: Vec<_> = {
            let statement = "select format('V%s__%s', version, name) from refinery_schema_history order by version";
            sqlx::query_scalar::<_, String>(statement).fetch_all(&world.db).await.expect("what was applied")
        };
        let mut migrations: Vec<_> = applied.iter().map(|name| migration(name)).collect();
        let more = "alter table accounts add column more integer; alter table accounts drop column more";
        migrations.push(Migration::unapplied("V1000__more", more).expect("a migration"));
        let options = world.options.clone();
        let applying = tokio::spawn(async move { db::apply(&options, &Runner::new(&migrations)).await });
        eventually("the migration waits", async || world.waiting().await > 0).await;
        // Statements that queue behind the migration run during its pause.
        eventually("a request gets by", async || world.server.get(&account, "").await.status == 200).await;
        assert!(!applying.is_finished(), "it goes on trying");
        reading.rollback().await.expect("the reader ends");
        assert_eq!(applying.await.expect("it ends").expect("it is applied"), ["V1000__more"]);
    });
}

/// Makes the first trigger of a migration wait while there is a row in `hold`; its tables are locked then.
const HELD: &str = "create table hold (); insert into hold default values; create sequence tries;
    create function wait_for_it() returns event_trigger language plpgsql as $$ begin
        perform nextval('tries');
        while exists (select from hold) loop perform pg_sleep(0.02); end loop;
    end $$;
    create event trigger held on ddl_command_end when tag in ('CREATE TRIGGER') execute function wait_for_it()";

#[test]
fn a_reader_who_comes_during_a_migration_does_not_take_it_back() {
    test_without_audit(async |world| {
        use sqlx::ConnectOptions;
        let old = format!("{}_old", world.value::<String>("select current_database()::text").await);
        run(world, format!("create database {old}")).await;
        let options = world.options.clone().database(&old);
        let applied: Vec<_> = {
            let statement = "select format('V%s__%s', version, name) from refinery_schema_history order by version";
            sqlx::query_scalar::<_, String>(statement).fetch_all(&world.db).await.expect("what was applied")
        };
        let migrations: Vec<_> = applied.iter().map(|name| migration(name)).collect();
        let before = applied.iter().position(|name| name == "V14__imports").expect("it is there");
        db::apply(&options, &Runner::new(&migrations[..before])).await.expect("the schema as it was");
        let mut other = options.connect().await.expect("a connection");
        sqlx::raw_sql(HELD).execute(&mut other).await.expect("it runs");

        let to = options.clone();
        let applying = tokio::spawn(async move { db::apply(&to, &Runner::new(&migrations[..=before])).await });
        let is = async |what: &str| {
            let count = format!("select count(*) from pg_stat_activity where datname = '{old}' and {what}");
            sqlx::query_scalar::<_, i64>(AssertSqlSafe(count)).fetch_one(&world.db).await.expect("a count") > 0
        };
        eventually("the migration is under way", async || is("wait_event = 'PgSleep'").await).await;
        let mut reader = options.connect().await.expect("a connection");
        let reading = tokio::spawn(async move {
            sqlx::query_scalar::<_, i64>("select count(*) from reporting.inventory").fetch_one(&mut reader).await
        });
        eventually("a reader waits", async || is("wait_event_type = 'Lock'").await).await;
        sqlx::raw_sql("delete from hold").execute(&mut other).await.expect("it runs");
        assert_eq!(applying.await.expect("it ends").expect("it is applied"), ["V14__imports"]);
        assert_eq!(reading.await.expect("it ends").expect("a count"), 0);
        let tries = sqlx::query_scalar::<_, i64>("select last_value from tries").fetch_one(&mut other).await;
        assert_eq!(tries.expect("a number"), 2, "it makes two triggers, once");
        other.close().await.expect("it ends");
        run(world, format!("drop database {old} with (force)")).await;
    });
}

async fn read(reader: &mut PgConnection) {
    sqlx::raw_sql("declare slow cursor for select * from reporting.accounts; fetch 1 from slow")
        .execute(reader)
        .await
        .expect("a cursor");
}

/// One of our migrations, as it was applied.
fn migration(name: &str) -> Migration {
    let file = format!("{}/migrations/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    Migration::unapplied(name, &std::fs::read_to_string(file).expect("a migration")).expect("a name")
}
