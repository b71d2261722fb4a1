//! The settings of a connection. Each connection sets all that our statements rely on, because a role, a database or a
//! server may have other defaults. They are set after connecting, for poolers refuse most of them in the first message.
//!
//! `default_transaction_read_only` is not set: if an operator made a database read-only, it stays so.

use std::fmt::Write;

use sqlx::{AssertSqlSafe, PgConnection, Row, raw_sql};

use super::MigrateError;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests. Timeouts for statements and for row locks keep one account from blocking every connection. Plans are
    /// generic and kept: to plan each time takes longer than to run. A table that was small when a plan was made may be
    /// large by now, so no plan reads a whole table where an index serves. No compiling, no parallel workers.
    Serving,
    /// Commands: no statement timeout, as an import takes as long as its file. Reports are not compiled, which takes
    /// longer than to run them. They may sort and join in memory what a million numbers need.
    Command,
    /// Jobs of `serve`.
    Job,
    /// Migrations. While one waits for a table lock, all later statements on that table wait behind it. So it gives up
    /// before a request does.
    Migration,
    /// Holds a process lock, and does nothing else.
    Lock,
}

/// Names and values, as SQL writes them.
type Parameters = &'static [(&'static str, &'static str)];

/// For every purpose. Other schemas are never searched, and temporary tables last. A dead client is noticed within two
/// minutes; else it would hold its locks for hours.
const COMMON: Parameters = &[
    ("search_path", "public, pg_temp"),
    ("default_transaction_isolation", "'read committed'"),
    ("client_encoding", "'UTF8'"),
    ("standard_conforming_strings", "on"),
    ("DateStyle", "'ISO, MDY'"),
    ("IntervalStyle", "'postgres'"),
    ("TimeZone", "'UTC'"),
    ("row_security", "on"),
    ("tcp_keepalives_idle", "60"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "6"),
];

/// Limits that newer versions of PostgreSQL brought, with that version. They are switched off, because the limits
/// above are enough.
const SINCE: [(u32, &str, &str); 2] = [(140_000, "idle_session_timeout", "0"), (170_000, "transaction_timeout", "0")];

impl Purpose {
    fn parameters(self) -> Parameters {
        match self {
            Self::Serving => &[
                ("statement_timeout", "'4s'"),
                ("lock_timeout", "'2s'"),
                ("idle_in_transaction_session_timeout", "'10s'"),
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_seqscan", "off"),
                ("jit", "off"),
                ("max_parallel_workers_per_gather", "0"),
            ],
            Self::Command => &[
                ("statement_timeout", "0"),
                ("lock_timeout", "'1min'"),
                ("idle_in_transaction_session_timeout", "0"),
                ("plan_cache_mode", "auto"),
                ("jit", "off"),
                ("work_mem", "'64MB'"),
            ],
            Self::Job => &[
                ("statement_timeout", "'10min'"),
                ("lock_timeout", "'1min'"),
                ("idle_in_transaction_session_timeout", "'10min'"),
                ("plan_cache_mode", "auto"),
            ],
            Self::Migration => &[
                ("statement_timeout", "0"),
                ("lock_timeout", "'1s'"),
                ("idle_in_transaction_session_timeout", "0"),
                ("plan_cache_mode", "auto"),
                // Otherwise every start would log that refinery's table exists already.
                ("client_min_messages", "warning"),
            ],
            Self::Lock => &[
                ("statement_timeout", "'10s'"),
                ("lock_timeout", "'10s'"),
                ("idle_in_transaction_session_timeout", "'1h'"),
                ("plan_cache_mode", "auto"),
            ],
        }
    }

    /// All settings in one message. `set` calls no function, which another role could have replaced.
    fn statements(self, version: u32) -> String {
        let mut text = String::new();
        let since = SINCE.iter().filter(|(first, ..)| version >= *first).map(|(_, name, value)| (*name, *value));
        for (name, value) in self.parameters().iter().chain(COMMON).copied().chain(since) {
            let _ = write!(text, "set {name} = {value};");
        }
        text
    }
}

/// How often to try, because a timeout of the role or database may end even this statement.
const MAX_TRIES: usize = 20;

/// Applies the settings of its purpose to a new connection.
pub async fn configure(connection: &mut PgConnection, purpose: Purpose) -> sqlx::Result<()> {
    let statements = purpose.statements(connection.server_version_num().unwrap_or_default());
    let mut tries = 1;
    loop {
        match raw_sql(AssertSqlSafe(statements.clone())).execute(&mut *connection).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("57014") && tries < MAX_TRIES => {
                tries += 1;
            }
            done => return done.map(drop),
        }
    }
}

/// Refuses a pooler in transaction mode, where settings and prepared statements get mixed up: two connections must be
/// two sessions, and each must stay the same from statement to statement.
pub async fn ensure_dedicated(first: &mut PgConnection, second: &mut PgConnection) -> Result<(), MigrateError> {
    // A pooler lends the server process that was used last, or the one that was idle longest. In both cases one of
    // these pairs differs.
    for _ in 0..3 {
        let (before, other) = (server(first).await?, server(second).await?);
        let (again, after) = (server(second).await?, server(first).await?);
        if before == other || other != again || before != after {
            return Err(MigrateError::Shared);
        }
    }
    Ok(())
}

/// The server process that answers.
async fn server(connection: &mut PgConnection) -> Result<i32, MigrateError> {
    const STATEMENT: &str = "select pg_catalog.pg_backend_pid(), count(*) from pg_catalog.pg_prepared_statements";
    let row = super::in_time(raw_sql(STATEMENT).fetch_one(&mut *connection)).await?;
    // We have prepared no statement yet, so these come from another client of this session.
    match row.try_get(1).map_err(MigrateError::Connect)? {
        0_i64 => row.try_get(0).map_err(MigrateError::Connect),
        _ => Err(MigrateError::Shared),
    }
}
