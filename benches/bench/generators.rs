//! The load generators: `wrk` over HTTP, `pgbench` in SQL.

use std::process::Command;
use std::time::Duration;

use crate::database::{ACCOUNTS, AREA_CODES, Database, run};
use crate::server::Server;
use crate::{Result, credentials};

/// The figures of a measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Work done per second.
    pub rate: f64,
    /// p50 and p99 of the latency, in milliseconds.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
}

/// What `wrk` sends.
pub struct Load<'a> {
    /// Its name in load.lua.
    pub name: &'a str,
    pub connections: u32,
    /// The first of the numbers to release.
    pub first: Option<u64>,
    /// The numbers that are named.
    pub numbers: Vec<String>,
    /// Whether answers of 400 and above are expected.
    pub refusals: bool,
}

pub fn wrk(server: &Server, load: &Load<'_>, seconds: u64) -> Result<Sample> {
    let facts = tempfile::Builder::new().suffix(".lua").tempfile()?;
    let credentials: Vec<_> =
        (1..=ACCOUNTS + 2).map(|account| format!("\"{}\"", credentials::basic(account))).collect();
    let areas = AREA_CODES.map(|area| area.to_string()).join(", ");
    let text = format!(
        "return {{ credentials = {{ {} }}, areas = {{ {areas} }}, numbers = {{ {} }} }}\n",
        credentials.join(", "),
        load.numbers.join(", ")
    );
    std::fs::write(&facts, text)?;

    let mut command = Command::new("wrk");
    command.args(["-t2", "--timeout", "10s", "-s", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load.lua")]);
    command.args([format!("-c{}", load.connections), format!("-d{seconds}s"), format!("http://{}", server.address)]);
    command.args(["--", load.name]).arg(facts.path()).args(load.first.map(|first| first.to_string()));
    let output = run(&mut command)?;
    let told = output.lines().last().unwrap_or_default();
    let told: serde_json::Value = serde_json::from_str(told).map_err(|_| format!("wrk does not end well: {output}"))?;
    let [answers, duration, p50, p99, refused, lost] =
        ["answers", "duration", "p50", "p99", "refused", "lost"].map(|name| told[name].as_f64().unwrap_or_default());
    if lost > 0.0 || answers == 0.0 || (refused > 0.0 && !load.refusals) {
        return Err(format!("{}: {refused} of {answers} requests were refused, {lost} not answered", load.name).into());
    }
    Ok(Sample { rate: answers * 1e6 / duration, p50: Some(p50 / 1e3), p99: Some(p99 / 1e3) })
}

/// Runs scripts of benches/sql with these weights; scripts that buy use this many accounts.
pub fn pgbench(
    database: &Database,
    scripts: &[(&str, u32)],
    accounts: u64,
    first: Option<u64>,
    seconds: u64,
) -> Result<Sample> {
    let mut command = database.client("pgbench");
    command.args(["-n", "-M", "prepared", "-c16", "-j2", "-D", "i=-1"]).arg(format!("-T{seconds}"));
    let areas = AREA_CODES.map(|area| area.to_string()).join(",");
    for value in [format!("accounts={accounts}"), format!("areas={{{areas}}}"), format!("first={}", first.unwrap_or(0))]
    {
        command.args(["-D", &value]);
    }
    for (script, weight) in scripts {
        command.args(["-f", &format!("{}/benches/sql/{script}.sql@{weight}", env!("CARGO_MANIFEST_DIR"))]);
    }
    let output = run(&mut command)?;
    let rate = output.lines().rev().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let rate = rate.ok_or_else(|| format!("pgbench does not tell its rate: {output}"))?;
    Ok(Sample { rate, p50: None, p99: None })
}

/// The rate of work whose median time is this.
pub fn one_by_one(mut times: Vec<Duration>) -> Sample {
    times.sort_unstable();
    let half = times[times.len() / 2].as_secs_f64();
    Sample { rate: 1.0 / half, p50: Some(half * 1e3), p99: None }
}
