//! The shipped program, with a data folder of its own.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use numberbank::db;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

/// The arguments of a server with the operators' listener.
pub const MONITORED: [&str; 5] = ["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"];

/// Waits until a condition is true, and fails if it takes much too long.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(1), "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Measures what was promised to be done within a time, as the least of several tries: a slow machine has a quick moment,
/// a slow program has none.
pub fn within(promised: Duration, what: &str, mut attempt: impl FnMut() -> Duration) {
    let mut least = Duration::MAX;
    for _ in 0..5 {
        least = least.min(attempt());
        if least < promised {
            return;
        }
    }
    panic!("{what}: {least:?}, where {promised:?} are promised");
}

/// A data folder. When it is dropped, all processes on it are stopped.
pub struct Home {
    folder: TempDir,
}

/// The answer of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new() -> Self {
        let mut folder = tempfile::Builder::new();
        // For root, PostgreSQL runs as another user, who must be able to enter the folder.
        folder.prefix("nb-cli-").permissions(fs::Permissions::from_mode(0o755));
        Self { folder: folder.tempdir_in("/tmp").expect("a folder") }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file to give to a command.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    /// The program with these arguments, without this process' environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.arg("--data-dir").arg(self.data_dir());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output())
    }

    /// The answer of a command that must succeed, as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--output", "json"]].concat()).done_json()
    }

    /// The answer of a command that must succeed, as tables.
    #[track_caller]
    pub fn table(&self, arguments: &[&str]) -> String {
        self.run(arguments).done().out
    }

    /// Starts `serve` or `demo` on a free port, and waits until it says that it listens.
    pub fn start(&self, verb: &str, environment: &[(&str, &str)]) -> Running {
        self.start_as(&[verb, "--bind", "127.0.0.1:0"], environment)
    }

    /// As `serve`, with these arguments.
    pub fn start_as(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        Running::start(command, self.folder.path())
    }

    /// Starts this command, and waits until it says that it listens.
    pub fn run_as(&self, command: Command) -> Running {
        Running::start(command, self.folder.path())
    }

    /// Starts the program without waiting.
    pub fn begin(&self, arguments: &[&str]) -> Running {
        Running::begin(self.command(arguments), self.folder.path())
    }

    /// The process id of the private PostgreSQL; `None` while there is none.
    pub fn postgres(&self) -> Option<Pid> {
        postgres_in(&self.data_dir())
    }

    /// That of the private PostgreSQL of worlds.
    pub fn postgres_of_worlds(&self) -> Option<Pid> {
        ["staging", "staging-durable"].iter().find_map(|folder| postgres_in(&self.data_dir().join(folder)))
    }

    /// The URL of the private PostgreSQL, with a password that it does not need.
    pub fn url(&self, password: &str) -> String {
        let folder = self.data_dir().join("pg").display().to_string().replace('/', "%2F");
        format!("postgres://numberbank:{password}@{folder}:5432/numberbank?sslmode=disable")
    }

    /// Runs a statement on the private PostgreSQL.
    pub fn sql(&self, statement: &str) -> sqlx::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let db = db::for_command(&db::options(&self.url("x")).expect("a URL"));
            let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&db).await;
            db.close().await;
            done.map(drop)
        })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let begun = Instant::now();
        // It must end before its folder is removed. No panic here: the test may have failed already.
        while let Some(pid) =
            self.postgres().or_else(|| self.postgres_of_worlds()).filter(|_| begun.elapsed() < Duration::from_secs(30))
        {
            let _ = kill(pid, Signal::SIGQUIT);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn postgres_in(folder: &Path) -> Option<Pid> {
    let text = fs::read_to_string(folder.join("pg/cluster/postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    // The id may belong to another program by now.
    let ours = command_line(pid).contains(&*folder.to_string_lossy());
    ours.then(|| Pid::from_raw(pid))
}

fn command_line(pid: i32) -> String {
    let arguments = if cfg!(target_os = "linux") {
        fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        let ps = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output();
        ps.map(|output| output.stdout).unwrap_or_default()
    };
    String::from_utf8_lossy(&arguments).into_owned()
}

/// The program with these arguments, without any of the settings of this process.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_numberbank"));
    command.args(arguments).stdin(Stdio::null());
    without_settings(&mut command);
    command
}

/// Takes this process' settings of the program from a command's environment.
pub fn without_settings(command: &mut Command) {
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("NUMBERBANK_")) {
        command.env_remove(name);
    }
    command.env_remove("DATABASE_URL").env_remove("RUST_LOG");
}

impl Ran {
    pub fn of(output: std::io::Result<Output>) -> Self {
        let output = output.expect("the program runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command with `input` on its standard input.
    pub fn with_input(mut command: Command, input: &str) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the program starts");
        child.stdin.take().expect("its standard input").write_all(input.as_bytes()).expect("it reads");
        Self::of(child.wait_with_output())
    }

    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub fn done_json(self) -> Value {
        serde_json::from_str(&self.done().out).expect("one JSON document and nothing else")
    }

    /// Fails unless the command was refused with exactly one line, which contains this.
    #[track_caller]
    pub fn assert_refused(&self, says: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("numberbank: ") && self.err.contains(says), "{self:?}");
    }

    /// Fails unless the command said in one line what it cannot read.
    #[track_caller]
    pub fn assert_unreadable(&self, says: &str) {
        self.assert_bad_usage();
        assert!(self.err.lines().count() == 1 && self.err.contains(says), "{self:?}");
    }

    #[track_caller]
    pub fn assert_bad_usage(&self) {
        assert_eq!((self.code, self.out.as_str()), (Some(2), ""), "{self:?}");
        assert!(!self.err.is_empty());
    }
}

/// A server that runs until it is stopped, or goes out of scope.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    fn start(command: Command, folder: &Path) -> Self {
        let mut running = Self::begin(command, folder);
        eventually("it listens", || {
            let ended = running.child.try_wait().expect("a child");
            assert!(ended.is_none(), "{ended:?}: {}", running.err());
            running.out().contains("listening")
        });
        running
    }

    fn begin(mut command: Command, folder: &Path) -> Self {
        let file = |name: &str| tempfile::Builder::new().prefix(name).tempfile_in(folder).expect("a file").keep();
        let ((out_file, out), (err_file, err)) = (file("out-").expect("it stays"), file("err-").expect("it stays"));
        let child = command.stdout::<File>(out_file).stderr::<File>(err_file).spawn().expect("the program starts");
        Self { child, out, err }
    }

    pub fn out(&self) -> String {
        fs::read_to_string(&self.out).expect("its standard output")
    }

    pub fn err(&self) -> String {
        fs::read_to_string(&self.err).expect("its standard error")
    }

    /// The address on which it listens.
    pub fn site(&self) -> String {
        let out = self.out();
        let line = out.lines().next().and_then(|line| line.strip_prefix("listening on ")).expect("where it listens");
        assert!(line.starts_with("http"), "{line}");
        line.to_owned()
    }

    pub fn address(&self) -> String {
        self.site().split_once("://").expect("a scheme").1.to_owned()
    }

    /// The answer of the operators' listener.
    pub fn monitoring(&self, path: &str) -> (u16, String) {
        let out = self.out();
        let site = out.lines().nth(1).and_then(|line| line.strip_prefix("operations on ")).expect("where they look");
        fetch(reqwest::Client::new().get(format!("{site}{path}")))
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("the server lives");
    }

    /// Whether its log contains this.
    pub fn says(&self, words: &str) -> bool {
        self.err().contains(words)
    }

    /// Its exit code, `None` if a signal ended it.
    pub fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the server stops", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Sends JSON to the control of a world, with its token; returns status and body.
    pub fn control(&self, method: &str, path: &str, token: &str, json: &str) -> (u16, String) {
        let method = method.parse().expect("a method");
        let call = reqwest::Client::new().request(method, format!("{}/staging{path}", self.site()));
        fetch(call.bearer_auth(token).body(json.to_owned()))
    }

    /// Sends a request with credentials; returns status and body.
    pub fn call(&self, method: &str, path: &str, [sid, token]: [&str; 2], form: &str) -> (u16, String) {
        let method = method.parse().expect("a method");
        let call = reqwest::Client::new().request(method, format!("{}{path}", self.site()));
        fetch(call.basic_auth(sid, Some(token)).body(form.to_owned()))
    }
}

/// The status and the body of an answer.
pub fn fetch(request: reqwest::RequestBuilder) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
