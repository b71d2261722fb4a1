//! The statements on monthly fees.
//!
//! Fees are paid by the payer of the account that holds the number. Lock order as everywhere: stock, then account, then
//! tenancy. Several accounts are locked in the order of their Sids. No statement waits for stock while it holds an account.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgExecutor, Result, query, query_as, query_scalar};
use tracing::instrument;

use super::standing::Unpaid;
use super::{Due, MOST_OVERDUE, Step};
use crate::db::{Db, Transaction};
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// The next due fees, by payer and tenancy. All are of one day, so that an account's months are charged in order. Locks
/// nothing: see [`charge`]. Fees of unpaid payers are left out, see [`settle`], and those of `but`.
#[instrument(name = "billing.due", level = "debug", skip_all)]
pub async fn due(db: &Db, from: NaiveDate, by: NaiveDate, but: &[AccountSid]) -> Result<Vec<Due>> {
    query_as!(
        Due,
        r#"with due as materialized (
            -- One lookup after the other, along the index: joined, all that is due would be read and sorted each time.
            select sid, account_sid, due_on from tenancies
            where ended_at is null and due_on between $1 and $2 and (
                select payer_sid <> all($3) and (price = 0 or (
                    select unpaid_since is null from accounts as payer where payer.sid = holder.payer_sid))
                from accounts as holder where holder.sid = account_sid)
            order by due_on limit 10000
        )
        select due.sid as "sid: NumberSid", account_sid as "account: AccountSid", payer_sid as "payer!: AccountSid",
            due_on as day
        from due join accounts on accounts.sid = account_sid
        where due_on = (select min(due_on) from due) order by payer_sid, due.sid"#,
        from,
        by,
        but as &[AccountSid]
    )
    .fetch_all(db)
    .await
}

/// Charges the month that begins on this day for those of these tenancies that are still due. The accounts that pay are
/// locked already. A tenancy that was moved to another account meanwhile is left until it is found again. Each payer pays
/// for as many tenancies as its balance covers. If the balance does not cover all, the account becomes unpaid. A price
/// of 0.00 needs no balance.
#[instrument(name = "billing.charge", level = "debug", skip_all)]
pub async fn charge(
    within: &mut Transaction,
    tenancies: &[NumberSid],
    accounts: &[AccountSid],
    day: NaiveDate,
    now: DateTime<Utc>,
) -> Result<Step> {
    query_as!(
        Step,
        r#"with due as (
            select tenancies.sid, payer.sid as payer_sid, price, due_month, balance,
                payer.unpaid_since is null as pays,
                balance_after(balance, -price) over (partition by payer.sid order by tenancies.sid) as could_be_left
            from unnest($1::uuid[], $4::uuid[]) as held (its_sid, its_account)
            join tenancies on tenancies.sid = its_sid and account_sid = its_account
            join accounts as holder on holder.sid = account_sid
            join accounts as payer on payer.sid = holder.payer_sid
            cross join lateral sums_of(payer.sid) as sums
            where ended_at is null and due_on = $2
        ), judged as materialized (
            select *, price = 0 or (pays and could_be_left >= 0) as is_paid from due
        ), entry as (
            insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            select payer_sid, $3, 'monthly_fee', -price,
                balance_after(balance, -price) over (partition by payer_sid order by sid), sid, due_month
            from judged where is_paid order by payer_sid, sid
        ), next as (
            update tenancies set due_month = judged.due_month + 1
            from judged where tenancies.sid = judged.sid and is_paid
        ), account as materialized (
            select payer_sid as payer, count(*) filter (where is_paid) as charged,
                coalesce(sum(price) filter (where is_paid), 0)::bigint as amount,
                bool_or(pays and not is_paid) as is_short
            from judged group by payer_sid
        ), debit as (
            update account_sums set version = version + 1, balance = balance - amount
            from account
            where amount > 0 and (account_sid, version) >= (payer, (select version from sums_of(payer)))
                and account_sid <= payer
        ), suspended as (
            update accounts set unpaid_since = $3, changed_by = ('unpaid', $3)::change_cause,
                updated_at = greatest($3, updated_at)
            from account where sid = payer and is_short
        )
        select coalesce(sum(charged), 0)::bigint as "charged!", coalesce(sum(amount), 0)::bigint as "amount!: Money",
            count(*) filter (where is_short) as "suspended!", 0::bigint as "activated!"
        from account"#,
        tenancies as &[NumberSid],
        day,
        now,
        accounts as &[AccountSid]
    )
    .fetch_one(&mut **within)
    .await
}

