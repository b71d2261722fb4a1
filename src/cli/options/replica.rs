//! The replica.

use clap::Args;
use sqlx::postgres::PgConnectOptions;

use super::Secret;
use crate::db;

/// The replica to read from.
#[derive(Args, Debug)]
pub struct Replica {
    /// Streaming replica to read lists and single numbers from, the same for all instances; it gets as many
    /// connections as the primary
    #[arg(long, env = "NUMBERBANK_READ_URL", hide_env_values = true, value_name = "URL")]
    pub read_url: Option<Secret>,
}

impl Replica {
    /// # Errors
    /// If it is not a database URL. The message does not repeat it.
    pub fn options(&self) -> Result<Option<PgConnectOptions>, String> {
        self.read_url
            .as_ref()
            .map(|url| db::options(&url.0))
            .transpose()
            .map_err(|error| format!("--read-url: {error}"))
    }
}
