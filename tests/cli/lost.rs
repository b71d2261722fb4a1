//! Commands whose connection is lost at the commit. They report whether the action was done, or that this is unknown.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cut::{Cut, Way};
use crate::home::{Home, Ran, Running, eventually, program};
use crate::import::{COMMITS, held};

/// A server that keeps PostgreSQL running, and an account that holds a number and has released another.
struct Scene {
    _server: Running,
    home: Home,
    account: String,
    held: String,
    released: String,
    key: String,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
        let made = home.json(&["account", "create", "--name", "Acme", "--balance", "9.00"]);
        let [account, token] = ["sid", "auth_token"].map(|field| made[field].as_str().expect(field).to_owned());
        home.json(&["inventory", "add", "4158670000-4158670009"]);
        let path = format!("/2008-08-01/Accounts/{account}/IncomingPhoneNumbers");
        let [held, released] = [(); 2].map(|()| {
            let (status, body) = server.call("POST", &format!("{path}/Local.json"), [&account, &token], "");
            assert_eq!(status, 201, "{body}");
            let body: Value = serde_json::from_str(&body).expect("JSON");
            body["TwilioResponse"]["IncomingPhoneNumber"]["Sid"].as_str().expect("a Sid").to_owned()
        });
        assert_eq!(server.call("DELETE", &format!("{path}/{released}"), [&account, &token], "").0, 204);
        let key = home.json(&["key", "create", "Acme"])["sid"].as_str().expect("a Sid").to_owned();
        Self { _server: server, home, account, held, released, key }
    }

    /// Runs a command whose first commit is cut.
    fn run(&self, line: &str, cut: Cut) -> Ran {
        let way = Way::to(&self.home, cut);
        let ran = program(&self.words(line)).args(["--database-url", &way.url()]).output();
        assert!(way.is_cut(), "nothing was committed: {line}");
        Ran::of(ran)
    }

    fn words<'a>(&'a self, line: &'a str) -> Vec<&'a str> {
        line.split(' ')
            .map(|word| match word {
                "SID" => &self.account,
                "HELD" => &self.held,
                "RELEASED" => &self.released,
                "KEY" => &self.key,
                word => word,
            })
            .collect()
    }

    fn json(&self, line: &str) -> Value {
        self.home.json(&self.words(line))
    }

    /// As if the number had been bought forty days ago, so that one fee is due.
    fn age(&self) {
        let sid = &self.held.replace("PN", "");
        let statement = format!(
            "set session_replication_role = replica;
            update stock set added_at = added_at - interval '40 days', state_since = state_since - interval '40 days'
            where tenancy_sid = '{sid}';
            update ledger_entries set at = at - interval '40 days' where tenancy_sid = '{sid}';
            update tenancies set started_at = started_at - interval '40 days', updated_at = updated_at - interval '40 days',
                due_on = month_begins(started_at - interval '40 days', due_month)
            where sid = '{sid}'"
        );
        self.home.sql(&statement).expect("it runs");
    }

    /// The newest entry of the record of operators' actions.
    fn entry(&self) -> Value {
        self.json("report operator_actions").as_array().and_then(|all| all.last().cloned()).expect("an entry")
    }
}

