//! `report …`, thresholds, and CSV.

use serde_json::{Value, json};

use crate::home::{Home, Ran, program};

const VIEWS: [&str; 18] = [
    "inventory",
    "inventory_summary",
    "low_stock",
    "accounts",
    "tenancies",
    "holdings",
    "moves",
    "ledger",
    "monthly_revenue",
    "operator_actions",
    "imports",
    "transfers",
    "account_events",
    "daily_revenue",
    "margins",
    "prices",
    "price_history",
    "api_keys",
];

/// The fields of each line.
fn csv(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|record| record.expect("CSV").iter().map(str::to_owned).collect()).collect()
}

#[test]
fn every_report_has_the_same_rows_in_every_form() {
    let home = Home::new();
    let server = home.start("serve", &[]);
    let account = home.json(&["account", "create", "--name", "Acme, \"Inc\" \\ ☎", "--balance", "9.00"]);
    let [sid, token] = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name));
    home.json(&["inventory", "add", "4158670000-4158670001"]);
    let path = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers");
    let (status, _) = server.call("POST", &format!("{path}/Local"), [sid, token], "");
    assert_eq!(status, 201);
    home.json(&["inventory", "threshold", "set", "415", "2"]);
    let file = home.file("more.csv", "number,mrc,note\n8005550100,0.0085,\"a, b\"\n");
    home.json(&["inventory", "import", &file]);
    home.json(&["key", "create", sid]);
    home.json(&["account", "suspend", sid]);

    let list = home.json(&["report", "list"]);
    let names: Vec<_> = list.as_array().expect("a list").iter().map(|view| view["name"].clone()).collect();
    assert_eq!(json!(names), json!(VIEWS));
    assert_eq!(csv(&home.table(&["report", "list", "--output", "csv"])).len(), VIEWS.len() + 1);
    assert_eq!(home.table(&["report", "list"]).lines().count(), VIEWS.len() + 1);

    for view in VIEWS {
        let rows = home.json(&["report", view]);
        let rows: Vec<_> = rows.as_array().expect("rows").iter().map(|row| row.as_object().expect("a row")).collect();
        assert!(!rows.is_empty() || view == "transfers", "{view}");
        let lines = csv(&home.table(&["report", view, "--output", "csv"]));
        assert_eq!(lines.len(), rows.len() + 1, "{view}");
        assert!(rows.iter().all(|row| row.keys().eq(&lines[0])), "{view}: {:?}", lines[0]);
        let table = home.table(&["report", view]);
        assert_eq!(table.lines().count(), lines.len(), "{view}: {table}");
        for (line, fields) in table.lines().zip(&lines) {
            let shown = |field: &String| field.is_empty() && line.contains('-') || line.contains(field.as_str());
            assert!(fields.iter().all(shown), "{view}: {line}: {fields:?}");
        }
    }
    let accounts = csv(&home.table(&["report", "accounts", "--output", "csv"]));
    assert_eq!(accounts[1][..8], [sid, "Acme, \"Inc\" \\ ☎", "suspended", "operator", "8.00", "1", "1.00", "1.00"]);
    assert_eq!(home.json(&["report", "accounts"])[0]["name"], "Acme, \"Inc\" \\ ☎");
    assert_eq!(home.json(&["report", "low_stock"])[0]["available"], 1);
}

#[test]
fn a_report_is_limited_by_what_its_view_shows() {
    let home = Home::new();
    let _server = home.start("serve", &[]);
    let [one, other] = ["Acme", "Other"].map(|name| {
        let account = home.json(&["account", "create", "--name", name, "--balance", "9.00"]);
        account["sid"].as_str().expect("a Sid").to_owned()
    });
    home.json(&["inventory", "add", "4158670000-4158670001"]);
    let count =
        |arguments: &[&str]| home.json(&[&["report"], arguments].concat()).as_array().map(Vec::len).unwrap_or_default();
    assert_eq!(home.json(&["report", "ledger", "--account", "Other"])[0]["account_sid"], other);
    assert_eq!(home.json(&["report", "accounts", "--account", &one[..8]])[0]["sid"], one);
    assert_eq!(count(&["inventory"]), 2);
    assert_eq!(count(&["inventory", "--number", "(415) 867-0001"]), 1);
    assert_eq!(count(&["inventory", "--limit", "1"]), 1);
    for (period, entries) in [
        (&["--since", "-1h"][..], 2),
        (&["--since", "+1h"], 0),
        (&["--until", "-1h"], 0),
        (&["--since", "-1d", "--until", "+1month"], 2),
        (&["--since", "2026-01-01", "--until", "2026-01-02T00:00:00+01:00"], 0),
    ] {
        assert_eq!(count(&[&["ledger"], period].concat()), entries, "{period:?}");
    }
    let refused = |arguments: &[&str], says: &str| home.run(&[&["report"], arguments].concat()).assert_refused(says);
    refused(&["moves", "--account", &one], "it takes --number, --since, --until, --limit");
    refused(&["inventory_summary", "--since", "-1d"], "it takes --limit");
    refused(&["holdings", "--since", "-1d"], "with --account or --number");
    let unreadable =
        |period: &[&str], says| home.run(&[&["report", "ledger"], period].concat()).assert_unreadable(says);
    unreadable(&["--since", "-1d", "--until", "-2d"], "the period is empty");
    unreadable(&["--since", "-9999y"], "'-9999y' is too far away");
    refused(&["ledger", "--account", "Nobody"], "Nobody");
    for arguments in [&["ledger", "--since", "yesterday"][..], &["ledger", "--limit", "0"], &["ledger", "--limit", "x"]]
    {
        home.run(&[&["report"], arguments].concat()).assert_bad_usage();
    }
}

