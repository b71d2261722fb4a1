//! Statements that change many numbers in stock. All of them are locked by then.

use chrono::{DateTime, Utc};
use sqlx::{Result, query};
use tracing::instrument;

use super::Correction;
use crate::db::Transaction;
use crate::inventory::{Retirement, State};
use crate::values::money::Cost;
use crate::values::phone::PhoneNumber;

/// Locks the numbers in the order of `pick`, as buyers that wait do, and returns those that exist with their states.
#[instrument(name = "inventory.moving.lock", level = "debug", skip_all)]
pub async fn lock(within: &mut Transaction, numbers: &[PhoneNumber]) -> Result<Vec<(PhoneNumber, State)>> {
    let held = query!(
        r#"select phone_number as "phone_number: PhoneNumber", state as "state: State" from stock
        where phone_number = any($1) order by pick for update"#,
        numbers as &[PhoneNumber]
    );
    Ok(held.fetch_all(&mut **within).await?.into_iter().map(|row| (row.phone_number, row.state)).collect())
}

#[instrument(name = "inventory.moving.withdraw", level = "debug", skip_all)]
pub async fn withdraw(
    within: &mut Transaction,
    numbers: &[PhoneNumber],
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let result = query!(
        "update stock set state = 'withdrawn', moved_by = 'withdraw', moved_note = $3,
            state_since = greatest($2, state_since)
        where phone_number = any($1) and state in ('available', 'quarantined')",
        numbers as &[PhoneNumber],
        now,
        note
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}

/// Puts them where they were: a quarantine goes on.
#[instrument(name = "inventory.moving.put_back", level = "debug", skip_all)]
pub async fn put_back(within: &mut Transaction, numbers: &[PhoneNumber], now: DateTime<Utc>) -> Result<u64> {
    let result = query!(
        "update stock set moved_by = 'return', moved_note = null, retirement = null,
            state_since = greatest($2, state_since),
            state = case when quarantined_at is null then 'available'::stock_state else 'quarantined' end
        where phone_number = any($1) and state in ('withdrawn', 'retired')",
        numbers as &[PhoneNumber],
        now
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}

#[instrument(name = "inventory.moving.retire", level = "debug", skip_all)]
pub async fn retire(
    within: &mut Transaction,
    numbers: &[PhoneNumber],
    reason: Retirement,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let result = query!(
        "update stock set state = 'retired', moved_by = 'retire', moved_note = $4, retirement = $3,
            state_since = greatest($2, state_since)
        where phone_number = any($1) and state in ('available', 'quarantined', 'withdrawn')",
        numbers as &[PhoneNumber],
        now,
        reason as Retirement,
        note
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}

/// Sets what is known of them; what is so already is not written.
#[instrument(name = "inventory.moving.set", level = "debug", skip_all)]
pub async fn set(within: &mut Transaction, numbers: &[PhoneNumber], correction: &Correction) -> Result<u64> {
    let Correction { provider, provider_cost, note } = correction;
    let result = query!(
        "update stock set (provider, provider_cost, note) = row(new_provider, new_cost, new_note)
        from (
            select phone_number as number, case when $2::text is null then provider else nullif($2, '') end as new_provider,
                case when $3 then $4::bigint else provider_cost end as new_cost,
                case when $5::text is null then note else nullif($5, '') end as new_note
            from stock where phone_number = any($1)
        ) as corrected
        where phone_number = number
            and (provider, provider_cost, note) is distinct from (new_provider, new_cost, new_note)",
        numbers as &[PhoneNumber],
        provider.as_deref(),
        provider_cost.is_some(),
        provider_cost.flatten().map(Cost::ten_thousandths),
        note.as_deref()
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}
