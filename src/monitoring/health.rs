//! Whether an instance can serve.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Instance;
use crate::kernel::db::{self, Db};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether requests should come here. Asked on none of the connections that serve, for they may all be busy, nor on a
/// new one each time: where PostgreSQL makes no more of them, those that there are go on serving.
///
/// # Errors
/// Why not, in plain words.
pub async fn ready(instance: &Instance, db: &Db) -> Result<(), &'static str> {
    if instance.stopping.load(Ordering::Relaxed) {
        return Err("the service is stopping");
    }
    match tokio::time::timeout(PATIENCE, db::is_current_on(db)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("the database's schema is not up to date"),
        Ok(Err(_)) => Err("the database is out of reach"),
        Err(_) => Err("the database does not answer within a second"),
    }
}
