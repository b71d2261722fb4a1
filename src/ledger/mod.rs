//! The ledger: what moved an account's money. Entries are only ever added; the balance is their sum.
//!
//! A purchase and a fee write their own entries, within their statements (see `purchases` and `billing`).

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
    /// Of 0.00.
    Nothing,
    /// No such account, or a closed one, which takes no credit.
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

/// Moves money, within a transaction that then holds the account, and returns the balance after it. A closed
/// account can be debited, to pay out what is left, but not credited.
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
