//! The statements of a transfer. Lock order as everywhere: stock, then the accounts, those that pay before those that hold,
//! each in the order of their Sids, then the tenancy.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_scalar};
use tracing::instrument;

use crate::db::Transaction;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// A transfer that is to be made.
pub struct Transfer<'a> {
    pub number: PhoneNumber,
    pub sid: NumberSid,
    pub from: AccountSid,
    pub to: AccountSid,
    pub note: Option<&'a str>,
}

/// The account of a tenancy. Its number is locked already.
#[instrument(name = "releases.transfers.holder", level = "debug", skip_all)]
pub async fn holder(within: &mut Transaction, sid: NumberSid) -> Result<AccountSid> {
    query_scalar!(r#"select account_sid as "account_sid: AccountSid" from tenancies where sid = $1"#, sid as NumberSid)
        .fetch_one(&mut **within)
        .await
}

/// How often a tenancy was transferred since then; it counts no further than `most`.
#[instrument(name = "releases.transfers.moved_since", level = "debug", skip_all)]
pub async fn moved_since(within: &mut Transaction, sid: NumberSid, since: DateTime<Utc>, most: i64) -> Result<i64> {
    query_scalar!(
        r#"select count(*) filter (where at > $2) as "count!"
        from (select at from tenancy_transfers where tenancy_sid = $1 order by id desc limit $3) as last"#,
        sid as NumberSid,
        since,
        most
    )
    .fetch_one(&mut **within)
    .await
}

/// Makes a transfer. Its number and both accounts are locked already. It is never earlier than the number's last move or
/// transfer. The row in stock keeps its time, so that the next one is not earlier either.
#[instrument(name = "releases.transfers.transfer", level = "debug", skip_all)]
pub async fn transfer(within: &mut Transaction, asked: &Transfer<'_>, now: DateTime<Utc>) -> Result<()> {
    query!(
        "with number as (
            update stock set state_since = greatest($1, state_since) where phone_number = $2
            returning state_since as at
        ), told as (
            insert into tenancy_transfers (tenancy_sid, at, from_account, to_account, from_month, note)
            select sid, at, account_sid, $5, due_month, $6
            from tenancies, number where sid = $3 and account_sid = $4
            returning tenancy_sid, at
        ), moved as (
            update tenancies set account_sid = $5, updated_at = greatest(at, updated_at)
            from told where sid = tenancy_sid
            returning kind, price
        ), given as (
            update account_sums set version = version + 1, local_numbers = local_numbers - (kind = 'local')::integer,
                tollfree_numbers = tollfree_numbers - (kind = 'tollfree')::integer, monthly_fees = monthly_fees - price
            from moved where account_sid = $4 and version >= (select version from sums_of($4))
        )
        update account_sums set version = version + 1, local_numbers = local_numbers + (kind = 'local')::integer,
            tollfree_numbers = tollfree_numbers + (kind = 'tollfree')::integer, monthly_fees = monthly_fees + price
        from moved where account_sid = $5 and version >= (select version from sums_of($5))",
        now,
        asked.number as PhoneNumber,
        asked.sid as NumberSid,
        asked.from as AccountSid,
        asked.to as AccountSid,
        asked.note
    )
    .execute(&mut **within)
    .await
    .map(drop)
}
