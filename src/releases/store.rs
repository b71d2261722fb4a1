//! The statements of a release and its undoing. Lock order as everywhere: stock, then account, then tenancy; of accounts,
//! those that pay before those that hold.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as, query_scalar};
use tracing::instrument;

use super::{Released, Unpaid};
use crate::accounts::Status;
use crate::db::{Db, Transaction};
use crate::inventory::State;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// Ends tenancies, as one statement: those that the CTE `held` finds. All their rows are locked by then, so a second
/// release finds that the number no longer belongs to the tenancy, or the tenancy to another account. A tenancy never
/// ends before its number's last move, nor before the beginning of the last month that was charged.
///
/// The first form waits for locks. Its CTE `found` locks rows of stock; `$payer` and `$tenancy` are more conditions on
/// the accounts that pay and the tenancies that are locked after them.
macro_rules! release {
    ($found:literal, $payer:literal, $tenancy:literal, $moved:literal, $to:expr, $now:ident $(, $value:expr)*) => {
        release!(returning "", [
            $found,
            ", payer as materialized (
                -- Sees: the accounts that pay, as they are now. Locks: these accounts. Here: after stock. What is not
                -- paid may leave with the number, and with it why the payer is suspended.
                select sid from accounts
                where sid in (select payer_sid from accounts where sid in (select account_sid from found))",
            $payer,
            " order by sid for no key update
            ), holder as materialized (
                -- Sees: the accounts that hold. Locks: these accounts. Here: after their payers.
                select sid from accounts
                where sid in (select account_sid from found) and payer_sid in (select sid from payer)
                    and (select count(*) from payer) >= 0
                order by sid for no key update
            ), held as materialized (
                -- Sees: the tenancies as they are now, because a number may have been moved to another account since
                -- the statement began. Locks: these tenancies. Here: after the accounts, because it counts them.
                select found.* from found join holder on holder.sid = found.account_sid
                join tenancies on tenancies.sid = found.tenancy_sid and tenancies.account_sid = found.account_sid
                    and ended_at is null",
            $tenancy,
            " where (select count(*) from holder) >= 0
                for no key update of tenancies
            )"
        ], $moved, $now $(, $value)*).execute($to).await.map(|result| result.rows_affected())
    };
    // The second form passes by what others have locked, so the order of locks does not matter. $2 and $3 are the accounts and
    // the Sids of the tenancies.
    (past $payer:literal, $tenancy:literal, $moved:literal, $now:ident, $accounts:ident, $sids:ident $(, $value:expr)*) => {
        release!(returning
            " returning tenancies.account_sid as \"account_sid: AccountSid\", tenancies.sid as \"sid: NumberSid\"",
            ["free as materialized (
                -- Sees: the tenancies that are asked for. Locks: of stock and tenancies, what nobody else has locked.
                -- Here: first, because the rest is for what is free.
                select stock.phone_number, stock.tenancy_sid, stock.kind, tenancies.account_sid, tenancies.price
                from unnest($2::uuid[], $3::uuid[]) as asked (account, its_sid)
                join tenancies on tenancies.sid = its_sid and tenancies.account_sid = account and ended_at is null",
            $tenancy,
            " join stock on stock.phone_number = tenancies.phone_number and stock.tenancy_sid = tenancies.sid
                for update of stock skip locked for no key update of tenancies skip locked
            ), payer as materialized (
                -- Sees: the accounts that pay, as they are now. Locks: those that nobody else has locked. Here: after
                -- stock, because it counts what is free.
                select sid from accounts
                where sid = any(array(select payer_sid from accounts where sid = any($2)))
                    and (select count(*) from free) >= 0",
            $payer,
            " for no key update skip locked
            ), holder as materialized (
                -- Sees: the accounts that hold. Locks: those that nobody else has locked. Here: after their payers.
                select sid from accounts
                where sid = any($2) and payer_sid in (select sid from payer) and (select count(*) from payer) >= 0
                for no key update skip locked
            ), held as materialized (
                -- Sees: what is locked with all its accounts. Locks: nothing. Here: a Sid that was asked for twice is
                -- ended once.
                select distinct on (phone_number) free.* from free join holder on holder.sid = account_sid
            )"],
            $moved,
            $now,
            &$accounts as &[AccountSid],
            &$sids as &[NumberSid]
            $(, $value)*
        )
    };
    (returning $returning:literal, [$($held:literal),+], $moved:literal, $now:ident $(, $value:expr)*) => {
        query!(
            "with " $(+ $held)+ + ", freed as (
                update stock set state = 'quarantined', moved_by = " + $moved + ",
                    state_since = greatest($1, state_since), quarantined_at = greatest($1, state_since),
                    tenancy_sid = null
                from held where stock.phone_number = held.phone_number
                returning held.tenancy_sid, held.account_sid, held.kind, held.price, state_since as at
            ), fewer as (
                select account_sid, count(*) filter (where kind = 'local') as local,
                    count(*) filter (where kind = 'tollfree') as tollfree, sum(price)::bigint as fees
                from freed group by account_sid
            ), returned as (
                update account_sums set version = version + 1, local_numbers = local_numbers - fewer.local,
                    tollfree_numbers = tollfree_numbers - fewer.tollfree, monthly_fees = monthly_fees - fewer.fees
                from fewer
                where (account_sums.account_sid, version)
                        >= (fewer.account_sid, (select version from sums_of(fewer.account_sid)))
                    and account_sums.account_sid <= fewer.account_sid
                returning account_sums.account_sid as sid
            )
            update tenancies set
                ended_at = greatest(at, started_at, month_begins(started_at, due_month - 1)::timestamp at time zone 'UTC')
            from freed join returned on returned.sid = freed.account_sid
            where tenancies.sid = freed.tenancy_sid" + $returning,
            $now $(, $value)*
        )
    };
}

