//! The way to PostgreSQL: connections at hand for each thread that serves, and the migrations.

use std::time::Duration;

use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use refinery_core::{Migration, Runner};
use sqlx::postgres::{PgAdvisoryLock, PgAdvisoryLockGuard, PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use super::pool::{Db, Transaction, Usage};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// How long a request may wait for a connection. The wire promises a 503 within five seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// How PostgreSQL serves a request: it gives up a statement that takes too long, and a wait for rows that
/// others hold, so that one account's crowd does not keep every connection; and it keeps the plan of a
/// statement, for all of them are made to do with one: to plan them anew each time takes longer than to do them.
const SERVING: [(&str, &str); 3] =
    [("statement_timeout", "4s"), ("lock_timeout", "2s"), ("plan_cache_mode", "force_generic_plan")];

/// Reads a PostgreSQL URL.
///
/// # Errors
/// When it is none; the message does not repeat it, for it may hold a password.
pub fn options(url: &str) -> Result<PgConnectOptions, String> {
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let options: Option<PgConnectOptions> = if known { url.parse().ok() } else { None };
    let options =
        options.ok_or("the database URL cannot be read; postgres://user:password@host:5432/database is expected")?;
    Ok(options.application_name("numberbank").disable_statement_logging())
}

/// Connections for the thread that calls this, and how many may wait for one; they are made when they
/// are first used.
pub fn serving(options: &PgConnectOptions, connections: u32, waiting: u32) -> Db {
    let options = options.clone().options(SERVING);
    Db::new(PgPoolOptions::new().acquire_timeout(PATIENCE), options, connections, waiting)
}

/// Connections for a command: few, with no limit on how long a statement takes.
pub fn for_command(options: &PgConnectOptions) -> Db {
    Db::new(PgPoolOptions::new().acquire_timeout(Duration::from_secs(10)), options.clone(), 4, u32::MAX)
}

/// What can go wrong with migrations.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("cannot connect to the database: {0}")]
    Connect(#[source] sqlx::Error),
    #[error("cannot take a lock on the database: {0}")]
    Lock(#[source] sqlx::Error),
    #[error("migration failed: {}", reason(.0))]
    Migrate(#[source] Box<refinery_core::Error>),
}

/// What PostgreSQL says where it refuses a migration, without refinery's words around it.
fn reason(error: &refinery_core::Error) -> String {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<sqlx::Error>());
    let said = source.and_then(sqlx::Error::as_database_error).map(|said| said.message().to_owned());
    said.unwrap_or_else(|| error.to_string())
}

/// Brings the schema up to date and returns the names of the migrations that it applied.
/// Safe when several processes start at once: refinery takes no lock of its own, so one is taken here.
///
/// # Errors
/// When the database cannot be reached, or holds migrations that this program does not know.
pub async fn migrate(options: &PgConnectOptions) -> Result<Vec<String>, MigrateError> {
    // Without this, every start tells that refinery's own table exists already.
    let quiet = options.clone().options([("client_min_messages", "warning")]);
    let mut guard = alone(&quiet, "migrations").await?;
    let runner: Runner = embedded::migrations::runner();
    let report = runner
        .run_async(&mut Migrating(guard.as_mut()))
        .await
        .map_err(|error| MigrateError::Migrate(Box::new(error)))?;
    let connection = guard.release_now().await.map_err(MigrateError::Lock)?;
    connection.close().await.map_err(MigrateError::Connect)?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Waits until no other process does the same thing on this database, and keeps others waiting
/// until the guard is dropped.
///
/// # Errors
/// When the database cannot be reached.
pub async fn alone(options: &PgConnectOptions, what: &str) -> Result<PgAdvisoryLockGuard<PgConnection>, MigrateError> {
    let connection = options.connect().await.map_err(MigrateError::Connect)?;
    let lock = PgAdvisoryLock::new(format!("numberbank {what}"));
    lock.acquire(connection).await.map_err(MigrateError::Lock)
}

/// As [`alone`], but waits for nobody: `None` where another process is at it.
///
/// # Errors
/// When the database cannot be reached.
pub async fn try_alone(
    options: &PgConnectOptions,
    what: &str,
) -> Result<Option<PgAdvisoryLockGuard<PgConnection>>, MigrateError> {
    let connection = options.connect().await.map_err(MigrateError::Connect)?;
    let lock = PgAdvisoryLock::new(format!("numberbank {what}"));
    let taken = lock.try_acquire(connection).await.map_err(MigrateError::Lock)?;
    Ok(taken.left())
}

/// Whether every migration that this program knows has been applied.
///
/// # Errors
/// When the database cannot be reached.
pub async fn is_current(options: &PgConnectOptions) -> Result<bool, MigrateError> {
    let mut connection = options.connect().await.map_err(MigrateError::Connect)?;
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

impl AsyncTransaction for Migrating<'_> {
    type Error = sqlx::Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(&'a mut self, queries: T) -> sqlx::Result<usize> {
        let mut transaction = self.0.begin().await?;
        let mut count = 0;
        for query in queries {
            sqlx::raw_sql(AssertSqlSafe(query.to_owned())).execute(&mut *transaction).await?;
            count += 1;
        }
        transaction.commit().await?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for Migrating<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> sqlx::Result<Vec<Migration>> {
        let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut *self.0).await?;
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
