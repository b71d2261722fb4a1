//! Typed settings, from the command line or the environment. Wrong ones stop the start with one
//! clear line; secrets are never printed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::available_parallelism;

use clap::{Args, ValueEnum};

/// What every command takes.
#[derive(Args, Debug)]
pub struct Global {
    /// PostgreSQL to use: postgres://user:password@host:5432/database; without one, a private PostgreSQL is started
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<Secret>,

    /// Folder of the private PostgreSQL [default: /var/lib/numberbank for root, else the per-user data folder]
    #[arg(long, global = true, env = "NUMBERBANK_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,

    /// Folder with PostgreSQL's server programs [default: the newest found]
    #[arg(long, global = true, env = "PG_BIN", value_name = "FOLDER")]
    pub pg_bin: Option<PathBuf>,

    /// How answers are written
    #[arg(long, global = true, env = "NUMBERBANK_OUTPUT", value_enum, default_value_t)]
    pub output: Output,
}

/// How a command writes its answer to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
}

/// What `serve` and `demo` take.
#[derive(Args, Debug)]
pub struct Serve {
    /// Address and port to serve on; port 0 picks a free one
    #[arg(long, env = "NUMBERBANK_BIND", default_value = "127.0.0.1:8008", value_name = "ADDRESS:PORT")]
    pub bind: SocketAddr,

    /// Threads that serve [default: one for each processor]
    #[arg(long, env = "NUMBERBANK_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// Connections to PostgreSQL, over all threads
    #[arg(long, env = "NUMBERBANK_CONNECTIONS", default_value_t = 16, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,

    /// AuthTokens verified at once, each with 19 MiB of memory [default: half of the processors]
    #[arg(long, env = "NUMBERBANK_VERIFICATIONS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub verifications: Option<u16>,
}

impl Serve {
    /// As many as there are connections for, at the most.
    pub fn workers(&self) -> usize {
        let connections = usize::try_from(self.connections).unwrap_or(usize::MAX);
        self.workers.map_or_else(processors, usize::from).min(connections)
    }

    /// Half of the processors: the other half goes on serving clients that are known.
    pub fn verifications(&self) -> usize {
        self.verifications.map_or_else(|| (processors() / 2).max(1), usize::from)
    }
}

fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// A text that must not be seen.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}
