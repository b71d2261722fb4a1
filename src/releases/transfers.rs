//! Transfers: a tenancy that goes on under another account.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::{Refused, hold_in_use};
use crate::accounts::Status;
use crate::db::transact::transact;
use crate::db::{Db, Transaction};
use crate::error::{Denied, Error, Limit, Result};
use crate::numbers::{self, Biography};
use crate::values::clock::Clock;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// How often a tenant may move a number within a day: each transfer is kept for ever.
const MOST_IN_A_DAY: i64 = 100;

/// A number that is to go to another account.
#[derive(Clone, Copy, Debug)]
pub struct Moving<'a> {
    pub number: PhoneNumber,
    /// The tenancy that is meant; `None` means the open one.
    pub sid: Option<NumberSid>,
    /// The account that must hold the number; `None` means any account.
    pub holder: Option<AccountSid>,
    pub to: AccountSid,
    pub note: Option<&'a str>,
}

/// Moves a number to another account. Its tenancy goes on there with the same Sid, settings, price and fee days. No money
/// moves. Months that the old holder has not paid go with the number: the next run charges them to the new holder.
///
/// # Errors
/// [`Refused::NotHeld`], [`Refused::NotInStock`], [`Refused::NotInUse`], [`Refused::HeldUnderAnother`], [`Refused::SameAccount`],
/// [`Refused::NoTaker`], [`Refused::TakerClosed`], [`Refused::TakerSuspended`], and when this machine's clock is wrong.
pub async fn transfer(db: &Db, clock: &Clock, moving: Moving<'_>) -> Result<(), Denied<Refused>> {
    clock.trusted()?;
    transact(db, async |within| transfer_within(within, clock, moving).await).await
}

/// As [`transfer`]. Returns all that is known of the number.
///
/// # Errors
/// Those of [`transfer`].
pub async fn transfer_and_tell(db: &Db, clock: &Clock, moving: Moving<'_>) -> Result<Biography, Denied<Refused>> {
    clock.trusted()?;
    transact(db, async |within| {
        transfer_within(within, clock, moving).await?;
        let told = numbers::biography_within(within, moving.number).await?;
        Ok(told.ok_or(Refused::NotInStock(moving.number))?)
    })
    .await
}

async fn transfer_within(
    within: &mut Transaction,
    clock: &Clock,
    Moving { number, sid, holder, to, note }: Moving<'_>,
) -> Result<(), Denied<Refused>> {
    let sid = hold_in_use(within, number, sid).await?;
    let from = store::holder(within, sid).await?;
    if holder.is_some_and(|holder| holder != from) {
        return Err(Refused::NotHeld.into());
    }
    let now = clock.now();
    if holder.is_some()
        && store::moved_since(within, sid, now - TimeDelta::days(1), MOST_IN_A_DAY).await? >= MOST_IN_A_DAY
    {
        return Err(Error::TooMany { of: Limit::Changes, wait: Duration::from_hours(1) }.into());
    }
    if from == to {
        return Err(Refused::SameAccount(number, to).into());
    }
    refuse_unless_active(within, from, to).await?;
    Ok(store::transfer(within, &store::Transfer { number, sid, from, to, note }, now).await?)
}

/// Locks both accounts. Refuses unless the account that takes the number is active.
async fn refuse_unless_active(
    within: &mut Transaction,
    from: AccountSid,
    to: AccountSid,
) -> Result<(), Denied<Refused>> {
    let both: HashMap<_, _> = super::store::hold_accounts(within, &[from, to]).await?.into_iter().collect();
    match both.get(&to) {
        None => Err(Refused::NoTaker(to).into()),
        Some(Status::Closed) => Err(Refused::TakerClosed(to).into()),
        Some(Status::Suspended) => Err(Refused::TakerSuspended(to).into()),
        Some(Status::Active) => Ok(()),
    }
}
