//! The statement that says which numbers go back on sale.

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::{Result, query, query_scalar};
use tracing::instrument;

use super::Recyclable;
use crate::db::{Db, Transaction};
use crate::values::phone::Kind;
use crate::values::sid::AccountSid;

/// Numbers in quarantine since these times or longer, and how many there are in all rows. The last holder is that of
/// the last move out of use.
#[instrument(name = "inventory.recycling.recyclable", level = "debug", skip_all)]
pub fn recyclable(
    within: &mut Transaction,
    local: DateTime<Utc>,
    tollfree: DateTime<Utc>,
) -> BoxStream<'_, Result<(i64, Recyclable)>> {
    query!(
        r#"select accounts.sid as "account_sid?: AccountSid", name as "account_name?", stock.kind as "kind: Kind",
            count(*) as "recycled!", sum(count(*)) over ()::bigint as "all!"
        from stock
        left join lateral (
            select tenancy_sid as last from stock_moves
            where stock_moves.phone_number = stock.phone_number and from_state = 'in_use' order by id desc limit 1
        ) as moves on true
        left join tenancies on tenancies.sid = last
        left join accounts on accounts.sid = account_sid
        where state = 'quarantined' and (stock.kind = 'local' and quarantined_at <= $1
            or stock.kind = 'tollfree' and quarantined_at <= $2)
        group by accounts.sid, name, stock.kind order by name, accounts.sid, stock.kind"#,
        local,
        tollfree
    )
    .fetch(&mut **within)
    .map_ok(|row| {
        let (account_sid, account_name) = (row.account_sid, row.account_name);
        (row.all, Recyclable { account_sid, account_name, kind: row.kind, recycled: row.recycled })
    })
    .boxed()
}

/// When the first number is to leave quarantine. `local` and `tollfree` are the days that it lasts for each kind.
#[instrument(name = "inventory.recycling.next_recycling", level = "debug", skip_all)]
pub async fn next_recycling(db: &Db, local: i32, tollfree: i32) -> Result<Option<DateTime<Utc>>> {
    query_scalar!(
        "select min(quarantined_at + make_interval(days => case kind when 'local' then $1::integer else $2::integer end))
        from stock where state = 'quarantined'",
        local,
        tollfree
    )
    .fetch_one(db)
    .await
}
