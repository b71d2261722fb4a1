//! The write of the health check.

use sqlx::{Result, query};
use tracing::instrument;

use crate::db::Db;

/// Writes a row, and as much to disk as a table or an index may need to grow.
#[instrument(name = "monitoring.write", level = "debug", skip_all)]
pub async fn write(db: &Db) -> Result<()> {
    query!("update health set writes = writes + 1 where room_on_disk() > 0").execute(db).await.map(drop)
}
