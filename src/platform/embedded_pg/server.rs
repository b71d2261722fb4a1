//! Creates the cluster; starts, watches and stops the server process.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, process};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::folder::{Owner, check_folder, folder_error, make_data_dir, make_pg_dir, open_file, server_user, socket};
use super::programs::{installations, leading_number, program_dirs};
use super::{ClusterOptions, Error, data_dir};

/// How often a server is checked while it starts or stops.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// How often a running server is checked, and the pause before another try to start it.
pub(super) const WATCH_EVERY: Duration = Duration::from_millis(250);
/// How long to retry a start while a killed server's shared memory or lock file is still in use.
const RETRY_FOR: Duration = Duration::from_secs(10);
/// How long a server may take to accept connections: after a crash it replays its WAL first.
pub(super) const RECOVERY: Duration = Duration::from_mins(2);
/// How to stop the server, and how long each way may take: a fast shutdown (disconnects clients), then an immediate one
/// (the next start recovers).
const STOPS: [(Signal, Duration); 2] =
    [(Signal::SIGINT, Duration::from_secs(10)), (Signal::SIGQUIT, Duration::from_secs(5))];

/// A log of more bytes is renamed to `postgres.log.old` at the next start, and replaces the older one.
const MAX_LOG: u64 = 10_000_000;

#[derive(Debug, PartialEq, Eq)]
enum ServerState {
    Gone,
    /// It starts or stops, or only its socket can be seen.
    Changing,
    Ready,
}

/// A server process that we started. The thread `reaper` waits for its end, so that no zombie process stays.
struct Child {
    pid: i32,
    reaper: JoinHandle<()>,
}

pub(super) struct Server {
    pub(super) data_dir: PathBuf,
    /// Holds the cluster, the socket and the log. Only the server's user may enter it.
    pub(super) pg_dir: PathBuf,
    /// PostgreSQL's own data folder.
    pub(super) cluster: PathBuf,
    log: PathBuf,
    bin: Option<PathBuf>,
    fsync: bool,
    connections: u32,
    pub(super) owner: Option<Owner>,
    start_lock: File,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Creates the folders and opens the start lock.
    pub(super) fn prepare(options: &ClusterOptions) -> Result<Server, Error> {
        let wanted = data_dir(options.data_dir.clone())?;
        let data_dir = std::path::absolute(&wanted).map_err(|e| folder_error(&wanted, e))?;
        let owner = server_user(&data_dir)?;
        // Checked before anything is created, and again below with symbolic links resolved.
        check_folder(&data_dir, owner.as_ref())?;
        make_data_dir(&data_dir).map_err(|e| folder_error(&data_dir, e))?;
        let data_dir = data_dir.canonicalize().map_err(|e| folder_error(&data_dir, e))?;
        check_folder(&data_dir, owner.as_ref())?;

        let pg_dir = data_dir.join("pg");
        make_pg_dir(&pg_dir, owner.as_ref())?;
        Ok(Server {
            start_lock: open_file(&data_dir.join("start.lock"), owner.as_ref())?,
            cluster: pg_dir.join("cluster"),
            log: pg_dir.join("postgres.log"),
            data_dir,
            pg_dir,
            bin: options.bin.clone(),
            fsync: options.fsync,
            connections: options.connections,
            owner,
            child: Mutex::new(None),
        })
    }

