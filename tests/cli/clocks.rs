//! The program on a machine with a wrong clock; libfaketime makes it for one process.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::home::{Home, MONITORED, Ran, eventually};

/// The library, if it is installed (Debian: faketime).
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let files = folders.chain([PathBuf::from("/usr/lib64")]).map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    files.into_iter().find(|file| file.exists())
}

/// The environment of a process whose clock differs by the offset in a file.
fn environment(library: &Path, file: &str) -> [(String, String); 4] {
    [
        ("LD_PRELOAD", &*library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

#[test]
fn a_machine_whose_clock_is_wrong_sells_and_bills_nothing_until_it_is_set_right() {
    let Some(library) = library() else {
        return eprintln!("SKIPPED: libfaketime is not installed (apt-get install faketime); no clock was set wrong");
    };
    let home = Home::new();
    // The process that starts PostgreSQL has the right time, and so has PostgreSQL.
    let _right = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let made = home.json(&["account", "create", "--name", "Acme", "--balance", "9.00"]);
    let [sid, token] = ["sid", "auth_token"].map(|field| made[field].as_str().expect(field).to_owned());
    home.json(&["inventory", "add", "4158670000-4158670009"]);

    let file = home.file("clock", "-45s");
    let environment = environment(&library, &file);
    let faked: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let server = home.start_as(&MONITORED, &[&faked[..], &[("NUMBERBANK_JOBS", "1s")]].concat());
    let path = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers");
    let buy = || server.call("POST", &format!("{path}/Local"), [&sid, &token], "");
    let wrong = "s behind the database's: beyond 30 s nothing is sold, billed or put on sale";
    eventually("it says so", || server.err().contains(wrong));
    assert_eq!(buy().0, 503);
    assert_eq!(server.call("GET", &path, [&sid, &token], "").0, 200);
    eventually("the log tells why", || server.err().lines().any(|line| line.contains("503") && line.contains(wrong)));
    eventually("the jobs do not run", || server.err().contains("the jobs did not come to their end"));
    let metrics = server.monitoring("/metrics").1;
    let offset = metrics.lines().find_map(|line| line.strip_prefix("numberbank_clock_offset_seconds ")).expect("it");
    assert!((-50.0..-40.0).contains(&offset.parse::<f64>().expect("seconds")), "{offset}");
    assert_eq!(server.monitoring("/health/ready").0, 200);

    let run = |arguments: &[&str]| Ran::of(home.command(arguments).envs(faked.iter().copied()).output());
    for line in [
        &["bill"][..],
        &["bill", "--as-of", "2026-01-01"],
        &["recycle"],
        &["account", "credit", &sid, "1.00"],
        &["inventory", "add", "4158670020"],
    ] {
        let ran = run(line);
        assert!(ran.code == Some(1) && ran.out.is_empty(), "{ran:?}");
        let last = ran.err.lines().last().expect("a line");
        assert!(last.starts_with("numberbank: this machine's clock is 4") && last.contains(wrong), "{ran:?}");
    }
    let entries = home.json(&["report", "operator_actions"]);
    let outcomes: Vec<_> = entries.as_array().expect("a list").iter().map(|entry| &entry["outcome"]).collect();
    assert_eq!(outcomes, [&["done"; 2][..], &["refused"; 5]].concat());
    // Commands that store no important date are done, with a warning.
    let suspended = run(&["account", "suspend", &sid, "--output", "json"]).done();
    assert!(suspended.err.contains("behind the database's"), "{suspended:?}");
    let suspended: Value = serde_json::from_str(&suspended.out).expect("JSON");
    assert_eq!(suspended["status"], json!("suspended"));
    home.json(&["account", "activate", &sid]);

    fs::write(&file, "+0s").expect("the clock is set right");
    eventually("it sells again", || buy().0 == 201);
    fs::write(&file, "+5s").expect("the clock is a little wrong");
    assert_eq!(buy().0, 201);
    assert_eq!(home.json(&["audit"])["ok"], true);
}
