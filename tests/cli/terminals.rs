//! Commands on a terminal: tables that fit, colours, and questions.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::home::Home;

/// What a command wrote to a terminal of this width, and its exit code. The answer to what it asks is typed beforehand.
fn on_terminal(command: Command, columns: u16, typed: &str) -> (Option<i32>, String) {
    when_it_shows("", command, columns, |_| typed.to_owned())
}

/// The same, but once it shows some words, something happens to its process, and then the answer is typed.
fn when_it_shows(
    words: &str,
    mut command: Command,
    columns: u16,
    happens: impl FnOnce(Pid) -> String,
) -> (Option<i32>, String) {
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let ends = openpty(&size, None).expect("a terminal");
    let (mut ours, theirs) = (File::from(ends.master), ends.slave);
    let clone = || Stdio::from(theirs.try_clone().expect("a handle"));
    let mut child = command.stdin(clone()).stdout(clone()).stderr(clone()).spawn().expect("it starts");
    // The command's own handles too: else the end of the answer is never seen.
    drop(command);
    drop(theirs);
    let (shown, all) = channel();
    let mut reader = ours.try_clone().expect("a handle");
    thread::spawn(move || {
        let mut some = [0; 4096];
        // The last read of a terminal that nobody has open any more is an error.
        while let Ok(count @ 1..) = reader.read(&mut some) {
            let _ = shown.send(some[..count].to_vec());
        }
    });
    let (mut shown, until) = (Vec::new(), Instant::now() + Duration::from_secs(30));
    while !String::from_utf8_lossy(&shown).contains(words) {
        let left = until.saturating_duration_since(Instant::now());
        shown.extend(all.recv_timeout(left).expect("it shows the words"));
    }
    let typed = happens(Pid::from_raw(child.id().try_into().expect("an id")));
    ours.write_all(typed.as_bytes()).expect("it is typed");
    let code = child.wait().expect("it ends").code();
    shown.extend(all.into_iter().flatten());
    (code, String::from_utf8_lossy(&shown).replace("\r\n", "\n"))
}

/// A home with an account and a number, and a server that keeps PostgreSQL running.
fn scene() -> (Home, crate::home::Running) {
    let home = Home::new();
    let server = home.start("serve", &[]);
    home.json(&["account", "create", "--name", "Acme", "--balance", "9.00"]);
    home.json(&["account", "create", "--name", "Other", "--balance", "1234.00"]);
    home.json(&["inventory", "add", "4158670000"]);
    (home, server)
}

#[test]
fn a_table_fits_its_terminal() {
    let (home, _server) = scene();
    let shown = |arguments: &[&str], environment: &[(&str, &str)], columns| {
        let mut command = home.command(arguments);
        command.env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
        let (code, shown) = on_terminal(command, columns, "");
        assert_eq!(code, Some(0), "{shown}");
        shown
    };
    let narrow = shown(&["report", "inventory"], &[("NO_COLOR", "1")], 60);
    let lines: Vec<_> = narrow.lines().collect();
    assert!(lines[0].starts_with("phone_number  state      account_sid"), "{narrow}");
    assert!(lines.iter().take(2).all(|line| line.chars().count() <= 60), "{narrow}");
    assert!(lines[2].starts_with("columns left out: ") && lines[2].ends_with("; --wide shows all"), "{narrow}");
    let seconds = lines[1].split("  ").find(|cell| cell.starts_with("20")).expect("a time");
    assert!(seconds.len() == "2026-11-24 04:32:17Z".len() && seconds.ends_with('Z'), "{narrow}");

    for arguments in [&["report", "inventory", "--wide"][..], &["report", "inventory", "--output", "wide"]] {
        let wide = shown(arguments, &[("NO_COLOR", "1")], 60);
        assert!(wide.starts_with("phone_number  kind   area_code  state ") && wide.lines().count() == 2, "{wide}");
        assert!(wide.contains("retirement") && !wide.contains('\u{1b}'), "{wide}");
    }
    let coloured = shown(&["report", "inventory"], &[], 200);
    assert!(coloured.contains("\u{1b}[32mavailable\u{1b}[0m"), "{coloured}");
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        assert!(!shown(&["report", "inventory"], &[plain], 200).contains('\u{1b}'), "{plain:?}");
    }
    let ledger = shown(&["report", "ledger"], &[("NO_COLOR", "1")], 120);
    let amounts: Vec<_> = ledger.lines().take(3).map(|line| line.find(".00").map(|at| at + 3)).collect();
    assert_eq!(amounts[1], amounts[2], "amounts stand at the right: {ledger}");
    // What is no terminal gets all columns and milliseconds.
    assert!(home.table(&["report", "inventory"]).starts_with("phone_number  kind   area_code  state "));
}

