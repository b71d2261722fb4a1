//! Accounts: who may ask, proven by a token, and what state they are in.

use chrono::{DateTime, Utc};

use crate::db::transact::transact;
use crate::db::{Db, Transaction};
use crate::error::{Code, Error, Result};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::AccountSid;
use crate::values::text::FriendlyName;

mod fair_queue;
pub mod gate;
pub mod rate_limit;
mod single_flight;
mod store;
mod token;
mod verifiers;
mod wrong_tokens;

pub use token::AuthToken;
use token::Verdict;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "account_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    /// Reads and releases, but neither buys nor updates.
    Suspended,
    /// Gone for good, as far as the wire can tell.
    Closed,
}

/// Why an account was suspended or activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "change_reason", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The operator said so.
    Operator,
    /// A monthly fee was due that the balance did not cover.
    Unpaid,
    /// A credit covered what was due.
    Paid,
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
#[sqlx(type_name = "account_change", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Suspended,
    Activated,
    Closed,
}

/// A change of an account's status.
#[derive(Debug, serde::Serialize)]
pub struct Happened {
    pub at: DateTime<Utc>,
    pub change: Change,
    pub reason: Reason,
}

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
    transact(db, async |within| Ok(store::create(within, sid, name, &kept, balance, clock.now()).await?)).await?;
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
/// 20404 when there is no such account.
pub async fn find(db: &Db, sid: AccountSid) -> Result<Account> {
    store::find(db, sid).await?.ok_or_else(|| unknown(sid))
}

/// The same, as a transaction sees it that may have changed it.
///
/// # Errors
/// 20404 when there is no such account.
pub async fn find_within(within: &mut Transaction, sid: AccountSid) -> Result<Account> {
    store::find(&mut **within, sid).await?.ok_or_else(|| unknown(sid))
}

/// The account, where it may be changed.
///
/// # Errors
/// 20404 when there is no such account, 20005 when it is not active.
pub async fn find_active(db: &Db, sid: AccountSid) -> Result<Account> {
    let account = find(db, sid).await?;
    if account.status == Status::Active { Ok(account) } else { Err(not_active()) }
}

/// # Errors
/// 20005 when the account is not active.
pub async fn rename(db: &Db, clock: &Clock, sid: AccountSid, name: &FriendlyName) -> Result<Account> {
    store::rename(db, sid, name, clock.now()).await?.ok_or_else(not_active)
}

/// Suspends an account, which can be done again without harm.
///
/// # Errors
/// 20404 when there is no such account, 20005 when it is closed.
pub async fn suspend(db: &Db, clock: &Clock, sid: AccountSid) -> Result<Account> {
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
/// 20404 when there is no such account, 20005 when it is closed.
pub async fn activate(db: &Db, clock: &Clock, sid: AccountSid) -> Result<Account> {
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
/// 20404 when there is no such account, 29002 when it holds numbers.
pub async fn close(within: &mut Transaction, clock: &Clock, sid: AccountSid) -> Result<Account> {
    let account = store::close(within, sid, clock.now()).await?.ok_or_else(|| unknown(sid))?;
    match account.local_numbers + account.tollfree_numbers {
        0 => Ok(account),
        held => Err(Code::InvalidParameter.because(format!(
            "{sid} still holds {held} numbers: release them first, or close it with --release-numbers"
        ))),
    }
}

/// Replaces the token with one that is made here; the old one stops working.
///
/// # Errors
/// 20404 when there is no such account, 20005 when it is closed.
pub async fn rotate_token(db: &Db, clock: &Clock, sid: AccountSid) -> Result<Created> {
    replace_token(db, clock, sid, AuthToken::random()).await
}

/// Replaces the token with this one; the old one stops working.
///
/// # Errors
/// 20404 when there is no such account, 20005 when it is closed.
pub async fn replace_token(db: &Db, clock: &Clock, sid: AccountSid, auth_token: AuthToken) -> Result<Created> {
    let kept = auth_token.kept(sid);
    let account = transact(db, async |within| {
        let changed = store::rotate_token(within, sid, &kept, clock.now()).await?;
        changed_or_why_not(within, sid, changed).await
    });
    Ok(Created { sid, balance: account.await?.balance, auth_token })
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

async fn changed_or_why_not(within: &mut Transaction, sid: AccountSid, changed: Option<Account>) -> Result<Account> {
    match changed {
        Some(account) => Ok(account),
        None => {
            find_within(within, sid).await?;
            Err(Code::AccountNotActive.because(format!("{sid} is closed for good")))
        }
    }
}

fn unknown(sid: AccountSid) -> Error {
    Code::NotFound.because(format!("There is no account {sid}"))
}

/// The refusal of a write by an account that is suspended.
pub fn not_active() -> Error {
    Code::AccountNotActive.because("The account is suspended: it can read and release numbers only; ask the operator")
}

/// The one refusal of everybody who has not proven who they are.
pub fn not_authenticated() -> Error {
    Code::Authenticate
        .because("Authenticate with HTTP Basic credentials: the AccountSid as user name, its AuthToken as password")
}
