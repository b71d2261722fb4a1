//! How a pool's connections are shared among accounts, so that no account can use them all.
//!
//! - One account uses at most a quarter of the connections. Its further statements wait in the account's own queue.
//! - The statements of single accounts together leave a quarter of the connections to statements that serve many
//!   accounts. Those wait for no row lock, and every request needs one, to check its token at least. (They do wait if
//!   an operator locks a whole table, as `create index` does: two seconds, like all others.)
//! - Statements that write may wait for row locks. Together they use at most half of the accounts' connections; the
//!   rest is for reads.
//! - An account has a limited number of requests under way, so that it cannot fill any queue.

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

/// The semaphores of a pool.
#[derive(Debug)]
pub(super) struct Shares {
    /// One permit for each connection of the pool.
    all: Arc<Semaphore>,
    /// One permit for each connection that statements of single accounts may use.
    of_accounts: Arc<Semaphore>,
    /// One permit for each connection that statements of single accounts may use to write.
    of_writers: Arc<Semaphore>,
    /// Limits how many statements wait for the three above.
    waiters: Semaphore,
    accounts: PerAccount<Allowance>,
    each: AccountLimits,
    waiting: AtomicUsize,
}

/// The limits of one account.
#[derive(Debug)]
struct AccountLimits {
    connections: usize,
    waiting: usize,
    requests: usize,
}

/// What one account uses.
#[derive(Debug, Default)]
struct Allowance {
    /// Requests under way.
    requests: AtomicUsize,
    /// Made for the account's first statement of its own: most requests only join batches.
    connections: OnceLock<Connections>,
}

/// The account's permits.
#[derive(Debug)]
struct Connections {
    free: Arc<Semaphore>,
    /// Limits how many of its statements wait for `free`.
    waiters: Semaphore,
}

/// An account's share, held by one of its requests.
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

/// The right to one connection, until it is dropped.
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
        // With one connection, none is left for others.
        let for_all = quarter.min(connections.saturating_sub(1));
        Self {
            all: Arc::new(Semaphore::new(connections)),
            of_accounts: Arc::new(Semaphore::new(connections - for_all)),
            of_writers: Arc::new(Semaphore::new(((connections - for_all) / 2).max(1))),
            waiters: Semaphore::new(most_waiting),
            accounts: PerAccount::default(),
            each: AccountLimits {
                connections: quarter,
                waiting: most_waiting / 4,
                requests: (most_waiting + LARGEST) / 4,
            },
            waiting: AtomicUsize::new(0),
        }
    }

    /// The number of statements that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The account's share for one more request.
    ///
    /// # Errors
    /// [`error::Error::TooMany`] if it has too many under way.
    pub(super) fn of(&self, account: AccountSid, writes: bool) -> error::Result<Share> {
        let share = Share { allowance: self.accounts.hold(account, Allowance::default), writes };
        match share.allowance.requests.fetch_add(1, Ordering::Relaxed) {
            before if before < self.each.requests => Ok(share),
            _ => Err(error::Error::TooMany { of: Limit::UnderWay, wait: Duration::from_secs(1) }),
        }
    }

    /// Waits for one of the account's own permits.
    ///
    /// # Errors
    /// If too many of its statements wait, or the wait takes too long.
    pub(super) async fn admit(&self, share: &Share, until: Instant) -> sqlx::Result<OwnedSemaphorePermit> {
        let own = share.allowance.connections.get_or_init(|| Connections {
            free: Arc::new(Semaphore::new(self.each.connections)),
            waiters: Semaphore::new(self.each.waiting),
        });
        self.wait(&own.free, &own.waiters, until).await
    }

    /// Waits for the right to a connection: for a statement that serves many accounts, or for an account that was
    /// admitted.
    ///
    /// # Errors
    /// If too many statements wait, or the wait takes too long.
    pub(super) async fn permit(
        &self,
        admitted: Option<Arc<OwnedSemaphorePermit>>,
        writes: bool,
        until: Instant,
    ) -> sqlx::Result<Permit> {
        let of_writers = if writes { Some(self.wait(&self.of_writers, &self.waiters, until).await?) } else { None };
        let of_accounts =
            if admitted.is_some() { Some(self.wait(&self.of_accounts, &self.waiters, until).await?) } else { None };
        let any = self.wait(&self.all, &self.waiters, until).await?;
        Ok(Permit { _of_account: admitted, _of_writers: of_writers, _of_accounts: of_accounts, _any: any })
    }

    async fn wait(
        &self,
        permits: &Arc<Semaphore>,
        waiters: &Semaphore,
        until: Instant,
    ) -> sqlx::Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(permit);
        }
        let full = |_| Error::Io(io::Error::other("too many wait for a connection"));
        let _waiter = waiters.try_acquire().map_err(full)?;
        let _waits = Waits::one_of(&self.waiting);
        let permit = timeout_at(until, Arc::clone(permits).acquire_owned()).await;
        permit.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)
    }
}

/// Counts a waiting statement.
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