/// Ends a tenancy; 0 if the account has no such open one.
#[instrument(name = "releases.release", level = "debug", skip_all)]
pub async fn release(db: &Db, account: AccountSid, sid: NumberSid, now: DateTime<Utc>) -> Result<u64> {
    release!(
        "found as materialized (
            select stock.phone_number, stock.tenancy_sid, stock.kind, tenancies.account_sid, tenancies.price
            from tenancies join stock
                on stock.phone_number = tenancies.phone_number and stock.tenancy_sid = tenancies.sid
            where tenancies.sid = $2 and tenancies.account_sid = $3 and ended_at is null
            for update of stock
        )",
        "",
        "",
        "'release'",
        db,
        now,
        sid as NumberSid,
        account as AccountSid
    )
}

/// Ends the tenancy of a number. The number is locked already.
#[instrument(name = "releases.release_by_operator", level = "debug", skip_all)]
pub async fn release_by_operator(
    within: &mut Transaction,
    number: PhoneNumber,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64> {
    release!(
        "found as materialized (
            select stock.phone_number, stock.tenancy_sid, stock.kind, tenancies.account_sid, tenancies.price
            from stock join tenancies on tenancies.sid = stock.tenancy_sid
            where stock.phone_number = $2
            for update of stock
        )",
        "",
        "",
        "'operator_release', moved_note = $3",
        &mut **within,
        now,
        number as PhoneNumber,
        note
    )
}

/// Ends many tenancies, except those with locked rows. Returns the ended ones. Those of unpaid payers are left out: if a payer
/// becomes active by it, its sub-accounts do too, and the statement would wait for their locks.
#[instrument(name = "releases.release_past", level = "debug", skip_all)]
pub async fn release_past(
    db: &Db,
    asked: &[(AccountSid, NumberSid)],
    now: DateTime<Utc>,
) -> Result<HashSet<(AccountSid, NumberSid)>> {
    let (accounts, sids): (Vec<_>, Vec<_>) = asked.iter().copied().unzip();
    let released =
        release!(past " and unpaid_since is null", "", "'release'", now, accounts, sids).fetch_all(db).await?;
    Ok(released.into_iter().map(|row| (row.account_sid, row.sid)).collect())
}

/// Up to 10,000 open tenancies of an account. Locks nothing. Many at once, because to pass those that ended before costs as
/// much as to release hundreds.
#[instrument(name = "releases.held", level = "debug", skip_all)]
pub async fn held(db: &Db, account: AccountSid) -> Result<Vec<NumberSid>> {
    query_scalar!(
        r#"select sid as "sid: NumberSid" from tenancies where account_sid = $1 and ended_at is null
        order by kind, started_at, sid limit 10000"#,
        account as AccountSid
    )
    .fetch_all(db)
    .await
}

