//! Secrets are not shown.

use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::home::{Home, Ran, program};

const PASSWORD: &str = "correct-horse-battery";

#[test]
fn the_password_of_the_database_is_never_printed() {
    let home = Home::new();
    let _server = home.start("serve", &[]);
    let unreachable = format!("postgres://numberbank:{PASSWORD}@127.0.0.1:1/numberbank");
    let malformed = format!("mysql://numberbank:{PASSWORD}@127.0.0.1/numberbank");
    let mut seen = Vec::new();
    for (url, code) in [(&home.url(PASSWORD), 0), (&unreachable, 1), (&malformed, 1)] {
        for arguments in [&["migrate"][..], &["account", "list"], &["audit", "--output", "json"]] {
            let ran = Ran::of(program(arguments).env("DATABASE_URL", url).env("RUST_LOG", "trace").output());
            assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
            seen.push(ran);
            let mut named = program(arguments);
            seen.push(Ran::of(named.args(["--database-url", url]).env("RUST_LOG", "trace").output()));
        }
        for arguments in [&["--help"][..], &["serve", "--help"], &["nonsense"], &["serve", "--bind", "nowhere"]] {
            seen.push(Ran::of(program(arguments).env("DATABASE_URL", url).output()));
        }
    }
    for ran in seen {
        assert!(!ran.out.contains(PASSWORD) && !ran.err.contains(PASSWORD), "{ran:?}");
    }
}

#[test]
fn tokens_and_hashes_are_shown_once_and_logged_never() {
    let home = Home::new();
    let server = home.start("serve", &[("RUST_LOG", "trace")]);
    let account = home.json(&["account", "create", "--name", "Acme", "--balance", "5.00"]);
    let text = |name: &str| account[name].as_str().expect(name).to_owned();
    let (sid, token) = (text("sid"), text("auth_token"));
    home.json(&["inventory", "add", "4158670000"]);
    let path = format!("/2008-08-01/Accounts/{sid}");
    assert_eq!(server.call("GET", &path, [&sid, &token], "").0, 200);
    assert_eq!(server.call("GET", &path, [&sid, "wrong-but-secret"], "").0, 401);
    let numbers = format!("{path}/IncomingPhoneNumbers");
    assert_eq!(server.call("POST", &format!("{numbers}/Local"), [&sid, &token], "").0, 201);
    assert_eq!(server.call("GET", &path, [&format!("{sid}x"), &token], "").0, 401);

    // If only the database refused this, PostgreSQL would log the whole row.
    let form = "Url=&VoiceFallbackUrl=http://example.com/?key=of-the-client";
    let number = home.json(&["number", "show", "4158670000"])["history"][0]["sid"].as_str().expect("a Sid").to_owned();
    assert_eq!(server.call("POST", &format!("{numbers}/{number}"), [&sid, &token], form).0, 400);
    home.run(&["account", "debit", &sid, "100.00"]).assert_refused("balance");

    let log = std::fs::read_to_string(home.data_dir().join("pg/postgres.log")).expect("PostgreSQL's log");
    assert!(log.contains("LOG:"), "{log}");
    let mut seen = vec![server.out(), server.err(), log];
    for arguments in [&["account", "list"][..], &["account", "show", &sid], &["number", "show", "4158670000"]] {
        for form in ["table", "json"] {
            let ran =
                Ran::of(home.command(arguments).args(["--output", form]).env("RUST_LOG", "trace").output()).done();
            seen.extend([ran.out, ran.err]);
        }
    }
    let basic = STANDARD.encode(format!("{sid}:{token}"));
    for secret in [token.as_str(), &basic, "wrong-but-secret", "$argon2", "of-the-client"] {
        let lines = seen.iter().flat_map(|text| text.lines()).filter(|line| line.contains(secret));
        assert_eq!(lines.collect::<Vec<_>>(), Vec::<&str>::new());
    }
    assert!(seen[1].contains("TRACE"), "the log was looked at");
}

#[test]
fn a_token_that_nobody_could_read_is_no_success() {
    let home = Home::new();
    home.json(&["migrate"]);
    let unread = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = home.command(arguments).stdout(writer).stderr(Stdio::piped()).spawn();
        Ran::of(child.expect("the program starts").wait_with_output())
    };
    unread(&["account", "create", "--name", "Acme"]).assert_refused("rotate-token AC");
    let sid = home.json(&["account", "list"])[0]["sid"].as_str().expect("a Sid").to_owned();
    unread(&["account", "rotate-token", &sid, "--yes"]).assert_refused(&sid);
    unread(&["account", "list"]).done();
}

