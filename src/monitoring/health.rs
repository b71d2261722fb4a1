//! The health check of an instance.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Instance, store};
use crate::db::{self, Db};
use crate::db::{is_full, is_read_only};

/// How long the database may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long the last write counts: frequent checks write no more often.
const WRITE_VALID: Duration = Duration::from_secs(1);

/// When the database last took a write. Its lock lets one check write at a time.
pub type LastWrite = Mutex<Option<Instant>>;

/// Whether the instance can serve. Uses none of the serving connections, which may all be busy, but its own: where
/// PostgreSQL accepts no new connections, those that exist still serve.
///
/// # Errors
/// Why not, as a text for the operator.
pub async fn ready(instance: &Instance, db: &Db) -> Result<(), &'static str> {
    if instance.stopping.load(Ordering::Relaxed) {
        return Err("the service is stopping");
    }
    let checked = timeout(TIMEOUT, check(&instance.last_write, db)).await;
    checked.unwrap_or(Err("the database does not answer within a second"))
}

/// Checks the schema, and writes: a standby can be read, and so can a database whose disk is full.
async fn check(last_write: &LastWrite, db: &Db) -> Result<(), &'static str> {
    let is_current = db::is_current_on(db).await;
    let mut last_write = last_write.lock().await;
    let recent = last_write.take().filter(|last| last.elapsed() < WRITE_VALID);
    let began = Instant::now();
    match is_current {
        Ok(true) if recent.is_some() => {}
        Ok(true) => store::write(db).await.map_err(|error| reason(&error))?,
        Ok(false) => return Err("the database's schema is not up to date"),
        Err(error) => return Err(reason(&error)),
    }
    // Not after a failure: the next answer may come from another server.
    *last_write = recent.or(Some(began));
    Ok(())
}

fn reason(error: &sqlx::Error) -> &'static str {
    match error {
        error if is_read_only(error) => "the database takes no writes: it is a standby, or was made read-only",
        error if is_full(error) => "the database has no room left on its disk, or is out of other means",
        _ => "the database is out of reach",
    }
}
