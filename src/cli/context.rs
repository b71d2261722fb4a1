//! What a command works with, and what happens at a signal.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::database::Database;
use super::options::Output;
use super::{Done, Failure, action};
use crate::db::transact::{Commits, telling};
use crate::db::{self, Db};
use crate::error::Error;
use crate::operators::{About, Action, Operator};
use crate::staging::Life;
use crate::values::clock::Clock;
use crate::values::phone::{NotAPhoneNumber, PhoneNumber, Reason};
use crate::values::sid::AccountSid;
use crate::{accounts, numbers};

/// What a command works with.
pub struct Context {
    pub output: Output,
    pub clock: Clock,
    /// How long numbers are kept, if it works on a world.
    pub world: Option<Life>,
    pub db: Db,
    pub stop: watch::Receiver<bool>,
    pub operator: Operator,
    /// The action to record; `None` if the command changes nothing.
    pub action: Option<Action>,
    /// What the command is about, as far as it has found that out.
    pub about: Mutex<About>,
    /// For a command that does all or nothing: what it says if it is interrupted before it has changed anything.
    pub undone: Option<&'static str>,
    /// Of a command that does its work in parts: what stands so far, and how to go on.
    pub so_far: Mutex<Option<String>>,
}

impl Context {
    /// The account that an argument means.
    pub async fn account(&self, text: &str) -> Result<AccountSid, Failure> {
        let account = accounts::resolve(&self.db, text).await?;
        self.is_about(account);
        Ok(account)
    }

    /// The number that an argument means: in any spelling, or by the Sid of a tenancy.
    pub async fn number(&self, text: &str) -> Result<PhoneNumber, Failure> {
        let number = match (text.parse(), text.parse()) {
            (Ok(sid), _) => numbers::digits_of(&self.db, sid).await?,
            (_, Ok(number)) => number,
            (_, Err(error)) => return Err(not_a_number(&error)),
        };
        self.is_about_number(number);
        Ok(number)
    }

    /// Notes an account for the record of the action.
    pub fn is_about(&self, account: AccountSid) {
        self.noted(|about| about.account = Some(account));
    }

    /// Notes a number for the record of the action.
    pub fn is_about_number(&self, number: PhoneNumber) {
        self.noted(|about| about.number = Some(number));
    }

    /// Notes for the record of the action what it did, counted.
    pub fn counted(&self, counts: &impl serde::Serialize) {
        self.noted(|about| about.counts = serde_json::to_value(counts).ok());
    }

    /// What the command is about, as far as it has found that out.
    pub fn about(&self) -> About {
        self.about.lock().map(|about| about.clone()).unwrap_or_default()
    }

    fn noted(&self, note: impl FnOnce(&mut About)) {
        if let Ok(mut about) = self.about.lock() {
            note(&mut about);
        }
    }

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

    /// Notes what stands if the command is interrupted now; `None` if all is done.
    pub fn stands(&self, words: impl Into<Option<String>>) {
        if let Ok(mut so_far) = self.so_far.lock() {
            *so_far = words.into();
        }
    }

    fn interrupted(&self, commits: Commits) -> Failure {
        let so_far = self.so_far.lock().ok().and_then(|so_far| so_far.clone());
        if let (Some(words), Commits::None | Commits::Answered) = (so_far, commits) {
            return Failure::HalfDone(words);
        }
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

fn not_a_number(error: &NotAPhoneNumber) -> Failure {
    Failure::Usage(match error.reason {
        Reason::NotTenDigits => format!("'{}' is neither a phone number of ten digits nor the Sid of one", error.text),
        _ => error.to_string(),
    })
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
