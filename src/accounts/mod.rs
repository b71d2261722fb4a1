//! Accounts: their tokens, their status, and the events that changed it.

use chrono::{DateTime, NaiveDate, Utc};

use crate::db::transact::transact;
use crate::db::{Db, Transaction, violated};
use crate::error::{Denied, Error, Refuses, Result};
use crate::values::clock::Clock;
use crate::values::dialect::time;
use crate::values::money::Money;
use crate::values::sid::{AccountSid, KeySid};
use crate::values::text::FriendlyName;

mod changes;
mod events;
mod fair_queue;
pub mod families;
mod finding;
pub mod gate;
pub mod keys;
mod last_use;
mod principal;
pub mod rate_limit;
mod reference;
mod single_flight;
mod store;
mod token;
mod verifiers;
mod wrong_tokens;

pub use changes::{Closed, Edit, Leftover, Said, activate, close, edit, shut, suspend};
use changes::{changed_or_why_not, overtaken_by_ref, refuse_taken};
pub use events::{Change, Happened, events, lost};
pub use finding::{MOST_FOUND, MOST_LISTED, Named, resolve, search};
pub use principal::{Caller, Principal};
pub use reference::{NotAReference, Reference};
use token::Verdict;
pub use token::{AuthToken, NotAToken};

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize, serde::Deserialize)]
#[sqlx(type_name = "account_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    /// It may read and release, but neither buy nor update.
    Suspended,
    /// For clients of the API it no longer exists.
    Closed,
}

/// An account that holds numbers, and the one that pays for them: itself, or the main account that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub account: AccountSid,
    pub payer: AccountSid,
}

impl Holder {
    /// A main account.
    pub const fn main(account: AccountSid) -> Self {
        Self { account, payer: account }
    }
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
    /// A sub-account's owner did it, or is not active itself.
    Owner,
}

/// An account as its owner and operators see it, without token and hash.
#[derive(Debug, serde::Serialize)]
pub struct Account {
    pub sid: AccountSid,
    /// The main account that owns it and pays for it; `None` if it is one itself.
    pub owner_sid: Option<AccountSid>,
    pub name: String,
    /// The operator's own key.
    #[serde(rename = "ref")]
    pub reference: Option<Reference>,
    pub status: Status,
    /// Why it is suspended. Only an operator can activate an account that an operator has suspended.
    pub reason: Option<Reason>,
    pub balance: Money,
    pub local_numbers: i64,
    pub tollfree_numbers: i64,
    /// The open accounts that it owns.
    pub sub_accounts: i64,
    /// The monthly cost of its numbers.
    pub monthly_fees: Money,
    /// Since when a fee is due that the balance did not cover.
    #[serde(serialize_with = "time")]
    pub unpaid_since: Option<DateTime<Utc>>,
    /// The day, UTC, of its last request that was let in.
    pub last_used_on: Option<NaiveDate>,
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "time")]
    pub updated_at: DateTime<Utc>,
}

impl Account {
    /// How many numbers it holds, of both kinds.
    pub const fn numbers_held(&self) -> i64 {
        self.local_numbers + self.tollfree_numbers
    }
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
    /// More than the operator was shown before it was to be closed.
    HoldsMore(AccountSid),
    /// It was made active while its numbers were released.
    Reopened(AccountSid),
    /// It is closed only if it is said what becomes of its money.
    HoldsMoney {
        account: AccountSid,
        balance: Money,
    },
    /// More than one request releases, of a sub-account that its owner closes.
    HoldsTooMany(i64),
    /// A sub-account owns no accounts.
    NotAMainAccount(AccountSid),
    TooManySubAccounts,
    /// Only the operator ends what the operator began.
    SuspendedByOperator(AccountSid),
    /// Its owner is not active.
    OwnerNotActive(AccountSid),
    /// It still owns open accounts.
    OwnsAccounts {
        account: AccountSid,
        sub_accounts: i64,
    },
    /// There is an account with this Sid already.
    Exists(AccountSid),
    /// It has no such API key.
    NoKey(KeySid),
    TooManyKeys,
    /// Another account has this ref.
    RefTaken {
        reference: Reference,
        by: AccountSid,
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
    /// An account that had this name before.
    #[serde(skip)]
    pub namesake: Option<AccountSid>,
}

/// What is known of a new account.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    pub name: &'a FriendlyName,
    pub reference: Option<&'a Reference>,
    /// A first balance is a credit in its ledger.
    pub balance: Money,
}