/// Ends those of these tenancies that are still open and the account's.
#[instrument(name = "releases.release_some", level = "debug", skip_all)]
pub async fn release_some(
    within: &mut Transaction,
    account: AccountSid,
    tenancies: &[NumberSid],
    now: DateTime<Utc>,
) -> Result<u64> {
    release!(
        "found as materialized (
            select stock.phone_number, stock.tenancy_sid, stock.kind, tenancies.account_sid, tenancies.price
            from tenancies join stock
                on stock.phone_number = tenancies.phone_number and stock.tenancy_sid = tenancies.sid
            where tenancies.sid = any($3) and tenancies.account_sid = $2 and ended_at is null
            order by stock.pick for update of stock
        )",
        "",
        "",
        "'close'",
        &mut **within,
        now,
        account as AccountSid,
        tenancies as &[NumberSid]
    )
}

/// Some open tenancies whose fee has been due since `since` or longer, of accounts that have been unpaid as long, by payer;
/// but for those of the payers `but`. It locks nothing: see [`held`].
#[instrument(name = "releases.overdue", level = "debug", skip_all)]
pub async fn overdue(db: &Db, since: DateTime<Utc>, but: &[AccountSid]) -> Result<Vec<Unpaid>> {
    query_as!(
        Unpaid,
        r#"with overdue as materialized (
            select sid, account_sid from tenancies
            where ended_at is null and due_on <= $1 and price > 0 and (
                select payer_sid <> all($3)
                    and (select unpaid_since <= $2 from accounts as payer where payer.sid = holder.payer_sid)
                from accounts as holder where holder.sid = account_sid)
            order by due_on limit 10000
        )
        select overdue.sid as "sid: NumberSid", account_sid as "account: AccountSid", payer_sid as "payer!: AccountSid"
        from overdue join accounts on accounts.sid = account_sid order by payer_sid, overdue.sid"#,
        since.date_naive(),
        since,
        but as &[AccountSid]
    )
    .fetch_all(db)
    .await
}

