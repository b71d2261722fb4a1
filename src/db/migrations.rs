//! The migrations: one process at a time applies them, beside readers that nobody ends.

use std::time::{Duration, Instant};

use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use refinery_core::{Migration, Runner};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, raw_sql};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

use super::session::{self, Purpose};
use super::turn::{LONGEST_WAIT, TELL_EVERY, Turn, alone, held_by, is_locked};
use super::{Db, MigrateError, connect, in_time, store};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// refinery's own name for it.
pub const HISTORY: &str = "refinery_schema_history";

/// Between two tries of a migration that found a table locked: all who came meanwhile get on.
const PAUSE: Duration = Duration::from_secs(2);

/// Brings the schema up to date and returns the names of the migrations that it applied.
/// Safe when several processes start at once: refinery takes no lock of its own, so one is taken here.
///
/// # Errors
/// When the database cannot be used, or holds migrations that this program does not know.
pub async fn migrate(options: &PgConnectOptions) -> Result<Vec<String>, MigrateError> {
    apply(options, &embedded::migrations::runner()).await
}

/// Applies these migrations; tests have others.
///
/// # Errors
/// As [`migrate`].
pub async fn apply(options: &PgConnectOptions, runner: &Runner) -> Result<Vec<String>, MigrateError> {
    let mut connection = own(options, Purpose::Migration).await?;
    prepare(&mut connection).await?;
    let alone = alone(options, Turn::SCHEMA, LONGEST_WAIT).await?;
    let report = runner.run_async(&mut Migrating(&mut connection)).await;
    let report = report.map_err(|error| MigrateError::Migrate(Box::new(error)))?;
    store::keep_temporary_tables(&mut connection).await.map_err(MigrateError::Make)?;
    alone.end().await;
    connection.close().await.map_err(MigrateError::Connect)?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Makes sure that no pooler takes a connection away between two transactions.
///
/// # Errors
/// When one does, or the database cannot be reached.
pub async fn refuse_shared(options: &PgConnectOptions) -> Result<(), MigrateError> {
    let _ = own(options, Purpose::Command).await?.close().await;
    Ok(())
}

/// A connection of which is certain that it stays ours.
async fn own(options: &PgConnectOptions, purpose: Purpose) -> Result<PgConnection, MigrateError> {
    let (mut first, mut second) = (connect(options, purpose).await?, connect(options, purpose).await?);
    session::are_own(&mut first, &mut second).await?;
    let _ = second.close().await;
    Ok(first)
}

/// What must be true before the first table is made; then makes refinery's, whose lock keeps migrations apart.
async fn prepare(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let found = in_time(store::look(&mut *connection)).await?;
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
    // Of two that make it at the same moment one may fail, for all the "if not exists"; then it is there.
    if raw_sql(AssertSqlSafe(create.clone())).execute(&mut *connection).await.is_err() {
        raw_sql(AssertSqlSafe(create)).execute(connection).await.map_err(MigrateError::Make)?;
    }
    Ok(())
}

/// Whether every migration that this program knows has been applied.
///
/// # Errors
/// When the database cannot be used.
pub async fn is_current(options: &PgConnectOptions) -> Result<bool, MigrateError> {
    let mut connection = own(options, Purpose::Command).await?;
    Ok(has_newest(&mut connection).await)
}

/// The same, on a connection that may be at hand.
///
/// # Errors
/// When the database cannot be reached.
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
    // A database that was never migrated has no history to read: that is an answer too.
    let last = runner.get_last_applied_migration_async(&mut Migrating(connection)).await;
    last.is_ok_and(|last| last.map(|migration| migration.version()) >= newest)
}

/// Lets refinery speak through sqlx: one driver, one way to read a database URL.
struct Migrating<'a>(&'a mut PgConnection);

impl Migrating<'_> {
    /// All of it, or nothing.
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

    /// A table that somebody reads cannot be changed: the migration is taken back and tried again, so that those who
    /// queue behind it get on in between.
    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(&'a mut self, queries: T) -> sqlx::Result<usize> {
        let (queries, begun): (Vec<_>, _) = (queries.collect(), Instant::now());
        let mut tell_at = Duration::ZERO;
        loop {
            match self.attempt(&queries).await {
                Err(error) if is_locked(&error) && begun.elapsed() < LONGEST_WAIT => {
                    if begun.elapsed() >= tell_at {
                        tell_at = begun.elapsed() + TELL_EVERY;
                        let held_by = held_by(self.0, None).await;
                        tracing::warn!("waiting: somebody uses a table that a migration is to change{held_by}");
                    }
                    sleep(PAUSE).await;
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
