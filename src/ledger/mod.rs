//! The ledger: one entry for each change of an account's balance. Entries are never changed or deleted, and the
//! balance is their sum.
//!
//! The statements of `purchases` and `billing` write their own entries.

use crate::db::transact::transact;
use crate::db::{Db, Transaction, violated};
use crate::error::{Denied, Refuses, Result};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::AccountSid;

mod store;

/// Why no money was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The amount is 0.00.
    Nothing,
    /// There is no such account; or it is closed, and a closed account takes no credit.
    NoOpenAccount(AccountSid),
    Insufficient {
        account: AccountSid,
        amount: Money,
    },
}

impl Refuses for Refused {}

/// An account's balance after a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Debited {
    pub sid: AccountSid,
    pub balance: Money,
}

/// Takes money off an account.
///
/// # Errors
/// Those of [`transfer`].
pub async fn debit(
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    amount: Money,
    note: Option<&str>,
) -> Result<Debited, Denied<Refused>> {
    let moved = async |within: &mut _| transfer(within, clock, account, Direction::Debit, amount, note).await;
    transact(db, moved).await.map(|balance| Debited { sid: account, balance })
}

/// An operator's credit or debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Credit,
    Debit,
}

/// Moves money and returns the new balance. The transaction then holds a lock on the account. A closed account can be
/// debited, to pay out the rest, but not credited.
///
/// # Errors
/// Each [`Refused`].
pub async fn transfer(
    within: &mut Transaction,
    clock: &Clock,
    account: AccountSid,
    direction: Direction,
    amount: Money,
    note: Option<&str>,
) -> Result<Money, Denied<Refused>> {
    if amount == Money::ZERO {
        return Err(Refused::Nothing.into());
    }
    store::hold(within, account).await?;
    match store::transfer(within, account, direction, amount, note, clock.now()).await {
        Ok(Some(balance)) => Ok(balance),
        Ok(None) => Err(Refused::NoOpenAccount(account).into()),
        Err(error) if violated(&error) == Some("accounts_balance_not_negative") => {
            Err(Refused::Insufficient { account, amount }.into())
        }
        Err(error) => Err(error.into()),
    }
}
