//! Every command, in both forms, with its exit codes.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::home::{Home, Ran, Running, eventually, program};

/// A server, so that the commands find PostgreSQL running, and an account with two numbers.
struct Scene {
    // Dropped before its home: the server would restart PostgreSQL.
    server: Running,
    home: Home,
    sid: String,
    token: String,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let server = home.start("serve", &[]);
        let account = home.json(&["account", "create", "--name", "Acme", "--balance", "100.00"]);
        let text = |name: &str| account[name].as_str().expect(name).to_owned();
        assert_eq!(account["balance"], "100.00");
        let (sid, token) = (text("sid"), text("auth_token"));
        assert!(sid.starts_with("AC") && sid.len() == 34 && token.len() == 32);
        Self { server, home, sid, token }
    }

    fn buy(&self, kind: &str) -> String {
        let path = format!("/2008-08-01/Accounts/{}/IncomingPhoneNumbers/{kind}.json", self.sid);
        let (status, body) = self.server.call("POST", &path, [&self.sid, &self.token], "");
        assert_eq!(status, 201, "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        body["TwilioResponse"]["IncomingPhoneNumber"]["Sid"].as_str().expect("a Sid").to_owned()
    }

    fn status(&self) -> u16 {
        let path = format!("/2008-08-01/Accounts/{}", self.sid);
        self.server.call("GET", &path, [&self.sid, &self.token], "").0
    }
}

#[test]
fn accounts_and_their_money() {
    let scene = Scene::new();
    let (home, sid) = (&scene.home, scene.sid.as_str());
    let other = home.json(&["account", "create", "--name", "Other"]);
    assert_eq!(other["balance"], "0.00");

    let list = home.json(&["account", "list"]);
    assert_eq!(
        (list.as_array().map(Vec::len), &list[0]["sid"], &list[1]["sid"]),
        (Some(2), &json!(sid), &other["sid"])
    );
    let table = home.table(&["account", "list"]);
    assert!(table.lines().count() == 3 && table.contains("Acme") && table.contains("Other"), "{table}");
    let shown = home.json(&["account", "show", sid]);
    assert_eq!(
        (&shown["name"], &shown["status"], &shown["balance"]),
        (&json!("Acme"), &json!("active"), &json!("100.00"))
    );
    assert!(home.table(&["account", "show", sid]).contains("100.00"));

    assert_eq!(home.json(&["account", "credit", sid, "25.00", "--note", "a gift"])["balance"], "125.00");
    assert_eq!(home.json(&["account", "debit", sid, "0.5"])["balance"], "124.50");
    home.run(&["account", "debit", sid, "124.51"]).assert_refused("balance");
    home.run(&["account", "credit", sid, "0"]).assert_refused("0.00");
    assert_eq!(home.json(&["account", "show", sid])["balance"], "124.50");

    assert_eq!(home.json(&["account", "suspend", sid])["status"], "suspended");
    assert_eq!(home.json(&["account", "activate", sid])["status"], "active");
    assert_eq!(scene.status(), 200);
    let rotated = home.json(&["account", "rotate-token", sid, "--yes"]);
    assert_ne!(rotated["auth_token"], json!(scene.token));
    eventually("the old token stops working", || scene.status() == 401);

    let nobody = format!("AC{}", "0".repeat(32));
    for verb in ["show", "suspend", "activate", "close", "rotate-token"] {
        home.run(&["account", verb, &nobody]).assert_refused(&nobody);
    }
    home.run(&["account", "credit", &nobody, "1.00"]).assert_refused(&nobody);
}

