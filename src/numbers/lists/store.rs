//! The statements on lists of numbers.

use std::cmp::Reverse;

use futures_util::TryStreamExt;
use sqlx::{Result, query_as, query_scalar};

use super::{Held, Stretch};
use crate::kernel::batch::each;
use crate::kernel::db::Db;
use crate::kernel::page::{Page, Slice};
use crate::kernel::phone::{Kind, PhoneNumber};
use crate::kernel::sid::{AccountSid, NumberSid};
use crate::kernel::text::{FriendlyName, Method};
use crate::numbers::Number;
use crate::numbers::store::{Row, numbers};

/// Stretches of lists, each of an account of its own; what is held of each, in their order. The last stretch
/// costs what the first one does. Both kinds are walked on one index and merged; the inner limits, which are one
/// more than [`LARGEST_SIZE`](crate::kernel::page::LARGEST_SIZE), tell the planner that a walk will do.
/// The columns are named in each walk, for all that a step of the plan hands on costs.
pub async fn stretches(db: &Db, asked: &[Stretch]) -> Result<Vec<Held>> {
    let rows = numbers!(place and total
        "select ",
        " from (
            select place, account, wanted, size, coalesce(after, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) as last_sid,
                case when after is null then 'infinity' else last.started_at end as last_started_at,
                case wanted when 'local' then local_numbers when 'tollfree' then tollfree_numbers
                    else local_numbers + tollfree_numbers end as total
            from unnest($1::uuid[], $2::number_kind[], $3::uuid[], $4::bigint[])
                with ordinality as asked (account, wanted, after, size, place)
            join accounts on accounts.sid = account
            left join tenancies as last on last.sid = after and last.account_sid = account
        ) as stretch
        cross join lateral (
            select * from (
                (select sid, phone_number, started_at, updated_at, friendly_name, url, method, sms_url, sms_method,
                    voice_fallback_url, voice_fallback_method, sms_fallback_url, sms_fallback_method, voice_caller_id_lookup
                from tenancies
                where account_sid = account and ended_at is null and kind = 'local' and wanted is distinct from 'tollfree'
                    and (started_at, sid) < (last_started_at, last_sid)
                order by started_at desc, sid desc limit 1001)
                union all
                (select sid, phone_number, started_at, updated_at, friendly_name, url, method, sms_url, sms_method,
                    voice_fallback_url, voice_fallback_method, sms_fallback_url, sms_fallback_method, voice_caller_id_lookup
                from tenancies
                where account_sid = account and ended_at is null and kind = 'tollfree' and wanted is distinct from 'local'
                    and (started_at, sid) < (last_started_at, last_sid)
                order by started_at desc, sid desc limit 1001)
            ) as of_kind
            order by started_at desc, sid desc limit size
        ) as held",
        &each(asked, |stretch| stretch.account) as &[AccountSid],
        &each(asked, |stretch| stretch.kind) as &[Option<Kind>],
        &each(asked, |stretch| stretch.after) as &[Option<NumberSid>],
        &each(asked, |stretch| i64::from(stretch.size))
    );
    let room = |stretch: &Stretch| Held { numbers: Vec::with_capacity(stretch.size as usize), total: None };
    let mut held: Vec<_> = asked.iter().map(room).collect();
    db.lend(async |connection| {
        let mut rows = rows.fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let place = row.place();
            held[place].total = row.total;
            held[place].numbers.push(row.number(asked[place].account));
        }
        // They are in order already, for it walks them so; a statement that said so would sort all of them again.
        held.iter_mut().for_each(|held| held.numbers.sort_by_key(|number| Reverse((number.started_at, number.sid))));
        Ok(held)
    })
    .await
}

/// The number that has so many before it in the list; costs as much as there are, and nothing where the list is
/// shorter. Each kind is put in order by itself, which the index does, so that the two can be merged instead of sorted.
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
        where $3 < (select case $2 when 'local' then local_numbers when 'tollfree' then tollfree_numbers
            else local_numbers + tollfree_numbers end from accounts where accounts.sid = $1)
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

/// The name that a list is limited to.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    pub name: &'a str,
    /// The number that goes by this name where it was given none.
    pub default: Option<PhoneNumber>,
}

/// A page of the numbers with a certain name, walked like [`stretches`].
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
    let items = rows.into_iter().map(|row| row.number(account)).collect();
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

/// The number with these digits, if the account holds it.
pub async fn find_by_digits(db: &Db, account: AccountSid, number: PhoneNumber) -> Result<Option<Number>> {
    let row = numbers!(
        "select ",
        " from tenancies where phone_number = $1 and account_sid = $2 and ended_at is null",
        number as PhoneNumber,
        account as AccountSid
    );
    Ok(row.fetch_optional(db).await?.map(|row| row.number(account)))
}
