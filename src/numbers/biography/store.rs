//! The statements on who held a number. There is one index for ended tenancies and another for open ones, so each has its
//! own `select`.

use sqlx::{Result, query_as};
use tracing::instrument;

use super::{Move, Tenancy, Transferred};
use crate::db::Transaction;
use crate::inventory::{Cause, Retirement, State};
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

/// All accounts that held a number, and when, the earliest first. By the rule of `reporting.holdings`: each sale, restore
/// and transfer begins a stretch, and the tenancy's next release or transfer ends it. Stretches are ordered by the ids of
/// their ends, not by time, because the clocks of several machines differ.
#[instrument(name = "numbers.biography.history", level = "debug", skip_all)]
pub async fn history(within: &mut Transaction, number: PhoneNumber) -> Result<Vec<Tenancy>> {
    query_as!(
        Tenancy,
        r#"with held as (
            select sid, account_sid, started_at, ended_at, price from tenancies
            where phone_number = $1 and ended_at is not null
            union all
            select sid, account_sid, started_at, ended_at, price from tenancies
            where phone_number = $1 and ended_at is null
        ), event as (
            select sid, 0 as id, started_at as at, true as begins from held
            union all
            select tenancy_sid, id, at, cause = 'restore' from stock_moves
            where phone_number = $1 and tenancy_sid is not null
            union all
            select tenancy_sid, id, at, true from held join tenancy_transfers on tenancy_sid = sid
        ), stretch as (
            select sid, id, begins, at as held_from, lead(id) over stretches as ends, lead(at) over stretches as ended
            from event window stretches as (partition by sid order by id)
        ), told as (
            select stretch.*, price, ended_at, coalesce((select from_account from tenancy_transfers
                where tenancy_sid = sid and tenancy_transfers.id > stretch.id order by id limit 1), account_sid) as account
            from stretch join held using (sid)
            where begins
        )
        select told.sid as "sid!: NumberSid", account as "account_sid!: AccountSid", name as account_name,
            held_from as "from!", case when ended is null then ended_at else greatest(held_from, ended) end as "to",
            price as "price!: Money"
        from told join accounts on accounts.sid = account
        order by ends nulls last, held_from, told.sid"#,
        number as PhoneNumber
    )
    .fetch_all(&mut **within)
    .await
}

/// All transfers of a number from one account to another, the earliest first.
#[instrument(name = "numbers.biography.transfers", level = "debug", skip_all)]
pub async fn transfers(within: &mut Transaction, number: PhoneNumber) -> Result<Vec<Transferred>> {
    query_as!(
        Transferred,
        r#"select at, from_account as "from: AccountSid", to_account as "to: AccountSid", note
        from (
            select sid from tenancies where phone_number = $1 and ended_at is not null
            union all
            select sid from tenancies where phone_number = $1 and ended_at is null
        ) as held
        join tenancy_transfers on tenancy_sid = sid
        order by id"#,
        number as PhoneNumber
    )
    .fetch_all(&mut **within)
    .await
}

/// All moves of a number, the earliest first, ordered by id. A sale has no row of its own in `stock_moves`: it is made
/// from the tenancy, and comes right before the tenancy's first release.
#[instrument(name = "numbers.biography.moves", level = "debug", skip_all)]
pub async fn moves(within: &mut Transaction, number: PhoneNumber) -> Result<Vec<Move>> {
    query_as!(
        Move,
        r#"select at as "at!", to_state as "to!: State", cause as "cause!: Cause", tenancy_sid as "sid: NumberSid",
            retirement as "retirement: Retirement", note
        from (
            select at, to_state, cause, tenancy_sid, id, 1 as rank, retirement, note
            from stock_moves where phone_number = $1
            union all
            select started_at, 'in_use', 'sale', sid, release, 0, null, null
            from (
                select sid, started_at from tenancies where phone_number = $1 and ended_at is not null
                union all
                select sid, started_at from tenancies where phone_number = $1 and ended_at is null
            ) as sales
            left join (
                select tenancy_sid, min(id) as release from stock_moves
                where phone_number = $1 and from_state = 'in_use' group by tenancy_sid
            ) as ends on tenancy_sid = sid
        ) as moves
        order by id nulls last, rank"#,
        number as PhoneNumber
    )
    .fetch_all(&mut **within)
    .await
}
