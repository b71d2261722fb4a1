//! `bill` and `recycle`, by hand and in `serve`, at a given time.

use chrono::{Months, NaiveDate, TimeDelta};
use nix::sys::signal::Signal;
use numberbank::values::clock::Clock;
use serde_json::{Value, json};

use crate::home::{Home, Running, eventually};
use crate::staging;

/// A server, and an account that has spent its last dollar on a number.
struct Scene {
    // Dropped before its home: the server would restart PostgreSQL.
    server: Running,
    home: Home,
    /// What leads commands to it.
    to: &'static [&'static str],
    account: [String; 2],
    number: String,
}

impl Scene {
    /// A registry.
    fn new(environment: &[(&str, &str)]) -> Self {
        let home = Home::new();
        let server = home.start("serve", environment);
        Self::of(home, server, &[])
    }

    /// A world whose clock stands, so that nothing is done by itself.
    fn in_a_world() -> Self {
        let home = Home::new();
        let seed = home.file("seed.json", r#"{"clock":{"at":"2026-01-15T12:00:00Z","stand":true}}"#);
        let server = staging::start(&home, &["--name", "scene", "--seed", &seed]);
        Self::of(home, server, &["--world", "scene"])
    }

    fn of(home: Home, server: Running, to: &'static [&'static str]) -> Self {
        let operate = |arguments: &[&str]| home.json(&[arguments, to].concat());
        let account = operate(&["account", "create", "--name", "Acme", "--balance", "1.00"]);
        operate(&["inventory", "add", "4158670000"]);
        let account = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name).to_owned());
        let mut scene = Self { server, home, to, account, number: String::new() };
        let (status, body) = scene.call("POST", "/Local.json");
        assert_eq!(status, 201, "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let sid = &body["TwilioResponse"]["IncomingPhoneNumber"]["Sid"];
        scene.number = sid.as_str().expect("a Sid").to_owned();
        scene
    }

    fn call(&self, method: &str, below: &str) -> (u16, String) {
        let [sid, token] = &self.account;
        let path = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers{below}");
        self.server.call(method, &path, [sid, token], "")
    }

    /// A command's answer.
    fn json(&self, arguments: &[&str]) -> Value {
        self.home.json(&[arguments, self.to].concat())
    }

    /// The answer of a command on a later day of the world. What falls due on the way is left to it.
    fn json_on(&self, day: &str, arguments: &[&str]) -> Value {
        self.sql(&format!("update staging.world set stands_at = '{day}'"));
        self.json(arguments)
    }

    fn sql(&self, statement: &str) {
        staging::texts(&staging::url(&self.home, "nbworld_scene"), statement).expect(statement);
    }

    fn show(&self) -> Value {
        self.json(&["account", "show", &self.account[0]])
    }

    /// The day of the purchase, plus months and days.
    fn later(&self, months: u32, days: i64) -> String {
        let number = self.number();
        let from = number["history"][0]["from"].as_str().expect("a time");
        after(from[.."2026-01-31".len()].parse().expect("a day"), months, days)
    }

    fn number(&self) -> Value {
        self.json(&["number", "show", &self.number])
    }
}

/// A day, plus months and days.
fn after(day: NaiveDate, months: u32, days: i64) -> String {
    (day + Months::new(months) + TimeDelta::days(days)).to_string()
}

