//! Statements on the stock.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as, query_scalar};
use tracing::instrument;

use super::{Retirement, Since, State, Stocked, Summary, Threshold};
use crate::db::walk::Portion;
use crate::db::{Db, Transaction};
use crate::values::money::Cost;
use crate::values::phone::{AreaCode, Kind, PhoneNumber};

/// Refreshes the planner's statistics. Plans are kept, and one made for a stock that was sold out scans the wrong
/// index.
#[instrument(name = "inventory.analyze", level = "debug", skip_all)]
pub async fn analyze(db: &Db) -> Result<()> {
    query!("analyze stock").execute(db).await.map(drop)
}

/// Adds a range of numbers of one kind, and returns how many were new.
#[instrument(name = "inventory.add_range", level = "debug", skip_all)]
pub async fn add_range(
    within: &mut Transaction,
    kind: Kind,
    range: &RangeInclusive<i64>,
    now: DateTime<Utc>,
) -> Result<u64> {
    let result = query!(
        "insert into stock (phone_number, kind, state_since, added_at)
        select phone_number, $1, $4, $4 from generate_series($2::bigint, $3::bigint) as phone_number
        on conflict (phone_number) do nothing",
        kind as Kind,
        range.start(),
        range.end(),
        now
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}

#[instrument(name = "inventory.is_empty", level = "debug", skip_all)]
pub async fn is_empty(db: &Db) -> Result<bool> {
    query_scalar!(r#"select not exists (select from stock) as "is_empty!""#).fetch_one(db).await
}

#[instrument(name = "inventory.find", level = "debug", skip_all)]
pub async fn find(within: &mut Transaction, number: PhoneNumber) -> Result<Option<Stocked>> {
    query_as!(
        Stocked,
        r#"select phone_number as "phone_number: PhoneNumber", kind as "kind: Kind", area_code as "area_code!",
            state as "state: State", provider, provider_cost as "provider_cost: Cost", note
        from stock where phone_number = $1"#,
        number as PhoneNumber
    )
    .fetch_optional(&mut **within)
    .await
}

/// Since when a number is in its state, and what the view says of how that goes on.
#[instrument(name = "inventory.since", level = "debug", skip_all)]
pub async fn since(within: &mut Transaction, number: PhoneNumber) -> Result<Option<Since>> {
    query_as!(
        Since,
        r#"select state_since as "since!", back_on_sale, retirement as "retirement: Retirement"
        from reporting.inventory where phone_number = $1"#,
        number as PhoneNumber
    )
    .fetch_optional(&mut **within)
    .await
}

/// Reads the counts that every move maintains.
#[instrument(name = "inventory.summary", level = "debug", skip_all)]
pub async fn summary(db: &Db) -> Result<Vec<Summary>> {
    query_as!(
        Summary,
        r#"select kind as "kind!: Kind", area_code as "area_code!", available as "available!", in_use as "in_use!",
            quarantined as "quarantined!", withdrawn as "withdrawn!", total as "total!",
            retired as "retired!"
        from reporting.inventory_summary order by kind, area_code"#
    )
    .fetch_all(db)
    .await
}

/// Stores the lengths of quarantines. Writes only those that differ.
#[instrument(name = "inventory.keep_lengths", level = "debug", skip_all)]
pub async fn keep_lengths(db: &Db, local: i64, tollfree: i64) -> Result<()> {
    query!(
        "update quarantine_lengths set days = told.days
        from (values ('local'::number_kind, $1::bigint), ('tollfree', $2)) as told (kind, days)
        where quarantine_lengths.kind = told.kind and quarantine_lengths.days <> told.days",
        local,
        tollfree
    )
    .execute(db)
    .await
    .map(drop)
}

/// Puts up to 5,000 numbers on sale whose quarantine began at `since` or earlier. Skips locked ones: the next run takes
/// them.
#[instrument(name = "inventory.recycle", level = "debug", skip_all)]
pub async fn recycle(within: &mut Transaction, kind: Kind, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64> {
    let result = query!(
        "update stock set state = 'available', moved_by = 'recycle', state_since = greatest($3, state_since),
            quarantined_at = null
        where phone_number in (
            select phone_number from stock where state = 'quarantined' and kind = $1 and quarantined_at <= $2
            order by quarantined_at limit 5000 for update skip locked
        )",
        kind as Kind,
        since,
        now
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}

/// Folds the rows of `stock_counts` in some pages, if that leaves less than half of them. Otherwise the same would be written
/// again and again while nothing moves. One statement, so readers see all rows or their sums. Of two at once, the second waits
/// and finds none.
#[instrument(name = "inventory.fold_counts", level = "debug", skip_all)]
pub async fn fold_counts(db: &Db, pages: Portion) -> Result<()> {
    query!(
        "with many as materialized (
            select count(*) > 2 * count(distinct area_code) as are_there from stock_counts
            where ctid >= format('(%s,0)', $1::bigint)::tid and ctid < format('(%s,0)', $2::bigint)::tid
        ), folded as (
            delete from stock_counts
            where ctid >= format('(%s,0)', $1::bigint)::tid and ctid < format('(%s,0)', $2::bigint)::tid
                and (select are_there from many)
            returning *
        )
        insert into stock_counts
        select kind, area_code, sum(available), sum(in_use), sum(quarantined), sum(withdrawn), sum(retired)
        from folded group by kind, area_code",
        pages.first,
        pages.end
    )
    .execute(db)
    .await
    .map(drop)
}

#[instrument(name = "inventory.thresholds", level = "debug", skip_all)]
pub async fn thresholds(db: &Db) -> Result<Vec<Threshold>> {
    query_as!(
        Threshold,
        r#"select kind as "kind: Kind", area_code, threshold from stock_thresholds order by kind, area_code"#
    )
    .fetch_all(db)
    .await
}

#[instrument(name = "inventory.set_threshold", level = "debug", skip_all)]
pub async fn set_threshold(within: &mut Transaction, area_code: AreaCode, threshold: i32) -> Result<()> {
    query!(
        "insert into stock_thresholds (kind, area_code, threshold) values ($1, $2, $3)
        on conflict (kind, area_code) do update set threshold = excluded.threshold",
        area_code.kind() as Kind,
        area_code.as_smallint(),
        threshold
    )
    .execute(&mut **within)
    .await
    .map(drop)
}

#[instrument(name = "inventory.remove_threshold", level = "debug", skip_all)]
pub async fn remove_threshold(within: &mut Transaction, area_code: AreaCode) -> Result<()> {
    query!("delete from stock_thresholds where area_code = $1", area_code.as_smallint())
        .execute(&mut **within)
        .await
        .map(drop)
}
