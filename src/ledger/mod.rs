//! The ledger: one entry for each change of an account's balance. Entries are never changed or deleted, and the
//! balance is their sum.
//!
//! The statements of `purchases`, `billing` and `accounts` write their own entries.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::db::transact::transact;
use crate::db::{Db, Transaction, violated};
use crate::error::{Denied, Error, Refuses, Result};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::AccountSid;

mod key;
mod reversals;
mod store;

pub use key::Key;
pub use reversals::{Charge, MOST_CHARGES, Reversible, reversible};

/// Why no money was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The amount is 0.00.
    Nothing,
    /// There is no such account; or it is closed, and a closed account takes no credit.
    NoOpenAccount(AccountSid),
    /// It is a sub-account, and its owner has all the money.
    PaidByOwner(AccountSid),
    Insufficient {
        account: AccountSid,
        amount: Money,
    },
    /// The same was entered less than a day ago.
    Twin(Twin),
    /// The key was used for another order.
    KeyReused {
        account: AccountSid,
        key: Key,
    },
    /// From an account to itself.
    ToItself(AccountSid),
    NoEntry(i64),
    /// Only what an operator has entered is reversed.
    NotReversible(i64, Irreversible),
    Reversed {
        entry: i64,
        by: i64,
        at: DateTime<Utc>,
    },
    /// The money of a credit was spent.
    Spent {
        entry: i64,
        account: AccountSid,
        missing: Money,
        /// What it has paid, the earliest first, and how much more there is.
        charges: Vec<Charge>,
        more: i64,
    },
}

impl Refuses for Refused {}

/// What an entry is that cannot be reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Irreversible {
    Reversal,
    HalfOfTransfer,
    Purchase,
    Fee,
}

/// An entry of the same kind, sum and note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    pub account: AccountSid,
    pub direction: Direction,
    pub amount: Money,
    /// The account that got the money, of a transfer.
    pub to: Option<AccountSid>,
    pub entry: i64,
    pub at: DateTime<Utc>,
}

/// How long an order's twin is refused.
const TWIN_WITHIN: TimeDelta = TimeDelta::hours(24);

/// An operator's credit or debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Credit,
    Debit,
}

impl Direction {
    /// As `kind` of an entry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
        }
    }

    /// By how many cents a balance changes.
    const fn change(self, amount: Money) -> i64 {
        match self {
            Self::Credit => amount.cents(),
            Self::Debit => -amount.cents(),
        }
    }
}

/// What an operator wants to be entered.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    pub account: AccountSid,
    /// The account that gets the money, of a transfer.
    pub to: Option<AccountSid>,
    pub amount: Money,
    pub note: Option<&'a str>,
    pub repeated: Repeated<'a>,
}

/// What becomes of an order that was done before.
#[derive(Clone, Copy, Debug)]
pub enum Repeated<'a> {
    /// The order with this key is done once for ever, and answers the same again.
    Answers(&'a Key),
    /// The same sum with the same note is refused within a day.
    Refused,
    /// It is done again.
    Done,
}

/// A new entry, and the balance after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    pub id: i64,
    pub balance: Money,
}

/// An entry with what it belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links {
    /// The entry that it undoes.
    pub reverses: Option<i64>,
    /// The number of the transfer that it is half of.
    pub transfer: Option<i64>,
}

/// An account's balance after a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Debited {
    pub sid: AccountSid,
    /// The id of the entry.
    pub entry: i64,
    pub balance: Money,
}

/// Takes money off an account.
///
/// # Errors
/// [`Refused::Nothing`], [`Refused::NoOpenAccount`], [`Refused::Insufficient`], [`Refused::Twin`], [`Refused::KeyReused`]
pub async fn debit(db: &Db, clock: &Clock, order: Order<'_>) -> Result<Debited, Denied<Refused>> {
    let (account, request) = (order.account, order.request(Direction::Debit));
    transact(db, async |within| {
        let now = clock.now();
        hold(within, &[account]).await?;
        if let Some(answer) = answered(within, &order, Direction::Debit, &request, now).await? {
            return Ok(answer);
        }
        let Entered { id, balance } = enter(within, &order, Direction::Debit, Links::default(), now).await?;
        let debited = Debited { sid: account, entry: id, balance };
        keep_answer(within, &order, id, &request, &debited).await?;
        Ok(debited)
    })
    .await
}

