//! The time of a world: what falls due on the way, that everything tells the same time, and the way back.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::signal::Signal;
use numberbank::values::clock::Clock;
use serde_json::{Value, json};

use crate::home::{Home, Ran, Running, eventually, program};
use crate::staging::{ACCOUNT, CONTROL, TOKEN, start, texts, url};

/// A second account, which has little money.
const POOR: &str = "AC00000000000000000000000000000002";

fn seed() -> Value {
    json!({
        "seed": 42, "clock": { "at": "2026-01-31T12:00:00Z", "stand": true }, "quarantine_days": 30, "grace_days": 10,
        "prices": { "local": "1.00", "tollfree": "2.00" }, "stock": ["4158670000-4158670019"],
        "accounts": [
            {
                "sid": ACCOUNT, "auth_token": TOKEN, "name": "Acme", "balance": "5000.00",
                "numbers": [{ "phone_number": "4158675309" }],
            },
            {
                "sid": POOR, "auth_token": TOKEN, "name": "Poor", "balance": "3.00",
                "numbers": [{ "phone_number": "4158675310" }, { "phone_number": "4158675311" }],
            },
        ],
    })
}

/// A named world of this seed.
fn world(home: &Home, name: &str, seed: &Value) -> Running {
    start(home, &["--name", name, "--seed", &home.file(&format!("{name}.json"), &seed.to_string())])
}

fn clock(world: &Running, change: &str) -> (u16, Value) {
    let (status, body) = world.control("POST", "/clock", "control", change);
    (status, serde_json::from_str(&body).expect("JSON"))
}

/// Moves the clock on to a time; returns what fell due.
fn go_to(world: &Running, to: &str) -> Value {
    let (status, done) = clock(world, &json!({ "to": to }).to_string());
    assert_eq!(status, 200, "{done} {}", world.err());
    done
}

fn now(world: &Running) -> String {
    let (status, body) = world.control("GET", "/clock", "control", "");
    assert_eq!(status, 200);
    let shown: Value = serde_json::from_str(&body).expect("JSON");
    shown["now"].as_str().expect("a time").to_owned()
}

fn operate(home: &Home, name: &str, arguments: &[&str]) -> Value {
    home.json(&[arguments, &["--world", name]].concat())
}

/// The times of an account's fees, the oldest first.
fn fees(home: &Home, name: &str, account: &str) -> Vec<String> {
    let entries = operate(home, name, &["account", "ledger", account, "--kind", "monthly_fee"]);
    let mut times: Vec<_> = entries
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["at"].as_str().expect("a time").to_owned())
        .collect();
    times.sort();
    times
}

