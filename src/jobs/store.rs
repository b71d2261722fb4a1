//! The time of the last run of the jobs.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_scalar};
use tracing::instrument;

use crate::db::Db;

/// Records a finished run. An instance whose clock is behind does not move the time back.
#[instrument(name = "jobs.record", level = "debug", skip_all)]
pub async fn record(db: &Db, now: DateTime<Utc>) -> Result<()> {
    query!("update job_runs set done_at = greatest(done_at, $1)", now).execute(db).await.map(drop)
}

/// When a run finished last, on any instance.
#[instrument(name = "jobs.last_done", level = "debug", skip_all)]
pub async fn last_done(db: &Db) -> Result<Option<DateTime<Utc>>> {
    query_scalar!("select max(done_at) from job_runs").fetch_one(db).await
}
