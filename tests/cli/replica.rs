//! Several instances on one PostgreSQL that has a streaming replica.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use numberbank::platform::embedded_pg::{CONNECTIONS, Cluster, ClusterOptions};
use sqlx::{Connection, PgConnection};

use crate::home::{Home, MONITORED, Ran, Running, eventually};

/// The longest delay of an answer to a write.
const WINDOW: Duration = Duration::from_secs(1);

/// A standby of another home's private PostgreSQL, which logs its statements.
pub struct Standby {
    home: Home,
    cluster: Option<Cluster>,
}

impl Standby {
    pub fn of(primary: &Home) -> Self {
        let standby = Self { home: Home::new(), cluster: None };
        let (theirs, ours) = (primary.data_dir().join("pg"), standby.folder());
        let owner = fs::metadata(&theirs).expect("the primary's folder");
        fs::create_dir_all(&ours).expect("a folder");
        fs::set_permissions(standby.home.data_dir(), Permissions::from_mode(0o755)).expect("the server comes through");
        fs::set_permissions(&ours, Permissions::from_mode(0o700)).expect("a private folder");
        chown(&ours, Some(owner.uid()), Some(owner.gid())).expect("the server's folder");
        let mut backup = Command::new(programs(&theirs).join("pg_basebackup"));
        backup.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--username=numberbank"]);
        backup.arg("--host").arg(&theirs).arg("--port=5432").arg("--pgdata").arg(ours.join("cluster"));
        backup.uid(owner.uid()).gid(owner.gid()).current_dir(&ours).env_clear().env("HOME", &ours);
        Ran::of(backup.output()).done();
        let settings = OpenOptions::new().append(true).open(ours.join("cluster/postgresql.conf"));
        settings.expect("its settings").write_all(b"log_statement = 'all'\n").expect("one more");
        standby
    }

    pub fn folder(&self) -> PathBuf {
        self.home.data_dir().join("pg")
    }

    fn url(&self) -> String {
        self.home.url("x")
    }

    pub fn start(&mut self) {
        let settings =
            ClusterOptions { data_dir: Some(self.home.data_dir()), bin: None, fsync: true, connections: CONNECTIONS };
        self.cluster = Some(Cluster::open(&settings).expect("the standby starts"));
    }

    fn stop(&mut self) {
        self.cluster.take().expect("it runs").close().expect("it stops");
    }

    /// The number of statements on numbers in its log.
    fn reads(&self) -> usize {
        let log = fs::read_to_string(self.folder().join("postgres.log")).expect("its log");
        log.matches("from tenancies").count()
    }

    /// Whether a query returns true.
    pub fn says(&self, statement: &'static str) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url()).await.expect("it answers");
            sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("a truth")
        })
    }
}

/// The folder of a server's programs.
fn programs(pg_dir: &Path) -> PathBuf {
    let started = fs::read_to_string(pg_dir.join("cluster/postmaster.opts")).expect("how it was started");
    let server = started.split_once(" \"").expect("a program and its arguments").0;
    Path::new(server).parent().expect("a folder").to_owned()
}

/// A primary, its standby, and two instances that know both.
struct Scene {
    primary: Home,
    standby: Standby,
    instances: [Running; 2],
    account: [String; 2],
}

