//! Billing: monthly fees, and what happens to accounts that cannot pay them.
//!
//! A tenancy holds the month that is charged next (`due_month`) and the day on which that month begins (`due_on`). To
//! charge a month, one transaction locks the account, writes the ledger entry, takes the fee from the balance and
//! sets the next month. So a second run finds nothing due.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::db::transact::{again, commit};
use crate::db::{Db, Transaction};
use crate::error::{Error, Result, Unavailable};
use crate::releases;
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::{AccountSid, NumberSid};

mod credits;
mod forecast;
mod standing;
mod store;

pub use credits::{Credited, Reversed, Transferred, credit, reverse, transfer};
pub use forecast::{Fee, Foreseen, Outlook, forecast};
pub use standing::{MOST_OVERDUE, Overdue, Standing, standing};
use store::Charges;

/// What a run of billing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Billed {
    /// Months that were charged.
    pub charged: i64,
    /// The sum of their fees.
    pub amount: Money,
    /// Accounts that could not pay and were suspended.
    pub suspended: i64,
    /// Accounts that were suspended, have now paid, and are active again.
    pub activated: i64,
    /// Numbers that were released because their grace period has ended.
    pub released: u64,
}

impl Billed {
    fn add(&mut self, more: Self) -> Result<()> {
        let sum = self.amount.checked_add(more.amount);
        *self = Self {
            charged: self.charged + more.charged,
            amount: sum
                .ok_or_else(|| Error::Internal("the fees of one run are too much to be summed up".to_owned()))?,
            suspended: self.suspended + more.suspended,
            activated: self.activated + more.activated,
            released: self.released + more.released,
        };
        Ok(())
    }
}

/// How far a run of billing has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The tenancies that were looked at since the last time.
    pub looked_at: u64,
    /// The months that were charged since the beginning.
    pub charged: i64,
}

/// Charges every fee that is due by `as_of`, the oldest first. Suspends accounts that cannot pay, and activates
/// suspended ones that can pay now. Releases numbers that were not paid for longer than `grace`. Calls `progress`
/// after each transaction.
///
/// What is due is looked for without locks, and charged in portions, each in its own transaction. If a run is killed, the
/// next one continues. If several run at once, each month is still charged once.
///
/// # Errors
/// If the database is out of reach, or this machine's clock is wrong. What was charged by then stays charged.
/// [`Unavailable::Held`] after all else is done, if others held payers for too long.
pub async fn bill(
    db: &Db,
    clock: &Clock,
    as_of: DateTime<Utc>,
    grace: TimeDelta,
    progress: impl FnMut(Progress),
) -> Result<Billed> {
    clock.trusted()?;
    let mut run = Run { db, clock, progress, billed: Billed::default(), held: Vec::new() };
    run.settle(as_of).await?;
    run.charge(as_of.date_naive()).await?;
    run.billed.released = releases::release_unpaid(db, clock, as_of - grace, &mut run.held).await?;
    match run.held.first() {
        Some(&first) => Err(Error::Unavailable(Unavailable::Held { first, payers: run.held.len() })),
        None => Ok(run.billed),
    }
}

/// A run of billing, and how far it has come.
struct Run<'a, P> {
    db: &'a Db,
    clock: &'a Clock,
    progress: P,
    billed: Billed,
    /// Payers whom others held for too long. The rest of the run passes them by.
    held: Vec<AccountSid>,
}

/// How many fees one transaction charges. Until its end it holds the accounts that pay, which may want to buy.
const AT_ONCE: usize = 100;

impl<P: FnMut(Progress)> Run<'_, P> {
    /// Lets suspended accounts pay whose balance covers what they owe, as it may after numbers were released.
    async fn settle(&mut self, by: DateTime<Utc>) -> Result<()> {
        for payer in store::solvent(self.db, by.date_naive()).await? {
            match again(|| settle(self.db, self.clock, payer, by)).await? {
                Some(settled) => self.billed.add(settled)?,
                None => self.held.push(payer),
            }
        }
        Ok(())
    }

    async fn charge(&mut self, by: NaiveDate) -> Result<()> {
        let mut from = NaiveDate::default();
        loop {
            let due = store::due(self.db, from, by, &self.held).await?;
            let Some(Due { day, .. }) = due.first() else { return Ok(()) };
            from = *day;
            for some in due.chunks(AT_ONCE) {
                self.charge_portion(some, from).await?;
            }
        }
    }

    /// Charges fees that are due on this day. Payers whom others hold are left until the rest has paid, and are then waited
    /// for one by one: while this waits, it holds nobody.
    async fn charge_portion(&mut self, due: &[Due], day: NaiveDate) -> Result<()> {
        let (db, clock) = (self.db, self.clock);
        let mut left: Vec<_> = due.chunk_by(|one, other| one.payer == other.payer).collect();
        if left.len() > 1 {
            let (charges, free) = again(|| charge_free(db, clock, due, day)).await?;
            left.retain(|of_payer| !free.contains(&of_payer[0].payer));
            self.add(charges, due.len() - left.iter().map(|of_payer| of_payer.len()).sum::<usize>())?;
        }
        for of_payer in left {
            let payer = of_payer[0].payer;
            if self.held.contains(&payer) {
                continue;
            }
            match again(|| charge_payer(db, clock, of_payer, day)).await? {
                Some(charges) => self.add(charges, of_payer.len())?,
                None => self.held.push(payer),
            }
        }
        Ok(())
    }

    /// Counts what a transaction did that has been committed.
    fn add(&mut self, billed: Billed, looked_at: usize) -> Result<()> {
        self.billed.add(billed)?;
        (self.progress)(Progress { looked_at: looked_at as u64, charged: self.billed.charged });
        Ok(())
    }
}