#[test]
fn an_account_is_closed_once_its_numbers_are_released() {
    let scene = Scene::new();
    let (home, sid) = (&scene.home, scene.sid.as_str());
    home.json(&["inventory", "add", "4158670000-4158670009", "8005550100"]);
    scene.buy("Local");
    scene.buy("TollFree");
    home.run(&["account", "close", sid, "--yes"]).assert_refused("still holds 2 numbers");
    assert_eq!(home.json(&["account", "show", sid])["status"], "active");
    let close = ["account", "close", sid, "--release-numbers", "--yes"];
    home.run(&close).assert_refused("still has 97.00: close it with --refund");
    home.run(&[&close[..], &["--refund", "--keep-balance"]].concat()).assert_bad_usage();
    let closed = home.json(&[&close[..], &["--refund", "--note", "moved away"]].concat());
    assert_eq!((&closed["status"], &closed["released"]), (&json!("closed"), &json!(2)));
    assert_eq!((&closed["refunded"], &closed["balance"]), (&json!("97.00"), &json!("0.00")));
    assert_eq!(home.json(&["account", "show", sid])["events"][0]["note"], "moved away");
    eventually("the account is gone", || scene.status() == 401);
    for verb in [&["activate"][..], &["suspend"], &["rotate-token", "--yes"]] {
        home.run(&[&["account", verb[0], sid], &verb[1..]].concat()).assert_refused("closed");
    }
    assert_eq!(home.json(&["audit"])["ok"], true);
}

#[test]
fn a_closing_that_is_interrupted_says_what_stands_and_goes_on() {
    let scene = Scene::new();
    let (home, sid) = (&scene.home, scene.sid.as_str());
    home.json(&["inventory", "add", "4158670000-4158670299", "8005550100"]);
    home.json(&["account", "credit", sid, "200.00"]);
    for _ in 0..250 {
        scene.buy("Local");
    }
    scene.buy("TollFree");
    // The last number takes for ever.
    home.sql(
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(600); return new; end'",
    )
    .expect("a function");
    home.sql(
        "create trigger slow before update on stock for each row when (new.kind = 'tollfree') execute function slow()",
    )
    .expect("a trigger");
    let close = ["account", "close", sid, "--release-numbers", "--keep-balance", "--yes"];
    let mut command = home.begin(&close);
    eventually("most have gone", || home.json(&["account", "show", sid])["local_numbers"] == 0);
    command.signal(Signal::SIGINT);
    let mut code = None;
    eventually("it ends", || {
        code = command.ended();
        code.is_some()
    });
    let told = "interrupted: the account is suspended, and 250 of its numbers were released; the same command goes on";
    assert!(code == Some(130) && command.says(told), "{code:?} {}", command.err());
    let action = home.json(&["report", "operator_actions"]).as_array().and_then(|all| all.last().cloned());
    let action = action.expect("its entry");
    assert_eq!((&action["outcome"], &action["counts"]["released"]), (&json!("interrupted"), &json!(250)));
    let shown = home.json(&["account", "show", sid]);
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("suspended"), &json!("operator")));
    assert_eq!((&shown["events"][0]["note"], &shown["tollfree_numbers"]), (&json!("to be closed"), &json!(1)));
    home.sql("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'")
        .expect("it is ended");
    home.sql("drop trigger slow on stock").expect("it is quick again");
    let closed = home.json(&close);
    assert_eq!((&closed["status"], &closed["released"]), (&json!("closed"), &json!(1)));
    assert_eq!(home.json(&["audit"])["ok"], true);
}

