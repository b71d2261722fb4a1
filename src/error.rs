//! Which error type is for what:
//!
//! - A slice's `Refused`: the request cannot be granted as it is, and nothing was changed. It knows no code, no status and
//!   no words of any face: each face has one exhaustive match for them, `refusals.rs` of an API version and of `cli/`.
//!   `web::refused::Refused` is the same for what cannot be read of a request, before any slice is asked.
//! - [`Error`]: what the request could not help, such as a database out of reach, or too much at a time. Its words are
//!   for the log, and never reach a client.
//! - [`Denied`]: what a use case returns that may refuse: either of the two. One that cannot refuse returns an [`Error`].
//! - `web::exception::Exception`: an answer, with its code and text; and the cause, for the log only. The `Refusal` of an
//!   API version is one in its words.
//! - `cli::Failure`: how a command ended. `db::MigrateError` and `platform::embedded_pg::Error` are for those who start
//!   the program, before there is anything to refuse. `sqlx::Error` stays within stores and `db/`.
//! - Types that are read from text (`values/`) have an error of their own, which says what would be right.

use std::time::Duration;

use crate::values::clock::WrongClock;

/// What a request could not help. The text is what happened inside, for the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The same request may go through later.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// A limit of the caller, or of all who wait for argon2; the same request may pass after this wait.
    #[error("{of:?}: too many")]
    TooMany { of: Limit, wait: Duration },
    /// PostgreSQL took it back whole because others were at the same rows; the same again may go through at once.
    #[error("others came in between again and again, and nothing was changed: {0}")]
    Overtaken(String),
    /// The answer to its commit was lost: it may be done or not.
    #[error("the database's answer was lost: {0}")]
    Unknown(String),
    /// This machine's clock is too wrong for what was asked; nothing was changed.
    #[error("{0}")]
    WrongClock(String),
    /// A defect, or something outside that should not happen.
    #[error("{0}")]
    Internal(String),
}

/// What is unavailable.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("the database is out of reach: {0}")]
    Database(String),
    #[error("another session has locked for too long what this needs: {0}")]
    Locked(String),
    #[error("{waiting} requests wait already")]
    Queue { waiting: usize },
    #[error("a batch took longer than {0:?}, or ended without an outcome")]
    Batch(Duration),
    #[error("other buyers got in the way of a purchase again and again")]
    Stock,
    #[error("no memory is free for the answer")]
    Memory,
    #[error("no answer within {0:?}")]
    Time(Duration),
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Tokens that wait to be verified, of all callers together.
    Verifications,
    /// Wrong tokens from one address.
    WrongTokens,
    /// Requests of an account in a time.
    Rate,
    /// Requests of an account under way.
    UnderWay,
    /// Answers of an account that its clients have not taken yet.
    Unread,
    /// Changes of one account or number that are kept for ever and cost nothing.
    Changes,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a use case did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Denied<R> {
    /// The request cannot be granted as it is; nothing was changed.
    #[error("refused: {0:?}")]
    Refused(R),
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A reason of a slice to refuse, so that `?` makes a [`Denied`] of it.
pub trait Refuses {}

impl<R: Refuses> From<R> for Denied<R> {
    fn from(refused: R) -> Self {
        Self::Refused(refused)
    }
}

impl<R> From<sqlx::Error> for Denied<R> {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl<R> From<WrongClock> for Denied<R> {
    fn from(error: WrongClock) -> Self {
        Self::Failed(error.into())
    }
}

impl From<WrongClock> for Error {
    fn from(error: WrongClock) -> Self {
        Self::WrongClock(error.to_string())
    }
}

impl<R> Denied<R> {
    /// The same in the words of another slice, which asked this one.
    pub fn map<S>(self, refused: impl FnOnce(R) -> S) -> Denied<S> {
        match self {
            Self::Refused(reason) => Denied::Refused(refused(reason)),
            Self::Failed(error) => Denied::Failed(error),
        }
    }
}

/// An error of work that can be done again where others came in between.
pub trait Retried: From<Error> + From<sqlx::Error> {
    fn is_overtaken(&self) -> bool;
}

impl Retried for Error {
    fn is_overtaken(&self) -> bool {
        matches!(self, Self::Overtaken(_))
    }
}

impl<R> Retried for Denied<R> {
    fn is_overtaken(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_overtaken())
    }
}
