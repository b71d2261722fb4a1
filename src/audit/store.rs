//! Statements of the audit: each reads a big table once.

use sqlx::{Result, query, query_as};
use tracing::instrument;

use super::Breach;
use crate::db::Transaction;

#[instrument(name = "audit.freeze", level = "debug", skip_all)]
pub async fn freeze(within: &mut Transaction) -> Result<()> {
    query!("set transaction isolation level repeatable read, read only").execute(&mut **within).await.map(drop)
}

/// Reads the ledger once. It keeps the last entry of each account, whose running sum must be the balance, and the
/// entries that do not follow from the one before. If every entry follows, each is the running sum; if one is missing,
/// only the entry after it is reported.
#[instrument(name = "audit.balances", level = "debug", skip_all)]
pub async fn balances(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with running as (
            select account_sid, id, balance_after, sum(amount) over entries as sum,
                lag(balance_after, 1, 0::bigint) over entries + amount as follows,
                lead(id) over entries is null as is_last
            from ledger_entries window entries as (partition by account_sid order by id)
        ), noted as materialized (
            select * from running where balance_after <> follows or balance_after < 0 or is_last
        ), judged as (
            select coalesce(accounts.sid, account_sid) as sid, concat_ws(', ',
                case when accounts.sid is null then format('entries of %s cents, but there is no such account', sum) end,
                case when balance <> coalesce(sum, 0)
                    then format('the balance is %s cents, the ledger sums up to %s', balance, coalesce(sum, 0)) end,
                case when balance < 0 then format('the balance is %s cents, less than nothing', balance) end) as what
            from accounts full join (select account_sid, sum from noted where is_last) as ledgers
                on account_sid = accounts.sid
            union all
            select account_sid, format('entry %s says that %s cents are left, with the one before it they are %s',
                id, balance_after, follows)
            from noted where balance_after <> follows or balance_after < 0
        )
        select 1 as "invariant!", 'AC' || replace(sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#
    )
    .fetch_all(&mut **within)
    .await
}

/// A number in use and its open tenancy point to each other: one without a partner is a breach.
#[instrument(name = "audit.holders", level = "debug", skip_all)]
pub async fn holders(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"select 2 as "invariant!", coalesce(used.phone_number, open.phone_number)::text as "subject!",
            case when open.sid is null
                then format('in use by PN%s, which is no open tenancy of it', replace(tenancy_sid::text, '-', ''))
                else format('not in use by PN%s, which is an open tenancy of it', replace(open.sid::text, '-', ''))
            end as "what!"
        from (select phone_number, tenancy_sid from stock where state = 'in_use') as used
        full join (select phone_number, sid from tenancies where ended_at is null) as open
            on open.phone_number = used.phone_number and open.sid = tenancy_sid
        where used.phone_number is null or open.sid is null"#
    )
    .fetch_all(&mut **within)
    .await
}

/// The accounts' own counts of their numbers.
#[instrument(name = "audit.holdings", level = "debug", skip_all)]
pub async fn holdings(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with held as (
            select account_sid, count(*) filter (where kind = 'local') as local,
                count(*) filter (where kind = 'tollfree') as tollfree, sum(price) as fees
            from tenancies where ended_at is null group by account_sid
        ), judged as (
            select coalesce(accounts.sid, account_sid) as sid, concat_ws(', ',
                case when accounts.sid is null then 'holds numbers, but there is no such account' end,
                case when local_numbers <> coalesce(local, 0)
                    then format('counts %s local numbers, holds %s', local_numbers, coalesce(local, 0)) end,
                case when tollfree_numbers <> coalesce(tollfree, 0)
                    then format('counts %s toll-free numbers, holds %s', tollfree_numbers, coalesce(tollfree, 0)) end,
                case when monthly_fees <> coalesce(fees, 0)
                    then format('counts %s cents a month, holds numbers for %s', monthly_fees, coalesce(fees, 0)) end
            ) as what
            from accounts full join held on account_sid = accounts.sid
        )
        select 2 as "invariant!", 'AC' || replace(sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#
    )
    .fetch_all(&mut **within)
    .await
}

/// The counts of the stock. This reads the stock a second time, because to count all numbers in [`holders`] would more
/// than double its time: it joins only numbers in use.
#[instrument(name = "audit.counts", level = "debug", skip_all)]
pub async fn counts(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with held as (
            select kind, area_code, state, count(*) as numbers from stock group by kind, area_code, state
        ), counted as (
            select kind, area_code, state, sum(count) as numbers
            from stock_counts
            cross join lateral (values ('available'::stock_state, available), ('in_use', in_use),
                ('quarantined', quarantined), ('withdrawn', withdrawn)) as counts (state, count)
            group by kind, area_code, state
        )
        select 2 as "invariant!", concat(kind, ' ', area_code) as "subject!",
            format('counts %s numbers %s, holds %s', coalesce(counted.numbers, 0), state, coalesce(held.numbers, 0))
                as "what!"
        from held full join counted using (kind, area_code, state)
        where coalesce(counted.numbers, 0) <> coalesce(held.numbers, 0)"#
    )
    .fetch_all(&mut **within)
    .await
}