#[test]
fn stock_prices_and_the_life_of_a_number() {
    let scene = Scene::new();
    let (home, sid) = (&scene.home, scene.sid.as_str());
    let added = home.json(&["inventory", "add", "(415) 867-0000 - 415-867-0009", "+1 800 555 0100"]);
    assert_eq!(added, json!({ "added": 11, "already_known": 0, "rejected": 0 }));
    let again = home.json(&["inventory", "add", "4158670005-4158670014"]);
    assert_eq!(again, json!({ "added": 5, "already_known": 5, "rejected": 0 }));

    assert_eq!(
        home.json(&["inventory", "withdraw", "415-867-0000", "tel:+14158670001"]),
        json!({ "withdrawn": 2, "already_withdrawn": 0 })
    );
    assert_eq!(home.json(&["inventory", "return", "4158670001"]), json!({ "returned": 1, "already_available": 0 }));
    home.run(&["inventory", "withdraw", "4158670002", "2128670000"]).assert_refused("2128670000 is not in stock");
    assert_eq!(
        home.json(&["inventory", "withdraw", "415-867-0002-415-867-0005"]),
        json!({ "withdrawn": 4, "already_withdrawn": 0 })
    );
    assert_eq!(
        home.json(&["inventory", "return", "4158670002-4158670005"]),
        json!({ "returned": 4, "already_available": 0 })
    );
    home.run(&["inventory", "withdraw", "4152000000-4153999999"]).assert_refused("more than the 100000");
    let listed = |arguments: &[&str]| {
        let list = home.json(&[&["inventory", "list"], arguments].concat());
        list.as_array().expect("a list").len()
    };
    assert_eq!((listed(&[]), listed(&["--kind", "tollfree"]), listed(&["--area-code", "415"])), (16, 1, 15));
    assert_eq!((listed(&["--state", "withdrawn"]), listed(&["--state", "available", "--area-code", "415"])), (1, 14));
    assert_eq!(listed(&["--area-code", "212"]), 0);
    assert_eq!(home.table(&["inventory", "list"]).lines().count(), 17);

    assert_eq!(home.json(&["price", "set", "local", "1.15"])["price"], "1.15");
    home.json(&["price", "set", "tollfree", "0", "--account", sid]);
    let prices = home.json(&["price", "list"]);
    let expected = json!([
        { "kind": "local", "account_sid": null, "price": "1.15" },
        { "kind": "tollfree", "account_sid": null, "price": "2.00" },
        { "kind": "tollfree", "account_sid": sid, "price": "0.00" }
    ]);
    assert_eq!(prices, expected);
    assert!(home.table(&["price", "list"]).contains("1.15"));

    let (local, tollfree) = (scene.buy("Local"), scene.buy("TollFree"));
    assert_eq!(home.json(&["account", "show", sid])["balance"], "98.85");
    let number = home.json(&["number", "show", &local]);
    assert_eq!(
        (&number["kind"], &number["state"], &number["holder"]),
        (&json!("local"), &json!("in_use"), &json!(sid))
    );
    assert_eq!(number["history"].as_array().map(Vec::len), Some(1));
    let tenancy = &number["history"][0];
    assert_eq!((&tenancy["sid"], &tenancy["account_sid"]), (&json!(local), &json!(sid)));
    assert_eq!((&tenancy["to"], &tenancy["price"]), (&json!(null), &json!("1.15")));
    assert!(tenancy["from"].as_str().is_some_and(|from| from.contains('T')));
    let digits = number["phone_number"].as_str().expect("digits");
    assert_eq!(home.json(&["number", "show", digits]), number);
    assert_eq!(home.json(&["number", "show", &format!("+1 {}.{}", &digits[..3], &digits[3..])]), number);
    assert!(home.table(&["number", "show", "8005550100"]).contains(&tollfree));
    home.run(&["inventory", "withdraw", digits]).assert_refused("in_use");
    home.run(&["inventory", "return", digits]).assert_refused("in_use");

    let summary = home.json(&["inventory", "summary"]);
    let expected = json!([
        { "kind": "local", "area_code": 415,
          "available": 13, "in_use": 1, "quarantined": 0, "withdrawn": 1, "total": 15, "retired": 0 },
        { "kind": "tollfree", "area_code": 800,
          "available": 0, "in_use": 1, "quarantined": 0, "withdrawn": 0, "total": 1, "retired": 0 }
    ]);
    assert_eq!(summary, expected);
    assert_eq!(home.table(&["inventory", "summary"]).lines().count(), 3);

    let path = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers/{local}");
    assert_eq!(scene.server.call("DELETE", &path, [sid, &scene.token], "").0, 204);
    let released = home.json(&["number", "show", digits]);
    assert_eq!((&released["state"], &released["holder"]), (&json!("quarantined"), &json!(null)));
    assert!(released["history"][0]["to"].is_string());
    home.run(&["number", "show", "2128670000"]).assert_refused("2128670000");
    home.run(&["number", "show", "nonsense"])
        .assert_unreadable("'nonsense' is neither a phone number of ten digits nor the Sid of one");
    home.run(&["number", "show", &format!("PN{}", "0".repeat(32))]).assert_refused("PN0000");
}

