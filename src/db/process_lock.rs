//! Locks between processes: each is a table lock, in a mode that blocks neither readers nor writers, only the same
//! mode. Not advisory locks: any role that may connect can take those.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::time::sleep;

use super::migrations::HISTORY;
use super::session::Purpose;
use super::store::{self, Holder};
use super::{Db, MigrateError, Transaction, connect};
use crate::error;

/// A lock that one process at a time may hold.
#[derive(Clone, Copy, Debug)]
pub struct ProcessLock {
    /// The table to lock. A small one, because autovacuum takes the same lock.
    pub table: &'static str,
    /// What a process that waits for it logs.
    pub taken: &'static str,
}

impl ProcessLock {
    /// For migrations and for the data of a demo.
    pub const SCHEMA: Self = Self { table: HISTORY, taken: "another process migrates or prepares this database" };
}

/// The longest wait for a lock, and the pause between two tries.
pub const MAX_WAIT: Duration = Duration::from_mins(10);
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// When a wait is first logged, and how often after that.
const LOG_AFTER: Duration = Duration::from_secs(1);
pub const LOG_EVERY: Duration = Duration::from_secs(30);

/// A lock that is held until this is dropped, or the process dies.
pub struct LockGuard(PgConnection);

impl LockGuard {
    /// Releases the lock at once.
    pub async fn release(self) {
        let _ = self.0.close().await;
    }
}

/// Takes a lock, on a connection of its own.
///
/// # Errors
/// If the database is out of reach, or another process holds the lock longer than `max_wait`: [`MigrateError::Busy`].
pub async fn lock(
    options: &PgConnectOptions,
    lock: ProcessLock,
    max_wait: Duration,
) -> Result<LockGuard, MigrateError> {
    let mut connection = connect(options, Purpose::Lock).await?;
    raw_sql("begin").execute(&mut connection).await.map_err(MigrateError::Lock)?;
    acquire(&mut connection, lock, max_wait).await?;
    Ok(LockGuard(connection))
}

/// Begins a transaction that holds a lock to its end.
///
/// # Errors
/// If the database is out of reach, or another process holds the lock for too long.
pub async fn begin_locked(db: &Db, lock: ProcessLock) -> error::Result<Transaction> {
    let mut transaction = db.begin().await?;
    match acquire(&mut transaction, lock, MAX_WAIT).await {
        Ok(()) => Ok(transaction),
        Err(MigrateError::Lock(error)) => Err(error.into()),
        Err(error) => Err(error::Error::Internal(error.to_string())),
    }
}

/// Takes a lock within a transaction.
async fn acquire(connection: &mut PgConnection, lock: ProcessLock, max_wait: Duration) -> Result<(), MigrateError> {
    let (begun, mut log_at) = (Instant::now(), LOG_AFTER);
    loop {
        if try_acquire(connection, lock).await.map_err(MigrateError::Lock)? {
            return Ok(());
        }
        if begun.elapsed() >= max_wait {
            return Err(MigrateError::Busy(lock.taken, held_by(connection, Some(lock)).await));
        }
        if begun.elapsed() >= log_at {
            log_at = begun.elapsed() + LOG_EVERY;
            tracing::warn!("waiting: {}{}", lock.taken, held_by(connection, Some(lock)).await);
        }
        sleep(RETRY_EVERY).await;
    }
}

/// Takes a lock if it is free.
async fn try_acquire(connection: &mut PgConnection, lock: ProcessLock) -> sqlx::Result<bool> {
    let statement = format!("savepoint attempt; lock table {} in share update exclusive mode nowait", lock.table);
    match raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await {
        Ok(_) => Ok(true),
        Err(error) if is_locked(&error) => {
            raw_sql("rollback to savepoint attempt; release savepoint attempt").execute(connection).await.map(|_| false)
        }
        Err(error) => Err(error),
    }
}

/// Whether a statement failed because of others' locks: a lock timeout, `nowait`, or a deadlock.
pub fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// The sessions that hold a lock, or without one, that lock any table of ours: a text for the operator.
pub async fn held_by(connection: &mut PgConnection, lock: Option<ProcessLock>) -> String {
    let holders = store::holders(connection, lock.map(|lock| lock.table)).await.unwrap_or_default();
    let holders: Vec<_> = holders.iter().map(Holder::to_string).collect();
    if holders.is_empty() { String::new() } else { format!(" ({})", holders.join("; ")) }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, role, application, since } = self;
        write!(f, "PostgreSQL's process {pid}")?;
        if let Some(role) = role {
            write!(f, " of the role {role:?}")?;
        }
        if let Some(application) = application.as_deref().filter(|name| !name.is_empty()) {
            write!(f, ", application {application:?}")?;
        }
        since.map_or(Ok(()), |since| write!(f, ", since {}", since.format("%Y-%m-%dT%H:%M:%SZ")))
    }
}
