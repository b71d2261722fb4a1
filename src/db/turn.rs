//! What one process at a time does. Who is at it holds a lock on a table, in a mode that keeps neither readers nor
//! writers away, only others of its kind. Advisory locks would not do: anybody who may connect can take those.

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

/// What only one process at a time does.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The table that is locked: a small one, for its upkeep by PostgreSQL takes the same lock.
    pub table: &'static str,
    /// What others are told meanwhile.
    pub taken: &'static str,
}

impl Turn {
    /// Makes the schema, and what a demo begins with.
    pub const SCHEMA: Self = Self { table: HISTORY, taken: "another process migrates or prepares this database" };
}

/// How long a turn is waited for, and how often it is asked for.
pub const LONGEST_WAIT: Duration = Duration::from_mins(10);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How soon, and then how often, the log tells what is waited for.
const TELL_AFTER: Duration = Duration::from_secs(1);
pub const TELL_EVERY: Duration = Duration::from_secs(30);

/// A turn that is held until this is dropped, or the process dies.
pub struct Alone(PgConnection);

impl Alone {
    /// Lets the next one at it at once.
    pub async fn end(self) {
        let _ = self.0.close().await;
    }
}

/// Waits for a turn, and keeps others waiting until it ends.
///
/// # Errors
/// When the database is out of reach, or somebody else still holds the turn when the time is over: [`MigrateError::Busy`].
pub async fn alone(options: &PgConnectOptions, turn: Turn, patience: Duration) -> Result<Alone, MigrateError> {
    let mut connection = connect(options, Purpose::Turn).await?;
    raw_sql("begin").execute(&mut connection).await.map_err(MigrateError::Lock)?;
    wait(&mut connection, turn, patience).await?;
    Ok(Alone(connection))
}

/// A transaction that holds a turn to its end.
///
/// # Errors
/// When the database is out of reach, or somebody else holds the turn for too long.
pub async fn begin_alone(db: &Db, turn: Turn) -> error::Result<Transaction> {
    let mut transaction = db.begin().await?;
    match wait(&mut transaction, turn, LONGEST_WAIT).await {
        Ok(()) => Ok(transaction),
        Err(MigrateError::Lock(error)) => Err(error.into()),
        Err(error) => Err(error::Error::Internal(error.to_string())),
    }
}

/// Waits for a turn within a transaction.
async fn wait(connection: &mut PgConnection, turn: Turn, patience: Duration) -> Result<(), MigrateError> {
    let (begun, mut tell_at) = (Instant::now(), TELL_AFTER);
    loop {
        if take(connection, turn).await.map_err(MigrateError::Lock)? {
            return Ok(());
        }
        if begun.elapsed() >= patience {
            return Err(MigrateError::Busy(turn.taken, held_by(connection, Some(turn)).await));
        }
        if begun.elapsed() >= tell_at {
            tell_at = begun.elapsed() + TELL_EVERY;
            tracing::warn!("waiting: {}{}", turn.taken, held_by(connection, Some(turn)).await);
        }
        sleep(ASK_EVERY).await;
    }
}

/// Takes a turn if nobody holds it.
async fn take(connection: &mut PgConnection, turn: Turn) -> sqlx::Result<bool> {
    let lock = format!("savepoint turn; lock table {} in share update exclusive mode nowait", turn.table);
    match raw_sql(AssertSqlSafe(lock)).execute(&mut *connection).await {
        Ok(_) => Ok(true),
        Err(error) if is_locked(&error) => {
            raw_sql("rollback to savepoint turn; release savepoint turn").execute(connection).await.map(|_| false)
        }
        Err(error) => Err(error),
    }
}

/// Whether a statement was given up because somebody holds a lock.
pub fn is_locked(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03")
}

/// Who holds a turn, or else any table of ours, as far as PostgreSQL tells: for the operator.
pub async fn held_by(connection: &mut PgConnection, turn: Option<Turn>) -> String {
    let holders = store::holders(connection, turn.map(|turn| turn.table)).await.unwrap_or_default();
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
