//! The statements on numbers.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_as, query_scalar};

use super::settings::{Callback, CallbackChange, Changes, Settings};
use super::{Move, Number, Tenancy};
use crate::inventory::{Cause, State};
use crate::kernel::db::{Db, Transaction};
use crate::kernel::money::Money;
use crate::kernel::page::{Page, Slice};
use crate::kernel::phone::{Kind, PhoneNumber};
use crate::kernel::sid::{AccountSid, NumberSid};
use crate::kernel::text::{CallbackUrl, FriendlyName};

/// A row of `tenancies`, as far as the wire shows it.
struct Row {
    sid: NumberSid,
    account_sid: AccountSid,
    phone_number: PhoneNumber,
    kind: Kind,
    started_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    friendly_name: Option<FriendlyName>,
    url: Option<String>,
    method: Option<String>,
    sms_url: Option<String>,
    sms_method: Option<String>,
    voice_fallback_url: Option<String>,
    voice_fallback_method: Option<String>,
    sms_fallback_url: Option<String>,
    sms_fallback_method: Option<String>,
    voice_caller_id_lookup: bool,
    /// How many there are in the list that this row is a part of.
    total: Option<i64>,
}

impl From<Row> for Number {
    fn from(row: Row) -> Self {
        let callback =
            |url: Option<String>, method: Option<String>| url.zip(method).map(|(url, method)| Callback { url, method });
        Self {
            sid: row.sid,
            account_sid: row.account_sid,
            phone_number: row.phone_number,
            kind: row.kind,
            settings: Settings {
                friendly_name: row.friendly_name,
                voice: callback(row.url, row.method),
                voice_fallback: callback(row.voice_fallback_url, row.voice_fallback_method),
                sms: callback(row.sms_url, row.sms_method),
                sms_fallback: callback(row.sms_fallback_url, row.sms_fallback_method),
                voice_caller_id_lookup: row.voice_caller_id_lookup,
            },
            started_at: row.started_at,
            updated_at: row.updated_at,
        }
    }
}

/// `query_as!` for rows of `tenancies`: what the statement says before and after their columns.
macro_rules! numbers {
    ($before:literal, $after:literal $(, $value:expr)*) => {
        numbers!($before, total "null::bigint", $after $(, $value)*)
    };
    ($before:literal, total $total:literal, $after:literal $(, $value:expr)*) => {
        query_as!(
            Row,
            $before + "sid as \"sid!: NumberSid\", account_sid as \"account_sid!: AccountSid\",
                phone_number as \"phone_number!: PhoneNumber\", kind as \"kind!: Kind\",
                started_at as \"started_at!\", updated_at as \"updated_at!\",
                friendly_name as \"friendly_name: FriendlyName\", url, method, sms_url, sms_method,
                voice_fallback_url, voice_fallback_method, sms_fallback_url, sms_fallback_method,
                voice_caller_id_lookup as \"voice_caller_id_lookup!\", " + $total + " as total" + $after
            $(, $value)*
        )
    };
}

pub async fn find(db: &Db, account: AccountSid, sid: NumberSid) -> Result<Option<Number>> {
    let row = numbers!(
        "select ",
        " from tenancies where sid = $1 and account_sid = $2 and ended_at is null",
        sid as NumberSid,
        account as AccountSid
    );
    Ok(row.fetch_optional(db).await?.map(Number::from))
}

