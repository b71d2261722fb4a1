//! Other sessions in the same database: their locks block nothing, and a process that waits says for which session.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::postgres::{PgAdvisoryLock, PgConnectOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::runtime::Runtime;

use crate::home::{Home, MONITORED, Running, eventually};

/// Another user's session.
struct Session {
    runtime: Runtime,
    connection: PgConnection,
}

impl Session {
    fn of(home: &Home, role: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options: PgConnectOptions = home.url("x").parse().expect("a URL");
        let options = options.username(role).application_name("the neighbour");
        let connection = runtime.block_on(options.connect()).expect("a connection");
        Self { runtime, connection }
    }

    /// The SQLSTATE of a refusal.
    fn run(&mut self, statement: &str) -> Result<(), String> {
        let run = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut self.connection);
        let done = self.runtime.block_on(run).map(drop);
        done.map_err(|error| error.as_database_error().and_then(|error| error.code()).expect("a state").into_owned())
    }

    #[track_caller]
    fn does(&mut self, statement: &str) {
        self.run(statement).unwrap_or_else(|state| panic!("{state}: {statement}"));
    }

    #[track_caller]
    fn may_not(&mut self, statement: &str) {
        assert_eq!(self.run(statement), Err("42501".to_owned()), "{statement}");
    }
}

/// A user with the reporting role.
fn reader(home: &Home) -> Session {
    home.sql("create role reader login in role numberbank_reporting").expect("a role");
    Session::of(home, "reader")
}

fn served(home: &Home, jobs: &str) -> Running {
    home.start_as(&[&MONITORED[..], &["--jobs", jobs]].concat(), &[])
}

fn metric(server: &Running, name: &str) -> Option<String> {
    let page = server.monitoring("/metrics").1;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(str::to_owned)
}

#[test]
fn a_reader_of_reports_keeps_nobody_from_anything() {
    let home = Home::new();
    let _postgres = served(&home, "off");
    let mut reader = reader(&home);
    // Any role may take advisory locks, among them those that older versions used, and may lock views that it may
    // read.
    for name in ["numberbank migrations", "numberbank jobs", "numberbank demo"] {
        let lock = PgAdvisoryLock::new(name);
        let key = lock.key().as_bigint().expect("a number");
        reader.does(&format!("select pg_advisory_lock({key})"));
    }
    reader.does("select pg_advisory_lock(hashtext('numberbank stock additions'))");
    reader.does("begin isolation level serializable");
    let views = home.json(&["report", "list"]);
    for view in views.as_array().expect("a list").iter().map(|view| view["name"].as_str().expect("a name")) {
        reader.does(&format!("lock table reporting.{view} in access share mode"));
        reader.does(&format!("declare {view} cursor for select * from reporting.{view}; fetch 1 from {view}"));
        reader.does("savepoint before");
        for mode in ["row share", "share update exclusive", "access exclusive"] {
            reader.may_not(&format!("rollback to before; lock table reporting.{view} in {mode} mode"));
        }
        reader.does("rollback to before");
    }

    let server = served(&home, "1s");
    for arguments in [&["migrate"][..], &["inventory", "add", "4158670000-4158670009"]] {
        assert_eq!(home.begin(arguments).ended(), Some(0), "{arguments:?}");
    }
    eventually("the jobs are done", || metric(&server, "numberbank_jobs_last_done_seconds").is_some());
    eventually("they are not overdue", || metric(&server, "numberbank_jobs_overdue").as_deref() == Some("0"));
    home.start("demo", &[]);
    reader.does("select count(*) from reporting.inventory; commit");
}

#[test]
fn who_waits_for_migrations_says_for_whom_and_heeds_a_signal() {
    let home = Home::new();
    let _postgres = served(&home, "off");
    let mut other = Session::of(&home, "numberbank");
    other.does("begin; lock table refinery_schema_history in share update exclusive mode");
    for (verb, signal) in [("serve", Signal::SIGTERM), ("demo", Signal::SIGINT)] {
        let mut server = home.begin(&[verb, "--bind", "127.0.0.1:0"]);
        eventually("it says what it waits for", || server.says("another process migrates or prepares this database"));
        assert!(server.says("the neighbour") && server.says("of the role \"numberbank\""), "{}", server.err());
        server.signal(signal);
        assert_eq!(server.ended(), Some(0), "{}", server.err());
        assert_eq!(server.out(), "");
    }
    let server = home.begin(&["serve", "--bind", "127.0.0.1:0"]);
    eventually("it waits", || server.says("waiting: another process"));
    other.does("rollback");
    eventually("it goes on by itself", || server.out().contains("listening on"));
}

