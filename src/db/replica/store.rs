//! The questions that tell how far a replica is.

use sqlx::{Result, query_scalar};

use crate::db::Db;

/// What a database shares with its streaming replicas and with nothing else.
pub async fn identity(db: &Db) -> Result<String> {
    query_scalar!(
        r#"select system_identifier || '/' || oid as "identity!" from pg_control_system(), pg_database
        where datname = current_database()"#
    )
    .fetch_one(db)
    .await
}

/// How far the primary's log reaches, with all that was answered by now. That is on disk already, unless
/// PostgreSQL was told not to wait for the disk.
pub async fn position(primary: &Db) -> Result<String> {
    query_scalar!(
        r#"select (case current_setting('synchronous_commit') when 'off' then pg_current_wal_insert_lsn()
            else pg_current_wal_flush_lsn() end)::text as "position!""#
    )
    .fetch_one(primary)
    .await
}

/// Whether a replica has replayed the log up to here; `None` where it is none.
pub async fn has_replayed(replica: &Db, position: &str) -> Result<Option<bool>> {
    query_scalar!(
        "select case when pg_is_in_recovery()
            then coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false) end",
        position
    )
    .fetch_one(replica)
    .await
}