/// Changes what is given, where the account is active. A callback's method goes with its address:
/// it ends with it, begins as POST, and else stays unless another is given.
pub async fn update(
    db: &Db,
    account: AccountSid,
    sid: NumberSid,
    changes: &Changes,
    now: DateTime<Utc>,
) -> Result<Option<Number>> {
    let url = |change: &CallbackChange| change.url.value().map(|url| CallbackUrl::as_str(url).to_owned());
    let method = |change: &CallbackChange| change.method.map(|method| method.as_str());
    let row = numbers!(
        "update tenancies set
            updated_at = $4,
            friendly_name = case when $5 then $6 else friendly_name end,
            url = case when $7 then $8 else url end,
            method = case when case when $7 then $8 else url end is not null then coalesce($9, method, 'POST') end,
            voice_fallback_url = case when $10 then $11 else voice_fallback_url end,
            voice_fallback_method = case when case when $10 then $11 else voice_fallback_url end is not null
                then coalesce($12, voice_fallback_method, 'POST') end,
            sms_url = case when $13 then $14 else sms_url end,
            sms_method = case when case when $13 then $14 else sms_url end is not null
                then coalesce($15, sms_method, 'POST') end,
            sms_fallback_url = case when $16 then $17 else sms_fallback_url end,
            sms_fallback_method = case when case when $16 then $17 else sms_fallback_url end is not null
                then coalesce($18, sms_fallback_method, 'POST') end,
            voice_caller_id_lookup = coalesce($19, voice_caller_id_lookup)
        where sid = $1 and account_sid = $2 and ended_at is null
            and (kind = 'local' or not $3)
            and exists (select from accounts where accounts.sid = $2 and status = 'active')
        returning ",
        "",
        sid as NumberSid,
        account as AccountSid,
        changes.any_sms,
        now,
        changes.friendly_name.is_set(),
        changes.friendly_name.value().map(FriendlyName::as_str),
        changes.voice.url.is_set(),
        url(&changes.voice),
        method(&changes.voice),
        changes.voice_fallback.url.is_set(),
        url(&changes.voice_fallback),
        method(&changes.voice_fallback),
        changes.sms.url.is_set(),
        url(&changes.sms),
        method(&changes.sms),
        changes.sms_fallback.url.is_set(),
        url(&changes.sms_fallback),
        method(&changes.sms_fallback),
        changes.voice_caller_id_lookup
    );
    Ok(row.fetch_optional(db).await?.map(Number::from))
}

/// Ends tenancies, as one statement: those that `held` finds, whose rows of stock it locks. These
/// decide: whoever comes second finds that the number no longer belongs to the tenancy. A tenancy
/// ends no earlier than the last month that was charged ahead of time.
macro_rules! release {
    ($held:literal, $cause:literal, $to:expr, $now:ident $(, $value:expr)*) => {
        query!(
            "with " + $held + ", freed as (
                update stock set state = 'quarantined', moved_by = '" + $cause + "', state_since = $1,
                    quarantined_at = $1, tenancy_sid = null
                from held where stock.phone_number = held.phone_number
                returning held.tenancy_sid, held.account_sid, held.kind, held.price
            ), fewer as (
                select account_sid, count(*) filter (where kind = 'local') as local,
                    count(*) filter (where kind = 'tollfree') as tollfree, sum(price)::bigint as fees
                from freed group by account_sid
            ), returned as (
                update accounts set local_numbers = local_numbers - fewer.local,
                    tollfree_numbers = tollfree_numbers - fewer.tollfree, monthly_fees = monthly_fees - fewer.fees
                from fewer where accounts.sid = fewer.account_sid
                returning accounts.sid
            )
            update tenancies set
                ended_at = greatest($1, started_at, month_begins(started_at, due_month - 1)::timestamp at time zone 'UTC')
            from freed join returned on returned.sid = freed.account_sid
            where tenancies.sid = freed.tenancy_sid",
            $now $(, $value)*
        )
        .execute($to)
        .await
        .map(|result| result.rows_affected())
    };
}

/// Ends a tenancy; 0 where there is no open one.
pub async fn release(db: &Db, account: AccountSid, sid: NumberSid, now: DateTime<Utc>) -> Result<u64> {
    release!(
        "held as materialized (
            select stock.phone_number, stock.tenancy_sid, stock.kind, tenancies.account_sid, tenancies.price
            from tenancies join stock
                on stock.phone_number = tenancies.phone_number and stock.tenancy_sid = tenancies.sid
            where tenancies.sid = $2 and tenancies.account_sid = $3 and ended_at is null
            for update of stock
        )",
        "release",
        db,
        now,
        sid as NumberSid,
        account as AccountSid
    )
}

