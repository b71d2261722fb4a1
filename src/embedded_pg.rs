//! The private PostgreSQL of the default: with no database URL, `numberbank` runs a server of its own.
//!
//! Several processes may use one data folder at once, so the last one out turns off the lights:
//!
//! - each holds a shared lock on `users.lock` for as long as it uses the server;
//! - each joins (starting the server where there is none) and leaves under a short exclusive lock on `start.lock`;
//! - one that leaves and then gets `users.lock` for itself was the last, and stops the server.
//!
//! Nobody can join between that last look and the stop, because joining needs `start.lock`. The kernel drops the locks
//! of a killed process; the server it leaves running is adopted by whoever comes next.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, process};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

/// How often a server on its way up or down is looked at.
const POLL: Duration = Duration::from_millis(10);
/// How often a running server is looked at, and how long to wait between two tries to start one.
const WATCH: Duration = Duration::from_millis(250);
/// How long the remains of a killed server (backends that hold its shared memory) may stand in the way of a new one.
const RETRY: Duration = Duration::from_secs(10);
/// How long a live server may take to accept connections: after a crash it replays its log first.
const RECOVERY: Duration = Duration::from_secs(120);
/// How long each way of stopping may take: fast (clients are cut off), then immediate (recovers at the next start).
const STOPS: [(Signal, Duration); 2] =
    [(Signal::SIGINT, Duration::from_secs(10)), (Signal::SIGQUIT, Duration::from_secs(5))];
/// The strictest limit on a socket's path is that of macOS: 104 bytes with the final zero.
const SOCKET_PATH_LIMIT: usize = 103;
/// The oldest major version to run on.
const OLDEST: u32 = 13;

/// What the operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder; `None` is the platform's per-user data folder, `/var/lib/numberbank` for root.
    pub data_dir: Option<PathBuf>,
    /// The folder of server programs (`PG_BIN`); `None` looks for one.
    pub bin: Option<PathBuf>,
    /// True except in tests: without it a power failure loses the data.
    pub fsync: bool,
}

/// Why there is no server; each message is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no PostgreSQL server programs (initdb and postgres, version {OLDEST} or newer) found: install them \
         (apt-get install postgresql, dnf install postgresql-server, apk add postgresql, brew install postgresql), \
         name their folder in PG_BIN, or pass --database-url"
    )]
    NoPrograms,
    #[error(
        "PG_BIN is {}, which does not hold the programs initdb and postgres of version {OLDEST} or newer: name the \
         folder that does, or unset it", .0.display()
    )]
    NotPrograms(PathBuf),
    #[error(
        "the data folder {} is of PostgreSQL {wanted}, but only version {found} is installed: install the server \
         programs of PostgreSQL {wanted}, name their folder in PG_BIN, or name another data folder with --data-dir",
        data_dir.display()
    )]
    OtherVersion { data_dir: PathBuf, wanted: u32, found: String },
    #[error(
        "the data folder's path is too long for a Unix socket: {} has {} bytes and must have less than \
         {SOCKET_PATH_LIMIT}; name a shorter one with --data-dir", .0.display(), .0.as_os_str().len()
    )]
    LongPath(PathBuf),
    #[error(
        "the user {user}, as whom PostgreSQL runs when numberbank runs as root, cannot enter the folder {}: name a \
         data folder elsewhere with --data-dir, or let others enter it (chmod o+x)", folder.display()
    )]
    Unreachable { folder: PathBuf, user: String },
    #[error("neither the user postgres nor the user nobody exists, and PostgreSQL does not run as root: create one")]
    NoUser,
    #[error("there is no home folder to keep the data in: name a data folder with --data-dir")]
    NoHome,
    #[error("cannot use {}: {source}; check who owns it, or name another data folder with --data-dir", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot run {}: {source}; name another folder of server programs in PG_BIN", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("{} failed: {output}", program.display())]
    Program { program: PathBuf, output: String },
    #[error("PostgreSQL would not start: {lines} (the whole log is {})", log.display())]
    Start { lines: String, log: PathBuf },
    #[error(
        "PostgreSQL is not ready after {} s: it may still be recovering, or be in use from another container; its log \
         is {}", RECOVERY.as_secs(), .0.display()
    )]
    NotReady(PathBuf),
    #[error("PostgreSQL did not stop; its log is {}", .0.display())]
    Stop(PathBuf),
}

