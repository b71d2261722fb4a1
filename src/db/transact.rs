//! Transactions. One is retried if others changed the same rows meanwhile. If the answer to the commit is lost, that
//! is an error of its own.

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use tokio::sync::watch;
use tokio::time::timeout;

use super::states::unless_busy;
use super::{Db, Transaction, store};
use crate::error::{Error, Result, Retried};

/// The most tries of a transaction.
const MOST_TRIES: usize = 5;

/// How long a rollback is waited for.
const LONGEST_ROLLBACK: Duration = Duration::from_secs(1);

/// Retries work that PostgreSQL rolled back because others changed the same rows.
///
/// # Errors
/// Those of the work; [`Error::Overtaken`] if every try failed.
pub async fn again<T, E: Retried, W: Future<Output = Result<T, E>>>(work: impl Fn() -> W) -> Result<T, E> {
    for _ in 1..MOST_TRIES {
        match work().await {
            Err(error) if error.is_overtaken() => {}
            done => return done,
        }
    }
    work().await
}

/// Does work in a transaction, and retries it with [`again`]. The result is read before the commit, so that nothing
/// can fail after the commit.
///
/// # Errors
/// Those of the work and of [`commit`]. Unless it is [`Error::Unknown`], nothing was changed.
pub async fn transact<T, E: Retried>(db: &Db, work: impl AsyncFn(&mut Transaction) -> Result<T, E>) -> Result<T, E> {
    again(|| once(db, &work)).await
}

async fn once<T, E: Retried>(db: &Db, work: &impl AsyncFn(&mut Transaction) -> Result<T, E>) -> Result<T, E> {
    let mut transaction = db.begin().await?;
    match work(&mut transaction).await {
        Ok(done) => commit(transaction).await.map(|()| done).map_err(E::from),
        Err(error) => {
            roll_back(transaction).await;
            Err(error)
        }
    }
}

/// How long a transaction of a run waits for locks of others when it is the only one that waits for them, and when others of
/// the run would wait with it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
pub const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// How many times a run waits for long: so it ends in time, however much others have locked.
pub const MOST_WAITS: usize = 5;

/// How long the next transaction of a run waits for locks, after this many that waited in vain.
pub const fn patience(in_vain: usize) -> Duration {
    if in_vain < MOST_WAITS { LONGEST_WAIT } else { SHORTEST_WAIT }
}

/// Begins a transaction of a run, which waits no longer than this for each lock. So what hangs outside of numberbank, such as a
/// psql that was left in a transaction, keeps it from little.
///
/// # Errors
/// If the database is out of reach.
pub async fn begin_waiting(db: &Db, longest: Duration) -> Result<Transaction> {
    let mut transaction = db.begin().await?;
    store::limit_waits(&mut transaction, longest).await?;
    Ok(transaction)
}

/// Commits what was done. `None` if it waited in vain for a lock; then nothing was changed.
///
/// # Errors
/// Those of what was done, and of [`commit`].
pub async fn commit_unless_busy<T>(transaction: Transaction, done: sqlx::Result<T>) -> Result<Option<T>> {
    match unless_busy(done) {
        Ok(Some(done)) => commit(transaction).await.map(|()| Some(done)),
        not_done => {
            roll_back(transaction).await;
            Ok(not_done?)
        }
    }
}

/// Rolls back before the error is told: until then, others wait for its locks, or pass by them. A connection that does not
/// answer is closed.
async fn roll_back(transaction: Transaction) {
    let _ = timeout(LONGEST_ROLLBACK, transaction.rollback()).await;
}

/// The state of a task's commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commits {
    /// Nothing was committed.
    #[default]
    None,
    /// A commit was sent, and not answered yet.
    Asked,
    /// Every commit that was sent was answered.
    Answered,
}

tokio::task_local! {
    static COMMITS: watch::Sender<Commits>;
}

/// Runs work, and reports the state of its commits. If the work is cut off during a commit, its outcome is unknown.
pub fn telling<W: Future>(work: W) -> (impl Future<Output = W::Output>, watch::Receiver<Commits>) {
    let (teller, told) = watch::channel(Commits::None);
    (COMMITS.scope(teller, work), told)
}

fn tell(commits: Commits) {
    // Fails outside of [`telling`], where nobody asks.
    let _ = COMMITS.try_with(|teller| teller.send_replace(commits));
}

/// Commits.
///
/// # Errors
/// [`Error::Unknown`] if the answer was lost; after any other error, nothing was changed.
pub async fn commit(transaction: Transaction) -> Result<()> {
    tell(Commits::Asked);
    let done = transaction.commit().await;
    tell(Commits::Answered);
    done.map_err(|error| match is_refusal(&error) {
        true => error.into(),
        false => Error::Unknown(error.to_string()),
    })
}

/// Whether PostgreSQL refused the commit. FATAL and PANIC end a connection, maybe after the commit.
fn is_refusal(error: &sqlx::Error) -> bool {
    let said = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    said.is_some_and(|error| error.severity() == PgSeverity::Error)
}