#[test]
fn who_waits_to_add_numbers_says_for_whom() {
    let home = Home::new();
    let _postgres = served(&home, "off");
    let mut other = Session::of(&home, "numberbank");
    other.does("begin; lock table stock_thresholds in share update exclusive mode");
    let mut adding = home.begin(&["inventory", "add", "4158670000"]);
    eventually("it says what it waits for", || adding.says("another process adds numbers to the stock"));
    assert!(adding.says("the neighbour"), "{}", adding.err());
    other.does("rollback");
    assert_eq!(adding.ended(), Some(0), "{}", adding.err());
    assert_eq!(home.json(&["inventory", "list"]).as_array().map(Vec::len), Some(1));
}

/// Succeeds once a statement waits for a lock.
const WAITS: &str = "do $$ begin assert exists (select from pg_stat_activity where wait_event_type = 'Lock'); end $$";

#[test]
fn an_import_waits_for_the_numbers_that_it_changes_in_the_order_of_buyers() {
    let home = Home::new();
    let _postgres = served(&home, "off");
    home.json(&["inventory", "add", "4158670000-4158670001"]);
    home.sql("update stock set pick = 4158670009 - phone_number").expect("it runs");
    let mut other = Session::of(&home, "numberbank");
    other.does("begin; select from stock where phone_number = 4158670001 for update");
    let file = home.file("a.csv", "tn,note\n4158670000,new\n4158670001,new\n");
    let mut import = home.begin(&["inventory", "import", &file, "--update"]);
    eventually("it waits", || home.sql(WAITS).is_ok());
    other.does("select from stock where phone_number = 4158670000 for update nowait");
    other.does("update stock set provider = 'Acme' where phone_number = 4158670001; commit");
    assert_eq!(import.ended(), Some(0), "{}", import.err());
    let stock = home.json(&["inventory", "list"]);
    assert_eq!((&stock[0]["note"], &stock[1]["note"]), (&"new".into(), &"new".into()));
    assert_eq!((&stock[0]["provider"], &stock[1]["provider"]), (&serde_json::Value::Null, &"Acme".into()));
}

#[test]
fn numbers_that_were_added_can_be_bought_while_others_are_added_and_stand_if_that_is_interrupted() {
    let home = Home::new();
    let _postgres = served(&home, "off");
    let mut other = Session::of(&home, "numberbank");
    other.does("begin; insert into stock (phone_number, kind, state_since, added_at) values (4152099999, 'local', now(), now())");
    let add = ["inventory", "add", "4152000000-4152099999"];
    let mut adding = home.begin(&add);
    eventually("it waits for the other session", || home.sql(WAITS).is_ok());
    assert_eq!(home.json(&["inventory", "summary"])[0]["available"], 50_000);
    adding.signal(Signal::SIGINT);
    assert_eq!(adding.ended(), Some(130), "{}", adding.err());
    let told = "interrupted: 50000 numbers were added and stand; the same command adds the rest";
    assert!(adding.says(told), "{}", adding.err());
    other.does("rollback");
    assert_eq!(home.json(&add), json!({ "added": 50_000, "already_known": 50_000, "rejected": 0 }));
    let outcomes = home.json(&["report", "operator_actions"]);
    assert_eq!((&outcomes[0]["outcome"], &outcomes[0]["counts"]["added"]), (&json!("interrupted"), &json!(50_000)));
}

#[test]
fn upkeep_of_the_stock_takes_no_addition_back() {
    let home = Home::new();
    let _postgres = served(&home, "off");
    let rows = |area_code: &str| (0..10_000).map(|at| format!("{area_code}867{at:04}\n")).collect::<String>();
    let files = ["415", "212"].map(|code| home.file(&format!("{code}.csv"), &format!("tn\n{}", rows(code))));
    let mut other = Session::of(&home, "numberbank");
    // Like `vacuum` and `create index concurrently`.
    other.does("begin; lock table stock in share update exclusive mode");
    let cancel = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'";
    for (arguments, is_cut) in [
        (["inventory", "import", &files[0]], false),
        (["inventory", "import", &files[1]], true),
        (["inventory", "add", "6468670000-6468679999"], false),
        (["inventory", "add", "9178670000-9178679999"], true),
    ] {
        let mut adding = home.begin(&arguments);
        eventually("it waits for the upkeep", || home.sql(WAITS).is_ok());
        if is_cut {
            adding.signal(Signal::SIGINT);
            assert_eq!(adding.ended(), Some(1), "{}", adding.err());
            assert!(adding.says("this was done, but it was interrupted"), "{}", adding.err());
            home.sql(cancel).expect("it runs");
        } else {
            home.sql(cancel).expect("it runs");
            assert_eq!(adding.ended(), Some(0), "{}", adding.err());
            assert!(adding.says("'analyze stock'") && adding.out().contains("10000"), "{}", adding.err());
        }
    }
    let summary = home.json(&["inventory", "summary"]);
    let all = summary.as_array().expect("a list");
    assert!(all.len() == 4 && all.iter().all(|row| row["total"] == 10_000), "{summary}");
    let outcomes = home.json(&["report", "operator_actions"]);
    assert!(outcomes.as_array().expect("a list").iter().all(|entry| entry["outcome"] == "done"), "{outcomes}");
}

