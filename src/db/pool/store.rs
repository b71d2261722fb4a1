//! The statement that tests a connection.

use sqlx::{PgConnection, Result, query_scalar};
use tracing::instrument;

/// Whether the server takes writes. A standby does not, nor does a primary that was made read-only.
#[instrument(name = "db.pool.takes_writes", level = "debug", skip_all)]
pub async fn takes_writes(connection: &mut PgConnection) -> Result<bool> {
    query_scalar!(r#"select not current_setting('transaction_read_only')::boolean as "it!""#)
        .fetch_one(connection)
        .await
}
