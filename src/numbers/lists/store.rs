//! Statements on lists of numbers.

use std::cmp::Reverse;

use futures_util::TryStreamExt;
use sqlx::{Result, query_as, query_scalar};
use tracing::instrument;

use super::{Held, Stretch};
use crate::db::Db;
use crate::db::batch::each;
use crate::numbers::Number;
use crate::numbers::settings::{Row, columns};
use crate::numbers::store::numbers;
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

/// Parts of lists, each of another account; returns their numbers, in order. The last part costs what the first one
/// does. Both kinds are walked on one index and merged. The inner limits, one more than
/// [`LARGEST_SIZE`](crate::values::page::LARGEST_SIZE), tell the planner that a walk of the index is enough. Each walk
/// names its columns, because every column that a step of the plan passes on costs time.
#[instrument(name = "numbers.lists.stretches", level = "debug", skip_all)]
pub async fn stretches(db: &Db, asked: &[Stretch]) -> Result<Vec<Held>> {
    let rows = numbers!(place and total
        "select ",
        " from (
            select place, account, wanted, size, coalesce(after, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) as last_sid,
                case when after is null then 'infinity'
                    else coalesce(last.started_at, began_for(account, after)) end as last_started_at,
                numbers_held(accounts, wanted) as total
            from unnest($1::uuid[], $2::number_kind[], $3::uuid[], $4::bigint[])
                with ordinality as asked (account, wanted, after, size, place)
            join accounts on accounts.sid = account
            left join tenancies as last on last.sid = after and last.account_sid = account
        ) as stretch
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
        // They are in order already, because of the walks; an `order by` would sort all of them again.
        held.iter_mut().for_each(|held| held.numbers.sort_by_key(|number| Reverse((number.started_at, number.sid))));
        Ok(held)
    })
    .await
}

/// The number at an offset. The cost grows with the offset; if the list is shorter, it costs nothing. Each kind is
/// sorted by itself, which the index does, so that the two are merged and not sorted.
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
        where $3 < (select numbers_held(accounts, $2) from accounts where accounts.sid = $1)
        order by started_at desc, sid desc offset $3 limit 1"#,
        account as AccountSid,
        kind as Option<Kind>,
        before
    )
    .fetch_optional(db)
    .await
}

/// The number that lies `between` numbers before `from`, or before the end of the list: a walk backwards on the same
/// index. `None` if the account never held `from`. The inner limits, as in [`stretches`], are one more than `between`.
#[instrument(name = "numbers.lists.sid_before", level = "debug", skip_all)]
pub async fn sid_before(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    from: Option<NumberSid>,
    between: i64,
) -> Result<Option<Option<NumberSid>>> {
    query_scalar!(
        r#"with place as materialized (
            select coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid) as sid,
                case when $3 is null then '-infinity'
                    else began_for($1, $3) end as started_at
        )
        select (
            select sid from (
                (select started_at, sid from tenancies
                where account_sid = $1 and ended_at is null and kind = 'local' and $2::number_kind is distinct from 'tollfree'
                    and (started_at, sid) > ((select started_at from place), (select sid from place))
                order by started_at, sid limit 1001)
                union all
                (select started_at, sid from tenancies
                where account_sid = $1 and ended_at is null and kind = 'tollfree' and $2 is distinct from 'local'
                    and (started_at, sid) > ((select started_at from place), (select sid from place))
                order by started_at, sid limit 1001)
            ) as held
            order by started_at, sid offset $4 limit 1
        ) as "sid: NumberSid"
        from place where started_at is not null"#,
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
        r#"select numbers_held(accounts, $2) as "total!" from accounts
        where sid = $1 and ($3::uuid is null or began_for(sid, $3) is not null)"#,
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
