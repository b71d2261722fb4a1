//! The statements on the ledger.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Result, query, query_as, query_scalar};
use tracing::instrument;

use super::reversals::{Charge, Entry, Kind, MOST_CHARGES};
use super::{Direction, Entered, Kept, Key, Links, Order, Twin};
use crate::db::Transaction;
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::AccountSid;

/// Locks accounts before an update, main accounts before sub-accounts, each in the order of their Sids. Without the lock,
/// PostgreSQL would check the update's constraints on an old version of the row before it waits for a newer one.
#[instrument(name = "ledger.hold", level = "debug", skip_all)]
pub async fn hold(within: &mut Transaction, accounts: &[AccountSid]) -> Result<()> {
    query!(
        "select from accounts where sid = any($1) order by owner_sid is not null, sid for no key update",
        accounts as &[AccountSid]
    )
    .execute(&mut **within)
    .await
    .map(drop)
}

/// Changes the balance and writes the ledger entry. The account is locked already. `None` if there is no such account.
#[instrument(name = "ledger.enter", level = "debug", skip_all)]
pub async fn enter(
    within: &mut Transaction,
    order: &Order<'_>,
    direction: Direction,
    links: Links,
    now: DateTime<Utc>,
) -> Result<Option<Entered>> {
    query_as!(
        Entered,
        r#"with account as (
            update account_sums set version = version + 1, balance = balance + $2::bigint
            where account_sid = $1 and version >= (select version from sums_of($1))
                and exists (select from accounts where sid = $1 and (status <> 'closed' or $2::bigint < 0))
            returning account_sid as sid, balance
        )
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, note, reverses, transfer)
        select sid, $5, $3::text::entry_kind, $2, balance, $4, $6, $7 from account
        returning id, balance_after as "balance: Money""#,
        order.account as AccountSid,
        direction.change(order.amount),
        direction.name(),
        order.note,
        now,
        links.reverses,
        links.transfer
    )
    .fetch_optional(&mut **within)
    .await
}

/// The last entry since then of this kind, sum and note, and of a transfer to the same account. One that was reversed and a
/// reversal are none.
#[instrument(name = "ledger.twin", level = "debug", skip_all)]
pub async fn twin(
    within: &mut Transaction,
    order: &Order<'_>,
    direction: Direction,
    since: DateTime<Utc>,
) -> Result<Option<Twin>> {
    let Order { account, to, amount, note, .. } = *order;
    let row = query!(
        "select id, at from ledger_entries as entry
        where account_sid = $1 and at > $5 and kind in ('credit', 'debit') and kind = $2::text::entry_kind and amount = $3
            and note is not distinct from $4 and reverses is null and not exists (
                select from ledger_entries where account_sid = entry.account_sid and reverses = entry.id)
            and $6::uuid is not distinct from (
                select account_sid from ledger_entries where transfer = entry.transfer and id <> entry.id)
        order by at desc limit 1",
        account as AccountSid,
        direction.name(),
        direction.change(amount),
        note,
        since,
        to as Option<AccountSid>
    )
    .fetch_optional(&mut **within)
    .await?;
    Ok(row.map(|row| Twin { account, direction, amount, to, entry: row.id, at: row.at }))
}

/// What was answered to the order with this key, and whether that is this order.
#[instrument(name = "ledger.answer", level = "debug", skip_all)]
pub async fn answer(within: &mut Transaction, account: AccountSid, key: &Key, request: &Value) -> Result<Option<Kept>> {
    query_as!(
        Kept,
        r#"select answer::text as "answer!", request = $3::text::jsonb as "is_same!"
        from ledger_keys where account_sid = $1 and key = $2"#,
        account as AccountSid,
        key.as_str(),
        request.to_string()
    )
    .fetch_optional(&mut **within)
    .await
}

#[instrument(name = "ledger.keep_answer", level = "debug", skip_all)]
pub async fn keep_answer(
    within: &mut Transaction,
    account: AccountSid,
    key: &Key,
    entry: i64,
    request: &Value,
    answer: &str,
) -> Result<()> {
    query!(
        "insert into ledger_keys (account_sid, key, entry_id, request, answer)
        values ($1, $2, $3, $4::text::jsonb, $5::text::jsonb)",
        account as AccountSid,
        key.as_str(),
        entry,
        request.to_string(),
        answer
    )
    .execute(&mut **within)
    .await
    .map(drop)
}

#[instrument(name = "ledger.next_transfer", level = "debug", skip_all)]
pub async fn next_transfer(within: &mut Transaction) -> Result<i64> {
    query_scalar!(r#"select nextval('ledger_transfers') as "number!""#).fetch_one(&mut **within).await
}

/// An entry of any account, by its id alone. The index has only those that operators entered; all others are read if none
/// of them has this id.
#[instrument(name = "ledger.entry", level = "debug", skip_all)]
pub async fn entry(within: &mut Transaction, id: i64) -> Result<Option<Entry>> {
    query_as!(
        Entry,
        r#"select account_sid as "account!: AccountSid", kind as "kind!: Kind", abs(amount) as "amount!: Money", reverses,
            transfer
        from (
            select * from ledger_entries where id = $1 and kind in ('credit', 'debit')
            union all
            select * from ledger_entries where id = $1 and kind not in ('credit', 'debit')
        ) as entry
        limit 1"#,
        id
    )
    .fetch_optional(&mut **within)
    .await
}

/// The reversal of an entry: its id, and when it was made.
#[instrument(name = "ledger.reversal", level = "debug", skip_all)]
pub async fn reversal(
    within: &mut Transaction,
    account: AccountSid,
    entry: i64,
) -> Result<Option<(i64, DateTime<Utc>)>> {
    let row = query!(
        "select id, at from ledger_entries where account_sid = $1 and reverses = $2",
        account as AccountSid,
        entry
    )
    .fetch_optional(&mut **within)
    .await?;
    Ok(row.map(|row| (row.id, row.at)))
}

#[instrument(name = "ledger.balance", level = "debug", skip_all)]
pub async fn balance(within: &mut Transaction, account: AccountSid) -> Result<Money> {
    query_scalar!(r#"select balance as "balance!: Money" from sums_of($1)"#, account as AccountSid)
        .fetch_one(&mut **within)
        .await
}

/// What an account has paid after an entry, the earliest first: some, and how many there are. A reversal pays nothing.
#[instrument(name = "ledger.charges_since", level = "debug", skip_all)]
pub async fn charges_since(within: &mut Transaction, account: AccountSid, entry: i64) -> Result<(Vec<Charge>, i64)> {
    let rows = query!(
        // Only the entries that are named look for their number: there may be a million, and the account is locked.
        r#"select charge.kind as "kind: Kind", at, -amount as "amount!: Money",
            phone_number as "phone_number?: PhoneNumber", counted as "all!"
        from (
            select id, kind, at, amount, tenancy_sid, count(*) over () as counted from ledger_entries
            where account_sid = $1 and id > $2 and amount < 0 and reverses is null
            order by id limit $3
        ) as charge
        left join tenancies on tenancies.sid = tenancy_sid and (ended_at is null or ended_at is not null)
        order by id"#,
        account as AccountSid,
        entry,
        MOST_CHARGES
    )
    .fetch_all(&mut **within)
    .await?;
    let all = rows.first().map_or(0, |row| row.all);
    let charges = rows.into_iter().map(|row| Charge {
        kind: row.kind,
        at: row.at,
        amount: row.amount,
        phone_number: row.phone_number,
    });
    Ok((charges.collect(), all))
}
