//! The private PostgreSQL: without a database URL, `numberbank` runs a server of its own.
//!
//! Several processes may use one data folder at once. The last one stops the server:
//!
//! - each holds a shared lock on `users.lock` while it uses the server;
//! - each joins (and starts the server if there is none) and leaves under a short exclusive lock on `start.lock`;
//! - if a process that leaves gets `users.lock` exclusively, it was the last, and stops the server.
//!
//! Nobody can join between that check and the stop, because joining needs `start.lock`. The kernel releases the locks
//! of a killed process; the next process takes over the server that it left.

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
use server::{Server, WATCH_EVERY};

/// What the operator may choose.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The data folder. `None` is the user's own data folder, or `/var/lib/numberbank` for root.
    pub data_dir: Option<PathBuf>,
    /// The folder of server programs (`PG_BIN`). `None` searches for one.
    pub bin: Option<PathBuf>,
    /// True except in tests: without it, a power failure loses the data.
    pub fsync: bool,
}

/// A running private PostgreSQL that this process uses.
pub struct Cluster {
    server: Arc<Server>,
    /// Our shared lock on `users.lock`; `None` once released.
    users: Option<File>,
    /// The thread that restarts a dead server. It ends when the sender is dropped.
    watcher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Cluster {
    /// Starts the server, or joins a running one. Creates the data folder if there is none.
    ///
    /// Blocks until the server accepts connections: about a tenth of a second, or a second the first time.
    ///
    /// # Errors
    ///
    /// If the server cannot run. A server that recovers slowly goes on after the error.
    pub fn open(options: &ClusterOptions) -> Result<Cluster, Error> {
        let server = Arc::new(Server::prepare(options)?);
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
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(WATCH_EVERY) {
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

    /// Leaves the server, and stops it if no other process uses it. Close all connections before. Blocks until the
    /// server is gone, 15 s at most. Dropping does the same, and only logs an error.
    ///
    /// # Errors
    ///
    /// If the server did not stop, or the locks could not be taken.
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
            // An explicit unlock: a child that is being forked may hold a copy of the descriptor for a moment.
            let exclusive = users.unlock().map_err(TryLockError::Error).and_then(|()| users.try_lock());
            match exclusive {
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
