//! What `serve` does by itself, now and then: numbers go back on sale, fees are charged, old
//! idempotency keys are forgotten. Several instances on one database take turns.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::FutureExt;
use sqlx::postgres::PgConnectOptions;

use crate::billing::{self, Billed};
use crate::db::{self, Db, MigrateError, ProcessLock};
use crate::error::Error;
use crate::inventory::{self, Quarantine};
use crate::purchases;
use crate::values::clock::Clock;

mod store;
mod watch;

pub use watch::watch;

/// How the jobs run.
#[derive(Clone, Debug)]
pub struct Settings {
    pub database: PgConnectOptions,
    pub clock: Clock,
    pub every: Duration,
    pub quarantine: Quarantine,
    pub grace: TimeDelta,
}

/// After a run that failed the next one comes soon.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// A run is cut off after this, and goes on with the next: one that hangs on a dead connection would
/// otherwise be the last.
const LONGEST_RUN: Duration = Duration::from_mins(30);

/// What one instance at a time does.
pub const LOCK: ProcessLock = ProcessLock { table: "job_runs", taken: "another instance runs the jobs" };

/// How long another instance may need to end its run.
const BRIEFLY: Duration = Duration::from_secs(1);

/// What one run did.
#[derive(Debug)]
pub struct Done {
    pub recycled: u64,
    pub billed: Billed,
    pub keys_forgotten: u64,
}

/// Why a run did not come to its end; what it has done by then stays.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Alone(#[from] MigrateError),
    #[error("{0}")]
    Job(#[from] Error),
    #[error("it took longer than {LONGEST_RUN:?}")]
    Late,
    #[error("it panicked")]
    Panicked,
}

/// Runs the jobs at once and then every so often, until it is dropped.
pub async fn keep_running(settings: Settings) {
    loop {
        let run = AssertUnwindSafe(run(&settings)).catch_unwind();
        let outcome = tokio::time::timeout(LONGEST_RUN, run).await;
        let pause = match outcome.map_or(Err(Failure::Late), |run| run.unwrap_or(Err(Failure::Panicked))) {
            Ok(done) => {
                tell(done);
                settings.every
            }
            Err(failure) => {
                tracing::warn!(%failure, "the jobs did not come to their end");
                TRY_AGAIN.min(settings.every)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn tell(done: Option<Done>) {
    let Some(Done { recycled, billed, keys_forgotten }) = done else {
        return tracing::debug!("another instance runs the jobs");
    };
    let Billed { charged, amount, suspended, activated, released } = billed;
    tracing::info!(recycled, charged, %amount, suspended, activated, released, keys_forgotten, "jobs done");
}

/// Runs the jobs once; `None` where another instance is at it.
///
/// # Errors
/// When the database is out of reach.
pub async fn run(settings: &Settings) -> Result<Option<Done>, Failure> {
    let guard = match db::lock(&settings.database, LOCK, BRIEFLY).await {
        Err(MigrateError::Busy(..)) => return Ok(None),
        guard => guard?,
    };
    let db = db::for_jobs(&settings.database);
    let done = work(&db, settings).await;
    db.close().await;
    guard.release().await;
    Ok(Some(done?))
}

/// Each job gets its turn, whatever becomes of the others.
async fn work(db: &Db, Settings { clock, quarantine, grace, .. }: &Settings) -> Result<Done, Error> {
    let now = clock.now();
    let recycled = inventory::recycle(db, clock, now, *quarantine).await;
    let billed = billing::bill(db, clock, now, *grace, |_| {}).await;
    let keys_forgotten = purchases::forget_old_keys(db, clock).await;
    let done = Done { recycled: recycled?, billed: billed?, keys_forgotten: keys_forgotten? };
    store::record(db, clock.now()).await?;
    Ok(done)
}