    pub(super) fn under_start_lock<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.start_lock.lock().map_err(|e| folder_error(&self.data_dir, e))?;
        let result = work();
        let _ = self.start_lock.unlock();
        result
    }

    /// A command that runs a server program as the server's user, in a folder that this user can enter, and without our
    /// `PG…` variables, which could change its settings.
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

    /// Creates the cluster and its database. It gets its final name once complete, so a process that is killed leaves
    /// no broken cluster.
    pub(super) fn create(&self) -> Result<(), Error> {
        tracing::info!("creating a PostgreSQL cluster in {}", self.cluster.display());
        let bin = self.programs()?;
        let new = self.pg_dir.join(format!("new.{}", process::id()));
        let mut initdb = self.command(&bin.join("initdb"));
        initdb.arg("-D").arg(&new).args(["--username=numberbank", "--encoding=UTF8", "--locale=C"]);
        // No password is needed: only the server's user and root can reach the socket.
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

    /// Removes unfinished clusters of killed processes. Those that cannot be removed are tried again next time.
    pub(super) fn remove_leftovers(&self) {
        for entry in fs::read_dir(&self.pg_dir).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(b"new.") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Starts the server if it is gone, and waits until it accepts connections. Call it under the start lock.
    pub(super) fn start(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let mut tried = None;
        loop {
            match self.state() {
                ServerState::Ready if answers(&socket(&self.pg_dir)) => return Ok(()),
                ServerState::Ready | ServerState::Changing if begun.elapsed() > RECOVERY => {
                    return Err(Error::NotReady(self.log.clone()));
                }
                ServerState::Ready | ServerState::Changing => {}
                ServerState::Gone => {
                    if let Some(log_start) = tried {
                        let lines = self.log_since(log_start);
                        if begun.elapsed() > RETRY_FOR || !is_temporary(&lines) {
                            return Err(Error::Start { lines, log: self.log.clone() });
                        }
                        thread::sleep(WATCH_EVERY);
                    }
                    tried = Some(self.spawn()?);
                }
            }
            thread::sleep(POLL_EVERY);
        }
    }

    /// Starts a server process; returns the length of the log before it. Call it under the start lock.
    fn spawn(&self) -> Result<u64, Error> {
        let bin = self.programs()?;
        self.remove_stale_locks();
        if fs::metadata(&self.log).is_ok_and(|meta| meta.len() > MAX_LOG) {
            let _ = fs::rename(&self.log, self.log.with_extension("log.old"));
        }
        let log = open_file(&self.log, self.owner.as_ref())?;
        let log_start = log.metadata().map_or(0, |meta| meta.len());
        let errors = log.try_clone().map_err(|e| folder_error(&self.log, e))?;
        let program = bin.join("postgres");
        let mut command = self.command(&program);
        command.arg("-D").arg(&self.cluster).args(self.options()).stdout(log).stderr(errors);
        // Its own process group, so that Ctrl-C reaches only us: we stop the server ourselves.
        let mut process = command.process_group(0).spawn().map_err(|source| Error::Run { program, source })?;
        let pid = process.id().cast_signed();
        let reaper = thread::spawn(move || drop(process.wait()));
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(Child { pid, reaper });
        // The start lock may be released only once other processes can see this server.
        while self.child_pid() == Some(pid) && self.pid_file().is_none_or(|file| file.pid != pid) {
            thread::sleep(POLL_EVERY / 2);
        }
        Ok(log_start)
    }

    fn options(&self) -> Vec<String> {
        // The setting is a list: without quotes, a comma in the folder's name would split it.
        let folder = self.pg_dir.to_string_lossy().replace('"', "\"\"");
        let mut options = vec!["-k".into(), format!("\"{folder}\""), "-p".into(), "5432".into()];
        let connections = format!("max_connections={}", self.connections);
        let mut settings = vec!["listen_addresses=", "unix_socket_permissions=0700", &connections];
        // Errors of statements are not logged: clients get them anyway. The log would quote rows, with callback URLs
        // and token hashes, and grow with each request that a constraint refuses.
        settings.push("log_min_messages=log");
        if !self.fsync {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        }
        options.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
        options
    }

    /// Removes lock files with the id of a live process. Call it only when no server runs here: then another program
    /// got the id, perhaps after a reboot. PostgreSQL could take that program for a server and not start. Lock files of
    /// dead processes are left to PostgreSQL, which also checks their shared memory.
    fn remove_stale_locks(&self) {
        let Some(file) = self.pid_file().filter(|file| file.pid > 1) else { return };
        if kill(Pid::from_raw(file.pid), None) != Err(Errno::ESRCH) {
            let _ = fs::remove_file(self.cluster.join("postmaster.pid"));
            let _ = fs::remove_file(socket(&self.pg_dir).with_extension("5432.lock"));
        }
    }

    /// Restarts the server if it is gone, unless another process holds the start lock.
    pub(super) fn revive(&self) {
        if self.state() != ServerState::Gone || self.start_lock.try_lock().is_err() {
            return;
        }
        if self.state() == ServerState::Gone {
            tracing::warn!("the embedded PostgreSQL is gone; starting it again");
            if let Err(error) = self.spawn() {
                tracing::error!("{error}");
            }
        }
        let _ = self.start_lock.unlock();
    }

    /// Stops the server, and waits until it is gone. Call it under the start lock.
    pub(super) fn stop(&self) -> Result<(), Error> {
        for (signal, timeout) in STOPS {
            let begun = Instant::now();
            if let Some(pid) = self.pid() {
                let _ = kill(Pid::from_raw(pid), signal);
            }
            while begun.elapsed() < timeout {
                if self.state() == ServerState::Gone {
                    return Ok(());
                }
                thread::sleep(POLL_EVERY);
            }
        }
        Err(Error::Stop(self.log.clone()))
    }

    fn state(&self) -> ServerState {
        match self.pid_file() {
            Some(file) if self.is_server(file.pid) && file.ready => ServerState::Ready,
            Some(file) if self.is_server(file.pid) => ServerState::Changing,
            _ if self.child_pid().is_some() => ServerState::Changing,
            // A server whose process we do not see accepts connections: it is in another container, or just ending.
            _ if UnixStream::connect(socket(&self.pg_dir)).is_ok() => ServerState::Changing,
            _ => ServerState::Gone,
        }
    }

    pub(super) fn pid(&self) -> Option<i32> {
        let file = self.pid_file().map(|file| file.pid);
        file.filter(|pid| self.is_server(*pid)).or_else(|| self.child_pid())
    }

    fn pid_file(&self) -> Option<PidFile> {
        parse_pid_file(&fs::read_to_string(self.cluster.join("postmaster.pid")).ok()?)
    }

    /// The process that we started, if it is alive.
    fn child_pid(&self) -> Option<i32> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_ref().filter(|child| !child.reaper.is_finished()).map(|child| child.pid)
    }

    /// Whether this process is the server of this cluster. Another program may have got the same id.
    fn is_server(&self, pid: i32) -> bool {
        self.child_pid() == Some(pid) || command_line(pid).contains(&format!(" -D {} ", self.cluster.display()))
    }

    /// The last lines of the log after `start`, joined into one.
    fn log_since(&self, start: u64) -> String {
        let mut text = Vec::new();
        let _ = File::open(&self.log).and_then(|mut log| {
            log.seek(SeekFrom::Start(start))?;
            log.read_to_end(&mut text)
        });
        last_lines(&text)
    }

    /// The folder of server programs: of the version that created the cluster, or for a new cluster, the best.
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

/// Whether a server answers: the pid file of one that was just killed still says that it is ready. Sends an SSLRequest,
/// which leaves no line in the server's log.
fn answers(socket: &Path) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])?;
        stream.read_exact(&mut [0])
    };
    ask().is_ok()
}

