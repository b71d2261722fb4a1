//! A dump of a busy database, restored elsewhere.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use chrono::TimeDelta;
use numberbank::inventory::{self, Quarantine};
use numberbank::values::clock::Clock;
use numberbank::{billing, db};
use serde_json::{Value, json};

use crate::home::{Home, Ran, Running, eventually, program};

/// A program of the same installation as this home's server.
fn postgres_program(home: &Home, name: &str) -> Command {
    let options = fs::read_to_string(home.data_dir().join("pg/cluster/postmaster.opts")).expect("how it was started");
    let server = options.split(" \"").next().expect("its program").trim();
    Command::new(Path::new(server).with_file_name(name))
}

fn url(home: &Home, role: &str, database: &str) -> String {
    home.url("x").replace("numberbank:x@", &format!("{role}@")).replace("/numberbank?", &format!("/{database}?"))
}

fn restore(home: &Home, file: &str, role: &str, database: &str, options: &[&str]) -> Ran {
    let mut command = postgres_program(home, "pg_restore");
    let to = url(home, role, database);
    Ran::of(command.args(["--single-transaction", "--dbname", &to]).args(options).arg(file).output())
}

/// Runs a command on this database, and returns its answer.
fn on(database: &str, arguments: &[&str]) -> Value {
    Ran::of(program(arguments).args(["--output", "json", "--database-url", database]).output()).done_json()
}

/// A service with an account that buys.
struct Shop {
    home: Home,
    account: [String; 2],
    sold: AtomicI64,
    is_over: AtomicBool,
}

impl Shop {
    fn new(home: Home) -> Self {
        home.json(&["inventory", "add", "4158670000-4158679999", "2128670000-2128679999"]);
        let account = home.json(&["account", "create", "--name", "Busy", "--balance", "1000000"]);
        let account = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name).to_owned());
        Self { home, account, sold: AtomicI64::new(0), is_over: AtomicBool::new(false) }
    }

    fn call(&self, server: &Running, method: &str, below: &str) -> (u16, String) {
        let [sid, token] = &self.account;
        server.call(method, &format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers{below}"), [sid, token], "")
    }

    /// Buys, and releases every third number, until the dump is done or takes too long.
    fn trade(&self, server: &Running) {
        while !self.is_over.load(Ordering::Relaxed) && self.sold.load(Ordering::Relaxed) < 15_000 {
            let (status, body) = self.call(server, "POST", "/Local.json");
            assert_eq!(status, 201, "{body}");
            if self.sold.fetch_add(1, Ordering::Relaxed) % 3 == 0 {
                let body: Value = serde_json::from_str(&body).expect("JSON");
                let number = body["TwilioResponse"]["IncomingPhoneNumber"]["Sid"].as_str().expect("a Sid");
                assert_eq!(self.call(server, "DELETE", &format!("/{number}")).0, 204);
            }
        }
    }

    /// Bills and recycles, month after month, until the dump is done.
    fn run_jobs(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let db = db::for_jobs(&db::options(&self.home.url("x")).expect("a URL"));
            let clock = Clock::frozen(Clock::System.now());
            let quarantine = Quarantine { local: TimeDelta::days(45), tollfree: TimeDelta::days(45) };
            for _ in 1..=120 {
                clock.advance(TimeDelta::days(31));
                let now = clock.now();
                billing::bill(&db, &clock, now, TimeDelta::days(14), |_| {}).await.expect("billed");
                inventory::recycle(&db, &clock, now, quarantine).await.expect("recycled");
                if self.is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            db.close().await;
        });
    }

    /// Makes a dump. Returns it, with the number of sales before it began and after it ended.
    fn dump(&self, server: &Running) -> (String, i64, i64) {
        let file = self.home.file("numberbank.dump", "");
        thread::scope(|scope| {
            let traders = [(); 2].map(|()| scope.spawn(|| self.trade(server)));
            let jobs = scope.spawn(|| self.run_jobs());
            let is_busy = || self.sold.load(Ordering::Relaxed) >= 30;
            eventually("it is busy", || is_busy() || traders.iter().any(thread::ScopedJoinHandle::is_finished));
            let before = self.sold.load(Ordering::Relaxed);
            let mut dump = postgres_program(&self.home, "pg_dump");
            let from = url(&self.home, "numberbank", "numberbank");
            let dumped = Ran::of(dump.args(["--format=custom", "--file", &file, &from]).output());
            self.is_over.store(true, Ordering::Relaxed);
            for ended in traders.into_iter().chain([jobs]).map(thread::ScopedJoinHandle::join) {
                ended.expect("it went well");
            }
            dumped.done();
            (file, before, self.sold.load(Ordering::Relaxed))
        })
    }
}

