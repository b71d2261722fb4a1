//! The statements on accounts.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as, query_scalar};
use uuid::Uuid;

use super::{Account, Status};
use crate::kernel::db::{Db, Transaction};
use crate::kernel::money::Money;
use crate::kernel::sid::AccountSid;
use crate::kernel::text::FriendlyName;

/// `query_as!` for accounts: what the statement says before and after their columns.
macro_rules! accounts {
    ($before:literal, $after:literal $(, $value:expr)*) => {
        query_as!(
            Account,
            $before + "sid as \"sid: AccountSid\", name, status as \"status: Status\", balance as \"balance: Money\",
                local_numbers, tollfree_numbers, created_at, updated_at" + $after
            $(, $value)*
        )
    };
}

/// The account and, where it starts with money, the credit that explains it.
pub async fn create(
    db: &Db,
    sid: AccountSid,
    name: &FriendlyName,
    token_hash: &str,
    balance: Money,
    now: DateTime<Utc>,
) -> Result<()> {
    query!(
        "with account as (
            insert into accounts (sid, name, credential, token_hash, balance, created_at, updated_at)
            values ($1, $2, gen_random_uuid(), $3, $4, $5, $5)
            returning sid, balance
        )
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, note)
        select sid, $5, 'credit', balance, balance, 'first balance' from account where balance > 0",
        sid as AccountSid,
        name.as_str(),
        token_hash,
        balance.cents(),
        now
    )
    .execute(db)
    .await
    .map(drop)
}

pub async fn list(db: &Db) -> Result<Vec<Account>> {
    accounts!("select ", " from accounts order by created_at, sid").fetch_all(db).await
}

pub async fn find(db: &Db, sid: AccountSid) -> Result<Option<Account>> {
    accounts!("select ", " from accounts where sid = $1", sid as AccountSid).fetch_optional(db).await
}

/// The credential in force, unless the account is closed or does not exist.
pub async fn credential(db: &Db, sid: AccountSid) -> Result<Option<Uuid>> {
    query_scalar!("select credential from accounts where sid = $1 and status <> 'closed'", sid as AccountSid)
        .fetch_optional(db)
        .await
}

/// The same, with the hash of its token.
pub async fn token_hash(db: &Db, sid: AccountSid) -> Result<Option<(Uuid, String)>> {
    let row =
        query!("select credential, token_hash from accounts where sid = $1 and status <> 'closed'", sid as AccountSid)
            .fetch_optional(db)
            .await?;
    Ok(row.map(|row| (row.credential, row.token_hash)))
}

pub async fn rename(db: &Db, sid: AccountSid, name: &FriendlyName, now: DateTime<Utc>) -> Result<Option<Account>> {
    accounts!(
        "update accounts set name = $2, updated_at = $3 where sid = $1 and status = 'active'
        returning ",
        "",
        sid as AccountSid,
        name.as_str(),
        now
    )
    .fetch_optional(db)
    .await
}

pub async fn set_status(db: &Db, sid: AccountSid, status: Status, now: DateTime<Utc>) -> Result<Option<Account>> {
    accounts!(
        "update accounts set status = $2, updated_at = case when status = $2 then updated_at else $3 end
        where sid = $1 and status <> 'closed'
        returning ",
        "",
        sid as AccountSid,
        status as Status,
        now
    )
    .fetch_optional(db)
    .await
}

/// Closes the account if it holds no number; locks it either way.
pub async fn close(within: &mut Transaction, sid: AccountSid, now: DateTime<Utc>) -> Result<Option<Account>> {
    accounts!(
        "update accounts set
            status = case when local_numbers + tollfree_numbers = 0 then 'closed' else status end,
            updated_at = case when local_numbers + tollfree_numbers = 0 and status <> 'closed' then $2 else updated_at end
        where sid = $1
        returning ",
        "",
        sid as AccountSid,
        now
    )
    .fetch_optional(&mut **within)
    .await
}

pub async fn rotate_token(db: &Db, sid: AccountSid, token_hash: &str, now: DateTime<Utc>) -> Result<Option<Account>> {
    accounts!(
        "update accounts set credential = gen_random_uuid(), token_hash = $2, updated_at = $3
        where sid = $1 and status <> 'closed'
        returning ",
        "",
        sid as AccountSid,
        token_hash,
        now
    )
    .fetch_optional(db)
    .await
}
