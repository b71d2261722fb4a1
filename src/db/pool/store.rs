//! The question whether a connection is of use.

use sqlx::{PgConnection, Result, query_scalar};

/// Whether the server takes writes: a standby does not, nor a primary that was made read-only.
pub async fn takes_writes(connection: &mut PgConnection) -> Result<bool> {
    query_scalar!(r#"select not current_setting('transaction_read_only')::boolean as "it!""#)
        .fetch_one(connection)
        .await
}