/// A running private PostgreSQL that this process uses.
pub struct Cluster {
    server: Arc<Server>,
    /// Our share of `users.lock`; `None` once given up.
    users: Option<File>,
    /// The thread that brings a dead server back; it ends when the sender is dropped.
    watcher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Cluster {
    /// Starts the server, or joins the one that runs; creates the data folder at the first time.
    ///
    /// Blocks until the server accepts connections: about a tenth of a second, or a second at the first time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the server from running. A server that is merely slow to recover is left to it.
    pub fn open(settings: &Settings) -> Result<Cluster, Error> {
        let server = Arc::new(Server::prepare(settings)?);
        let users = server.under_start_lock(|| {
            let users = open_file(&server.data_dir.join("users.lock"), server.owner.as_ref())?;
            users.lock_shared().map_err(|e| folder_error(&server.data_dir, e))?;
            server.remove_leftovers();
            if !server.cluster.exists() {
                server.create()?;
            }
            server.start()?;
            Ok(users)
        })?;
        let (end, ended) = mpsc::channel::<()>();
        let watched = Arc::clone(&server);
        let watcher = thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(WATCH) {
                watched.revive();
            }
        });
        Ok(Cluster { server, users: Some(users), watcher: Some((end, watcher)) })
    }

    /// The database's URL, over the private Unix socket.
    pub fn url(&self) -> String {
        url(&self.server.pg_dir)
    }

    /// The data folder, as an absolute path without symbolic links.
    pub fn data_dir(&self) -> &Path {
        &self.server.data_dir
    }

    /// The server's process id; `None` while it is down.
    pub fn pid(&self) -> Option<i32> {
        self.server.pid()
    }

    /// Lets go of the server; stops it if nobody else uses it. Connections should be closed before. Blocks until it is
    /// gone (15 s at most). Dropping does the same, quietly.
    ///
    /// # Errors
    ///
    /// The server did not stop, or the locks could not be taken.
    pub fn close(mut self) -> Result<(), Error> {
        self.leave()
    }

    fn leave(&mut self) -> Result<(), Error> {
        let Some(users) = self.users.take() else { return Ok(()) };
        if let Some((end, watcher)) = self.watcher.take() {
            drop(end);
            let _ = watcher.join();
        }
        self.server.under_start_lock(|| {
            // Unlocked by name: a child just being forked may hold a copy of the descriptor for a moment.
            let alone = users.unlock().map_err(TryLockError::Error).and_then(|()| users.try_lock());
            match alone {
                Ok(()) => self.server.stop(),
                Err(TryLockError::WouldBlock) => Ok(()),
                Err(TryLockError::Error(e)) => Err(folder_error(&self.server.data_dir, e)),
            }
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!("{error}");
        }
    }
}

/// Where the server is in its life.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Gone,
    /// On its way up or down.
    Changing,
    Ready,
}

/// A user other than ourselves, as whom the server runs.
struct Owner {
    uid: u32,
    gid: u32,
    name: String,
}

/// A server process that this process started; its thread waits for its end, so that no zombie stays.
struct Child {
    pid: i32,
    reaper: JoinHandle<()>,
}

struct Server {
    data_dir: PathBuf,
    /// What belongs to the server's user alone: the cluster, the socket, the log.
    pg_dir: PathBuf,
    /// PostgreSQL's own data folder.
    cluster: PathBuf,
    log: PathBuf,
    bin: Option<PathBuf>,
    fsync: bool,
    owner: Option<Owner>,
    start_lock: File,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Makes the folders and opens the start lock.
    fn prepare(settings: &Settings) -> Result<Server, Error> {
        let wanted = settings.data_dir.clone().map_or_else(default_data_dir, Ok)?;
        let data_dir = std::path::absolute(&wanted).map_err(|e| folder_error(&wanted, e))?;
        let owner = server_user(&data_dir)?;
        // Before anything is made, and again for what was made and for what symbolic links lead to.
        check_folder(&data_dir, owner.as_ref())?;
        make_data_dir(&data_dir).map_err(|e| folder_error(&data_dir, e))?;
        let data_dir = data_dir.canonicalize().map_err(|e| folder_error(&data_dir, e))?;
        check_folder(&data_dir, owner.as_ref())?;

        let pg_dir = data_dir.join("pg");
        make_pg_dir(&pg_dir, owner.as_ref()).map_err(|e| folder_error(&pg_dir, e))?;
        Ok(Server {
            start_lock: open_file(&data_dir.join("start.lock"), owner.as_ref())?,
            cluster: pg_dir.join("cluster"),
            log: pg_dir.join("postgres.log"),
            data_dir,
            pg_dir,
            bin: settings.bin.clone(),
            fsync: settings.fsync,
            owner,
            child: Mutex::new(None),
        })
    }

