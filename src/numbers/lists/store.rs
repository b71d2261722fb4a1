//! Statements on lists of numbers.

use std::cmp::Reverse;

use futures_util::TryStreamExt;
use sqlx::{Result, query_as, query_scalar};
use tracing::instrument;

use super::{Held, Part};
use crate::db::Db;
use crate::db::batch::each;
use crate::numbers::Number;
use crate::numbers::settings::{Row, columns};
use crate::numbers::store::numbers;
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

/// Reads parts of lists, each of any account, and returns their numbers in order. A part at the end of a list costs
/// no more than one at the beginning. Both kinds are walked on one index and merged. The inner limits, one more than
/// [`LARGEST_SIZE`](crate::values::page::LARGEST_SIZE), make the planner walk the index. Each walk names its columns,
/// because every further column in a step of the plan costs time.
#[instrument(name = "numbers.lists.parts", level = "debug", skip_all)]
pub async fn parts(db: &Db, asked: &[Part]) -> Result<Vec<Held>> {
    let rows = numbers!(ordinal and total
        "select ",
        " from (
            select ordinal, account, wanted, size, coalesce(after, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) as last_sid,
                case when after is null then 'infinity'
                    else coalesce(last.started_at, began_for(account, after)) end as last_started_at,
                numbers_held(local_numbers, tollfree_numbers, wanted) as total
            from unnest($1::uuid[], $2::number_kind[], $3::uuid[], $4::bigint[])
                with ordinality as asked (account, wanted, after, size, ordinal)
            cross join lateral sums_of(account) as sums
            left join tenancies as last on last.sid = after and last.account_sid = account
        ) as part
        cross join lateral (
            select * from (
                (select" columns " from tenancies
                where account_sid = account and ended_at is null and kind = 'local' and wanted is distinct from 'tollfree'
                    and (started_at, sid) < (last_started_at, last_sid)
                order by started_at desc, sid desc limit 1001)
                union all
                (select" columns " from tenancies
                where account_sid = account and ended_at is null and kind = 'tollfree' and wanted is distinct from 'local'
                    and (started_at, sid) < (last_started_at, last_sid)
                order by started_at desc, sid desc limit 1001)
            ) as of_kind
            order by started_at desc, sid desc limit size
        ) as held",
        &each(asked, |part| part.account) as &[AccountSid],
        &each(asked, |part| part.kind) as &[Option<Kind>],
        &each(asked, |part| part.after) as &[Option<NumberSid>],
        &each(asked, |part| i64::from(part.size))
    );
    let room = |part: &Part| Held { numbers: Vec::with_capacity(part.size as usize), total: None };
    let mut held: Vec<_> = asked.iter().map(room).collect();
    db.lend(async |connection| {
        let mut rows = rows.fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let index = row.index();
            held[index].total = row.total;
            held[index].numbers.push(row.number(asked[index].account));
        }
        // This is quick: the walks have left each part in order. An `order by` in the statement would sort all parts
        // together.
        held.iter_mut().for_each(|held| held.numbers.sort_by_key(|number| Reverse((number.started_at, number.sid))));
        Ok(held)
    })
    .await
}

/// The number at an offset. The cost grows with the offset, and is nothing if the list is shorter. The index gives
/// each kind in order, so that PostgreSQL only merges the two.
#[instrument(name = "numbers.lists.sid_at", level = "debug", skip_all)]
pub async fn sid_at(db: &Db, account: AccountSid, kind: Option<Kind>, before: i64) -> Result<Option<NumberSid>> {
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
        where $3 < (select numbers_held(local_numbers, tollfree_numbers, $2) from sums_of($1))
        order by started_at desc, sid desc offset $3 limit 1"#,
        account as AccountSid,
        kind as Option<Kind>,
        before
    )
    .fetch_optional(db)
    .await
}

/// See [`ByOffset::sid_before`](super::ByOffset::sid_before). A walk backwards on the same index; its inner limits
/// are those of [`parts`].
#[instrument(name = "numbers.lists.sid_before", level = "debug", skip_all)]
pub async fn sid_before(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    from: Option<NumberSid>,
    between: i64,
) -> Result<Option<Option<NumberSid>>> {
    query_scalar!(
        r#"with cursor as materialized (
            select coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid) as sid,
                case when $3 is null then '-infinity'
                    else began_for($1, $3) end as started_at
        )
        select (
            select sid from (
                (select started_at, sid from tenancies
                where account_sid = $1 and ended_at is null and kind = 'local' and $2::number_kind is distinct from 'tollfree'
                    and (started_at, sid) > ((select started_at from cursor), (select sid from cursor))
                order by started_at, sid limit 1001)
                union all
                (select started_at, sid from tenancies
                where account_sid = $1 and ended_at is null and kind = 'tollfree' and $2 is distinct from 'local'
                    and (started_at, sid) > ((select started_at from cursor), (select sid from cursor))
                order by started_at, sid limit 1001)
            ) as held
            order by started_at, sid offset $4 limit 1
        ) as "sid: NumberSid"
        from cursor where started_at is not null"#,
        account as AccountSid,
        kind as Option<Kind>,
        from as Option<NumberSid>,
        between
    )
    .fetch_optional(db)
    .await
}

/// The number of items in an account's list; `None` if it never held the number `after`.
#[instrument(name = "numbers.lists.count", level = "debug", skip_all)]
pub async fn count(db: &Db, account: AccountSid, kind: Option<Kind>, after: Option<NumberSid>) -> Result<Option<i64>> {
    query_scalar!(
        r#"select numbers_held(local_numbers, tollfree_numbers, $2) as "total!" from sums_of($1)
        where $3::uuid is null or began_for($1, $3) is not null"#,
        account as AccountSid,
        kind as Option<Kind>,
        after as Option<NumberSid>
    )
    .fetch_optional(db)
    .await
}

/// The number with these digits, if the account holds it.
#[instrument(name = "numbers.lists.find_by_digits", level = "debug", skip_all)]
pub async fn find_by_digits(db: &Db, account: AccountSid, number: PhoneNumber) -> Result<Option<Number>> {
    let row = numbers!(
        "select ",
        " from tenancies where phone_number = $1 and account_sid = $2 and ended_at is null",
        number as PhoneNumber,
        account as AccountSid
    );
    Ok(row.fetch_optional(db).await?.map(|row| row.number(account)))
}
