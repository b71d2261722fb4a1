//! Statements of the audit: each reads a big table once.

use sqlx::{Result, query_as};
use tracing::instrument;

use super::Breach;
use crate::db::Transaction;

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
                ('quarantined', quarantined), ('withdrawn', withdrawn), ('retired', retired)) as counts (state, count)
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

/// Equal entries are one row with their count. Of two different ones, one does not match the tenancy. Who owns an account
/// never changes, so that its payer of today was its payer at the sale.
#[instrument(name = "audit.purchases", level = "debug", skip_all)]
pub async fn purchases(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with paid as (
            select tenancy_sid, account_sid, -amount as amount, count(*) as entries
            from ledger_entries where kind = 'purchase' group by tenancy_sid, account_sid, amount
        ), first as (
            select distinct on (tenancy_sid) tenancy_sid, from_account
            from tenancy_transfers order by tenancy_sid, id
        ), sold as (
            -- To the account that held it before any transfer. Its payer paid.
            select tenancies.sid, coalesce(holder.payer_sid, from_account, account_sid) as payer_sid, price,
                tenancies.phone_number, tenancies.kind, stock.kind as kind_in_stock
            from tenancies
            left join first on first.tenancy_sid = tenancies.sid
            left join accounts as holder on holder.sid = coalesce(from_account, account_sid)
            left join stock on stock.phone_number = tenancies.phone_number
        ), judged as (
            select coalesce(sid, tenancy_sid) as sid, concat_ws(', ',
                case when sid is null then format('paid for with %s cents, but there is no such tenancy', amount) end,
                case when tenancy_sid is null then 'never paid for' end,
                case when entries > 1 then format('paid for %s times', entries) end,
                case when amount <> price then format('paid for with %s cents, the price is %s', amount, price) end,
                case when account_sid <> payer_sid then format('paid for by AC%s, not by AC%s',
                    replace(account_sid::text, '-', ''), replace(payer_sid::text, '-', '')) end,
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

/// The months that were charged, each to the payer of the account that held the number when it was due. The first one
/// belongs to the purchases.
#[instrument(name = "audit.months", level = "debug", skip_all)]
pub async fn months(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with charged as (
            select tenancy_sid, account_sid, kind, -amount as amount, month,
                row_number() over (partition by tenancy_sid, month) as time
            from ledger_entries where tenancy_sid is not null
        ), holder as (
            -- Of tenancies that were moved: who held them from which month until before which other.
            select tenancy_sid as moved, to_account as its_account, from_month,
                lead(from_month) over (partition by tenancy_sid order by id) as until_month
            from tenancy_transfers
            union all
            (select distinct on (tenancy_sid) tenancy_sid, from_account, 0, from_month
            from tenancy_transfers order by tenancy_sid, id)
        ), judged as (
            select tenancy_sid, month, concat_ws(', ',
                case when time > 1 then format('is charged %s times', time) end,
                case when month_begins(started_at, month) > (ended_at at time zone 'UTC')::date
                    then format('begins on %s, after the end on %s', month_begins(started_at, month),
                        (ended_at at time zone 'UTC')::date) end,
                case when charged.kind = 'monthly_fee' then concat_ws(', ',
                    case when tenancies.sid is null then 'is charged, but there is no such tenancy' end,
                    case when amount <> price then format('is charged with %s cents, the price is %s', amount, price) end,
                    case when charged.account_sid <> coalesce(payer_sid, its_account, tenancies.account_sid)
                        then format('is paid by AC%s, not by AC%s', replace(charged.account_sid::text, '-', ''),
                            replace(coalesce(payer_sid, its_account, tenancies.account_sid)::text, '-', '')) end,
                    case when month >= due_month then format('is charged, but next is month %s', due_month) end) end
            ) as what
            from charged
            left join tenancies on tenancies.sid = tenancy_sid
            left join holder on moved = tenancy_sid and month >= from_month and (until_month is null or month < until_month)
            left join accounts on accounts.sid = coalesce(its_account, tenancies.account_sid)
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

/// The holdings of each number, as in `reporting.holdings`: from a sale, a restore or a transfer to the tenancy's
/// next release or transfer. Of a number that was sold more than once, each holding must begin after all earlier ones
/// have ended. Numbers that were sold once, which are most, are left out first.
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
            union all
            select phone_number, tenancy_sid, id, at, null, true, null
            from tenancy_transfers join tenancies on sid = tenancy_sid
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

/// Each transfer of a tenancy is from the account that held it, and the last one to the account that holds it.
#[instrument(name = "audit.transfers", level = "debug", skip_all)]
pub async fn transfers(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with judged as (
            select tenancy_sid, concat_ws(', ',
                case when from_account <> lag(to_account) over transfers
                    then format('was moved from AC%s, which did not hold it', replace(from_account::text, '-', '')) end,
                case when from_month < lag(from_month) over transfers or from_month < 1 or from_month > due_month
                    then format('was moved with month %s, next is %s', from_month, due_month) end,
                case when lead(id) over transfers is null and to_account <> account_sid
                    then format('was moved to AC%s, is held by AC%s', replace(to_account::text, '-', ''),
                        replace(account_sid::text, '-', '')) end) as what
            from tenancy_transfers join tenancies on sid = tenancy_sid
            window transfers as (partition by tenancy_sid order by id)
        )
        select 5 as "invariant!", 'PN' || replace(tenancy_sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#
    )
    .fetch_all(&mut **within)
    .await
}

/// What undoes an entry, and what belongs together. That each happens once is guarded by constraints. Entries that
/// operators entered are few, and found by their index.
#[instrument(name = "audit.corrections", level = "debug", skip_all)]
pub async fn corrections(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with entered as (
            select account_sid, id, kind, amount, reverses, transfer from ledger_entries where kind in ('credit', 'debit')
        ), judged as (
            select undo.account_sid as sid, format('entry %s of %s cents reverses entry %s of %s cents%s', undo.id,
                undo.amount, undo.reverses, undone.amount, case
                    when undone.kind not in ('credit', 'debit') then ', a ' || undone.kind
                    when undone.reverses is not null then ', itself a reversal'
                    when undone.transfer is not null then ', half of a transfer' end) as what
            from entered as undo join ledger_entries as undone
                on undone.account_sid = undo.account_sid and undone.id = undo.reverses
            where undo.amount <> -undone.amount or undone.kind not in ('credit', 'debit')
                or undone.reverses is not null or undone.transfer is not null
            union all
            select min(account_sid::text)::uuid, format('transfer %s has %s entries that sum up to %s cents', transfer,
                count(*), sum(amount))
            from entered where transfer is not null
            group by transfer having count(*) <> 2 or sum(amount) <> 0 or min(account_sid::text) = max(account_sid::text)
            union all
            select account_sid, format('the key of entry %s, a %s', entry_id, kind)
            from ledger_keys join ledger_entries using (account_sid)
            where ledger_entries.id = entry_id and kind not in ('credit', 'debit')
        )
        select 6 as "invariant!", 'AC' || replace(sid::text, '-', '') as "subject!", what as "what!" from judged"#
    )
    .fetch_all(&mut **within)
    .await
}

/// Main accounts and their sub-accounts. Constraints hold what is to be seen in one row; here are two.
#[instrument(name = "audit.families", level = "debug", skip_all)]
pub async fn families(within: &mut Transaction) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with owned as (
            select owner_sid, count(*) filter (where closed_at is null) as open
            from accounts where owner_sid is not null group by owner_sid
        ), judged as (
            select it.sid, concat_ws(', ',
                case when it.owner_sid is not null and owner.sid is null
                    then format('is owned by AC%s, but there is no such account', replace(it.owner_sid::text, '-', '')) end,
                case when owner.owner_sid is not null
                    then format('is owned by AC%s, itself a sub-account', replace(owner.sid::text, '-', '')) end,
                case when it.closed_at is null and owner.closed_at is not null
                    then format('is owned by AC%s, which is closed', replace(owner.sid::text, '-', '')) end,
                case when it.closed_at is null and it.owner_suspended and owner.status = 'active' then 'is suspended with its owner, which is active'
                    when it.closed_at is null and not it.owner_suspended and owner.status <> 'active'
                    then 'is not suspended with its owner, which is ' || owner.status end,
                case when it.owner_sid is not null and it.balance <> 0
                    then format('has %s cents, which are its owner''s to have', it.balance) end,
                case when it.sub_accounts <> coalesce(open, 0)
                    then format('counts %s open sub-accounts, owns %s', it.sub_accounts, coalesce(open, 0)) end) as what
            from accounts as it
            left join accounts as owner on owner.sid = it.owner_sid
            left join owned on owned.owner_sid = it.sid
        )
        select 7 as "invariant!", 'AC' || replace(sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#
    )
    .fetch_all(&mut **within)
    .await
}
