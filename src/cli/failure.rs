//! How a command ends.

use std::io;

use crate::db::MigrateError;
use crate::error::Error;
use crate::platform::embedded_pg;

pub type Done = Result<(), Failure>;

/// How a command ended that did not do what was asked, or could not say so: one clear line. They are told apart by what
/// has become of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for cannot be: nothing was changed.
    #[error("{0}")]
    Bad(String),
    /// A use case refused: nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Nothing was changed, or no more than what was committed before.
    #[error("{0}")]
    Failed(Error),
    /// It is done and stands, but found what must not be.
    #[error("{0}")]
    Found(String),
    #[error("{0}")]
    Migrate(#[from] MigrateError),
    #[error("{0}")]
    Embedded(#[from] embedded_pg::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is done, but its answer could not be shown.
    #[error("{0}")]
    Untold(String),
    /// It is done, but for what was rejected.
    #[error("{0}")]
    Partly(String),
    /// The database's answer was lost: nobody knows whether it is done.
    #[error("{0}")]
    Lost(String),
    #[error("interrupted")]
    Interrupted,
    /// The same, of a command that does all or nothing.
    #[error("interrupted: {0}")]
    Undone(&'static str),
    /// The reader of the answer has seen enough, as `| head` does.
    #[error("nobody reads the answer")]
    NoReader,
}

impl Failure {
    /// What the process ends with.
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Interrupted | Self::Undone(_) => 130,
            _ => 1,
        }
    }
}