#[test]
fn jobs_that_nobody_runs_are_told() {
    let home = Home::new();
    let idle = served(&home, "off");
    let mut other = Session::of(&home, "numberbank");
    other.does("begin; lock table job_runs in share update exclusive mode");
    let server = served(&home, "1s");
    eventually("operators see it", || metric(&server, "numberbank_jobs_overdue").as_deref() == Some("1"));
    eventually("and read it", || server.says("no instance has finished the jobs for two intervals"));
    assert_eq!(metric(&server, "numberbank_jobs_last_done_seconds"), None);
    other.does("rollback");
    eventually("it is over", || metric(&server, "numberbank_jobs_overdue").as_deref() == Some("0"));
    assert!(metric(&server, "numberbank_jobs_last_done_seconds").is_some());
    // An instance with jobs also knows of runs by other instances. An instance without jobs ignores them.
    let second = served(&home, "1h");
    eventually("it knows", || metric(&second, "numberbank_jobs_last_done_seconds").is_some());
    assert_eq!(metric(&idle, "numberbank_jobs_overdue"), None);
    assert!(!idle.says("no instance has finished the jobs"), "{}", idle.err());
}

#[test]
fn a_run_of_the_fees_names_the_account_that_another_session_has_locked() {
    let home = Home::new();
    let server = served(&home, "off");
    let account = home.json(&["account", "create", "--name", "Acme", "--balance", "5.00"]);
    home.json(&["inventory", "add", "4158670000"]);
    home.json(&["number", "assign", "4158670000", "--account", "Acme"]);
    home.sql("update tenancies set started_at = started_at - interval '40 days', due_month = 1").expect("a fee");
    let mut other = Session::of(&home, "numberbank");
    other.does("begin; select from accounts for update");
    let ran = home.run(&["bill", "--output", "json"]);
    let billed: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(
        (ran.code, &billed["charged"], &billed["busy"]),
        (Some(1), &json!(0), &json!([account["sid"]])),
        "{ran:?}"
    );
    assert!(ran.err.contains("another session has locked account AC"), "{ran:?}");
    let jobs = served(&home, "1h");
    eventually("the jobs say so", || jobs.says("other sessions have locked accounts for too long"));
    eventually("and are done", || metric(&jobs, "numberbank_jobs_last_done_seconds").is_some());
    other.does("rollback");
    assert_eq!(home.json(&["bill"])["charged"], 1);
    drop(server);
}

/// The statements that docs/reporting.md gives to a superuser.
fn for_superusers() -> String {
    let paper = include_str!("../../docs/reporting.md");
    let block = paper.split("```sql\n-- Once, as a superuser").nth(1).expect("a block");
    format!("-- {}", block.split("```").next().expect("its end"))
}

#[test]
fn a_reader_of_reports_fills_no_disk_and_calls_no_function_of_ours() {
    let home = Home::new();
    let _postgres = served(&home, "off");
    let mut reader = reader(&home);
    reader.may_not("create temporary table mine (id integer)");
    // PostgreSQL checks a view's functions with the rights of the reader.
    reader.does(
        "do $$ declare callable text; begin
            select string_agg(oid::regprocedure::text, ', ') into callable from pg_proc
            where pronamespace in ('public'::regnamespace, 'reporting'::regnamespace)
                and has_function_privilege(oid, 'execute')
                and proname not in ('months_begun', 'months_due', 'owes_by', 'account_sid', 'number_sid', 'key_sid', 'moment');
            if callable is not null then raise exception '%', callable; end if;
        end $$",
    );
    // We cannot revoke the other rights; a superuser can.
    reader.does("select lo_unlink(lo_create(0)), pg_advisory_lock(1)");
    home.sql(&for_superusers()).expect("it runs");
    for statement in [
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "select pg_advisory_lock(1)",
        "select pg_try_advisory_xact_lock_shared(1, 1)",
        "select pg_logical_emit_message(false, 'x', 'x')",
    ] {
        reader.may_not(statement);
    }
    reader.does("select count(*) from reporting.accounts");
    let mut again = Session::of(&home, "reader");
    again.does("select count(*) from reporting.accounts");
    // The program needs none of these rights.
    home.json(&["inventory", "add", "4158670000"]);
}