/// Unpaid accounts whose balance now covers what they owe. It reads all overdue tenancies, which are few.
#[instrument(name = "billing.solvent", level = "debug", skip_all)]
pub async fn solvent(db: &Db, by: NaiveDate) -> Result<Vec<AccountSid>> {
    query_scalar!(
        r#"select payer.sid as "sid: AccountSid"
        from tenancies join accounts as holder on holder.sid = account_sid
        join accounts as payer on payer.sid = holder.payer_sid
        where ended_at is null and due_on <= $1 and price > 0 and payer.unpaid_since is not null
        group by payer.sid
        having sum(price * months_due(started_at, due_month, $1)) <= (select balance from sums_of(payer.sid))
        order by payer.sid"#,
        by
    )
    .fetch_all(db)
    .await
}

/// Locks an account.
#[instrument(name = "billing.hold", level = "debug", skip_all)]
pub async fn hold(within: &mut Transaction, account: AccountSid) -> Result<()> {
    query!("select from accounts where sid = $1 for no key update", account as AccountSid)
        .execute(&mut **within)
        .await
        .map(drop)
}

/// Locks those of the accounts that nobody else has locked.
#[instrument(name = "billing.hold_free", level = "debug", skip_all)]
pub async fn hold_free(within: &mut Transaction, accounts: &[AccountSid]) -> Result<Vec<AccountSid>> {
    query_scalar!(
        r#"select sid as "sid: AccountSid" from accounts where sid = any($1) order by sid for no key update skip locked"#,
        accounts as &[AccountSid]
    )
    .fetch_all(&mut **within)
    .await
}

/// What an unpaid account owes: the fees that were due when it became unpaid, or are due now.
#[instrument(name = "billing.owed", level = "debug", skip_all)]
pub async fn owed(db: impl PgExecutor<'_>, account: AccountSid, now: DateTime<Utc>) -> Result<Money> {
    query_scalar!(
        r#"with unpaid as materialized (
            select sid, owes_by(unpaid_since, $2) as day
            from accounts where sid = $1 and unpaid_since is not null
        )
        select coalesce(sum(price * months_due(started_at, due_month, day)), 0)::bigint as "owed!: Money"
        from unpaid cross join lateral holders(unpaid.sid) as holder (its_sid)
        join tenancies on account_sid = its_sid and ended_at is null and due_on <= day"#,
        account as AccountSid,
        now
    )
    .fetch_one(db)
    .await
}

/// The numbers that an unpaid account cannot pay, the longest due first: some, and how many there are. Each is released when
/// the grace period is over: see `release_unpaid` of `releases`, which counts it from the same time.
#[instrument(name = "billing.overdue", level = "debug", skip_all)]
pub async fn overdue(db: &Db, account: AccountSid, now: DateTime<Utc>) -> Result<(Vec<Unpaid>, i64)> {
    let rows = query!(
        r#"with unpaid as materialized (
            select sid, unpaid_since, owes_by(unpaid_since, $2) as day
            from accounts where sid = $1 and unpaid_since is not null
        )
        select phone_number as "phone_number: PhoneNumber", tenancies.sid as "sid: NumberSid", price as "price: Money",
            months_due(started_at, due_month, day) as "months!", due_on,
            greatest(unpaid_since, due_on::timestamp at time zone 'UTC') as "grace_from!", count(*) over () as "all!"
        from unpaid cross join lateral holders(unpaid.sid) as holder (its_sid)
        join tenancies on account_sid = its_sid and ended_at is null and due_on <= day and price > 0
        order by due_on, tenancies.sid limit $3"#,
        account as AccountSid,
        now,
        MOST_OVERDUE
    )
    .fetch_all(db)
    .await?;
    let all = rows.first().map_or(0, |row| row.all);
    let unpaid = rows.into_iter().map(|row| Unpaid {
        phone_number: row.phone_number,
        sid: row.sid,
        price: row.price,
        months: row.months,
        due_on: row.due_on,
        grace_from: row.grace_from,
    });
    Ok((unpaid.collect(), all))
}

