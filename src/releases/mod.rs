//! Releases: how a number leaves its holder, and how it may come back.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::accounts::{self, Account, Leftover};
use crate::db::batch::Writes;
use crate::db::transact::{again, commit, transact};
use crate::db::{Db, Transaction};
use crate::error::{Denied, Refuses, Result};
use crate::inventory::State;
use crate::numbers::{self, Biography};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// Why a number is not released, or not given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The account holds no such number (any more).
    NotHeld,
    NeverSold(NumberSid),
    /// Held under this Sid already.
    IsHeld(PhoneNumber, NumberSid),
    NotQuarantined(PhoneNumber, State),
    /// Another account had it after this tenancy.
    NotLast(PhoneNumber, NumberSid),
    /// The account that held it is closed.
    HolderClosed(NumberSid),
}

impl Refuses for Refused {}

/// Releases of single numbers. Those that come at once are one statement, and one transaction.
#[derive(Clone)]
pub struct Releases {
    batches: Arc<Writes<(AccountSid, NumberSid), ()>>,
    clock: Clock,
}

impl Releases {
    pub fn new(db: &Db, clock: &Clock, most_waiting: usize) -> Self {
        let its_clock = clock.clone();
        let release = move |db, asked: Vec<_>| {
            let now = its_clock.now();
            async move { release_past(&db, asked, now).await }
        };
        Self { batches: Arc::new(Writes::new(db, most_waiting, release)), clock: clock.clone() }
    }

    /// How many wait for the batch under way.
    pub fn waiting(&self) -> usize {
        self.batches.waiting()
    }

    /// Ends the tenancy at once; the number goes into quarantine. `db` is for what has to be done alone.
    ///
    /// # Errors
    /// [`Refused::NotHeld`]
    pub async fn release(&self, db: &Db, account: AccountSid, sid: NumberSid) -> Result<(), Denied<Refused>> {
        match self.batches.join((account, sid)).await? {
            Some(()) => Ok(()),
            None => release_alone(db, &self.clock, account, sid).await,
        }
    }
}

async fn release_past(
    db: &Db,
    asked: Vec<(AccountSid, NumberSid)>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Option<()>>> {
    let mut released = store::release_past(db, &asked, now).await?;
    // Of several for one number the first has released it.
    Ok(asked.iter().map(|asked| released.remove(asked).then_some(())).collect())
}

async fn release_alone(db: &Db, clock: &Clock, account: AccountSid, sid: NumberSid) -> Result<(), Denied<Refused>> {
    again(|| async {
        match store::release(db, account, sid, clock.now()).await? {
            0 => Err(Refused::NotHeld.into()),
            _ => Ok(()),
        }
    })
    .await
}

/// How an account is to be closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Releases the numbers that it holds.
    pub releases: bool,
    /// What becomes of its money, where it has any.
    pub leftover: Option<Leftover>,
    pub note: Option<&'a str>,
}

/// An account that was closed.
#[derive(Debug)]
pub struct Closed {
    pub account: Account,
    pub refunded: Money,
    /// Numbers that were released with it.
    pub released: u64,
}

/// Closes an account for good, releases the numbers that it holds if that is wanted, and refunds its balance if that is
/// wanted: all of it in one transaction, or nothing.
///
/// # Errors
/// [`accounts::Refused::Unknown`], [`accounts::Refused::HoldsNumbers`], [`accounts::Refused::HoldsMoney`]
pub async fn close_account(
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    Closing { releases, leftover, note }: Closing<'_>,
) -> Result<Closed, Denied<accounts::Refused>> {
    transact(db, async |within| {
        let mut released = if releases { store::release_all(within, account, clock.now()).await? } else { 0 };
        let mut closed = accounts::close(within, clock, account, leftover, note).await;
        if releases && matches!(closed, Err(Denied::Refused(accounts::Refused::HoldsNumbers { .. }))) {
            // A purchase may have come in between. The account is locked by now, so none comes any more. A release of
            // that number by its holder may deadlock with this one: PostgreSQL ends one of them after a second, and it
            // is done again.
            released += store::release_all(within, account, clock.now()).await?;
            closed = accounts::close(within, clock, account, leftover, note).await;
        }
        let accounts::Closed { account, refunded } = closed?;
        Ok(Closed { account, refunded, released })
    })
    .await
}

/// Releases numbers whose fee is due since then or longer, of accounts that have not paid since then:
/// some of them, and returns how many; 0 when there are none left.
///
/// # Errors
/// When the database is out of reach.
pub async fn release_unpaid(db: &Db, clock: &Clock, since: DateTime<Utc>) -> Result<u64> {
    let mut transaction = db.begin().await?;
    let released = store::release_unpaid(&mut transaction, since, clock.now()).await?;
    commit(transaction).await?;
    Ok(released)
}

/// Gives a released number back to its last holder, with the same Sid and settings, as long as it is
/// in quarantine. Nothing is charged for it, nor later for months that began while nobody held it. Returns all
/// that is known of the number then.
///
/// # Errors
/// Each [`Refused`] but the first, and when this machine's clock is wrong.
pub async fn restore(db: &Db, clock: &Clock, sid: NumberSid) -> Result<Biography, Denied<Refused>> {
    clock.trusted()?;
    transact(db, async |within| {
        let number = store::hold_number(within, sid).await?.ok_or(Refused::NeverSold(sid))?;
        refuse_unless_last(within, sid, number).await?;
        match store::restore(within, sid, clock.now()).await? {
            0 => Err(Refused::HolderClosed(sid).into()),
            _ => Ok(numbers::biography_within(within, number).await?.ok_or(Refused::NeverSold(sid))?),
        }
    })
    .await
}

async fn refuse_unless_last(
    within: &mut Transaction,
    sid: NumberSid,
    number: PhoneNumber,
) -> Result<(), Denied<Refused>> {
    match store::released(within, sid).await? {
        Released { is_held: true, .. } => Err(Refused::IsHeld(number, sid).into()),
        Released { state, .. } if state != State::Quarantined => Err(Refused::NotQuarantined(number, state).into()),
        Released { is_last: false, .. } => Err(Refused::NotLast(number, sid).into()),
        _ => Ok(()),
    }
}

/// What stands in the way of giving a released number back.
struct Released {
    state: State,
    is_held: bool,
    is_last: bool,
}
