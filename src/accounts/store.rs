//! The statements on accounts.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgExecutor, Result, query, query_as, query_scalar};
use tracing::instrument;
use uuid::Uuid;

use super::principal::Caller;
use super::token::{Kept, Stored};
use super::{Account, Change, Filter, Happened, MOST_LISTED, Named, New, Reason, Reference, Status};
use crate::db::{Db, Transaction};
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};
use crate::values::text::FriendlyName;

/// `query_as!` for accounts: the SQL before and after their columns. A `select` has them from `accounts` and `sums_of`. What an
/// update returns, after `returning`, has the sums as they are now: it may have waited for the account.
macro_rules! accounts {
    (returning $before:literal $(, $value:expr)*) => {
        accounts!(columns $before + " returning ", "(sums_now(sid)).", "" $(, $value)*)
    };
    ($before:literal, $after:literal $(, $value:expr)*) => {
        accounts!(columns $before, "", $after $(, $value)*)
    };
    (columns $before:literal $(+ $more:literal)?, $sums:literal, $after:literal $(, $value:expr)*) => {
        query_as!(
            Account,
            $before $(+ $more)? + "sid as \"sid!: AccountSid\", owner_sid as \"owner_sid: AccountSid\",
                name as \"name!\", ref as \"reference: Reference\", status as \"status!: Status\",
                case when closed_at is not null then null when suspended_at is not null then 'operator'::change_reason
                    when unpaid_since is not null then 'unpaid'
                    when suspended_by_owner_at is not null or owner_suspended then 'owner' end as \"reason: Reason\",
                " + $sums + "balance as \"balance!: Money\", " + $sums + "local_numbers as \"local_numbers!\",
                " + $sums + "tollfree_numbers as \"tollfree_numbers!\", " + $sums + "monthly_fees as \"monthly_fees!: Money\",
                sub_accounts as \"sub_accounts!\", unpaid_since, last_used_on,
                created_at as \"created_at!\", updated_at as \"updated_at!\"" + $after
            $(, $value)*
        )
    };
}
pub(super) use accounts;

/// Creates an account. Returns an older one of the same name.
#[instrument(name = "accounts.create", level = "debug", skip_all)]
pub async fn create(
    within: &mut Transaction,
    sid: AccountSid,
    New { name, reference, .. }: New<'_>,
    token: &Kept,
    now: DateTime<Utc>,
) -> Result<Option<AccountSid>> {
    query_scalar!(
        r#"with account as (
            insert into accounts (sid, name, credential, token_digest, token_hash, token_chosen, created_at, updated_at, ref)
            values ($1, $2, gen_random_uuid(), $3, $4, $4::text is not null, $5, $5, $6)
        )
        select (select sid from accounts where name = $2 and closed_at is null order by created_at limit 1)
            as "namesake: AccountSid""#,
        sid as AccountSid,
        name.as_str(),
        token.digest(),
        token.hash(),
        now,
        reference.map(Reference::as_str)
    )
    .fetch_one(&mut **within)
    .await
}

/// Puts money on a new account.
#[instrument(name = "accounts.endow", level = "debug", skip_all)]
pub async fn endow(within: &mut Transaction, sid: AccountSid, balance: Money, now: DateTime<Utc>) -> Result<()> {
    query!(
        "with sums as (
            update account_sums set version = version + 1, balance = $2 where account_sid = $1
        )
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, note)
        values ($1, $3, 'credit', $2, $2, 'first balance')",
        sid as AccountSid,
        balance.cents(),
        now
    )
    .execute(&mut **within)
    .await
    .map(drop)
}

/// The oldest accounts after one that was made then, up to a number of them.
#[instrument(name = "accounts.list", level = "debug", skip_all)]
pub async fn list(db: &Db, filter: Filter, after: (DateTime<Utc>, AccountSid), most: u32) -> Result<Vec<Account>> {
    accounts!(
        "select ",
        " from accounts cross join lateral sums_of(sid) as sums
        where (created_at, sid) > ($3, $4)
            and case when $1::account_status is not null then status = $1 else $2 or status <> 'closed' end
        order by created_at, sid limit $5",
        filter.status as Option<Status>,
        filter.all,
        after.0,
        after.1 as AccountSid,
        i64::from(most)
    )
    .fetch_all(db)
    .await
}

#[instrument(name = "accounts.find", level = "debug", skip_all)]
pub async fn find(db: impl PgExecutor<'_>, sid: AccountSid) -> Result<Option<Account>> {
    accounts!("select ", " from accounts cross join sums_of($1) as sums where sid = $1", sid as AccountSid)
        .fetch_optional(db)
        .await
}

/// Accounts that have a text as their ref or name, or a Sid in a range; one more than a refusal lists. Each by its index.
#[instrument(name = "accounts.named", level = "debug", skip_all)]
pub async fn named(db: &Db, text: &str, sids: Option<(Uuid, Uuid)>) -> Result<Vec<Named>> {
    let (low, high) = sids.unzip();
    query_as!(
        Named,
        r#"select sid as "sid!: AccountSid", name as "name!", ref as reference, status as "status!: Status"
        from (
            select sid, name, ref, status from accounts where sid between $2 and $3
            union
            select sid, name, ref, status from accounts where ref = $1
            union
            select sid, name, ref, status from accounts where name = $1
        ) as fits
        order by sid limit $4"#,
        text,
        low,
        high,
        MOST_LISTED as i64 + 1
    )
    .fetch_all(db)
    .await
}

