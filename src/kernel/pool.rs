//! Connections at hand. sqlx's pool makes them, counts them and tests them, but it does so with a
//! round trip whenever one comes back, which doubles what a small read costs. So connections that
//! worked are kept out of it, and only those that did not go back to be tested.

use std::io;
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A connection that was idle for longer than this is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A transaction that rolls back unless it is committed.
pub type Transaction = sqlx::Transaction<'static, Postgres>;

type PoolConnection = sqlx::pool::PoolConnection<Postgres>;

/// A database. Cheap to clone; statements run on `&Db`.
#[derive(Clone, Debug)]
pub struct Db(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: sqlx::PgPool,
    /// As many as the pool makes: who has one finds a connection at hand, or has one made as soon as
    /// those that are being tested are back.
    permits: Semaphore,
    /// For those who wait for a permit.
    places: Semaphore,
    patience: Duration,
    at_hand: Mutex<Vec<(PoolConnection, Instant)>>,
    most_waiting: usize,
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
    /// At most so many connections, made by a pool with these options, and so many who wait for one.
    pub fn new(pool: PgPoolOptions, options: PgConnectOptions, connections: u32, waiting: u32) -> Self {
        let patience = pool.get_acquire_timeout();
        let most_waiting = (waiting as usize).min(Semaphore::MAX_PERMITS);
        // Tests are done here: of connections that rested, and of those that come back, for which the
        // pool would wait without end where a silent network has swallowed them.
        let pool = pool.max_connections(connections).idle_timeout(None).test_before_acquire(false);
        let pool = pool.after_release(move |connection, _| tried(connection, patience).map(Ok).boxed());
        Self(Arc::new(Shared {
            pool: pool.connect_lazy_with(options),
            permits: Semaphore::new(connections as usize),
            places: Semaphore::new(most_waiting),
            patience,
            at_hand: Mutex::default(),
            most_waiting,
        }))
    }

    /// Whether both are the same connections.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// # Errors
    /// When the database is out of reach.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        self.at_hand().clear();
        self.0.pool.begin().await
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.at_hand().clear();
        self.0.pool.close().await;
    }

    /// What the connections are doing at this moment.
    pub fn usage(&self) -> Usage {
        let at_hand = self.at_hand().len() + self.0.pool.num_idle();
        let in_use = usize::try_from(self.0.pool.size()).unwrap_or(usize::MAX).saturating_sub(at_hand);
        Usage { in_use, at_hand, waiting: self.0.most_waiting - self.0.places.available_permits() }
    }

    /// Lends a connection to what reads many rows: they come straight from it, where the ways below, which
    /// sqlx prescribes, would collect them first.
    ///
    /// # Errors
    /// When the database is out of reach, and those of the work.
    pub async fn lend<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> sqlx::Result<T> {
        let mut lease = self.acquire().await?;
        let outcome = work(&mut lease.connection).await;
        lease.done(outcome)
    }

    async fn acquire(&self) -> sqlx::Result<Lease<'_>> {
        let permit = self.permit().await?;
        while let Some((mut connection, since)) = self.take() {
            if since.elapsed() < TRUSTED_IDLE || tried(&mut connection, self.0.patience).await {
                return Ok(Lease { db: self, connection, _permit: permit });
            }
            // The others have most likely died with it; to try one after the other takes too long.
            self.at_hand().clear();
        }
        Ok(Lease { db: self, connection: self.0.pool.acquire().await?, _permit: permit })
    }

    async fn permit(&self) -> sqlx::Result<SemaphorePermit<'_>> {
        if let Ok(permit) = self.0.permits.try_acquire() {
            return Ok(permit);
        }
        let full = |_| Error::Io(io::Error::other("too many wait for a connection"));
        let _place = self.0.places.try_acquire().map_err(full)?;
        let permit = tokio::time::timeout(self.0.patience, self.0.permits.acquire()).await;
        permit.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)
    }

    fn take(&self) -> Option<(PoolConnection, Instant)> {
        self.at_hand().pop()
    }

    fn at_hand(&self) -> MutexGuard<'_, Vec<(PoolConnection, Instant)>> {
        self.0.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection answers in time.
async fn tried(connection: &mut PgConnection, patience: Duration) -> bool {
    tokio::time::timeout(patience, connection.ping()).await.is_ok_and(|answer| answer.is_ok())
}

/// A connection in use. Dropped, as when a client hangs up, it goes back to the pool to be tested.
struct Lease<'a> {
    db: &'a Db,
    connection: PoolConnection,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Keeps the connection at hand if its statement was answered, were it with a refusal.
    /// Where one breaks, the others are suspect too.
    fn done<T>(self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        let answered = match &outcome {
            Ok(_) | Err(Error::RowNotFound) => true,
            // The server's last words to a connection that it ends: 57P01 and its kin.
            Err(Error::Database(error)) => !error.code().is_some_and(|state| state.starts_with("57P")),
            Err(_) => false,
        };
        let mut at_hand = self.db.at_hand();
        if answered {
            at_hand.push((self.connection, Instant::now()));
        } else {
            at_hand.clear();
        }
        outcome
    }
}

impl<'p> Executor<'p> for &'_ Db {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let db = self.clone();
        let steps = async move {
            let mut lease = db.acquire().await?;
            let steps = lease.connection.fetch_many(query).try_collect::<Vec<_>>().await;
            Ok::<_, Error>(stream::iter(lease.done(steps)?).map(Ok))
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let db = self.clone();
        async move {
            let mut lease = db.acquire().await?;
            let row = lease.connection.fetch_optional(query).await;
            lease.done(row)
        }
        .boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        let db = self.clone();
        async move {
            let mut lease = db.acquire().await?;
            let statement = lease.connection.prepare_with(sql, parameters).await;
            lease.done(statement)
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'p: 'e,
    {
        let db = self.clone();
        async move {
            let mut lease = db.acquire().await?;
            let described = lease.connection.describe(sql).await;
            lease.done(described)
        }
        .boxed()
    }
}
