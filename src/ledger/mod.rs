//! The ledger: what moved an account's money. Entries are only ever added; the balance is their sum.
//!
//! A purchase and a fee write their own entries, within their statements (see `purchases` and `billing`).

use crate::db::Transaction;
use crate::error::{Code, Result, violated};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::AccountSid;

mod store;

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
/// 29002 for nothing, 20404 when there is no such account, 29001 when a debit exceeds the balance.
pub async fn transfer(
    within: &mut Transaction,
    clock: &Clock,
    account: AccountSid,
    direction: Direction,
    amount: Money,
    note: Option<&str>,
) -> Result<Money> {
    if amount == Money::ZERO {
        return Err(Code::InvalidParameter.because("The amount must be more than 0.00"));
    }
    store::hold(within, account).await?;
    match store::transfer(within, account, direction, amount, note, clock.now()).await {
        Ok(Some(balance)) => Ok(balance),
        Ok(None) => Err(Code::NotFound.because(format!("There is no open account {account}"))),
        Err(error) if violated(&error) == Some("accounts_balance_not_negative") => {
            Err(Code::InsufficientBalance.because(format!("The balance of {account} is less than {amount}")))
        }
        Err(error) => Err(error.into()),
    }
}