/// Equal entries are one row with their count. Of two different ones, one does not match the tenancy.
#[instrument(name = "audit.purchases", level = "debug", skip_all)]
pub async fn purchases(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with paid as (
            select tenancy_sid, account_sid, -amount as amount, count(*) as entries
            from ledger_entries where kind = 'purchase' group by tenancy_sid, account_sid, amount
        ), sold as (
            select sid, account_sid, price, tenancies.phone_number, tenancies.kind, stock.kind as kind_in_stock
            from tenancies left join stock on stock.phone_number = tenancies.phone_number
        ), judged as (
            select coalesce(sid, tenancy_sid) as sid, concat_ws(', ',
                case when sid is null then format('paid for with %s cents, but there is no such tenancy', amount) end,
                case when tenancy_sid is null then 'never paid for' end,
                case when entries > 1 then format('paid for %s times', entries) end,
                case when amount <> price then format('paid for with %s cents, the price is %s', amount, price) end,
                case when paid.account_sid <> sold.account_sid then format('paid for by AC%s, sold to AC%s',
                    replace(paid.account_sid::text, '-', ''), replace(sold.account_sid::text, '-', '')) end,
                case when sid is not null and kind_in_stock is null
                    then format('its number %s is not in stock', phone_number) end,
                case when kind <> kind_in_stock
                    then format('sold as %s, its number %s is %s', kind, phone_number, kind_in_stock) end) as what
            from sold full join paid on tenancy_sid = sid
        )
        select 3 as "invariant!", 'PN' || replace(sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#
    )
    .fetch_all(&mut **within)
    .await
}

/// The months that were charged. The first one belongs to the purchases.
#[instrument(name = "audit.months", level = "debug", skip_all)]
pub async fn months(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with charged as (
            select tenancy_sid, account_sid, kind, -amount as amount, month,
                row_number() over (partition by tenancy_sid, month) as time
            from ledger_entries where tenancy_sid is not null
        ), judged as (
            select tenancy_sid, month, concat_ws(', ',
                case when time > 1 then format('is charged %s times', time) end,
                case when month_begins(started_at, month) > (ended_at at time zone 'UTC')::date
                    then format('begins on %s, after the end on %s', month_begins(started_at, month),
                        (ended_at at time zone 'UTC')::date) end,
                case when charged.kind = 'monthly_fee' then concat_ws(', ',
                    case when sid is null then 'is charged, but there is no such tenancy' end,
                    case when amount <> price then format('is charged with %s cents, the price is %s', amount, price) end,
                    case when charged.account_sid <> tenancies.account_sid then format('is paid by AC%s, sold to AC%s',
                        replace(charged.account_sid::text, '-', ''), replace(tenancies.account_sid::text, '-', '')) end,
                    case when month >= due_month then format('is charged, but next is month %s', due_month) end) end
            ) as what
            from charged left join tenancies on sid = tenancy_sid
        )
        select 4 as "invariant!", 'PN' || replace(tenancy_sid::text, '-', '') as "subject!",
            format('month %s %s', month, what) as "what!"
        from judged where what <> ''"#
    )
    .fetch_all(&mut **within)
    .await
}

/// The months that are charged next.
#[instrument(name = "audit.due", level = "debug", skip_all)]
pub async fn due(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"select 4 as "invariant!", 'PN' || replace(sid::text, '-', '') as "subject!",
            format('month %s is due on %s, begins on %s', due_month, due_on, month_begins(started_at, due_month))
                as "what!"
        from tenancies where ended_at is null and due_on <> month_begins(started_at, due_month)"#
    )
    .fetch_all(&mut **within)
    .await
}

/// Who held a number without a gap, and from when to when, as in `reporting.holdings`: from a sale or a restore to the
/// tenancy's next release. Of a number that was sold more than once, each of these periods must begin after all earlier
/// ones have ended. Numbers sold once, which are most, are left out first.
#[instrument(name = "audit.overlaps", level = "debug", skip_all)]
pub async fn overlaps(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with event as (
            select phone_number, sid, 0 as id, started_at as at, ended_at, true as begins,
                count(*) over (partition by phone_number) as sales
            from tenancies
            union all
            select phone_number, tenancy_sid, id, at, null, cause = 'restore', null
            from stock_moves where tenancy_sid is not null
        ), holding as (
            select phone_number, sid, begins, at as held_from,
                greatest(at, coalesce(lead(at) over of_tenancy, ended_at, 'infinity')) as held_until
            from event where sales > 1 or sales is null
            window of_tenancy as (partition by phone_number, sid order by id)
        ), compared as (
            select *, max(held_until) over (partition by phone_number order by held_from, held_until
                rows between unbounded preceding and 1 preceding) as held_before
            from holding where begins
        )
        select 5 as "invariant!", phone_number::text as "subject!",
            format('PN%s holds it from %s on, while another tenancy %s', replace(sid::text, '-', ''),
                held_from at time zone 'UTC', case when isfinite(held_before)
                    then format('holds it until %s', held_before at time zone 'UTC') else 'goes on' end) as "what!"
        from compared where held_before > held_from"#
    )
    .fetch_all(&mut **within)
    .await
}
