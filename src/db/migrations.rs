//! Migrations: one process at a time applies them. Readers go on meanwhile.

use std::time::{Duration, Instant};

use blake2::{Blake2s256, Digest};
use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use refinery_core::{Migration, Runner};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, raw_sql};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

use super::process_lock::{LOG_EVERY, MAX_WAIT, ProcessLock, held_by, is_locked, lock};
use super::session::{self, Purpose};
use super::{Db, MigrateError, connect, in_time, store};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The name that refinery gives its table of applied migrations.
pub const HISTORY: &str = "refinery_schema_history";

/// The pause before a migration that found a table locked is tried again. Statements that queued behind it run
/// meanwhile.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Which databases are meant. What is for the one kind refuses the other, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// Those of a registry.
    Registry,
    /// Those of a world for tests.
    World,
}

/// Brings the schema up to date, and returns the names of the migrations that it applied. refinery takes no lock, so
/// this takes one: several processes may start at once.
///
/// # Errors
/// If the database cannot be used or is not meant, or holds migrations that this program does not know.
pub async fn migrate(options: &PgConnectOptions, meant: Meant) -> Result<Vec<String>, MigrateError> {
    let mut connection = dedicated(options, Purpose::Migration).await?;
    refuse_other(&mut connection, meant).await?;
    apply_on(connection, options, &embedded::migrations::runner()).await
}

/// Whether a database is that of a world.
///
/// # Errors
/// If it cannot be reached.
pub async fn is_marked(options: &PgConnectOptions) -> Result<bool, MigrateError> {
    let mut connection = connect(options, Purpose::Command).await?;
    let is_marked = in_time(store::is_marked(&mut connection)).await;
    let _ = connection.close().await;
    is_marked
}

/// Refuses a database that is not meant.
async fn refuse_other(connection: &mut PgConnection, meant: Meant) -> Result<(), MigrateError> {
    match (in_time(store::is_marked(connection)).await?, meant) {
        (true, Meant::Registry) => Err(MigrateError::World),
        (false, Meant::World) => Err(MigrateError::NoWorld),
        _ => Ok(()),
    }
}

/// A name for the schema that this program's migrations make: another one after any change of them.
pub fn schema_name() -> String {
    let runner = embedded::migrations::runner();
    let mut migrations: Vec<_> = runner.get_migrations().iter().map(|one| (one.version(), one.checksum())).collect();
    migrations.sort_unstable();
    let newest = migrations.last().map_or(0, |(version, _)| *version);
    let parts: Vec<_> = migrations.iter().flat_map(|(_, checksum)| checksum.to_be_bytes()).collect();
    let digest: String = Blake2s256::digest(parts).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("v{newest}_{digest}")
}

/// Applies these migrations. [`migrate`] has the program's, tests have others.
///
/// # Errors
/// As [`migrate`].
pub async fn apply(options: &PgConnectOptions, runner: &Runner) -> Result<Vec<String>, MigrateError> {
    apply_on(dedicated(options, Purpose::Migration).await?, options, runner).await
}

