//! Connections at hand. sqlx's pool makes them and counts them, but it tests them with a round trip
//! whenever one comes back, which doubles what a small read costs. So connections that worked are kept
//! out of it, and tested only after a rest.

use std::io;
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Error, PgConnection, Postgres};
use tokio::sync::OwnedSemaphorePermit;

use super::LONGEST_REQUEST;
use crate::error;
use crate::values::sid::AccountSid;

mod executor;
mod lease;
mod share;
mod store;

pub use lease::Transaction;
use lease::{Connection, Lease};
use share::{Permit, Share, Shares};

/// A connection that was idle for longer than this is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

type PoolConnection = sqlx::pool::PoolConnection<Postgres>;

/// A database. Cheap to clone; statements run on `&Db`.
#[derive(Clone, Debug)]
pub struct Db {
    shared: Arc<Shared>,
    /// The account that statements are for; `None` for work that is done for many accounts.
    share: Option<Arc<Share>>,
    /// One of that account's connections, where it was waited for ahead.
    admitted: Option<Arc<OwnedSemaphorePermit>>,
}

/// What a pool is like.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// At most so many connections.
    pub connections: u32,
    /// So many statements may wait for one.
    pub waiting: u32,
    /// Whether a server that takes no writes is of no use: a standby, say.
    pub must_write: bool,
    /// For how long a connection is used, give or take a quarter. A name may lead to another server by then,
    /// which no error tells.
    pub lifetime: Duration,
}

#[derive(Debug)]
struct Shared {
    pool: sqlx::PgPool,
    shares: Shares,
    terms: Terms,
    patience: Duration,
    at_hand: Mutex<Vec<Connection>>,
}

/// What the connections are doing.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub in_use: usize,
    pub at_hand: usize,
    /// Statements that wait for a connection.
    pub waiting: usize,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            in_use: self.in_use + other.in_use,
            at_hand: self.at_hand + other.at_hand,
            waiting: self.waiting + other.waiting,
        }
    }
}

impl Db {
    /// Connections made by a pool with these options.
    pub fn new(pool: PgPoolOptions, options: PgConnectOptions, terms: Terms) -> Self {
        let patience = pool.get_acquire_timeout();
        // Tests are done here, for the pool would wait without end where a silent network has swallowed a connection.
        let pool = pool.max_connections(terms.connections).idle_timeout(None).test_before_acquire(false);
        let pool = pool.max_lifetime(terms.lifetime);
        let pool = pool.after_release(move |connection, _| {
            tested(connection, terms.must_write, patience).map(|tested| Ok(tested.is_ok())).boxed()
        });
        let shared = Shared {
            pool: pool.connect_lazy_with(options),
            shares: Shares::new(terms.connections as usize, terms.waiting as usize),
            terms,
            patience,
            at_hand: Mutex::default(),
        };
        Self { shared: Arc::new(shared), share: None, admitted: None }
    }

    /// The same connections for one request of an account, which has at most its share of them in use. One that writes may
    /// wait for rows that somebody holds.
    ///
    /// # Errors
    /// 20429 when the account has too many requests under way.
    pub fn of(&self, account: AccountSid, writes: bool) -> error::Result<Self> {
        let share = self.shared.shares.of(account, writes)?;
        Ok(Self { share: Some(Arc::new(share)), ..self.of_all() })
    }

    /// The same for several statements, one after another, that are of use only together. Where an account's requests
    /// queue, each waits once: if each statement did, all would have begun when time is up, and none would have ended.
    ///
    /// # Errors
    /// When the account's requests wait for too long.
    pub async fn admitted(&self) -> sqlx::Result<Self> {
        let admitted = self.admit(Instant::now() + LONGEST_REQUEST).await?;
        Ok(Self { admitted, ..self.clone() })
    }

    async fn admit(&self, until: Instant) -> sqlx::Result<Option<Arc<OwnedSemaphorePermit>>> {
        Ok(match (&self.share, &self.admitted) {
            (Some(share), None) => Some(Arc::new(self.shared.shares.admit(share, until.into()).await?)),
            (_, admitted) => admitted.clone(),
        })
    }

