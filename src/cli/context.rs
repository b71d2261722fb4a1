//! What a command works with, and what happens at a signal.

use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::database::Database;
use super::options::Output;
use super::{Done, Failure, action};
use crate::db::transact::{Commits, telling};
use crate::db::{self, Db};
use crate::error::Error;
use crate::operators::{Action, Operator};
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;

/// What a command works with.
pub struct Context {
    pub output: Output,
    pub clock: Clock,
    pub db: Db,
    pub stop: watch::Receiver<bool>,
    pub operator: Operator,
    /// The action to record; `None` if the command changes nothing.
    pub action: Option<Action>,
    /// The account that the command has created.
    pub made: OnceLock<AccountSid>,
    /// For a command that does all or nothing: what it says if it is interrupted before it has changed anything.
    pub undone: Option<&'static str>,
}

impl Context {
    /// Returns at SIGTERM or SIGINT.
    pub async fn stopped(&self) {
        // Never an error: the sender is dropped only after it has sent.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Does the work until it is done, or until SIGTERM or SIGINT. If a commit is under way at the signal, this waits
    /// for its answer for up to [`FAREWELL`]: without it, nobody would know whether the work was committed.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let (work, mut commits) = telling(work);
        let mut work = pin!(work);
        // If the work is done, its result counts, even if a signal came too.
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = self.stopped() => {}
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = commits.wait_for(|commits| *commits != Commits::Asked) => {}
            () = tokio::time::sleep(FAREWELL) => {}
        }
        Err(self.interrupted(*commits.borrow()))
    }

    fn interrupted(&self, commits: Commits) -> Failure {
        match (commits, self.undone) {
            (Commits::Asked, _) => Error::Unknown("interrupted before it came".to_owned()).into(),
            (Commits::Answered, Some(_)) => Failure::Untold("it was interrupted before it could say so".to_owned()),
            (Commits::None, Some(undone)) => Failure::Undone(undone),
            (Commits::None | Commits::Answered, None) => Failure::Interrupted,
        }
    }

    /// Does work that comes before serving, which may take long. `None` if a signal comes meanwhile.
    pub async fn before_serving<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Option<T>, Failure> {
        match self.unless_stopped(work).await {
            Err(Failure::Interrupted) => Ok(None),
            done => done.map(Some),
        }
    }

    /// Compares the clock with the database's. If that fails, it only logs a warning: the next statement will say
    /// why.
    pub async fn compare_clock(&self) {
        if let Err(error) = db::clock::compare(&self.clock, &self.db).await {
            tracing::warn!("this machine's clock could not be compared with the database's: {error}");
        }
    }

    pub async fn once_ready(&self, database: &Database, work: impl Future<Output = Done>) -> Done {
        self.unless_stopped(database.ready()).await?;
        if self.action.is_some() {
            self.compare_clock().await;
        }
        match &self.action {
            Some(action) => action::recorded(self, action, work).await,
            None => self.unless_stopped(work).await,
        }
    }
}

/// Becomes true at the first SIGTERM or SIGINT.
pub fn stop_signals() -> Result<watch::Receiver<bool>, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tell.send(true)
    });
    Ok(told)
}

/// How long a command waits at its end: for the answer to a commit that is under way at a signal, for its outcome to
/// be recorded, and for its connections to close.
pub const FAREWELL: Duration = Duration::from_secs(5);