#[test]
fn a_chosen_token_comes_by_standard_input_and_is_never_shown() {
    let home = Home::new();
    let server = home.start("serve", &[]);
    let given = |arguments: &[&str], input: &str| {
        let command = home.command(&[arguments, &["--token-stdin", "--output", "json"]].concat());
        Ran::with_input(command, input)
    };
    let (first, second) = ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", "correct:horse:battery:staple:");
    let created = given(&["account", "create", "--name", "Acme"], &format!("{first}\n")).done();
    assert!(!created.out.contains(first) && !created.out.contains("auth_token"), "{created:?}");
    let sid = created.done_json()["sid"].as_str().expect("a Sid").to_owned();
    let status = |token: &str| server.call("GET", &format!("/2008-08-01/Accounts/{sid}"), [&sid, token], "").0;
    assert_eq!(status(first), 200);
    let rotated = given(&["account", "rotate-token", &sid, "--yes"], &format!("{second}\r\n")).done();
    assert!(!rotated.out.contains(second), "{rotated:?}");
    assert_eq!(status(second), 200);
    crate::home::eventually("the old token stops working", || status(first) == 401);

    let nearly = "x".repeat(65);
    for input in ["", "\n", "7-chars", "with a blank", "two-lines\nof-them\n", "gr\u{fc}\u{df}e-aus-berlin", &nearly] {
        let refused = given(&["account", "rotate-token", &sid, "--yes"], input);
        refused.assert_refused("one line of 8 to 64 visible ASCII characters");
        assert!(input.trim().is_empty() || !refused.err.contains(input.trim()), "{refused:?}");
    }
    // A file as standard input does not block.
    let endless = std::fs::File::open("/dev/zero").expect("zeros");
    let mut command = home.command(&["account", "rotate-token", &sid, "--yes", "--token-stdin"]);
    Ran::of(command.stdin(endless).output()).assert_refused("one line of 8 to 64");
    assert_eq!(status(second), 200);
    home.run(&["account", "create", "--name", "A", "--token-stdin=secret-of-acme"]).assert_bad_usage();
    let actions = home.run(&["report", "operator_actions", "--output", "json"]).done().out;
    assert!(actions.contains("token_stdin") && !actions.contains(first) && !actions.contains(second), "{actions}");
}

#[test]
fn a_key_is_made_listed_and_deleted_and_its_secret_is_shown_once() {
    let home = Home::new();
    let server = home.start("serve", &[]);
    let account = home.json(&["account", "create", "--name", "Acme"]);
    let sid = account["sid"].as_str().expect("a Sid");
    let made = home.json(&["key", "create", "Acme", "--name", "ci", "--main"]);
    let [key, secret] = ["sid", "secret"].map(|name| made[name].as_str().expect(name));
    assert_eq!((&made["account_sid"], &made["scope"]), (&account["sid"], &json!("main")));
    let status = |path: &str| server.call("GET", path, [key, secret], "").0;
    // A main key manages keys.
    let (own, version_of_2008) =
        (format!("/2010-04-01/Accounts/{sid}/Keys.json"), format!("/2008-08-01/Accounts/{sid}"));
    assert_eq!((status(&own), status(&version_of_2008)), (200, 401));
    home.json(&["key", "create", "Acme"]);
    let listed = home.json(&["key", "list", "--account", "Acme"]);
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|key| (&key["name"], &key["scope"])).collect();
    assert_eq!(names, [(&json!("ci"), &json!("main")), (&json!(null), &json!("standard"))]);
    home.run(&["key", "delete", key]).assert_refused(&format!("API key {key} 'ci' of AC"));
    assert_eq!(home.json(&["key", "delete", key, "--yes"])["sid"], json!(key));
    crate::home::eventually("the key stops working", || status(&own) == 401);
    home.run(&["key", "delete", key, "--yes"]).assert_refused("'numberbank key list' shows them");
    home.run(&["key", "delete", sid, "--yes"]).assert_bad_usage();
    home.json(&["account", "close", "Acme", "--yes"]);
    home.run(&["key", "create", sid]).assert_refused("closed for good");
    assert_eq!(home.json(&["key", "list"]), json!([]));
    let seen = home.run(&["report", "operator_actions", "--output", "json"]).done().out;
    assert!(seen.contains(&format!("\"counts\":{{\"key\": \"{key}\"}}")) && seen.contains("key delete"), "{seen}");
    assert!(!seen.contains(secret), "{seen}");
}
