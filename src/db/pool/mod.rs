//! A connection pool. sqlx's pool makes and counts the connections, but tests one with a round trip whenever it comes
//! back, which doubles the cost of a small read. So idle connections are kept here, and tested only after
//! [`TRUSTED_IDLE`].

use std::io;
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Error, PgConnection, Postgres, SqlStr};
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

/// A connection that was idle for longer is tested before use.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

type PoolConnection = sqlx::pool::PoolConnection<Postgres>;

/// A pool. Cheap to clone; statements run on `&Db`.
#[derive(Clone, Debug)]
pub struct Db {
    shared: Arc<Shared>,
    /// The account whose share the statements use; `None` for statements that serve many accounts.
    share: Option<Arc<Share>>,
    /// The account's permit, if it was acquired ahead.
    admitted: Option<Arc<OwnedSemaphorePermit>>,
}

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The most connections.
    pub connections: u32,
    /// The most statements that may wait for one.
    pub waiting: u32,
    /// Whether the server must take writes: not a standby, say.
    pub must_write: bool,
    /// The longest use of a connection, give or take a quarter. Its host name may lead to another server by then, and
    /// no error reports that.
    pub lifetime: Duration,
}

#[derive(Debug)]
struct Shared {
    pool: sqlx::PgPool,
    shares: Shares,
    terms: Terms,
    patience: Duration,
    idle: Mutex<Vec<Connection>>,
}

/// The state of a pool's connections.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub in_use: usize,
    pub idle: usize,
    /// Statements that wait for a connection.
    pub waiting: usize,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { in_use: self.in_use + other.in_use, idle: self.idle + other.idle, waiting: self.waiting + other.waiting }
    }
}

impl Db {
    /// A pool of connections with these options.
    pub fn new(pool: PgPoolOptions, options: PgConnectOptions, terms: Terms) -> Self {
        let patience = pool.get_acquire_timeout();
        // Tested here, because sqlx's own test has no timeout: on a silent network it would never end.
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
            idle: Mutex::default(),
        };
        Self { shared: Arc::new(shared), share: None, admitted: None }
    }

    /// The same pool for one request of an account, limited to the account's share. One that writes may wait for row
    /// locks.
    ///
    /// # Errors
    /// [`error::Error::TooMany`] if the account has too many requests under way.
    pub fn of(&self, account: AccountSid, writes: bool) -> error::Result<Self> {
        let share = self.shared.shares.of(account, writes)?;
        Ok(Self { share: Some(Arc::new(share)), ..self.of_all() })
    }

    /// As [`Db::of`], with the account's permit acquired once for several statements. If each of them waited, a queue
    /// of an account's requests would be slow with all, and finish none in time.
    ///
    /// # Errors
    /// If the wait takes too long.
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

    /// The same pool for statements that serve many accounts. None of them may be slow.
    pub fn of_all(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), share: None, admitted: None }
    }

    /// Whether both are the same pool.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// # Errors
    /// If the database is out of reach.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        self.begin_by(None).await
    }

    /// Begins a transaction that only reads. All its statements see the same snapshot, while others go on writing.
    ///
    /// # Errors
    /// If the database is out of reach.
    pub async fn snapshot(&self) -> sqlx::Result<Transaction> {
        self.begin_by(Some(SqlStr::from_static("begin isolation level repeatable read, read only"))).await
    }

    async fn begin_by(&self, statement: Option<SqlStr>) -> sqlx::Result<Transaction> {
        let permit = self.permit().await?;
        let connection = self.shared.connection().await?;
        Transaction::begin(self, connection.inner, permit, statement).await
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.shared.close_idle();
        self.shared.pool.close().await;
    }

    /// The state of the connections at this moment.
    pub fn usage(&self) -> Usage {
        let idle = self.shared.idle().len() + self.shared.pool.num_idle();
        let in_use = usize::try_from(self.shared.pool.size()).unwrap_or(usize::MAX).saturating_sub(idle);
        Usage { in_use, idle, waiting: self.shared.shares.waiting() }
    }

    /// Lends a connection, for a read of many rows: `&Db` as an executor would collect all rows first.
    ///
    /// # Errors
    /// If the database is out of reach, and those of the work.
    pub async fn lend<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> sqlx::Result<T> {
        let mut lease = self.acquire().await?;
        let outcome = work(lease.connection()).await;
        lease.done(outcome)
    }

    async fn acquire(&self) -> sqlx::Result<Lease> {
        let permit = self.permit().await?;
        Ok(Lease::new(self, self.shared.connection().await?, permit))
    }

    /// One timeout for all the waits together: a statement that begins late ends when nobody waits for it any more.
    async fn permit(&self) -> sqlx::Result<Permit> {
        let until = Instant::now() + self.shared.patience;
        let admitted = self.admit(until).await?;
        let writes = self.share.as_ref().is_some_and(|share| share.writes());
        self.shared.shares.permit(admitted, writes, until.into()).await
    }
}

impl Shared {
    /// A working connection. The caller holds a permit.
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
            // The other idle ones have most likely died with it; to test each would take too long.
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

    /// Takes a connection back. If it is not usable, all idle ones are closed with it.
    fn give_back(&self, mut connection: Connection, is_of_use: bool) {
        if !is_of_use {
            self.close_idle();
        }
        connection.idle_since = Instant::now();
        if is_of_use && connection.idle_since < connection.ends && !self.pool.is_closed() {
            self.idle().push(connection);
        } else {
            connection.close();
        }
    }

    /// Whether a connection answers in time, and its server may be used.
    async fn test(&self, connection: &mut PgConnection, patience: Duration) -> sqlx::Result<()> {
        tested(connection, self.terms.must_write, patience).await
    }

    fn take(&self) -> Option<Connection> {
        self.idle().pop()
    }

    fn close_idle(&self) {
        let connections = std::mem::take(&mut *self.idle());
        connections.into_iter().for_each(Connection::close);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
