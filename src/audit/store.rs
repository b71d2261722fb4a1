//! Statements of the audit. Most read a portion: of accounts, numbers or entries after `from`, up to `to`.
//!
//! What a row of a portion belongs to is looked up by `lateral … offset 0`, an index for each row. A plain join the planner may
//! make a hash of, and then each portion reads a whole table.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as, query_scalar};
use tracing::instrument;
use uuid::Uuid;

use super::Breach;
use super::ledger::{Balances, Checkpoint, Link, Proven};
use crate::db::Db;

/// Whether others do something in this database, at this very moment.
#[instrument(name = "audit.others_are_at_work", level = "debug", skip_all)]
pub async fn others_are_at_work(db: &Db) -> Result<bool> {
    query_scalar!(
        r#"select exists (
            select from pg_stat_activity where datname = current_database() and state = 'active'
                and backend_type = 'client backend' and pid <> pg_backend_pid()
        ) as "any!""#
    )
    .fetch_one(db)
    .await
}

/// The last of the next `size` accounts after `from`; `None` if fewer than `size` accounts are left.
#[instrument(name = "audit.account_after", level = "debug", skip_all)]
pub async fn account_after(db: &Db, from: Uuid, size: i64) -> Result<Option<Uuid>> {
    query_scalar!("select sid from accounts where sid > $1 order by sid offset $2 limit 1", from, size - 1)
        .fetch_optional(db)
        .await
}

/// The last of the next `size` numbers in stock after `from`; `None` if fewer than `size` numbers are left.
#[instrument(name = "audit.number_after", level = "debug", skip_all)]
pub async fn number_after(db: &Db, from: i64, size: i64) -> Result<Option<i64>> {
    query_scalar!(
        "select phone_number from stock where phone_number > $1 order by phone_number offset $2 limit 1",
        from,
        size - 1
    )
    .fetch_optional(db)
    .await
}

/// All area codes of numbers that are in stock or counted. In stock, it looks up the next number after each area code.
#[instrument(name = "audit.area_codes", level = "debug", skip_all)]
pub async fn area_codes(db: &Db) -> Result<Vec<i16>> {
    query_scalar!(
        r#"with recursive code (code) as (
            select (select phone_number / 10000000 from stock order by phone_number limit 1)
            union all
            select (select phone_number / 10000000 from stock where phone_number >= (code + 1) * 10000000
                order by phone_number limit 1)
            from code where code is not null
        )
        select code::smallint as "code!" from code where code is not null
        union select area_code from stock_counts"#
    )
    .fetch_all(db)
    .await
}

/// The id that was given to a ledger entry last; 0 if there is none. Its transaction may go on.
#[instrument(name = "audit.last_entry", level = "debug", skip_all)]
pub async fn last_entry(db: &Db) -> Result<i64> {
    query_scalar!(r#"select case when is_called then last_value else 0 end as "last!" from ledger_entries_id_seq"#)
        .fetch_one(db)
        .await
}

/// The transactions that may have written ledger entries and go on: each holds this lock to its end, from before its first
/// entry is given an id. Where nothing can be written, they are not known.
#[instrument(name = "audit.writers", level = "debug", skip_all)]
pub async fn writers(db: &Db) -> Result<Option<Vec<String>>> {
    query_scalar!(
        r#"select case when not pg_is_in_recovery() then array(
            select virtualtransaction from pg_locks
            where locktype = 'relation' and relation = 'ledger_entries'::regclass and mode = 'RowExclusiveLock' and granted
                and database = (select oid from pg_database where datname = current_database())
        ) end as "writers: Vec<String>""#
    )
    .fetch_one(db)
    .await
}

/// The first ledger entry of a time or later; `None` if there is none.
#[instrument(name = "audit.first_entry_since", level = "debug", skip_all)]
pub async fn first_entry_since(db: &Db, since: DateTime<Utc>) -> Result<Option<i64>> {
    query_scalar!("select min(id) from ledger_entries where at >= $1", since).fetch_one(db).await
}

