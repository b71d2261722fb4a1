//! Money by command: credits and debits once, their reversals, and transfers.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::home::Home;

#[test]
fn money_is_entered_once_undone_and_moved() {
    let home = Home::new();
    let _server = home.start("serve", &[]);
    let account = |name: &str| {
        let created = home.json(&["account", "create", "--name", name]);
        created["sid"].as_str().expect("a Sid").to_owned()
    };
    let (acme, other) = (account("Acme"), account("Other"));
    let credited = home.json(&["account", "credit", "Acme", "25.00", "--note", "invoice 17", "--key", "inv-17"]);
    let entry = credited["entry"].as_i64().expect("an id");
    let expected = json!({
        "sid": acme, "entry": entry, "balance": "25.00", "charged": 0, "paid": "0.00", "owed": "0.00",
        "status": "active", "activated": false
    });
    assert_eq!(credited, expected);
    let again = ["account", "credit", &acme, "25.00", "--note", "invoice 17", "--key", "inv-17"];
    assert_eq!(home.json(&again), credited);
    home.run(&["account", "credit", "Acme", "26.00", "--key", "inv-17"]).assert_refused("give a new one");
    let plain = ["account", "credit", "Acme", "25.00", "--note", "invoice 17"];
    home.run(&plain).assert_refused(&format!("by entry {entry}: --again"));
    assert_eq!(home.json(&[&plain[..], &["--again"]].concat())["balance"], "50.00");
    home.run(&[&plain[..], &["--again", "--key", "k"]].concat()).assert_bad_usage();
    for bad in [&["--key", ""], &["--key", "two words"], &["--note", ""], &["--note", "a\nb"]] {
        home.run(&[&["account", "debit", "Acme", "1.00"], &bad[..]].concat()).assert_bad_usage();
    }

    let moved = home.json(&["account", "transfer", "Acme", "Other", "30.00"]);
    assert_eq!((&moved["from_account_sid"], &moved["to_account_sid"]), (&json!(acme), &json!(other)));
    assert_eq!((&moved["from_balance"], &moved["to_balance"]), (&json!("20.00"), &json!("30.00")));
    home.run(&["account", "transfer", "Acme", &acme, "1.00"]).assert_refused("is both accounts");
    let half = moved["to_entry"].to_string();
    home.run(&["ledger", "reverse", &half]).assert_refused("half of a transfer, and only credits and debits");
    let missing = format!("5.00 of entry {entry} is missing, for {acme} has paid since: 30.00 debit on ");
    home.run(&["ledger", "reverse", &entry.to_string()]).assert_refused(&missing);
    home.run(&["account", "transfer", "Acme", "Other", "30.00"])
        .assert_refused(&format!("{acme} gave 30.00 to {other}"));
    home.json(&["account", "transfer", "Other", "Acme", "30.00"]);
    let undone = home.json(&["ledger", "reverse", &entry.to_string(), "--note", "typed twice"]);
    assert_eq!(
        (&undone["reverses"], &undone["kind"], &undone["amount"]),
        (&json!(entry), &json!("debit"), &json!("25.00"))
    );
    assert_eq!((&undone["sid"], &undone["balance"]), (&json!(acme), &json!("25.00")));
    let by = format!("was reversed already, by entry {}", undone["entry"]);
    home.run(&["ledger", "reverse", &entry.to_string()]).assert_refused(&by);
    home.run(&["ledger", "reverse", "99999"]).assert_refused("there is no entry 99999");

    let actions = home.json(&["report", "operator_actions"]);
    let last = |words: &str, outcome: &str| {
        let all = actions.as_array().expect("a list").iter();
        let found = all.rev().find(|action| action["action"] == words && action["outcome"] == outcome);
        found.expect("an action")["account_sid"].clone()
    };
    assert_eq!((last("ledger reverse", "done"), last("account transfer", "done")), (json!(acme), json!(other)));
    assert_eq!(home.json(&["audit"])["ok"], true);
}