#[test]
fn an_account_that_cannot_pay_and_how_it_comes_back() {
    let scene = Scene::in_a_world();
    let (home, sid) = (&scene.home, scene.account[0].as_str());
    let nothing = json!({ "charged": 0, "amount": "0.00", "suspended": 0, "activated": 0, "released": 0 });
    assert_eq!(scene.json(&["bill"]), nothing);
    assert_eq!(scene.json_on(&scene.later(1, -1), &["bill"]), nothing);
    let forecast = scene.json(&["bill", "--as-of", &scene.later(1, 0), "--dry-run", "--verbose"]);
    let account = json!({
        "account_sid": sid, "account_name": "Acme", "charged": 0, "amount": "0.00", "suspended": true,
        "activated": false, "released": 0
    });
    assert_eq!((&forecast["suspended"], &forecast["accounts"]), (&json!(1), &json!([account])));
    let fee = &forecast["fees"][0];
    assert_eq!(
        (&fee["due_on"], &fee["price"], &fee["charged"]),
        (&json!(scene.later(1, 0)), &json!("1.00"), &json!(false))
    );
    home.run(&["bill", "--verbose", "--world", "scene"]).assert_bad_usage();
    let short = json!({ "charged": 0, "amount": "0.00", "suspended": 1, "activated": 0, "released": 0 });
    assert_eq!(scene.json_on(&scene.later(1, 0), &["bill"]), short);
    let shown = scene.show();
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("suspended"), &json!("unpaid")));
    assert_eq!((&shown["balance"], &shown["events"][0]["reason"]), (&json!("0.00"), &json!("unpaid")));
    assert_eq!((&shown["owed"], scene.call("POST", "/Local").0), (&json!("1.00"), 403));
    assert_eq!((&shown["needed"], &shown["overdue_numbers"]), (&json!("1.00"), &json!(1)));
    let (due, goes) = (scene.later(1, 0), scene.later(1, 14));
    assert_eq!((&shown["overdue"][0]["due_on"], &shown["overdue"][0]["goes_on"]), (&json!(due), &json!(goes)));
    let sooner = scene.json(&["account", "show", sid, "--grace", "3"]);
    assert_eq!(sooner["overdue"][0]["goes_on"], json!(scene.later(1, 3)));
    let paid = scene.json(&["account", "credit", sid, "1.50"]);
    assert_eq!(
        paid,
        json!({ "sid": sid, "entry": paid["entry"], "balance": "0.50", "charged": 1, "paid": "1.00", "owed": "0.00", "status": "active",
        "activated": true })
    );
    assert_eq!(scene.show()["status"], "active");
    assert_eq!(scene.json_on(&scene.later(1, 0), &["bill"]), nothing);

    scene.json_on(&scene.later(2, 0), &["bill"]);
    assert_eq!(scene.json_on(&scene.later(2, 13), &["bill"]), nothing);
    let released = scene.json_on(&scene.later(2, 13), &["bill", "--grace", "13"]);
    assert_eq!(released["released"], 1);
    assert_eq!((&scene.number()["state"], scene.call("GET", "").0), (&json!("quarantined"), 200));
    assert_eq!(scene.json(&["number", "restore", &scene.number])["holder"], json!(sid));
    assert_eq!(scene.json(&["audit"])["ok"], true);
}

#[test]
fn a_released_number_goes_back_on_sale_or_to_its_holder() {
    let scene = Scene::in_a_world();
    let (home, below) = (&scene.home, format!("/{}", scene.number));
    home.run(&["number", "restore", &scene.number, "--world", "scene"]).assert_refused("held");
    assert_eq!(scene.call("DELETE", &below).0, 204);
    let restored = scene.json(&["number", "restore", &scene.number]);
    assert_eq!((&restored["state"], &restored["history"][1]["to"]), (&json!("in_use"), &json!(null)));
    assert_eq!(scene.call("GET", &below).0, 200);
    assert_eq!(scene.call("DELETE", &below).0, 204);
    assert_eq!(scene.json(&["recycle"]), json!({ "recycled": 0 }));
    assert_eq!(scene.json_on(&scene.later(0, 44), &["recycle"]), json!({ "recycled": 0 }));
    let dry = scene.json(&["recycle", "--as-of", &scene.later(0, 46), "--dry-run"]);
    let last = json!([{ "account_sid": scene.account[0], "account_name": "Acme", "kind": "local", "recycled": 1 }]);
    assert_eq!((&dry["recycled"], &dry["accounts"]), (&json!(1), &last));
    let tollfree = ["recycle", "--quarantine-tollfree", "1"];
    assert_eq!(scene.json(&tollfree), json!({ "recycled": 0 }));
    assert_eq!(scene.json_on(&scene.later(0, 46), &["recycle"]), json!({ "recycled": 1 }));
    let moves = scene.number()["moves"].as_array().expect("moves").clone();
    let causes: Vec<_> = moves.iter().map(|made| made["cause"].as_str().expect("a cause")).collect();
    assert_eq!(causes, ["sale", "release", "restore", "release", "recycle"]);
    home.run(&["number", "restore", &scene.number, "--world", "scene"]).assert_refused("available");
}