/// Where the last audit ended.
#[instrument(name = "audit.checkpoint", level = "debug", skip_all)]
pub async fn checkpoint(db: &Db) -> Result<Option<Checkpoint>> {
    query_as!(Checkpoint, "select entry_id as entry, month from audit_checkpoints").fetch_optional(db).await
}

/// What was proven of each account by then.
#[instrument(name = "audit.proven", level = "debug", skip_all)]
pub async fn proven(db: &Db) -> Result<Balances> {
    let rows = query!("select account_sid, entry_id, balance from audit_balances").fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (row.account_sid, Proven::at(row.entry_id, row.balance))).collect())
}

/// Keeps a checkpoint in the place of the one before.
#[instrument(name = "audit.keep", level = "debug", skip_all)]
pub async fn keep(db: &Db, checkpoint: Checkpoint, balances: &Balances, now: DateTime<Utc>) -> Result<()> {
    let (accounts, proven): (Vec<_>, Vec<_>) = balances.iter().map(|(of, it)| (*of, (it.entry, it.balance))).unzip();
    let (entries, left): (Vec<_>, Vec<_>) = proven.into_iter().unzip();
    query!(
        "with point as (
            -- Its lock lets one audit at a time keep what it has proven.
            insert into audit_checkpoints (entry_id, month, proven_at) values ($1, $2, $3)
            on conflict on constraint audit_checkpoints_pkey
                do update set entry_id = excluded.entry_id, month = excluded.month, proven_at = excluded.proven_at
            returning 1
        )
        insert into audit_balances (account_sid, entry_id, balance)
        select told.* from point, unnest($4::uuid[], $5::bigint[], $6::bigint[]) as told
        on conflict on constraint audit_balances_pkey
            do update set entry_id = excluded.entry_id, balance = excluded.balance
            where audit_balances.entry_id <> excluded.entry_id or audit_balances.balance <> excluded.balance",
        checkpoint.entry,
        checkpoint.month,
        now,
        &accounts,
        &entries,
        &left
    )
    .execute(db)
    .await
    .map(drop)
}

/// Of each account, its entries in a portion: where they begin, and whether they follow from one another.
#[instrument(name = "audit.links", level = "debug", skip_all)]
pub async fn links(db: &Db, from: i64, to: i64) -> Result<Vec<Link>> {
    query_as!(
        Link,
        r#"with running as (
            select account_sid, id, amount, balance_after, lag(balance_after) over entries as left_before
            from ledger_entries where id > $1 and id <= $2
            window entries as (partition by account_sid order by id)
        )
        select account_sid as "account!", max(id) as "last!", sum(amount)::bigint as "sum!",
            min(balance_after - amount) filter (where left_before is null) as "before!",
            bool_and(balance_after >= 0 and balance_after = coalesce(left_before + amount, balance_after)) as "follows!"
        from running group by account_sid"#,
        from,
        to
    )
    .fetch_all(db)
    .await
}

