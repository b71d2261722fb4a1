//! What may be reversed: a credit or debit of an operator, once, as far as the balance covers it.

use chrono::{DateTime, Utc};

use super::{Direction, Irreversible, Refused, hold, store};
use crate::db::Transaction;
use crate::error::{Denied, Result};
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::AccountSid;

/// How many charges a refusal names.
pub const MOST_CHARGES: i64 = 20;

/// A kind of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "entry_kind", rename_all = "snake_case")]
pub enum Kind {
    Credit,
    Debit,
    Purchase,
    MonthlyFee,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
            Self::Purchase => "purchase",
            Self::MonthlyFee => "monthly_fee",
        }
    }
}

/// What an account has paid since it got a credit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub kind: Kind,
    pub at: DateTime<Utc>,
    pub amount: Money,
    pub phone_number: Option<PhoneNumber>,
}

/// An entry that can be reversed; its account is locked.
#[derive(Clone, Copy, Debug)]
pub struct Reversible {
    pub account: AccountSid,
    pub amount: Money,
    /// Of the reversal.
    pub direction: Direction,
}

/// An entry.
pub struct Entry {
    pub account: AccountSid,
    pub kind: Kind,
    pub amount: Money,
    pub reverses: Option<i64>,
    pub transfer: Option<i64>,
}

/// Locks the account of an entry, and finds out whether the entry can be reversed.
///
/// # Errors
/// [`Refused::NoEntry`], [`Refused::NotReversible`], [`Refused::Reversed`], [`Refused::Spent`]
pub async fn reversible(within: &mut Transaction, id: i64) -> Result<Reversible, Denied<Refused>> {
    // Entries never change, so this one need not be locked.
    let entry = store::entry(within, id).await?.ok_or(Refused::NoEntry(id))?;
    let direction = reversed_direction(&entry).map_err(|what| Refused::NotReversible(id, what))?;
    let Entry { account, amount, .. } = entry;
    hold(within, &[account]).await?;
    if let Some((by, at)) = store::reversal(within, account, id).await? {
        return Err(Refused::Reversed { entry: id, by, at }.into());
    }
    let missing = amount.cents() - store::balance(within, account).await?.cents();
    if direction == Direction::Debit && missing > 0 {
        let (charges, all) = store::charges_since(within, account, id).await?;
        let more = (all - MOST_CHARGES).max(0);
        return Err(Refused::Spent { entry: id, account, missing: Money::from_cents(missing), charges, more }.into());
    }
    Ok(Reversible { account, amount, direction })
}

const fn reversed_direction(entry: &Entry) -> Result<Direction, Irreversible> {
    match (entry.kind, entry.reverses, entry.transfer) {
        (Kind::Purchase, ..) => Err(Irreversible::Purchase),
        (Kind::MonthlyFee, ..) => Err(Irreversible::Fee),
        (_, Some(_), _) => Err(Irreversible::Reversal),
        (_, _, Some(_)) => Err(Irreversible::HalfOfTransfer),
        (Kind::Credit, None, None) => Ok(Direction::Debit),
        (Kind::Debit, None, None) => Ok(Direction::Credit),
    }
}