#[test]
fn a_table_is_as_wide_as_its_rows_and_a_long_one_is_whole() {
    let home = Home::new();
    assert_eq!(home.table(&["report", "low_stock"]), "kind  area_code  available  threshold\n");
    assert_eq!(home.json(&["report", "low_stock"]), json!([]));
    assert_eq!(home.json(&["inventory", "list"]), json!([]));
    let header = "phone_number,kind,area_code,state,provider,state_since,account_sid,provider_cost,note,import,\
        back_on_sale,retirement\n";
    assert_eq!(home.table(&["inventory", "list", "--output", "csv"]), header);

    home.json(&["inventory", "add", "4158670000-4158679999"]);
    let file = home.file("more.csv", "phone_number,provider,monthly_cost,note\n8005550100,Acme,0.85,\"a, b\"\n");
    home.json(&["inventory", "import", &file]);
    for command in [&["inventory", "list"][..], &["report", "inventory"]] {
        let table = home.table(command);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 10_002);
        assert!(
            lines[0].starts_with("phone_number  kind ") && lines[1].starts_with("  4158670000  local"),
            "{}",
            lines[1]
        );
        assert!(lines[10_001].starts_with("  8005550100  tollfree"), "{}", lines[10_001]);
        let listed = home.run(&[command, &["--output", "csv"]].concat()).done();
        assert_eq!(csv(&listed.out).len(), 10_002);
        assert_eq!(home.json(command).as_array().map(Vec::len), Some(10_001));
    }
    let tollfree = home.table(&["inventory", "list", "--kind", "tollfree", "--output", "csv"]);
    assert!(tollfree.starts_with(&format!("{header}8005550100,tollfree,800,available,Acme,2")), "{tollfree}");
    assert!(tollfree.ends_with("Z,,0.85,\"a, b\",1,,\n"), "{tollfree}");
}

#[test]
fn thresholds_are_set_and_taken_away() {
    let home = Home::new();
    let set = home.json(&["inventory", "threshold", "set", "415", "10"]);
    assert_eq!(set, json!({ "kind": "local", "area_code": 415, "threshold": 10 }));
    home.json(&["inventory", "threshold", "set", "800", "10000000"]);
    home.json(&["inventory", "threshold", "set", "415", "7"]);
    let expected = json!([
        { "kind": "local", "area_code": 415, "threshold": 7 },
        { "kind": "tollfree", "area_code": 800, "threshold": 10_000_000 },
    ]);
    assert_eq!(home.json(&["inventory", "threshold", "list"]), expected);
    assert_eq!(home.json(&["report", "low_stock"]).as_array().map(Vec::len), Some(2));
    assert_eq!(home.json(&["inventory", "threshold", "set", "415", "0"])["threshold"], 0);
    assert_eq!(home.json(&["inventory", "threshold", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn csv_and_unknown_reports_are_bad_usage() {
    let home = Home::new();
    let unknown = home.run(&["report", "inventori"]);
    unknown.assert_bad_usage();
    assert!(VIEWS.iter().all(|view| unknown.err.contains(view)), "{unknown:?}");
    for arguments in [
        &["report"][..],
        &["report", "accounts; drop table accounts"],
        &["inventory", "threshold", "set", "416", "1"],
        &["inventory", "threshold", "set", "415", "10000001"],
        &["inventory", "threshold", "set", "415", "-1"],
    ] {
        home.run(arguments).assert_bad_usage();
    }
    for arguments in [&["account", "show", "Acme"][..], &["audit"], &["migrate"], &["serve"]] {
        let named = home.run(&[arguments, &["--output", "csv"]].concat());
        let meant = Ran::of(home.command(arguments).env("NUMBERBANK_OUTPUT", "csv").output());
        for refused in [named, meant] {
            refused.assert_bad_usage();
            assert_eq!(refused.err.lines().count(), 1, "{refused:?}");
            assert!(refused.err.contains("--output csv"), "{refused:?}");
        }
    }
    assert!(!home.data_dir().exists());
}

#[test]
fn who_may_not_create_roles_is_told_who_may() {
    let home = Home::new();
    let _server = home.start("serve", &[]);
    let url = home.url("x");
    home.sql("create role owner login").expect("it runs");
    home.sql("create database other owner owner").expect("it runs");
    home.sql("alter role numberbank_reporting rename to hidden").expect("it runs");
    let theirs = url.replace("numberbank:x@", "owner@").replace("/numberbank?", "/other?");
    let migrate = || Ran::of(program(&["migrate", "--output", "json", "--database-url", &theirs]).output());
    migrate().assert_refused("create role numberbank_reporting");
    home.sql("alter role hidden rename to numberbank_reporting").expect("it runs");
    let applied: Value = migrate().done_json();
    let last = applied["applied"].as_array().and_then(|applied| applied.last()).and_then(Value::as_str);
    let names = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).expect("the migrations");
    let names = names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let newest = names.max_by_key(|name| name[1..].split("__").next().and_then(|version| version.parse::<u32>().ok()));
    assert_eq!(last, newest.as_deref().and_then(|name| name.strip_suffix(".sql")));
}
