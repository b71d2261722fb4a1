//! What became of an account.

use chrono::{DateTime, Utc};

use super::{Reason, store};
use crate::db::Db;
use crate::error::Result;
use crate::values::dialect::time;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// What can happen to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "account_change", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Suspended,
    Activated,
    Closed,
    /// A number left it, and not by its holder's release.
    NumberLost,
}

/// An event of an account.
#[derive(Debug, serde::Serialize)]
pub struct Happened {
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    pub change: Change,
    pub reason: Reason,
    /// The number that was lost.
    pub phone_number: Option<PhoneNumber>,
    pub number_sid: Option<NumberSid>,
    /// What the operator said of it.
    pub note: Option<String>,
}

/// How many events are told at most.
const MOST_TOLD: i64 = 20;

/// The last events of an account but for numbers that it lost, the earliest first.
///
/// # Errors
/// When the database is out of reach.
pub async fn events(db: &Db, sid: AccountSid) -> Result<Vec<Happened>> {
    Ok(store::events(db, sid, false, MOST_TOLD).await?)
}

/// The last numbers that an account lost, the earliest first.
///
/// # Errors
/// When the database is out of reach.
pub async fn lost(db: &Db, sid: AccountSid) -> Result<Vec<Happened>> {
    Ok(store::events(db, sid, true, MOST_TOLD).await?)
}