/// Ends all tenancies of an account.
pub async fn release_all(within: &mut Transaction, account: AccountSid, now: DateTime<Utc>) -> Result<u64> {
    release!(
        "held as materialized (
            select stock.phone_number, stock.tenancy_sid, stock.kind, tenancies.account_sid, tenancies.price
            from tenancies join stock
                on stock.phone_number = tenancies.phone_number and stock.tenancy_sid = tenancies.sid
            where tenancies.account_sid = $2 and ended_at is null
            order by stock.pick for update of stock
        )",
        "close",
        &mut **within,
        now,
        account as AccountSid
    )
}

/// Ends tenancies whose fee is due since then or longer, of accounts that have not paid since then: a
/// thousand at most. The accounts are locked before anything is changed, for a credit may have paid
/// meanwhile.
pub async fn release_unpaid(db: &Db, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64> {
    release!(
        "overdue as materialized (
            select tenancies.sid, phone_number, account_sid, price
            from tenancies join accounts on accounts.sid = account_sid
            where ended_at is null and due_on <= $2 and price > 0 and unpaid_since <= $3
            order by due_on, tenancies.sid limit 1000
        ), found as materialized (
            select stock.phone_number, stock.tenancy_sid, stock.kind, overdue.account_sid, overdue.price
            from overdue join stock
                on stock.phone_number = overdue.phone_number and stock.tenancy_sid = overdue.sid
            order by stock.pick for update of stock
        ), payer as materialized (
            select sid from accounts where sid in (select account_sid from found) and unpaid_since <= $3
            order by sid for update
        ), held as (
            select found.* from found join payer on payer.sid = found.account_sid
        )",
        "unpaid",
        db,
        now,
        since.date_naive(),
        since
    )
}

/// What stands in the way of giving a released number back.
pub struct Released {
    pub phone_number: PhoneNumber,
    pub state: State,
    pub is_held: bool,
    pub is_last: bool,
}

/// Locks the number of a tenancy and tells where both are now.
pub async fn lock_released(within: &mut Transaction, sid: NumberSid) -> Result<Option<Released>> {
    query_as!(
        Released,
        r#"select stock.phone_number as "phone_number: PhoneNumber", state as "state: State",
            stock.tenancy_sid is not distinct from tenancies.sid as "is_held!",
            not exists (
                select from tenancies as later
                where later.phone_number = tenancies.phone_number and later.started_at > tenancies.started_at
            ) as "is_last!"
        from tenancies join stock on stock.phone_number = tenancies.phone_number
        where tenancies.sid = $1
        for update of stock"#,
        sid as NumberSid
    )
    .fetch_optional(&mut **within)
    .await
}

/// Opens an ended tenancy again, whose number is locked; 0 where its account is closed. Months
/// that began while nobody held it are nobody's to pay.
pub async fn restore(within: &mut Transaction, sid: NumberSid, now: DateTime<Utc>) -> Result<u64> {
    let result = query!(
        "with holder as (
            update accounts set local_numbers = local_numbers + (kind = 'local')::integer,
                tollfree_numbers = tollfree_numbers + (kind = 'tollfree')::integer,
                monthly_fees = monthly_fees + price
            from tenancies
            where tenancies.sid = $1 and ended_at is not null and accounts.sid = account_sid and closed_at is null
            returning phone_number
        ), back as (
            update stock set state = 'in_use', moved_by = 'restore', state_since = $2, quarantined_at = null,
                tenancy_sid = $1
            from holder where stock.phone_number = holder.phone_number
        ), next as (
            select greatest(due_month, months_begun(started_at, ($2 at time zone 'UTC')::date) + 1) as month
            from tenancies where sid = $1
        )
        update tenancies set ended_at = null, due_month = month, due_on = month_begins(started_at, month)
        from holder, next where sid = $1",
        sid as NumberSid,
        now
    )
    .execute(&mut **within)
    .await?;
    Ok(result.rows_affected())
}