/// Holds the balance of each account against its entries, of which those up to `proven` are read no more. It keeps the last
/// entry of each account, whose running sum must be the balance, and the entries that do not follow from the one before. If
/// every entry follows, each is the running sum; if one is missing, only the entry after it is reported.
#[instrument(name = "audit.balances", level = "debug", skip_all)]
pub async fn balances(db: &Db, from: Uuid, to: Uuid, proven: &[(Uuid, Proven)]) -> Result<Vec<Breach>> {
    let (accounts, balances): (Vec<_>, Vec<_>) = proven.iter().map(|(of, it)| (*of, (it.entry, it.balance))).unzip();
    let (entries, left): (Vec<_>, Vec<_>) = balances.into_iter().unzip();
    query_as!(
        Breach,
        r#"with proven as (
            select * from unnest($3::uuid[], $4::bigint[], $5::bigint[]) as proven (its_sid, entry, had)
        ), account as materialized (
            select coalesce(sid, its_sid) as of, sid, balance, coalesce(entry, 0) as entry, coalesce(had, 0) as had
            from (
                select sid, balance from accounts left join account_sums on account_sid = sid where sid > $1 and sid <= $2
            ) as accounts full join proven on its_sid = sid
        ), running as (
            select of, id, balance_after, had + sum(amount) over entries as sum,
                lag(balance_after, 1, had) over entries + amount as follows,
                lead(id) over entries is null as is_last
            from account cross join lateral (
                select id, amount, balance_after from ledger_entries where account_sid = of and ledger_entries.id > entry
                order by id offset 0
            ) as entries
            window entries as (partition by of order by id)
        ), noted as materialized (
            select * from running where balance_after <> follows or balance_after < 0 or is_last
        ), judged as (
            select of, concat_ws(', ',
                case when sid is null then format('entries of %s cents, but there is no such account', coalesce(sum, had)) end,
                case when balance <> coalesce(sum, had)
                    then format('the balance is %s cents, the ledger sums up to %s', balance, coalesce(sum, had)) end,
                case when balance < 0 then format('the balance is %s cents, less than nothing', balance) end,
                case when entry > 0 and balance_after is distinct from had
                    then format('entry %s was proven to leave %s cents', entry, had) end) as what
            from account
            left join (select of, sum from noted where is_last) as ledgers using (of)
            left join ledger_entries on account_sid = of and ledger_entries.id = entry
            union all
            select of, format('entry %s says that %s cents are left, with the one before it they are %s',
                id, balance_after, follows)
            from noted where balance_after <> follows or balance_after < 0
        )
        select 1 as "invariant!", 'AC' || replace(of::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#,
        from,
        to,
        &accounts,
        &entries,
        &left
    )
    .fetch_all(db)
    .await
}

/// A number in use and its open tenancy point to each other: one without a partner is a breach.
#[instrument(name = "audit.holders", level = "debug", skip_all)]
pub async fn holders(db: &Db, from: i64, to: i64) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"select 2 as "invariant!", coalesce(used.phone_number, open.phone_number)::text as "subject!",
            case when open.sid is null
                then format('in use by PN%s, which is no open tenancy of it', replace(tenancy_sid::text, '-', ''))
                else format('not in use by PN%s, which is an open tenancy of it', replace(open.sid::text, '-', ''))
            end as "what!"
        from (
            select phone_number, tenancy_sid from stock
            where state = 'in_use' and phone_number > $1 and phone_number <= $2
        ) as used
        full join (
            select phone_number, sid from tenancies
            where ended_at is null and phone_number > $1 and phone_number <= $2
        ) as open
            on open.phone_number = used.phone_number and open.sid = tenancy_sid
        where used.phone_number is null or open.sid is null"#,
        from,
        to
    )
    .fetch_all(db)
    .await
}

/// The accounts' own counts of their numbers.
#[instrument(name = "audit.holdings", level = "debug", skip_all)]
pub async fn holdings(db: &Db, from: Uuid, to: Uuid) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with held as (
            select account_sid, count(*) filter (where kind = 'local') as local,
                count(*) filter (where kind = 'tollfree') as tollfree, sum(price) as fees
            from tenancies where ended_at is null and account_sid > $1 and account_sid <= $2
            group by account_sid
        ), judged as (
            select coalesce(accounts.sid, account_sid) as sid, concat_ws(', ',
                case when accounts.sid is null then 'holds numbers, but there is no such account' end,
                case when accounts.sid is not null and rows is distinct from 1
                    then format('has %s rows of sums', coalesce(rows, 0)) end,
                case when local_numbers <> coalesce(local, 0)
                    then format('counts %s local numbers, holds %s', local_numbers, coalesce(local, 0)) end,
                case when tollfree_numbers <> coalesce(tollfree, 0)
                    then format('counts %s toll-free numbers, holds %s', tollfree_numbers, coalesce(tollfree, 0)) end,
                case when monthly_fees <> coalesce(fees, 0)
                    then format('counts %s cents a month, holds numbers for %s', monthly_fees, coalesce(fees, 0)) end
            ) as what
            from (
                select sid, sums.* from accounts
                left join (
                    select distinct on (account_sid) account_sid as its_sid, local_numbers, tollfree_numbers, monthly_fees,
                        count(*) over (partition by account_sid) as rows
                    from account_sums where account_sid > $1 and account_sid <= $2
                ) as sums on its_sid = sid
                where sid > $1 and sid <= $2
            ) as accounts
            full join held on account_sid = accounts.sid
        )
        select 2 as "invariant!", 'AC' || replace(sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#,
        from,
        to
    )
    .fetch_all(db)
    .await
}

