//! The record of operators' actions.

use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, getuid};
use serde_json::{Value, json};

use crate::home::{Home, Ran, eventually, program};

const PASSWORD: &str = "correct-horse-battery";

fn entries(home: &Home) -> Vec<Value> {
    home.json(&["report", "operator_actions"]).as_array().expect("a list").clone()
}

/// The newest entries: action, arguments and outcome.
fn told(home: &Home, newest: usize) -> Vec<Value> {
    let entries = entries(home);
    let told = |entry: &Value| json!([entry["action"], entry["arguments"], entry["outcome"]]);
    entries[entries.len() - newest..].iter().map(told).collect()
}

/// An account's Sid and token.
fn account(home: &Home, name: &str) -> [String; 2] {
    let account = home.json(&["account", "create", "--name", name, "--balance", "10.00"]);
    ["sid", "auth_token"].map(|field| account[field].as_str().expect(field).to_owned())
}

/// Commands that change something, and their recorded arguments.
fn actions(sid: &str, file: &str) -> Vec<(Vec<String>, Value)> {
    let action = |line: &str, arguments| (line.split(' ').map(|word| word.replace("SID", sid)).collect(), arguments);
    vec![
        action("account credit SID 25.00 --note gift", json!({ "account": sid, "amount": "25.00", "note": "gift" })),
        action("account debit SID 1", json!({ "account": sid, "amount": "1" })),
        action("account suspend SID", json!({ "account": sid })),
        action("account activate SID", json!({ "account": sid })),
        action("account rotate-token SID --yes", json!({ "account": sid, "yes": true })),
        action("key create SID --main", json!({ "account": sid, "main": true })),
        action(
            "inventory add 4158670000-4158670009 8005550100",
            json!({ "ranges": ["4158670000-4158670009", "8005550100"] }),
        ),
        (["inventory", "import", file].map(str::to_owned).into(), json!({ "file": file })),
        action("inventory withdraw 4158670000", json!({ "numbers": ["4158670000"] })),
        action("inventory return 4158670000", json!({ "numbers": ["4158670000"] })),
        action("inventory threshold set 415 5", json!({ "area_code": "415", "count": "5" })),
        action("price set local 1.15", json!({ "kind": "local", "price": "1.15" })),
        action("price set local 0.50 --account SID", json!({ "kind": "local", "price": "0.50", "account": sid })),
        action("bill --as-of 2026-01-01", json!({ "as_of": "2026-01-01" })),
        action("recycle --quarantine-local 7", json!({ "quarantine_local": "7" })),
    ]
}

#[test]
fn each_changing_command_leaves_an_entry_and_no_other_does() {
    let home = Home::new();
    let server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let [sid, _] = account(&home, "Acme");
    let created = entries(&home);
    assert_eq!(created.len(), 1, "{created:?}");
    assert_eq!((&created[0]["action"], &created[0]["outcome"]), (&json!("account create"), &json!("done")));
    assert_eq!(created[0]["arguments"], json!({ "name": "Acme", "balance": "10.00" }));
    assert_eq!(created[0]["account_created"], json!(sid));

    let file = home.file("more.csv", "phone_number\n2128670000\n");
    let actions = actions(&sid, &file);
    let mut expected = Vec::new();
    for (line, arguments) in &actions {
        home.json(&line.iter().map(String::as_str).collect::<Vec<_>>());
        let verb = line
            .iter()
            .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with("--"));
        let verb: Vec<_> = verb.map(String::as_str).filter(|word| *word != "local").collect();
        expected.push(json!([verb.join(" "), arguments, "done"]));
    }
    let [closing, token] = account(&home, "Closing");
    let path = format!("/2008-08-01/Accounts/{closing}/IncomingPhoneNumbers");
    let (status, body) = server.call("POST", &format!("{path}/Local.json"), [&closing, &token], "");
    assert_eq!(status, 201, "{body}");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let number = body["TwilioResponse"]["IncomingPhoneNumber"]["Sid"].as_str().expect("a Sid");
    assert_eq!(server.call("DELETE", &format!("{path}/{number}"), [&closing, &token], "").0, 204);
    home.json(&["number", "restore", number]);
    home.json(&["account", "close", &closing, "--release-numbers", "--keep-balance", "--yes"]);
    let asked = json!({ "account": closing, "release_numbers": true, "keep_balance": true, "yes": true });
    expected.extend([
        json!(["account create", { "name": "Closing", "balance": "10.00" }, "done"]),
        json!(["number restore", { "number": number }, "done"]),
        json!(["account close", asked, "done"]),
    ]);
    assert_eq!(told(&home, expected.len()), expected);

    let count = entries(&home).len();
    assert_eq!(count, expected.len() + 1);
    for reads in [
        "account list",
        &format!("account show {sid}"),
        "inventory list",
        "inventory summary",
        "inventory threshold list",
        "price list",
        "key list",
        &format!("number show {number}"),
        "audit",
        "report list",
        "migrate",
    ] {
        home.json(&reads.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(entries(&home).len(), count);
}

#[test]
fn what_is_refused_killed_or_interrupted_is_told_too() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let [sid, _] = account(&home, "Acme");
    home.run(&["account", "debit", &sid, "10.01"]).assert_refused("balance");
    home.run(&["inventory", "withdraw", "4158670000"]).assert_refused("not in stock");
    home.run(&["bill", "--as-of", "2999-01-01"]).assert_refused("is in the future");
    home.run(&["inventory", "import", "/nowhere.csv"]).assert_refused("/nowhere.csv");
    let found = entries(&home);
    let refused: Vec<_> = found[1..].iter().map(|entry| (&entry["outcome"], entry["reason"].as_str())).collect();
    assert_eq!(refused.len(), 4);
    for ((outcome, reason), says) in
        refused.into_iter().zip(["balance", "not in stock", "is in the future", "/nowhere.csv"])
    {
        assert!(*outcome == "refused" && reason.is_some_and(|reason| reason.contains(says)), "{reason:?}");
    }

    for (signal, outcome) in [(Signal::SIGINT, json!("interrupted")), (Signal::SIGKILL, json!(null))] {
        let mut import = home.command(&["inventory", "import", "-"]);
        let import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut import = import.expect("the program starts");
        let mut rows = import.stdin.take().expect("its standard input");
        rows.write_all(b"phone_number\n4158675309\n").expect("it reads");
        eventually("it has begun", || told(&home, 1) == [json!(["inventory import", { "file": "-" }, null])]);
        kill(Pid::from_raw(import.id().cast_signed()), signal).expect("it lives");
        import.wait().expect("it ends");
        assert_eq!(told(&home, 1)[0][2], outcome);
        assert_eq!(entries(&home).last().expect("an entry")["ended_at"].is_null(), outcome.is_null());
    }
}