/// Lets a suspended account pay what it owes, if its balance still covers that. `None` if others held it for too long.
async fn settle(db: &Db, clock: &Clock, payer: AccountSid, by: DateTime<Utc>) -> Result<Option<Billed>> {
    let mut transaction = db.begin().await?;
    if !store::hold(&mut transaction, payer).await? {
        return Ok(None);
    }
    let settled = store::settle(&mut transaction, payer, by, clock.now()).await?;
    commit(transaction).await?;
    Ok(Some(settled.map(Billed::from).unwrap_or_default()))
}

/// Charges fees of the payers whom nobody holds. Returns who these are.
async fn charge_free(db: &Db, clock: &Clock, due: &[Due], day: NaiveDate) -> Result<(Billed, Vec<AccountSid>)> {
    let mut transaction = db.begin().await?;
    let mut payers: Vec<_> = due.iter().map(|due| due.payer).collect();
    payers.dedup();
    let free = store::hold_free(&mut transaction, &payers).await?;
    let due = due.iter().filter(|due| free.contains(&due.payer));
    let charges = charge(&mut transaction, due, day, clock.now()).await?;
    commit(transaction).await?;
    Ok((charges, free))
}

/// Charges fees of one payer. `None` if others held it for too long.
async fn charge_payer(db: &Db, clock: &Clock, due: &[Due], day: NaiveDate) -> Result<Option<Billed>> {
    let mut transaction = db.begin().await?;
    if !store::hold(&mut transaction, due[0].payer).await? {
        return Ok(None);
    }
    let charges = charge(&mut transaction, due.iter(), day, clock.now()).await?;
    commit(transaction).await?;
    Ok(Some(charges))
}

/// Charges fees whose payers are locked. Their tenancies are read again only now: so no month is charged twice, and no released
/// number is charged.
async fn charge(
    within: &mut Transaction,
    due: impl Iterator<Item = &Due>,
    day: NaiveDate,
    now: DateTime<Utc>,
) -> Result<Billed> {
    let (sids, accounts): (Vec<_>, Vec<_>) = due.map(|due| (due.sid, due.account)).unzip();
    Ok(store::charge(within, &sids, &accounts, day, now).await?.into())
}

/// How many months are due by `as_of`, but for those that unpaid accounts owe.
///
/// # Errors
/// When the database is out of reach.
pub async fn count_due(db: &Db, as_of: DateTime<Utc>) -> Result<u64> {
    Ok(store::count_due(db, as_of.date_naive()).await?.unsigned_abs())
}

/// When a run has something to do next: the earliest due day of a fee, or end of a grace period. It may be in the past.
/// What a release or a credit changes is not foreseen.
///
/// # Errors
/// When the database is out of reach.
pub async fn next_due(db: &Db, grace: TimeDelta) -> Result<Option<DateTime<Utc>>> {
    let days = i32::try_from(grace.num_days()).unwrap_or(i32::MAX);
    Ok(store::next_due(db, days).await?)
}

/// A fee that is due.
#[derive(Debug)]
struct Due {
    sid: NumberSid,
    account: AccountSid,
    payer: AccountSid,
    day: NaiveDate,
}

/// What an unpaid account has paid later.
struct Settled {
    charged: i64,
    amount: Money,
}

impl From<Settled> for Billed {
    fn from(Settled { charged, amount }: Settled) -> Self {
        Self { charged, amount, activated: 1, ..Self::default() }
    }
}

impl From<Charges> for Billed {
    fn from(Charges { charged, amount, suspended }: Charges) -> Self {
        Self { charged, amount, suspended, ..Self::default() }
    }
}
