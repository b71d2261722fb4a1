//! The statements of the audit: one for each invariant, each a single pass.

use sqlx::{Result, query, query_as};

use super::Breach;
use crate::kernel::db::Transaction;

pub async fn freeze(within: &mut Transaction) -> Result<()> {
    query!("set transaction isolation level repeatable read, read only").execute(&mut **within).await.map(drop)
}

pub async fn balances(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with running as (
            select account_sid, id, balance_after,
                sum(amount) over (partition by account_sid order by id) as sum
            from ledger_entries
        ), sums as (
            select account_sid, sum(amount) as sum from ledger_entries group by account_sid
        )
        select 1 as "invariant!", 'AC' || replace(account_sid::text, '-', '') as "subject!",
            format('entry %s says balance_after %s, the running sum is %s', id, balance_after, sum) as "what!"
        from running where balance_after <> sum
        union all
        select 1, 'AC' || replace(accounts.sid::text, '-', ''),
            format('balance is %s, the ledger sums up to %s', balance, coalesce(sum, 0))
        from accounts left join sums on account_sid = accounts.sid
        where balance <> coalesce(sum, 0) or balance < 0"#
    )
    .fetch_all(&mut **within)
    .await
}

pub async fn holders(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with open as (
            select phone_number, count(*) as tenancies, min(sid::text) as sid
            from tenancies where ended_at is null group by phone_number
        ), held as (
            select account_sid, count(*) filter (where kind = 'local') as local,
                count(*) filter (where kind = 'tollfree') as tollfree
            from tenancies where ended_at is null group by account_sid
        )
        select 2 as "invariant!", coalesce(stock.phone_number, open.phone_number)::text as "subject!",
            format('%s, with %s open tenancies', coalesce(stock.state::text, 'not in stock'),
                coalesce(open.tenancies, 0)) as "what!"
        from stock full join open on open.phone_number = stock.phone_number
        where (coalesce(stock.state::text, '') = 'in_use') <> (coalesce(open.tenancies, 0) = 1)
            or coalesce(open.tenancies, 0) > 1
            or stock.tenancy_sid::text is distinct from open.sid
        union all
        select 2, 'AC' || replace(accounts.sid::text, '-', ''),
            format('counts %s local and %s toll-free numbers, holds %s and %s', local_numbers, tollfree_numbers,
                coalesce(local, 0), coalesce(tollfree, 0))
        from accounts left join held on account_sid = accounts.sid
        where (local_numbers, tollfree_numbers) <> (coalesce(local, 0), coalesce(tollfree, 0))"#
    )
    .fetch_all(&mut **within)
    .await
}

pub async fn purchases(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with paid as (
            select tenancy_sid, count(*) as entries, min(account_sid::text) as account_sid, sum(amount) as amount
            from ledger_entries where kind = 'purchase' group by tenancy_sid
        )
        select 3 as "invariant!", 'PN' || replace(coalesce(tenancies.sid, paid.tenancy_sid)::text, '-', '') as "subject!",
            format('%s tenancy at %s cents, %s purchase entries of %s cents, %s number in stock',
                case when tenancies.sid is null then 'no' else 'one' end, coalesce(price, 0), coalesce(entries, 0), coalesce(amount, 0),
                case when stock.phone_number is null then 'no' else 'one' end) as "what!"
        from tenancies
        full join paid on paid.tenancy_sid = tenancies.sid
        left join stock on stock.phone_number = tenancies.phone_number
        where tenancies.sid is null or stock.phone_number is null or coalesce(entries, 0) <> 1
            or paid.account_sid <> tenancies.account_sid::text or -amount <> price or stock.kind <> tenancies.kind"#
    )
    .fetch_all(&mut **within)
    .await
}

/// A month begins on the day of the purchase, so many months later, in UTC.
pub async fn months(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with charged as (
            select tenancy_sid, month, count(*) as entries from ledger_entries
            where tenancy_sid is not null group by tenancy_sid, month
        )
        select 4 as "invariant!", 'PN' || replace(tenancy_sid::text, '-', '') as "subject!",
            format('month %s is charged %s times, the tenancy ended at %s', month, entries, ended_at) as "what!"
        from charged join tenancies on tenancies.sid = tenancy_sid
        where entries > 1
            or (started_at at time zone 'UTC') + make_interval(months => month) > (ended_at at time zone 'UTC')"#
    )
    .fetch_all(&mut **within)
    .await
}