    fn under_start_lock<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.start_lock.lock().map_err(|e| folder_error(&self.data_dir, e))?;
        let result = work();
        let _ = self.start_lock.unlock();
        result
    }

    /// A server program to run: as the server's user, in a folder that user can enter, free of our PostgreSQL settings.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.pg_dir).stdin(Stdio::null()).env("LC_ALL", "C");
        for (name, _) in env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        if let Some(owner) = &self.owner {
            command.uid(owner.uid).gid(owner.gid).env("HOME", &self.pg_dir);
        }
        command
    }

    /// Makes the cluster with its database. It gets its name only when complete, so a kill leaves nothing broken.
    fn create(&self) -> Result<(), Error> {
        tracing::info!("creating a PostgreSQL cluster in {}", self.cluster.display());
        let bin = self.programs()?;
        let new = self.pg_dir.join(format!("new.{}", process::id()));
        let mut initdb = self.command(&bin.join("initdb"));
        initdb.arg("-D").arg(&new).args(["--username=numberbank", "--encoding=UTF8", "--locale=C"]);
        // Everyone is trusted who can reach the socket: its folder is private.
        initdb.arg("--auth=trust").args((!self.fsync).then_some("--no-sync"));
        run(initdb, b"")?;

        let mut single = self.command(&bin.join("postgres"));
        single.arg("--single").arg("-D").arg(&new).args(["-c", "exit_on_error=on"]);
        single.args(if self.fsync { &[][..] } else { &["-F"] }).arg("postgres");
        run(single, b"create database numberbank;\n")?;

        fs::rename(&new, &self.cluster)
            .and_then(|()| File::open(&self.pg_dir)?.sync_all())
            .map_err(|e| folder_error(&self.cluster, e))
    }

    /// Removes what half-way kills of [`Server::create`] left; what cannot be removed now is removed another time.
    fn remove_leftovers(&self) {
        for entry in fs::read_dir(&self.pg_dir).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(b"new.") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Returns when the server accepts connections. Only under the start lock.
    fn start(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let mut tried = None;
        loop {
            match self.state() {
                State::Ready if answers(&socket(&self.pg_dir)) => return Ok(()),
                State::Ready | State::Changing if begun.elapsed() > RECOVERY => {
                    return Err(Error::NotReady(self.log.clone()));
                }
                State::Ready | State::Changing => {}
                State::Gone => {
                    if let Some(log_start) = tried {
                        let lines = self.log_since(log_start);
                        if begun.elapsed() > RETRY || !is_passing(&lines) {
                            return Err(Error::Start { lines, log: self.log.clone() });
                        }
                        thread::sleep(WATCH);
                    }
                    tried = Some(self.spawn()?);
                }
            }
            thread::sleep(POLL);
        }
    }

    /// Starts a server process; returns where its part of the log begins. Only under the start lock.
    fn spawn(&self) -> Result<u64, Error> {
        let bin = self.programs()?;
        self.remove_stale_locks();
        let log = open_file(&self.log, self.owner.as_ref())?;
        let log_start = log.metadata().map_or(0, |meta| meta.len());
        let errors = log.try_clone().map_err(|e| folder_error(&self.log, e))?;
        let program = bin.join("postgres");
        let mut command = self.command(&program);
        command.arg("-D").arg(&self.cluster).args(self.options()).stdout(log).stderr(errors);
        // A group of its own: Ctrl-C is for us, and we stop it when we are done with it.
        let mut process = command.process_group(0).spawn().map_err(|source| Error::Run { program, source })?;
        let pid = process.id().cast_signed();
        let reaper = thread::spawn(move || drop(process.wait()));
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(Child { pid, reaper });
        // The start lock may be let go only when others can see this server.
        while self.child_pid() == Some(pid) && self.pid_file().is_none_or(|file| file.pid != pid) {
            thread::sleep(POLL / 2);
        }
        Ok(log_start)
    }

    fn options(&self) -> Vec<String> {
        // The setting is a list: quotes keep a comma in the folder's name from splitting it.
        let folder = self.pg_dir.to_string_lossy().replace('"', "\"\"");
        let mut options = vec!["-k".into(), format!("\"{folder}\""), "-p".into(), "5432".into()];
        let mut settings = vec!["listen_addresses=", "unix_socket_permissions=0700", "max_connections=100"];
        if !self.fsync {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        }
        options.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
        options
    }

    /// PostgreSQL takes any live process whose id stands in a lock file for a server, were it an editor that got the id
    /// after a reboot. Called when no server runs here: a live process is another program, and the files are stale.
    /// Those of a dead process it handles itself, with the shared memory that may go with them.
    fn remove_stale_locks(&self) {
        let Some(file) = self.pid_file().filter(|file| file.pid > 1) else { return };
        if kill(Pid::from_raw(file.pid), None) != Err(Errno::ESRCH) {
            let _ = fs::remove_file(self.cluster.join("postmaster.pid"));
            let _ = fs::remove_file(socket(&self.pg_dir).with_extension("5432.lock"));
        }
    }

    /// Starts the server again if it is gone and nobody else is at it.
    fn revive(&self) {
        if self.state() != State::Gone || self.start_lock.try_lock().is_err() {
            return;
        }
        if self.state() == State::Gone {
            tracing::warn!("the embedded PostgreSQL is gone; starting it again");
            if let Err(error) = self.spawn() {
                tracing::error!("{error}");
            }
        }
        let _ = self.start_lock.unlock();
    }

    /// Stops the server. Only under the start lock.
    fn stop(&self) -> Result<(), Error> {
        for (signal, patience) in STOPS {
            let begun = Instant::now();
            if let Some(pid) = self.pid() {
                let _ = kill(Pid::from_raw(pid), signal);
            }
            while begun.elapsed() < patience {
                if self.state() == State::Gone {
                    return Ok(());
                }
                thread::sleep(POLL);
            }
        }
        Err(Error::Stop(self.log.clone()))
    }

    fn state(&self) -> State {
        match self.pid_file() {
            Some(file) if self.is_server(file.pid) && file.ready => State::Ready,
            Some(file) if self.is_server(file.pid) => State::Changing,
            _ if self.child_pid().is_some() => State::Changing,
            // Somebody answers whom we cannot see: a server in another container, or one just dying.
            _ if UnixStream::connect(socket(&self.pg_dir)).is_ok() => State::Changing,
            _ => State::Gone,
        }
    }

    fn pid(&self) -> Option<i32> {
        let file = self.pid_file().map(|file| file.pid);
        file.filter(|pid| self.is_server(*pid)).or_else(|| self.child_pid())
    }

    fn pid_file(&self) -> Option<PidFile> {
        parse_pid_file(&fs::read_to_string(self.cluster.join("postmaster.pid")).ok()?)
    }

    /// The process that we started, if it lives.
    fn child_pid(&self) -> Option<i32> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_ref().filter(|child| !child.reaper.is_finished()).map(|child| child.pid)
    }

    /// Whether this process is the server of this cluster: an id alone may have passed to another program.
    fn is_server(&self, pid: i32) -> bool {
        self.child_pid() == Some(pid) || command_line(pid).contains(&format!(" -D {} ", self.cluster.display()))
    }

    /// The last lines of the log from here on, on one line.
    fn log_since(&self, start: u64) -> String {
        let mut text = Vec::new();
        let _ = File::open(&self.log).and_then(|mut log| {
            log.seek(SeekFrom::Start(start))?;
            log.read_to_end(&mut text)
        });
        last_lines(&text)
    }

    /// The folder of server programs: of the version that made the cluster, else the newest.
    fn programs(&self) -> Result<PathBuf, Error> {
        let mut found = match &self.bin {
            Some(dir) => installations(vec![dir.clone()]),
            None => installations(program_dirs()),
        };
        let Some(newest) = found.last() else {
            return Err(self.bin.clone().map_or(Error::NoPrograms, Error::NotPrograms));
        };
        let made_by = fs::read_to_string(self.cluster.join("PG_VERSION")).ok();
        let Some(wanted) = made_by.and_then(|text| leading_number(&text)) else {
            return Ok(newest.dir.clone());
        };
        let versions: Vec<_> = found.iter().map(|program| program.version.to_string()).collect();
        found.retain(|program| program.version == wanted);
        found.pop().map(|program| program.dir).ok_or_else(|| Error::OtherVersion {
            data_dir: self.data_dir.clone(),
            wanted,
            found: versions.join(", "),
        })
    }
}