#[test]
fn a_time_to_come_is_for_dry_runs_only_and_a_time_must_be_one() {
    let home = Home::new();
    let today = Clock::System.now().date_naive();
    let (tomorrow, late) = (after(today, 0, 2), after(today, 2400, 0));
    home.json(&["account", "list"]);
    for verb in ["bill", "recycle"] {
        home.run(&[verb, "--as-of", &tomorrow]).assert_refused("is in the future: --dry-run says");
        home.run(&[verb, "--as-of", &tomorrow, "--force"]).assert_bad_usage();
        home.json(&[verb, "--as-of", &tomorrow, "--dry-run"]);
        home.run(&[verb, "--as-of", &late, "--dry-run"]).assert_unreadable("more than 36 months from now");
        for time in ["tomorrow", "2026-02-30", "2026-01-01T00:00:00", "1767225600"] {
            home.run(&[verb, "--as-of", time]).assert_bad_usage();
        }
        home.json(&[verb, "--as-of", "2026-01-01T00:00:00-05:00"]);
    }
    home.run(&["bill", "--grace", "-1"]).assert_bad_usage();
    home.run(&["recycle", "--quarantine-local", "many"]).assert_bad_usage();
    home.run(&["serve", "--jobs", "never"]).assert_bad_usage();
}

#[test]
fn serve_recycles_and_bills_by_itself_and_tells_of_it() {
    let quick = [("NUMBERBANK_JOBS", "1s"), ("NUMBERBANK_QUARANTINE_LOCAL", "0")];
    let scene = Scene::new(&quick);
    assert_eq!(scene.call("DELETE", &format!("/{}", scene.number)).0, 204);
    eventually("it is on sale again", || scene.number()["state"] == "available");
    eventually("the log tells", || scene.server.err().contains("recycled=1"));
}

#[test]
fn a_run_that_is_interrupted_says_what_stands() {
    let scene = Scene::in_a_world();
    let (home, [sid, _]) = (&scene.home, &scene.account);
    scene.json(&["account", "credit", sid, "9.00"]);
    // The second month takes for ever.
    let slow = "begin perform pg_sleep(600); return new; end";
    scene.sql(&format!("create function slow() returns trigger language plpgsql as '{slow}'"));
    scene.sql(
        "create trigger slow before insert on ledger_entries for each row when (new.month = 2) execute function slow()",
    );
    scene.sql(&format!("update staging.world set stands_at = '{}'", scene.later(3, 0)));
    let mut bill = home.begin(&["bill", "--world", "scene"]);
    let fees = || scene.json(&["account", "ledger", sid, "--kind", "monthly_fee"]).as_array().map(Vec::len);
    eventually("the first month is charged", || fees() == Some(1));
    bill.signal(Signal::SIGINT);
    let mut code = None;
    eventually("it ends", || {
        code = bill.ended();
        code.is_some()
    });
    assert_eq!(code, Some(130));
    let told = "interrupted: 1 fee was charged and stands; 'numberbank bill' goes on with the rest";
    assert!(bill.says(told), "{}", bill.err());
    let action = scene.json(&["report", "operator_actions"]).as_array().and_then(|all| all.last().cloned());
    let action = action.expect("its entry");
    assert_eq!((&action["outcome"], &action["counts"]["charged"]), (&json!("interrupted"), &json!(1)));
    scene.sql("select pg_terminate_backend(pid)::text from pg_stat_activity where wait_event = 'PgSleep'");
    scene.sql("drop trigger slow on ledger_entries");
    assert_eq!(scene.json(&["bill"])["charged"], 2);
    assert_eq!(fees(), Some(3));
}
