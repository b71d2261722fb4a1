//! The service that is measured, and single requests to it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::database::{ACCOUNTS, Database};
use crate::{Result, credentials};

/// Its options. Its jobs would charge fees meanwhile.
const OPTIONS: [&str; 4] = ["--bind", "127.0.0.1:0", "--jobs", "off"];

pub struct Server {
    child: Child,
    /// Kept open for the server's whole life, in case it writes more.
    _out: BufReader<ChildStdout>,
    /// Host and port.
    pub address: String,
    /// From its start to its first answer.
    pub started_in: Duration,
    /// Resident memory after the first answer, in MiB; `None` if the system does not report it.
    pub idle: Option<f64>,
}

impl Server {
    /// Starts it, and makes it cache the tokens of all accounts that send many requests.
    pub fn start(database: &Database) -> Result<Self> {
        let begun = Instant::now();
        let mut child = database.command().arg("serve").args(OPTIONS).stdout(Stdio::piped()).spawn()?;
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_default().to_owned();
        let mut server = Self { child, _out: out, address, started_in: Duration::ZERO, idle: None };
        if server.address.is_empty() {
            return Err(format!("serve does not listen: {line}").into());
        }
        server.get("/", None)?;
        server.started_in = begun.elapsed();
        server.idle = server.memory("VmRSS:");
        for account in 1..=ACCOUNTS + 2 {
            server.request(account)?;
        }
        Ok(server)
    }

    /// Its peak of resident memory, in MiB.
    pub fn peak(&self) -> Option<f64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix(field))?;
        Some(kib.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
    }

    /// Asks for an account's numbers on a connection of its own; returns how long that took, and the answer.
    pub fn request(&self, account: u64) -> Result<Duration> {
        let begun = Instant::now();
        let path = format!("/2008-08-01/Accounts/{}/IncomingPhoneNumbers", credentials::account_sid(account));
        let answer = self.get(&path, Some(&credentials::basic(account)))?;
        let took = begun.elapsed();
        if answer.starts_with("HTTP/1.1 200") { Ok(took) } else { Err(format!("GET {path} answers {answer}").into()) }
    }

    fn get(&self, path: &str, basic: Option<&str>) -> Result<String> {
        let credentials = basic.map(|basic| format!("Authorization: Basic {basic}\r\n")).unwrap_or_default();
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n{credentials}\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