fn folder_error(path: &Path, source: io::Error) -> Error {
    Error::Folder { path: path.to_owned(), source }
}

/// Opens a file to append to. Never through a symbolic link: root would write wherever another user points it.
fn open_file(path: &Path, owner: Option<&Owner>) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let opened = options.custom_flags(nix::libc::O_NOFOLLOW).open(path).and_then(|file| {
        if let Some(owner) = owner {
            fchown(&file, Some(owner.uid), Some(owner.gid))?;
        }
        Ok(file)
    });
    opened.map_err(|e| folder_error(path, e))
}

fn socket(pg_dir: &Path) -> PathBuf {
    pg_dir.join(".s.PGSQL.5432")
}

/// Whether a server answers here; one that was killed this very moment looks ready but does not. The question is the
/// protocol's shortest, whether it would speak TLS, and leaves no trace in its log.
fn answers(socket: &Path) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])?;
        stream.read_exact(&mut [0])
    };
    ask().is_ok()
}

/// The folder as the host, percent-encoded: what sqlx, libpq and tokio-postgres all read. The port and the TLS mode are
/// spelled out, or they would be taken from the environment.
fn url(pg_dir: &Path) -> String {
    let mut host = String::new();
    for &byte in pg_dir.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            host.push(byte.into());
        } else {
            host.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("postgres://numberbank@{host}:5432/numberbank?sslmode=disable")
}