async fn apply_on(
    mut connection: PgConnection,
    options: &PgConnectOptions,
    runner: &Runner,
) -> Result<Vec<String>, MigrateError> {
    prepare(&mut connection).await?;
    let guard = lock(options, ProcessLock::SCHEMA, MAX_WAIT).await?;
    let report = runner.run_async(&mut Migrating(&mut connection)).await;
    let report = report.map_err(|error| MigrateError::Migrate(Box::new(error)))?;
    store::keep_temporary_tables(&mut connection).await.map_err(MigrateError::Make)?;
    guard.release().await;
    connection.close().await.map_err(MigrateError::Connect)?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Refuses a pooler in transaction mode.
///
/// # Errors
/// If there is one, or the database cannot be reached.
pub async fn refuse_shared(options: &PgConnectOptions) -> Result<(), MigrateError> {
    let _ = dedicated(options, Purpose::Command).await?.close().await;
    Ok(())
}

/// A connection that no pooler hands to others between two transactions.
async fn dedicated(options: &PgConnectOptions, purpose: Purpose) -> Result<PgConnection, MigrateError> {
    let (mut first, mut second) = (connect(options, purpose).await?, connect(options, purpose).await?);
    session::ensure_dedicated(&mut first, &mut second).await?;
    let _ = second.close().await;
    Ok(first)
}

/// Checks the database before the first migration, and makes refinery's table, which serves as the lock.
async fn prepare(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let found = in_time(store::inspect(&mut *connection)).await?;
    if found.is_made {
        return Ok(());
    }
    if let Some(schema) = found.elsewhere {
        return Err(MigrateError::Elsewhere(schema));
    }
    if found.encoding != "UTF8" {
        return Err(MigrateError::NotUtf8(found.encoding));
    }
    let create = Migrating::assert_migrations_table_query(HISTORY);
    // Of two processes that make it at once, one may fail in spite of "if not exists". Then the table is there.
    if raw_sql(AssertSqlSafe(create.clone())).execute(&mut *connection).await.is_err() {
        raw_sql(AssertSqlSafe(create)).execute(connection).await.map_err(MigrateError::Make)?;
    }
    Ok(())
}

/// Whether every migration that this program knows has been applied.
///
/// # Errors
/// If the database cannot be used or is not meant.
pub async fn is_current(options: &PgConnectOptions, meant: Meant) -> Result<bool, MigrateError> {
    let mut connection = dedicated(options, Purpose::Command).await?;
    refuse_other(&mut connection, meant).await?;
    Ok(has_newest(&mut connection).await)
}

/// As [`is_current`], on a pooled connection.
///
/// # Errors
/// If the database cannot be reached.
pub async fn is_current_on(db: &Db) -> sqlx::Result<bool> {
    db.lend(async |connection| {
        connection.ping().await?;
        Ok(has_newest(connection).await)
    })
    .await
}

async fn has_newest(connection: &mut PgConnection) -> bool {
    let runner: Runner = embedded::migrations::runner();
    let newest = runner.get_migrations().iter().map(Migration::version).max();
    // A database that was never migrated has no such table: not current either.
    let last = runner.get_last_applied_migration_async(&mut Migrating(connection)).await;
    last.is_ok_and(|last| last.map(|migration| migration.version()) >= newest)
}

/// Runs refinery through sqlx: one driver, and one way to read a database URL.
struct Migrating<'a>(&'a mut PgConnection);

impl Migrating<'_> {
    /// Runs the statements in one transaction.
    async fn attempt(&mut self, queries: &[&str]) -> sqlx::Result<()> {
        let mut transaction = self.0.begin().await?;
        for query in queries {
            raw_sql(AssertSqlSafe((*query).to_owned())).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }
}

impl AsyncTransaction for Migrating<'_> {
    type Error = sqlx::Error;

    /// A table in use cannot be changed. The migration is rolled back and tried again, so that statements that queued
    /// behind it run in between.
    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(&'a mut self, queries: T) -> sqlx::Result<usize> {
        let (queries, begun): (Vec<_>, _) = (queries.collect(), Instant::now());
        let mut log_at = Duration::ZERO;
        loop {
            match self.attempt(&queries).await {
                Err(error) if is_locked(&error) && begun.elapsed() < MAX_WAIT => {
                    if begun.elapsed() >= log_at {
                        log_at = begun.elapsed() + LOG_EVERY;
                        let held_by = held_by(self.0, None).await;
                        tracing::warn!("waiting: somebody uses a table that a migration is to change{held_by}");
                    }
                    sleep(RETRY_PAUSE).await;
                }
                done => return done.map(|()| queries.len()),
            }
        }
    }
}

impl AsyncQuery<Vec<Migration>> for Migrating<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> sqlx::Result<Vec<Migration>> {
        let rows = raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut *self.0).await?;
        rows.iter()
            .map(|row| {
                let unreadable = |error: &dyn std::fmt::Display| sqlx::Error::Decode(error.to_string().into());
                let applied_on: String = row.try_get(2)?;
                let applied_on = OffsetDateTime::parse(&applied_on, &Rfc3339).map_err(|error| unreadable(&error))?;
                let checksum: String = row.try_get(3)?;
                let checksum = checksum.parse().map_err(|error| unreadable(&error))?;
                Ok(Migration::applied(row.try_get(0)?, row.try_get(1)?, applied_on, checksum))
            })
            .collect()
    }
}

impl AsyncMigrate for Migrating<'_> {}
