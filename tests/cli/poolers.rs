//! A real PgBouncer in front of a real PostgreSQL.

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use numberbank::db;

use crate::home::{Home, Ran, eventually, program};

/// A pooler in front of a home's private PostgreSQL, until it is dropped.
struct Pooler {
    process: Child,
    port: u16,
}

/// The program's path; if there is none, the test says so and is skipped.
fn pgbouncer() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let found = folders.iter().map(|folder| folder.join("pgbouncer")).find(|program| program.is_file());
    if found.is_none() {
        eprintln!("\n*** SKIPPED: there is no pgbouncer here; the tests of poolers have shown NOTHING ***\n");
    }
    found
}

impl Pooler {
    fn start(home: &Home, program: &Path, mode: &str, more: &str) -> Self {
        let postgres = home.data_dir().join("pg");
        let owner = fs::metadata(&postgres).expect("the server's folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
        let folder = postgres.display();
        let users = home.file("users.txt", "\"numberbank\" \"\"\n");
        let settings = format!(
            "[databases]\n* = host={folder} port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
            unix_socket_dir =\nauth_type = trust\nauth_file = {users}\npool_mode = {mode}\ndefault_pool_size = 60\n{more}\n"
        );
        let settings = home.file(&format!("{mode}.ini"), &settings);
        for file in [&users, &settings] {
            fs::set_permissions(file, Permissions::from_mode(0o644)).expect("a file to read");
            chown(file, Some(owner.uid()), Some(owner.gid())).expect("its file");
        }
        let mut command = Command::new(program);
        command.arg(settings).uid(owner.uid()).gid(owner.gid()).current_dir("/");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut pooler = Self { process: process.expect("it starts"), port };
        eventually("the pooler listens", || {
            assert!(pooler.process.try_wait().expect("a child").is_none(), "the pooler ended");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        pooler
    }

    fn url(&self) -> String {
        format!("postgres://numberbank@127.0.0.1:{}/numberbank", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_pooler_of_sessions_works_as_it_comes() {
    let Some(pgbouncer) = pgbouncer() else { return };
    let home = Home::new();
    let _postgres = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    let pooler = Pooler::start(&home, &pgbouncer, "session", "");
    let url = pooler.url();
    let run = |arguments: &[&str]| {
        Ran::of(program(arguments).args(["--output", "json", "--database-url", &url]).output()).done_json()
    };
    let server = home.start("serve", &[("DATABASE_URL", &url), ("NUMBERBANK_JOBS", "1s")]);
    let account = run(&["account", "create", "--name", "Acme", "--balance", "90.00"]);
    let [sid, token] = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name));
    assert_eq!(run(&["inventory", "add", "4158670000-4158670099"])["added"], 100);
    let numbers = format!("/2008-08-01/Accounts/{sid}/IncomingPhoneNumbers");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let (status, body) = server.call("POST", &format!("{numbers}/Local"), [sid, token], "");
                    assert_eq!(status, 201, "{body}");
                    let (status, body) = server.call("GET", &numbers, [sid, token], "");
                    assert_eq!(status, 200, "{body}");
                }
            });
        }
    });
    assert_eq!(run(&["audit"])["ok"], true);
    // The connection has our settings, although the pooler accepts none in the first message.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let shown: String = runtime.block_on(async {
        let db = db::for_command(&db::options(&url).expect("a URL"));
        sqlx::query_scalar("show lock_timeout").fetch_one(&db).await.expect("a setting")
    });
    assert_eq!(shown, "1min");
}

#[test]
fn a_pooler_of_transactions_is_refused_in_one_line() {
    let Some(pgbouncer) = pgbouncer() else { return };
    let home = Home::new();
    let _postgres = home.start("serve", &[("NUMBERBANK_JOBS", "off")]);
    home.json(&["account", "create", "--name", "Acme"]);
    let round = "server_round_robin = 1\nmin_pool_size = 3";
    for (mode, more) in
        [("transaction", ""), ("transaction", round), ("transaction", "default_pool_size = 1"), ("statement", "")]
    {
        let pooler = Pooler::start(&home, &pgbouncer, mode, more);
        let url = pooler.url();
        for arguments in [
            &["migrate"][..],
            &["account", "list"],
            &["bill"],
            &["audit"],
            &["serve", "--bind", "127.0.0.1:0"],
            &["demo", "--bind", "127.0.0.1:0"],
        ] {
            let ran = Ran::of(program(arguments).env("DATABASE_URL", &url).output());
            ran.assert_refused("pool_mode = session");
        }
        let reading = home.start("serve", &[("NUMBERBANK_READ_URL", &url), ("NUMBERBANK_JOBS", "off")]);
        // If the pooler has only one connection, it may not say why it failed.
        let told = ["pool_mode = session", "did not answer", "refused to answer"];
        eventually("the log tells", || told.iter().any(|words| reading.says(words)));
    }
}
