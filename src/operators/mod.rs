//! The record of what operators did by command: who, what, when, and the outcome.
//!
//! An action is recorded before it begins, and its outcome when it has ended, each in a transaction of its own. In the
//! action's own transaction, a refused action would leave no trace, and a run of the fees has many. So nothing happens
//! unrecorded; an action whose process was killed has no outcome.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::db::Db;
use crate::error::Result;
use crate::values::clock::Clock;
use crate::values::phone::PhoneNumber;
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

/// What an action was about, as far as that is known when it ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    pub account: Option<AccountSid>,
    pub number: Option<PhoneNumber>,
    /// What it did, counted.
    pub counts: Option<Value>,
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
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

/// How long the record of an outcome may take.
const LONGEST_END: Duration = Duration::from_secs(5);

impl Begun {
    async fn end(&self, db: &Db, clock: &Clock, outcome: &Outcome, about: &About) -> bool {
        match timeout(LONGEST_END, store::end(db, self.0, outcome, about, clock.now())).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::warn!("the outcome of this action could not be recorded: {error}"),
            Err(_) => tracing::warn!("the outcome of this action could not be recorded in time"),
        }
        false
    }

    /// Does the work of the action and records its outcome, as `told` tells it. What is done is done: if the outcome cannot
    /// be recorded, this is logged, and the action stays without one.
    pub async fn around<T>(
        self,
        db: &Db,
        clock: &Clock,
        work: impl Future<Output = T>,
        told: impl FnOnce(&T) -> (Outcome, About),
    ) -> T {
        let done = work.await;
        let (outcome, about) = told(&done);
        if !self.end(db, clock, &outcome, &about).await {
            // The account may be what another session has locked.
            self.end(db, clock, &outcome, &About { account: None, ..about }).await;
        }
        done
    }
}
