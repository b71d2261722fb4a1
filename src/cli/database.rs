//! Which database a command works with.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::{env, io, process};

use sqlx::postgres::PgConnectOptions;

use super::options::Global;
use super::{Done, Failure};
use crate::db::{self, Meant};
use crate::platform::embedded_pg::{self, CONNECTIONS, ClusterOptions};
use crate::staging::{self, Life, Name, Unopened};
use crate::values::clock::Clock;

/// The database of a command: the one that DATABASE_URL names, or the private one; or that of a world.
pub struct Database {
    server: Cluster,
    pub options: PgConnectOptions,
    /// What time it is there.
    pub clock: Clock,
    /// How long numbers are kept there, if it is that of a world.
    pub world: Option<Life>,
    meant: Meant,
}

/// The server of a command's database.
pub struct Cluster {
    /// A database of it that is always there.
    pub options: PgConnectOptions,
    pub private: Option<embedded_pg::Cluster>,
}

/// The most connections to the private PostgreSQL of worlds, of which many run at once.
const CONNECTIONS_OF_WORLDS: u32 = 500;

impl Cluster {
    async fn open(global: &Global, private: impl FnOnce() -> Result<ClusterOptions, Failure>) -> Result<Self, Failure> {
        // An empty URL is refused: if a secret was forgotten, the command must not open an empty private registry.
        if let Some(url) = &global.database_url {
            return Ok(Self { options: db::options(&url.0).map_err(Failure::Bad)?, private: None });
        }
        begin_again_without_libpqs_variables()?;
        let settings = private()?;
        let cluster = blocking(move || embedded_pg::Cluster::open(&settings)).await??;
        Ok(Self { options: db::options(&cluster.url()).map_err(Failure::Bad)?, private: Some(cluster) })
    }

    async fn of_registry(global: &Global) -> Result<Self, Failure> {
        let (data_dir, bin) = (global.data_dir.clone(), global.pg_bin.clone());
        Self::open(global, || Ok(ClusterOptions { data_dir, bin, fsync: true, connections: CONNECTIONS })).await
    }

    /// Where worlds are: never the private PostgreSQL of a registry.
    pub async fn of_worlds(global: &Global, durable: bool) -> Result<Self, Failure> {
        if durable && global.database_url.is_some() {
            let only = "--durable is for the private PostgreSQL: another one keeps what it is set up to keep";
            return Err(Failure::Usage(only.to_owned()));
        }
        let server = Self::open(global, || {
            let (data_dir, bin) = (Some(folder_of_worlds(global, durable)?), global.pg_bin.clone());
            Ok(ClusterOptions { data_dir, bin, fsync: durable, connections: CONNECTIONS_OF_WORLDS })
        });
        let Self { options, private } = server.await?;
        Ok(Self { options: options.database(staging::MEETING), private })
    }

    pub async fn close(self) -> Done {
        match self.private {
            Some(cluster) => Ok(blocking(move || cluster.close()).await??),
            None => Ok(()),
        }
    }
}

impl Database {
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        if let Some(name) = &global.world {
            return Self::of_world(global, name).await;
        }
        let server = Cluster::of_registry(global).await?;
        let options = server.options.clone();
        Ok(Self { server, options, clock: Clock::watched(), world: None, meant: Meant::Registry })
    }

    /// The database of a named world, which may run or not.
    async fn of_world(global: &Global, name: &Name) -> Result<Self, Failure> {
        for durable in [false, true] {
            let is_private = global.database_url.is_none();
            if is_private && !folder_of_worlds(global, durable)?.exists() || durable && !is_private {
                continue;
            }
            let server = Cluster::of_worlds(global, durable).await?;
            if staging::is_there(name, &server.options).await? {
                let options = server.options.clone().database(&name.database());
                let (clock, life) = staging::clock_of(name, &options).await?;
                return Ok(Self { server, options, clock, world: Some(life), meant: Meant::World });
            }
            server.close().await?;
        }
        Err(Unopened::Unknown(name.clone()).into())
    }

    /// The private PostgreSQL, if it is on that.
    pub fn private(&self) -> Option<&embedded_pg::Cluster> {
        self.server.private.as_ref()
    }

    /// Migrates the private database. For another database it fails unless `numberbank migrate` was run.
    pub async fn ready(&self) -> Done {
        if self.server.private.is_some() {
            db::migrate(&self.options, self.meant).await?;
        } else if !db::is_current(&self.options, self.meant).await? {
            return Err(Failure::Bad("the database's schema is not up to date: run 'numberbank migrate' first".into()));
        }
        Ok(())
    }

    pub async fn close(self) -> Done {
        self.server.close().await
    }
}

fn folder_of_worlds(global: &Global, durable: bool) -> Result<PathBuf, Failure> {
    let folder = embedded_pg::data_dir(global.data_dir.clone())?;
    Ok(folder.join(if durable { "staging-durable" } else { "staging" }))
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
