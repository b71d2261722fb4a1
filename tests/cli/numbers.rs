//! What operators do with single numbers: assign, move, release, restore, retire; also killed in the middle of it.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::home::{Home, Running, eventually};
use crate::import::{COMMITS, held};

/// A server that keeps PostgreSQL running, two accounts and ten numbers.
struct Scene {
    _server: Running,
    home: Home,
    one: String,
    other: String,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
        let account = |name: &str| {
            let made = home.json(&["account", "create", "--name", name, "--balance", "9.00"]);
            made["sid"].as_str().expect("a Sid").to_owned()
        };
        let (one, other) = (account("Acme"), account("Other"));
        home.json(&["inventory", "add", "4158670000-4158670009"]);
        Self { _server: server, home, one, other }
    }

    fn json(&self, line: &str) -> Value {
        self.home.json(&line.split(' ').collect::<Vec<_>>())
    }

    fn assert_refused(&self, line: &str, says: &str) {
        self.home.run(&line.split(' ').collect::<Vec<_>>()).assert_refused(says);
    }

    /// The newest entry of the record of operators' actions: its outcome, its account, its number, and its counts.
    fn entry(&self) -> Value {
        let entries = self.json("report operator_actions");
        let entry = entries.as_array().and_then(|all| all.last().cloned()).expect("an entry");
        json!([entry["outcome"], entry["account_sid"], entry["phone_number"], entry["counts"]])
    }
}

#[test]
fn a_number_is_assigned_moved_released_and_restored() {
    let scene = Scene::new();
    let (one, other) = (json!(scene.one), json!(scene.other));
    let sold =
        scene.json("number assign 415-867-0007 --account Acme --price 0.50 --url http://example.com/ --method get");
    assert_eq!(
        (&sold["phone_number"], &sold["price"], &sold["balance"]),
        (&json!("4158670007"), &json!("0.50"), &json!("8.50"))
    );
    assert_eq!((&sold["account_sid"], scene.entry()[0].clone()), (&one, json!("done")));
    let sid = sold["sid"].as_str().expect("a Sid");
    let shown = scene.json("number show 4158670007");
    assert_eq!((&shown["holder"], &shown["holder_name"], &shown["price"]), (&one, &json!("Acme"), &json!("0.50")));
    assert_eq!((&shown["since"], &shown["back_on_sale"]), (&sold["started_at"], &json!(null)));
    scene.assert_refused("number assign 4158670007 --account Other", "'numberbank number move'");
    scene.assert_refused("number assign 2128670007 --account Other", "not in stock");
    scene.assert_refused("number assign 4158670008 --account Other --price 9.01", "balance of 9.00");

    let moved = scene.json(&format!("number move {sid} --to Other --note sold"));
    assert_eq!((&moved["holder"], &moved["transfers"][0]["from"]), (&other, &one));
    assert_eq!((&moved["transfers"][0]["to"], &moved["transfers"][0]["note"]), (&other, &json!("sold")));
    assert_eq!((&moved["history"][0]["account_sid"], &moved["history"][0]["sid"]), (&one, &json!(sid)));
    assert_eq!(moved["history"][0]["to"], moved["history"][1]["from"]);
    assert_eq!(scene.entry(), json!(["done", one, scene.entry()[2], null]));
    scene.assert_refused("number move 4158670007 --to Other", "holds 4158670007 already");
    scene.assert_refused("number move 4158670008 --to Other", "is available; nobody holds it");
    scene.json("account suspend Acme");
    scene.assert_refused("number move 4158670007 --to Acme", "is suspended and takes no number");
    scene.assert_refused("number assign 4158670008 --account Acme", "suspended");
    scene.json("account activate Acme");

    let released = scene.json("number release 4158670007 --note fraud");
    assert_eq!((&released["state"], &released["last_holder"]), (&json!("quarantined"), &other));
    assert_eq!((&released["last_holder_name"], &released["holder"]), (&json!("Other"), &json!(null)));
    assert!(released["back_on_sale"].is_string(), "{released}");
    let last = released["moves"].as_array().and_then(|moves| moves.last()).expect("a move");
    assert_eq!((&last["cause"], &last["note"]), (&json!("operator_release"), &json!("fraud")));
    scene.assert_refused("number release 4158670007", "is quarantined; nobody holds it");
    scene.assert_refused("number assign 4158670007 --account Acme", "'numberbank number restore'");
    let restored = scene.json("number restore +1(415)867-0007");
    assert_eq!((&restored["holder"], &restored["since"]), (&other, &restored["history"][2]["from"]));
    scene.assert_refused("number restore 4158670007", "is held under PN");
    scene.assert_refused(&format!("number restore {sid}"), "is held under PN");
    assert_eq!(scene.json("audit")["ok"], true);
}