    /// The same connections for work that is done for many accounts at once. None of it may be slow by itself.
    pub fn of_all(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), share: None, admitted: None }
    }

    /// Whether both are the same connections.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// # Errors
    /// When the database is out of reach.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        let permit = self.permit().await?;
        let connection = self.shared.connection().await?;
        Transaction::begin(connection.inner, permit).await
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.shared.close_at_hand();
        self.shared.pool.close().await;
    }

    /// What the connections are doing at this moment.
    pub fn usage(&self) -> Usage {
        let at_hand = self.shared.at_hand().len() + self.shared.pool.num_idle();
        let in_use = usize::try_from(self.shared.pool.size()).unwrap_or(usize::MAX).saturating_sub(at_hand);
        Usage { in_use, at_hand, waiting: self.shared.shares.waiting() }
    }

    /// Lends a connection to what reads many rows: they come straight from it, where the ways that sqlx
    /// prescribes would collect them first.
    ///
    /// # Errors
    /// When the database is out of reach, and those of the work.
    pub async fn lend<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> sqlx::Result<T> {
        let mut lease = self.acquire().await?;
        let outcome = work(lease.connection()).await;
        lease.done(outcome)
    }

    async fn acquire(&self) -> sqlx::Result<Lease> {
        let permit = self.permit().await?;
        Ok(Lease::new(self, self.shared.connection().await?, permit))
    }

    /// One patience for all that is waited for: a statement that begins late would end when nobody waits for it any more.
    async fn permit(&self) -> sqlx::Result<Permit> {
        let until = Instant::now() + self.shared.patience;
        let admitted = self.admit(until).await?;
        let writes = self.share.as_ref().is_some_and(|share| share.writes());
        self.shared.shares.permit(admitted, writes, until.into()).await
    }
}

impl Shared {
    /// A connection that works, for those who have a permit.
    async fn connection(&self) -> sqlx::Result<Connection> {
        while let Some(mut connection) = self.take() {
            if connection.ends <= Instant::now() {
                connection.close();
                continue;
            }
            if connection.idle_since.elapsed() < TRUSTED_IDLE
                || self.test(&mut connection.inner, self.patience).await.is_ok()
            {
                return Ok(connection);
            }
            // The others have most likely died with it; to try one after the other takes too long.
            self.give_back(connection, false);
        }
        let mut connection = Connection::new(self.pool.acquire().await?, self.terms.lifetime);
        match self.test(&mut connection.inner, self.patience).await {
            Ok(()) => Ok(connection),
            Err(error) => {
                connection.close();
                Err(error)
            }
        }
    }

    /// Takes a connection back: at hand where it is of use, else it is closed, and all at hand with it.
    fn give_back(&self, mut connection: Connection, is_of_use: bool) {
        if !is_of_use {
            self.close_at_hand();
        }
        connection.idle_since = Instant::now();
        if is_of_use && connection.idle_since < connection.ends && !self.pool.is_closed() {
            self.at_hand().push(connection);
        } else {
            connection.close();
        }
    }

    /// Whether a connection answers in time, and its server is one that this pool is for.
    async fn test(&self, connection: &mut PgConnection, patience: Duration) -> sqlx::Result<()> {
        tested(connection, self.terms.must_write, patience).await
    }

    fn take(&self) -> Option<Connection> {
        self.at_hand().pop()
    }

    fn close_at_hand(&self) {
        let connections = std::mem::take(&mut *self.at_hand());
        connections.into_iter().for_each(Connection::close);
    }

    fn at_hand(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tested(connection: &mut PgConnection, must_write: bool, patience: Duration) -> sqlx::Result<()> {
    let test = async {
        if !must_write {
            return connection.ping().await;
        }
        let read_only = || Error::Io(io::Error::other("the server takes no writes: it is a standby, or read-only"));
        store::takes_writes(connection).await?.then_some(()).ok_or_else(read_only)
    };
    tokio::time::timeout(patience, test).await.unwrap_or(Err(Error::PoolTimedOut))
}