/// Runs a program to its end, with `input` on its standard input.
fn run(mut command: Command, input: &[u8]) -> Result<(), Error> {
    let program = PathBuf::from(command.get_program());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // Writing fails if the program ends before it reads. Then its exit status tells that.
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

/// The last four lines of a text that are not blank, joined into one.
fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<_> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(4).collect();
    lines.reverse();
    lines.join(" | ")
}

/// Whether a start failed for a reason that passes: a killed server's shared memory or lock file is still in use.
fn is_temporary(log: &str) -> bool {
    log.contains("shared memory block") || log.contains("lock file")
}

/// The arguments of a process, each followed by a space; empty if the process is gone. Root can read the arguments of
/// any process, even in a container that hides other files of `/proc`.
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

/// The first and the last line of `postmaster.pid`, which PostgreSQL writes line by line as it starts.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: i32,
    ready: bool,
}

fn parse_pid_file(text: &str) -> Option<PidFile> {
    let pid = text.lines().next()?.trim().parse().ok()?;
    Some(PidFile { pid, ready: text.lines().nth(7).is_some_and(|line| line.trim() == "ready") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_is_read_at_every_stage() {
        let file = |status: &str| format!("4711\n/d/pg/cluster\n1732399000\n5432\n/d/pg\n\n  5181 12\n{status}\n");
        assert_eq!(parse_pid_file(&file("ready   ")), Some(PidFile { pid: 4711, ready: true }));
        assert_eq!(parse_pid_file(&file("stopping")), Some(PidFile { pid: 4711, ready: false }));
        assert_eq!(parse_pid_file("4711\n/d/pg/cluster\n"), Some(PidFile { pid: 4711, ready: false }));
        assert_eq!(parse_pid_file(""), None);
    }

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        assert_eq!(last_lines(b"1\n2\n\n3\n4\n5\n"), "2 | 3 | 4 | 5");
        assert!(is_temporary("FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use"));
        assert!(!is_temporary("FATAL:  data directory has wrong ownership"));
    }
}
