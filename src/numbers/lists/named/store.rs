//! Statements on lists by name. Each kind is walked on the index by name; a number with the default name is found by
//! its digits.

use sqlx::{Result, query_as, query_scalar};
use tracing::instrument;

use super::Named;
use crate::db::Db;
use crate::numbers::Number;
use crate::numbers::settings::{Row, columns};
use crate::numbers::store::numbers;
use crate::values::phone::Kind;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// `size` numbers after one of them, or from the beginning.
#[instrument(name = "numbers.lists.named.list", level = "debug", skip_all)]
pub async fn list(db: &Db, named: Named<'_>, after: Option<NumberSid>, size: u32) -> Result<Vec<Number>> {
    let rows = numbers!(
        "with cursor as materialized (
            select coalesce($5, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) as sid,
                case when $5 is null then 'infinity'
                    else began_for($1, $5) end as started_at
        )
        select ",
        " from (
            (select * from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and kind = 'local' and $2::number_kind is distinct from 'tollfree'
                and (started_at, sid) < ((select started_at from cursor), (select sid from cursor))
            order by started_at desc, sid desc limit 1001)
            union all
            (select * from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and kind = 'tollfree' and $2 is distinct from 'local'
                and (started_at, sid) < ((select started_at from cursor), (select sid from cursor))
            order by started_at desc, sid desc limit 1001)
            union all
            (select * from tenancies
            where account_sid = $1 and ended_at is null and friendly_name is null and phone_number = $4
                and ($2 is null or kind = $2)
                and (started_at, sid) < ((select started_at from cursor), (select sid from cursor))
            order by started_at desc, sid desc limit 1)
        ) as named
        order by started_at desc, sid desc limit $6",
        named.account as AccountSid,
        named.kind as Option<Kind>,
        named.name,
        named.default as Option<PhoneNumber>,
        after as Option<NumberSid>,
        i64::from(size)
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.number(named.account)).collect())
}

/// The number of items, up to one more than [`REACH`](crate::values::page::REACH); `None` if the account never held the
/// number `after`. The `order by` makes PostgreSQL walk the index: it expects every name to be frequent, and would read
/// the whole table.
#[instrument(name = "numbers.lists.named.count", level = "debug", skip_all)]
pub async fn count(db: &Db, named: Named<'_>, after: Option<NumberSid>) -> Result<Option<i64>> {
    query_scalar!(
        r#"select (select count(*) from (
            (select from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and kind = 'local' and $2::number_kind is distinct from 'tollfree'
            order by started_at desc, sid desc limit 100001)
            union all
            (select from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and kind = 'tollfree' and $2 is distinct from 'local'
            order by started_at desc, sid desc limit 100001)
            union all
            (select from tenancies
            where account_sid = $1 and ended_at is null and friendly_name is null and phone_number = $4
                and ($2 is null or kind = $2) limit 1)
            limit 100001
        ) as named) as "total!"
        where $5::uuid is null or began_for($1, $5) is not null"#,
        named.account as AccountSid,
        named.kind as Option<Kind>,
        named.name,
        named.default as Option<PhoneNumber>,
        after as Option<NumberSid>
    )
    .fetch_optional(db)
    .await
}

/// The number at an offset. The cost grows with the offset.
#[instrument(name = "numbers.lists.named.sid_at", level = "debug", skip_all)]
pub async fn sid_at(db: &Db, named: Named<'_>, before: i64) -> Result<Option<NumberSid>> {
    query_scalar!(
        r#"select sid as "sid!: NumberSid" from (
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and kind = 'local' and $2::number_kind is distinct from 'tollfree'
            order by started_at desc, sid desc)
            union all
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and kind = 'tollfree' and $2 is distinct from 'local'
            order by started_at desc, sid desc)
            union all
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and friendly_name is null and phone_number = $4
                and ($2 is null or kind = $2)
            order by started_at desc, sid desc)
        ) as named
        order by started_at desc, sid desc offset $5 limit 1"#,
        named.account as AccountSid,
        named.kind as Option<Kind>,
        named.name,
        named.default as Option<PhoneNumber>,
        before
    )
    .fetch_optional(db)
    .await
}

/// See [`ByOffset::sid_before`](super::ByOffset::sid_before).
#[instrument(name = "numbers.lists.named.sid_before", level = "debug", skip_all)]
pub async fn sid_before(
    db: &Db,
    named: Named<'_>,
    from: Option<NumberSid>,
    between: i64,
) -> Result<Option<Option<NumberSid>>> {
    query_scalar!(
        r#"with cursor as materialized (
            select coalesce($5, '00000000-0000-0000-0000-000000000000'::uuid) as sid,
                case when $5 is null then '-infinity'
                    else began_for($1, $5) end as started_at
        )
        select (
            select sid from (
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and kind = 'local' and $2::number_kind is distinct from 'tollfree'
                and (started_at, sid) > ((select started_at from cursor), (select sid from cursor))
            order by started_at, sid limit 1001)
            union all
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and friendly_name = $3
                and kind = 'tollfree' and $2 is distinct from 'local'
                and (started_at, sid) > ((select started_at from cursor), (select sid from cursor))
            order by started_at, sid limit 1001)
            union all
            (select started_at, sid from tenancies
            where account_sid = $1 and ended_at is null and friendly_name is null and phone_number = $4
                and ($2 is null or kind = $2)
                and (started_at, sid) > ((select started_at from cursor), (select sid from cursor))
            order by started_at, sid limit 1)
            ) as named
            order by started_at, sid offset $6 limit 1
        ) as "sid: NumberSid"
        from cursor where started_at is not null"#,
        named.account as AccountSid,
        named.kind as Option<Kind>,
        named.name,
        named.default as Option<PhoneNumber>,
        from as Option<NumberSid>,
        between
    )
    .fetch_optional(db)
    .await
}