#[test]
fn what_cannot_be_undone_is_asked_for() {
    let (home, _server) = scene();
    let status = || home.json(&["account", "show", "Acme"])["status"].clone();
    let close = ["account", "close", "Acme", "--refund"];
    let rotate = ["account", "rotate-token", "Acme"];
    let all = "a balance of 9.00, which is refunded, and with no numbers";
    // What will be refused is not asked for.
    let (code, shown) = on_terminal(home.command(&close[..3]), 200, "");
    assert!(code == Some(1) && shown.contains("with --refund") && !shown.contains("type Acme"), "{shown}");
    for (line, goes) in [(&close[..], all), (&rotate, "will stop working")] {
        home.run(line).assert_refused("--yes confirms it");
        let (code, shown) = on_terminal(home.command(line), 200, "acme\n");
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.contains(goes) && shown.contains("type Acme: "), "{shown}");
        assert!(shown.contains("'acme' is not 'Acme': nothing was changed"), "{shown}");
        assert_eq!(status(), "active");
    }
    // A name that cannot be seen is not typed.
    let blank = home.json(&["key", "create", "Acme", "--name", " "])["sid"].as_str().expect("a Sid").to_owned();
    let (code, shown) = on_terminal(home.command(&["key", "delete", &blank]), 200, "\n");
    assert!(code == Some(1) && shown.contains(&blank) && shown.contains("type yes: "), "{shown}");
    home.json(&["inventory", "add", "4158670001-4158670003"]);
    let retire = |numbers: &str| home.command(&["inventory", "retire", numbers, "--reason", "mistake"]);
    assert_eq!(on_terminal(retire("4158670001"), 200, "").0, Some(0), "a single number is not asked for");
    let (code, shown) = on_terminal(retire("4158670002-4158670003"), 200, "3\n");
    assert!(code == Some(1) && shown.contains("2 numbers will be retired") && shown.contains("type 2: "), "{shown}");
    assert_eq!(on_terminal(retire("4158670002-4158670003"), 200, "2\n").0, Some(0));
    let (code, shown) = on_terminal(home.command(&rotate), 200, "Acme\n");
    assert!(code == Some(0) && shown.contains("auth_token"), "{shown}");
    let (code, shown) = on_terminal(home.command(&close), 200, "Acme\n");
    assert_eq!((code, status()), (Some(0), json!("closed")), "{shown}");
}

#[test]
fn a_question_can_be_left_unanswered() {
    let (home, _server) = scene();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let close = home.command(&["account", "close", "Acme", "--refund"]);
        let (code, shown) = when_it_shows("type Acme: ", close, 200, |process| {
            kill(process, signal).expect("it is there");
            String::new()
        });
        assert!(code == Some(130) && shown.contains("interrupted"), "{code:?}: {shown}");
    }
    assert_eq!(home.json(&["account", "show", "Acme"])["status"], "active");
}

#[test]
fn no_more_goes_than_was_shown() {
    let (home, _server) = scene();
    let close = home.command(&["account", "close", "Acme", "--refund"]);
    let (code, shown) = when_it_shows("type Acme: ", close, 200, |_| {
        home.json(&["account", "credit", "Acme", "1.00"]);
        "Acme\n".to_owned()
    });
    assert!(code == Some(1) && shown.contains("came to hold more while you were asked"), "{code:?}: {shown}");
    let shown = home.json(&["account", "show", "Acme"]);
    assert_eq!((&shown["status"], &shown["balance"]), (&json!("active"), &json!("10.00")));
}