/// Charges all that an unpaid account owes and makes it active again, if its balance covers that. The account is
/// locked already. It owes the fees that were due when it became unpaid, or are due by `by`.
#[instrument(name = "billing.settle", level = "debug", skip_all)]
pub async fn settle(
    within: &mut Transaction,
    account: AccountSid,
    by: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<Step>> {
    query_as!(
        Step,
        r#"with unpaid as materialized (
            select sid, balance, version, owes_by(unpaid_since, $3) as day
            from accounts cross join sums_of($1) as sums where sid = $1 and unpaid_since is not null
        ), owed as materialized (
            select tenancies.sid, price, month, month_begins(started_at, month) as begins, balance
            from unpaid cross join lateral holders(unpaid.sid) as holder (its_sid)
            join tenancies on account_sid = its_sid and ended_at is null and due_on <= day
            cross join lateral generate_series(due_month, due_month + months_due(started_at, due_month, day) - 1) as month
        ), debit as (
            update account_sums set version = version + 1, balance = balance - owing
            from (select coalesce(sum(price), 0)::bigint as owing from owed) as debt
            where account_sid = $1 and version >= (select version from unpaid) and balance >= owing
            returning account_sid
        ), payer as (
            update accounts set unpaid_since = null, updated_at = greatest($2, updated_at),
                changed_by = case when suspended_at is null then ('paid', $2)::change_cause end
            from debit where sid = account_sid
            returning sid
        ), entry as (
            insert into ledger_entries (account_sid, at, kind, amount, balance_after, tenancy_sid, month)
            select payer.sid, $2, 'monthly_fee', -price,
                balance_after(balance, -price) over (order by begins, owed.sid), owed.sid, month
            from owed, payer order by begins, owed.sid
        ), next as (
            update tenancies set due_month = last + 1
            from payer, (select sid as paid, max(month) as last from owed group by sid) as months
            where tenancies.sid = paid
        )
        select (select count(*) from owed) as "charged!",
            (select coalesce(sum(price), 0) from owed)::bigint as "amount!: Money",
            0::bigint as "suspended!", 1::bigint as "activated!"
        from payer"#,
        account as AccountSid,
        now,
        by
    )
    .fetch_optional(&mut **within)
    .await
}

#[instrument(name = "billing.count_due", level = "debug", skip_all)]
pub async fn count_due(db: &Db, by: NaiveDate) -> Result<i64> {
    query_scalar!(
        r#"select coalesce(sum(months_due(started_at, due_month, $1)), 0)::bigint as "count!"
        from tenancies join accounts as holder on holder.sid = account_sid
        join accounts as payer on payer.sid = holder.payer_sid
        where ended_at is null and due_on <= $1 and (price = 0 or payer.unpaid_since is null)"#,
        by
    )
    .fetch_one(db)
    .await
}

/// The earliest time at which a fee is due or, of a payer that is unpaid, a number is released. Grace counts from the
/// later one of two times: see `release_unpaid` of `releases`.
#[instrument(name = "billing.next_due", level = "debug", skip_all)]
pub async fn next_due(db: &Db, grace: i32) -> Result<Option<DateTime<Utc>>> {
    query_scalar!(
        "select min(case when price = 0 or payer.unpaid_since is null then due_on::timestamp at time zone 'UTC'
            else greatest(payer.unpaid_since, due_on::timestamp at time zone 'UTC') + make_interval(days => $1) end)
        from tenancies join accounts as holder on holder.sid = account_sid
        join accounts as payer on payer.sid = holder.payer_sid
        where ended_at is null",
        grace
    )
    .fetch_one(db)
    .await
}