/// The counts of the stock of some area codes. This reads their stock a second time, because to count all numbers in
/// [`holders`] would more than double its time: it joins only numbers in use.
#[instrument(name = "audit.counts", level = "debug", skip_all)]
pub async fn counts(db: &Db, area_codes: &[i16]) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with held as (
            -- Each area code by its range of numbers: no index has the area codes of all numbers.
            select kind, area_code, state, count(*) as numbers
            from unnest($1::smallint[]) as code cross join lateral (
                select kind, area_code, state from stock
                where phone_number >= code::bigint * 10000000 and phone_number < (code::bigint + 1) * 10000000 offset 0
            ) as numbers
            group by kind, area_code, state
        ), counted as (
            select kind, area_code, state, sum(count) as numbers
            from stock_counts
            cross join lateral (values ('available'::stock_state, available), ('in_use', in_use),
                ('quarantined', quarantined), ('withdrawn', withdrawn), ('retired', retired)) as counts (state, count)
            where area_code = any($1)
            group by kind, area_code, state
        )
        select 2 as "invariant!", concat(kind, ' ', area_code) as "subject!",
            format('counts %s numbers %s, holds %s', coalesce(counted.numbers, 0), state, coalesce(held.numbers, 0))
                as "what!"
        from held full join counted using (kind, area_code, state)
        where coalesce(counted.numbers, 0) <> coalesce(held.numbers, 0)"#,
        area_codes
    )
    .fetch_all(db)
    .await
}

/// What the purchases among some entries have paid for: a tenancy that exists, at its price, by the payer of the account
/// that bought. Who owns an account never changes, so that its payer of today was its payer at the sale.
#[instrument(name = "audit.purchases", level = "debug", skip_all)]
pub async fn purchases(db: &Db, from: i64, to: i64) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with paid as (
            select tenancy_sid, account_sid, -amount as amount
            from ledger_entries where kind = 'purchase' and id > $1 and id <= $2
        ), judged as (
            select tenancy_sid, concat_ws(', ',
                case when sid is null then format('paid for with %s cents, but there is no such tenancy', amount) end,
                case when amount <> price then format('paid for with %s cents, the price is %s', amount, price) end,
                case when paid.account_sid <> payer then format('paid for by AC%s, not by AC%s',
                    replace(paid.account_sid::text, '-', ''), replace(payer::text, '-', '')) end) as what
            from paid left join lateral (
                -- Sold to the account that held it before any transfer. Its payer paid.
                select tenancies.sid, price, coalesce(payer_sid, from_account, account_sid) as payer
                from tenancies
                left join lateral (
                    select from_account from tenancy_transfers where tenancy_sid = tenancies.sid order by id limit 1
                ) as first on true
                left join accounts as holder on holder.sid = coalesce(from_account, account_sid)
                where tenancies.sid = paid.tenancy_sid offset 0
            ) as sold on true
        )
        select 3 as "invariant!", 'PN' || replace(tenancy_sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#,
        from,
        to
    )
    .fetch_all(db)
    .await
}

