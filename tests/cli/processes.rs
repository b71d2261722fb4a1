//! Servers that start, are killed, restart and stop.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::home::{Home, Ran, Running, eventually, program};

/// An account with money: its Sid and token.
fn account(home: &Home) -> [String; 2] {
    let account = home.json(&["account", "create", "--name", "Acme", "--balance", "5.00"]);
    ["sid", "auth_token"].map(|name| account[name].as_str().expect(name).to_owned())
}

fn numbers(server: &Running, [sid, token]: &[String; 2]) -> (u16, String) {
    server.call("GET", &format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers"), [sid, token], "")
}

fn buy(server: &Running, [sid, token]: &[String; 2]) -> (u16, String) {
    server.call("POST", &format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers/Local"), [sid, token], "")
}

/// The lines to paste, and the values of Sid and token in them.
fn pasted(demo: &Running) -> (Vec<String>, [String; 2]) {
    eventually("the lines to paste are there", || demo.out().contains("curl"));
    let out = demo.out();
    let named = |name: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {out}"));
        line.trim().to_owned()
    };
    let lines = out.lines().filter(|line| line.starts_with("curl")).map(str::to_owned).collect();
    (lines, [named("AccountSid"), named("AuthToken")])
}

/// Runs each line as if it were pasted.
fn paste(lines: &[String]) -> Vec<String> {
    let run = |line: &String| {
        let ran = Ran::of(Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output()).done();
        assert!(!ran.out.contains("RestException"), "{line}\n{}", ran.out);
        ran.out
    };
    lines.iter().map(run).collect()
}

#[test]
fn the_demo_can_be_pasted_and_loses_nothing_when_it_is_killed() {
    let home = Home::new();
    let mut demo = home.start("demo", &[]);
    let (lines, credentials) = pasted(&demo);
    assert!(lines.len() >= 4, "{lines:?}");
    let answers = paste(&lines);
    assert!(answers.iter().any(|answer| answer.contains("<PhoneNumber>415555")), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.starts_with("HTTP/1.1 204")), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.contains("<Balance>9")), "{answers:?}");
    assert_eq!(buy(&demo, &credentials).0, 201);
    let before = numbers(&demo, &credentials).1;
    let accounts = home.json(&["account", "list"]);

    demo.signal(Signal::SIGKILL);
    assert_eq!(demo.ended(), None);
    let demo = home.start("demo", &[]);
    let (lines, again) = pasted(&demo);
    assert_eq!(again, credentials);
    assert_eq!(numbers(&demo, &credentials).1, before);
    assert_eq!(home.json(&["account", "list"]), accounts);
    paste(&lines);
    assert_eq!(home.json(&["audit"])["ok"], true);
}

#[test]
fn nothing_is_lost_when_both_are_killed() {
    let home = Home::new();
    let mut server = home.start("serve", &[]);
    let account = account(&home);
    home.json(&["inventory", "add", "4158670000-4158670009"]);
    assert_eq!(buy(&server, &account).0, 201);
    let before = numbers(&server, &account);
    server.signal(Signal::SIGKILL);
    assert_eq!(server.ended(), None);
    kill(home.postgres().expect("PostgreSQL runs on"), Signal::SIGKILL).expect("it lives");
    let server = home.start("serve", &[]);
    assert_eq!(numbers(&server, &account), before);
    assert_eq!(buy(&server, &account).0, 201);
    assert_eq!(home.json(&["audit"])["ok"], true);
}

#[test]
fn a_server_recovers_when_its_postgresql_is_killed() {
    let home = Home::new();
    let server = home.start("serve", &[]);
    let account = account(&home);
    home.json(&["inventory", "add", "4158670000-4158670009"]);
    assert_eq!(buy(&server, &account).0, 201);
    let killed = home.postgres().expect("PostgreSQL runs");
    kill(killed, Signal::SIGKILL).expect("it lives");
    eventually("the server answers again", || {
        let (status, body) = numbers(&server, &account);
        assert!(status == 200 || (status == 503 && body.contains("<Code>20503</Code>")), "{status}: {body}");
        status == 200 && home.postgres().is_some_and(|pid| pid != killed)
    });
    eventually("it sells again", || buy(&server, &account).0 == 201);
    assert_eq!(home.json(&["audit"])["ok"], true);
}

#[test]
fn commands_beside_a_server_use_its_cluster_and_leave_it_running() {
    let home = Home::new();
    let mut server = home.start("serve", &[]);
    let postgres = home.postgres();
    assert!(postgres.is_some());
    let account = account(&home);
    assert_eq!(numbers(&server, &account).0, 200);
    assert_eq!(home.postgres(), postgres);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended(), Some(0));
    assert_eq!(home.postgres(), None);
    // A command without a server starts PostgreSQL, and stops it at its end.
    assert_eq!(home.json(&["account", "list"])[0]["sid"], account[0].as_str());
    assert_eq!(home.postgres(), None);
}

