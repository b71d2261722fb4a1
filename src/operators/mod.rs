//! The record of what operators did by command: who, what, when, and the outcome.
//!
//! An action is recorded before it begins, and its outcome when it has ended, each in a transaction of its own. In the
//! action's own transaction, a refused action would leave no trace, and a run of the fees has many. So nothing happens
//! unrecorded; an action whose process was killed has no outcome.

use serde_json::{Map, Value};

use crate::db::Db;
use crate::error::Result;
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;

mod store;

/// An operator.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The name that was given, else the user of the operating system.
    pub name: String,
    /// The user and the host, as in `root@db1`.
    pub login: String,
}

/// A command and its arguments. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Action {
    /// The words of the command, as in `account credit`.
    pub words: String,
    pub arguments: Map<String, Value>,
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the account that was created, if any.
    Done(Option<AccountSid>),
    /// Nothing was changed; the reason.
    Refused(String),
    /// What was committed by then stays.
    Failed,
    /// By a signal. What was committed by then stays.
    Interrupted,
    /// The answer to its last commit was lost.
    Unknown,
}

/// A recorded action without an outcome yet.
#[derive(Debug)]
pub struct Begun(i64);

/// Records that an action begins.
///
/// # Errors
/// If it could not be recorded: then the action must not begin.
pub async fn begin(db: &Db, clock: &Clock, operator: &Operator, action: &Action) -> Result<Begun> {
    Ok(Begun(store::begin(db, operator, action, clock.now()).await?))
}

/// Records the outcome of an action.
///
/// # Errors
/// If the database is out of reach.
pub async fn end(db: &Db, clock: &Clock, Begun(id): Begun, outcome: &Outcome) -> Result<()> {
    Ok(store::end(db, id, outcome, clock.now()).await?)
}