#[test]
fn an_action_that_cannot_be_recorded_does_not_happen() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let [sid, _] = account(&home, "Acme");
    let status = || home.json(&["account", "show", &sid])["status"].clone();
    home.sql("alter table operator_actions rename to hidden").expect("hidden");
    assert_eq!(home.run(&["account", "suspend", &sid]).code, Some(1));
    assert_eq!(status(), "active");
    home.sql("alter table hidden rename to operator_actions").expect("shown");
    home.sql("alter table operator_outcomes rename to hidden").expect("hidden");
    let ran = home.run(&["account", "suspend", &sid]).done();
    assert!(ran.err.contains("could not be recorded"), "{ran:?}");
    assert_eq!(status(), "suspended");
    home.sql("alter table hidden rename to operator_outcomes").expect("shown");
    assert_eq!(told(&home, 1), [json!(["account suspend", { "account": sid }, null])]);
}

#[test]
fn an_entry_tells_who_and_stays_as_it_is() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let price = ["price", "set", "local", "1.15"];
    home.json(&price);
    home.json(&[&price[..], &["--operator", "Anna"]].concat());
    Ran::of(home.command(&price).env("NUMBERBANK_OPERATOR", "Émile").output()).done();
    home.run(&[&price[..], &["--operator", ""]].concat()).assert_bad_usage();
    let found = entries(&home);
    let user = User::from_uid(getuid()).expect("a user").map_or_else(|| format!("uid {}", getuid()), |user| user.name);
    for (entry, name) in found.iter().zip([user.as_str(), "Anna", "Émile"]) {
        assert_eq!((&entry["operator"], &entry["database_role"]), (&json!(name), &json!("numberbank")));
        assert!(entry["login"].as_str().is_some_and(|login| login.starts_with(&format!("{user}@"))), "{entry}");
        assert!(entry["begun_at"].as_str() <= entry["ended_at"].as_str(), "{entry}");
        assert_eq!(entry["arguments"], json!({ "kind": "local", "price": "1.15" }));
    }
    assert_eq!(found.len(), 3);
    for table in ["operator_actions", "operator_outcomes"] {
        for change in
            [format!("update {table} set at = at"), format!("delete from {table}"), format!("truncate {table} cascade")]
        {
            let refused = home.sql(&change).expect_err(&change).to_string();
            assert!(refused.contains("is only ever added to"), "{refused}");
        }
    }
    assert_eq!(entries(&home), found);
}

#[test]
fn an_entry_holds_no_secret() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let url = home.url(PASSWORD);
    let create = ["account", "create", "--name", "Acme", "--output", "json"];
    let mut named = program(&create);
    let by_option = Ran::of(named.args(["--database-url", &url]).output()).done_json();
    let by_variable = Ran::of(program(&create).env("DATABASE_URL", &url).output()).done_json();
    let sid = by_option["sid"].as_str().expect("a Sid");
    let rotated = home.json(&["account", "rotate-token", sid, "--yes"]);
    let found = home.table(&["report", "operator_actions", "--output", "csv"]);
    assert_eq!(found.lines().count(), 4, "{found}");
    let tokens =
        [by_option, by_variable, rotated].map(|answer| answer["auth_token"].as_str().expect("a token").to_owned());
    for secret in tokens.iter().map(String::as_str).chain([PASSWORD, "postgres:", "argon2"]) {
        assert!(!found.contains(secret), "{secret}: {found}");
    }
}

#[test]
fn the_record_says_what_an_action_was_about_and_what_it_did() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let [sid, _] = account(&home, "Acme");
    let [other, _] = account(&home, "Other");
    let newest = || {
        let entry = entries(&home).pop().expect("an entry");
        json!([entry["outcome"], entry["account_sid"], entry["phone_number"], entry["counts"]])
    };
    for named in [&*sid, &sid[..12], "Acme"] {
        home.json(&["account", "suspend", named]);
        assert_eq!(newest(), json!(["done", sid, null, null]), "{named}");
    }
    home.json(&["inventory", "add", "4158670000-4158670009"]);
    let counts = json!({ "added": 10, "already_known": 0, "rejected": 0 });
    assert_eq!(newest(), json!(["done", null, null, counts]));
    home.run(&["account", "debit", &other, "99.00"]).assert_refused("balance");
    assert_eq!(newest(), json!(["refused", other, null, null]));
    home.run(&["account", "suspend", "Nobody"]).assert_refused("there is no account 'Nobody'");
    account(&home, "Acme");
    home.run(&["account", "suspend", "Acme"]).assert_refused("fits several accounts: AC");
    home.run(&["account", "suspend", "ACffffffffffffffffffffffffffffffff"]).assert_refused("there is no account ACff");
    assert_eq!(newest(), json!(["refused", null, null, null]));
}