#[test]
fn an_advance_does_what_falls_due_at_each_midnight_in_order() {
    let home = Home::new();
    let world = world(&home, "moved", &seed());
    let operate = |arguments: &[&str]| operate(&home, "moved", arguments);
    let path = |account: &str| format!("/2010-04-01/Accounts/{account}/IncomingPhoneNumbers.json");
    let (status, bought) = world.call("POST", &path(POOR), [POOR, TOKEN], "AreaCode=415");
    assert_eq!(status, 201, "{bought}");
    let bought: Value = serde_json::from_str(&bought).expect("JSON");
    let free = format!("/2010-04-01/Accounts/{POOR}/IncomingPhoneNumbers/{}.json", bought["sid"].as_str().expect("it"));
    assert_eq!(world.call("DELETE", &free, [POOR, TOKEN], "").0, 204);

    // The month ends on the last day of February. One fee is paid; for the two others there is nothing left.
    assert_eq!(
        clock(&world, r#"{"advance":"P1M"}"#),
        (
            200,
            json!({
                "from": "2026-01-31T12:00:00.000Z", "to": "2026-02-28T12:00:00.000Z", "charged": 1, "amount": "1.00",
                "suspended": [POOR], "activated": [], "released": [], "recycled": 0,
            })
        )
    );
    assert_eq!(fees(&home, "moved", "Acme"), ["2026-02-28T00:00:00.000Z"]);
    assert_eq!(world.call("POST", &path(POOR), [POOR, TOKEN], "AreaCode=415").0, 403);
    let back_on_sale = "2026-03-02T12:00:00.000Z";
    let inventory = operate(&["report", "inventory", "--number", "4158670000"]);
    assert_eq!((&inventory[0]["state"], &inventory[0]["back_on_sale"]), (&json!("quarantined"), &json!(back_on_sale)));

    // No view contradicts another, nor the service: the fees of the next month are owed from its first moment on.
    assert_views_agree(&home, "2.00");
    assert_eq!(go_to(&world, "2026-03-02T23:59:59Z")["recycled"], 0);
    assert_eq!(go_to(&world, "2026-03-03T00:00:00Z")["recycled"], 1, "at the midnight that follows");
    let moved = operate(&["report", "moves", "--number", "4158670000"]);
    let moved = moved.as_array().and_then(|moves| moves.last().cloned()).expect("a move");
    assert_eq!((&moved["cause"], &moved["at"]), (&json!("recycle"), &json!("2026-03-03T00:00:00.000Z")));
    let (status, sold) = world.call("POST", &path(ACCOUNT), [ACCOUNT, TOKEN], "AreaCode=415");
    let sold: Value = serde_json::from_str(&sold).expect("JSON");
    assert_eq!((status, &sold["phone_number"]), (201, &json!("+14158670000")));
    assert_eq!(sold["date_created"], "Tue, 03 Mar 2026 00:00:00 +0000");

    // A credit activates; the next fees find nothing again, and after ten days the numbers go.
    let paid = operate(&["account", "credit", "Poor", "2.00"]);
    assert_eq!((&paid["activated"], &paid["charged"]), (&json!(true), &json!(2)));
    assert_eq!(go_to(&world, "2026-03-31T00:00:00Z")["suspended"], json!([POOR]));
    assert_views_agree(&home, "2.00");
    let last = go_to(&world, "2026-04-09T23:00:00Z");
    assert_eq!((&last["released"], &last["charged"]), (&json!([]), &json!(1)), "Acme's second number");
    let went = go_to(&world, "2026-06-01T00:00:00Z");
    assert_eq!(went["released"].as_array().map(Vec::len), Some(2), "{went}");
    assert_eq!(
        (&went["activated"], &went["recycled"]),
        (&json!([POOR]), &json!(2)),
        "nothing is owed, and they are back"
    );
    let lost = operate(&["report", "moves", "--number", "4158675310"]);
    let lost: Vec<_> = lost.as_array().expect("moves").iter().map(|moved| [&moved["cause"], &moved["at"]]).collect();
    let lost = &lost[lost.len() - 2..];
    assert_eq!(lost[0], [&json!("unpaid"), &json!("2026-04-10T00:00:00.000Z")]);
    assert_eq!(lost[1], [&json!("recycle"), &json!("2026-05-10T00:00:00.000Z")]);
    let acme = ["02-28", "03-31", "04-03", "04-30", "05-03", "05-31"].map(|day| format!("2026-{day}T00:00:00.000Z"));
    assert_eq!(fees(&home, "moved", "Acme"), acme);
    assert_eq!(operate(&["audit"])["ok"], true);

    // A run by hand comes too late, and one that is to come is refused.
    let nothing = json!({ "charged": 0, "amount": "0.00", "suspended": 0, "activated": 0, "released": 0 });
    assert_eq!(operate(&["bill"]), nothing);
    assert_eq!(operate(&["bill", "--as-of", "2026-06-01"]), nothing);
    for command in ["bill", "recycle"] {
        let refused = home.run(&[command, "--world", "moved", "--as-of", "2026-06-02"]);
        refused.assert_refused("numberbank staging clock");
        operate(&[command, "--as-of", "2026-06-02", "--dry-run"]);
    }
    let days = "select string_agg(days::text, ' ') from quarantine_lengths";
    assert_eq!(texts(&url(&home, "nbworld_moved"), days).expect("days"), ["30 30"], "those of the world");
}

/// What Poor owes is the same for every view and command, and the time is the world's.
#[track_caller]
fn assert_views_agree(home: &Home, owed: &str) {
    let operate = |arguments: &[&str]| operate(home, "moved", arguments);
    let accounts = operate(&["report", "accounts"]);
    let poor = accounts.as_array().expect("rows").iter().find(|row| row["sid"] == POOR).cloned().expect("it");
    let shown = operate(&["account", "show", "Poor"]);
    assert_eq!((&poor["owed"], &shown["owed"]), (&json!(owed), &json!(owed)));
    let holdings = operate(&["report", "holdings", "--account", POOR]);
    assert!(holdings.as_array().is_some_and(|rows| rows.len() >= 2), "{holdings}");
    let database = url(home, "nbworld_moved");
    let of_views = "select to_char(reporting.moment() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')";
    let of_world = "select to_char(stands_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') from staging.world";
    assert_eq!(texts(&database, of_views).expect("a time"), texts(&database, of_world).expect("a time"));
    // Those who may only read reports see it too, and a session's own time comes first.
    let reader = "set role numberbank_reporting";
    let as_reader = |statement: &str| texts_after(&database, reader, statement);
    assert_eq!(as_reader(of_views), texts(&database, of_world).expect("a time"));
    let asked = texts_after(&database, "set numberbank.now = '2031-05-06 07:08:09Z'", of_views);
    assert_eq!(asked, ["2031-05-06 07:08:09"]);
}

/// The texts of a query in a session of its own, after another statement.
fn texts_after(url: &str, first: &str, statement: &str) -> Vec<String> {
    use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = numberbank::db::options(url).expect("a URL");
        let mut session = PgConnection::connect_with(&options).await.expect("a session");
        sqlx::raw_sql(AssertSqlSafe(first.to_owned())).execute(&mut session).await.expect("it is done");
        let rows = sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut session).await.expect("rows");
        rows.iter().map(|row| row.get(0)).collect()
    })
}