impl Order<'_> {
    /// What is kept with its key, so that another order with that key is told from it.
    pub fn request(&self, direction: Direction) -> Value {
        json!({ "kind": direction.name(), "amount": self.amount, "note": self.note })
    }
}

/// Locks accounts, in the order of their Sids.
///
/// # Errors
/// If the database is out of reach.
pub async fn hold(within: &mut Transaction, accounts: &[AccountSid]) -> Result<()> {
    Ok(store::hold(within, accounts).await?)
}

/// The answer of an order that was done already. Its account is locked, so no other can be done in between.
///
/// # Errors
/// [`Refused::KeyReused`], [`Refused::Twin`]
pub async fn answered<T: DeserializeOwned>(
    within: &mut Transaction,
    order: &Order<'_>,
    direction: Direction,
    request: &Value,
    now: DateTime<Utc>,
) -> Result<Option<T>, Denied<Refused>> {
    let Order { account, repeated, .. } = *order;
    match repeated {
        Repeated::Done => Ok(None),
        Repeated::Refused => {
            let twin = store::twin(within, order, direction, now - TWIN_WITHIN).await?;
            twin.map_or(Ok(None), |twin| Err(Refused::Twin(twin).into()))
        }
        Repeated::Answers(key) => match store::answer(within, account, key, request).await? {
            None => Ok(None),
            Some(Kept { is_same: false, .. }) => Err(Refused::KeyReused { account, key: key.clone() }.into()),
            Some(Kept { answer, .. }) => {
                let read = serde_json::from_str(&answer);
                read.map(Some).map_err(|error| Error::Internal(format!("the answer of key {key}: {error}")).into())
            }
        },
    }
}

/// What is kept with a key.
struct Kept {
    answer: String,
    /// Whether it was asked for the same.
    is_same: bool,
}

/// Keeps the answer of an order that has a key.
///
/// # Errors
/// If the database is out of reach.
pub async fn keep_answer(
    within: &mut Transaction,
    order: &Order<'_>,
    entry: i64,
    request: &Value,
    answer: &impl Serialize,
) -> Result<()> {
    let Repeated::Answers(key) = order.repeated else { return Ok(()) };
    let answer = serde_json::to_string(answer).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(store::keep_answer(within, order.account, key, entry, request, &answer).await?)
}

/// Moves money of an account that is locked. A closed account can be debited, to pay out what is left, but not credited.
///
/// # Errors
/// [`Refused::Nothing`], [`Refused::NoOpenAccount`], [`Refused::Insufficient`]
pub async fn enter(
    within: &mut Transaction,
    order: &Order<'_>,
    direction: Direction,
    links: Links,
    now: DateTime<Utc>,
) -> Result<Entered, Denied<Refused>> {
    let Order { account, amount, .. } = *order;
    if amount == Money::ZERO {
        return Err(Refused::Nothing.into());
    }
    match store::enter(within, order, direction, links, now).await {
        Ok(Some(entered)) => Ok(entered),
        Ok(None) => Err(Refused::NoOpenAccount(account).into()),
        Err(error) if violated(&error) == Some("account_sums_balance_not_negative") => {
            Err(Refused::Insufficient { account, amount }.into())
        }
        Err(error) if violated(&error) == Some("account_sums_sub_account_has_no_money") => {
            Err(Refused::PaidByOwner(account).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The number of a new transfer.
///
/// # Errors
/// If the database is out of reach.
pub async fn next_transfer(within: &mut Transaction) -> Result<i64> {
    Ok(store::next_transfer(within).await?)
}
