//! Which database is used: URLs, their certificates, and the environment.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

use crate::home::{Home, Ran, eventually, program};

#[test]
fn an_empty_database_url_is_refused_by_every_command() {
    let home = Home::new();
    // Commands that would never end come last.
    for arguments in [
        &["migrate"][..],
        &["account", "create", "--name", "Acme"],
        &["inventory", "summary"],
        &["price", "list"],
        &["number", "show", "4158670000"],
        &["bill"],
        &["recycle"],
        &["audit"],
        &["report", "list"],
        &["serve", "--bind", "127.0.0.1:0"],
        &["demo", "--bind", "127.0.0.1:0"],
    ] {
        for url in ["", " "] {
            Ran::of(home.command(arguments).env("DATABASE_URL", url).output()).assert_refused("empty");
            Ran::of(home.command(arguments).args(["--database-url", url]).output()).assert_refused("empty");
        }
    }
    assert!(!home.data_dir().exists(), "no private PostgreSQL was made");
    let serve = ["serve", "--bind", "127.0.0.1:0"];
    Ran::of(home.command(&serve).env("NUMBERBANK_READ_URL", "").output()).assert_refused("--read-url");
}

#[test]
fn libpqs_variables_do_not_reach_the_private_postgresql() {
    let home = Home::new();
    let theirs = [
        ("PGOPTIONS", "-c default_transaction_read_only=on -c nonsense=1"),
        ("PGHOST", "db.invalid"),
        ("PGHOSTADDR", "192.0.2.1"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "none"),
        ("PGPASSWORD", "hidden"),
        ("PGPASSFILE", "/none/there"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "system"),
        ("PGSSLCERT", "/none/there"),
        ("PGAPPNAME", "theirs"),
    ];
    let ran = Ran::of(home.command(&["account", "create", "--name", "Acme"]).envs(theirs).output()).done();
    assert_eq!(ran.err.lines().filter(|line| line.contains("ERROR") || line.contains("WARN")).count(), 0, "{ran:?}");
    let mut server = home.start("serve", &theirs);
    assert_eq!(home.json(&["account", "list"]).as_array().map(Vec::len), Some(1));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.ended(), Some(0), "{}", server.err());
    assert_eq!(home.postgres(), None);
}

#[test]
fn a_database_that_is_not_utf8_is_refused_before_its_first_table() {
    let home = Home::new();
    let _postgres = home.start("serve", &[]);
    home.sql("create database ascii encoding 'SQL_ASCII' template template0").expect("a database");
    let url = home.url("x").replace("/numberbank?", "/ascii?");
    for arguments in [&["migrate"][..], &["serve", "--bind", "127.0.0.1:0"], &["demo", "--bind", "127.0.0.1:0"]] {
        Ran::of(program(arguments).args(["--database-url", &url]).output()).assert_refused("SQL_ASCII");
    }
    // A template database is copied with everything in it.
    home.sql("alter database ascii with allow_connections false").expect("it is left alone");
    home.sql("create database copy template ascii").expect("a copy");
    home.sql("drop database copy").expect("it goes");
    home.sql("alter database ascii with allow_connections true").expect("it is back");
    let current = Ran::of(program(&["account", "list", "--database-url", &url]).output());
    current.assert_refused("run 'numberbank migrate' first");
}

#[test]
fn tables_in_another_schema_are_found_and_not_made_anew() {
    let home = Home::new();
    let _postgres = home.start("serve", &[]);
    home.sql("create database other").expect("a database");
    let url = home.url("x").replace("/numberbank?", "/other?");
    let migrate = || Ran::of(program(&["migrate", "--database-url", &url]).output());
    migrate().done();
    home.sql("alter database other rename to once").expect("a name");
    let url = home.url("x").replace("/numberbank?", "/once?");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = numberbank::db::for_command(&numberbank::db::options(&url).expect("a URL"));
        let moved = "alter schema public rename to numberbank; create schema public";
        sqlx::raw_sql(moved).execute(&db).await.expect("it moves");
        db.close().await;
    });
    Ran::of(program(&["migrate", "--database-url", &url]).output()).assert_refused("the schema \"numberbank\"");
}

/// PostgreSQL on the data of a home, which listens on the loopback addresses with TLS.
struct Listening {
    process: Child,
    port: u16,
    folder: std::path::PathBuf,
}

