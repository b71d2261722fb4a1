//! A primary that becomes read-only, a name that leads to a standby for a while, a full disk: nothing is sold, no old
//! token is believed, and all recovers by itself.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::home::{Home, MONITORED, Running, eventually, within};
use crate::replica::Standby;
use crate::switch::Switch;

/// How soon an instance must recover after its database.
const BACK: Duration = Duration::from_secs(10);

const LOCAL: &str = "/IncomingPhoneNumbers/Local";

/// An instance and an account with its token.
struct Scene {
    server: Running,
    sid: String,
    token: String,
}

impl Scene {
    fn new(home: &Home, server: Running) -> Self {
        let account = home.json(&["account", "create", "--name", "Acme", "--balance", "900.00"]);
        home.json(&["inventory", "add", "4158670000-4158670199"]);
        let [sid, token] = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name).to_owned());
        Self { server, sid, token }
    }

    fn call(&self, token: &str, method: &str, below: &str) -> u16 {
        self.server.call(method, &format!("/2008-08-01/Accounts/{}{below}", self.sid), [&self.sid, token], "").0
    }

    fn buy(&self) -> u16 {
        self.call(&self.token, "POST", LOCAL)
    }

    /// Many purchases at once, which go in batches. Returns their statuses.
    fn buy_many(&self) -> Vec<u16> {
        thread::scope(|scope| {
            let buyers: Vec<_> = (0..12).map(|_| scope.spawn(|| self.buy())).collect();
            buyers.into_iter().map(|buyer| buyer.join().expect("an answer")).collect()
        })
    }

    fn is_ready(&self) -> bool {
        self.server.monitoring("/health/ready").0 == 200
    }

    fn is_in_order(&self) {
        assert_eq!(self.call(&self.token, "GET", ""), 200);
        assert_eq!(self.buy(), 201);
        eventually("it is ready", || self.is_ready());
    }

    /// Nothing is sold, and operators see why.
    fn is_out_of_order(&self, why: &str) {
        eventually("operators see that it is not ready", || !self.is_ready());
        let (status, reason) = self.server.monitoring("/health/ready");
        assert!(status == 503 && reason.contains(why), "{status} {reason}");
        assert_eq!(self.buy(), 503);
        assert_eq!(self.buy_many(), [503; 12]);
        assert_eq!(self.call(&self.token, "PUT", ""), 503);
        assert_eq!(self.call(&self.token, "GET", "/Balance"), 503, "nobody can be sure of the token");
    }

    /// Recovers, and stays so. Returns how long it took.
    fn comes_back(&self) -> Duration {
        let began = Instant::now();
        eventually("it is in order again", || self.buy() == 201 && self.is_ready());
        let took = began.elapsed();
        assert_eq!(self.buy_many(), [201; 12]);
        took
    }
}

#[test]
fn a_name_that_leads_to_a_standby_for_a_while_sells_nothing_and_comes_back() {
    let primary = Home::new();
    let _keeps_it = primary.start("serve", &[]);
    let mut standby = Standby::of(&primary);
    standby.start();
    let here = primary.data_dir().join("pg");
    let switch = Switch::to(&here);
    let scene = Scene::new(&primary, primary.start_as(&MONITORED, &[("DATABASE_URL", &switch.url())]));
    eventually("the standby knows the account and the stock", || {
        standby.says("select (select count(*) from accounts) = 1 and (select count(*) from stock) = 200")
    });
    scene.is_in_order();

    // The standby is paused, and still believes the token that is replaced now.
    standby.says("select pg_wal_replay_pause() is not null");
    let old = scene.token.clone();
    let rotated = primary.json(&["account", "rotate-token", &scene.sid, "--yes"]);
    let scene = Scene { token: rotated["auth_token"].as_str().expect("a token").to_owned(), ..scene };
    eventually("the old token is refused", || scene.call(&old, "GET", "") == 401);
    assert_eq!(scene.call(&scene.token, "GET", ""), 200);
    for cuts in [true, false, true] {
        within(BACK, "to come back from a standby", || {
            switch.lead_to(&standby.folder());
            switch.cut();
            let believed = |token: &str| (0..20).filter(|_| scene.call(token, "GET", LOCAL) == 200).count();
            assert_eq!(believed(&old), 0, "a token that was replaced stays so");
            scene.is_out_of_order("standby");
            switch.lead_to(&here);
            if cuts {
                switch.cut();
            }
            let took = scene.comes_back();
            assert_eq!(scene.call(&old, "GET", ""), 401);
            took
        });
    }
    assert_eq!(primary.json(&["audit"])["ok"], true);
}

#[test]
fn a_primary_that_is_read_only_for_a_while_sells_nothing_and_comes_back() {
    let home = Home::new();
    let scene = Scene::new(&home, home.start_as(&MONITORED, &[]));
    scene.is_in_order();
    assert_eq!(scene.buy_many(), [201; 12]);
    for turn in 0..2 {
        within(BACK, "to come back after a time without writes", || {
            home.sql("alter system set default_transaction_read_only = on").expect("a setting");
            home.sql("select pg_reload_conf()").expect("it is read");
            scene.is_out_of_order("read-only");
            home.sql("alter system reset default_transaction_read_only").expect("a setting");
            home.sql("select pg_reload_conf()").expect("it is read");
            let took = scene.comes_back();
            assert_eq!(scene.buy(), 201, "{turn}");
            took
        });
    }
    assert_eq!(home.json(&["audit"])["ok"], true);
}

/// A small memory disk for a home's data.
struct Disk<'a>(&'a Home);

impl<'a> Disk<'a> {
    /// `None` if this machine does not allow a mount.
    fn below(home: &'a Home) -> Option<Self> {
        let folder = home.data_dir();
        fs::create_dir_all(&folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs"]).arg(&folder);
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(home))
    }

    /// Fills the disk.
    fn fill(&self) {
        let mut file = File::create(self.0.data_dir().join("filling")).expect("a file");
        for piece in [vec![0; 1024 * 1024], vec![0; 4096]] {
            while file.write_all(&piece).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.0.data_dir().join("filling")).expect("a file");
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // All processes on the disk end first, because after the unmount they could not be found.
        if let Some(postgres) = self.0.postgres() {
            let _ = kill(postgres, Signal::SIGQUIT);
        }
        let began = Instant::now();
        while self.0.postgres().is_some() && began.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = Command::new("umount").arg("--lazy").arg(self.0.data_dir()).output();
    }
}

#[test]
fn an_instance_whose_disk_is_full_is_not_ready() {
    let home = Home::new();
    let Some(disk) = Disk::below(&home) else {
        eprintln!("SKIPPED: no small disk can be mounted here (mount -t tmpfs), so none was filled");
        return;
    };
    let server = home.start_as(&MONITORED, &[]);
    eventually("it is ready", || server.monitoring("/health/ready").0 == 200);
    within(BACK, "to be ready again when the disk has room", || {
        disk.fill();
        eventually("it is not ready", || server.monitoring("/health/ready").0 == 503);
        let (_, reason) = server.monitoring("/health/ready");
        assert!(reason.contains("no room"), "{reason}");
        disk.make_room();
        let began = Instant::now();
        eventually("it is ready again", || server.monitoring("/health/ready").0 == 200);
        began.elapsed()
    });
    drop(server);
}
