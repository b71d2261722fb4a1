//! The statements on main accounts and their sub-accounts.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as, query_scalar};
use tracing::instrument;

use super::{Family, MOST_CHANGES, MOST_EVER, MOST_SUB_ACCOUNTS};
use crate::accounts::store::accounts;
use crate::accounts::token::Kept;
use crate::accounts::{Account, Reason, Reference, Status};
use crate::db::{Db, Transaction};
use crate::values::money::Money;
use crate::values::sid::AccountSid;
use crate::values::text::FriendlyName;

/// Who pays for an account.
#[instrument(name = "accounts.families.payer", level = "debug", skip_all)]
pub async fn payer(db: &Db, sid: AccountSid) -> Result<Option<AccountSid>> {
    query_scalar!(r#"select payer_sid as "payer!: AccountSid" from accounts where sid = $1"#, sid as AccountSid)
        .fetch_optional(db)
        .await
}

/// Locks an owner, and then its sub-account; or one account, which is named twice.
#[instrument(name = "accounts.families.hold", level = "debug", skip_all)]
pub async fn hold(within: &mut Transaction, owner: AccountSid, account: AccountSid) -> Result<()> {
    query!(
        "select from accounts where sid in ($1, $2) order by owner_sid is not null for no key update",
        owner as AccountSid,
        account as AccountSid
    )
    .execute(&mut **within)
    .await
    .map(drop)
}

/// Creates a sub-account; `None` if its owner may not have one, or not one more.
#[instrument(name = "accounts.families.create_below", level = "debug", skip_all)]
pub async fn create_below(
    within: &mut Transaction,
    owner: AccountSid,
    sid: AccountSid,
    name: &FriendlyName,
    token: &Kept,
    now: DateTime<Utc>,
) -> Result<Option<Account>> {
    accounts!(
        "with owner as materialized (
            -- Sees: the owner as it is now. Locks: it. First, so that it is active, and its count stands.
            select sid as its_sid from accounts
            where sid = $1 and owner_sid is null and status = 'active' and sub_accounts < $6
                and (select count(*) from accounts as below where below.owner_sid = $1) < $7
            for no key update
        ), more as (
            update accounts set sub_accounts = sub_accounts + 1 from owner where sid = its_sid
        ), made as (
            insert into accounts (sid, owner_sid, name, credential, token_digest, created_at, updated_at)
            select $2, its_sid, $3, gen_random_uuid(), $4, $5, $5 from owner
            returning *
        )
        select ",
        " from made, (values (0::bigint, 0::bigint, 0::bigint, 0::bigint))
            as sums (balance, local_numbers, tollfree_numbers, monthly_fees)",
        owner as AccountSid,
        sid as AccountSid,
        name.as_str(),
        token.digest(),
        now,
        MOST_SUB_ACCOUNTS,
        MOST_EVER
    )
    .fetch_optional(&mut **within)
    .await
}

/// An owner suspends its sub-account, or ends that, if it is active itself and has not done so too often.
#[instrument(name = "accounts.families.set_by_owner", level = "debug", skip_all)]
pub async fn set_by_owner(
    within: &mut Transaction,
    owner: AccountSid,
    sid: AccountSid,
    suspended: bool,
    now: DateTime<Utc>,
) -> Result<Option<Account>> {
    accounts!(
        returning
        "with owner as materialized (
            -- Sees: the owner as it is now. Locks: it. First, as owners are locked before their sub-accounts.
            select sid as its_sid from accounts where sid = $1 and status = 'active' for no key update
        )
        update accounts set suspended_by_owner_at = case when $3 then coalesce(suspended_by_owner_at, $4) end,
            changed_by = case when $3 <> (suspended_by_owner_at is not null) then ('owner', $4)::change_cause end,
            updated_at = case when $3 <> (suspended_by_owner_at is not null) then greatest($4, updated_at)
                else updated_at end
        from owner where sid = $2 and owner_sid = its_sid and closed_at is null and ($3 or suspended_at is null)
            and coalesce((
                select at from account_events where account_sid = $2 and change <> 'number_lost'
                order by id desc offset $5 limit 1
            ), '-infinity') < $4::timestamptz - interval '1 day'",
        owner as AccountSid,
        sid as AccountSid,
        suspended,
        now,
        MOST_CHANGES - 1
    )
    .fetch_optional(&mut **within)
    .await
}

/// An account and its sub-accounts, newest first: a page, and how many there are.
#[instrument(name = "accounts.families.page", level = "debug", skip_all)]
pub async fn page(
    db: &Db,
    main: AccountSid,
    wanted: Family<'_>,
    start: i64,
    size: i64,
) -> Result<(Vec<AccountSid>, i64)> {
    let rows = query!(
        r#"with family as (
            select sid, created_at from accounts
            where (sid = $1 or owner_sid = $1) and ($2::text is null or name = $2)
                and ($3::account_status is null or status = $3)
        )
        select (select count(*) from family) as "total!",
            array(select sid from family order by created_at desc, sid desc limit $5 offset $4) as "sids!: Vec<AccountSid>""#,
        main as AccountSid,
        wanted.name,
        wanted.status as Option<Status>,
        start,
        size
    )
    .fetch_one(db)
    .await?;
    Ok((rows.sids, rows.total))
}

/// Several accounts, newest first.
#[instrument(name = "accounts.families.find_all", level = "debug", skip_all)]
pub async fn find_all(db: &Db, sids: &[AccountSid]) -> Result<Vec<Account>> {
    accounts!(
        "select ",
        " from accounts cross join lateral sums_of(sid) as sums where sid = any($1)
        order by created_at desc, sid desc",
        sids as &[AccountSid]
    )
    .fetch_all(db)
    .await
}