#[test]
fn numbers_are_withdrawn_returned_retired_and_corrected() {
    let scene = Scene::new();
    let withdrawn = |changed, already| json!({ "withdrawn": changed, "already_withdrawn": already });
    assert_eq!(scene.json("inventory withdraw 4158670000 --note noise"), withdrawn(1, 0));
    assert_eq!(scene.json("inventory withdraw 4158670000-4158670002"), withdrawn(2, 1));
    assert_eq!(scene.entry(), json!(["done", null, null, withdrawn(2, 1)]));
    let returned = |changed, already| json!({ "returned": changed, "already_available": already });
    assert_eq!(scene.json("inventory return 4158670001-4158670003"), returned(2, 1));
    let retired = |changed, already| json!({ "retired": changed, "already_retired": already });
    let retire = "inventory retire 4158670000 4158670001 --reason ported-out --note Acme --yes";
    assert_eq!((scene.json(retire), scene.json(retire)), (retired(2, 0), retired(0, 2)));
    let shown = scene.json("number show 4158670000");
    assert_eq!((&shown["state"], &shown["retirement"]), (&json!("retired"), &json!("ported_out")));
    let moves = shown["moves"].as_array().expect("moves");
    assert_eq!((&moves[0]["note"], &moves[1]["note"]), (&json!("noise"), &json!("Acme")));
    assert_eq!((&moves[0]["retirement"], &moves[1]["retirement"]), (&json!(null), &json!("ported_out")));
    scene.assert_refused("inventory return 4158670000", "is retired: --force makes it ours again");
    scene.assert_refused("number assign 4158670000 --account Acme", "'numberbank inventory return --force'");
    assert_eq!(scene.json("inventory return 4158670000 --force"), returned(1, 0));
    scene.json("number assign 4158670000 --account Acme");
    scene.assert_refused("inventory retire 4158670000 --reason mistake", "'numberbank number release' ends that");

    let changed = |changed, already| json!({ "changed": changed, "already_so": already });
    assert_eq!(scene.json("inventory set 4158670000-4158670001 --provider Acme --monthly-cost $0.0085"), changed(2, 0));
    assert_eq!(scene.json("inventory set 4158670000-4158670002 --provider Acme"), changed(1, 2));
    let shown = scene.json("number show 4158670000");
    assert_eq!((&shown["provider"], &shown["provider_cost"]), (&json!("Acme"), &json!("0.0085")));
    let cleared =
        scene.home.json(&["inventory", "set", "4158670000", "--provider", "", "--monthly-cost", "", "--note", "x"]);
    assert_eq!(cleared, changed(1, 0));
    let shown = scene.json("number show 4158670000");
    assert_eq!(
        (&shown["provider"], &shown["provider_cost"], &shown["note"]),
        (&json!(null), &json!(null), &json!("x"))
    );
    for bad in [
        &["inventory", "set", "4158670000"][..],
        &["inventory", "set", "4158670000", "--monthly-cost", "1.00001"],
        &["inventory", "set", "4158670000", "--note", "\u{7}"],
        &["inventory", "set", "--provider", "Acme"],
        &["inventory", "retire", "4158670000"],
        &["inventory", "retire", "4158670000", "--reason", "lost"],
        &["inventory", "withdraw", "4158670000", "--note", ""],
        &["number", "move", "4158670000"],
        &["number", "assign", "4158670000"],
        &["number", "assign", "4158670000", "--account", "Acme", "--method", "GET"],
        &["number", "assign", "4158670000", "--account", "Acme", "--url", "example.com"],
        &["number", "release", "4158670000", "--note", &"x".repeat(256)],
    ] {
        scene.home.run(bad).assert_bad_usage();
    }
    assert_eq!(scene.json("audit")["ok"], true);
}

