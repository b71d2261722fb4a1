//! The audit: proves over the whole database that money and stock add up, and reports every breach.
//!
//! It reads in portions: some accounts, numbers or ledger entries at a time. Each statement on a portion reads all that it
//! judges, and so judges one moment exactly, also while others buy and release. One snapshot of the whole database would
//! be simpler. But while it lasts, PostgreSQL keeps every old row, and buyers step over ever more of them. Only what operators
//! entered, transfers and the families of accounts are read at once: they do not grow with what is sold.

use chrono::{DateTime, Datelike, NaiveTime, Utc};

use crate::db::Db;
use crate::error::Result;

mod ledger;
mod portions;
mod store;

/// A broken invariant.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Breach {
    /// The number of the invariant: 1 balances, 2 holders, 3 purchases, 4 months, 5 overlaps, 6 corrections,
    /// 7 families.
    pub invariant: i32,
    /// What it is about: an account Sid, phone number, number Sid, or kind and area code.
    pub subject: String,
    pub what: String,
}

/// How much of the ledger is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Full,
    /// What came after the months that were closed at the last audit. All else of the ledger counts as proven.
    Open,
}

/// Every breach of the seven invariants, in their order:
///
/// 1. an account's balance is the sum of its ledger entries and never negative, and every
///    entry's `balance_after` is the running sum;
/// 2. a number in use has exactly one open tenancy, any other has none; an account's counts of
///    numbers and their monthly fees are those of its open tenancies, and the stock's counts are
///    those of its numbers;
/// 3. every purchase has one tenancy, one ledger entry and one number, and the other way round; the payer of the account
///    that bought has paid for it;
/// 4. no month of a tenancy is charged twice, none after its end, each to the payer of the account that
///    held it and at the price of its sale; the next one is due on the day on which it begins;
/// 5. no two tenancies of a number overlap, transfers included: at any moment it had one holder or none;
/// 6. what reverses an entry undoes it whole, the halves of a transfer cancel out, and a key belongs to a credit or debit;
/// 7. an owner is a main account, and open while a sub-account of it is; it counts those. A sub-account is suspended with
///    its owner, and has no money.
///
/// If all hold, what is proven of closed months is kept as a checkpoint, where the database takes writes.
///
/// # Errors
/// If the database is out of reach.
pub async fn audit(db: &Db, extent: Extent, now: DateTime<Utc>) -> Result<Vec<Breach>> {
    let month = month_of(now);
    let mut proof = ledger::Proof::begin(db, extent, month).await?;
    let mut breaches = ledger::entries(db, &mut proof, month).await?;
    breaches.extend(portions::accounts(db, &proof).await?);
    breaches.extend(portions::numbers(db, proof.paid_until()).await?);
    breaches.extend(store::transfers(db).await?);
    breaches.extend(store::corrections(db).await?);
    breaches.extend(store::families(db).await?);
    breaches.sort_unstable();
    if breaches.is_empty() {
        proof.keep(db, now).await?;
    }
    Ok(breaches)
}

/// The beginning of a moment's month, UTC.
fn month_of(now: DateTime<Utc>) -> DateTime<Utc> {
    let first = now.date_naive().with_day(1).unwrap_or(now.date_naive());
    first.and_time(NaiveTime::MIN).and_utc()
}
