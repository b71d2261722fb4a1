//! Reports: what they are limited to, and how they write what they show.

use chrono::TimeDelta;
use numberbank::accounts::keys::Scope;
use numberbank::operators::{self, About, Action, Operator, Outcome};
use numberbank::releases;
use numberbank::reporting::{self, Condition, Form, Limits, Refused, Report, VIEWS, Value as NameOf, View};
use serde_json::{Map, Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Account, World, test, test_without_audit};

const FIRST: i64 = 4_158_675_309;

type Row = Map<String, Value>;

/// The lines that a report writes.
async fn written(world: &World, report: &Report, form: Form) -> Vec<String> {
    let columns = reporting::columns(&world.db, report.view()).await.expect("the columns");
    let mut lines = Vec::new();
    let rows = reporting::rows(&world.db, report, &columns, form, |row| {
        lines.push(String::from_utf8(row.to_vec()).expect("a text").trim_end().to_owned());
        Ok::<_, numberbank::error::Error>(())
    });
    rows.await.expect("rows");
    lines
}

async fn rows(world: &World, report: &Report) -> Vec<Row> {
    let lines = written(world, report, Form::Json).await;
    lines.iter().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

async fn run(world: &World, statement: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(statement.into())).execute(&world.db).await.expect("it runs");
}

/// Two accounts with two numbers, to which all that views show has happened, a day apart.
async fn scene(world: &World) -> [Account; 2] {
    let day = TimeDelta::days(1);
    world.stock(FIRST, 1).await;
    let accounts = [world.account("50.00").await, world.account("50.00").await];
    world.key(&accounts[0], Scope::Standard).await;
    let first = world.server.buy(&accounts[0], &[]).await.element("Sid");
    world.stock(8_005_550_100, 2).await;
    world.clock.advance(day);
    world.server.post(&accounts[1], "/IncomingPhoneNumbers/TollFree", &[]).await.assert_status(201);
    world.clock.advance(day);
    world.key(&accounts[1], Scope::Main).await;
    world.server.release(&accounts[0], &first).await.assert_status(204);
    world.clock.advance(day);
    releases::restore(&world.db, &world.clock, first.parse().expect("a Sid")).await.expect("restored");
    world.suspend(&accounts[1]).await;
    world.clock.advance(TimeDelta::days(30));
    world.bill().await;
    let [one, other] = &accounts;
    let now = world.clock.now();
    let uuid = |account: &Account| format!("substr('{}', 3)::uuid", account.sid);
    run(
        world,
        format!(
            "insert into tenancy_transfers (tenancy_sid, at, from_account, to_account, from_month)
            select sid, '{now}', account_sid, {1}, due_month from tenancies where phone_number = {FIRST};
            update tenancies set account_sid = {1} where phone_number = {FIRST};
            update account_sums set local_numbers = local_numbers - 1, monthly_fees = monthly_fees - 100 where account_sid = {0};
            update account_sums set local_numbers = local_numbers + 1, monthly_fees = monthly_fees + 100 where account_sid = {1}",
            uuid(one),
            uuid(other)
        ),
    )
    .await;
    run(world, format!("insert into prices values ('local', {}, 50)", uuid(one))).await;
    run(
        world,
        format!(
            "insert into price_changes (at, kind, account_sid, price) values ('{now}', 'local', {}, 50)",
            uuid(one)
        ),
    )
    .await;
    run(
        world,
        format!(
            "insert into imports (at, file, operator, added, already_known, changed, rejected)
            values ('{now}', '=file', 'ann', 0, 0, 0, 0); insert into stock_thresholds values ('local', 415, 9);
            update stock set provider_cost = 8500, provider = 'Acme' where phone_number = {FIRST};
            update stock set provider_cost = 85 where phone_number = 8005550100"
        ),
    )
    .await;
    let operator = Operator { name: "ann".to_owned(), login: "ann@host".to_owned() };
    for account in &accounts {
        let action = Action { words: "account show".to_owned(), arguments: Map::new() };
        let begun = operators::begin(&world.db, &world.clock, &operator, &action).await.expect("begun");
        let number = FIRST.to_string().parse().ok();
        let about = About { account: account.sid.parse().ok(), number, counts: Some(json!({ "done": 1 })) };
        begun.around(&world.db, &world.clock, async {}, |()| (Outcome::Done, about)).await;
    }
    accounts
}

