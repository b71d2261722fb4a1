//! Jobs that `serve` runs at intervals: put numbers on sale again after their quarantine, bill fees, delete old
//! idempotency keys. Of all instances on one database, one at a time runs them. The counts of the stock are folded more often,
//! by each instance.

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

/// Options of the jobs.
#[derive(Clone, Debug)]
pub struct JobOptions {
    pub database: PgConnectOptions,
    pub clock: Clock,
    /// The pause between two runs.
    pub every: Duration,
    pub quarantine: Quarantine,
    /// How long an unpaid number is kept.
    pub grace: TimeDelta,
}

/// The longest pause after a failed run.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// The longest run; the next one continues its work. Without a limit, a run on a dead connection might never end.
const MAX_RUN: Duration = Duration::from_mins(30);

/// Held by the instance that runs the jobs.
pub const LOCK: ProcessLock = ProcessLock { table: "job_runs", taken: "another instance runs the jobs" };

/// How long a run waits for [`LOCK`].
const MAX_WAIT: Duration = Duration::from_secs(1);

/// What one run did.
#[derive(Debug)]
pub struct Done {
    pub recycled: u64,
    pub billed: Billed,
    pub keys_forgotten: u64,
}

/// Why a run failed. Work that it finished before stays.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Lock(#[from] MigrateError),
    #[error("{0}")]
    Job(#[from] Error),
    #[error("it took longer than {MAX_RUN:?}")]
    Late,
    #[error("it panicked")]
    Panicked,
}

/// Runs the jobs now, and again after each interval, until dropped. A failed run is retried within a minute.
pub async fn keep_running(settings: JobOptions) {
    loop {
        let run = AssertUnwindSafe(run(&settings)).catch_unwind();
        let outcome = tokio::time::timeout(MAX_RUN, run).await;
        let pause = match outcome.map_or(Err(Failure::Late), |run| run.unwrap_or(Err(Failure::Panicked))) {
            Ok(done) => {
                log(done);
                settings.every
            }
            Err(failure) => {
                tracing::warn!(%failure, "the jobs did not come to their end");
                RETRY_AFTER.min(settings.every)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// How often the counts of the stock are folded. A sale adds a row. In ten seconds of thousands of sales a second that is some
/// ten thousand rows, which a reader adds up in milliseconds.
const FOLD_EVERY: Duration = Duration::from_secs(10);

/// The longest folding; the next one continues it.
const MAX_FOLD: Duration = Duration::from_mins(1);

/// Folds the counts of the stock, until dropped. Several instances may do it at once.
pub async fn keep_folding(db: Db) {
    loop {
        tokio::time::sleep(FOLD_EVERY).await;
        if let Ok(Err(error)) = tokio::time::timeout(MAX_FOLD, inventory::fold_counts(&db)).await {
            tracing::debug!("the counts of the stock were not folded: {error}");
        }
    }
}

fn log(done: Option<Done>) {
    let Some(Done { recycled, billed, keys_forgotten }) = done else {
        return tracing::debug!("another instance runs the jobs");
    };
    let Billed { charged, amount, suspended, activated, released, busy } = billed;
    if let Some(first) = busy.first() {
        let busy = busy.len();
        tracing::warn!(busy, %first, "other sessions have locked accounts for too long: what is due of these is left for the next run");
    }
    tracing::info!(recycled, charged, %amount, suspended, activated, released, keys_forgotten, "jobs done");
}

/// Runs the jobs once. Returns `None` if another instance runs them.
///
/// # Errors
/// If the database is out of reach, or a job fails.
pub async fn run(settings: &JobOptions) -> Result<Option<Done>, Failure> {
    let guard = match db::lock(&settings.database, LOCK, MAX_WAIT).await {
        Err(MigrateError::Busy(..)) => return Ok(None),
        guard => guard?,
    };
    let db = db::for_jobs(&settings.database);
    let done = work(&db, settings).await;
    db.close().await;
    guard.release().await;
    Ok(Some(done?))
}

/// Runs every job even if an earlier one fails, then returns the first error.
async fn work(db: &Db, JobOptions { clock, quarantine, grace, .. }: &JobOptions) -> Result<Done, Error> {
    let now = clock.now();
    let recycled = inventory::recycle(db, clock, now, *quarantine).await;
    let billed = billing::bill(db, clock, now, *grace, |_| {}).await;
    let keys_forgotten = purchases::forget_old_keys(db, clock).await;
    let done = Done { recycled: recycled?, billed: billed?, keys_forgotten: keys_forgotten? };
    store::record(db, clock.now()).await?;
    Ok(done)
}
