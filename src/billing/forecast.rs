//! What a run of billing would do, account by account.
//!
//! It reads one snapshot, takes no lock, and writes nothing, however much is due. A run that is rolled back would lock
//! every account that is charged until its end, and stop all purchases meanwhile. So the rules of a run stand here
//! a second time; the model test of the life of numbers compares each run with what was forecast.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::Billed;
use crate::db::Db;
use crate::error::Result;
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// What a run would do.
#[derive(Debug, serde::Serialize)]
pub struct Forecast {
    #[serde(flatten)]
    pub total: Billed,
    /// Accounts for which it would do anything, by name.
    pub accounts: Vec<Outlook>,
    /// Each fee, if wanted: by account, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<Fee>,
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

/// What [`bill`](super::bill) would do now. If an account has more than 2,000 fees of one day and cannot pay all of them,
/// a run may choose others of these.
///
/// # Errors
/// If the database is out of reach, or this machine's clock is wrong.
pub async fn forecast(
    db: &Db,
    clock: &Clock,
    as_of: DateTime<Utc>,
    grace: TimeDelta,
    with_fees: bool,
) -> Result<Forecast> {
    clock.trusted()?;
    let moment = Moment { as_of, since: as_of - grace, now: clock.now() };
    let mut transaction = db.snapshot().await?;
    let accounts = store::accounts(&mut transaction, moment).await?;
    let fees = if with_fees { store::fees(&mut transaction, moment).await? } else { Vec::new() };
    transaction.rollback().await?;
    let mut total = Billed::default();
    for account in &accounts {
        total.add(account.charged, account.amount)?;
        total.suspended += i64::from(account.suspended);
        total.activated += i64::from(account.activated);
        total.released += account.released.unsigned_abs();
    }
    Ok(Forecast { total, accounts, fees })
}
