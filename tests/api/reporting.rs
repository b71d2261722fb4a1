//! The views of the schema `reporting`: what they show, and which roles may read them.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use numberbank::accounts::keys::Scope;
use numberbank::db::{self, Db};
use numberbank::inventory;
use numberbank::releases;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Account, World, eventually, test};

/// Every view with its columns. A column is never renamed or dropped, new ones come at the end.
const VIEWS: [(&str, &str); 18] = [
    ("account_events", "account_sid account_name id at change reason phone_number number_sid note"),
    (
        "accounts",
        "sid name status reason balance numbers_held monthly_fees spent_this_month created_at owed ref unpaid_since \
        last_used_on owner_sid",
    ),
    ("api_keys", "sid account_sid account_name name scope created_at updated_at"),
    ("daily_revenue", "day kind charge account_sid count amount"),
    ("holdings", "phone_number account_sid held_from held_until number_sid"),
    ("imports", "id at file operator added already_known changed rejected"),
    (
        "inventory",
        "phone_number kind area_code state provider state_since account_sid provider_cost note import back_on_sale \
        retirement",
    ),
    ("inventory_summary", "kind area_code available in_use quarantined withdrawn total retired"),
    (
        "ledger",
        "account_sid at kind amount balance_after phone_number note id number_sid account_name period_from period_to \
        reverses transfer held_by",
    ),
    ("low_stock", "kind area_code available threshold"),
    ("margins", "phone_number kind account_sid price provider provider_cost margin"),
    ("monthly_revenue", "month kind charge count amount"),
    ("moves", "phone_number at from_state to_state cause number_sid id note retirement"),
    (
        "operator_actions",
        "id begun_at operator login database_role action arguments outcome reason ended_at account_created account_sid \
        phone_number counts",
    ),
    ("price_history", "id at kind account_sid price operator"),
    ("prices", "account_sid kind price"),
    ("tenancies", "sid phone_number kind account_sid started_at ended_at price configured next_fee_on"),
    ("transfers", "id phone_number number_sid at from_account_sid to_account_sid note"),
];

const FIRST: i64 = 4_158_675_309;

/// The rows of a statement, each as a JSON object.
async fn rows(db: &Db, statement: &str) -> Vec<Value> {
    let statement = format!("select row_to_json(row)::text from ({statement}) as row");
    let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(db).await.expect("rows");
    rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect()
}

async fn value(db: &Db, statement: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(format!("select ({statement})::text"))).fetch_one(db).await.expect("a value")
}

/// An account that holds one number of two that it bought. The other was restored a day after its release, and released
/// again a day later. Returns the Sid of that one too.
async fn scene(world: &World) -> (Account, String) {
    world.stock(FIRST, 1).await;
    let account = world.account("50.00").await;
    let sid = world.server.buy(&account, &[("Url", "http://example.com/secret")]).await.element("Sid");
    world.stock(8_005_550_100, 2).await;
    world.server.post(&account, "/IncomingPhoneNumbers/TollFree", &[]).await.assert_status(201);
    let day = TimeDelta::days(1);
    world.clock.advance(day);
    world.server.release(&account, &sid).await.assert_status(204);
    world.clock.advance(day);
    releases::restore(&world.db, &world.clock, sid.parse().expect("a Sid")).await.expect("restored");
    world.clock.advance(day);
    world.server.release(&account, &sid).await.assert_status(204);
    (account, sid)
}

