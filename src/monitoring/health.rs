//! The readiness check of an instance.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Instance, store};
use crate::db::{self, Db};
use crate::db::{is_full, is_read_only};

/// How long the database may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long a check relies on the last write, so that frequent checks do not write each time.
const WRITE_VALID: Duration = Duration::from_secs(1);

/// When the last successful write began. The mutex lets one check write at a time.
pub type LastWrite = Mutex<Option<Instant>>;

/// Checks that the instance can serve. `db` is a pool for monitoring only: the connections that serve may all be busy.
/// A pool, because a PostgreSQL that accepts no new connections still serves on the old ones.
///
/// # Errors
/// Why it cannot serve: a text for the operator.
pub async fn ready(instance: &Instance, db: &Db) -> Result<(), &'static str> {
    if instance.stopping.load(Ordering::Relaxed) {
        return Err("the service is stopping");
    }
    let checked = timeout(TIMEOUT, check(&instance.last_write, db)).await;
    checked.unwrap_or(Err("the database does not answer within a second"))
}

/// Checks the schema, and writes: reading alone would also succeed on a standby, or with a full disk.
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
    // A failed check returns above and leaves `None`: the next answer may come from another server.
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