#[test]
fn a_commit_whose_answer_is_lost_is_not_known_and_the_command_says_how_to_find_out() {
    let scene = Scene::new();
    scene.age();
    scene.home.json(&["account", "create", "--name", "Third"]);
    let file = scene.home.file("more.csv", "phone_number\n2128670000\n");
    let import = format!("inventory import {file}");
    for (line, remedy) in [
        ("account create --name Other", "'numberbank account list'"),
        ("account credit SID 25.00", "'numberbank account show AC"),
        ("account debit SID 1.00", "'numberbank report ledger'"),
        ("account credit SID 2.00 --key two", "run it again: with its key it is done once"),
        ("account transfer SID Third 1.00", "'numberbank report ledger'"),
        ("ledger reverse 1", "'numberbank report ledger'"),
        ("account suspend SID", "'numberbank account show AC"),
        ("account activate SID", "'numberbank account show AC"),
        ("account rotate-token SID --yes", "'numberbank account rotate-token AC"),
        ("key create SID --main", "'numberbank key list'"),
        ("key delete KEY --yes", "'numberbank key list' shows whether it is still there"),
        ("inventory add 4158670010", "run 'numberbank inventory add' again"),
        (import.as_str(), "run 'numberbank inventory import' again"),
        ("inventory withdraw 4158670010", "run 'numberbank inventory withdraw' again"),
        ("inventory return 4158670010", "run 'numberbank inventory return' again"),
        ("inventory threshold set 415 5", "run 'numberbank inventory threshold set' again"),
        ("price set local 1.15", "'numberbank price list'"),
        ("price set local 0.50 --account SID", "'numberbank price list'"),
        ("number restore RELEASED", "'numberbank number show PN"),
        ("number assign 2128670000 --account SID --price 0", "'numberbank number show 2128670000'"),
        ("number move RELEASED --to Other", "'numberbank number show PN"),
        ("number release RELEASED --note fraud", "'numberbank number show PN"),
        ("inventory retire 4158670010 --reason mistake", "run 'numberbank inventory retire' again"),
        ("inventory set 4158670010 --provider Acme", "run 'numberbank inventory set' again"),
        ("recycle", "run 'numberbank recycle' again"),
        ("bill", "run 'numberbank bill' again"),
        ("account close SID --release-numbers --keep-balance --yes", "'numberbank account show AC"),
    ] {
        for cut in [Cut::Before, Cut::Within] {
            let ran = scene.run(line, cut);
            ran.assert_refused("whether this was done is not known");
            assert!(ran.err.contains(remedy), "{ran:?}");
            let entry = scene.entry();
            let verb = entry["action"].as_str().expect("the words");
            assert!(line.starts_with(verb), "{entry}");
            assert_eq!((&entry["outcome"], &entry["reason"]), (&json!("unknown"), &json!(null)), "{line}");
        }
    }
    // Each command was tried twice and done once.
    let account = scene.json("account show SID");
    assert_eq!((&account["balance"], &account["status"]), (&json!("22.00"), &json!("closed")));
    assert_eq!(scene.json("account list --all").as_array().map(Vec::len), Some(3));
    assert_eq!(scene.json("inventory list").as_array().map(Vec::len), Some(12));
    assert_eq!(scene.json("audit")["ok"], true);
}

#[test]
fn a_command_whose_database_goes_away_after_the_commit_is_done() {
    let scene = Scene::new();
    scene.home.json(&["account", "create", "--name", "Other"]);
    let lines = [
        ("account credit SID 25.00", "32.00"),
        ("number restore RELEASED", "in_use"),
        ("number move HELD --to Other", "Other"),
        ("inventory threshold set 415 5", "threshold  5"),
    ];
    // In threads, because each waits for a while before it gives up recording its outcome.
    std::thread::scope(|threads| {
        for (line, says) in lines {
            let scene = &scene;
            threads.spawn(move || {
                let ran = scene.run(line, Cut::After).done();
                assert!(ran.out.contains(says), "{ran:?}");
                assert!(ran.err.contains("could not be recorded"), "{ran:?}");
            });
        }
    });
    assert_eq!(scene.json("account show SID")["balance"], "32.00");
}

#[test]
fn a_signal_while_a_commit_hangs_leaves_unknown_what_is_not_known() {
    let scene = Scene::new();
    let commits = format!("do $$ begin assert exists (select {COMMITS}); end $$");
    for table in ["ledger_entries", "imports"] {
        scene.home.sql(&held(table)).expect("it runs");
    }
    scene.home.sql("insert into hold default values").expect("it runs");
    let file = scene.home.file("more.csv", "phone_number\n2128670000\n");
    let import = format!("inventory import {file}");
    for (line, signal, remedy) in [
        ("account credit SID 25.00", Signal::SIGINT, "'numberbank report ledger'"),
        (import.as_str(), Signal::SIGTERM, "run 'numberbank inventory import' again"),
    ] {
        let mut command = scene.home.begin(&scene.words(line));
        eventually("it commits", || scene.home.sql(&commits).is_ok());
        command.signal(signal);
        assert_eq!(command.ended(), Some(1), "{}", command.err());
        assert!(command.says("whether this was done is not known") && command.says(remedy), "{}", command.err());
        let entry = scene.entry();
        assert_eq!((&entry["outcome"], &entry["ended_at"].is_null()), (&json!("unknown"), &false), "{line}");
        scene.home.sql(&format!("select pg_terminate_backend(pid) {COMMITS}")).expect("it runs");
    }
}
