//! The question that tells how far two clocks are apart.

use chrono::{DateTime, Utc};
use sqlx::{Result, query_scalar};

use crate::db::Db;

/// What the database's own clock says.
pub async fn time(db: &Db) -> Result<DateTime<Utc>> {
    query_scalar!(r#"select clock_timestamp() as "time!""#).fetch_one(db).await
}
