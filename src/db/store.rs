//! Statements about the database itself: its state, and who holds locks.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Result, query, query_as, query_scalar};
use tracing::instrument;

use super::{Db, Transaction};

/// The state of a database before the first migration.
#[derive(Debug)]
pub struct Inspection {
    pub encoding: String,
    pub is_made: bool,
    /// The schema of our tables, if not `public`.
    pub elsewhere: Option<String>,
}

#[instrument(name = "db.inspect", level = "debug", skip_all)]
pub async fn inspect(connection: &mut PgConnection) -> Result<Inspection> {
    query_as!(
        Inspection,
        r#"select current_setting('server_encoding') as "encoding!",
            to_regclass('public.refinery_schema_history') is not null as "is_made!",
            (select nspname::text
            from pg_class as ours
            join pg_class as history on history.relnamespace = ours.relnamespace
                and history.relname = 'refinery_schema_history'
            join pg_namespace on pg_namespace.oid = ours.relnamespace
            where ours.relname = 'ledger_entries' and nspname <> 'public' and pg_has_role(ours.relowner, 'usage')
            limit 1) as elsewhere"#
    )
    .fetch_one(connection)
    .await
}

/// Limits a transaction: how long it waits for each lock, and how long its session may do nothing, as when its process was
/// stopped.
#[instrument(name = "db.limit_waits", level = "debug", skip_all)]
pub async fn limit_waits(within: &mut Transaction, wait: Duration) -> Result<()> {
    query!(
        "select set_config('lock_timeout', $1, true) as wait,
            set_config('idle_in_transaction_session_timeout', '1min', true) as idle",
        wait.as_millis().to_string()
    )
    .fetch_one(&mut **within)
    .await
    .map(drop)
}

/// Whether the database is that of a world for tests: no migration makes this table.
#[instrument(name = "db.is_marked", level = "debug", skip_all)]
pub async fn is_marked(connection: &mut PgConnection) -> Result<bool> {
    query_scalar!(r#"select to_regclass('staging.world') is not null as "is_marked!""#).fetch_one(connection).await
}

/// By default every role may make temporary tables, and fill the disk with them. We need none, so this revokes the
/// right, unless another role owns the database. Not a migration, because a dump does not hold this right.
#[instrument(name = "db.keep_temporary_tables", level = "debug", skip_all)]
pub async fn keep_temporary_tables(connection: &mut PgConnection) -> Result<()> {
    query!(
        "do $$ begin
            if exists (select from pg_database where datname = current_database() and pg_has_role(datdba, 'usage')
                and has_database_privilege('public', oid, 'temporary'))
            then
                execute format('revoke temporary on database %I from public', current_database());
            end if;
        end $$"
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A session that holds a lock.
#[derive(Debug)]
pub struct Holder {
    pub pid: i32,
    pub role: Option<String>,
    pub application: Option<String>,
    /// When its transaction began. PostgreSQL shows that of other roles to superusers only.
    pub since: Option<DateTime<Utc>>,
}

/// Up to three sessions that hold a lock for which a process lock on this table would wait; without a table, any lock
/// on any of our tables.
#[instrument(name = "db.holders", level = "debug", skip_all)]
pub async fn holders(connection: &mut PgConnection, table: Option<&str>) -> Result<Vec<Holder>> {
    query_as!(
        Holder,
        r#"select distinct pg_locks.pid as "pid!", usename::text as role, application_name as application,
            xact_start as since
        from pg_locks
        join pg_class on pg_class.oid = relation and relnamespace = 'public'::regnamespace
        left join pg_stat_activity on pg_stat_activity.pid = pg_locks.pid
        where locktype = 'relation' and granted and pg_locks.pid <> pg_backend_pid()
            and database = (select oid from pg_database where datname = current_database())
            and ($1::text is null or relname = $1 and mode in ('ShareUpdateExclusiveLock', 'ShareLock',
                'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
        order by xact_start limit 3"#,
        table
    )
    .fetch_all(connection)
    .await
}

/// How large a table is.
pub struct Size {
    pub pages: i64,
    /// Whether some of its pages can be read by themselves.
    pub can_walk: bool,
}

#[instrument(name = "db.size", level = "debug", skip_all)]
pub async fn size(db: &Db, table: &str) -> Result<Size> {
    query_as!(
        Size,
        r#"select pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint as "pages!",
            current_setting('server_version_num')::integer >= 140000 as "can_walk!""#,
        table
    )
    .fetch_one(db)
    .await
}
