//! Typed settings, from the command line or the environment. Wrong ones stop the start with one
//! clear line; secrets are never printed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::Duration;

use chrono::TimeDelta;
use clap::{Args, ValueEnum};

use crate::inventory;

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
    /// A header and a line for each row; for 'report' and 'inventory list'
    Csv,
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

    /// How often recycle and bill run by themselves, as in 30m or 1h, or off
    #[arg(long, env = "NUMBERBANK_JOBS", default_value = "1h", value_name = "EVERY")]
    pub jobs: Jobs,

    #[command(flatten)]
    pub quarantine: Quarantine,

    #[command(flatten)]
    pub grace: Grace,
}

/// Whether `serve` runs its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    Off,
    Every(Duration),
}

impl FromStr for Jobs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let refused = "off is expected, or a time of at least a second and less than a year, as in 90s, 30m or 1h";
        let (number, seconds) = [("s", 1), ("m", 60), ("h", 3600)]
            .into_iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
            .ok_or(refused)?;
        let number: u32 = number.parse().map_err(|_| refused)?;
        let every = Duration::from_secs(u64::from(number) * seconds);
        Some(every).filter(|every| (1..31_536_000).contains(&every.as_secs())).map(Self::Every).ok_or(refused)
    }
}

/// How long released numbers are kept from sale.
#[derive(Args, Clone, Copy, Debug)]
pub struct Quarantine {
    /// Days that a released local number is kept from sale
    #[arg(long, env = "NUMBERBANK_QUARANTINE_LOCAL", default_value_t = 45, value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(0..=3650))]
    pub quarantine_local: u16,

    /// Days that a released toll-free number is kept from sale
    #[arg(long, env = "NUMBERBANK_QUARANTINE_TOLLFREE", default_value_t = 45, value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(0..=3650))]
    pub quarantine_tollfree: u16,
}

impl Quarantine {
    pub fn lengths(self) -> inventory::Quarantine {
        inventory::Quarantine {
            local: TimeDelta::days(self.quarantine_local.into()),
            tollfree: TimeDelta::days(self.quarantine_tollfree.into()),
        }
    }
}

/// How long numbers are kept that are not paid.
#[derive(Args, Clone, Copy, Debug)]
pub struct Grace {
    /// Days that a number whose fee was not paid is kept before it is released
    #[arg(long, env = "NUMBERBANK_GRACE", default_value_t = 14, value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(0..=3650))]
    pub grace: u16,
}

impl Grace {
    pub fn length(self) -> TimeDelta {
        TimeDelta::days(self.grace.into())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_every_so_often_or_not_at_all() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h", 3600)] {
            assert_eq!(text.parse(), Ok(Jobs::Every(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!("off".parse(), Ok(Jobs::Off));
        for text in ["", "h", "0s", "60", "-1h", "1d", "1.5h", "99999999h", "OFF"] {
            assert!(text.parse::<Jobs>().is_err(), "{text}");
        }
    }
}
