//! Access to PostgreSQL: a pool for each thread, the settings of every connection, locks between processes, migrations.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection};

pub mod batch;
pub mod clock;
mod error;
mod migrations;
pub mod per_account;
mod pool;
mod process_lock;
pub mod replica;
mod session;
mod states;
mod store;
pub mod transact;
mod url;
pub mod walk;

pub use error::MigrateError;
pub use migrations::{Meant, apply, is_current, is_current_on, is_marked, migrate, refuse_shared, schema_name};
pub use process_lock::{LockGuard, MAX_WAIT, ProcessLock, begin_locked, lock};
use session::Purpose;
pub use states::{ends_connection, is_full, is_read_only, violated};
pub use url::options;

pub use pool::{Db, Terms, Transaction, Usage};

/// The deadline of a request. No batch and no wait may take longer.
pub const LONGEST_REQUEST: Duration = Duration::from_millis(4500);

/// How long a request may wait for a connection. The API promises a 503 within five seconds.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long commands and jobs may wait for one.
const LONG_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest use of a connection. After a failover that no error reports, none leads to the old server for longer.
const LIFETIME: Duration = Duration::from_mins(5);

/// A pool for the thread that calls this, of connections to a primary. `waiting` statements may wait for one. Connects
/// on first use.
pub fn serving(options: &PgConnectOptions, connections: u32, waiting: u32) -> Db {
    let terms = Terms { connections, waiting, must_write: true, lifetime: LIFETIME };
    Db::new(pool(Purpose::Serving, ACQUIRE_TIMEOUT), options.clone(), terms)
}

/// As [`serving`], to a server that may be a standby.
pub fn reading(options: &PgConnectOptions, connections: u32, waiting: u32) -> Db {
    let terms = Terms { connections, waiting, must_write: false, lifetime: LIFETIME };
    Db::new(pool(Purpose::Serving, ACQUIRE_TIMEOUT), options.clone(), terms)
}

/// For commands and jobs: few connections, and no limit on how many wait.
const IN_BACKGROUND: Terms = Terms { connections: 4, waiting: u32::MAX, must_write: false, lifetime: LIFETIME };

/// A pool for a command: few connections, no statement timeout.
pub fn for_command(options: &PgConnectOptions) -> Db {
    // Connects to a standby too: it has the same reports.
    Db::new(pool(Purpose::Command, LONG_ACQUIRE_TIMEOUT), options.clone(), IN_BACKGROUND)
}

/// A pool for jobs: fees may take longer than a request.
pub fn for_jobs(options: &PgConnectOptions) -> Db {
    Db::new(pool(Purpose::Job, LONG_ACQUIRE_TIMEOUT), options.clone(), IN_BACKGROUND)
}

/// sqlx's pool, whose new connections get the settings of this purpose.
fn pool(purpose: Purpose, timeout: Duration) -> PgPoolOptions {
    let pool = PgPoolOptions::new().acquire_timeout(timeout);
    pool.after_connect(move |connection, _| Box::pin(session::configure(connection, purpose)))
}

/// One connection, with the settings of this purpose.
async fn connect(options: &PgConnectOptions, purpose: Purpose) -> Result<PgConnection, MigrateError> {
    let connecting = async {
        let mut connection = options.connect().await?;
        session::configure(&mut connection, purpose).await?;
        Ok(connection)
    };
    in_time(connecting).await
}

/// Limits a short exchange to [`LONG_ACQUIRE_TIMEOUT`].
async fn in_time<T>(exchange: impl Future<Output = sqlx::Result<T>>) -> Result<T, MigrateError> {
    let outcome = tokio::time::timeout(LONG_ACQUIRE_TIMEOUT, exchange).await;
    outcome.map_err(|_| MigrateError::Silent)?.map_err(MigrateError::Connect)
}
