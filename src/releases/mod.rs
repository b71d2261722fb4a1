//! Releases: how a number leaves its account, and how it can be restored.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::accounts::{self, Account, Holder, Leftover, Reason, Said, Status};
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
mod transfers;

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

/// How an account is to be closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Releases the numbers that it holds.
    pub releases: bool,
    /// What becomes of its money, where it has any.
    pub leftover: Option<Leftover>,
    pub said: Said<'a>,
    /// The numbers and the balance that the operator was shown: no more than these may go.
    pub shown: Option<(i64, Money)>,
}

/// The account that is to be closed, with what goes with it: its numbers and its balance.
///
/// # Errors
/// Those of [`close_account`], as far as they can be foreseen.
pub async fn before_closing(
    db: &Db,
    account: AccountSid,
    closing: Closing<'_>,
) -> Result<Account, Denied<accounts::Refused>> {
    let found = accounts::find(db, account).await?;
    let (numbers, balance) = (found.local_numbers + found.tollfree_numbers, found.balance);
    if numbers > 0 && !closing.releases {
        return Err(accounts::Refused::HoldsNumbers { account, numbers }.into());
    }
    if found.sub_accounts > 0 {
        return Err(accounts::Refused::OwnsAccounts { account, sub_accounts: found.sub_accounts }.into());
    }
    if balance > Money::ZERO && closing.leftover.is_none() && found.status != Status::Closed {
        return Err(accounts::Refused::HoldsMoney { account, balance }.into());
    }
    Ok(found)
}

/// An account that was closed.
#[derive(Debug)]
pub struct Closed {
    pub account: Account,
    pub refunded: Money,
    /// Numbers that were released with it.
    pub released: u64,
}

/// Closes an account for ever and, if wanted, releases its numbers and refunds its balance, all in one transaction.
///
/// # Errors
/// [`accounts::Refused::Unknown`], [`accounts::Refused::HoldsNumbers`], [`accounts::Refused::HoldsMoney`],
/// [`accounts::Refused::HoldsMore`]
pub async fn close_account(
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    Closing { releases, leftover, said, shown }: Closing<'_>,
) -> Result<Closed, Denied<accounts::Refused>> {
    transact(db, async |within| {
        let mut released = if releases { store::release_all(within, account, clock.now()).await? } else { 0 };
        let mut closed = accounts::close(within, clock, account, leftover, said).await;
        if releases && matches!(closed, Err(Denied::Refused(accounts::Refused::HoldsNumbers { .. }))) {
            // Releases numbers that were bought before the account was locked. The holder's own release of such a
            // number may deadlock with this one. PostgreSQL then ends one of them after a second, and it is tried
            // again.
            released += store::release_all(within, account, clock.now()).await?;
            closed = accounts::close(within, clock, account, leftover, said).await;
        }
        let accounts::Closed { account: closed, refunded } = closed?;
        match shown {
            Some((numbers, balance)) if released > numbers.unsigned_abs() || refunded > balance => {
                Err(accounts::Refused::HoldsMore(account).into())
            }
            _ => Ok(Closed { account: closed, refunded, released }),
        }
    })
    .await
}

/// How many numbers are released with a sub-account that its owner closes: one request must do it within its deadline.
const MOST_WITH_SUB_ACCOUNT: i64 = 5_000;

/// Refuses to close a sub-account for its owner, as far as that can be foreseen.
///
/// # Errors
/// [`accounts::Refused::Closed`], [`accounts::Refused::OwnerNotActive`], [`accounts::Refused::HoldsTooMany`]
pub async fn before_closing_by_owner(
    db: &Db,
    Holder { account, payer }: Holder,
) -> Result<(), Denied<accounts::Refused>> {
    let found = accounts::find(db, account).await?;
    if found.status == Status::Closed {
        return Err(accounts::Refused::Closed(account).into());
    }
    if accounts::find(db, payer).await?.status != Status::Active {
        return Err(accounts::Refused::OwnerNotActive(payer).into());
    }
    match found.local_numbers + found.tollfree_numbers {
        held if held > MOST_WITH_SUB_ACCOUNT => Err(accounts::Refused::HoldsTooMany(MOST_WITH_SUB_ACCOUNT).into()),
        _ => Ok(()),
    }
}

/// Closes a sub-account for its owner, and releases its numbers.
///
/// # Errors
/// Those of [`before_closing_by_owner`] and [`close_account`].
pub async fn close_by_owner(db: &Db, clock: &Clock, holder: Holder) -> Result<Account, Denied<accounts::Refused>> {
    before_closing_by_owner(db, holder).await?;
    let closing = Closing {
        releases: true,
        leftover: Some(Leftover::Kept),
        said: Said { by: Reason::Owner, note: None },
        shown: Some((MOST_WITH_SUB_ACCOUNT, Money::ZERO)),
    };
    Ok(close_account(db, clock, holder.account, closing).await?.account)
}

/// Releases numbers whose fee has been due since `since` or longer, of accounts that have been unpaid as long.
/// Releases a limited number of them and returns how many; 0 if there are none left.
///
/// # Errors
/// When the database is out of reach.
pub async fn release_unpaid(db: &Db, clock: &Clock, since: DateTime<Utc>) -> Result<u64> {
    let mut transaction = db.begin().await?;
    let released = store::release_unpaid(&mut transaction, since, clock.now()).await?;
    commit(transaction).await?;
    Ok(released)
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
