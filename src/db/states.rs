//! The meaning of PostgreSQL's errors: SQLSTATEs, and the constraints that they name.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::error::{Error, Unavailable};

/// The name of the violated constraint, if there is one.
pub fn violated(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|error| error.constraint())
}

/// Whether other transactions changed the same rows, so that a retry may succeed.
///
/// PostgreSQL ended the statement in favour of another one, or it checked a constraint on an old version of the row.
/// Constraints called `…_not_negative` guard amounts that each statement has compared itself, in the row that it
/// locked: so a violation means an old version.
fn is_overtaken(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("40P01" | "40001"))
        || violated(error).is_some_and(|constraint| constraint.ends_with("_not_negative"))
}

/// Whether the connection, and others like it, cannot be used any more: the server ended it, or is not the primary.
pub fn ends_connection(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    let state = error.code().unwrap_or_default();
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
        || state == READ_ONLY
        || ["08", "57P"].iter().any(|class| state.starts_with(class))
}

/// What a statement did; `None` if others had locked its rows for too long.
///
/// # Errors
/// All others.
pub fn unless_busy<T>(done: sqlx::Result<T>) -> sqlx::Result<Option<T>> {
    match done {
        Err(error) if sqlstate(&error).as_deref() == Some(LOCKED) => Ok(None),
        done => done.map(Some),
    }
}

/// The SQLSTATE of a lock that was waited for too long.
const LOCKED: &str = "55P03";

/// The SQLSTATE of a write on a standby, or in a read-only transaction.
const READ_ONLY: &str = "25006";

/// Whether the server refused to write, because it is a standby or read-only.
pub fn is_read_only(error: &sqlx::Error) -> bool {
    sqlstate(error).as_deref() == Some(READ_ONLY)
}

/// Whether the server is out of disk, memory, or other resources.
pub fn is_full(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|state| state.starts_with("53"))
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        // The cause is PostgreSQL's message. Its detail and context are left out: they may quote values and the
        // statement.
        let out_of_reach = match &error {
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => true,
            E::Database(_) => sqlstate(&error).is_some_and(|state| is_passing(&state)),
            E::Configuration(_)
            | E::InvalidArgument(_)
            | E::RowNotFound
            | E::TypeNotFound { .. }
            | E::ColumnIndexOutOfBounds { .. }
            | E::ColumnNotFound(_)
            | E::ColumnDecode { .. }
            | E::Encode(_)
            | E::Decode(_)
            | E::AnyDriverError(_)
            | E::Migrate(_)
            | E::InvalidSavePointStatement
            | E::BeginFailed => false,
            // sqlx's enum may grow; an unknown error is not blamed on the network.
            _ => false,
        };
        match error.to_string() {
            cause if is_overtaken(&error) => Self::Overtaken(cause),
            cause if sqlstate(&error).as_deref() == Some(LOCKED) => Self::Unavailable(Unavailable::Locked(cause)),
            cause if out_of_reach => Self::Unavailable(Unavailable::Database(cause)),
            cause => Self::Internal(cause),
        }
    }
}

/// SQLSTATEs of a server that stops, starts, is full, is a standby, accepts no connection, has no such database at the
/// moment, or timed out.
fn is_passing(state: &str) -> bool {
    let class = state.get(..2).unwrap_or_default();
    matches!(class, "08" | "28" | "3D" | "40" | "53" | "57") || matches!(state, READ_ONLY | LOCKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_out_of_reach_is_told_from_a_defect() {
        for state in ["08006", "28P01", "3D000", "40001", "53300", "57P03", "25006", "55P03"] {
            assert!(is_passing(state), "{state}");
        }
        for state in ["", "0", "23505", "42P01", "22P02", "25001", "55000"] {
            assert!(!is_passing(state), "{state}");
        }
    }
}