/// When a command is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// While it waits for the number's row.
    Begun,
    /// While PostgreSQL commits.
    Committing,
}

impl Scene {
    /// Kills a command at this moment, and then lets go of what held it up.
    fn kill(&self, line: &str, moment: Moment) {
        self.home.sql("insert into hold default values").expect("it runs");
        std::thread::scope(|threads| {
            let reached = match moment {
                Moment::Begun => {
                    threads.spawn(|| self.home.sql(HOLD_NUMBER).expect("it runs"));
                    let free = "select from stock where phone_number = 4158670000 for update nowait";
                    eventually("the number is held", || self.home.sql(free).is_err());
                    "from pg_stat_activity where wait_event_type = 'Lock'"
                }
                Moment::Committing => COMMITS,
            };
            let command = self.home.begin(&line.split(' ').collect::<Vec<_>>());
            let there = format!("do $$ begin assert exists (select {reached}); end $$");
            eventually("it is so far", || self.home.sql(&there).is_ok());
            command.signal(Signal::SIGKILL);
            self.home.sql("delete from hold").expect("it runs");
        });
        eventually("its connection has ended", || self.home.sql(QUIET).is_ok());
    }
}

/// Holds a number as long as there is a row in `hold`.
const HOLD_NUMBER: &str = "begin; select from stock where phone_number = 4158670000 for update;
    do $$ begin while exists (select from hold) loop perform pg_sleep(0.02); end loop; end $$; commit";

const QUIET: &str = "do $$ begin assert not exists (select from pg_stat_activity
    where state <> 'idle' and pid <> pg_backend_pid() and backend_type = 'client backend'); end $$";

/// What is done by a command whose process is killed is done as a whole or not at all, and the record says that nobody
/// knows which.
#[test]
fn a_command_that_is_killed_is_done_or_not_done() {
    let scene = Scene::new();
    for table in ["stock_moves", "tenancy_transfers", "tenancies"] {
        scene.home.sql(&held(table)).expect("it runs");
    }
    let (one, other) = (scene.one.clone(), scene.other.clone());
    let about = |shown: &Value| json!([shown["state"], shown["holder"], shown["history"].as_array().map(Vec::len)]);
    for (line, before, after) in [
        ("number assign 4158670000 --account Acme", json!(["available", null, 0]), json!(["in_use", one, 1])),
        ("number move 4158670000 --to Other", json!(["in_use", one, 1]), json!(["in_use", other, 2])),
        ("number release 4158670000", json!(["in_use", other, 2]), json!(["quarantined", null, 2])),
        ("number restore 4158670000", json!(["quarantined", null, 2]), json!(["in_use", other, 3])),
        ("number release 4158670000", json!(["in_use", other, 3]), json!(["quarantined", null, 3])),
        ("inventory retire 4158670000 --reason mistake", json!(["quarantined", null, 3]), json!(["retired", null, 3])),
    ] {
        for moment in [Moment::Begun, Moment::Committing] {
            let shown = about(&scene.json("number show 4158670000"));
            if shown == after {
                continue;
            }
            assert_eq!(shown, before, "{line} {moment:?}");
            scene.kill(line, moment);
            let shown = about(&scene.json("number show 4158670000"));
            assert!(shown == before || shown == after, "{line} {moment:?}: {shown}");
            assert_eq!(scene.entry()[0], json!(null), "{line} {moment:?}");
            assert_eq!(scene.json("audit")["ok"], true, "{line} {moment:?}");
        }
        if about(&scene.json("number show 4158670000")) == before {
            scene.json(line);
        }
        assert_eq!(about(&scene.json("number show 4158670000")), after, "{line}");
    }
}
