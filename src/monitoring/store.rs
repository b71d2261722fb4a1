//! The write of the readiness check.

use sqlx::{Result, query};
use tracing::instrument;

use crate::db::Db;

/// Writes a row, and half a megabyte to a temporary file: that fails on a full disk, though the row may still fit.
#[instrument(name = "monitoring.write", level = "debug", skip_all)]
pub async fn write(db: &Db) -> Result<()> {
    query!("update health set writes = writes + 1 where room_on_disk() > 0").execute(db).await.map(drop)
}