#[test]
fn the_views_show_what_is() {
    test(async |world| {
        let (account, sid) = scene(world).await;
        let db = &world.db;
        let summary = json!([
            { "kind": "local", "area_code": 415,
              "available": 0, "in_use": 0, "quarantined": 1, "withdrawn": 0, "total": 1, "retired": 0 },
            { "kind": "tollfree", "area_code": 800,
              "available": 1, "in_use": 1, "quarantined": 0, "withdrawn": 0, "total": 2, "retired": 0 },
        ]);
        assert_eq!(json!(rows(db, "select * from reporting.inventory_summary order by kind").await), summary);

        let stock = rows(db, "select * from reporting.inventory order by phone_number").await;
        assert_eq!(
            (stock.len(), &stock[0]["state"], &stock[0]["account_sid"]),
            (3, &json!("quarantined"), &json!(null))
        );
        let held: Vec<_> = stock.iter().filter(|number| number["state"] == "in_use").collect();
        assert_eq!((held.len(), &held[0]["account_sid"]), (1, &json!(account.sid)));

        let tenancies = rows(db, "select * from reporting.tenancies order by kind").await;
        assert_eq!((&tenancies[0]["sid"], &tenancies[0]["account_sid"]), (&json!(sid), &json!(account.sid)));
        assert_eq!((&tenancies[0]["price"], &tenancies[0]["configured"]), (&json!(1.0), &json!(true)));
        assert_eq!((&tenancies[1]["ended_at"], &tenancies[1]["configured"]), (&json!(null), &json!(false)));

        world.debit(&account, 50, Some("paid out")).await.expect("paid");
        world.clock.advance(TimeDelta::days(31));
        world.bill().await;
        let ledger = format!(
            "select kind, amount, balance_after, phone_number, note from reporting.ledger
            where account_sid = '{}' order by id",
            account.sid
        );
        let entry = |kind, amount, balance: f64, number: Option<i64>, note: Option<&str>| json!({ "kind": kind, "amount": amount, "balance_after": balance, "phone_number": number, "note": note });
        let bought = held[0]["phone_number"].as_i64();
        let expected = [
            entry("credit", 50.0, 50.0, None, Some("first balance")),
            entry("purchase", -1.0, 49.0, Some(FIRST), None),
            entry("purchase", -2.0, 47.0, bought, None),
            entry("debit", -0.5, 46.5, None, Some("paid out")),
            entry("monthly_fee", -2.0, 44.5, bought, None),
        ];
        assert_eq!(rows(db, &ledger).await, expected);
        assert_eq!(value(db, "select amount from reporting.ledger where kind = 'debit'").await, "-0.50");

        let revenue = json!([
            { "month": "2008-04-01", "kind": "local", "charge": "purchase", "count": 1, "amount": 1.0 },
            { "month": "2008-04-01", "kind": "tollfree", "charge": "purchase", "count": 1, "amount": 2.0 },
            { "month": "2008-05-01", "kind": "tollfree", "charge": "monthly_fee", "count": 1, "amount": 2.0 },
        ]);
        assert_eq!(json!(rows(db, "select * from reporting.monthly_revenue order by month, kind").await), revenue);
    });
}

#[test]
fn who_held_a_number_at_a_time_has_one_answer() {
    test(async |world| {
        let (account, _) = scene(world).await;
        let at = async |time: &str| {
            let statement = format!(
                "select account_sid from reporting.holdings where phone_number = {FIRST}
                and held_from <= '{time}' and (held_until > '{time}' or held_until is null)"
            );
            rows(&world.db, &statement).await.len()
        };
        let held = [
            at("2008-04-01 18:26:31Z").await,
            at("2008-04-01 18:26:32Z").await,
            at("2008-04-02 18:26:31Z").await,
            at("2008-04-02 18:26:32Z").await,
            at("2008-04-03 18:26:31Z").await,
            at("2008-04-03 18:26:32Z").await,
            at("2008-04-04 18:26:32Z").await,
        ];
        assert_eq!(held, [0, 1, 1, 0, 0, 1, 0]);
        let holdings = rows(&world.db, "select * from reporting.holdings order by phone_number, held_from").await;
        assert_eq!((holdings.len(), &holdings[2]["held_until"]), (3, &json!(null)));
        assert!(holdings.iter().all(|holding| holding["account_sid"] == account.sid));

        let moves = format!(
            "select string_agg(cause::text, ' ' order by at) from reporting.moves where phone_number = {FIRST}"
        );
        assert_eq!(value(&world.db, &moves).await, "sale release restore release");
        let ends = "select string_agg(from_state || '>' || to_state, ' ' order by at) from reporting.moves where cause in ('sale', 'restore')
            and phone_number = 4158675309";
        assert_eq!(value(&world.db, ends).await, "available>in_use quarantined>in_use");
    });
}

