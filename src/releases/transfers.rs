//! Transfers: a tenancy that goes on under another account.

use std::collections::HashMap;

use super::{Refused, hold_in_use};
use crate::accounts::Status;
use crate::db::transact::transact;
use crate::db::{Db, Transaction};
use crate::error::{Denied, Result};
use crate::numbers::{self, Biography};
use crate::values::clock::Clock;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// Moves a number to another account. Its tenancy goes on there with the same Sid, settings, price and fee days. No money
/// moves. Months that the old holder has not paid go with the number: the next run charges them to the new holder. `sid` is the tenancy that is meant; `None` means the open one.
/// Returns all that is known of the number.
///
/// # Errors
/// [`Refused::NotInStock`], [`Refused::NotInUse`], [`Refused::HeldUnderAnother`], [`Refused::SameAccount`],
/// [`Refused::NoTaker`], [`Refused::TakerClosed`], [`Refused::TakerSuspended`], and when this machine's clock is wrong.
pub async fn transfer(
    db: &Db,
    clock: &Clock,
    number: PhoneNumber,
    sid: Option<NumberSid>,
    to: AccountSid,
    note: Option<&str>,
) -> Result<Biography, Denied<Refused>> {
    clock.trusted()?;
    transact(db, async |within| {
        let sid = hold_in_use(within, number, sid).await?;
        let from = store::holder(within, sid).await?;
        if from == to {
            return Err(Refused::SameAccount(number, to).into());
        }
        refuse_unless_active(within, from, to).await?;
        let asked = store::Transfer { number, sid, from, to, note };
        store::transfer(within, &asked, clock.now()).await?;
        Ok(numbers::biography_within(within, number).await?.ok_or(Refused::NotInStock(number))?)
    })
    .await
}

/// Locks both accounts. Refuses unless the account that takes the number is active.
async fn refuse_unless_active(
    within: &mut Transaction,
    from: AccountSid,
    to: AccountSid,
) -> Result<(), Denied<Refused>> {
    let both: HashMap<_, _> = store::hold_accounts(within, &[from, to]).await?.into_iter().collect();
    match both.get(&to) {
        None => Err(Refused::NoTaker(to).into()),
        Some(Status::Closed) => Err(Refused::TakerClosed(to).into()),
        Some(Status::Suspended) => Err(Refused::TakerSuspended(to).into()),
        Some(Status::Active) => Ok(()),
    }
}
