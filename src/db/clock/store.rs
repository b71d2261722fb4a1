//! The statement that asks for the database's time.

use chrono::{DateTime, Utc};
use sqlx::{Result, query_scalar};
use tracing::instrument;

use crate::db::Db;

/// The time of the database's own clock.
#[instrument(name = "db.clock.time", level = "debug", skip_all)]
pub async fn time(db: &Db) -> Result<DateTime<Utc>> {
    query_scalar!(r#"select clock_timestamp() as "time!""#).fetch_one(db).await
}