/// What limits each view, and the columns that it goes by.
fn columns_of(view: &str) -> (&'static [&'static str], bool, Option<&'static str>) {
    match view {
        "inventory" | "margins" => (&["account_sid"], true, None),
        "inventory_summary" | "low_stock" => (&[], false, None),
        "accounts" => (&["sid"], false, Some("created_at")),
        "tenancies" => (&["account_sid"], true, Some("started_at")),
        "holdings" => (&["account_sid"], true, Some("held_from")),
        "moves" => (&[], true, Some("at")),
        "monthly_revenue" => (&[], false, Some("month")),
        "daily_revenue" => (&["account_sid"], false, Some("day")),
        "operator_actions" => (&["account_sid"], true, Some("begun_at")),
        "imports" => (&[], false, Some("at")),
        "transfers" => (&["from_account_sid", "to_account_sid"], true, Some("at")),
        "api_keys" => (&["account_sid"], false, Some("created_at")),
        "prices" => (&["account_sid"], false, None),
        "price_history" => (&["account_sid"], false, Some("at")),
        "ledger" | "account_events" => (&["account_sid"], true, Some("at")),
        view => panic!("what limits {view}?"),
    }
}

/// The rows with these limits are those of all rows for which this holds; or none of the rows can be limited so.
async fn assert_limited(
    world: &World,
    (view, all): (View, &[Row]),
    may: bool,
    limits: Limits,
    holds: impl Fn(&Row) -> bool,
) {
    let name = view.name;
    match view.limited(limits) {
        Ok(report) => {
            assert!(may, "{name} cannot be limited by {limits:?}");
            let expected: Vec<_> = all.iter().filter(|row| holds(row)).cloned().collect();
            assert_eq!(rows(world, &report).await, expected, "{name} by {limits:?}");
        }
        Err(Refused::NotLimitedBy { view, may: those, .. }) => {
            assert!(!may && view == name && those.contains(&"--limit"), "{name} by {limits:?}: {those:?}");
        }
        Err(Refused::PeriodOfAll { view }) => {
            assert_eq!((view, limits.account, limits.number), ("holdings", None, None));
        }
    }
}

#[test]
fn every_report_is_limited_to_what_was_asked_for() {
    test(async |world| {
        let accounts = scene(world).await;
        let begun = world.clock.now() - TimeDelta::days(33);
        for view in VIEWS {
            let (columns, has_number, time) = columns_of(view.name);
            let all = rows(world, &view.all()).await;
            assert!(!all.is_empty(), "{}", view.name);
            for account in &accounts {
                let limits = Limits { account: account.sid.parse().ok(), ..Limits::default() };
                let of_account = |row: &Row| columns.iter().any(|column| row[*column] == account.sid);
                assert_limited(world, (view, &all), !columns.is_empty(), limits, of_account).await;
            }
            for number in [FIRST.to_string(), "8005550100".to_owned(), "2125550100".to_owned()] {
                let limits = Limits { number: number.parse().ok(), ..Limits::default() };
                assert_limited(world, (view, &all), has_number, limits, |row| row["phone_number"] == number).await;
            }
            let first = FIRST.to_string().parse().ok();
            for (hours, number) in
                [0, 1, 24, 25, 48, 49, 72, 800].into_iter().flat_map(|hours| [(hours, None), (hours, first)])
            {
                let number = number.filter(|_| has_number);
                let is_it = |row: &Row| number.is_none() || row["phone_number"] == json!(FIRST.to_string());
                let moment = begun + TimeDelta::hours(hours);
                let text = moment.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
                let of = |row: &Row| row[time.unwrap_or_default()].as_str().unwrap_or_default().to_owned();
                let since = Limits { since: Some(moment), number, ..Limits::default() };
                let is_later = |row: &Row| match view.name {
                    "holdings" => row["held_until"].as_str().is_none_or(|until| until > text.as_str()),
                    // Those of days and months: the day begins at its midnight.
                    "monthly_revenue" | "daily_revenue" => format!("{}T00:00:00.000Z", of(row)) >= text,
                    _ => of(row) >= text,
                };
                assert_limited(world, (view, &all), time.is_some(), since, |row| is_it(row) && is_later(row)).await;
                let until = Limits { until: Some(moment), number, ..Limits::default() };
                let is_earlier = |row: &Row| match view.name {
                    "monthly_revenue" | "daily_revenue" => format!("{}T00:00:00.000Z", of(row)) < text,
                    _ => of(row) < text,
                };
                assert_limited(world, (view, &all), time.is_some(), until, |row| is_it(row) && is_earlier(row)).await;
            }
        }
    });
}

