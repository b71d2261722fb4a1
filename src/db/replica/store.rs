//! Statements that tell how far a replica is.

use sqlx::{Result, query_scalar};
use tracing::instrument;

use crate::db::Db;

/// Equal for a database and its streaming replicas, and for no others.
#[instrument(name = "db.replica.identity", level = "debug", skip_all)]
pub async fn identity(db: &Db) -> Result<String> {
    query_scalar!(
        r#"select system_identifier || '/' || oid as "identity!" from pg_control_system(), pg_database
        where datname = current_database()"#
    )
    .fetch_one(db)
    .await
}

/// The end of the primary's log: all commits that were answered by now lie before it. With `synchronous_commit = off`
/// the end in memory, else that on disk.
#[instrument(name = "db.replica.position", level = "debug", skip_all)]
pub async fn position(primary: &Db) -> Result<String> {
    query_scalar!(
        r#"select (case current_setting('synchronous_commit') when 'off' then pg_current_wal_insert_lsn()
            else pg_current_wal_flush_lsn() end)::text as "position!""#
    )
    .fetch_one(primary)
    .await
}

/// Whether a replica has replayed the log up to `position`; `None` if it is not a replica.
#[instrument(name = "db.replica.has_replayed", level = "debug", skip_all)]
pub async fn has_replayed(replica: &Db, position: &str) -> Result<Option<bool>> {
    query_scalar!(
        "select case when pg_is_in_recovery()
            then coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false) end",
        position
    )
    .fetch_one(replica)
    .await
}
