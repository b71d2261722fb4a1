//! The private PostgreSQL of the default: with no database URL, `numberbank` runs a server of its own.
//!
//! Several processes may use one data folder at once, so the last one out turns off the lights:
//!
//! - each holds a shared lock on `users.lock` for as long as it uses the server;
//! - each joins (starting the server where there is none) and leaves under a short exclusive lock on `start.lock`;
//! - one that leaves and then gets `users.lock` for itself was the last, and stops the server.
//!
//! Nobody can join between that last look and the stop, because joining needs `start.lock`. The kernel drops the locks
//! of a killed process; the server it leaves running is adopted by whoever comes next.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};

mod error;
mod folder;
mod programs;
mod server;

pub use error::Error;
use folder::{folder_error, open_file, url};
use server::{Server, WATCH};

/// What the operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder; `None` is the platform's per-user data folder, `/var/lib/numberbank` for root.
    pub data_dir: Option<PathBuf>,
    /// The folder of server programs (`PG_BIN`); `None` looks for one.
    pub bin: Option<PathBuf>,
    /// True except in tests: without it a power failure loses the data.
    pub fsync: bool,
}

/// A running private PostgreSQL that this process uses.
pub struct Cluster {
    server: Arc<Server>,
    /// Our share of `users.lock`; `None` once given up.
    users: Option<File>,
    /// The thread that brings a dead server back; it ends when the sender is dropped.
    watcher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Cluster {
    /// Starts the server, or joins the one that runs; creates the data folder at the first time.
    ///
    /// Blocks until the server accepts connections: about a tenth of a second, or a second at the first time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the server from running. A server that is merely slow to recover is left to it.
    pub fn open(settings: &Settings) -> Result<Cluster, Error> {
        let server = Arc::new(Server::prepare(settings)?);
        let users = server.under_start_lock(|| {
            let users = open_file(&server.data_dir.join("users.lock"), server.owner.as_ref())?;
            users.lock_shared().map_err(|e| folder_error(&server.data_dir, e))?;
            server.remove_leftovers();
            if !server.cluster.exists() {
                server.create()?;
            }
            server.start()?;
            Ok(users)
        })?;
        let (end, ended) = mpsc::channel::<()>();
        let watched = Arc::clone(&server);
        let watcher = thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(WATCH) {
                watched.revive();
            }
        });
        Ok(Cluster { server, users: Some(users), watcher: Some((end, watcher)) })
    }

    /// The database's URL, over the private Unix socket.
    pub fn url(&self) -> String {
        url(&self.server.pg_dir)
    }

    /// The data folder, as an absolute path without symbolic links.
    pub fn data_dir(&self) -> &Path {
        &self.server.data_dir
    }

    /// The server's process id; `None` while it is down.
    pub fn pid(&self) -> Option<i32> {
        self.server.pid()
    }

    /// Lets go of the server; stops it if nobody else uses it. Connections should be closed before. Blocks until it is
    /// gone (15 s at most). Dropping does the same, quietly.
    ///
    /// # Errors
    ///
    /// The server did not stop, or the locks could not be taken.
    pub fn close(mut self) -> Result<(), Error> {
        self.leave()
    }

    fn leave(&mut self) -> Result<(), Error> {
        let Some(users) = self.users.take() else { return Ok(()) };
        if let Some((end, watcher)) = self.watcher.take() {
            drop(end);
            let _ = watcher.join();
        }
        self.server.under_start_lock(|| {
            // Unlocked by name: a child just being forked may hold a copy of the descriptor for a moment.
            let alone = users.unlock().map_err(TryLockError::Error).and_then(|()| users.try_lock());
            match alone {
                Ok(()) => self.server.stop(),
                Err(TryLockError::WouldBlock) => Ok(()),
                Err(TryLockError::Error(e)) => Err(folder_error(&self.server.data_dir, e)),
            }
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!("{error}");
        }
    }
}
