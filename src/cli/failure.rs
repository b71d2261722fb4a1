//! How a command ends.

use std::io;

use crate::db::MigrateError;
use crate::error::Error;
use crate::platform::embedded_pg;

pub type Done = Result<(), Failure>;

/// How a command ended that did not do what was asked, or could not say that it did: one clear line. Each variant
/// says what was changed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command or its input is wrong: nothing was changed.
    #[error("{0}")]
    Bad(String),
    /// An argument cannot be read, or does not fit the others: nothing was changed.
    #[error("{0}")]
    Usage(String),
    /// A use case refused: nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// It failed. Only what was committed before is changed.
    #[error("{0}")]
    Failed(Error),
    /// It is done, but it found something that must not be.
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
    /// It is done, except what was rejected.
    #[error("{0}")]
    Partly(String),
    /// The database's answer was lost: nobody knows whether it is done.
    #[error("{0}")]
    Lost(String),
    #[error("interrupted")]
    Interrupted,
    /// A command that does all or nothing was interrupted: nothing was changed.
    #[error("interrupted: {0}")]
    Undone(&'static str),
    /// The same, of a command that does its work in parts: which parts stand.
    #[error("interrupted: {0}")]
    HalfDone(String),
    /// The reader of the answer has closed the pipe, as `| head` does.
    #[error("nobody reads the answer")]
    NoReader,
}

impl Failure {
    /// The exit code of the process.
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Interrupted | Self::Undone(_) | Self::HalfDone(_) => 130,
            Self::Usage(_) => 2,
            _ => 1,
        }
    }
}