#[test]
fn an_account_s_month_follows_the_calendar() {
    test(async |world| {
        let (account, _) = scene(world).await;
        let noted = "select count(*) from accounts where last_used_on = '2008-04-04'";
        eventually("its use is noted", async || world.value::<i64>(noted).await == 1).await;
        for (now, spent) in [("2008-04-30 23:59Z", 3.0), ("2008-05-01 00:00Z", 0.0), ("2008-03-31 23:59Z", 0.0)] {
            let mut session = world.db.begin().await.expect("a transaction");
            let clock = "select set_config('numberbank.now', $1, true)";
            sqlx::query(clock).bind(now).execute(&mut *session).await.expect("a clock");
            let shown = "select row_to_json(row)::text from reporting.accounts as row";
            let shown: String = sqlx::query_scalar(shown).fetch_one(&mut *session).await.expect("an account");
            let shown: Value = serde_json::from_str(&shown).expect("JSON");
            let expected = json!({ "sid": account.sid, "name": "Test", "status": "active", "reason": null,
                "balance": 47.0, "numbers_held": 1, "monthly_fees": 2.0, "spent_this_month": spent,
                "created_at": "2008-04-01T18:26:32+00:00", "owed": 0.0, "ref": null,
                "unpaid_since": null, "last_used_on": "2008-04-04", "owner_sid": null });
            assert_eq!(shown, expected, "{now}");
        }
        world.suspend(&account).await;
        assert_eq!(value(&world.db, "select (status, reason) from reporting.accounts").await, "(suspended,operator)");
    });
}

/// Ids are not sorted by time: what is dated in a month counts, whichever entries of the month before bound the search.
#[test]
fn what_was_spent_is_found_among_entries_of_months_before() {
    test(async |world| {
        let (one, other) = (world.account("0.00").await, world.account("0.00").await);
        world.on("2008-05-03T00:00:00Z");
        // The first was written while a clock was wrong. The third is of the day that the search begins with, and the
        // fifth is written after the fourth.
        for (account, at, cents) in [
            (&other, "2008-05-02 08:00", 128),
            (&one, "2008-03-30", 1),
            (&other, "2008-04-29 12:00", 2),
            (&one, "2008-05-01 00:00", 4),
            (&one, "2008-04-30 23:59", 8),
            (&one, "2008-05-02", 16),
            (&other, "2008-04-30 23:58", 32),
            (&other, "2008-05-02", 64),
        ] {
            let statement = format!(
                "set session_replication_role = replica;
                insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
                values (substr('{}', 3)::uuid, '{at} UTC', 'monthly_fee', -{cents}, 0, gen_random_uuid(), 1);
                set session_replication_role = origin",
                account.sid
            );
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&world.db).await.expect("an entry");
        }
        for (now, of_one, of_other) in [
            ("2008-05-03", 0.20, 1.92),
            ("2008-04-30", 0.08, 0.34),
            ("2008-03-31", 0.01, 0.0),
            ("2008-06-01", 0.0, 0.0),
        ] {
            let mut session = world.db.begin().await.expect("a transaction");
            let clock = "select set_config('numberbank.now', $1 || ' UTC', true)";
            sqlx::query(clock).bind(now).execute(&mut *session).await.expect("a clock");
            for (account, spent) in [(&one, of_one), (&other, of_other)] {
                let shown = "select spent_this_month::float8 from reporting.accounts where sid = $1";
                let shown = sqlx::query_scalar::<_, f64>(shown).bind(&account.sid).fetch_one(&mut *session).await;
                assert_eq!(shown.expect("an account"), spent, "{now}");
            }
        }
        sqlx::raw_sql(
            "set session_replication_role = replica; delete from ledger_entries; set session_replication_role = origin",
        )
        .execute(&world.db)
        .await
        .expect("deleted");
    });
}

#[test]
fn low_stock_is_what_is_below_its_threshold() {
    test(async |world| {
        world.stock(FIRST, 3).await;
        let low = async || {
            let low =
                "select string_agg(area_code || ':' || available, ' ' order by area_code) from reporting.low_stock";
            value(&world.db, &format!("select coalesce(({low}), '')")).await
        };
        let set = async |code: &str, count| {
            let code = code.parse().expect("an area code");
            inventory::set_threshold(&world.db, code, count).await.expect("a threshold");
        };
        set("415", 3).await;
        assert_eq!(low().await, "");
        set("415", 4).await;
        set("212", 1).await;
        assert_eq!(low().await, "212:0 415:3", "also where there is no stock at all");
        set("415", 0).await;
        assert_eq!(low().await, "212:0");
    });
}