/// The tenancies of some numbers: each was paid for once, with a number that is in stock. Whether it was paid for is read
/// for those that began at `since` or later.
#[instrument(name = "audit.sales", level = "debug", skip_all)]
pub async fn sales(db: &Db, from: i64, to: i64, since: DateTime<Utc>) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with judged as (
            select sid, concat_ws(', ',
                case when paid = 0 then 'never paid for' when paid > 1 then format('paid for %s times', paid) end,
                case when stock.kind is null then format('its number %s is not in stock', tenancies.phone_number) end,
                case when tenancies.kind <> stock.kind
                    then format('sold as %s, its number %s is %s', tenancies.kind, tenancies.phone_number, stock.kind) end
            ) as what
            from tenancies
            left join lateral (
                select kind from stock where stock.phone_number = tenancies.phone_number offset 0
            ) as stock on true
            cross join lateral (
                select case when started_at < $3 then 1 else (
                    select count(*) from ledger_entries where ledger_entries.tenancy_sid = sid and month = 0
                        and ledger_entries.kind = 'purchase'
                ) end as paid
            ) as purchase
            -- What is said of the end is always true: so both indexes by number serve.
            where tenancies.phone_number > $1 and tenancies.phone_number <= $2 and (ended_at is null or ended_at is not null)
        )
        select 3 as "invariant!", 'PN' || replace(sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#,
        from,
        to,
        since
    )
    .fetch_all(db)
    .await
}

/// The months that some entries charge, each to the payer of the account that held the number when it was due. The price of
/// the first one belongs to the purchases.
#[instrument(name = "audit.months", level = "debug", skip_all)]
pub async fn months(db: &Db, from: i64, to: i64) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with guard as materialized (
            -- While the constraint stands, no entry has a twin: the look for one would ask the constraint's own index.
            select exists (select from pg_constraint where conrelid = 'ledger_entries'::regclass
                and conname = 'ledger_entries_month_charged_once') as stands
        ), charged as (
            select tenancy_sid, account_sid, kind, -amount as amount, month, case when (select stands from guard) then 1 else (
                select count(*) from ledger_entries as other
                where other.tenancy_sid = entry.tenancy_sid and other.month = entry.month and other.id <= entry.id
            ) end as time
            from ledger_entries as entry where tenancy_sid is not null and id > $1 and id <= $2
        ), judged as (
            select charged.tenancy_sid, month, concat_ws(', ',
                case when time > 1 then format('is charged %s times', time) end,
                case when month_begins(started_at, month) > (ended_at at time zone 'UTC')::date
                    then format('begins on %s, after the end on %s', month_begins(started_at, month),
                        (ended_at at time zone 'UTC')::date) end,
                case when charged.kind = 'monthly_fee' then concat_ws(', ',
                    case when tenancies.sid is null then 'is charged, but there is no such tenancy' end,
                    case when amount <> price then format('is charged with %s cents, the price is %s', amount, price) end,
                    case when charged.account_sid <> coalesce(payer_sid, holder)
                        then format('is paid by AC%s, not by AC%s', replace(charged.account_sid::text, '-', ''),
                            replace(coalesce(payer_sid, holder)::text, '-', '')) end,
                    case when month >= due_month then format('is charged, but next is month %s', due_month) end) end
            ) as what
            from charged
            left join lateral (
                select sid, account_sid, price, started_at, ended_at, due_month
                from tenancies where tenancies.sid = charged.tenancy_sid offset 0
            ) as tenancies on true
            cross join lateral (
                -- The account that the last transfer by that month went to. Before the first transfer, the account that gave the
                -- number away. Without a transfer, its account.
                select coalesce(
                    (select to_account from tenancy_transfers as taken
                    where taken.tenancy_sid = charged.tenancy_sid and from_month <= month order by id desc limit 1),
                    (select from_account from tenancy_transfers as given
                    where given.tenancy_sid = charged.tenancy_sid order by id limit 1),
                    tenancies.account_sid) as holder
            ) as held
            left join lateral (select payer_sid from accounts where accounts.sid = holder offset 0) as accounts on true
        )
        select 4 as "invariant!", 'PN' || replace(tenancy_sid::text, '-', '') as "subject!",
            format('month %s %s', month, what) as "what!"
        from judged where what <> ''"#,
        from,
        to
    )
    .fetch_all(db)
    .await
}

