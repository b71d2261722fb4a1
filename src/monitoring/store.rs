//! What is written to know that the database takes writes.

use sqlx::{Result, query};

use crate::db::Db;

/// Writes a row, and as much to the disk as a table or an index may need to grow by.
pub async fn write(db: &Db) -> Result<()> {
    query!("update health set writes = writes + 1 where room_on_disk() > 0").execute(db).await.map(drop)
}
