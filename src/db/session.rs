//! What statements rely on, said by every connection itself: a role's, a database's and a server's own settings are
//! for others, and differ. It is said after connecting, for poolers refuse most of it in the first message.
//!
//! Not said is `default_transaction_read_only`: who made a database read-only wants it so.

use std::fmt::Write;

use sqlx::{AssertSqlSafe, PgConnection, Row, raw_sql};

use super::MigrateError;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests. PostgreSQL gives up a statement that takes too long, and a wait for rows that others hold, so that one
    /// account's crowd does not keep every connection. It keeps the plan of a statement, for all of them are made
    /// to do with one: to plan them anew each time takes longer than to do them. A statement has one processor at most.
    Serving,
    /// Commands: an import takes as long as it takes, and may wait for its file.
    Command,
    /// What `serve` does by itself.
    Job,
    /// Changes of the schema. Who waits for a table that somebody reads makes all others wait behind: for less time than
    /// a request has.
    Migration,
    /// Holds a lock and does nothing.
    Turn,
}

/// Settings and their values as SQL writes them.
type Settings = &'static [(&'static str, &'static str)];

/// The same for all. Schemas of others are never looked into, and temporary tables last. A client that died is found
/// out within two minutes, or it would hold its locks for hours.
const ALWAYS: Settings = &[
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

/// Limits that came with a version of PostgreSQL; those above do instead.
const SINCE: [(u32, &str, &str); 2] = [(140_000, "idle_session_timeout", "0"), (170_000, "transaction_timeout", "0")];

impl Purpose {
    fn settings(self) -> Settings {
        match self {
            Self::Serving => &[
                ("statement_timeout", "'4s'"),
                ("lock_timeout", "'2s'"),
                ("idle_in_transaction_session_timeout", "'10s'"),
                ("plan_cache_mode", "force_generic_plan"),
                ("max_parallel_workers_per_gather", "0"),
            ],
            Self::Command => &[
                ("statement_timeout", "0"),
                ("lock_timeout", "'1min'"),
                ("idle_in_transaction_session_timeout", "0"),
                ("plan_cache_mode", "auto"),
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
                // Without this, every start tells that refinery's own table exists already.
                ("client_min_messages", "warning"),
            ],
            Self::Turn => &[
                ("statement_timeout", "'10s'"),
                ("lock_timeout", "'10s'"),
                ("idle_in_transaction_session_timeout", "'1h'"),
                ("plan_cache_mode", "auto"),
            ],
        }
    }

    /// All that is said, in one message. `set` looks no function up, which somebody could have put in the way.
    fn statements(self, version: u32) -> String {
        let mut text = String::new();
        let since = SINCE.iter().filter(|(first, ..)| version >= *first).map(|(_, name, value)| (*name, *value));
        for (name, value) in self.settings().iter().chain(ALWAYS).copied().chain(since) {
            let _ = write!(text, "set {name} = {value};");
        }
        text
    }
}

/// How often the settings are tried where a timeout of others ends even that.
const TRIES: usize = 20;

/// Gives a new connection the settings of its purpose.
pub async fn pin(connection: &mut PgConnection, purpose: Purpose) -> sqlx::Result<()> {
    let statements = purpose.statements(connection.server_version_num().unwrap_or_default());
    let mut tries = 1;
    loop {
        match raw_sql(AssertSqlSafe(statements.clone())).execute(&mut *connection).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("57014") && tries < TRIES => {
                tries += 1;
            }
            done => return done.map(drop),
        }
    }
}

/// Makes sure that a second session is really another one, and each stays the same from statement to statement: behind
/// a pooler that lends them by the transaction, settings and prepared statements are anybody's.
pub async fn are_own(first: &mut PgConnection, second: &mut PgConnection) -> Result<(), MigrateError> {
    // Whether a pooler lends the server that came back last or the one that has rested longest: one of these differs.
    for _ in 0..3 {
        let (before, other) = (server(first).await?, server(second).await?);
        let (again, after) = (server(second).await?, server(first).await?);
        if before == other || other != again || before != after {
            return Err(MigrateError::Shared);
        }
    }
    Ok(())
}

/// The process of the server that answers a statement.
async fn server(connection: &mut PgConnection) -> Result<i32, MigrateError> {
    const STATEMENT: &str = "select pg_catalog.pg_backend_pid(), count(*) from pg_catalog.pg_prepared_statements";
    let row = super::in_time(raw_sql(STATEMENT).fetch_one(&mut *connection)).await?;
    // We have prepared none yet: these are of somebody who had the session before.
    match row.try_get(1).map_err(MigrateError::Connect)? {
        0_i64 => row.try_get(0).map_err(MigrateError::Connect),
        _ => Err(MigrateError::Shared),
    }
}
