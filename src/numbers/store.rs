//! The statements on numbers.

use chrono::{DateTime, Utc};
use sqlx::{Result, query_as, query_scalar};

use super::settings::{Callback, CallbackChange, Changes, Settings};
use super::{Move, Number, Tenancy};
use crate::inventory::{Cause, State};
use crate::kernel::db::Db;
use crate::kernel::money::Money;
use crate::kernel::page::{Page, Slice};
use crate::kernel::phone::{Kind, PhoneNumber};
use crate::kernel::sid::{AccountSid, NumberSid};
use crate::kernel::text::{CallbackUrl, FriendlyName, Method};

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
    method: Option<Method>,
    sms_url: Option<String>,
    sms_method: Option<Method>,
    voice_fallback_url: Option<String>,
    voice_fallback_method: Option<Method>,
    sms_fallback_url: Option<String>,
    sms_fallback_method: Option<Method>,
    voice_caller_id_lookup: bool,
    /// What the statement counts: how many there are in the whole list, or which place of those asked for this is.
    count: Option<i64>,
}

impl From<Row> for Number {
    fn from(row: Row) -> Self {
        let callback =
            |url: Option<String>, method: Option<Method>| url.zip(method).map(|(url, method)| Callback { url, method });
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
        numbers!($before, count "null::bigint", $after $(, $value)*)
    };
    ($before:literal, count $count:literal, $after:literal $(, $value:expr)*) => {
        query_as!(
            Row,
            $before + "sid as \"sid!: NumberSid\", account_sid as \"account_sid!: AccountSid\",
                phone_number as \"phone_number!: PhoneNumber\", kind as \"kind!: Kind\",
                started_at as \"started_at!\", updated_at as \"updated_at!\",
                friendly_name as \"friendly_name: FriendlyName\", url, method as \"method: Method\",
                sms_url, sms_method as \"sms_method: Method\",
                voice_fallback_url, voice_fallback_method as \"voice_fallback_method: Method\",
                sms_fallback_url, sms_fallback_method as \"sms_fallback_method: Method\",
                voice_caller_id_lookup as \"voice_caller_id_lookup!\", " + $count + " as count" + $after
            $(, $value)*
        )
    };
}

/// Many at once, each of an account of its own: those that are held, with their places in what was asked.
pub async fn find(db: &Db, accounts: &[AccountSid], sids: &[NumberSid]) -> Result<Vec<(usize, Number)>> {
    let rows = numbers!(
        "select ",
        count "place",
        " from unnest($1::uuid[], $2::uuid[]) with ordinality as asked (asked_account, asked_sid, place)
        join tenancies on sid = asked_sid and account_sid = asked_account and ended_at is null",
        accounts as &[AccountSid],
        sids as &[NumberSid]
    );
    let place = |row: &Row| row.count.and_then(|place| usize::try_from(place - 1).ok()).unwrap_or(usize::MAX);
    Ok(rows.fetch_all(db).await?.into_iter().map(|row| (place(&row), Number::from(row))).collect())
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
        count "(select case $2::number_kind when 'local' then local_numbers when 'tollfree' then tollfree_numbers
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
    );
    let rows = db.lend(async |connection| rows.fetch_all(connection).await).await?;
    // A page without numbers still tells how many there are on others.
    let total = match rows.first().and_then(|row| row.count) {
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
