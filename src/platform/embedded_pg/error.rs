//! Errors of the private PostgreSQL.

use std::io;
use std::path::PathBuf;

use super::folder::SOCKET_PATH_LIMIT;
use super::programs::OLDEST;
use super::server::RECOVERY;

/// Why the server could not be started or stopped: one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no PostgreSQL server programs (initdb and postgres, version {OLDEST} or newer) found: install them \
         (apt-get install postgresql, dnf install postgresql-server, apk add postgresql, brew install postgresql), \
         name their folder in PG_BIN, or pass --database-url"
    )]
    NoPrograms,
    #[error(
        "PG_BIN is {}, which does not hold the programs initdb and postgres of version {OLDEST} or newer: name the \
         folder that does, or unset it", .0.display()
    )]
    NotPrograms(PathBuf),
    #[error(
        "the data folder {} is of PostgreSQL {wanted}, but only version {found} is installed: install the server \
         programs of PostgreSQL {wanted}, name their folder in PG_BIN, or name another data folder with --data-dir",
        data_dir.display()
    )]
    OtherVersion { data_dir: PathBuf, wanted: u32, found: String },
    #[error(
        "the data folder's path is too long for a Unix socket: {} has {} bytes and must have less than \
         {SOCKET_PATH_LIMIT}; name a shorter one with --data-dir", .0.display(), .0.as_os_str().len()
    )]
    LongPath(PathBuf),
    #[error(
        "the user {user}, as whom PostgreSQL runs when numberbank runs as root, cannot enter the folder {}: name a \
         data folder elsewhere with --data-dir, or let others enter it (chmod o+x)", folder.display()
    )]
    Unreachable { folder: PathBuf, user: String },
    #[error(
        "{} is a symbolic link, which root does not follow: put the folder itself there, or name the one that it leads \
         to with --data-dir", .0.display()
    )]
    Link(PathBuf),
    #[error("neither the user postgres nor the user nobody exists, and PostgreSQL does not run as root: create one")]
    NoUser,
    #[error("there is no home folder to keep the data in: name a data folder with --data-dir")]
    NoHome,
    #[error("cannot use {}: {source}; check who owns it, or name another data folder with --data-dir", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot run {}: {source}; name another folder of server programs in PG_BIN", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("{} failed: {output}", program.display())]
    Program { program: PathBuf, output: String },
    #[error("PostgreSQL would not start: {lines} (the whole log is {})", log.display())]
    Start { lines: String, log: PathBuf },
    #[error(
        "PostgreSQL is not ready after {} s: it may still be recovering, or be in use from another container; its log \
         is {}", RECOVERY.as_secs(), .0.display()
    )]
    NotReady(PathBuf),
    #[error("PostgreSQL did not stop; its log is {}", .0.display())]
    Stop(PathBuf),
}