#[test]
fn the_audit_tells_by_its_exit_code() {
    let scene = Scene::new();
    let home = &scene.home;
    assert_eq!(home.json(&["audit"]), json!({ "ok": true, "breaches": [] }));
    assert!(home.table(&["audit"]).contains("hold"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = numberbank::db::options(&home.url("x")).expect("a URL");
        let db = numberbank::db::for_command(&options);
        sqlx::query("update account_sums set balance = balance + 1").execute(&db).await.expect("the account is richer");
        db.close().await;
    });
    let bad = home.run(&["audit", "--output", "json"]);
    let found: Value = serde_json::from_str(&bad.out).expect("one JSON document");
    assert_eq!((bad.code, &found["ok"], &found["breaches"][0]["invariant"]), (Some(1), &json!(false), &json!(1)));
    assert_eq!(found["breaches"][0]["subject"], json!(scene.sid));
    assert_eq!(bad.err.lines().count(), 1, "{}", bad.err);
    let table = home.run(&["audit"]);
    assert!(table.code == Some(1) && table.out.contains(&scene.sid), "{table:?}");
}

#[test]
fn bad_usage_is_exit_code_2_and_touches_nothing() {
    let home = Home::new();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["account"],
        &["account", "create"],
        &["account", "create", "--name", ""],
        &["account", "create", "--name", &"x".repeat(65)],
        &["account", "create", "--name", "A", "--balance", "1.005"],
        &["account", "create", "--name", "A", "--balance", "-1"],
        &["account", "credit", &format!("AC{}", "0".repeat(32)), "ten"],
        &["inventory", "add", "415867530"],
        &["inventory", "add", "4158675309-4158675300"],
        &["inventory", "list", "--kind", "mobile"],
        &["inventory", "list", "--area-code", "416"],
        &["inventory", "withdraw"],
        &["inventory", "withdraw", "4161234567"],
        &["price", "set", "local"],
        &["price", "set", "local", "1.155"],
        &["audit", "--output", "xml"],
        &["serve", "--bind", "nowhere"],
    ] {
        home.run(arguments).assert_bad_usage();
    }
    assert!(!home.data_dir().exists());
    for arguments in [&["--help"][..], &["account", "--help"], &["--version"]] {
        assert!(home.table(arguments).contains("numberbank"), "{arguments:?}");
    }
}

/// Runs `serve`, which cannot start because there is no database.
fn start_with(name: &str, value: &str) -> Ran {
    let line = ["serve", "--bind", "0.0.0.0:0", "--database-url", "postgres://nobody@127.0.0.1:1/none"];
    Ran::of(program(&line).env(name, value).output())
}

#[test]
fn the_variable_of_a_flag_is_yes_or_no_in_any_words() {
    for (value, code) in [("true", 1), ("1", 1), ("yes", 1), ("false", 1), ("0", 1), ("maybe", 2)] {
        let ran = start_with("NUMBERBANK_TRUST_PROXY", value);
        assert_eq!(ran.code, Some(code), "{value}: {ran:?}");
    }
}

#[test]
fn what_is_logged_is_not_changed_by_an_empty_filter_or_a_broken_one() {
    for (filter, told) in [("", false), ("numberbank=loud", true)] {
        let ran = start_with("RUST_LOG", filter);
        assert!(ran.err.contains("travel in clear"), "{filter}: {ran:?}");
        assert_eq!(ran.err.contains("RUST_LOG cannot be read"), told, "{filter}: {ran:?}");
    }
}
