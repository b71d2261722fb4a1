//! Accounts: their tokens, their status, and the events that changed it.

use chrono::{DateTime, Utc};

use crate::db::transact::transact;
use crate::db::{Db, Transaction};
use crate::error::{Denied, Refuses, Result};
use crate::values::clock::Clock;
use crate::values::dialect::time;
use crate::values::money::Money;
use crate::values::sid::AccountSid;
use crate::values::text::FriendlyName;

mod fair_queue;
mod finding;
pub mod gate;
pub mod rate_limit;
mod single_flight;
mod store;
mod token;
mod verifiers;
mod wrong_tokens;

pub use finding::{MOST_LISTED, Named, resolve, search};
use token::Verdict;
pub use token::{AuthToken, NotAToken};

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "account_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    /// It may read and release, but neither buy nor update.
    Suspended,
    /// For clients of the API it no longer exists.
    Closed,
}

/// Why something became of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "change_reason", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An operator did it.
    Operator,
    /// The balance did not cover a monthly fee.
    Unpaid,
    /// The balance covered all due fees again.
    Paid,
    /// What could not be paid has left the account.
    NothingOwed,
    /// A number was moved to another account.
    Moved,
}

/// An account as its owner and operators see it, without token and hash.
#[derive(Debug, serde::Serialize)]
pub struct Account {
    pub sid: AccountSid,
    pub name: String,
    pub status: Status,
    /// Why it is suspended. Only an operator can activate an account that an operator has suspended.
    pub reason: Option<Reason>,
    pub balance: Money,
    pub local_numbers: i64,
    pub tollfree_numbers: i64,
    /// The monthly cost of its numbers.
    pub monthly_fees: Money,
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "time")]
    pub updated_at: DateTime<Utc>,
}

/// What can happen to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "account_change", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Suspended,
    Activated,
    Closed,
    /// A number left it, and not by its holder's release.
    NumberLost,
}

/// An event of an account.
#[derive(Debug, serde::Serialize)]
pub struct Happened {
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    pub change: Change,
    pub reason: Reason,
}

/// Why a request was refused, or an account was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such account, it is closed, or the token is wrong. The client is not told which.
    NotAuthenticated,
    Unknown(AccountSid),
    Suspended,
    Closed(AccountSid),
    /// No account has this Sid, ref or name, or a Sid that begins so.
    Unnamed(String),
    /// Several accounts have, of which the first are named.
    Several(String, Vec<Named>),
    HoldsNumbers {
        account: AccountSid,
        numbers: i64,
    },
}

impl Refuses for Refused {}

/// An account with a new token. If numberbank made the token, this is the only time that it is shown. A chosen token
/// is not shown.
#[derive(Debug, serde::Serialize)]
pub struct Created {
    pub sid: AccountSid,
    #[serde(skip_serializing_if = "AuthToken::is_chosen")]
    pub auth_token: AuthToken,
    pub balance: Money,
}

/// Creates an account with a token that numberbank makes. A first balance becomes a credit in its ledger.
///
/// # Errors
/// When the database is out of reach.
pub async fn create(db: &Db, clock: &Clock, name: &FriendlyName, balance: Money) -> Result<Created> {
    create_with(db, clock, name, balance, AuthToken::random()).await
}

/// Creates an account with this token.
///
/// # Errors
/// When the database is out of reach.
pub async fn create_with(
    db: &Db,
    clock: &Clock,
    name: &FriendlyName,
    balance: Money,
    auth_token: AuthToken,
) -> Result<Created> {
    let sid = AccountSid::random();
    let kept = auth_token.kept(sid);
    let create = async |within: &mut _| -> Result<()> {
        Ok(store::create(within, sid, name, &kept, balance, clock.now()).await?)
    };
    transact(db, create).await?;
    Ok(Created { sid, auth_token, balance })
}

/// All accounts, oldest first.
///
/// # Errors
/// When the database is out of reach.
pub async fn list(db: &Db) -> Result<Vec<Account>> {
    Ok(store::list(db).await?)
}

/// # Errors
/// [`Refused::Unknown`]
pub async fn find(db: &Db, sid: AccountSid) -> Result<Account, Denied<Refused>> {
    Ok(store::find(db, sid).await?.ok_or(Refused::Unknown(sid))?)
}

