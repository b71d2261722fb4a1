//! How the connections of a pool are shared out among accounts, so that none of them, whatever it does,
//! keeps the others from theirs.
//!
//! - One account has at most a quarter of the connections in use; the rest of its statements queue behind
//!   its own, in their order, and take no place in the queue of others.
//! - All accounts' own statements together leave a quarter of the connections to work that is done for many
//!   accounts at once: it waits for no row, and every request needs some of it, its token's check at least. (It does wait
//!   where the operator locks a whole table against writing, as by `create index`: two seconds, like everybody.)
//! - Statements that write may wait for rows which somebody holds: together they leave half of the accounts' connections
//!   to those that read.
//! - An account has a limited number of requests under way, so that it fills no queue of anything.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::db::batch::LARGEST;
use crate::db::per_account::{Held, PerAccount};
use crate::error::{self, Limit};
use crate::values::sid::AccountSid;

/// Who may have a connection, and who waits for one.
#[derive(Debug)]
pub(super) struct Shares {
    /// As many as the pool makes: who has one finds a connection at hand, or has one made.
    all: Arc<Semaphore>,
    /// As many as accounts have together for statements of their own.
    of_accounts: Arc<Semaphore>,
    /// As many of these as there are for writing.
    of_writers: Arc<Semaphore>,
    /// For those who wait for one of the three above.
    places: Semaphore,
    accounts: PerAccount<Allowance>,
    each: Limits,
    waiting: AtomicUsize,
}

/// How much an account may have.
#[derive(Debug)]
struct Limits {
    connections: usize,
    waiting: usize,
    requests: usize,
}

/// What an account has of that.
#[derive(Debug, Default)]
struct Allowance {
    /// Its requests under way.
    requests: AtomicUsize,
    /// Made for the first statement of its own: most requests go in batches and have none.
    connections: OnceLock<Connections>,
}

/// What is left to an account of its connections.
#[derive(Debug)]
struct Connections {
    free: Arc<Semaphore>,
    /// For its statements that wait for one of these.
    places: Semaphore,
}

/// An account's part of the connections, held by one of its requests.
#[derive(Debug)]
pub(super) struct Share {
    allowance: Held<Allowance>,
    writes: bool,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.allowance.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _of_account: Option<Arc<OwnedSemaphorePermit>>,
    _of_writers: Option<OwnedSemaphorePermit>,
    _of_accounts: Option<OwnedSemaphorePermit>,
    _any: OwnedSemaphorePermit,
}

impl Share {
    /// Whether its statements write.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }
}

impl Shares {
    pub(super) fn new(connections: usize, most_waiting: usize) -> Self {
        let (most_waiting, quarter) = (most_waiting.min(Semaphore::MAX_PERMITS / 2), (connections / 4).max(1));
        // With one connection there is nothing to leave.
        let for_all = quarter.min(connections.saturating_sub(1));
        Self {
            all: Arc::new(Semaphore::new(connections)),
            of_accounts: Arc::new(Semaphore::new(connections - for_all)),
            of_writers: Arc::new(Semaphore::new(((connections - for_all) / 2).max(1))),
            places: Semaphore::new(most_waiting),
            accounts: PerAccount::default(),
            each: Limits { connections: quarter, waiting: most_waiting / 4, requests: (most_waiting + LARGEST) / 4 },
            waiting: AtomicUsize::new(0),
        }
    }

    /// How many statements wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// An account's share, for one more of its requests.
    ///
    /// # Errors
    /// 20429 when it has too many under way.
    pub(super) fn of(&self, account: AccountSid, writes: bool) -> error::Result<Share> {
        let share = Share { allowance: self.accounts.hold(account, Allowance::default), writes };
        match share.allowance.requests.fetch_add(1, Ordering::Relaxed) {
            before if before < self.each.requests => Ok(share),
            _ => Err(error::Error::TooMany { of: Limit::UnderWay, wait: Duration::from_secs(1) }),
        }
    }

    /// Waits until the account has a connection less than it may have in use.
    ///
    /// # Errors
    /// When too many of its statements wait already, or it takes too long.
    pub(super) async fn admit(&self, share: &Share, until: Instant) -> sqlx::Result<OwnedSemaphorePermit> {
        let own = share.allowance.connections.get_or_init(|| Connections {
            free: Arc::new(Semaphore::new(self.each.connections)),
            places: Semaphore::new(self.each.waiting),
        });
        self.wait(&own.free, &own.places, until).await
    }

    /// Waits for the right to a connection, for many accounts or for the one that was admitted.
    ///
    /// # Errors
    /// When too many wait already, or it takes too long.
    pub(super) async fn permit(
        &self,
        admitted: Option<Arc<OwnedSemaphorePermit>>,
        writes: bool,
        until: Instant,
    ) -> sqlx::Result<Permit> {
        let of_writers = if writes { Some(self.wait(&self.of_writers, &self.places, until).await?) } else { None };
        let of_accounts =
            if admitted.is_some() { Some(self.wait(&self.of_accounts, &self.places, until).await?) } else { None };
        let any = self.wait(&self.all, &self.places, until).await?;
        Ok(Permit { _of_account: admitted, _of_writers: of_writers, _of_accounts: of_accounts, _any: any })
    }

    async fn wait(
        &self,
        permits: &Arc<Semaphore>,
        places: &Semaphore,
        until: Instant,
    ) -> sqlx::Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(permit);
        }
        let full = |_| Error::Io(io::Error::other("too many wait for a connection"));
        let _place = places.try_acquire().map_err(full)?;
        let _waits = Waits::one_of(&self.waiting);
        let permit = timeout_at(until, Arc::clone(permits).acquire_owned()).await;
        permit.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)
    }
}

/// Counts one that waits.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn one_of(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