/// Creates an account with a token that numberbank makes.
///
/// # Errors
/// When the database is out of reach.
pub async fn create(db: &Db, clock: &Clock, name: &FriendlyName, balance: Money) -> Result<Created, Denied<Refused>> {
    create_with(db, clock, New { name, reference: None, balance }, AuthToken::random()).await
}

/// Creates an account with this token.
///
/// # Errors
/// [`Refused::RefTaken`]
pub async fn create_with(
    db: &Db,
    clock: &Clock,
    new: New<'_>,
    auth_token: AuthToken,
) -> Result<Created, Denied<Refused>> {
    create_as(db, clock, AccountSid::random(), new, auth_token).await
}

/// Creates an account with this Sid and this token.
///
/// # Errors
/// [`Refused::RefTaken`], [`Refused::Exists`]
pub async fn create_as(
    db: &Db,
    clock: &Clock,
    sid: AccountSid,
    new: New<'_>,
    auth_token: AuthToken,
) -> Result<Created, Denied<Refused>> {
    let kept = auth_token.kept(sid);
    let namesake = transact(db, async |within| {
        refuse_taken(within, sid, new.reference).await?;
        let now = clock.now();
        let created = store::create(within, sid, new, &kept, now).await;
        let namesake = created.map_err(|error| match violated(&error) {
            Some("accounts_pkey") => Denied::from(Refused::Exists(sid)),
            _ => overtaken_by_ref(error),
        })?;
        if new.balance > Money::ZERO {
            store::endow(within, sid, new.balance, now).await?;
        }
        Ok::<_, Denied<Refused>>(namesake)
    });
    Ok(Created { sid, namesake: namesake.await?, auth_token, balance: new.balance })
}

/// Which accounts to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Those of this status; else all that are not closed.
    pub status: Option<Status>,
    /// Closed ones too.
    pub all: bool,
    pub limit: Option<u32>,
}

/// How many accounts of a list are read at once.
const PORTION: u32 = 1_000;

/// Passes accounts to `take` one by one, the oldest first. No statement lasts while they are taken.
///
/// # Errors
/// When the database is out of reach, and those of `take`.
pub async fn list<E: From<Error>>(
    db: &Db,
    filter: Filter,
    mut take: impl FnMut(&Account) -> Result<(), E>,
) -> Result<(), E> {
    let (mut after, mut left) =
        ((DateTime::from_timestamp_nanos(i64::MIN), AccountSid::LEAST), filter.limit.unwrap_or(u32::MAX));
    loop {
        let most = left.min(PORTION);
        let portion = store::list(db, filter, after, most).await.map_err(Error::from)?;
        portion.iter().try_for_each(&mut take)?;
        left -= most;
        let is_last = portion.len() < most as usize || left == 0;
        match portion.last() {
            Some(last) if !is_last => after = (last.created_at, last.sid),
            _ => return Ok(()),
        }
    }
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

/// As [`rename`], before a change of the status. If the request is sent again, the account may have this name already, and be
/// active no more: that is no refusal.
///
/// # Errors
/// [`Refused::Suspended`], [`Refused::Closed`], [`Refused::Unknown`]
pub async fn rename_once(
    db: &Db,
    clock: &Clock,
    sid: AccountSid,
    name: &FriendlyName,
) -> Result<Account, Denied<Refused>> {
    if let Some(account) = store::rename(db, sid, name, clock.now()).await? {
        return Ok(account);
    }
    match find(db, sid).await? {
        Account { status: Status::Closed, .. } => Err(Refused::Closed(sid).into()),
        account if account.name == name.as_str() => Ok(account),
        _ => Err(Refused::Suspended.into()),
    }
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
        let changed = store::replace_token(within, sid, &kept, clock.now()).await?;
        changed_or_why_not(within, sid, changed).await
    });
    account.await.map(|account| Created { sid, balance: account.balance, auth_token, namesake: None })
}

/// Whether this is the account's current token. If argon2 is needed, it blocks this thread for tens of milliseconds.
///
/// # Errors
/// When the database is out of reach.
pub async fn is_token(db: &Db, sid: AccountSid, token: &str) -> Result<bool> {
    let stored = store::stored_token(db, sid).await?;
    Ok(stored.is_some_and(|stored| match stored.judge(sid.into(), token) {
        Verdict::Right => true,
        Verdict::Wrong => false,
        Verdict::Ask { hash, .. } => token::verify(token, hash, &mut token::Memory::default()),
    }))
}