fn default_data_dir() -> Result<PathBuf, Error> {
    if Uid::effective().is_root() {
        return Ok("/var/lib/numberbank".into());
    }
    let home = env::home_dir().filter(|home| home.is_absolute()).ok_or(Error::NoHome);
    if cfg!(target_os = "macos") {
        return Ok(home?.join("Library/Application Support/numberbank"));
    }
    let xdg = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    Ok(xdg.map_or_else(|| home.map(|home| home.join(".local/share")), Ok)?.join("numberbank"))
}

/// Who runs the server if not ourselves: PostgreSQL refuses to run as root. Whoever owns an existing cluster goes on
/// doing so, even if a user `postgres` has appeared since.
fn server_user(data_dir: &Path) -> Result<Option<Owner>, Error> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let present = fs::symlink_metadata(data_dir.join("pg")).ok().filter(|meta| meta.uid() != 0);
    if let Some(meta) = present {
        let user = User::from_uid(Uid::from_raw(meta.uid())).ok().flatten();
        let name = user.map_or_else(|| meta.uid().to_string(), |user| user.name);
        return Ok(Some(Owner { uid: meta.uid(), gid: meta.gid(), name }));
    }
    let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
    let user = user.ok_or(Error::NoUser)?;
    Ok(Some(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name }))
}

/// Whether a socket's path fits and the server's user can enter the folder and each one above it, as far as they exist;
/// of those that it cannot, names the outermost.
fn check_folder(dir: &Path, owner: Option<&Owner>) -> Result<(), Error> {
    let socket = socket(&dir.join("pg"));
    if socket.as_os_str().len() >= SOCKET_PATH_LIMIT {
        return Err(Error::LongPath(socket));
    }
    let Some(owner) = owner else { return Ok(()) };
    let closed = |folder: &&Path| {
        fs::metadata(folder).is_ok_and(|meta| {
            let may_enter = match (meta.uid() == owner.uid, meta.gid() == owner.gid) {
                (true, _) => 0o100,
                (_, true) => 0o010,
                _ => 0o001,
            };
            meta.is_dir() && meta.mode() & may_enter == 0
        })
    };
    match dir.ancestors().filter(closed).last() {
        Some(folder) => Err(Error::Unreachable { folder: folder.to_owned(), user: owner.name.clone() }),
        None => Ok(()),
    }
}

fn make_data_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    if Uid::effective().is_root() {
        // Whatever the umask: the server's user has to come through.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn make_pg_dir(dir: &Path, owner: Option<&Owner>) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match owner {
        Some(owner) => lchown(dir, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

/// Runs a program to its end with this on its standard input.
fn run(mut command: Command, input: &[u8]) -> Result<(), Error> {
    let program = PathBuf::from(command.get_program());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends before it reads says so by its status.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output()
    });
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let lines = last_lines(&[output.stdout, output.stderr].concat());
            Err(Error::Program { program, output: format!("{} ({lines})", output.status) })
        }
        Err(source) => Err(Error::Run { program, source }),
    }
}

/// The last lines of a program's output, on one line.
fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<_> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(4).collect();
    lines.reverse();
    lines.join(" | ")
}

/// Whether a start failed for what passes by itself: the last backends of a killed server, or its dying breath.
fn is_passing(log: &str) -> bool {
    log.contains("shared memory block") || log.contains("lock file")
}