#[test]
fn a_limited_number_of_rows_is_the_first_or_the_last() {
    test(async |world| {
        let [one, _] = scene(world).await;
        for view in VIEWS {
            let all = rows(world, &view.all()).await;
            let limited = |rows| view.limited(Limits { rows: Some(rows), ..Limits::default() }).expect("a report");
            assert_eq!(rows(world, &limited(1)).await, all[..1], "{}", view.name);
            assert_eq!(rows(world, &limited(1).last()).await, all[all.len() - 1..], "{}", view.name);
            assert_eq!(rows(world, &limited(1000).last()).await, all, "{}", view.name);
        }
        for view in [View::LEDGER, View::ACCOUNT_EVENTS] {
            let account = one.sid.parse().ok();
            let limits = |rows| Limits { account, rows, ..Limits::default() };
            let of_account = |rows| view.limited(limits(rows)).expect("a report");
            let all = rows(world, &of_account(None)).await;
            assert!(!all.is_empty());
            for count in [1, 2, 1000] {
                let (limited, kept) = (of_account(Some(count)), (count as usize).min(all.len()));
                assert_eq!(rows(world, &limited).await, all[..kept], "{} {count}", view.name);
                assert_eq!(rows(world, &limited.last()).await, all[all.len() - kept..], "{} {count}", view.name);
            }
        }
    });
}

/// Hundreds of numbers, accounts, keys, entries, events and actions: more than a portion has, and more of one account.
async fn crowd(world: &World, account: &Account) {
    let (sid, now) = (format!("substr('{}', 3)::uuid", account.sid), world.clock.now());
    run(
        world,
        format!(
            "set session_replication_role = replica;
            insert into accounts (sid, name, credential, token_digest, created_at, updated_at)
            select md5('a' || n)::uuid, 'Crowd ' || n, gen_random_uuid(), sha256('x'),
                timestamptz '{now}' - (n / 900) * interval '1 hour', '{now}' from generate_series(1, 1700) as n;
            insert into account_sums (account_sid, is_main)
            select md5('a' || n)::uuid, true from generate_series(1, 1700) as n;
            insert into api_keys select md5('k' || n)::uuid, {sid}, 'main', null, sha256('x'),
                timestamptz '{now}' - n / 700 * interval '1 hour', '{now}' from generate_series(1, 1600) as n;
            insert into stock (phone_number, kind, state, state_since, added_at, tenancy_sid)
            select 4162000000 + n, 'local', 'in_use', '{now}', '{now}', md5('t' || n)::uuid
            from generate_series(1, 1700) as n;
            insert into tenancies (sid, account_sid, phone_number, kind, price, started_at, updated_at, ended_at, due_on)
            select md5(t || n)::uuid, md5('a' || n)::uuid, 4162000000 + n, 'local', 1, at, at, ended_at, '2100-01-01'
            from generate_series(1, 1700) as n, (values ('t', timestamptz '{now}', null),
                ('e', '{now}'::timestamptz - interval '1 day', '{now}'::timestamptz)) as halves (t, at, ended_at);
            insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            select case when n % 2 = 0 then {sid} else md5('a' || n % 20)::uuid end,
                '{now}'::timestamptz - n * interval '1 hour', 'purchase', -1, 1, md5('t' || n)::uuid, 0
            from generate_series(1, 1700) as n;
            insert into account_events (account_sid, at, change, reason)
            select case when n % 2 = 0 then {sid} else md5('a' || n % 20)::uuid end, '{now}', 'suspended', 'operator'
            from generate_series(1, 1700) as n;
            insert into operator_actions (at, operator, login, action, arguments)
            select '{now}', 'ann', 'ann@host', 'account show', '{{}}' from generate_series(1, 1700) as n;
            set session_replication_role = origin"
        ),
    )
    .await;
}