impl Listening {
    fn start(home: &Home, certificate: &Pair) -> Self {
        home.json(&["migrate"]);
        let folder = home.data_dir().join("pg");
        let owner = fs::metadata(&folder).expect("the server's folder");
        let started = fs::read_to_string(folder.join("cluster/postmaster.opts")).expect("how it was started");
        let server = started.split_once(" \"").expect("a program and its arguments").0;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
        show(&folder, certificate);
        let mut command = Command::new(server);
        command.arg("-D").arg(folder.join("cluster")).arg("-k").arg(&folder).args(["-p", &port.to_string()]);
        // Not every machine has IPv6.
        let addresses = if TcpListener::bind("[::1]:0").is_ok() { "127.0.0.1,::1" } else { "127.0.0.1" };
        command.args(["-c", &format!("listen_addresses={addresses}")]);
        for setting in ["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key"] {
            command.args(["-c", setting]);
        }
        command.uid(owner.uid()).gid(owner.gid()).current_dir(&folder).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { process: command.spawn().expect("it starts"), port, folder };
        eventually("PostgreSQL listens", || {
            assert!(server.process.try_wait().expect("a child").is_none(), "PostgreSQL ended");
            server.list("127.0.0.1", "sslmode=require").code == Some(0)
        });
        server
    }

    /// Changes its certificate.
    fn shows(&self, certificate: &Pair) {
        show(&self.folder, certificate);
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGHUP).expect("it lives");
    }

    fn list(&self, host: &str, query: &str) -> Ran {
        let url = format!("postgres://numberbank@{host}:{}/numberbank?{query}", self.port);
        Ran::of(program(&["account", "list", "--database-url", &url]).output())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGQUIT);
        let _ = self.process.wait();
    }
}

/// A certificate and its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    /// Self-signed; with CA:TRUE if asked for.
    fn new(is_ca: IsCa) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let name = if is_ca == IsCa::NoCa { "own" } else { "authority" };
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = is_ca;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { certificate, key: key.serialize_pem() }
    }
}

fn show(folder: &Path, Pair { certificate, key }: &Pair) {
    let owner = fs::metadata(folder).expect("the server's folder");
    for (name, text) in [("server.crt", certificate), ("server.key", key)] {
        let path = folder.join("cluster").join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a private file");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("the server's file");
    }
}

#[test]
fn a_server_s_certificate_is_accepted_or_said_to_be_wrong_in_words() {
    let home = Home::new();
    let (own, authority) = (Pair::new(IsCa::NoCa), Pair::new(IsCa::Ca(BasicConstraints::Unconstrained)));
    let trusted = |name: &str, pair: &Pair| format!("sslrootcert={}", home.file(name, &pair.certificate));
    let (trust_own, trust_authority) = (trusted("own.crt", &own), trusted("authority.crt", &authority));
    let server = Listening::start(&home, &own);

    server.list("localhost", &format!("sslmode=verify-full&{trust_own}")).done();
    server.list("127.0.0.1", &format!("sslmode=verify-ca&{trust_own}")).done();
    server.list("127.0.0.1", &format!("sslmode=require&{trust_own}")).done();
    server.list("127.0.0.1", &format!("sslmode=verify-full&{trust_own}")).assert_refused("not for the host");
    for mode in ["verify-ca", "verify-full", "require"] {
        let other = server.list("localhost", &format!("sslmode={mode}&{trust_authority}"));
        other.assert_refused("name the file of its authority's certificate");
    }
    server.list("localhost", "sslmode=verify-full").assert_refused("sslrootcert");
    server.list("localhost", "sslrootcert=system").assert_refused("signed by nobody who is trusted here");
    server.list("localhost", "sslrootcert=system&sslmode=require").assert_refused("wants sslmode=verify-full");
    server.list("localhost", "sslmode=verify-full&sslrootcert=/none/there").assert_refused("sslrootcert");

    server.shows(&authority);
    eventually("the other one is shown", || {
        server.list("localhost", &format!("sslmode=verify-full&{trust_own}")).code == Some(1)
    });
    server.list("localhost", &format!("sslmode=verify-full&{trust_authority}")).assert_refused("CA:FALSE");
}

#[test]
fn an_address_of_ipv6_stands_in_brackets() {
    if TcpListener::bind("[::1]:0").is_err() {
        return eprintln!("\n*** SKIPPED: this machine has no IPv6 ***\n");
    }
    let home = Home::new();
    let server = Listening::start(&home, &Pair::new(IsCa::NoCa));
    server.list("[::1]", "sslmode=require").done();
    server.list("[::1]", "sslmode=disable").done();
}