/// Accounts that have a text in their name or ref (capitals make no difference), a Sid in a range, or a number now or before. All
/// names are read, so no new name has to pay for an index.
#[instrument(name = "accounts.matching", level = "debug", skip_all)]
pub async fn matching(
    db: &Db,
    text: &str,
    sids: Option<(Uuid, Uuid)>,
    number: Option<PhoneNumber>,
    most: i64,
) -> Result<Vec<AccountSid>> {
    let (low, high) = sids.unzip();
    query_scalar!(
        r#"select sid as "sid!: AccountSid"
        from (
            select sid from accounts
            where position(lower($1) in lower(name)) > 0 or position(lower($1) in lower(ref)) > 0
            union
            select sid from accounts where sid between $2 and $3
            union
            select account_sid from tenancies where phone_number = $4 and ended_at is null
            union
            select account_sid from tenancies where phone_number = $4 and ended_at is not null
            union
            select from_account from tenancy_transfers join tenancies on tenancies.sid = tenancy_sid
            where phone_number = $4 and (ended_at is null or ended_at is not null)
        ) as found
        order by sid limit $5"#,
        text,
        low,
        high,
        number as Option<PhoneNumber>,
        most
    )
    .fetch_all(db)
    .await
}

/// The current credential; `None` if the account is closed or does not exist. Fails on a standby, which may lack the
/// newest credential.
#[instrument(name = "accounts.credential", level = "debug", skip_all)]
pub async fn credential(db: &Db, sid: AccountSid) -> Result<Option<Uuid>> {
    query_scalar!(
        "select (select credential from accounts where sid = $1 and status <> 'closed') from demand_primary()",
        sid as AccountSid
    )
    .fetch_one(db)
    .await
}

/// The current credential and what is stored of its token; `None` if the account is closed or does not exist.
#[instrument(name = "accounts.stored_token", level = "debug", skip_all)]
pub async fn stored_token(db: &Db, sid: AccountSid) -> Result<Option<Stored>> {
    let row = query!(
        r#"select credential as "credential?", payer_sid as "payer?: AccountSid", token_chosen as "chosen?", token_digest as digest, token_hash as hash
        from demand_primary() left join accounts on sid = $1 and status <> 'closed'"#,
        sid as AccountSid
    )
    .fetch_one(db)
    .await?;
    let known = row.credential.zip(row.payer.zip(row.chosen));
    Ok(known.map(|(credential, (payer, chosen))| Stored {
        credential,
        caller: Caller { account: sid, payer, scope: None },
        chosen,
        digest: row.digest,
        hash: row.hash,
    }))
}

/// Stores the fast hash of a token that numberbank made beside its argon2 hash. Only once, and only if the token is
/// still the current one.
#[instrument(name = "accounts.keep_digest", level = "debug", skip_all)]
pub async fn keep_digest(db: &Db, sid: AccountSid, credential: Uuid, digest: &[u8]) -> Result<()> {
    query!(
        "update accounts set token_digest = $3
        where sid = $1 and credential = $2 and token_digest is null and not token_chosen",
        sid as AccountSid,
        credential,
        digest
    )
    .execute(db)
    .await
    .map(drop)
}

/// Notes the day of an account's last use, unless this or a later one is noted already. Returns false if the account's row
/// is locked: it is not waited for.
#[instrument(name = "accounts.note_use", level = "debug", skip_all)]
pub async fn note_use(db: &Db, sid: AccountSid, day: NaiveDate) -> Result<bool> {
    query_scalar!(
        r#"with free as materialized (
            select sid from accounts where sid = $1 for no key update skip locked
        ), noted as (
            update accounts set last_used_on = $2
            from free where accounts.sid = free.sid and (last_used_on is null or last_used_on < $2)
        )
        select exists (select from free) or not exists (select from accounts where sid = $1) as "done!""#,
        sid as AccountSid,
        day
    )
    .fetch_one(db)
    .await
}

#[instrument(name = "accounts.rename", level = "debug", skip_all)]
pub async fn rename(db: &Db, sid: AccountSid, name: &FriendlyName, now: DateTime<Utc>) -> Result<Option<Account>> {
    accounts!(
        returning
        "update accounts set name = $2, updated_at = greatest($3, updated_at)
        where sid = $1 and status = 'active'",
        sid as AccountSid,
        name.as_str(),
        now
    )
    .fetch_optional(db)
    .await
}

/// The last events of an account, the earliest first: of numbers that it lost, or all others.
#[instrument(name = "accounts.events", level = "debug", skip_all)]
pub async fn events(db: &Db, sid: AccountSid, of_lost: bool, limit: i64) -> Result<Vec<Happened>> {
    let mut last = query_as!(
        Happened,
        r#"select at, change as "change: Change", reason as "reason: Reason",
            phone_number as "phone_number?: PhoneNumber", tenancy_sid as "number_sid: NumberSid", note
        from account_events left join tenancies on tenancies.sid = tenancy_sid
        where account_events.account_sid = $1 and (change = 'number_lost') = $2
        order by id desc limit $3"#,
        sid as AccountSid,
        of_lost,
        limit
    )
    .fetch_all(db)
    .await?;
    last.reverse();
    Ok(last)
}

#[instrument(name = "accounts.replace_token", level = "debug", skip_all)]
pub async fn replace_token(
    within: &mut Transaction,
    sid: AccountSid,
    token: &Kept,
    now: DateTime<Utc>,
) -> Result<Option<Account>> {
    accounts!(
        returning
        "update accounts set credential = gen_random_uuid(), token_digest = $2, token_hash = $3,
            token_chosen = $3::text is not null, updated_at = $4
        where sid = $1 and closed_at is null",
        sid as AccountSid,
        token.digest(),
        token.hash(),
        now
    )
    .fetch_optional(&mut **within)
    .await
}
