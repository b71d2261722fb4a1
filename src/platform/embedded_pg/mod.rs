//! The private PostgreSQL: without a database URL, `numberbank` runs its own server.
//!
//! Several processes may use one data folder at once. The last one stops the server:
//!
//! - Each process holds a shared lock on `users.lock` while it uses the server.
//! - To join or leave, a process holds an exclusive lock on `start.lock`. If it joins and no server runs, it starts
//!   one.
//! - A process that leaves and gets an exclusive lock on `users.lock` is the last one. It stops the server.
//!
//! No process can join between that check and the stop, because joining needs `start.lock`. The kernel releases the
//! locks of a killed process; the next process takes over the server that it left.

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

/// The most connections to the private PostgreSQL of a registry.
pub const CONNECTIONS: u32 = 100;

/// Options of the private PostgreSQL.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The data folder. `None` means the user's data folder, or `/var/lib/numberbank` for root.
    pub data_dir: Option<PathBuf>,
    /// The folder of server programs (`PG_BIN`). `None` means to search for one.
    pub bin: Option<PathBuf>,
    /// True except where the data are for tests: without it, a power failure can lose them.
    pub fsync: bool,
    /// The most connections, of all processes together.
    pub connections: u32,
}

/// The data folder that is meant.
///
/// # Errors
/// If none is named, and there is no home folder.
pub fn data_dir(named: Option<PathBuf>) -> Result<PathBuf, Error> {
    named.map_or_else(folder::default_data_dir, Ok)
}

/// A running private PostgreSQL that this process uses.
pub struct Cluster {
    server: Arc<Server>,
    /// Our shared lock on `users.lock`; `None` once released.
    users: Option<File>,
    /// The thread that restarts the server if it dies. It ends when the sender is dropped.
    watcher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Cluster {
    /// Starts the server, or joins a running one. Creates the data folder and the cluster if they do not exist.
    ///
    /// Blocks until the server accepts connections: about a tenth of a second, or a second the first time.
    ///
    /// # Errors
    ///
    /// If the server cannot run, or does not accept connections in time. One that is still recovering goes on.
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

    /// Leaves the server, and stops it if no other process uses it. Close all connections before. Waits for the start
    /// lock, and then up to 15 s for the server to stop. Dropping does the same, but only logs an error.
    ///
    /// # Errors
    ///
    /// If the server did not stop, or a lock could not be taken.
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
            // Unlock explicitly: a child that is being forked may hold a copy of the descriptor for a moment, which
            // would keep the shared lock.
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
