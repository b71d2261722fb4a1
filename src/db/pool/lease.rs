//! Connections while they are in use.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::{Error, PgConnection, Postgres, SqlStr};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::share::Permit;
use super::{Db, PoolConnection};
use crate::db::ends_connection;
use crate::values::sid::random_bits;

/// The longest wait for a statement that was abandoned to end: longer than PostgreSQL's own limit on a request's
/// statement.
const MAX_DRAIN: Duration = Duration::from_secs(5);

/// A pooled connection and its age.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) inner: PoolConnection,
    /// It is not used after this moment.
    pub(super) ends: Instant,
    pub(super) idle_since: Instant,
}

impl Connection {
    /// The lifetime varies by a quarter, so that connections made at once do not end at once.
    pub(super) fn new(inner: PoolConnection, lifetime: Duration) -> Self {
        let factor = 0.75 + f64::from(random_bits() as u16) / f64::from(u16::MAX) / 2.0;
        let now = Instant::now();
        Self { inner, ends: now + lifetime.mul_f64(factor), idle_since: now }
    }

    pub(super) fn close(mut self) {
        self.inner.close_on_drop();
    }
}

/// A connection in use. If it is dropped before its statement was answered, as when a client hangs up, it stays in use
/// until the statement has ended. Else an account could exceed its share by hanging up.
pub(super) struct Lease {
    db: Db,
    /// `None` once it was given back.
    held: Option<(Connection, Permit)>,
}

impl Lease {
    pub(super) fn new(db: &Db, connection: Connection, permit: Permit) -> Self {
        Self { db: db.clone(), held: Some((connection, permit)) }
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.held.as_mut().expect("it is not given back yet").0.inner
    }

    /// Gives the connection back. It is kept if PostgreSQL answered, even with an error. If it broke, or its server is
    /// not the primary any more, it is closed, and all idle ones with it.
    pub(super) fn done<T>(mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        let is_of_use = match &outcome {
            Ok(_) | Err(Error::RowNotFound) => true,
            Err(error @ Error::Database(_)) => !ends_connection(error),
            Err(_) => false,
        };
        if let Some((connection, _permit)) = self.held.take() {
            self.db.shared.give_back(connection, is_of_use);
        }
        outcome
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((mut connection, permit)) = self.held.take() else { return };
        let db = self.db.clone();
        if Handle::try_current().is_ok() {
            tokio::spawn(async move {
                let is_of_use = db.shared.test(&mut connection.inner, MAX_DRAIN).await.is_ok();
                db.shared.give_back(connection, is_of_use);
                drop(permit);
            });
        }
    }
}

/// A transaction, on a connection that was admitted like any other. It rolls back unless it is committed. If a request is dropped
/// before it has ended, its account's share stays in use until then, as with a [`Lease`].
pub struct Transaction {
    /// `None` once it ends.
    held: Option<Held>,
}

struct Held {
    inner: sqlx::Transaction<'static, Postgres>,
    _permit: Permit,
    db: Db,
}

impl Transaction {
    /// `statement` begins it; `None` means a plain `begin`.
    pub(super) async fn begin(
        db: &Db,
        connection: PoolConnection,
        permit: Permit,
        statement: Option<SqlStr>,
    ) -> sqlx::Result<Self> {
        let inner = sqlx::Transaction::begin(connection, statement).await?;
        Ok(Self { held: Some(Held { inner, _permit: permit, db: db.clone() }) })
    }

    /// # Errors
    /// If it is not known whether it was committed.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.end(true).await
    }

    /// # Errors
    /// If the database is out of reach; that rolls it back too.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.end(false).await
    }

    async fn end(mut self, commits: bool) -> sqlx::Result<()> {
        let Some(held) = self.held.take() else { return Ok(()) };
        if held.db.share.is_none() {
            return held.end(commits).await;
        }
        // The request may be dropped meanwhile.
        match tokio::spawn(timeout(MAX_DRAIN, held.end(commits))).await {
            Ok(ended) => ended.unwrap_or(Err(Error::PoolTimedOut)),
            Err(_) => Err(Error::WorkerCrashed),
        }
    }
}

impl Held {
    async fn end(self, commits: bool) -> sqlx::Result<()> {
        let Self { inner, _permit, db: _ } = self;
        if commits { inner.commit().await } else { inner.rollback().await }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        if Handle::try_current().is_ok() {
            // If that takes longer, sqlx's pool closes the connection.
            tokio::spawn(timeout(MAX_DRAIN, held.end(false)));
        }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.held.as_ref().expect("it has not ended").inner
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.held.as_mut().expect("it has not ended").inner
    }
}
