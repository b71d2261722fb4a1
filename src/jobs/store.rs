//! When the jobs were done.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_scalar};

use crate::db::Db;

/// Writes down that a run came to its end. A clock that lags takes nothing back.
pub async fn record(db: &Db, now: DateTime<Utc>) -> Result<()> {
    query!("update job_runs set done_at = greatest(done_at, $1)", now).execute(db).await.map(drop)
}

/// When a run came to its end last, through whichever instance.
pub async fn last_done(db: &Db) -> Result<Option<DateTime<Utc>>> {
    query_scalar!("select max(done_at) from job_runs").fetch_one(db).await
}
