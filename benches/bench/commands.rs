//! Commands that look at much of a database, and how long they take.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::Result;
use crate::database::Database;

/// A command and its arguments. The audit proves all first, and then what is open.
const COMMANDS: &[&[&str]] = &[
    &["audit", "--full"],
    &["audit"],
    &["bill", "--dry-run"],
    &["account", "list"],
    &["inventory", "summary"],
    &["inventory", "list", "--state", "withdrawn"],
    &["report", "accounts"],
    &["report", "monthly_revenue"],
    &["report", "ledger", "--output", "csv"],
];

/// What a command took in a large database and in one of the usual size.
pub struct Timed {
    pub command: String,
    pub large: Took,
    pub usual: Took,
}

pub struct Took {
    pub first_line: Duration,
    pub whole: Duration,
}

pub fn measure(large: &Database, usual: &Database) -> Result<Vec<Timed>> {
    let timed = |arguments: &&[&str]| {
        Ok(Timed { command: arguments.join(" "), large: run(large, arguments)?, usual: run(usual, arguments)? })
    };
    COMMANDS.iter().map(timed).collect()
}

/// Runs a command to its end. What it writes is read as it comes, and dropped.
fn run(database: &Database, arguments: &[&str]) -> Result<Took> {
    let begun = Instant::now();
    let mut child = database.command().args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    out.read_line(&mut String::new())?;
    let first_line = begun.elapsed();
    std::io::copy(&mut out, &mut std::io::sink())?;
    if child.wait()?.success() {
        Ok(Took { first_line, whole: begun.elapsed() })
    } else {
        Err(format!("numberbank {} failed", arguments.join(" ")).into())
    }
}