fn sold(database: &str) -> i64 {
    let revenue = on(database, &["report", "monthly_revenue"]);
    let purchases = revenue.as_array().expect("rows").iter().filter(|row| row["charge"] == "purchase");
    purchases.map(|row| row["count"].as_i64().expect("a count")).sum()
}

#[test]
fn a_busy_database_is_dumped_and_restored_into_another_cluster() {
    let busy = Home::new();
    let server = busy.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let shop = Shop::new(busy);
    let (dump, before, after) = shop.dump(&server);
    assert_eq!(shop.home.json(&["audit"])["ok"], true);

    let fresh = Home::new();
    let beside = fresh.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let restored = url(&fresh, "numberbank", "restored");
    fresh.sql("alter role numberbank_reporting rename to hidden").expect("no such role");
    fresh.sql("create database restored").expect("a database");
    let refused = restore(&fresh, &dump, "numberbank", "restored", &[]);
    assert!(refused.code == Some(1) && refused.err.contains("numberbank_reporting"), "{refused:?}");
    fresh.sql("alter role hidden rename to numberbank_reporting").expect("the role");
    restore(&fresh, &dump, "numberbank", "restored", &[]).done();

    assert_eq!(on(&restored, &["migrate"]), json!({ "applied": [] }));
    assert_eq!(on(&restored, &["audit"]), json!({ "ok": true, "breaches": [] }));
    assert!((before..=after).contains(&sold(&restored)), "{before} {} {after}", sold(&restored));
    let stock = on(&restored, &["inventory", "summary"]);
    let total: i64 = stock.as_array().expect("rows").iter().filter_map(|row| row["total"].as_i64()).sum();
    assert_eq!(total, 20_000);
    on(&url(&fresh, "numberbank", "restored"), &["price", "set", "local", "1.15"]);

    let again = fresh.start("serve", &[("DATABASE_URL", &restored), ("NUMBERBANK_JOBS", "off")]);
    let (status, body) = shop.call(&again, "POST", "/Local");
    assert_eq!(status, 201, "{body}");
    assert_eq!(on(&restored, &["audit"])["ok"], true);
    drop((again, beside));
}

#[test]
fn a_dump_can_be_restored_by_another_owner_and_over_what_is_there() {
    let home = Home::new();
    let _server = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    home.json(&["account", "create", "--name", "Acme", "--balance", "5.00"]);
    let dump = home.file("numberbank.dump", "");
    let mut program = postgres_program(&home, "pg_dump");
    let from = url(&home, "numberbank", "numberbank");
    Ran::of(program.args(["--format=custom", "--file", &dump, &from]).output()).done();
    let accounts = home.json(&["account", "list"]);

    home.sql("create role theirs login").expect("a role");
    home.sql("create database theirs owner theirs").expect("a database");
    restore(&home, &dump, "theirs", "theirs", &["--no-owner"]).done();
    let theirs = url(&home, "theirs", "theirs");
    assert_eq!(on(&theirs, &["account", "list"]), accounts);
    assert_eq!(on(&theirs, &["audit"])["ok"], true);

    home.json(&["account", "create", "--name", "Forgotten"]);
    restore(&home, &dump, "numberbank", "numberbank", &["--clean", "--if-exists"]).done();
    assert_eq!(home.json(&["account", "list"]), accounts);
    assert_eq!(home.json(&["audit"])["ok"], true);
}