#[test]
fn a_clock_goes_forward_only_and_a_reset_takes_it_back() {
    let home = Home::new();
    let world = world(&home, "back", &seed());
    for (change, says) in [
        (r#"{"to":"2026-01-31T11:59:59Z"}"#, "goes forward only: it is 2026-01-31T12:00:00.000Z now"),
        (r#"{"to":"2007-12-31T00:00:00Z"}"#, "a time from 2008"),
        (r#"{"to":"2226-01-01T00:00:00Z"}"#, "a hundred years"),
        (r#"{"advance":"P101Y"}"#, "a hundred years"),
        (r#"{"advance":"P9999999999W"}"#, "a hundred years"),
        (r#"{"advance":"-P1M"}"#, "'-P1M': a duration of ISO 8601"),
        (r#"{"advance":"P1M","stand":true}"#, "one of advance, to, stand"),
        (r#"{"stand":false}"#, "one of advance, to, stand"),
        ("{}", "one of advance, to, stand"),
        (r#"{"back":"P1M"}"#, "unknown field `back`"),
    ] {
        let (status, told) = clock(&world, change);
        assert!(status == 400 && told["message"].as_str().is_some_and(|text| text.contains(says)), "{change}: {told}");
    }
    assert_eq!(now(&world), "2026-01-31T12:00:00.000Z");
    // An account of the world may, by its own credentials.
    let advance = |token| world.call("POST", "/staging/clock", [ACCOUNT, token], r#"{"advance":"PT36H"}"#).0;
    assert_eq!((advance("wrong"), advance(TOKEN)), (401, 200));
    assert_eq!(world.control("POST", "/snapshots", "control", r#"{"name":"later"}"#).0, 201);
    go_to(&world, "2026-03-15T00:00:00Z");
    let reset = |to: &str| world.control("POST", "/reset", "control", to).0;
    assert_eq!((reset(r#"{"to":"later"}"#), now(&world)), (200, "2026-02-02T00:00:00.000Z".to_owned()));
    assert_eq!(clock(&world, r#"{"run":true}"#).1["state"], "runs");
    assert_eq!((reset(""), now(&world)), (200, "2026-01-31T12:00:00.000Z".to_owned()));
    let moment = "select reporting.moment()::text";
    assert_eq!(texts(&url(&home, "nbworld_back"), moment).expect("a time"), ["2026-01-31 12:00:00+00"]);

    let command = |arguments: &[&str]| {
        let mut command = program(&[&["staging", "clock", "--output", "json"], arguments].concat());
        Ran::of(command.args(["--url", &world.site()]).envs(CONTROL).output())
    };
    assert_eq!(command(&[]).done_json(), json!({ "now": "2026-01-31T12:00:00.000Z", "state": "stands" }));
    assert_eq!(command(&["--advance", "P1D"]).done_json()["to"], "2026-02-01T12:00:00.000Z");
    assert_eq!(command(&["--to", "2026-02-28T00:00:00Z"]).done_json()["charged"], 2);
    assert_eq!(command(&["--run"]).done_json()["state"], "runs");
    assert_eq!(command(&["--stand"]).done_json()["state"], "stands");
    command(&["--to", "2026-01-01T00:00:00Z"]).assert_refused("goes forward only");
    command(&["--stand", "--run"]).assert_bad_usage();
}

/// How far a time is from the machine's.
fn ahead(time: &str) -> TimeDelta {
    time.parse::<DateTime<Utc>>().expect("a time") - Clock::System.now()
}

#[test]
fn a_clock_that_runs_tells_one_time_to_all_and_after_a_restart() {
    let home = Home::new();
    let mut seed = seed();
    seed["clock"] = json!({ "at": "2026-01-31T12:00:00Z" });
    let mut first = world(&home, "runs", &seed);
    let begun = ahead("2026-01-31T12:00:00Z");
    let near = |time: &str, expected: TimeDelta| (ahead(time) - expected).abs() < TimeDelta::seconds(60);
    assert!(near(&now(&first), begun), "{}", now(&first));
    let done = clock(&first, r#"{"advance":"P28D"}"#).1;
    assert_eq!(done["charged"], 2, "{done}");
    let gone = begun + TimeDelta::days(28);
    let database = url(&home, "nbworld_runs");
    let of_views =
        || texts(&database, "select to_char(reporting.moment(), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')").expect("it");
    assert!(near(&now(&first), gone) && near(&of_views()[0], gone), "{} {:?}", now(&first), of_views());
    let made = operate(&home, "runs", &["account", "create", "--name", "New"]);
    let created = operate(&home, "runs", &["account", "show", made["sid"].as_str().expect("a Sid")]);
    assert!(near(created["created_at"].as_str().expect("a time"), gone), "{created}");
    first.signal(Signal::SIGTERM);
    assert_eq!(first.ended(), Some(0));

    // While it was stopped, it ran: as if the process had been down for two months.
    let hold = home.begin(&["staging", "--bind", "127.0.0.1:0"]);
    eventually("there is a PostgreSQL", || hold.out().contains("listening"));
    texts(&database, "update staging.world set ahead = ahead + 31 * 86400000000").expect("later");
    let again = start(&home, &["--name", "runs"]);
    assert!(near(&now(&again), gone + TimeDelta::days(31)), "{}", now(&again));
    eventually("what fell due is done by itself", || fees(&home, "runs", "Acme").len() == 2);
}

#[test]
fn nothing_falls_due_by_itself_while_a_clock_stands() {
    let home = Home::new();
    let world = world(&home, "still", &seed());
    drop(world);
    let hold = home.begin(&["staging", "--bind", "127.0.0.1:0"]);
    eventually("there is a PostgreSQL", || hold.out().contains("listening"));
    let database = url(&home, "nbworld_still");
    texts(&database, "update staging.world set stands_at = '2026-03-01'").expect("later");
    let again = start(&home, &["--name", "still"]);
    assert_eq!(now(&again), "2026-03-01T00:00:00.000Z");
    assert_eq!(fees(&home, "still", "Acme"), Vec::<String>::new());
    // When the clock is moved, work that was left undone is done first, and dated at that moment.
    assert_eq!(go_to(&again, "2026-03-01T12:00:00Z")["charged"], 2);
    assert_eq!(fees(&home, "still", "Acme"), ["2026-03-01T00:00:00.000Z"]);
    assert_eq!(go_to(&again, "2026-03-02T12:00:00Z")["charged"], 0);
}

#[test]
fn worlds_that_were_advanced_alike_give_the_same_bytes() {
    let home = Home::new();
    let session = |world: &Running| {
        let root = format!("/2010-04-01/Accounts/{ACCOUNT}");
        let call = |method: &str, path: &str, form: &str| {
            world.call(method, path, [ACCOUNT, TOKEN], form).1.replace(&world.site(), "http://world")
        };
        let mut answers = Vec::new();
        for change in [r#"{"advance":"P1M"}"#, r#"{"advance":"P1M2DT3H"}"#, r#"{"to":"2027-01-31T00:00:00Z"}"#] {
            answers.push(call("POST", &format!("{root}/IncomingPhoneNumbers.json"), "AreaCode=415"));
            answers.push(clock(world, change).1.to_string());
            answers.push(call("GET", &format!("{root}/IncomingPhoneNumbers.json"), ""));
            answers.push(call("GET", &format!("/2008-08-01/Accounts/{ACCOUNT}/Balance"), ""));
        }
        answers
    };
    let (one, two) = (world(&home, "one", &seed()), world(&home, "two", &seed()));
    let first = session(&one);
    assert_eq!(first, session(&two));
    assert_eq!(one.control("POST", "/reset", "control", "").0, 200);
    assert_eq!(first, session(&one), "and after a reset");
}

#[test]
fn a_key_is_remembered_for_a_day_of_the_world() {
    let home = Home::new();
    let world = world(&home, "keys", &seed());
    let buy = || {
        let path = format!("{}/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json", world.site());
        let call = reqwest::Client::new().post(path).basic_auth(ACCOUNT, Some(TOKEN)).header("Idempotency-Key", "k");
        let (status, body) = crate::home::fetch(call.body("AreaCode=415"));
        let bought: Value = serde_json::from_str(&body).expect("JSON");
        (status, bought["sid"].clone())
    };
    let first = buy();
    assert_eq!(clock(&world, r#"{"advance":"PT23H"}"#).0, 200);
    assert_eq!(buy(), first);
    assert_eq!(clock(&world, r#"{"advance":"PT2H"}"#).0, 200);
    assert_ne!(buy().1, first.1, "another purchase");
}

#[test]
fn an_advance_that_fails_is_dated_no_later_than_the_clock_and_goes_on() {
    let home = Home::new();
    let world = world(&home, "fails", &seed());
    let database = url(&home, "nbworld_fails");
    texts(&database, "create function fail() returns trigger language plpgsql as 'begin raise ''no''; end'")
        .expect("a function");
    let trigger =
        "create trigger fail before insert on ledger_entries for each row when (new.month = 2) execute function fail()";
    texts(&database, trigger).expect("a trigger");
    let (status, told) = clock(&world, r#"{"advance":"P3M"}"#);
    let message = told["message"].as_str().expect("a message");
    assert!(status == 503 && message.contains("Its clock is at 2026-03-31T00:00:00.000Z"), "{told}");
    assert!(!message.contains("raise") && world.says("was not moved on to its end"), "{told}");
    assert_eq!(now(&world), "2026-03-31T00:00:00.000Z", "where the fee is due that failed");
    texts(&database, "drop trigger fail on ledger_entries").expect("dropped");
    go_to(&world, "2026-04-30T12:00:00Z");
    let months = ["2026-02-28T00:00:00.000Z", "2026-03-31T00:00:00.000Z", "2026-04-30T00:00:00.000Z"];
    assert_eq!(fees(&home, "fails", "Acme"), months);
    assert_eq!(operate(&home, "fails", &["audit"])["ok"], true);
}

#[test]
fn a_hundred_years_of_advances_charge_1200_fees_a_number() {
    let home = Home::new();
    let mut seed = seed();
    seed["accounts"][1]["balance"] = json!("5000.00");
    let world = world(&home, "century", &seed);
    let begun = Instant::now();
    let done = clock(&world, r#"{"advance":"P100Y"}"#);
    let took = begun.elapsed();
    assert_eq!((done.0, &done.1["charged"], &done.1["amount"]), (200, &json!(3600), &json!("3600.00")), "{}", done.1);
    assert!(took < Duration::from_mins(1), "days on which nothing is due cost nothing: {took:?}");
    assert_eq!(now(&world), "2126-01-31T12:00:00.000Z");
    assert_eq!(operate(&home, "century", &["audit"])["ok"], true);
}
