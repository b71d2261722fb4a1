//! Statements of an import.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_scalar};
use tracing::instrument;

use crate::db::Transaction;
use crate::values::phone::Kind;

/// Rows as columns, as `unnest` takes them.
#[derive(Debug, Default)]
pub struct Batch {
    pub phone_numbers: Vec<i64>,
    pub kinds: Vec<Kind>,
    pub providers: Vec<Option<String>>,
    /// In ten-thousandths of a dollar.
    pub costs: Vec<Option<i64>>,
    pub notes: Vec<Option<String>>,
}

/// Takes the id of an import. Its row is written by [`record_import`].
#[instrument(name = "inventory.import.next_import", level = "debug", skip_all)]
pub async fn next_import(within: &mut Transaction) -> Result<i64> {
    query_scalar!(r#"select nextval(pg_get_serial_sequence('imports', 'id')) as "id!""#).fetch_one(&mut **within).await
}

/// Adds a batch of numbers, and returns how many were new.
#[instrument(name = "inventory.import.add_batch", level = "debug", skip_all)]
pub async fn add_batch(
    within: &mut Transaction,
    batch: &Batch,
    import: Option<i64>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let result = query!(
        "insert into stock (phone_number, kind, state_since, added_at, provider, provider_cost, note, import_id)
        select row.phone_number, row.kind, $6, $6, row.provider, row.cost, row.note, $7
        from unnest($1::bigint[], $2::number_kind[], $3::text[], $4::bigint[], $5::text[])
            as row (phone_number, kind, provider, cost, note)
        on conflict (phone_number) do nothing",
        &batch.phone_numbers,
        &batch.kinds as &[Kind],
        &batch.providers as &[Option<String>],
        &batch.costs as &[Option<i64>],
        &batch.notes as &[Option<String>],
        now,
        import
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}

/// Collects a batch's properties for [`apply_changes`]. If the file names a number twice, the last row counts.
#[instrument(name = "inventory.import.collect_changes", level = "debug", skip_all)]
pub async fn collect_changes(within: &mut Transaction, batch: &Batch) -> Result<()> {
    query!(
        "insert into import_changes (phone_number, provider, provider_cost, note)
        select distinct on (phone_number) phone_number, provider, cost, note
        from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[]) with ordinality
            as row (phone_number, provider, cost, note, ordinal)
        order by phone_number, ordinal desc
        on conflict (phone_number) do update set
            provider = excluded.provider, provider_cost = excluded.provider_cost, note = excluded.note",
        &batch.phone_numbers,
        &batch.providers as &[Option<String>],
        &batch.costs as &[Option<i64>],
        &batch.notes as &[Option<String>]
    )
    .execute(&mut **within)
    .await
    .map(drop)
}

/// `query!` or `query_scalar!` on the numbers in stock that a collected change makes different. Empty cells change
/// nothing.
macro_rules! changed {
    ($query:ident, $before:literal, $after:literal) => {
        $query!(
            $before
                + " from stock join change using (phone_number)
                where (coalesce(change.provider, stock.provider), coalesce(change.provider_cost, stock.provider_cost),
                    coalesce(change.note, stock.note)) is distinct from (stock.provider, stock.provider_cost, stock.note)"
                + $after
        )
    };
}

/// Applies and deletes the collected changes, and returns how many numbers changed. Only those are locked, in the order
/// of `pick`, as buyers that wait do.
#[instrument(name = "inventory.import.apply_changes", level = "debug", skip_all)]
pub async fn apply_changes(within: &mut Transaction) -> Result<u64> {
    let result = changed!(
        query,
        "with change as materialized (delete from import_changes returning *),
        locked as materialized (select stock.phone_number",
        " order by pick for update of stock)
        update stock set provider = coalesce(change.provider, stock.provider),
            provider_cost = coalesce(change.provider_cost, stock.provider_cost),
            note = coalesce(change.note, stock.note)
        from locked join change using (phone_number)
        where stock.phone_number = locked.phone_number"
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}

/// How many numbers [`apply_changes`] would change.
#[instrument(name = "inventory.import.count_changes", level = "debug", skip_all)]
pub async fn count_changes(within: &mut Transaction) -> Result<i64> {
    changed!(query_scalar, "with change as (select * from import_changes) select count(*) as \"count!\"", "")
        .fetch_one(&mut **within)
        .await
}

/// The record of an import.
pub struct ImportEntry<'a> {
    pub id: i64,
    pub file: &'a str,
    pub operator: &'a str,
    pub added: i64,
    pub already_known: i64,
    pub changed: i64,
    pub rejected: i64,
}

#[instrument(name = "inventory.import.record_import", level = "debug", skip_all)]
pub async fn record_import(within: &mut Transaction, entry: &ImportEntry<'_>, at: DateTime<Utc>) -> Result<()> {
    query!(
        "insert into imports (id, at, file, operator, added, already_known, changed, rejected)
        values ($1, $2, $3, $4, $5, $6, $7, $8)",
        entry.id,
        at,
        entry.file,
        entry.operator,
        entry.added,
        entry.already_known,
        entry.changed,
        entry.rejected
    )
    .execute(&mut **within)
    .await
    .map(drop)
}
