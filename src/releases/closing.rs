//! Closing an account. Its numbers leave it first: a few go with it in one transaction, many go some at a time.

use super::{AT_ONCE, store};
use crate::accounts::{self, Account, Holder, Leftover, Reason, Refused, Said, Status};
use crate::db::transact::transact;
use crate::db::{Db, Transaction};
use crate::error::{Denied, Result};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::{AccountSid, NumberSid};

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

impl Closing<'_> {
    /// Refuses to close this account, as far as that can be foreseen.
    fn foresee(self, found: &Account) -> Result<(), Denied<Refused>> {
        let (account, numbers, balance) = (found.sid, found.numbers_held(), found.balance);
        if numbers > 0 && !self.releases {
            return Err(Refused::HoldsNumbers { account, numbers }.into());
        }
        if found.sub_accounts > 0 {
            return Err(Refused::OwnsAccounts { account, sub_accounts: found.sub_accounts }.into());
        }
        if balance > Money::ZERO && self.leftover.is_none() && found.status != Status::Closed {
            return Err(Refused::HoldsMoney { account, balance }.into());
        }
        Ok(())
    }

    /// Refuses to let more go than the operator was shown.
    fn refuse_more(self, account: AccountSid, numbers: u64, refunded: Money) -> Result<(), Denied<Refused>> {
        match self.shown {
            Some((most, balance)) if numbers > most.unsigned_abs() || refunded > balance => {
                Err(Refused::HoldsMore(account).into())
            }
            _ => Ok(()),
        }
    }
}