/// As [`find`], within a transaction that may have changed the account.
///
/// # Errors
/// [`Refused::Unknown`]
pub async fn find_within(within: &mut Transaction, sid: AccountSid) -> Result<Account, Denied<Refused>> {
    Ok(store::find(&mut **within, sid).await?.ok_or(Refused::Unknown(sid))?)
}

/// The account, if it is active.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Suspended`]
pub async fn find_active(db: &Db, sid: AccountSid) -> Result<Account, Denied<Refused>> {
    let account = find(db, sid).await?;
    if account.status == Status::Active { Ok(account) } else { Err(Refused::Suspended.into()) }
}

/// # Errors
/// [`Refused::Suspended`]
pub async fn rename(db: &Db, clock: &Clock, sid: AccountSid, name: &FriendlyName) -> Result<Account, Denied<Refused>> {
    Ok(store::rename(db, sid, name, clock.now()).await?.ok_or(Refused::Suspended)?)
}

/// Suspends an account. To suspend it again changes nothing.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`]
pub async fn suspend(db: &Db, clock: &Clock, sid: AccountSid) -> Result<Account, Denied<Refused>> {
    transact(db, async |within| {
        let changed = store::suspend(within, sid, clock.now()).await?;
        changed_or_why_not(within, sid, changed).await
    })
    .await
}

/// Makes an account active again, for whatever reason it was suspended. Its unpaid fees stay due: the next run of
/// billing charges them, or suspends the account again.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`]
pub async fn activate(db: &Db, clock: &Clock, sid: AccountSid) -> Result<Account, Denied<Refused>> {
    transact(db, async |within| {
        let changed = store::activate(within, sid, clock.now()).await?;
        changed_or_why_not(within, sid, changed).await
    })
    .await
}

/// What became of an account, the earliest first.
///
/// # Errors
/// When the database is out of reach.
pub async fn events(db: &Db, sid: AccountSid) -> Result<Vec<Happened>> {
    Ok(store::events(db, sid).await?)
}

/// Closes an account for ever. It must hold no number.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::HoldsNumbers`]
pub async fn close(within: &mut Transaction, clock: &Clock, sid: AccountSid) -> Result<Account, Denied<Refused>> {
    let account = store::close(within, sid, clock.now()).await?.ok_or(Refused::Unknown(sid))?;
    match account.local_numbers + account.tollfree_numbers {
        0 => Ok(account),
        numbers => Err(Refused::HoldsNumbers { account: sid, numbers }.into()),
    }
}

/// Replaces the token with one that numberbank makes. The old token stops working.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`]
pub async fn rotate_token(db: &Db, clock: &Clock, sid: AccountSid) -> Result<Created, Denied<Refused>> {
    replace_token(db, clock, sid, AuthToken::random()).await
}

/// Replaces the token with this one. The old token stops working.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`]
pub async fn replace_token(
    db: &Db,
    clock: &Clock,
    sid: AccountSid,
    auth_token: AuthToken,
) -> Result<Created, Denied<Refused>> {
    let kept = auth_token.kept(sid);
    let account = transact(db, async |within| {
        let changed = store::rotate_token(within, sid, &kept, clock.now()).await?;
        changed_or_why_not(within, sid, changed).await
    });
    account.await.map(|account| Created { sid, balance: account.balance, auth_token })
}

/// Whether this is the account's current token. If argon2 is needed, it blocks this thread for tens of milliseconds.
///
/// # Errors
/// When the database is out of reach.
pub async fn is_token(db: &Db, sid: AccountSid, token: &str) -> Result<bool> {
    let stored = store::stored_token(db, sid).await?;
    Ok(stored.is_some_and(|stored| match stored.judge(sid, token) {
        Verdict::Right => true,
        Verdict::Wrong => false,
        Verdict::Ask { hash, .. } => token::verify(token, hash, &mut token::Memory::default()),
    }))
}

async fn changed_or_why_not(
    within: &mut Transaction,
    sid: AccountSid,
    changed: Option<Account>,
) -> Result<Account, Denied<Refused>> {
    match changed {
        Some(account) => Ok(account),
        None => {
            find_within(within, sid).await?;
            Err(Refused::Closed(sid).into())
        }
    }
}
