//! Commands that look at much of a database, and how long they take.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::Result;
use crate::database::Database;

/// Commands with their arguments, which are run to their end. The audit proves all first, and then what is open.
const WHOLE: &[&[&str]] = &[
    &["audit", "--full"],
    &["audit"],
    &["bill", "--dry-run"],
    &["account", "list"],
    &["inventory", "summary"],
    &["inventory", "list", "--state", "withdrawn"],
    &["report", "accounts"],
    &["report", "monthly_revenue"],
];

/// Commands that end with their first row.
const BEGUN: &[&[&str]] = &[
    &["report", "ledger", "--output", "csv"],
    &["report", "tenancies", "--output", "csv"],
    &["report", "inventory", "--output", "csv"],
];

/// What a command took in a large database and in one of the usual size.
pub struct Timed {
    pub command: String,
    pub large: Took,
    pub usual: Took,
}

pub struct Took {
    /// Until the first row of a list, below its header.
    pub first_row: Duration,
    /// `None` if it was not run to its end.
    pub whole: Option<Duration>,
}

pub fn measure(large: &Database, usual: &Database) -> Result<Vec<Timed>> {
    let timed = |arguments: &&[&str], to_its_end| {
        let [large, usual] = [large, usual].map(|database| run(database, arguments, to_its_end));
        Ok(Timed { command: arguments.join(" "), large: large?, usual: usual? })
    };
    let whole = WHOLE.iter().map(|arguments| timed(arguments, true));
    whole.chain(BEGUN.iter().map(|arguments| timed(arguments, false))).collect()
}

/// Runs a command. What it writes is read as it comes, and dropped.
fn run(database: &Database, arguments: &[&str], to_its_end: bool) -> Result<Took> {
    let begun = Instant::now();
    let mut child = database.command().args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    for _ in 0..2 {
        out.read_line(&mut String::new())?;
    }
    let first_row = begun.elapsed();
    if !to_its_end {
        child.kill()?;
        child.wait()?;
        return Ok(Took { first_row, whole: None });
    }
    std::io::copy(&mut out, &mut std::io::sink())?;
    if child.wait()?.success() {
        Ok(Took { first_row, whole: Some(begun.elapsed()) })
    } else {
        Err(format!("numberbank {} failed", arguments.join(" ")).into())
    }
}
