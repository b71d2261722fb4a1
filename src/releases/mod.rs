//! Releases: how a number leaves its account, and how it can be restored.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::db::batch::Writes;
use crate::db::transact::{SHORTEST_WAIT, again, begin_waiting, commit_unless_busy, patience, transact};
use crate::db::{Db, Transaction};
use crate::error::{Denied, Refuses, Result};
use crate::inventory::State;
use crate::numbers::{self, Biography};
use crate::values::clock::Clock;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod closing;
mod store;
mod transfers;

pub use closing::{
    Closed, Closing, before_closing, before_closing_by_owner, close_account, close_account_in_portions, close_by_owner,
};
pub use transfers::{Moving, transfer, transfer_and_tell};

/// Why a number is not released, not restored or not moved to another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The account holds no such number (any more).
    NotHeld,
    NotInStock(PhoneNumber),
    /// No account holds it.
    NotInUse(PhoneNumber, State),
    /// The Sid that was named is not that of the open tenancy.
    HeldUnderAnother(PhoneNumber, NumberSid),
    NeverSold(NumberSid),
    /// It is held under this Sid already.
    IsHeld(PhoneNumber, NumberSid),
    NotQuarantined(PhoneNumber, State),
    /// This tenancy is not the number's last one.
    NotLast(PhoneNumber, NumberSid),
    /// The account that held it is closed.
    HolderClosed(NumberSid),
    /// The account that is to take the number holds it already.
    SameAccount(PhoneNumber, AccountSid),
    /// There is no account that is to take the number.
    NoTaker(AccountSid),
    TakerClosed(AccountSid),
    TakerSuspended(AccountSid),
}

impl Refuses for Refused {}

/// How many numbers one transaction releases. Until its end it holds their accounts, and those that pay for them.
const AT_ONCE: usize = 250;

/// Releases of single numbers. Those that come together are one batch: one statement and one transaction.
#[derive(Clone)]
pub struct Releases {
    batches: Arc<Writes<(AccountSid, NumberSid), ()>>,
    clock: Clock,
}

impl Releases {
    pub fn new(clock: &Clock, most_waiting: usize) -> Self {
        let its_clock = clock.clone();
        let release = move |db: Db, asked: Vec<_>| {
            let now = its_clock.now();
            async move { release_past(&db, asked, now).await }
        };
        Self { batches: Arc::new(Writes::new(most_waiting, release)), clock: clock.clone() }
    }

    /// The number of releases that wait for a batch.
    pub fn waiting(&self) -> usize {
        self.batches.waiting()
    }

