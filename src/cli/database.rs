//! Which database a command works with.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::{env, io, process};

use sqlx::postgres::PgConnectOptions;

use super::options::Global;
use super::{Done, Failure};
use crate::db;
use crate::platform::embedded_pg::{self, Cluster};

/// The database of a command: the one that DATABASE_URL names, or the private one.
pub struct Database {
    pub options: PgConnectOptions,
    pub private: Option<Cluster>,
}

impl Database {
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        // An empty URL is refused: if a secret was forgotten, the command must not open an empty private registry.
        if let Some(url) = &global.database_url {
            return Ok(Self { options: db::options(&url.0).map_err(Failure::Bad)?, private: None });
        }
        begin_again_without_libpqs_variables()?;
        let settings =
            embedded_pg::ClusterOptions { data_dir: global.data_dir.clone(), bin: global.pg_bin.clone(), fsync: true };
        let cluster = blocking(move || Cluster::open(&settings)).await??;
        Ok(Self { options: db::options(&cluster.url()).map_err(Failure::Bad)?, private: Some(cluster) })
    }

    /// Migrates the private database. For another database it fails unless `numberbank migrate` was run.
    pub async fn ready(&self) -> Done {
        if self.private.is_some() {
            db::migrate(&self.options).await?;
        } else if !db::is_current(&self.options).await? {
            return Err(Failure::Bad("the database's schema is not up to date: run 'numberbank migrate' first".into()));
        }
        Ok(())
    }

    pub async fn close(self) -> Done {
        match self.private {
            Some(cluster) => Ok(blocking(move || cluster.close()).await??),
            None => Ok(()),
        }
    }
}

/// sqlx reads libpq's variables for every connection, even to the private PostgreSQL. A process cannot safely change
/// its own environment, so it replaces itself by a new one (`exec`) with the same arguments and without these
/// variables.
fn begin_again_without_libpqs_variables() -> io::Result<()> {
    let is_libpqs = |name: &OsString| name.as_bytes().strip_prefix(b"PG").is_some_and(|rest| !rest.starts_with(b"_"));
    let theirs: Vec<_> = env::vars_os().map(|(name, _)| name).filter(is_libpqs).collect();
    if theirs.is_empty() {
        return Ok(());
    }
    let mut words = env::args_os();
    let mut again = process::Command::new(env::current_exe()?);
    again.arg0(words.next().unwrap_or_default()).args(words);
    for name in theirs {
        again.env_remove(name);
    }
    Err(again.exec())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::Bad(error.to_string()))
}
