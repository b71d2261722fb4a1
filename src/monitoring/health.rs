//! Whether an instance can serve.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Instance, store};
use crate::db::{self, Db};
use crate::db::{is_full, is_read_only};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// For how long a write is believed: whoever asks more often makes no more of them.
const BELIEVED: Duration = Duration::from_secs(1);

/// When the database was last seen to take a write. Also keeps two from writing at once.
pub type LastWrite = Mutex<Option<Instant>>;

/// Whether requests should come here. Asked on none of the connections that serve, for they may all be busy, nor on a
/// new one each time: where PostgreSQL makes no more of them, those that there are go on serving.
///
/// # Errors
/// Why not, in plain words.
pub async fn ready(instance: &Instance, db: &Db) -> Result<(), &'static str> {
    if instance.stopping.load(Ordering::Relaxed) {
        return Err("the service is stopping");
    }
    let looked = timeout(PATIENCE, look(&instance.last_write, db)).await;
    looked.unwrap_or(Err("the database does not answer within a second"))
}

/// Looks at the schema and writes: a standby can be read, and so can a database whose disk is full.
async fn look(last_write: &LastWrite, db: &Db) -> Result<(), &'static str> {
    let is_current = db::is_current_on(db).await;
    let mut last_write = last_write.lock().await;
    let believed = last_write.take().filter(|last| last.elapsed() < BELIEVED);
    let began = Instant::now();
    match is_current {
        Ok(true) if believed.is_some() => {}
        Ok(true) => store::write(db).await.map_err(|error| reason(&error))?,
        Ok(false) => return Err("the database's schema is not up to date"),
        Err(error) => return Err(reason(&error)),
    }
    // Not after a failure: whoever answers next may be another server.
    *last_write = believed.or(Some(began));
    Ok(())
}

fn reason(error: &sqlx::Error) -> &'static str {
    match error {
        error if is_read_only(error) => "the database takes no writes: it is a standby, or was made read-only",
        error if is_full(error) => "the database has no room left on its disk, or is out of other means",
        _ => "the database is out of reach",
    }
}
