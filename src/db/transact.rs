//! What is done together or not at all, is done again where others came in between, and is told truly where
//! PostgreSQL's answer to its commit was lost.

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use tokio::sync::watch;

use super::{Db, Transaction};
use crate::error::{Error, Result, Retried};

/// How often something is tried that others come in between of.
const MOST_TRIES: usize = 5;

/// Does something again, a few times, where PostgreSQL took it back whole because others were at the same rows.
///
/// # Errors
/// Those of the work; [`Error::Overtaken`] where others came in between each time.
pub async fn again<T, E: Retried, W: Future<Output = Result<T, E>>>(work: impl Fn() -> W) -> Result<T, E> {
    for _ in 1..MOST_TRIES {
        match work().await {
            Err(error) if error.is_overtaken() => {}
            done => return done,
        }
    }
    work().await
}

/// Does something within a transaction of its own, [`again`] where others came in between. What it returns was read
/// before the commit: nothing is left to fail once it is done.
///
/// # Errors
/// Those of the work, and of [`commit`]; but for [`Error::Unknown`], nothing was changed.
pub async fn transact<T, E: Retried>(db: &Db, work: impl AsyncFn(&mut Transaction) -> Result<T, E>) -> Result<T, E> {
    again(|| once(db, &work)).await
}

async fn once<T, E: Retried>(db: &Db, work: &impl AsyncFn(&mut Transaction) -> Result<T, E>) -> Result<T, E> {
    let mut transaction = db.begin().await?;
    let done = work(&mut transaction).await?;
    commit(transaction).await?;
    Ok(done)
}

/// How far a piece of work has come with its commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commits {
    /// Nothing has been changed.
    #[default]
    None,
    /// PostgreSQL was asked to commit, and has not answered.
    Asked,
    /// It has answered all that it was asked.
    Answered,
}

tokio::task_local! {
    static COMMITS: watch::Sender<Commits>;
}

/// Does a piece of work, and tells how far it has come: to cut it off while PostgreSQL commits would leave unknown what
/// became of it.
pub fn telling<W: Future>(work: W) -> (impl Future<Output = W::Output>, watch::Receiver<Commits>) {
    let (teller, told) = watch::channel(Commits::None);
    (COMMITS.scope(teller, work), told)
}

fn tell(commits: Commits) {
    // Nobody asks of most work.
    let _ = COMMITS.try_with(|teller| teller.send_replace(commits));
}

/// Commits.
///
/// # Errors
/// [`Error::Unknown`] where the answer was lost; any other says that nothing was changed.
pub async fn commit(transaction: Transaction) -> Result<()> {
    tell(Commits::Asked);
    let done = transaction.commit().await;
    tell(Commits::Answered);
    done.map_err(|error| match is_refusal(&error) {
        true => error.into(),
        false => Error::Unknown(error.to_string()),
    })
}

/// Whether PostgreSQL says that it has not committed. It ends a connection (FATAL, PANIC) after a commit as well.
fn is_refusal(error: &sqlx::Error) -> bool {
    let said = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    said.is_some_and(|error| error.severity() == PgSeverity::Error)
}
