//! How an account stands: what it owes, and what becomes of its numbers if it does not pay.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::store;
use crate::accounts::{self, Account, Happened};
use crate::db::Db;
use crate::error::{Denied, Result};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// How many numbers are told at most that are not paid.
pub const MOST_OVERDUE: i64 = 100;

/// An account, what it owes, and what became of it.
#[derive(Debug, serde::Serialize)]
pub struct Standing {
    #[serde(flatten)]
    pub account: Account,
    /// If the account is suspended as unpaid: the fees that its balance must cover to make it active.
    pub owed: Money,
    /// The credit that pays this and activates the account, unless the operator has suspended it.
    pub needed: Money,
    /// How many numbers are not paid.
    pub overdue_numbers: i64,
    /// Some of them, the longest due first.
    pub overdue: Vec<Overdue>,
    /// Numbers that it lost lately, and its other events; the earliest first.
    pub lost: Vec<Happened>,
    pub events: Vec<Happened>,
}

/// A number that is not paid.
#[derive(Debug, serde::Serialize)]
pub struct Overdue {
    pub phone_number: PhoneNumber,
    pub number_sid: NumberSid,
    pub price: Money,
    /// Months that are due.
    pub months: i32,
    /// Since when.
    pub due_on: NaiveDate,
    /// The day on which it is released.
    pub goes_on: NaiveDate,
}

/// The same, with the time from which the grace period counts.
pub(super) struct Unpaid {
    pub phone_number: PhoneNumber,
    pub sid: NumberSid,
    pub price: Money,
    pub months: i32,
    pub due_on: NaiveDate,
    pub grace_from: DateTime<Utc>,
}

/// How an account stands, whose numbers are kept unpaid for `grace`.
///
/// # Errors
/// [`accounts::Refused::Unknown`]
pub async fn standing(
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    grace: TimeDelta,
) -> Result<Standing, Denied<accounts::Refused>> {
    let now = clock.now();
    let (found, owed) = (accounts::find(db, account).await?, store::owed(db, account, now).await?);
    let (unpaid, overdue_numbers) = store::overdue(db, account, now).await?;
    let overdue = unpaid.into_iter().map(|it| Overdue {
        phone_number: it.phone_number,
        number_sid: it.sid,
        price: it.price,
        months: it.months,
        due_on: it.due_on,
        goes_on: (it.grace_from + grace).date_naive(),
    });
    Ok(Standing {
        owed,
        needed: Money::from_cents((owed.cents() - found.balance.cents()).max(0)),
        overdue_numbers,
        overdue: overdue.collect(),
        lost: accounts::lost(db, account).await?,
        events: accounts::events(db, account).await?,
        account: found,
    })
}
