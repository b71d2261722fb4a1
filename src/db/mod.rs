//! The way to PostgreSQL: connections at hand for each thread that serves, the settings that every connection
//! has, what one process at a time does, and the migrations.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection};

pub mod batch;
pub mod clock;
mod error;
mod migrations;
pub mod per_account;
mod pool;
pub mod replica;
mod session;
mod states;
mod store;
pub mod transact;
mod turn;
mod url;

pub use error::MigrateError;
pub use migrations::{apply, is_current, is_current_on, migrate, refuse_shared};
use session::Purpose;
pub use states::{ends_connection, is_full, is_read_only, violated};
pub use turn::{Alone, LONGEST_WAIT, Turn, alone, begin_alone};
pub use url::options;

pub use pool::{Db, Terms, Transaction, Usage};

/// How long the work on a request may take. No batch and no queue that it waits in may take longer.
pub const LONGEST_REQUEST: Duration = Duration::from_millis(4500);

/// How long a request may wait for a connection. The wire promises a 503 within five seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long anybody else may.
const LONG_PATIENCE: Duration = Duration::from_secs(10);

/// For how long a connection is used: a few minutes after a failover that no error tells of, none leads to the
/// old server any more.
const LIFETIME: Duration = Duration::from_mins(5);

/// Connections to a primary for the thread that calls this, and how many may wait for one; they are made when
/// they are first used.
pub fn serving(options: &PgConnectOptions, connections: u32, waiting: u32) -> Db {
    let terms = Terms { connections, waiting, must_write: true, lifetime: LIFETIME };
    Db::new(pool(Purpose::Serving, PATIENCE), options.clone(), terms)
}

/// The same to a server that may be a standby.
pub fn reading(options: &PgConnectOptions, connections: u32, waiting: u32) -> Db {
    let terms = Terms { connections, waiting, must_write: false, lifetime: LIFETIME };
    Db::new(pool(Purpose::Serving, PATIENCE), options.clone(), terms)
}

/// For those whom nobody waits for: few connections, and as many as like may wait for one.
const AT_LEISURE: Terms = Terms { connections: 4, waiting: u32::MAX, must_write: false, lifetime: LIFETIME };

/// Connections for a command: few, with no limit on how long a statement takes.
pub fn for_command(options: &PgConnectOptions) -> Db {
    // Also of a standby, which has the same reports.
    Db::new(pool(Purpose::Command, LONG_PATIENCE), options.clone(), AT_LEISURE)
}

/// Connections for what `serve` does by itself: fees may take longer than a request, and keep nobody waiting.
pub fn for_jobs(options: &PgConnectOptions) -> Db {
    Db::new(pool(Purpose::Job, LONG_PATIENCE), options.clone(), AT_LEISURE)
}

/// A pool that gives its connections the settings of their purpose.
fn pool(purpose: Purpose, patience: Duration) -> PgPoolOptions {
    let pool = PgPoolOptions::new().acquire_timeout(patience);
    pool.after_connect(move |connection, _| Box::pin(session::pin(connection, purpose)))
}

/// One connection, with the settings of its purpose.
async fn connect(options: &PgConnectOptions, purpose: Purpose) -> Result<PgConnection, MigrateError> {
    let connecting = async {
        let mut connection = options.connect().await?;
        session::pin(&mut connection, purpose).await?;
        Ok(connection)
    };
    in_time(connecting).await
}

/// The outcome of a short exchange, if it comes in time.
async fn in_time<T>(exchange: impl Future<Output = sqlx::Result<T>>) -> Result<T, MigrateError> {
    let outcome = tokio::time::timeout(LONG_PATIENCE, exchange).await;
    outcome.map_err(|_| MigrateError::Silent)?.map_err(MigrateError::Connect)
}