#[test]
fn the_columns_are_a_promise_and_each_is_described() {
    test(async |world| {
        let columns = "select relname, string_agg(attname, ' ' order by attnum) as columns,
                bool_and(col_description(pg_class.oid, attnum) is not null)
                    and bool_and(obj_description(pg_class.oid, 'pg_class') is not null) as described
            from pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0
            where relnamespace = 'reporting'::regnamespace and relkind <> 'i' group by relname";
        let found: BTreeMap<_, _> = rows(&world.db, columns)
            .await
            .into_iter()
            .map(|row| (row["relname"].as_str().unwrap_or_default().to_owned(), row))
            .collect();
        assert_eq!(found.len(), VIEWS.len(), "{:?}", found.keys());
        for (view, columns) in VIEWS {
            let row = &found[view];
            assert_eq!(row["columns"], columns, "{view}");
            assert_eq!(row["described"], true, "every column of {view} has a comment");
        }
        let names = numberbank::reporting::list(&world.db).await.expect("the views");
        assert_eq!(names.len(), VIEWS.len());
        assert!(names.iter().all(|view| !view.shows.is_empty()));
    });
}

/// A user with the reporting role.
async fn reporter(world: &World) -> (String, Db) {
    let name = format!("reporter_of_{}", value(&world.db, "select current_database()").await);
    let statement = format!("create role {name} login in role numberbank_reporting");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&world.db).await.expect("a role");
    (name.clone(), db::for_command(&world.options.clone().username(&name)))
}

async fn refusal(db: &Db, statement: &str) -> Option<String> {
    let refused = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(db).await.err()?;
    refused.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

#[test]
fn the_role_reads_the_views_and_nothing_else() {
    test(async |world| {
        let (account, _) = scene(world).await;
        let key = world.key(&account, Scope::Main).await;
        let (name, reporter) = reporter(world).await;
        let secrets = "select encode(token_digest, 'hex') as digest, credential::text,
                (select encode(secret_digest, 'hex') from api_keys) as of_key from accounts";
        let secrets = rows(&world.db, secrets).await;
        let mut secrets: Vec<_> = secrets[0].as_object().expect("a row").values().cloned().collect();
        secrets.extend([json!("example.com"), json!(account.token), json!(key.secret)]);
        for (view, _) in VIEWS {
            let shown = json!(rows(&reporter, &format!("select * from reporting.{view}")).await).to_string();
            for secret in &secrets {
                assert!(!shown.contains(secret.as_str().expect("a text")), "{view} shows {secret}");
            }
            let elsewhere = format!("set search_path = ''; select * from reporting.{view}; reset search_path");
            assert_eq!(refusal(&reporter, &elsewhere).await, None, "{view} is the same from anywhere");
            let dropped = refusal(&reporter, &format!("drop view reporting.{view}")).await;
            assert_eq!(dropped.as_deref(), Some("42501"), "{view}");
        }
        for statement in [
            "select from accounts",
            "select from account_sums",
            "insert into prices values ('local', null, 1)",
            "update account_sums set balance = 1",
            "delete from idempotency_keys",
            "truncate stock",
            "alter table stock add column mine integer",
        ] {
            assert_eq!(refusal(&reporter, statement).await.as_deref(), Some("42501"), "{statement}");
        }
        let more = "select string_agg(pg_class.oid::regclass::text, ' ') as more from pg_class
            where relnamespace in ('public'::regnamespace, 'reporting'::regnamespace) and case
                when relkind = 'S' then has_sequence_privilege(oid, 'usage, select, update')
                when relkind in ('i', 'I') then false
                else has_table_privilege(oid, 'insert, update, delete, truncate, references, trigger')
                    or has_any_column_privilege(oid, 'insert, update, references')
                    or relnamespace = 'public'::regnamespace and has_any_column_privilege(oid, 'select') end";
        assert_eq!(rows(&reporter, more).await, [json!({ "more": null })]);
        for schema in ["public", "reporting", "pg_catalog"] {
            let refused = refusal(&reporter, &format!("create table {schema}.mine (id integer)")).await;
            assert_eq!(refused.as_deref(), Some("42501"), "{schema}");
        }
        assert_eq!(refusal(&reporter, "create schema mine").await.as_deref(), Some("42501"));
        assert_eq!(refusal(&reporter, "set role numberbank").await.as_deref(), Some("42501"));
        reporter.close().await;
        let gone = sqlx::raw_sql(AssertSqlSafe(format!("drop role {name}"))).execute(&world.db).await;
        gone.expect("the role is dropped");
    });
}