#[test]
fn prices_and_their_history() {
    let home = Home::new();
    let created = home.json(&["account", "create", "--name", "Acme"]);
    let sid = &created["sid"];
    let set = home.json(&["price", "set", "local", "0.90", "--account", "Acme", "--operator", "ann"]);
    assert_eq!(set, json!({ "kind": "local", "account_sid": sid, "price": "0.90", "changed": true }));
    let both = json!([
        { "kind": "local", "account_sid": sid, "price": "0.90" },
        { "kind": "tollfree", "account_sid": null, "price": "2.00" }
    ]);
    assert_eq!(home.json(&["price", "list", "--account", "Acme"]), both);
    let unset = ["price", "unset", "local", "--account", "Acme", "--operator", "bob"];
    assert_eq!(home.json(&unset), json!({ "kind": "local", "account_sid": sid, "price": "1.00", "changed": true }));
    assert_eq!(home.json(&unset)["changed"], false);
    let history = home.json(&["price", "history", "--account", "Acme"]);
    let told = |index: usize| (&history[index]["price"], &history[index]["operator"]);
    assert_eq!((told(0), told(1)), ((&json!(null), &json!("bob")), (&json!("0.90"), &json!("ann"))));
    assert_eq!(home.json(&["price", "history", "--limit", "3"]).as_array().map(Vec::len), Some(3));
    home.run(&["price", "unset", "local"]).assert_bad_usage();
    home.json(&["account", "close", "Acme", "--yes"]);
    home.run(&["price", "set", "local", "0.90", "--account", "Acme"])
        .assert_refused("is closed for good and buys nothing");
    assert_eq!(home.json(&["price", "list", "--account", "Acme"])[0]["price"], "1.00");
    let actions = home.json(&["report", "operator_actions"]);
    let actions = actions.as_array().expect("a list").iter().map(|action| &action["action"]);
    assert_eq!(actions.filter(|action| action.as_str().is_some_and(|words| words.starts_with("price"))).count(), 4);
}