/// The months that are charged next.
#[instrument(name = "audit.due", level = "debug", skip_all)]
pub async fn due(db: &Db, from: i64, to: i64) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"select 4 as "invariant!", 'PN' || replace(sid::text, '-', '') as "subject!",
            format('month %s is due on %s, begins on %s', due_month, due_on, month_begins(started_at, due_month))
                as "what!"
        from tenancies where ended_at is null and due_on <> month_begins(started_at, due_month)
            and phone_number > $1 and phone_number <= $2"#,
        from,
        to
    )
    .fetch_all(db)
    .await
}

/// The holdings of each number, as in `reporting.holdings`: from a sale, a restore or a transfer to the tenancy's
/// next release or transfer. Of a number that was sold more than once, each holding must begin after all earlier ones
/// have ended. Numbers that were sold once, which are most, are left out first.
#[instrument(name = "audit.overlaps", level = "debug", skip_all)]
pub async fn overlaps(db: &Db, from: i64, to: i64) -> Result<Vec<Breach>> {
    query_as!(
        Breach,
        r#"with tenancy as (
            -- What is said of the end is always true: so both indexes by number serve.
            select phone_number, sid, started_at, ended_at from tenancies
            where phone_number > $1 and phone_number <= $2 and (ended_at is null or ended_at is not null)
        ), event as (
            select phone_number, sid, 0 as id, started_at as at, ended_at, true as begins,
                count(*) over (partition by phone_number) as sales
            from tenancy
            union all
            select phone_number, tenancy_sid, id, at, null, cause = 'restore', null
            from stock_moves where tenancy_sid is not null and phone_number > $1 and phone_number <= $2
            union all
            select phone_number, tenancy_sid, id, at, null, true, null
            from tenancy join tenancy_transfers on tenancy_sid = sid
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
        from compared where held_before > held_from"#,
        from,
        to
    )
    .fetch_all(db)
    .await
}

/// Each transfer of a tenancy is from the account that held it, and the last one to the account that holds it.
#[instrument(name = "audit.transfers", level = "debug", skip_all)]
pub async fn transfers(db: &Db) -> Result<Vec<Breach>> {
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
    .fetch_all(db)
    .await
}

/// What undoes an entry, and what belongs together. That each happens once is guarded by constraints. Entries that
/// operators entered are few, and found by their index.
#[instrument(name = "audit.corrections", level = "debug", skip_all)]
pub async fn corrections(db: &Db) -> Result<Vec<Breach>> {
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
    .fetch_all(db)
    .await
}

/// Main accounts and their sub-accounts. Constraints hold what is to be seen in one row; here are two.
#[instrument(name = "audit.families", level = "debug", skip_all)]
pub async fn families(db: &Db) -> Result<Vec<Breach>> {
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
                case when it.owner_sid is not null and balance <> 0
                    then format('has %s cents, which are its owner''s to have', balance) end,
                case when it.sub_accounts <> coalesce(open, 0)
                    then format('counts %s open sub-accounts, owns %s', it.sub_accounts, coalesce(open, 0)) end) as what
            from accounts as it
            left join account_sums on account_sid = it.sid
            left join accounts as owner on owner.sid = it.owner_sid
            left join owned on owned.owner_sid = it.sid
        )
        select 7 as "invariant!", 'AC' || replace(sid::text, '-', '') as "subject!", what as "what!"
        from judged where what <> ''"#
    )
    .fetch_all(db)
    .await
}