/// More rows than there are.
fn all_rows() -> Limits {
    Limits { rows: Some(100_000), ..Limits::default() }
}

#[test]
fn portions_are_the_whole_view() {
    test_without_audit(async |world| {
        let [one, _] = scene(world).await;
        crowd(world, &one).await;
        for view in VIEWS {
            // The last rows, however many, are read by one statement.
            let whole = rows(world, &view.limited(all_rows()).expect("a report").last()).await;
            let many = !matches!(
                view.name,
                "inventory_summary"
                    | "low_stock"
                    | "monthly_revenue"
                    | "daily_revenue"
                    | "imports"
                    | "transfers"
                    | "prices"
                    | "price_history"
            );
            assert!(whole.len() > 1500 || !many, "{} has {} rows", view.name, whole.len());
            let portions = rows(world, &view.all()).await;
            assert_eq!(portions.len(), whole.len(), "{}", view.name);
            assert!(portions == whole, "{} differs", view.name);
            assert_eq!(written(world, &view.all(), Form::Csv).await.len(), whole.len() + 1, "{}", view.name);
            let limited = view.limited(Limits { rows: Some(700), ..Limits::default() }).expect("a report");
            assert!(rows(world, &limited).await == whole[..whole.len().min(700)], "{} limited", view.name);
        }
        for view in [View::LEDGER, View::ACCOUNT_EVENTS] {
            let account = one.sid.parse().ok();
            let of = |rows| view.limited(Limits { account, rows, ..Limits::default() }).expect("a report");
            let whole = rows(world, &of(Some(100_000)).last()).await;
            assert!(whole.len() > 800, "{} has {} rows", view.name, whole.len());
            assert!(rows(world, &of(None)).await == whole, "{} of an account", view.name);
            assert!(rows(world, &of(Some(700))).await == whole[..700], "{} of an account, limited", view.name);
        }
        let used = |from: Report| from.and(Condition::Is("state", NameOf::Word("in_use")));
        let whole = rows(world, &used(View::INVENTORY.limited(all_rows()).expect("a report").last())).await;
        assert!(whole.len() >= 1700, "{} are in use", whole.len());
        assert!(rows(world, &used(View::INVENTORY.all())).await == whole, "what is in use");
        let of = |first: i64, last: i64| View::INVENTORY.all().and(Condition::Between("phone_number", first, last));
        assert_eq!(rows(world, &of(4_162_000_001, 4_162_001_600)).await.len(), 1600);
        assert_eq!(written(world, &of(4_170_000_000, 4_179_999_999), Form::Csv).await.len(), 1);
    });
}