    /// Ends the tenancy now; the number goes into quarantine. A release that the batch did not do is done alone.
    ///
    /// # Errors
    /// [`Refused::NotHeld`]
    pub async fn release(&self, db: &Db, account: AccountSid, sid: NumberSid) -> Result<(), Denied<Refused>> {
        match self.batches.join(db, (account, sid)).await? {
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
    // If a number was asked for several times, only the first one released it.
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

/// Ends the tenancy of a number, also of a suspended account. The account's events say so, with the note. `sid` is the
/// tenancy that is meant; `None` means the open one. Returns all that is known of the number.
///
/// # Errors
/// [`Refused::NotInStock`], [`Refused::NotInUse`], [`Refused::HeldUnderAnother`], and when this machine's clock is wrong.
pub async fn release_by_operator(
    db: &Db,
    clock: &Clock,
    number: PhoneNumber,
    sid: Option<NumberSid>,
    note: Option<&str>,
) -> Result<Biography, Denied<Refused>> {
    clock.trusted()?;
    transact(db, async |within| {
        hold_in_use(within, number, sid).await?;
        store::release_by_operator(within, number, note, clock.now()).await?;
        Ok(numbers::biography_within(within, number).await?.ok_or(Refused::NotInStock(number))?)
    })
    .await
}

/// Locks a number that is in use. Returns the Sid of its tenancy, whose account cannot change from then on.
async fn hold_in_use(
    within: &mut Transaction,
    number: PhoneNumber,
    sid: Option<NumberSid>,
) -> Result<NumberSid, Denied<Refused>> {
    let (state, held) = store::hold(within, number).await?.ok_or(Refused::NotInStock(number))?;
    let held = held.ok_or(Refused::NotInUse(number, state))?;
    match sid {
        Some(sid) if sid != held => Err(Refused::HeldUnderAnother(number, sid).into()),
        _ => Ok(held),
    }
}

/// Releases numbers whose fee has been due since `since` or longer, of accounts that have been unpaid as long, some at a
/// time. Returns how many. Payers of whom others have locked something for too long are added to `busy`, whom this passes by.
///
/// # Errors
/// When the database is out of reach.
pub async fn release_unpaid(db: &Db, clock: &Clock, since: DateTime<Utc>, busy: &mut Vec<AccountSid>) -> Result<u64> {
    let mut released = 0;
    loop {
        let before = (released, busy.len());
        for some in store::overdue(db, since, busy).await?.chunks(AT_ONCE) {
            released += release_unpaid_portion(db, clock, since, some, busy).await?;
        }
        // Nothing that was found was still overdue. The next run looks again. Where all that was found was busy, others may come
        // after it.
        if (released, busy.len()) == before {
            return Ok(released);
        }
    }
}

/// Releases unpaid numbers. Those that others have locked are left until the rest is released, and are then waited for by payer:
/// while this waits, it holds nothing of another payer.
async fn release_unpaid_portion(
    db: &Db,
    clock: &Clock,
    since: DateTime<Utc>,
    unpaid: &[Unpaid],
    busy: &mut Vec<AccountSid>,
) -> Result<u64> {
    let gone = again(|| release_free(db, clock, since, unpaid)).await?.unwrap_or_default();
    let mut released = gone.len() as u64;
    let left: Vec<_> = unpaid.iter().filter(|unpaid| !gone.contains(&unpaid.sid)).collect();
    for of_payer in left.chunk_by(|one, other| one.payer == other.payer) {
        let (payer, sids) = (of_payer[0].payer, of_payer.iter().map(|unpaid| unpaid.sid).collect::<Vec<_>>());
        if busy.contains(&payer) {
            continue;
        }
        let wait = patience(busy.len());
        match again(|| release_of_payer(db, clock, since, &sids, wait)).await? {
            Some(more) => released += more,
            None => busy.push(payer),
        }
    }
    Ok(released)
}

/// Releases those of these numbers of which others have locked nothing. Returns which; `None` if one of them was in the way
/// after all.
async fn release_free(
    db: &Db,
    clock: &Clock,
    since: DateTime<Utc>,
    unpaid: &[Unpaid],
) -> Result<Option<HashSet<NumberSid>>> {
    let mut transaction = begin_waiting(db, SHORTEST_WAIT).await?;
    let released = store::release_unpaid_past(&mut transaction, unpaid, since, clock.now()).await;
    commit_unless_busy(transaction, released).await
}

/// Releases unpaid numbers of one payer, and returns how many. `None` if others have locked something of it.
async fn release_of_payer(
    db: &Db,
    clock: &Clock,
    since: DateTime<Utc>,
    unpaid: &[NumberSid],
    wait: Duration,
) -> Result<Option<u64>> {
    let mut transaction = begin_waiting(db, wait).await?;
    let released = store::release_unpaid(&mut transaction, unpaid, since, clock.now()).await;
    commit_unless_busy(transaction, released).await
}

/// A number that its payer has not paid for too long.
#[derive(Debug)]
struct Unpaid {
    sid: NumberSid,
    account: AccountSid,
    payer: AccountSid,
}

/// Gives a released number back to its last account, with the same Sid and settings, if it is still in quarantine. It
/// costs nothing, and months that began before it came back and were not charged never are: its release ended them. Returns all that is known
/// of the number.
///
/// # Errors
/// [`Refused::NeverSold`], [`Refused::IsHeld`], [`Refused::NotQuarantined`], [`Refused::NotLast`],
/// [`Refused::HolderClosed`], and when this machine's clock is wrong.
pub async fn restore(db: &Db, clock: &Clock, sid: NumberSid) -> Result<Biography, Denied<Refused>> {
    clock.trusted()?;
    transact(db, async |within| {
        let number = store::hold_number(within, sid).await?.ok_or(Refused::NeverSold(sid))?;
        restore_held(within, clock, sid, number).await
    })
    .await
}

/// As [`restore`], for the last tenancy of a number.
///
/// # Errors
/// Those of [`restore`], and [`Refused::NotInStock`].
pub async fn restore_number(db: &Db, clock: &Clock, number: PhoneNumber) -> Result<Biography, Denied<Refused>> {
    clock.trusted()?;
    transact(db, async |within| {
        let (state, held) = store::hold(within, number).await?.ok_or(Refused::NotInStock(number))?;
        let sid = match held {
            Some(sid) => Some(sid),
            None => store::last_tenancy(within, number).await?,
        };
        restore_held(within, clock, sid.ok_or(Refused::NotQuarantined(number, state))?, number).await
    })
    .await
}

async fn restore_held(
    within: &mut Transaction,
    clock: &Clock,
    sid: NumberSid,
    number: PhoneNumber,
) -> Result<Biography, Denied<Refused>> {
    refuse_unless_last(within, sid, number).await?;
    match store::restore(within, sid, clock.now()).await? {
        0 => Err(Refused::HolderClosed(sid).into()),
        _ => Ok(numbers::biography_within(within, number).await?.ok_or(Refused::NotInStock(number))?),
    }
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

/// What decides whether a released number can be restored.
struct Released {
    state: State,
    is_held: bool,
    is_last: bool,
}