impl Scene {
    fn new() -> Self {
        let primary = Home::new();
        // The standby starts from a copy of the primary, so the first instance must have made that before.
        let first = primary.start("serve", &[]);
        let mut standby = Standby::of(&primary);
        let url = standby.url();
        let instances = [(); 2].map(|()| primary.start_as(&MONITORED, &[("NUMBERBANK_READ_URL", &url)]));
        drop(first);
        standby.start();
        let account = primary.json(&["account", "create", "--name", "Acme", "--balance", "900.00"]);
        primary.json(&["inventory", "add", "4158670000-4158670099"]);
        let account = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name).to_owned());
        Self { primary, standby, instances, account }
    }

    fn call(&self, instance: usize, method: &str, below: &str, form: &str) -> (u16, String) {
        let [sid, token] = &self.account;
        let path = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers{below}");
        self.instances[instance].call(method, &path, [sid, token], form)
    }

    /// Buys; returns the Sid.
    fn buy(&self, instance: usize) -> String {
        let (status, body) = self.call(instance, "POST", "/Local", "");
        assert_eq!(status, 201, "{body}");
        let sid = body.split("<Sid>").nth(1).and_then(|rest| rest.split('<').next());
        sid.expect("a Sid").to_owned()
    }

    /// Buys, updates and releases through one instance, and reads at once through the other.
    fn write_and_look(&self, writer: usize, name: &str) {
        let reader = 1 - writer;
        let sid = self.buy(writer);
        let one = format!("/{sid}");
        assert_eq!(self.call(reader, "GET", &one, "").0, 200);
        assert!(self.call(reader, "GET", "", "").1.contains(&sid));
        assert_eq!(self.call(writer, "POST", &one, &format!("Url=&FriendlyName={name}")).0, 200);
        assert!(self.call(reader, "GET", &one, "").1.contains(name));
        assert!(self.call(reader, "GET", &format!("?FriendlyName={name}"), "").1.contains(&sid));
        assert_eq!(self.call(writer, "DELETE", &one, "").0, 204);
        assert_eq!(self.call(reader, "GET", &one, "").0, 404);
        assert!(!self.call(reader, "GET", "", "").1.contains(&sid));
    }

    /// Whether the metrics of both instances contain this sample.
    fn both_tell(&self, sample: &str) -> bool {
        self.instances.iter().all(|instance| instance.monitoring("/metrics").1.contains(sample))
    }

    fn both_read_from_the_standby(&self) {
        for instance in [0, 1] {
            eventually("an instance reads from the standby", || {
                let before = self.standby.reads();
                assert_eq!(self.call(instance, "GET", "", "").0, 200);
                self.standby.reads() > before
            });
        }
    }
}

#[test]
fn whoever_has_written_finds_it_through_every_instance() {
    let mut scene = Scene::new();
    scene.both_read_from_the_standby();
    eventually("operators see that", || scene.both_tell("\nnumberbank_replica_fresh 1\n"));
    assert!(scene.both_tell("\nnumberbank_connections_waiting{database=\"replica\"} 0\n"));
    let (begun, before) = (Instant::now(), scene.standby.reads());
    for turn in 0..20 {
        scene.write_and_look(turn % 2, &format!("followed{turn}"));
    }
    assert!(begun.elapsed() < WINDOW * 60, "three writes a turn wait for the standby, not for the whole window");
    assert!(scene.standby.reads() >= before + 20, "most reads come from the standby");

    // From here on the standby is paused, and the primary is read.
    scene.standby.says("select pg_wal_replay_pause() is not null");
    eventually("the standby lacks what was bought", || {
        scene.buy(0);
        scene.standby.says("select (select count(*) from tenancies where ended_at is null) = 0")
    });
    let before = scene.standby.reads();
    for turn in 0..4 {
        scene.write_and_look(turn % 2, &format!("paused{turn}"));
    }
    assert_eq!(scene.standby.reads(), before, "nothing is read from a standby that stands still");
    assert!(scene.both_tell("\nnumberbank_replica_fresh 0\n"), "operators see that");
    scene.standby.says("select pg_wal_replay_resume() is not null");
    scene.both_read_from_the_standby();

    scene.standby.stop();
    for turn in 0..4 {
        scene.write_and_look(turn % 2, &format!("stopped{turn}"));
    }
    scene.standby.start();
    scene.both_read_from_the_standby();
    scene.write_and_look(0, "again");
    assert_eq!(scene.primary.json(&["audit"])["ok"], true);
}

#[test]
fn a_replica_that_is_none_is_told_and_not_read() {
    let home = Home::new();
    let first = home.start("serve", &[]);
    let malformed = "mysql://numberbank:hidden@127.0.0.1/numberbank";
    let refused = home.run(&["serve", "--bind", "127.0.0.1:0", "--read-url", malformed]);
    refused.assert_refused("--read-url");
    assert!(!refused.err.contains("hidden"), "{refused:?}");
    drop(first);

    let itself = home.url("hidden");
    let another = itself.replace("/numberbank?", "/postgres?");
    let unreachable = "postgres://numberbank:hidden@127.0.0.1:1/numberbank".to_owned();
    let account = home.json(&["account", "create", "--name", "Acme"]);
    let [sid, token] = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name));
    for (url, told) in
        [(itself, "not a standby"), (another, "not a replica of this database"), (unreachable, "did not answer")]
    {
        let server = home.start("serve", &[("NUMBERBANK_READ_URL", &url)]);
        eventually("the log tells why", || server.err().contains(told));
        let numbers = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers");
        assert_eq!(server.call("GET", &numbers, [sid, token], "").0, 200);
        assert_eq!(server.call("POST", &format!("/2008-08-01/Accounts/{sid}"), [sid, token], "").0, 200);
        assert!(!server.err().contains("hidden"), "{}", server.err());
    }
}
