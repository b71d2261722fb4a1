//! Accounts: who may ask, proven by a token, and what state they are in.

use chrono::{DateTime, Utc};

use crate::db::transact::transact;
use crate::db::{Db, Transaction};
use crate::error::{Denied, Refuses, Result};
use crate::values::clock::Clock;
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

pub use finding::{MOST_LISTED, Named, resolve};
pub use token::AuthToken;
use token::Verdict;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize, serde::Deserialize)]
#[sqlx(type_name = "account_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    /// Reads and releases, but neither buys nor updates.
    Suspended,
    /// Gone for good, as far as the wire can tell.
    Closed,
}

/// Why something became of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "change_reason", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The operator said so.
    Operator,
    /// A monthly fee was due that the balance did not cover.
    Unpaid,
    /// A credit covered what was due.
    Paid,
    /// What could not be paid has left the account.
    NothingOwed,
    /// A number was moved to another account.
    Moved,
}

/// An account as its owner and the operator see it: no token, no hash.
#[derive(Debug, serde::Serialize)]
pub struct Account {
    pub sid: AccountSid,
    pub name: String,
    pub status: Status,
    /// Why it is suspended: where the operator said so, nothing else lifts it.
    pub reason: Option<Reason>,
    pub balance: Money,
    pub local_numbers: i64,
    pub tollfree_numbers: i64,
    /// What the numbers that it holds cost a month.
    pub monthly_fees: Money,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What became of an account.
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
    pub at: DateTime<Utc>,
    pub change: Change,
    pub reason: Reason,
}

/// Why an account is not changed, or may not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such account, a closed one, or a wrong token: a stranger is not told which.
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

/// An account with a new token. One that was made here is shown this once; who chose one knows it.
#[derive(Debug, serde::Serialize)]
pub struct Created {
    pub sid: AccountSid,
    #[serde(skip_serializing_if = "AuthToken::is_chosen")]
    pub auth_token: AuthToken,
    pub balance: Money,
}

/// Creates an account with a token that is made here; a first balance is a credit in its ledger.
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

/// The same, as a transaction sees it that may have changed it.
///
/// # Errors
/// [`Refused::Unknown`]
pub async fn find_within(within: &mut Transaction, sid: AccountSid) -> Result<Account, Denied<Refused>> {
    Ok(store::find(&mut **within, sid).await?.ok_or(Refused::Unknown(sid))?)
}

/// The account, where it may be changed.
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

/// Suspends an account, which can be done again without harm.
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

/// Makes an account active again, whatever it was suspended for. What it owes stays due: the next
/// run of the fees charges it, or suspends the account anew.
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

/// Closes an account for good, which must hold no number any more.
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

/// Replaces the token with one that is made here; the old one stops working.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`]
pub async fn rotate_token(db: &Db, clock: &Clock, sid: AccountSid) -> Result<Created, Denied<Refused>> {
    replace_token(db, clock, sid, AuthToken::random()).await
}

/// Replaces the token with this one; the old one stops working.
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

/// Whether this is the account's token in force. Where argon2 has to tell, it takes tens of milliseconds of this thread.
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
