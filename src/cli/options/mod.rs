//! Options, from the command line or the environment. A wrong option ends the program with one clear line. Secrets
//! are never printed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

mod enums;
mod front;
mod life;
mod limits;
mod note;
mod operator;
mod replica;
mod serve;
mod settings;
mod staging;

pub use front::{Front, is_loopback};
pub use life::{Grace, Jobs, Quarantine};
pub use limits::LimitOptions;
pub use note::note;
pub use operator::Operator;
pub use replica::Replica;
pub use serve::Serve;
pub use settings::NumberSettings;
pub use staging::WorldOptions;

use crate::config::LogFormat;
use crate::staging::Name;

/// How many rows a list has at most: the first ones.
#[derive(Args, Clone, Copy, Debug)]
pub struct Most {
    /// The largest number of rows: the list ends after them
    #[arg(long = "limit", value_name = "ROWS", value_parser = rows())]
    pub rows: Option<u32>,
}

/// Reads a number of rows: 1 or more.
pub fn rows() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// The options of all commands.
#[derive(Args, Debug)]
pub struct Global {
    /// PostgreSQL to use: postgres://user:password@host:5432/database; if it is not set, a private PostgreSQL is
    /// started
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
    output: Output,

    /// Show all columns, however narrow the terminal is: the same as --output wide
    #[arg(long, global = true)]
    wide: bool,

    /// How logs are written to standard error
    #[arg(long, global = true, env = "NUMBERBANK_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Work on a staging world, by its name, instead of a registry
    #[arg(long, global = true, value_name = "NAME")]
    pub world: Option<Name>,

    #[command(flatten)]
    pub operator: Operator,
}

impl Global {
    /// How answers are written.
    pub fn output(&self) -> Output {
        if self.wide && self.output == Output::Table { Output::Wide } else { self.output }
    }
}

/// How a command writes its answer to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people; on a terminal, as many columns as fit
    #[default]
    Table,
    /// The same with all columns
    Wide,
    /// One JSON document
    Json,
    /// A header and a line for each row; for lists
    Csv,
}

/// A text that must not be printed.
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