/// The server stops while a request is half sent. That request is answered; new ones are not accepted.
fn stops(signal: Signal) {
    let home = Home::new();
    let mut server = home.start("serve", &[]);
    let [sid, token] = account(&home);
    assert_eq!(numbers(&server, &[sid.clone(), token.clone()]).0, 200);
    let address = server.address();
    let mut stream = TcpStream::connect(&address).expect("a connection");
    let head = format!(
        "POST /2008-08-01/Accounts/{sid} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {}\r\n\
         Content-Length: 18\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        STANDARD.encode(format!("{sid}:{token}"))
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    // The server answers `100 Continue`, so it has read the head, and waits for the rest.
    let mut line = [0; 25];
    stream.read_exact(&mut line).expect("an interim answer");
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.signal(signal);
    eventually("new connections are refused", || TcpStream::connect(&address).is_err());
    stream.write_all(b"FriendlyName=Ended").expect("the rest is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("<FriendlyName>Ended<"), "{answer}");
    assert_eq!(server.ended(), Some(0), "{}", server.err());
    assert_eq!(home.postgres(), None);
}

#[test]
fn sigterm_lets_a_server_finish_what_is_in_flight() {
    stops(Signal::SIGTERM);
}

#[test]
fn sigint_lets_a_server_finish_what_is_in_flight() {
    stops(Signal::SIGINT);
}

#[test]
fn a_command_that_is_interrupted_takes_its_postgresql_along() {
    let home = Home::new();
    home.json(&["migrate"]);
    let mut import = home.command(&["inventory", "import", "-"]);
    let import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut import = import.expect("the program starts");
    let mut rows = import.stdin.take().expect("its standard input");
    rows.write_all(b"phone_number\n4158675309\n").expect("it reads");
    eventually("PostgreSQL runs", || home.postgres().is_some());
    kill(Pid::from_raw(import.id().cast_signed()), Signal::SIGINT).expect("it lives");
    let ran = Ran::of(import.wait_with_output());
    let told = "numberbank: interrupted: nothing was imported\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(130), "", told));
    drop(rows);
    assert_eq!(home.postgres(), None);
    assert_eq!(home.json(&["inventory", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn the_demo_prints_no_credentials_that_were_replaced() {
    let home = Home::new();
    let mut demo = home.start("demo", &[]);
    let (_, [sid, token]) = pasted(&demo);
    home.json(&["account", "rotate-token", &sid, "--yes"]);
    demo.signal(Signal::SIGTERM);
    assert_eq!(demo.ended(), Some(0));
    let demo = home.start("demo", &[]);
    eventually("it says what to do", || demo.out().contains("rotate-token"));
    assert!(!demo.out().contains(&token) && !demo.out().contains("curl"), "{}", demo.out());
}

#[test]
fn a_port_that_is_taken_is_told_in_one_line() {
    let home = Home::new();
    let server = home.start("serve", &[]);
    home.run(&["serve", "--bind", &server.address()]).assert_refused(&server.address());
    assert!(home.postgres().is_some());
}

#[test]
fn several_migrations_at_once_apply_each_one_once() {
    let home = Home::new();
    let _server = home.start("serve", &[]);
    let url = home.url("x");
    let empty = url.replace("/numberbank?", "/postgres?");
    Ran::of(program(&["account", "list", "--database-url", &empty]).output()).assert_refused("numberbank migrate");
    let migrate = |home: Option<&Home>| {
        let arguments = ["migrate", "--output", "json"];
        let mut command = home.map_or_else(|| program(&arguments), |home| home.command(&arguments));
        if home.is_none() {
            command.args(["--database-url", &empty]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let fresh = Home::new();
    for home in [None, Some(&fresh)] {
        let running: Vec<_> = (0..4).map(|_| migrate(home)).collect();
        let answers = running.into_iter().map(|child| Ran::of(child.wait_with_output()).done_json());
        let applied = answers.flat_map(|answer| answer["applied"].as_array().expect("a list").clone());
        let applied: Vec<_> = applied.map(|name| name.as_str().expect("a name").to_owned()).collect();
        assert_eq!(applied.iter().collect::<BTreeSet<_>>().len(), applied.len(), "{applied:?}");
        assert!(applied.len() >= 4, "{applied:?}");
    }
    Ran::of(program(&["account", "list", "--database-url", &empty]).output()).done();
    assert_eq!(home.table(&["migrate"]), "the schema is up to date\n");
    assert_eq!(fresh.postgres(), None);
}