/// A page of all numbers of a kind or both, from right after a number on: the last page costs what
/// the first one does. Both kinds are walked on one index and merged; the inner limits, which are
/// those of the largest page, tell the planner that a walk will do. `None` where the account never
/// held the number that the page is to begin after.
pub async fn list(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    after: Option<NumberSid>,
    page: Page,
) -> Result<Option<Slice<Number>>> {
    let rows = numbers!(
        "with place as materialized (
            select coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) as sid,
                case when $3 is null then 'infinity'
                    else (select started_at from tenancies where sid = $3 and account_sid = $1) end as started_at
        )
        select ",
        total "(select case $2::number_kind when 'local' then local_numbers when 'tollfree' then tollfree_numbers
            else local_numbers + tollfree_numbers end from accounts where accounts.sid = $1)",
        " from (
            (select * from tenancies
            where account_sid = $1 and ended_at is null and kind = 'local' and $2 is distinct from 'tollfree'
                and (started_at, sid) < ((select started_at from place), (select sid from place))
            order by started_at desc, sid desc limit 1001)
            union all
            (select * from tenancies
            where account_sid = $1 and ended_at is null and kind = 'tollfree' and $2 is distinct from 'local'
                and (started_at, sid) < ((select started_at from place), (select sid from place))
            order by started_at desc, sid desc limit 1001)
        ) as held
        order by started_at desc, sid desc limit $4",
        account as AccountSid,
        kind as Option<Kind>,
        after as Option<NumberSid>,
        i64::from(page.size) + 1
    )
    .fetch_all(db)
    .await?;
    // A page without numbers still tells how many there are on others.
    let total = match rows.first().and_then(|row| row.total) {
        Some(total) => Some(total),
        None => count(db, account, kind, after).await?,
    };
    Ok(total.map(|total| Slice::new(page, total, rows.into_iter().map(Number::from).collect())))
}

/// The number that has so many before it in the list; costs as much as there are. Each kind is put
/// in order by itself, which the index does, so that the two can be merged instead of sorted.
pub async fn place(db: &Db, account: AccountSid, kind: Option<Kind>, before: i64) -> Result<Option<NumberSid>> {
    query_scalar!(
        r#"select sid as "sid!: NumberSid" from (
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and kind = 'local' and $2::number_kind is distinct from 'tollfree'
            order by started_at desc, sid desc)
            union all
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and kind = 'tollfree' and $2 is distinct from 'local'
            order by started_at desc, sid desc)
        ) as held
        order by started_at desc, sid desc offset $3 limit 1"#,
        account as AccountSid,
        kind as Option<Kind>,
        before
    )
    .fetch_optional(db)
    .await
}

/// How many numbers an account holds; `None` where it never held the number `after`.
pub async fn count(db: &Db, account: AccountSid, kind: Option<Kind>, after: Option<NumberSid>) -> Result<Option<i64>> {
    query_scalar!(
        r#"select case $2::number_kind when 'local' then local_numbers when 'tollfree' then tollfree_numbers
                else local_numbers + tollfree_numbers end as "total!"
        from accounts
        where sid = $1 and ($3::uuid is null or exists (select from tenancies where sid = $3 and account_sid = $1))"#,
        account as AccountSid,
        kind as Option<Kind>,
        after as Option<NumberSid>
    )
    .fetch_optional(db)
    .await
}

pub async fn find_by_digits(db: &Db, account: AccountSid, number: PhoneNumber) -> Result<Option<Number>> {
    let row = numbers!(
        "select ",
        " from tenancies where phone_number = $1 and account_sid = $2 and ended_at is null",
        number as PhoneNumber,
        account as AccountSid
    );
    Ok(row.fetch_optional(db).await?.map(Number::from))
}

/// The name that a list is limited to.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    pub name: &'a str,
    /// The number that goes by this name where it was given none.
    pub default: Option<PhoneNumber>,
}

