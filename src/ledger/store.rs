//! The statements on the ledger.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_scalar};
use tracing::instrument;

use super::Direction;
use crate::db::Transaction;
use crate::values::money::Money;
use crate::values::sid::AccountSid;

/// Locks the account before an update. Without the lock, PostgreSQL would check the update's constraints on an old
/// version of the row before it waits for a newer one.
#[instrument(name = "ledger.hold", level = "debug", skip_all)]
pub async fn hold(within: &mut Transaction, account: AccountSid) -> Result<()> {
    query!("select from accounts where sid = $1 for no key update", account as AccountSid)
        .execute(&mut **within)
        .await
        .map(drop)
}

/// Changes the balance and writes the ledger entry. `None` if there is no such account.
#[instrument(name = "ledger.transfer", level = "debug", skip_all)]
pub async fn transfer(
    within: &mut Transaction,
    account: AccountSid,
    direction: Direction,
    amount: Money,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Money>> {
    let (kind, change) = match direction {
        Direction::Credit => ("credit", amount.cents()),
        Direction::Debit => ("debit", -amount.cents()),
    };
    query_scalar!(
        r#"with account as (
            update accounts set balance = balance + $2::bigint
            where sid = $1 and (status <> 'closed' or $2::bigint < 0)
            returning sid, balance
        )
        insert into ledger_entries (account_sid, at, kind, amount, balance_after, note)
        select sid, $5, $3::text::entry_kind, $2, balance, $4 from account
        returning balance_after as "balance: Money""#,
        account as AccountSid,
        change,
        kind,
        note,
        now
    )
    .fetch_optional(&mut **within)
    .await
}
