//! API keys: further user names and passwords of an account, each of which can be revoked by itself. A key acts on the
//! paths of its account only, not on those of its sub-accounts.

use chrono::{DateTime, Utc};

use super::{Account, AuthToken, Refused, Status, families, find_within};
use crate::accounts;
use crate::db::Db;
use crate::db::transact::transact;
use crate::error::{Denied, Error, Result};
use crate::values::clock::Clock;
use crate::values::dialect::time;
use crate::values::sid::{AccountSid, KeySid};
use crate::values::text::FriendlyName;

pub(super) mod store;

/// How many keys an account has at most. So all accounts of the largest family take half of the gate's cache.
pub const MOST_KEYS: i64 = 50;

/// What a key may do: see [`Caller`](super::Caller).
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "api_key_scope", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All but accounts, keys and transfers.
    Standard,
    /// All but transfers.
    Main,
}

/// An API key without its secret.
#[derive(Debug, serde::Serialize)]
pub struct Key {
    pub sid: KeySid,
    pub account_sid: AccountSid,
    pub name: Option<String>,
    pub scope: Scope,
    #[serde(serialize_with = "time")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "time")]
    pub updated_at: DateTime<Utc>,
}

/// A new key with its secret, which is made and kept as an AuthToken is. This is the only time that it is shown.
#[derive(Debug, serde::Serialize)]
pub struct Made {
    #[serde(flatten)]
    pub key: Key,
    pub secret: AuthToken,
}

/// Creates a key of an active account.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Suspended`], [`Refused::Closed`], [`Refused::TooManyKeys`]
pub async fn create(
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    name: Option<&FriendlyName>,
    scope: Scope,
) -> Result<Made, Denied<Refused>> {
    let (sid, secret) = (KeySid::random(), AuthToken::random());
    let digest = secret.digest(sid.into());
    let key: Result<_, Denied<Refused>> = transact(db, async |within| {
        // Locked first, so that the next statement counts what others have committed.
        families::store::hold(within, account, account).await?;
        match store::create(within, sid, account, name, scope, &digest, clock.now()).await? {
            Some(key) => Ok(key),
            None => Err(not_active(&find_within(within, account).await?).unwrap_or(Refused::TooManyKeys).into()),
        }
    })
    .await;
    Ok(Made { key: key?, secret })
}

fn not_active(account: &Account) -> Option<Refused> {
    match account.status {
        Status::Active => None,
        Status::Suspended => Some(Refused::Suspended),
        Status::Closed => Some(Refused::Closed(account.sid)),
    }
}

/// The keys of an account, newest first.
///
/// # Errors
/// When the database is out of reach.
pub async fn list(db: &Db, account: AccountSid) -> Result<Vec<Key>> {
    Ok(store::list(db, account).await?)
}

/// A key of an account.
///
/// # Errors
/// [`Refused::NoKey`]
pub async fn find(db: &Db, account: AccountSid, sid: KeySid) -> Result<Key, Denied<Refused>> {
    Ok(store::find(db, account, sid).await?.ok_or(Refused::NoKey(sid))?)
}

/// A key of any account.
///
/// # Errors
/// [`Refused::NoKey`]
pub async fn find_any(db: &Db, sid: KeySid) -> Result<Key, Denied<Refused>> {
    Ok(store::find_any(db, sid).await?.ok_or(Refused::NoKey(sid))?)
}

/// Gives a key of an active account another name, or none.
///
/// # Errors
/// [`Refused::NoKey`], [`Refused::Suspended`], [`Refused::Closed`]
pub async fn rename(
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    sid: KeySid,
    name: Option<&FriendlyName>,
) -> Result<Key, Denied<Refused>> {
    if let Some(key) = store::rename(db, account, sid, name, clock.now()).await? {
        return Ok(key);
    }
    find(db, account, sid).await?;
    Err(not_active(&accounts::find(db, account).await?).unwrap_or(Refused::Suspended).into())
}

/// Revokes a key for good. That of a suspended account too: a key that got lost must be stopped.
///
/// # Errors
/// [`Refused::NoKey`]
pub async fn delete(db: &Db, account: AccountSid, sid: KeySid) -> Result<(), Denied<Refused>> {
    // A command must know whether the answer to its commit was lost.
    let is_deleted = transact(db, async |within| Ok::<_, Error>(store::delete(within, account, sid).await?)).await?;
    if is_deleted { Ok(()) } else { Err(Refused::NoKey(sid).into()) }
}
