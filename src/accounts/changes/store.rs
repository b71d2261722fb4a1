//! Statements on what an operator changes of an account.

use chrono::{DateTime, Utc};
use sqlx::{Result, query_as, query_scalar};
use tracing::instrument;

use super::{Edit, Said};
use crate::accounts::store::accounts;
use crate::accounts::{Account, Reason, Reference, Status};
use crate::db::Transaction;
use crate::values::money::Money;
use crate::values::sid::AccountSid;
use crate::values::text::FriendlyName;

/// Suspends the account, for the operator or its owner. If that one has suspended it already, only the note is told, as an
/// event of its own.
#[instrument(name = "accounts.changes.suspend", level = "debug", skip_all)]
pub async fn suspend(
    within: &mut Transaction,
    sid: AccountSid,
    said: Said<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Account>> {
    accounts!(
        returning
        "update accounts set
            suspended_at = case when $4 = 'owner'::change_reason then suspended_at else coalesce(suspended_at, $2) end,
            suspended_by_owner_at = case when $4 = 'owner' then coalesce(suspended_by_owner_at, $2)
                else suspended_by_owner_at end,
            changed_by = ($4, $2)::change_cause, changed_note = $3,
            updated_at = case when case when $4 = 'owner' then suspended_by_owner_at else suspended_at end is null
                then greatest($2, updated_at) else updated_at end
        where sid = $1 and closed_at is null",
        sid as AccountSid,
        now,
        said.note,
        said.by as Reason
    )
    .fetch_optional(&mut **within)
    .await
}

/// Makes the account active, but for a sub-account whose owner is not. The reason of its suspension makes no difference. A note
/// is told even if it is active.
#[instrument(name = "accounts.changes.activate", level = "debug", skip_all)]
pub async fn activate(
    within: &mut Transaction,
    sid: AccountSid,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Account>> {
    accounts!(
        returning
        "update accounts set suspended_at = null, unpaid_since = null, suspended_by_owner_at = null,
            changed_by = ('operator', $2)::change_cause, changed_note = $3,
            updated_at = case when status = 'suspended' then greatest($2, updated_at) else updated_at end
        where sid = $1 and closed_at is null",
        sid as AccountSid,
        now,
        note
    )
    .fetch_optional(&mut **within)
    .await
}

/// Closes the account if it holds no number, and no money or what becomes of that is settled; locks it either way. Of one
/// that is closed, a note is told.
#[instrument(name = "accounts.changes.close", level = "debug", skip_all)]
pub async fn close(
    within: &mut Transaction,
    sid: AccountSid,
    with_money: bool,
    said: Said<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Account>> {
    accounts!(
        returning
        "with owner as materialized (
            -- Sees: the account's owner. Locks: it. First, because owners are locked before their sub-accounts.
            select sid from accounts where sid = (select owner_sid from accounts where sid = $1) for no key update
        ), account as materialized (
            -- Sees: the account as it is now. Locks: it. Here: after its owner.
            select sid as it, closed_at is not null as ended, sub_accounts as below
            from accounts where sid = $1 and (select count(*) from owner) >= 0 for update
        ), sums as materialized (
            -- Sees: its money and counts as they are now. Locks: them. Here: after the account.
            select its.* from account cross join lateral (
                select * from account_sums where account_sid = it order by version desc limit 1 for no key update
            ) as its
        ), judged as (
            select *, ended or (local_numbers + tollfree_numbers = 0 and below = 0 and (balance = 0 or $3)) as ends
            from account, sums
        ), fewer as (
            update accounts set sub_accounts = sub_accounts - 1 from owner, judged
            where accounts.sid = owner.sid and ends and not ended
        )
        update accounts set changed_by = case when ends then ($5::change_reason, $2)::change_cause end,
            changed_note = case when ends then $4::text end,
            closed_at = case when ends then coalesce(closed_at, $2) end,
            updated_at = case when ends and closed_at is null then greatest($2, updated_at) else updated_at end
        from judged where sid = it",
        sid as AccountSid,
        now,
        with_money,
        said.note,
        said.by as Reason
    )
    .fetch_optional(&mut **within)
    .await
}

/// Takes all money off an account that is locked. Returns how much that was; `None` where there was none.
#[instrument(name = "accounts.changes.refund", level = "debug", skip_all)]
pub async fn refund(
    within: &mut Transaction,
    sid: AccountSid,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Money>> {
    query_scalar!(
        r#"with had as (
            select account_sid as sid, balance, version from sums_of($1) where balance > 0
        ), paid as (
            update account_sums set version = version + 1, balance = 0
            where account_sid = $1 and version >= (select version from had)
        )
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, note)
        select sid, $2, 'debit', -balance, 0, coalesce($3, 'refund of a closed account') from had
        returning -amount as "refunded!: Money""#,
        sid as AccountSid,
        now,
        note
    )
    .fetch_optional(&mut **within)
    .await
}

/// The account with this ref.
#[instrument(name = "accounts.changes.with_ref", level = "debug", skip_all)]
pub async fn with_ref(within: &mut Transaction, reference: &Reference) -> Result<Option<AccountSid>> {
    query_scalar!(r#"select sid as "sid: AccountSid" from accounts where ref = $1"#, reference.as_str())
        .fetch_optional(&mut **within)
        .await
}

/// A closed account keeps its name, but may give up its ref.
#[instrument(name = "accounts.changes.edit", level = "debug", skip_all)]
pub async fn edit(
    within: &mut Transaction,
    sid: AccountSid,
    edit: Edit<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Account>> {
    accounts!(
        returning
        "update accounts set name = coalesce($2, name), ref = case when $3 then $4 else ref end,
            updated_at = greatest($5, updated_at)
        where sid = $1 and (closed_at is null or $2::text is null)",
        sid as AccountSid,
        edit.name.map(FriendlyName::as_str),
        edit.reference.is_some(),
        edit.reference.flatten().map(Reference::as_str),
        now
    )
    .fetch_optional(&mut **within)
    .await
}
