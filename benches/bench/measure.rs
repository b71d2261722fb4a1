//! Measures a workload in pairs with its yardstick, on a server of its own.

use crate::Result;
use crate::database::Database;
use crate::generators::{Load, Sample, one_by_one, pgbench, wrk};
use crate::server::Server;
use crate::workloads::{Needs, Side, Workload};

/// The figures of a workload.
pub struct Measurement {
    pub workload: &'static Workload,
    /// What the yardstick is, and the target: a share of its rate.
    pub yardstick_is: &'static str,
    pub target: Option<f64>,
    /// The work and its yardstick.
    pub pairs: Vec<(Sample, Sample)>,
    /// Resident memory of the server after its first answer, and its peak, in MiB.
    pub idle: Option<f64>,
    pub peak: Option<f64>,
    /// Milliseconds from the server's start to its first answer.
    pub start: f64,
}

/// More than are ever released in a run; one that exceeds it fails.
const RELEASES_A_SECOND: u64 = 15_000;

/// More purchases by PhoneNumber than any machine makes in a second.
const NAMED_A_SECOND: u64 = 15_000;
const STRANGERS: u64 = 20;

/// Measures pairs, whose order alternates. The first pair warms up and does not count. With a `usual` database, the yardstick
/// is the same work there.
pub fn workload(
    workload: &'static Workload,
    database: &mut Database,
    usual: Option<&mut Database>,
    pairs: u32,
    seconds: u64,
) -> Result<Measurement> {
    let server = Server::start(database)?;
    let mut usual = usual.map(|usual| Ok::<_, crate::Error>((Server::start(usual)?, usual))).transpose()?;
    let (yardstick_is, target) =
        if usual.is_some() { ("as usual", None) } else { (workload.yardstick_is, workload.target) };
    let mut samples = Vec::new();
    for pair in 0..=pairs {
        let seconds = if pair == 0 { 1 } else { seconds };
        let work = |database: &mut Database| measured(workload, workload.work, &server, database, seconds);
        let mut yardstick = |database: &mut Database| match &mut usual {
            Some((server, usual)) => measured(workload, workload.work, server, usual, seconds),
            None => measured(workload, workload.yardstick, &server, database, seconds),
        };
        let sample = if pair % 2 == 0 {
            let yardstick = yardstick(database)?;
            (work(database)?, yardstick)
        } else {
            (work(database)?, yardstick(database)?)
        };
        samples.extend((pair > 0).then_some(sample));
    }
    let (idle, peak, start) = (server.idle, server.peak(), server.started_in.as_secs_f64() * 1e3);
    Ok(Measurement { workload, yardstick_is, target, pairs: samples, idle, peak, start })
}

fn measured(
    workload: &Workload,
    which: Side,
    server: &Server,
    database: &mut Database,
    seconds: u64,
) -> Result<Sample> {
    let first = prepare(workload.needs, database, seconds)?;
    side(which, server, database, first, seconds)
}

/// Prepares a measurement: the same stock, vacuumed and with a checkpoint. Returns the first of the numbers to release.
fn prepare(needs: Needs, database: &mut Database, seconds: u64) -> Result<Option<u64>> {
    let mut first = None;
    match needs {
        Needs::Nothing | Needs::Order => {}
        Needs::Stock => database.restock()?,
        Needs::Holdings => first = Some(database.sell(RELEASES_A_SECOND * seconds)?),
    }
    if needs != Needs::Nothing {
        database.sql("vacuum analyze")?;
    }
    database.sql("checkpoint")?;
    Ok(first)
}

fn side(side: Side, server: &Server, database: &mut Database, first: Option<u64>, seconds: u64) -> Result<Sample> {
    let sample = match side {
        Side::Http(name) => {
            wrk(server, &Load { name, connections: 32, first, numbers: Vec::new(), refusals: false }, seconds)?
        }
        Side::Naming(name) => {
            let numbers = database.some_for_sale(NAMED_A_SECOND * seconds)?;
            wrk(server, &Load { name, connections: 32, first, numbers, refusals: false }, seconds)?
        }
        Side::Sql(scripts, accounts) => pgbench(database, scripts, accounts, first, seconds)?,
        Side::Buyers(name, left) => buyers(name, left, server, database, seconds)?,
        Side::Strangers => {
            let strangers = database.strangers(STRANGERS)?;
            one_by_one(strangers.map(|account| server.request(account)).collect::<Result<_>>()?)
        }
        Side::Acquaintances => {
            let known = database.strangers(STRANGERS)?;
            for account in known.clone() {
                server.request(account)?;
            }
            one_by_one(known.map(|account| server.request(account)).collect::<Result<_>>()?)
        }
    };
    if first.is_some() && sample.rate > RELEASES_A_SECOND as f64 {
        return Err("there were not enough numbers to release: raise RELEASES_A_SECOND".into());
    }
    Ok(sample)
}

/// The rate of purchases, from the times of the tenancies: the load goes on when the last number is sold.
fn buyers(name: &str, left: Option<u64>, server: &Server, database: &Database, seconds: u64) -> Result<Sample> {
    let begun = database.sql("select clock_timestamp()")?;
    let load = Load { name, connections: 64, first: None, numbers: Vec::new(), refusals: left.is_some() };
    // In the warm-up too, the last numbers must be sold in the end.
    let sample = wrk(server, &load, seconds.max(3))?;
    let bought = database.sql(&format!(
        "select count(*), count(*) / extract(epoch from max(started_at) - min(started_at))
        from tenancies where started_at >= '{begun}'"
    ))?;
    let (count, rate) = bought.split_once('|').ok_or("no purchases")?;
    match left {
        Some(left) if count != left.to_string() => {
            Err(format!("{count} numbers of the last {left} were bought: give it more --seconds").into())
        }
        _ => Ok(Sample { rate: rate.parse()?, ..sample }),
    }
}
