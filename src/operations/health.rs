//! Whether an instance can serve.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::Instance;
use crate::kernel::db;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether requests should come here. Asked on a connection of its own, for those that serve may all be busy.
///
/// # Errors
/// Why not, in plain words.
pub async fn ready(instance: &Instance, database: &PgConnectOptions) -> Result<(), &'static str> {
    if instance.stopping.load(Ordering::Relaxed) {
        return Err("the service is stopping");
    }
    match tokio::time::timeout(PATIENCE, db::is_current(database)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("the database's schema is not up to date"),
        Ok(Err(_)) => Err("the database is out of reach"),
        Err(_) => Err("the database does not answer within a second"),
    }
}