#[test]
fn accounts_are_named_and_listed() {
    let home = Home::new();
    let create =
        |name: &str, of: &str| home.run(&["account", "create", "--name", name, "--ref", of, "--output", "json"]);
    let acme = create("Acme", "crm-1").done();
    assert_eq!(acme.err.lines().filter(|line| line.contains("warning")).count(), 0, "{acme:?}");
    let acme = acme.done_json()["sid"].as_str().expect("a Sid").to_owned();
    let second = create("Acme", "crm-2").done();
    assert!(second.err.contains(&format!("warning: account {acme} has this name too")), "{second:?}");
    create("Other", "crm-1").assert_refused(&format!("the ref crm-1 is that of {acme}"));
    let set = home.json(&["account", "set", "crm-2", "--name", "Beta", "--ref", "crm-3"]);
    assert_eq!((&set["name"], &set["ref"]), (&json!("Beta"), &json!("crm-3")));
    home.run(&["account", "set", "Acme", "--ref", "crm-3"]).assert_refused("give another one");
    assert_eq!(home.json(&["account", "set", "crm-3", "--ref", ""])["ref"], json!(null));
    home.run(&["account", "set", "Acme"]).assert_bad_usage();
    home.json(&["account", "set", "Beta", "--ref", "crm-4"]);
    home.json(&["account", "close", "Beta", "--yes"]);
    // The ref of a closed account is free when it is taken from there.
    create("Gamma", "crm-4").assert_refused("take it from there with --ref ''");
    home.run(&["account", "set", "Beta", "--name", "Delta"]).assert_refused("is closed for good");
    assert_eq!(home.json(&["account", "set", "Beta", "--ref", ""])["ref"], json!(null));
    let gamma = create("Gamma", "crm-4").done_json()["sid"].clone();
    home.json(&["account", "close", "crm-4", "--yes", "--note", "moved away"]);
    home.json(&["account", "close", "crm-4", "--yes", "--note", "to Lyon"]);
    let events = |account: &str| {
        let shown = home.json(&["account", "show", account]);
        let events = shown["events"].as_array().expect("a list");
        events.iter().map(|event| (event["change"].clone(), event["note"].clone())).collect::<Vec<_>>()
    };
    let closed = |note: &str| (json!("closed"), json!(note));
    assert_eq!(events(gamma.as_str().expect("a Sid")), [closed("moved away"), closed("to Lyon")]);
    let listed = |arguments: &[&str]| {
        let list = home.json(&[&["account", "list"], arguments].concat());
        list.as_array().expect("a list").iter().map(|account| account["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (listed(&[]), listed(&["--status", "closed"])),
        (vec![json!("Acme")], vec![json!("Beta"), json!("Gamma")])
    );
    assert_eq!((listed(&["--all"]).len(), listed(&["--all", "--limit", "1"]).len()), (3, 1));
    home.run(&["account", "list", "--all", "--status", "closed"]).assert_bad_usage();
    let suspended = home.json(&["account", "suspend", "Acme", "--note", "fraud?"]);
    assert_eq!(suspended["status"], "suspended");
    // A note is kept even if nothing else changes.
    home.json(&["account", "suspend", "Acme", "--note", "fraud, said the bank"]);
    home.json(&["account", "suspend", "Acme"]);
    home.json(&["account", "activate", "Acme"]);
    home.json(&["account", "activate", "Acme", "--note", "paid"]);
    let told = |change: &str, note: Option<&str>| (json!(change), json!(note));
    let expected = [
        told("suspended", Some("fraud?")),
        told("suspended", Some("fraud, said the bank")),
        told("activated", None),
        told("activated", Some("paid")),
    ];
    assert_eq!(events("crm-1"), expected);
}

/// Each insert of an entry takes a while, so that some are killed between the two of a transfer.
const SLOW: &str = "create function slow() returns trigger language plpgsql as
        $$ begin perform pg_sleep(0.03); return new; end $$;
    create trigger slow before insert on ledger_entries for each row execute function slow()";

#[test]
fn a_transfer_or_reversal_that_is_killed_is_done_or_not_done() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    home.json(&["account", "create", "--name", "Acme", "--balance", "20.00"]);
    home.json(&["account", "create", "--name", "Other"]);
    home.sql(SLOW).expect("it runs");
    let killed = |line: &[&str], after| {
        let mut command = home.begin(line);
        sleep(Duration::from_millis(after));
        command.signal(Signal::SIGKILL);
        command.ended();
    };
    let balance = |name| home.json(&["account", "show", name])["balance"].clone();
    for round in 0..10 {
        let (after, key) = (round * 35, format!("round-{round}"));
        let transfer = ["account", "transfer", "Acme", "Other", "1.00", "--key", &key];
        killed(&transfer, after);
        // Again with its key: it is done once, whatever became of it.
        home.json(&transfer);
        assert_eq!(balance("Other"), json!(format!("{}.00", round + 1)));

        let credited = home.json(&["account", "credit", "Acme", "5.00", "--again"]);
        let entry = credited["entry"].to_string();
        killed(&["ledger", "reverse", &entry], after);
        let again = home.run(&["ledger", "reverse", &entry]);
        if again.code != Some(0) {
            again.assert_refused("was reversed already");
        }
        assert_eq!(balance("Acme"), json!(format!("{}.00", 19 - round)));
    }
    assert_eq!(home.json(&["audit"])["ok"], true);
    // The record says of each whether it was done, or that it does not know.
    let actions = home.json(&["report", "operator_actions"]);
    let outcomes: Vec<_> = actions.as_array().expect("a list").iter().map(|action| &action["outcome"]).collect();
    assert!(outcomes.iter().all(|outcome| outcome.is_null() || *outcome == "done" || *outcome == "refused"));
}
