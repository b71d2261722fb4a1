//! The statements on API keys.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as, query_scalar};
use tracing::instrument;
use uuid::Uuid;

use super::{Key, MOST_KEYS, Scope};
use crate::accounts::principal::Caller;
use crate::accounts::token::Stored;
use crate::db::{Db, Transaction};
use crate::values::sid::{AccountSid, KeySid};
use crate::values::text::FriendlyName;

/// `query_as!` for keys: the SQL before and after their columns.
macro_rules! keys {
    ($before:literal, $after:literal $(, $value:expr)*) => {
        query_as!(
            Key,
            $before + "sid as \"sid: KeySid\", account_sid as \"account_sid: AccountSid\", name,
                scope as \"scope: Scope\", created_at, updated_at" + $after
            $(, $value)*
        )
    };
}

/// The credential of a key is its id, for its secret never changes; `None` if there is no such key, or its account is
/// closed. Fails on a standby, which may lack the newest changes.
#[instrument(name = "accounts.keys.credential", level = "debug", skip_all)]
pub async fn credential(db: &Db, sid: KeySid) -> Result<Option<Uuid>> {
    query_scalar!(
        "select (
            select api_keys.sid from api_keys join accounts on accounts.sid = account_sid
            where api_keys.sid = $1 and status <> 'closed'
        ) from demand_primary()",
        sid as KeySid
    )
    .fetch_one(db)
    .await
}

/// What is stored of a key's secret; `None` if there is no such key, or its account is closed.
#[instrument(name = "accounts.keys.stored", level = "debug", skip_all)]
pub async fn stored(db: &Db, sid: KeySid) -> Result<Option<Stored>> {
    let row = query!(
        r#"select key.sid as "credential?", account_sid as "account?: AccountSid", payer_sid as "payer?: AccountSid", scope as "scope?: Scope",
            secret_digest as "digest?"
        from demand_primary() left join (
            api_keys as key join accounts on accounts.sid = account_sid and status <> 'closed'
        ) on key.sid = $1"#,
        sid as KeySid
    )
    .fetch_one(db)
    .await?;
    let known = row.credential.zip(row.account.zip(row.payer));
    Ok(known.map(|(credential, (account, payer))| Stored {
        credential,
        caller: Caller { account, payer, scope: row.scope },
        chosen: false,
        digest: row.digest,
        hash: None,
    }))
}

/// Creates a key; `None` if its account is not active, or has as many as it may.
#[instrument(name = "accounts.keys.create", level = "debug", skip_all)]
pub async fn create(
    within: &mut Transaction,
    sid: KeySid,
    account: AccountSid,
    name: Option<&FriendlyName>,
    scope: Scope,
    digest: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<Key>> {
    keys!(
        "insert into api_keys (sid, account_sid, name, scope, secret_digest, created_at, updated_at)
        select $1, accounts.sid, $3, $4, $5, $6, $6 from accounts
        where accounts.sid = $2 and status = 'active'
            and (select count(*) from api_keys as known where known.account_sid = $2) < $7
        returning ",
        "",
        sid as KeySid,
        account as AccountSid,
        name.map(FriendlyName::as_str),
        scope as Scope,
        digest,
        now,
        MOST_KEYS
    )
    .fetch_optional(&mut **within)
    .await
}

#[instrument(name = "accounts.keys.list", level = "debug", skip_all)]
pub async fn list(db: &Db, account: AccountSid) -> Result<Vec<Key>> {
    keys!("select ", " from api_keys where account_sid = $1 order by created_at desc, sid desc", account as AccountSid)
        .fetch_all(db)
        .await
}

#[instrument(name = "accounts.keys.find", level = "debug", skip_all)]
pub async fn find(db: &Db, account: AccountSid, sid: KeySid) -> Result<Option<Key>> {
    keys!("select ", " from api_keys where account_sid = $1 and sid = $2", account as AccountSid, sid as KeySid)
        .fetch_optional(db)
        .await
}

#[instrument(name = "accounts.keys.find_any", level = "debug", skip_all)]
pub async fn find_any(db: &Db, sid: KeySid) -> Result<Option<Key>> {
    keys!("select ", " from api_keys where sid = $1", sid as KeySid).fetch_optional(db).await
}

/// Renames a key of an active account.
#[instrument(name = "accounts.keys.rename", level = "debug", skip_all)]
pub async fn rename(
    db: &Db,
    account: AccountSid,
    sid: KeySid,
    name: Option<&FriendlyName>,
    now: DateTime<Utc>,
) -> Result<Option<Key>> {
    keys!(
        "update api_keys set name = $3, updated_at = greatest($4, updated_at)
        where sid = $2 and account_sid = $1
            and exists (select from accounts where accounts.sid = $1 and status = 'active')
        returning ",
        "",
        account as AccountSid,
        sid as KeySid,
        name.map(FriendlyName::as_str),
        now
    )
    .fetch_optional(db)
    .await
}

/// Deletes a key. Returns whether there was one.
#[instrument(name = "accounts.keys.delete", level = "debug", skip_all)]
pub async fn delete(within: &mut Transaction, account: AccountSid, sid: KeySid) -> Result<bool> {
    let done = query!("delete from api_keys where sid = $2 and account_sid = $1", account as AccountSid, sid as KeySid)
        .execute(&mut **within)
        .await?;
    Ok(done.rows_affected() > 0)
}