/// The account that is to be closed, with what goes with it: its numbers and its balance.
///
/// # Errors
/// Those of [`close_account`], as far as they can be foreseen.
pub async fn before_closing(db: &Db, account: AccountSid, closing: Closing<'_>) -> Result<Account, Denied<Refused>> {
    let found = accounts::find(db, account).await?;
    closing.foresee(&found)?;
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

/// As [`close_account_in_portions`], for those who need not hear how far it is.
///
/// # Errors
/// Those of [`close_account_in_portions`].
pub async fn close_account(
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    closing: Closing<'_>,
) -> Result<Closed, Denied<Refused>> {
    close_account_in_portions(db, clock, account, closing, |_| {}).await
}

/// How often a closing finds numbers that came to the account meanwhile, or that do not go, before it is refused.
const MOST_TRIES: u32 = 5;

/// Closes an account for ever and, if wanted, releases its numbers and refunds its balance.
///
/// One that holds few numbers is closed in one transaction. One that holds many is suspended first, so that it buys nothing
/// more, and its numbers go some at a time: then nobody waits long for the account, or for its owner. `progress` hears how many
/// have gone. If this is cut off, the account stays suspended, and the same again goes on with the rest.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::HoldsNumbers`], [`Refused::OwnsAccounts`], [`Refused::HoldsMoney`],
/// [`Refused::HoldsMore`]; [`Refused::Reopened`] if it is made active before it is closed.
pub async fn close_account_in_portions(
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    closing: Closing<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Closed, Denied<Refused>> {
    let (mut released, mut is_shut, mut tries) = (0, false, 1);
    loop {
        let held = if closing.releases { store::held(db, account).await? } else { Vec::new() };
        let are_few = held.len() <= AT_ONCE;
        if are_few {
            let finish = async |within: &mut Transaction| {
                let released = released + store::release_some(within, account, &held, clock.now()).await?;
                if is_shut {
                    refuse_unless_shut(within, account).await?;
                }
                finish(within, clock, account, closing, released, is_shut).await
            };
            match transact(db, finish).await {
                // They were bought, restored or moved to it since they were looked for.
                Err(Denied::Refused(Refused::HoldsNumbers { .. })) if closing.releases && tries < MOST_TRIES => {}
                done => return done,
            }
        } else if tries == MOST_TRIES {
            let numbers = accounts::find(db, account).await?.numbers_held();
            return Err(Refused::HoldsNumbers { account, numbers }.into());
        }
        if !is_shut {
            shut(db, clock, account, closing).await?;
            is_shut = true;
        }
        let before = released;
        for some in held.chunks(AT_ONCE) {
            released += transact(db, async |within| release_some(within, clock, account, some).await).await?;
            progress(released);
        }
        // If none went, another closing was quicker, or what the audit would find keeps them from going.
        if are_few || released == before {
            tries += 1;
        }
    }
}

/// Suspends an account before it is closed. If something that can be foreseen forbids the closing, it refuses and suspends
/// nothing.
async fn shut(db: &Db, clock: &Clock, account: AccountSid, closing: Closing<'_>) -> Result<(), Denied<Refused>> {
    transact(db, async |within| {
        // None if another closing was quicker.
        let Some(found) = accounts::shut(within, clock, account, closing.said.by).await? else { return Ok(()) };
        closing.foresee(&found)?;
        let refunded = if closing.leftover == Some(Leftover::Refunded) { found.balance } else { Money::ZERO };
        closing.refuse_more(account, found.numbers_held().unsigned_abs(), refunded)
    })
    .await
}

/// Releases some of an account's numbers, as long as it stays suspended.
async fn release_some(
    within: &mut Transaction,
    clock: &Clock,
    account: AccountSid,
    numbers: &[NumberSid],
) -> Result<u64, Denied<Refused>> {
    let released = store::release_some(within, account, numbers, clock.now()).await?;
    refuse_unless_shut(within, account).await?;
    Ok(released)
}

/// Locks an account, and refuses if it was made active.
async fn refuse_unless_shut(within: &mut Transaction, account: AccountSid) -> Result<(), Denied<Refused>> {
    let held = store::hold_accounts(within, &[account]).await?;
    match held.into_iter().find(|(sid, _)| *sid == account) {
        Some((_, Status::Active)) => Err(Refused::Reopened(account).into()),
        _ => Ok(()),
    }
}

/// Closes an account whose numbers have gone. What it was credited with while they went, `is_shut`, is refunded too.
async fn finish(
    within: &mut Transaction,
    clock: &Clock,
    account: AccountSid,
    closing: Closing<'_>,
    released: u64,
    is_shut: bool,
) -> Result<Closed, Denied<Refused>> {
    let accounts::Closed { account: closed, refunded } =
        accounts::close(within, clock, account, closing.leftover, closing.said).await?;
    closing.refuse_more(account, released, if is_shut { Money::ZERO } else { refunded })?;
    Ok(Closed { account: closed, refunded, released })
}

/// How many numbers are released with a sub-account that its owner closes: one request must do it within its deadline.
const MOST_WITH_SUB_ACCOUNT: i64 = 5_000;

/// Refuses to close a sub-account for its owner, as far as that can be foreseen.
///
/// # Errors
/// [`Refused::Closed`], [`Refused::OwnerNotActive`], [`Refused::HoldsTooMany`]
pub async fn before_closing_by_owner(db: &Db, Holder { account, payer }: Holder) -> Result<(), Denied<Refused>> {
    let found = accounts::find(db, account).await?;
    if found.status == Status::Closed {
        return Err(Refused::Closed(account).into());
    }
    if accounts::find(db, payer).await?.status != Status::Active {
        return Err(Refused::OwnerNotActive(payer).into());
    }
    match found.numbers_held() {
        held if held > MOST_WITH_SUB_ACCOUNT => Err(Refused::HoldsTooMany(MOST_WITH_SUB_ACCOUNT).into()),
        _ => Ok(()),
    }
}

/// Closes a sub-account for its owner, and releases its numbers. A request that is cut off may have suspended it and
/// released some: the next one goes on.
///
/// # Errors
/// Those of [`before_closing_by_owner`] and [`close_account`].
pub async fn close_by_owner(db: &Db, clock: &Clock, holder: Holder) -> Result<Account, Denied<Refused>> {
    before_closing_by_owner(db, holder).await?;
    let closing = Closing {
        releases: true,
        leftover: Some(Leftover::Kept),
        said: Said { by: Reason::Owner, note: None },
        shown: Some((MOST_WITH_SUB_ACCOUNT, Money::ZERO)),
    };
    Ok(close_account(db, clock, holder.account, closing).await?.account)
}
