//! Settings of `serve`.

use std::net::SocketAddr;
use std::thread::available_parallelism;

use clap::Args;

use super::{Front, Grace, Jobs, LimitOptions, Quarantine, Replica};

/// The options of `serve` and `demo`.
#[derive(Args, Debug)]
pub struct Serve {
    /// Address and port to serve on; port 0 picks a free one
    #[arg(long, env = "NUMBERBANK_BIND", default_value = "127.0.0.1:8008", value_name = "ADDRESS:PORT")]
    pub bind: SocketAddr,

    #[command(flatten)]
    pub front: Front,

    /// Threads that serve [default: one for each processor, at most one for each four connections]
    #[arg(long, env = "NUMBERBANK_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// Connections to PostgreSQL, over all threads
    #[arg(long, env = "NUMBERBANK_CONNECTIONS", default_value_t = 16, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,

    /// AuthTokens that argon2 verifies at once, each with 19 MiB of memory [default: half of the processors]
    #[arg(long, env = "NUMBERBANK_VERIFICATIONS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub verifications: Option<u16>,

    /// How often this server runs recycle and bill, as in 30m or 1h, or off
    #[arg(long, env = "NUMBERBANK_JOBS", default_value = "1h", value_name = "EVERY")]
    pub jobs: Jobs,

    #[command(flatten)]
    pub replica: Replica,

    #[command(flatten)]
    pub quarantine: Quarantine,

    #[command(flatten)]
    pub grace: Grace,

    #[command(flatten)]
    pub limits: LimitOptions,
}

impl Serve {
    /// Not more workers than connections of clients or to the database. By default each worker has at least four
    /// connections to the database, so that one account's share, a quarter, leaves some for others.
    pub fn workers(&self) -> usize {
        let connections = usize::try_from(self.connections).unwrap_or(usize::MAX);
        let most = connections.min(usize::try_from(self.limits.max_connections).unwrap_or(usize::MAX));
        let default = || processors().min(connections / 4).max(1);
        self.workers.map_or_else(default, usize::from).min(most)
    }

    /// Half of the processors by default: the other half serves clients whose tokens are cached.
    pub fn verifications(&self) -> usize {
        self.verifications.map_or_else(|| (processors() / 2).max(1), usize::from)
    }
}

fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}
