//! What a run of billing would do, account by account.
//!
//! It reads one snapshot, takes no lock, and writes nothing, however much is due. A run that is rolled back would lock
//! every account that is charged until its end, and stop all purchases meanwhile. So the rules of a run stand here
//! a second time; the model test of the life of numbers compares each run with what was forecast.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::TryStreamExt;

use super::Billed;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// What a run would do, in this order.
#[derive(Debug)]
pub enum Foreseen {
    Total(Billed),
    /// To an account for which it would do anything; by name.
    Account(Outlook),
    /// A fee, if wanted: by account, the oldest first.
    Fee(Fee),
}

/// What a run would do to an account.
#[derive(Debug, serde::Serialize)]
pub struct Outlook {
    pub account_sid: AccountSid,
    pub account_name: String,
    pub charged: i64,
    pub amount: Money,
    pub suspended: bool,
    pub activated: bool,
    pub released: i64,
}

/// A fee that is due.
#[derive(Debug, serde::Serialize)]
pub struct Fee {
    pub account_sid: AccountSid,
    pub phone_number: PhoneNumber,
    pub number_sid: NumberSid,
    pub due_on: NaiveDate,
    pub price: Money,
    /// Whether it would be charged; else it stays unpaid.
    pub charged: bool,
    /// Whether the number would be released.
    pub released: bool,
}

/// When a run is forecast.
#[derive(Clone, Copy)]
struct Moment {
    as_of: DateTime<Utc>,
    /// Numbers that are unpaid since then or longer are released.
    since: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// What [`bill`](super::bill) would do now, passed to `take` bit by bit. If more than 10,000 fees are due on one day, and an account
/// cannot pay all of its own of that day, a run may choose others of these.
///
/// # Errors
/// If the database is out of reach, or this machine's clock is wrong; and those of `take`.
pub async fn forecast<E: From<Error>>(
    db: &Db,
    clock: &Clock,
    as_of: DateTime<Utc>,
    grace: TimeDelta,
    with_fees: bool,
    mut take: impl FnMut(Foreseen) -> Result<(), E>,
) -> Result<(), E> {
    clock.trusted().map_err(Error::from)?;
    let moment = Moment { as_of, since: as_of - grace, now: clock.now() };
    let mut transaction = db.snapshot().await.map_err(Error::from)?;
    let mut accounts = store::accounts(&mut transaction, moment);
    let mut is_first = true;
    while let Some(row) = accounts.try_next().await.map_err(Error::from)? {
        if std::mem::take(&mut is_first) {
            take(Foreseen::Total(row.total()))?;
        }
        take(Foreseen::Account(row.outlook()))?;
    }
    drop(accounts);
    if is_first {
        take(Foreseen::Total(Billed::default()))?;
    }
    if with_fees {
        let mut fees = store::fees(&mut transaction, moment);
        while let Some(fee) = fees.try_next().await.map_err(Error::from)? {
            take(Foreseen::Fee(fee))?;
        }
    }
    Ok(transaction.rollback().await.map_err(Error::from)?)
}
