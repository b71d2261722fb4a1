//! Billing: monthly fees, and what becomes of accounts that cannot pay them.
//!
//! A tenancy names the month that is charged next and the day on which that begins (`due_month` and
//! `due_on`). Charging one writes the ledger entry, takes it from the balance and goes on to the next
//! month, in one transaction that holds the account: a second run finds nothing due.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::db::Db;
use crate::db::transact::{again, commit};
use crate::error::{Error, Result};
use crate::releases;
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::{AccountSid, NumberSid};

mod credits;
mod standing;
mod store;

pub use credits::{Credited, Reversed, Transferred, credit, reverse, transfer};
pub use standing::{MOST_OVERDUE, Overdue, Standing, standing};
use store::Charges;

/// What a run of the fees did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Billed {
    /// Months that were charged.
    pub charged: i64,
    /// What they came to.
    pub amount: Money,
    /// Accounts that could not pay and were suspended.
    pub suspended: i64,
    /// Accounts that can pay by now, did, and are active again.
    pub activated: i64,
    /// Numbers that were released because their grace period has ended.
    pub released: u64,
}

impl Billed {
    fn add(&mut self, charged: i64, amount: Money) -> Result<()> {
        self.charged += charged;
        let sum = self.amount.checked_add(amount);
        self.amount =
            sum.ok_or_else(|| Error::Internal("the fees of one run are too much to be summed up".to_owned()))?;
        Ok(())
    }
}

/// Charges every fee that is due by `as_of`, the longest due first; suspends accounts that cannot pay, and
/// activates those that by now can; releases what was not paid for longer than `grace`. `progress` hears how
/// many more were looked at.
///
/// The work is done in batches, each by itself: killed at any point, the next run goes on; several
/// at once charge each month once.
///
/// # Errors
/// When the database is out of reach, or this machine's clock is wrong; what was charged stays.
pub async fn bill(
    db: &Db,
    clock: &Clock,
    as_of: DateTime<Utc>,
    grace: TimeDelta,
    mut progress: impl FnMut(u64),
) -> Result<Billed> {
    clock.trusted()?;
    let mut billed = Billed { charged: 0, amount: Money::ZERO, suspended: 0, activated: 0, released: 0 };
    // Where a number has gone, the balance may cover what is left.
    for account in store::solvent(db, as_of.date_naive()).await? {
        if let Some(settled) = again(|| settle(db, clock, account, as_of)).await? {
            billed.add(settled.charged, settled.amount)?;
            billed.activated += 1;
        }
    }
    let mut from = NaiveDate::default();
    while let Some((day, many, charges)) = again(|| charge(db, clock, from, as_of.date_naive())).await? {
        from = day;
        billed.add(charges.charged, charges.amount)?;
        billed.suspended += charges.suspended;
        progress(many);
    }
    billed.released = release_unpaid(db, clock, as_of - grace).await?;
    Ok(billed)
}

async fn settle(db: &Db, clock: &Clock, account: AccountSid, by: DateTime<Utc>) -> Result<Option<Settled>> {
    let mut transaction = db.begin().await?;
    store::hold(&mut transaction, account).await?;
    let settled = store::settle(&mut transaction, account, by, clock.now()).await?;
    commit(transaction).await?;
    Ok(settled)
}

/// Charges what is due next, from a day on and by the end of another: the day, how many tenancies, and what came of it.
async fn charge(db: &Db, clock: &Clock, from: NaiveDate, by: NaiveDate) -> Result<Option<(NaiveDate, u64, Charges)>> {
    let mut transaction = db.begin().await?;
    // A fresh look after the accounts are held: no month is charged twice, no released number at all.
    let due = store::hold_due(&mut transaction, from, by).await?;
    let Some(Due { due_on, .. }) = due.first() else { return Ok(None) };
    let sids: Vec<_> = due.iter().map(|due| due.sid).collect();
    let charges = store::charge(&mut transaction, &sids, *due_on, clock.now()).await?;
    commit(transaction).await?;
    Ok(Some((*due_on, due.len() as u64, charges)))
}

/// How many numbers have a fee due by `as_of`.
///
/// # Errors
/// When the database is out of reach.
pub async fn count_due(db: &Db, as_of: DateTime<Utc>) -> Result<u64> {
    Ok(store::count_due(db, as_of.date_naive()).await?.unsigned_abs())
}

/// A fee that is due.
#[derive(Debug)]
struct Due {
    sid: NumberSid,
    due_on: NaiveDate,
}

async fn release_unpaid(db: &Db, clock: &Clock, since: DateTime<Utc>) -> Result<u64> {
    let mut released = 0;
    loop {
        match again(|| releases::release_unpaid(db, clock, since)).await? {
            0 => return Ok(released),
            some => released += some,
        }
    }
}

/// What an unpaid account has paid after all.
struct Settled {
    charged: i64,
    amount: Money,
}