/// Ends those of these tenancies that are still overdue, except those with locked rows. Returns the ended ones. All rows are
/// locked before anything is changed, because a credit may pay meanwhile.
#[instrument(name = "releases.release_unpaid_past", level = "debug", skip_all)]
pub async fn release_unpaid_past(
    within: &mut Transaction,
    unpaid: &[Unpaid],
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<HashSet<NumberSid>> {
    let (accounts, sids): (Vec<_>, Vec<_>) = unpaid.iter().map(|unpaid| (unpaid.account, unpaid.sid)).unzip();
    let released = release!(past
        " and unpaid_since <= $5",
        " and due_on <= $4 and price > 0",
        "'unpaid'",
        now,
        accounts,
        sids,
        since.date_naive(),
        since
    );
    Ok(released.fetch_all(&mut **within).await?.into_iter().map(|row| row.sid).collect())
}

/// As [`release_unpaid_past`], but waits for locked rows, and returns how many it ended.
#[instrument(name = "releases.release_unpaid", level = "debug", skip_all)]
pub async fn release_unpaid(
    within: &mut Transaction,
    tenancies: &[NumberSid],
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<u64> {
    release!(
        "found as materialized (
            select stock.phone_number, stock.tenancy_sid, stock.kind, tenancies.account_sid, tenancies.price
            from tenancies join stock
                on stock.phone_number = tenancies.phone_number and stock.tenancy_sid = tenancies.sid
            where tenancies.sid = any($4) and ended_at is null and due_on <= $2 and price > 0
            order by stock.pick for update of stock
        )",
        " and unpaid_since <= $3",
        " and due_on <= $2",
        "'unpaid'",
        &mut **within,
        now,
        since.date_naive(),
        since,
        tenancies as &[NumberSid]
    )
}

/// Locks a number in stock. Returns its state, and the Sid of its open tenancy.
#[instrument(name = "releases.hold", level = "debug", skip_all)]
pub async fn hold(within: &mut Transaction, number: PhoneNumber) -> Result<Option<(State, Option<NumberSid>)>> {
    let found = query!(
        r#"select state as "state: State", tenancy_sid as "sid: NumberSid" from stock where phone_number = $1 for update"#,
        number as PhoneNumber
    );
    Ok(found.fetch_optional(&mut **within).await?.map(|row| (row.state, row.sid)))
}

/// Locks accounts and their payers. Returns the status of each.
#[instrument(name = "releases.hold_accounts", level = "debug", skip_all)]
pub async fn hold_accounts(within: &mut Transaction, accounts: &[AccountSid]) -> Result<Vec<(AccountSid, Status)>> {
    let held = query!(
        r#"select sid as "sid: AccountSid", status as "status!: Status" from accounts
        where sid = any($1) or sid = any(array(select payer_sid from accounts where sid = any($1)))
        order by owner_sid is not null, sid for no key update"#,
        accounts as &[AccountSid]
    );
    let held = held.fetch_all(&mut **within).await?;
    Ok(held.into_iter().map(|account| (account.sid, account.status)).collect())
}

/// The tenancy of a number that ended last. Ordered by id, not by time, because the clocks of several machines differ. The
/// number is locked already.
#[instrument(name = "releases.last_tenancy", level = "debug", skip_all)]
pub async fn last_tenancy(within: &mut Transaction, number: PhoneNumber) -> Result<Option<NumberSid>> {
    query_scalar!(
        r#"select tenancy_sid as "sid!: NumberSid" from stock_moves
        where phone_number = $1 and from_state = 'in_use' order by id desc limit 1"#,
        number as PhoneNumber
    )
    .fetch_optional(&mut **within)
    .await
}

/// Locks the number of a tenancy; `None` if there is no such tenancy.
#[instrument(name = "releases.hold_number", level = "debug", skip_all)]
pub async fn hold_number(within: &mut Transaction, sid: NumberSid) -> Result<Option<PhoneNumber>> {
    query_scalar!(
        r#"select stock.phone_number as "phone_number: PhoneNumber"
        from tenancies join stock on stock.phone_number = tenancies.phone_number
        where tenancies.sid = $1
        for update of stock"#,
        sid as NumberSid
    )
    .fetch_optional(&mut **within)
    .await
}

/// The state of a tenancy and of its number. The number is locked already.
#[instrument(name = "releases.released", level = "debug", skip_all)]
pub async fn released(within: &mut Transaction, sid: NumberSid) -> Result<Released> {
    query_as!(
        Released,
        r#"select state as "state: State", stock.tenancy_sid is not distinct from tenancies.sid as "is_held!",
            tenancies.sid is not distinct from (
                -- Ordered by id, not by time, because the clocks of several machines differ.
                select tenancy_sid from stock_moves
                where stock_moves.phone_number = tenancies.phone_number and from_state = 'in_use'
                order by id desc limit 1
            ) as "is_last!"
        from tenancies join stock on stock.phone_number = tenancies.phone_number
        where tenancies.sid = $1"#,
        sid as NumberSid
    )
    .fetch_one(&mut **within)
    .await
}

/// Opens an ended tenancy again; 0 if its account is closed. The number is locked already. Months that began while no
/// account held the number are never charged.
#[instrument(name = "releases.restore", level = "debug", skip_all)]
pub async fn restore(within: &mut Transaction, sid: NumberSid, now: DateTime<Utc>) -> Result<u64> {
    let result = query!(
        "with number as (
            select stock.phone_number, greatest($2, state_since) as at
            from tenancies join stock on stock.phone_number = tenancies.phone_number where tenancies.sid = $1
        ), open as materialized (
            select accounts.sid, phone_number, kind, price
            from tenancies join accounts on accounts.sid = account_sid
            where tenancies.sid = $1 and ended_at is not null and closed_at is null
            for no key update of accounts
        ), holder as (
            update account_sums set version = version + 1, local_numbers = local_numbers + (kind = 'local')::integer,
                tollfree_numbers = tollfree_numbers + (kind = 'tollfree')::integer,
                monthly_fees = monthly_fees + price
            from open
            where (account_sid, version) >= (sid, (select version from sums_of(sid))) and account_sid <= sid
            returning phone_number
        ), back as (
            update stock set state = 'in_use', moved_by = 'restore', state_since = at, quarantined_at = null,
                tenancy_sid = $1
            from holder join number using (phone_number) where stock.phone_number = number.phone_number
        ), next as (
            select due_month + greatest(months_due(started_at, due_month, (at at time zone 'UTC')::date), 0) as month
            from tenancies join number using (phone_number) where sid = $1
        )
        update tenancies set ended_at = null, due_month = month
        from holder, next where sid = $1",
        sid as NumberSid,
        now
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}
