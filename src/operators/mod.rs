//! The account of what operators did by command: who, what, when, and what came of it.
//!
//! An action is written down before it begins and its outcome when it has ended, each in a transaction of
//! its own. In the action's own transaction there would be no trace of one that was refused, and a run
//! of the fees has many. So what cannot be written down does not happen, and nothing is lost: an action whose
//! process was killed stands there without an outcome.

use serde_json::{Map, Value};

use crate::db::Db;
use crate::error::Result;
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;

mod store;

/// Who acts.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Who they say they are, else the user of the operating system.
    pub name: String,
    /// That user and the host, as in `root@db1`.
    pub login: String,
}

/// What an operator asks for. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Action {
    /// The words of the command, as in `account credit`.
    pub words: String,
    pub arguments: Map<String, Value>,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the account that it made, if it made one.
    Done(Option<AccountSid>),
    /// Nothing was changed, and why.
    Refused(String),
    /// Nothing was changed, or what was committed by then.
    Failed,
    /// By a signal; likewise.
    Interrupted,
    /// The answer to its last step was lost: that may be done or not.
    Unknown,
}

/// An action that is written down and has no outcome yet.
#[derive(Debug)]
pub struct Begun(i64);

/// Writes down that an action begins.
///
/// # Errors
/// When it could not be: the action must not begin then.
pub async fn begin(db: &Db, clock: &Clock, operator: &Operator, action: &Action) -> Result<Begun> {
    Ok(Begun(store::begin(db, operator, action, clock.now()).await?))
}

/// Writes down what came of an action.
///
/// # Errors
/// When the database is out of reach.
pub async fn end(db: &Db, clock: &Clock, Begun(id): Begun, outcome: &Outcome) -> Result<()> {
    Ok(store::end(db, id, outcome, clock.now()).await?)
}
