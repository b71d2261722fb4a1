//! Billing: monthly fees, and what happens to accounts that cannot pay them.
//!
//! A tenancy holds the month that is charged next (`due_month`) and the day on which that month begins (`due_on`). To
//! charge a month, one transaction locks the account, writes the ledger entry, takes the fee from the balance and
//! sets the next month. So a second run finds nothing due.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::db::transact::{SHORTEST_WAIT, again, begin_waiting, commit_unless_busy, patience};
use crate::db::{Db, Transaction};
use crate::error::{Error, Result};
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

/// What a run of billing did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
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
    /// Payers of whom other sessions had locked something for too long: their fees and unpaid numbers are left for the next run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub busy: Vec<AccountSid>,
}

impl Billed {
    /// Adds what one transaction did.
    fn plus(&mut self, done: Step) -> Result<()> {
        let Step { charged, amount, suspended, activated } = done;
        let sum = self.amount.checked_add(amount);
        self.amount =
            sum.ok_or_else(|| Error::Internal("the fees of one run are too much to be summed up".to_owned()))?;
        self.charged += charged;
        self.suspended += suspended;
        self.activated += activated;
        Ok(())
    }
}

/// What one transaction of a run did.
#[derive(Debug, Default)]
struct Step {
    charged: i64,
    amount: Money,
    suspended: i64,
    activated: i64,
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
/// after each transaction that charges.
///
/// What is due is looked for without locks, and charged in portions, each in its own transaction. If a run is killed, the
/// next one continues. If several run at once, each month is still charged once. A payer that another session has locked
/// keeps no other from being charged.
///
/// # Errors
/// If the database is out of reach, or this machine's clock is wrong. What was charged by then stays charged.
pub async fn bill(
    db: &Db,
    clock: &Clock,
    as_of: DateTime<Utc>,
    grace: TimeDelta,
    progress: impl FnMut(Progress),
) -> Result<Billed> {
    clock.trusted()?;
    let mut run = Run { db, clock, progress, billed: Billed::default() };
    run.settle(as_of).await?;
    run.charge(as_of.date_naive()).await?;
    let mut billed = run.billed;
    billed.released = releases::release_unpaid(db, clock, as_of - grace, &mut billed.busy).await?;
    Ok(billed)
}

/// A run of billing, and what it has done so far.
struct Run<'a, P> {
    db: &'a Db,
    clock: &'a Clock,
    progress: P,
    billed: Billed,
}

/// How many fees one transaction charges. Until its end it holds the accounts that pay, which may want to buy.
const AT_ONCE: usize = 100;

impl<P: FnMut(Progress)> Run<'_, P> {
    /// Lets suspended accounts pay whose balance covers what they owe, as it may after numbers were released.
    async fn settle(&mut self, by: DateTime<Utc>) -> Result<()> {
        for payer in store::solvent(self.db, by.date_naive()).await? {
            let wait = patience(self.billed.busy.len());
            match again(|| settle(self.db, self.clock, payer, by, wait)).await? {
                Some(settled) => self.committed(settled, 0)?,
                None => self.billed.busy.push(payer),
            }
        }
        Ok(())
    }

    async fn charge(&mut self, by: NaiveDate) -> Result<()> {
        let mut from = NaiveDate::default();
        loop {
            let due = store::due(self.db, from, by, &self.billed.busy).await?;
            let Some(Due { day, .. }) = due.first() else { return Ok(()) };
            from = *day;
            for some in due.chunks(AT_ONCE) {
                self.charge_portion(some, from).await?;
            }
        }
    }

    /// Charges fees that are due on this day. Payers of whom others have locked something are left until the rest has paid, and
    /// are then waited for one by one: while this waits, it holds nobody else.
    async fn charge_portion(&mut self, due: &[Due], day: NaiveDate) -> Result<()> {
        let mut left: Vec<_> = due.chunk_by(|one, other| one.payer == other.payer).collect();
        // Of one that was busy in a portion before, too: what it owes is charged in its order.
        left.retain(|of_payer| !self.billed.busy.contains(&of_payer[0].payer));
        if left.len() > 1 {
            let due = left.concat();
            let (charged, paid) = again(|| charge_free(self.db, self.clock, &due, day)).await?.unwrap_or_default();
            left.retain(|of_payer| !paid.contains(&of_payer[0].payer));
            self.committed(charged, due.len() - left.iter().map(|of_payer| of_payer.len()).sum::<usize>())?;
        }
        for of_payer in left {
            let wait = patience(self.billed.busy.len());
            match again(|| charge_payer(self.db, self.clock, of_payer, day, wait)).await? {
                Some(charged) => self.committed(charged, of_payer.len())?,
                None => self.billed.busy.push(of_payer[0].payer),
            }
        }
        Ok(())
    }

    /// Counts what a transaction did, once it is committed.
    fn committed(&mut self, charged: Step, looked_at: usize) -> Result<()> {
        self.billed.plus(charged)?;
        (self.progress)(Progress { looked_at: looked_at as u64, charged: self.billed.charged });
        Ok(())
    }
}

/// Lets a suspended account pay what it owes, if its balance still covers that. `None` if others have locked something of it.
async fn settle(db: &Db, clock: &Clock, payer: AccountSid, by: DateTime<Utc>, wait: Duration) -> Result<Option<Step>> {
    let mut transaction = begin_waiting(db, wait).await?;
    let settled = async {
        store::hold(&mut transaction, payer).await?;
        Ok(store::settle(&mut transaction, payer, by, clock.now()).await?.unwrap_or_default())
    };
    let settled = settled.await;
    commit_unless_busy(transaction, settled).await
}

/// Charges fees of those payers that nobody else has locked. Returns who these are; `None` if others have locked something else
/// that belongs to one of them.
async fn charge_free(db: &Db, clock: &Clock, due: &[Due], day: NaiveDate) -> Result<Option<(Step, Vec<AccountSid>)>> {
    let mut payers: Vec<_> = due.iter().map(|due| due.payer).collect();
    payers.dedup();
    let mut transaction = begin_waiting(db, SHORTEST_WAIT).await?;
    let charged = async {
        let free = store::hold_free(&mut transaction, &payers).await?;
        let due = due.iter().filter(|due| free.contains(&due.payer));
        Ok((charge_locked(&mut transaction, due, day, clock.now()).await?, free))
    };
    let charged = charged.await;
    commit_unless_busy(transaction, charged).await
}

/// Charges fees of one payer. `None` if others have locked something of it.
async fn charge_payer(db: &Db, clock: &Clock, due: &[Due], day: NaiveDate, wait: Duration) -> Result<Option<Step>> {
    let mut transaction = begin_waiting(db, wait).await?;
    let charged = async {
        store::hold(&mut transaction, due[0].payer).await?;
        charge_locked(&mut transaction, due.iter(), day, clock.now()).await
    };
    let charged = charged.await;
    commit_unless_busy(transaction, charged).await
}

/// Charges fees whose payers are locked. Their tenancies are read again only now: so no month is charged twice, and no released
/// number is charged.
async fn charge_locked(
    within: &mut Transaction,
    due: impl Iterator<Item = &Due>,
    day: NaiveDate,
    now: DateTime<Utc>,
) -> sqlx::Result<Step> {
    let (sids, accounts): (Vec<_>, Vec<_>) = due.map(|due| (due.sid, due.account)).unzip();
    store::charge(within, &sids, &accounts, day, now).await
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
#[derive(Clone, Debug)]
struct Due {
    sid: NumberSid,
    account: AccountSid,
    payer: AccountSid,
    day: NaiveDate,
}