/// A slow reader of a report, such as a person with a pager, does not keep PostgreSQL from removing old rows.
#[test]
fn no_statement_lasts_while_the_rows_of_a_portion_are_taken() {
    test_without_audit(async |world| {
        let [one, _] = scene(world).await;
        crowd(world, &one).await;
        let columns = reporting::columns(&world.db, View::LEDGER).await.expect("the columns");
        let mut most = 0;
        let snapshots = "select count(*) from pg_stat_activity where datname = current_database()
            and backend_type = 'client backend' and pid <> pg_backend_pid() and xact_start is not null";
        let mut count = 0;
        let report = View::LEDGER.all();
        let taken = reporting::rows(&world.db, &report, &columns, Form::Json, |_| {
            count += 1;
            if count % 400 == 0 {
                let open = tokio::task::block_in_place(|| {
                    tokio::runtime::Handle::current().block_on(world.value::<i64>(snapshots))
                });
                most = most.max(open);
            }
            Ok::<_, numberbank::error::Error>(())
        });
        taken.await.expect("rows");
        assert!(count > 1600, "{count} rows");
        assert_eq!(most, 0, "transactions under way");
    });
}

/// Whether a text is written like this one, with any digits.
fn is_like(text: &str, pattern: &str) -> bool {
    let same = |(c, like): (char, char)| if like == '0' { c.is_ascii_digit() } else { c == like };
    text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(same)
}

/// Whether a value is written as its type is everywhere.
fn is_dialect(name: &str, type_name: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match (type_name, name) {
        _ if value.is_null() => true,
        ("timestamptz", _) => is_like(text, "0000-00-00T00:00:00.000Z"),
        ("date", _) => is_like(text, "0000-00-00"),
        ("numeric", _) => {
            let (dollars, decimals) = text.trim_start_matches('-').split_once('.').unwrap_or_default();
            let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
            let shortest = decimals.len() == 2 || (3..=4).contains(&decimals.len()) && !decimals.ends_with('0');
            digits(dollars) && digits(decimals) && shortest
        }
        ("int8", "phone_number") => is_like(text, "0000000000"),
        ("int2" | "int4" | "int8", _) => value.is_i64(),
        ("bool", _) => value.is_boolean(),
        ("jsonb", _) => value.is_object(),
        _ if name.ends_with("account_sid") => text.starts_with("AC") && text.len() == 34,
        _ if name == "number_sid" => text.starts_with("PN") && text.len() == 34,
        _ => value.is_string(),
    }
}

#[test]
fn every_value_is_written_as_its_type_is() {
    test(async |world| {
        scene(world).await;
        let mut seen = std::collections::BTreeSet::new();
        for view in VIEWS {
            let statement = format!(
                "select attname::text, typname::text from pg_attribute join pg_type on pg_type.oid = atttypid
                where attrelid = 'reporting.{}'::regclass and attnum > 0 order by attnum",
                view.name
            );
            let types: Vec<(String, String)> =
                sqlx::query_as(AssertSqlSafe(statement)).fetch_all(&world.db).await.expect("the types");
            let all = rows(world, &view.all()).await;
            for row in &all {
                assert!(row.keys().eq(types.iter().map(|(name, _)| name)), "{}: {row:?}", view.name);
                for (name, type_name) in &types {
                    let value = &row[name];
                    assert!(is_dialect(name, type_name, value), "{}.{name}: {value}", view.name);
                    seen.extend((!value.is_null()).then(|| type_name.clone()));
                }
            }
            let lines = written(world, &view.all(), Form::Csv).await.join("\n");
            let mut reader = csv::Reader::from_reader(lines.as_bytes());
            for (row, line) in all.iter().zip(reader.records().map(|line| line.expect("a line"))) {
                let cells = row.values().map(|value| match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    // PostgreSQL writes its jsonb with blanks.
                    Value::Object(_) => value.to_string().replace(':', ": "),
                    other => other.to_string(),
                });
                assert!(line.iter().eq(cells), "{}: {line:?} {row:?}", view.name);
            }
        }
        for type_name in ["timestamptz", "date", "numeric", "int2", "int4", "int8", "bool", "jsonb", "text"] {
            assert!(seen.contains(type_name), "{type_name} of {seen:?}");
        }
        let costs = rows(world, &View::INVENTORY.all()).await;
        let costs: Vec<_> = costs.iter().map(|row| row["provider_cost"].clone()).collect();
        assert_eq!(costs, [json!("0.85"), json!("0.0085"), json!(null)]);
    });
}
