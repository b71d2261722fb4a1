//! Commands answer with the names and types of the views.

use serde_json::{Value, json};

use crate::home::{Home, Running};

/// A server and two accounts, of which each holds a number; that of the second was bought for it and released.
struct Scene {
    // Dropped before its home.
    _server: Running,
    home: Home,
    accounts: [String; 2],
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let server = home.start("serve", &[]);
        let accounts = ["Acme", "Other"].map(|name| {
            let file =
                home.file("more.csv", "number,mrc,carrier,note\n4158670000,0.0085,Bell,a\n8005550100,0.5,Acme,b\n");
            home.json(&["inventory", "import", &file]);
            let account = home.json(&["account", "create", "--name", name, "--balance", "9.00"]);
            let [sid, token] = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name).to_owned());
            let path = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers");
            let kind = if name == "Acme" { "Local" } else { "TollFree" };
            let (status, body) = server.call("POST", &format!("{path}/{kind}"), [&sid, &token], "");
            assert_eq!(status, 201, "{body}");
            sid
        });
        home.json(&["account", "suspend", &accounts[1]]);
        Self { _server: server, home, accounts }
    }
}

/// Every field that both have is the same in both; so many they have in common.
#[track_caller]
fn assert_agree(answer: &Value, row: &Value, at_least: usize) {
    let (answer, row) = (answer.as_object().expect("an object"), row.as_object().expect("a row"));
    let common: Vec<_> = answer.iter().filter(|(name, _)| row.contains_key(*name)).collect();
    assert!(common.len() >= at_least, "{common:?}");
    for (name, value) in common {
        assert_eq!(*value, row[name], "{name}");
    }
}

#[test]
fn a_list_is_its_view() {
    let Scene { home, accounts: [one, other], .. } = &Scene::new();
    for (list, report) in [
        (&["inventory", "list"][..], &["inventory"][..]),
        (&["inventory", "list", "--account", one], &["inventory", "--account", one]),
        (&["inventory", "summary"], &["inventory_summary"]),
        (&["account", "numbers", one], &["tenancies", "--account", one]),
        (&["account", "numbers", "Other"], &["tenancies", "--account", other]),
        (&["account", "ledger", one], &["ledger", "--account", one]),
        (&["account", "ledger", other, "--since", "-1h"], &["ledger", "--account", other, "--since", "-1h"]),
    ] {
        let report = [&["report"], report].concat();
        let rows = home.json(list);
        assert!(!rows.as_array().expect("rows").is_empty(), "{list:?}");
        assert_eq!(rows, home.json(&report), "{list:?}");
        let csv = |arguments: &[&str]| home.table(&[arguments, &["--output", "csv"]].concat());
        assert_eq!(csv(list), csv(&report), "{list:?}");
    }
}

#[test]
fn a_list_is_limited_by_its_options() {
    let Scene { home, accounts: [one, other], .. } = &Scene::new();
    let numbers = |arguments: &[&str]| {
        let rows = home.json(&[&["inventory", "list"], arguments].concat());
        let numbers = rows.as_array().expect("rows").iter().map(|row| row["phone_number"].clone());
        numbers.collect::<Vec<_>>()
    };
    let (local, tollfree) = (json!("4158670000"), json!("8005550100"));
    for (arguments, expected) in [
        (&["--area-code", "415"][..], vec![&local]),
        (&["--kind", "tollfree"], vec![&tollfree]),
        (&["--state", "in_use"], vec![&local, &tollfree]),
        (&["--state", "available"], vec![]),
        (&["--account", other], vec![&tollfree]),
        (&["--provider", "Bell"], vec![&local]),
        (&["--provider", "Bell' or 'a' = 'a"], vec![]),
        (&["--provider", "Acme", "--kind", "local"], vec![]),
        (&["--import", "1"], vec![&local, &tollfree]),
        (&["--import", "2"], vec![]),
        (&["--limit", "1"], vec![&local]),
    ] {
        assert_eq!(numbers(arguments).iter().collect::<Vec<_>>(), expected, "{arguments:?}");
    }
    let kinds = |arguments: &[&str]| {
        let rows = home.json(&[&["account", "ledger", one], arguments].concat());
        rows.as_array().expect("rows").iter().map(|row| row["kind"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[]), ["credit", "purchase"]);
    assert_eq!(kinds(&["--limit", "1"]), ["purchase"], "the newest");
    assert_eq!(kinds(&["--kind", "credit"]), ["credit"]);
    assert_eq!(kinds(&["--until", "-1h"]), [""; 0]);
    let purchase = &home.json(&["account", "ledger", one])[1];
    assert_eq!((&purchase["amount"], &purchase["balance_after"]), (&json!("-1.00"), &json!("8.00")));
    assert!(purchase["period_from"].is_string() && purchase["period_to"].is_string(), "{purchase}");
    home.run(&["account", "ledger", one, "--kind", "gift"]).assert_bad_usage();
}

#[test]
fn what_a_command_shows_is_written_as_in_its_view() {
    let Scene { home, accounts, .. } = &Scene::new();
    for account in accounts {
        let row = &home.json(&["report", "accounts", "--account", account])[0];
        assert_agree(&home.json(&["account", "show", account]), row, 7);
    }
    for number in ["4158670000", "8005550100"] {
        let shown = home.json(&["number", "show", number]);
        assert_agree(&shown, &home.json(&["report", "inventory", "--number", number])[0], 7);
        let moves = home.json(&["report", "moves", "--number", number]);
        assert_agree(&shown["moves"][0], &moves[0], 2);
        let tenancy = &home.json(&["report", "tenancies", "--number", number])[0];
        assert_agree(&shown["history"][0], tenancy, 3);
        assert_eq!(shown["history"][0]["from"], tenancy["started_at"]);
    }
    let [prices, rows] = [home.json(&["price", "list"]), home.json(&["report", "prices"])];
    for price in prices.as_array().expect("prices") {
        let same = |row: &&Value| row["kind"] == price["kind"] && row["account_sid"] == price["account_sid"];
        assert_agree(price, rows.as_array().expect("rows").iter().find(same).expect("its row"), 3);
    }
    let [accounts, rows] = [home.json(&["account", "list"]), home.json(&["report", "accounts"])];
    for account in accounts.as_array().expect("accounts") {
        let same = |row: &&Value| row["sid"] == account["sid"];
        assert_agree(account, rows.as_array().expect("rows").iter().find(same).expect("its row"), 7);
    }
}