/// A page of the numbers with a certain name, walked like [`list`].
pub async fn list_by_name(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    named: Named<'_>,
    after: Option<NumberSid>,
    page: Page,
) -> Result<Option<Slice<Number>>> {
    let rows = numbers!(
        "with place as materialized (
            select coalesce($5, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) as sid,
                case when $5 is null then 'infinity'
                    else (select started_at from tenancies where sid = $5 and account_sid = $1) end as started_at
        )
        select ",
        " from (
            (select * from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and ($2::number_kind is null or kind = $2)
                and (started_at, sid) < ((select started_at from place), (select sid from place))
            order by started_at desc, sid desc limit 1001)
            union all
            (select * from tenancies
            where account_sid = $1 and ended_at is null and friendly_name is null and phone_number = $4
                and ($2 is null or kind = $2)
                and (started_at, sid) < ((select started_at from place), (select sid from place))
            order by started_at desc, sid desc limit 1)
        ) as named
        order by started_at desc, sid desc limit $6",
        account as AccountSid,
        kind as Option<Kind>,
        named.name,
        named.default as Option<PhoneNumber>,
        after as Option<NumberSid>,
        i64::from(page.size) + 1
    )
    .fetch_all(db)
    .await?;
    let items = rows.into_iter().map(Number::from).collect();
    let total = count_by_name(db, account, kind, named, after).await?;
    Ok(total.map(|total| Slice::new(page, total, items)))
}

/// How many numbers have a certain name; `None` where the account never held the number `after`.
pub async fn count_by_name(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    named: Named<'_>,
    after: Option<NumberSid>,
) -> Result<Option<i64>> {
    query_scalar!(
        r#"select (select count(*) from tenancies
                where account_sid = $1 and ended_at is null and friendly_name = $3
                    and ($2::number_kind is null or kind = $2))
            + (select count(*) from tenancies
                where account_sid = $1 and ended_at is null and friendly_name is null and phone_number = $4
                    and ($2 is null or kind = $2)) as "total!"
        where $5::uuid is null or exists (select from tenancies where sid = $5 and account_sid = $1)"#,
        account as AccountSid,
        kind as Option<Kind>,
        named.name,
        named.default as Option<PhoneNumber>,
        after as Option<NumberSid>
    )
    .fetch_optional(db)
    .await
}

/// As [`place`], in the list of the numbers with a certain name.
pub async fn place_by_name(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    named: Named<'_>,
    before: i64,
) -> Result<Option<NumberSid>> {
    query_scalar!(
        r#"select sid as "sid!: NumberSid" from (
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and ($2::number_kind is null or kind = $2)
            order by started_at desc, sid desc)
            union all
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and friendly_name is null and phone_number = $4
                and ($2 is null or kind = $2)
            order by started_at desc, sid desc)
        ) as named
        order by started_at desc, sid desc offset $5 limit 1"#,
        account as AccountSid,
        kind as Option<Kind>,
        named.name,
        named.default as Option<PhoneNumber>,
        before
    )
    .fetch_optional(db)
    .await
}

/// Everyone who held a number, the earliest first.
pub async fn history(db: &Db, number: PhoneNumber) -> Result<Vec<Tenancy>> {
    query_as!(
        Tenancy,
        r#"select sid as "sid!: NumberSid", account_sid as "account_sid!: AccountSid", started_at as "from!",
            ended_at as "to", price as "price!: Money"
        from tenancies where phone_number = $1 and ended_at is not null
        union all
        select sid, account_sid, started_at, ended_at, price
        from tenancies where phone_number = $1 and ended_at is null
        order by 3, 1"#,
        number as PhoneNumber
    )
    .fetch_all(db)
    .await
}

/// Every move of a number through the stock, the earliest first: a sale is told by its tenancy.
pub async fn moves(db: &Db, number: PhoneNumber) -> Result<Vec<Move>> {
    query_as!(
        Move,
        r#"select at as "at!", to_state as "to!: State", cause as "cause!: Cause", tenancy_sid as "sid: NumberSid"
        from (
            select at, to_state, cause, tenancy_sid, id from stock_moves where phone_number = $1
            union all
            select started_at, 'in_use', 'sale', sid, 0 from tenancies where phone_number = $1 and ended_at is not null
            union all
            select started_at, 'in_use', 'sale', sid, 0 from tenancies where phone_number = $1 and ended_at is null
        ) as moves
        order by at, id"#,
        number as PhoneNumber
    )
    .fetch_all(db)
    .await
}

pub async fn digits_of(db: &Db, sid: NumberSid) -> Result<Option<PhoneNumber>> {
    query_scalar!(
        r#"select phone_number as "phone_number: PhoneNumber" from tenancies where sid = $1"#,
        sid as NumberSid
    )
    .fetch_optional(db)
    .await
}