/// The arguments of a process, a space after each; empty for one that is gone. Root sees this of any process, even in a
/// container that hides the rest of it.
fn command_line(pid: i32) -> String {
    if pid <= 1 {
        return String::new();
    }
    let arguments = if cfg!(target_os = "linux") {
        fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        let ps = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output();
        ps.map(|output| output.stdout).unwrap_or_default()
    };
    String::from_utf8_lossy(&arguments).replace(['\0', '\n'], " ")
}

/// The first and the last fact of `postmaster.pid`, which PostgreSQL writes line by line as it starts.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: i32,
    ready: bool,
}

fn parse_pid_file(text: &str) -> Option<PidFile> {
    let pid = text.lines().next()?.trim().parse().ok()?;
    Some(PidFile { pid, ready: text.lines().nth(7).is_some_and(|line| line.trim() == "ready") })
}

/// A folder of server programs. Ordered by what to prefer, the best last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Installation {
    /// A script in a program's place may stand in for one elsewhere that it cannot find its files beside.
    genuine: bool,
    version: u32,
    dir: PathBuf,
}

/// Those of the folders that hold server programs, the best last.
fn installations(dirs: Vec<PathBuf>) -> Vec<Installation> {
    // A symbolic link is followed: PostgreSQL finds its files relative to where its programs really are.
    let real = dirs.iter().filter_map(|dir| Some(dir.join("initdb").canonicalize().ok()?.parent()?.to_owned()));
    let mut real: Vec<_> = real.filter(|dir| dir.join("postgres").is_file()).collect();
    real.sort();
    real.dedup();
    let mut found: Vec<_> = real
        .into_iter()
        .filter_map(|dir| {
            let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
            let version = parse_version(&String::from_utf8_lossy(&output.stdout))?;
            let genuine = !["initdb", "postgres"].iter().any(|name| is_script(&dir.join(name)));
            Some(Installation { genuine, version, dir })
        })
        .filter(|program| program.version >= OLDEST)
        .collect();
    found.sort();
    found
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"#!"
}

/// `postgres (PostgreSQL) 15.7 (Debian 15.7-0+deb12u1)` is 15, `postgres (PostgreSQL) 18beta1` is 18.
fn parse_version(text: &str) -> Option<u32> {
    leading_number(text.split_once("(PostgreSQL) ")?.1)
}

fn leading_number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The folders where server programs may be.
fn program_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        env::var_os("PATH").iter().flat_map(env::split_paths).filter(|dir| dir.is_absolute()).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(String::from_utf8_lossy(&output.stdout).trim_end().into());
    }
    for (parent, prefix, below) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(|e| e.file_name().as_bytes().starts_with(prefix.as_bytes()));
        dirs.extend(named.map(|entry| entry.path().join(below)));
    }
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.7 (Debian 15.7-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_version("not found\n"), None);
        assert_eq!(leading_number("17\n"), Some(17));
    }

    #[test]
    fn genuine_programs_are_preferred_to_scripts_then_the_newest() {
        let program = |genuine, version| Installation { genuine, version, dir: PathBuf::new() };
        let mut found = vec![program(true, 15), program(false, 18), program(true, 17)];
        found.sort();
        assert_eq!(found, [program(false, 18), program(true, 15), program(true, 17)]);
    }

    #[test]
    fn the_pid_file_is_read_at_every_stage() {
        let file = |status: &str| format!("4711\n/d/pg/cluster\n1732399000\n5432\n/d/pg\n\n  5181 12\n{status}\n");
        assert_eq!(parse_pid_file(&file("ready   ")), Some(PidFile { pid: 4711, ready: true }));
        assert_eq!(parse_pid_file(&file("stopping")), Some(PidFile { pid: 4711, ready: false }));
        assert_eq!(parse_pid_file("4711\n/d/pg/cluster\n"), Some(PidFile { pid: 4711, ready: false }));
        assert_eq!(parse_pid_file(""), None);
    }

    #[test]
    fn the_url_holds_any_folder() {
        assert_eq!(
            url(Path::new("/a b/ü,%/pg")),
            "postgres://numberbank@%2Fa%20b%2F%C3%BC%2C%25%2Fpg:5432/numberbank?sslmode=disable"
        );
    }

    #[test]
    fn only_the_end_of_a_log_is_told() {
        assert_eq!(last_lines(b"1\n2\n\n3\n4\n5\n"), "2 | 3 | 4 | 5");
        assert!(is_passing("FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use"));
        assert!(!is_passing("FATAL:  data directory has wrong ownership"));
    }
}
