//! The questions of docs/reporting.md: each is run as it stands there.

use numberbank::accounts::{self, AuthToken, New};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Account, World, test};

/// The statements of the document, by the comment that each begins with.
fn questions() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reporting.md");
    let paper = std::fs::read_to_string(path).expect("the document");
    let (_, section) = paper.split_once("\n## Ten questions\n").expect("its questions");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let question = |block: &str| {
        let (title, statement) = block.split_once('\n').expect("a title and a statement");
        let statement = statement.trim().trim_end_matches(';');
        (title.trim_start_matches("-- ").to_owned(), statement.to_owned())
    };
    blocks.map(question).collect()
}

async fn account(world: &World, name: &str, balance: &str) -> Account {
    let (name, balance) = (name.parse().expect("a name"), balance.parse().expect("money"));
    let made = accounts::create_with(
        &world.db,
        &world.clock,
        New { name: &name, reference: None, balance },
        AuthToken::random(),
    )
    .await;
    let made = made.expect("an account");
    Account { sid: made.sid.to_string(), token: made.auth_token.reveal().to_owned() }
}

/// Acme holds one number of two that it bought, and Other one that it cannot pay any more.
async fn scene(world: &World) {
    world.on("2026-11-01T12:00:00Z");
    let (acme, other) = (account(world, "Acme", "10.00").await, account(world, "Other", "3.00").await);
    world.stock(4_158_671_531, 1).await;
    let first = world.server.buy(&acme, &[]).await.element("Sid");
    world.on("2026-11-02T12:00:00Z");
    world.stock(8_005_550_100, 1).await;
    world.server.post(&other, "/IncomingPhoneNumbers/TollFree", &[]).await.assert_status(201);
    world.on("2026-11-03T12:00:00Z");
    world.stock(4_158_671_532, 1).await;
    world.server.buy(&acme, &[]).await.assert_status(201);
    world.on("2026-11-10T12:00:00Z");
    world.server.release(&acme, &first).await.assert_status(204);
    world.stock(4_158_671_540, 6).await;
    world.stock(8_005_550_101, 1).await;
    world.on("2026-12-05T12:00:00Z");
    world.bill().await;
    let told = format!(
        "insert into imports (at, file, operator, added, already_known, changed, rejected)
        values ('2026-11-01', 'bell.csv', 'ann', 2, 0, 0, 0), ('2026-11-02', 'toll.csv', 'ann', 1, 0, 0, 0);
        update stock set provider = 'Bell', provider_cost = 3500, import_id = 1 where phone_number in (4158671531, 4158671532);
        update stock set provider = 'Toll', provider_cost = 5000, import_id = 2 where phone_number = 8005550100;
        insert into price_changes (at, kind, account_sid, price, operator) values
            ('2026-11-05', 'local', substr('{}', 3)::uuid, 80, 'ann'), ('2026-11-06', 'local', substr('{}', 3)::uuid, 70, 'ann')",
        acme.sid, other.sid
    );
    sqlx::raw_sql(AssertSqlSafe(told)).execute(&world.db).await.expect("it is told");
}

/// The answer to a question, asked on 26 November 2026.
async fn answer(world: &World, statement: &str) -> Value {
    let mut session = world.db.begin().await.expect("a transaction");
    let clock = "select set_config('numberbank.now', '2026-11-26 12:00Z', true)";
    sqlx::query(clock).execute(&mut *session).await.expect("a clock");
    let statement = format!("select row_to_json(row)::text from ({statement}) as row");
    let rows: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut *session).await.expect("an answer");
    rows.iter().map(|row| serde_json::from_str::<Value>(row).expect("JSON")).collect()
}

/// The answers that are right.
fn answers() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Margin per carrier",
            json!([
                { "provider": "Toll", "numbers": 1, "monthly_fees": 2.0, "provider_cost": 0.5, "margin": 1.5 },
                { "provider": "Bell", "numbers": 1, "monthly_fees": 1.0, "provider_cost": 0.35, "margin": 0.65 },
            ]),
        ),
        (
            "Sales by day",
            json!([
                { "day": "2026-11-01", "kind": "local", "sold": 1, "amount": 1.0 },
                { "day": "2026-11-02", "kind": "tollfree", "sold": 1, "amount": 2.0 },
                { "day": "2026-11-03", "kind": "local", "sold": 1, "amount": 1.0 },
            ]),
        ),
        (
            "What came in with one import",
            json!([
                { "file": "bell.csv", "kind": "local", "area_code": 415, "state": "in_use", "numbers": 1,
                  "provider_cost": 0.35 },
                { "file": "bell.csv", "kind": "local", "area_code": 415, "state": "quarantined", "numbers": 1,
                  "provider_cost": 0.35 },
            ]),
        ),
        (
            "Prices of an account, its own and everybody's, and when they changed",
            json!([
                { "kind": "local", "price": 1.0, "own": false, "operator": null },
                { "kind": "tollfree", "price": 2.0, "own": false, "operator": null },
                { "at": "2026-11-05T00:00:00+00:00", "kind": "local", "price": 0.8, "own": true, "operator": "ann" },
            ]),
        ),
        (
            "Unpaid since when, and what is missing",
            json!([{ "name": "Other", "unpaid_since": "2026-12-05T12:00:00+00:00", "owed": 2.0, "missing": 1.0 }]),
        ),
        (
            "Which month a fee was for",
            json!([
                { "phone_number": 4_158_671_531_i64, "amount": -1.0, "period_from": "2026-11-01", "period_to": "2026-12-01" },
                { "phone_number": 4_158_671_532_i64, "amount": -1.0, "period_from": "2026-11-03", "period_to": "2026-12-03" },
                { "phone_number": 4_158_671_532_i64, "amount": -1.0, "period_from": "2026-12-03", "period_to": "2027-01-03" },
            ]),
        ),
        (
            "When a quarantine ends",
            json!([{ "phone_number": 4_158_671_531_i64, "state_since": "2026-11-10T12:00:00+00:00",
                "back_on_sale": "2026-12-25T12:00:00+00:00" }]),
        ),
        (
            "Accounts that run dry: their balance does not cover the fees of the next 30 days",
            json!([{ "name": "Other", "balance": 1.0, "due": 2.0, "first_due": "2026-12-02" }]),
        ),
        (
            "For how many days the stock lasts, by area code: at the pace of the last 30 days",
            json!([
                { "kind": "tollfree", "area_code": 800, "available": 1, "sold": 1, "days_left": 30.0 },
                { "kind": "local", "area_code": 415, "available": 6, "sold": 2, "days_left": 90.0 },
            ]),
        ),
        (
            "Who held this number on that day",
            json!([{ "name": "Acme", "held_from": "2026-11-01T12:00:00+00:00", "held_until": "2026-11-10T12:00:00+00:00" }]),
        ),
    ]
}

#[test]
fn every_question_has_its_answer() {
    test(async |world| {
        scene(world).await;
        let (questions, answers) = (questions(), answers());
        assert!(questions.iter().map(|(title, _)| title).eq(answers.iter().map(|(title, _)| title)), "{questions:?}");
        for ((title, statement), (_, right)) in questions.iter().zip(&answers) {
            let mut found = answer(world, statement).await;
            // The first prices are as old as the database.
            for row in found.as_array_mut().into_iter().flatten().filter(|row| row["operator"].is_null()) {
                row.as_object_mut().map(|row| row.remove("at"));
            }
            assert_eq!(found, *right, "{title}");
        }
    });
}
