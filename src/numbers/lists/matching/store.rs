//! The statement on lists by digits.

use sqlx::{Result, query};
use tracing::instrument;

use super::{Found, Matching};
use crate::db::Db;
use crate::numbers::lists::Page;
use crate::values::page::{Cursor, REACH};
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

/// The Sids of a page; `None` if the account never held the number at its cursor. Reads all numbers of the account.
#[instrument(name = "numbers.lists.matching.find", level = "debug", skip_all)]
pub async fn find(db: &Db, matching: Matching<'_>, page: Page) -> Result<Option<Found>> {
    let Matching { account, kind, like, name, default } = matching;
    let (after, before) = match page.cursor {
        Cursor::After(sid) => (Some(sid), None),
        Cursor::Before(sid) => (None, Some(sid)),
        Cursor::ByNumber | Cursor::Last => (None, None),
    };
    let row = query!(
        r#"with matching as materialized (
            select sid, started_at, row_number() over (order by started_at desc, sid desc) as nth
            from tenancies
            where account_sid = $1 and ended_at is null and ($2::number_kind is null or kind = $2)
                and phone_number::text like $3
                and ($4::text is null or friendly_name = $4 or (friendly_name is null and phone_number = $5))
            order by started_at desc, sid desc limit $6
        ), page as materialized (
            select (select count(*) from matching) as total, greatest(0, case
                when $7::uuid is not null then (
                    select count(*) from matching where (started_at, sid) >= (began_for($1, $7), $7))
                when $8::uuid is not null then (
                    select count(*) from matching where (started_at, sid) > (began_for($1, $8), $8)) - $10
                when $9::bigint is not null then $9
                else ((select count(*) from matching) - 1) / $10 * $10
            end) as start
            where coalesce($7, $8) is null or began_for($1, coalesce($7, $8)) is not null
        )
        select total as "total!", start as "start!",
            array(select sid from matching where nth > start and nth <= start + $10 + 1 order by nth) as "sids!: Vec<NumberSid>"
        from page"#,
        account as AccountSid,
        kind as Option<Kind>,
        like,
        name,
        default as Option<PhoneNumber>,
        REACH,
        after as Option<NumberSid>,
        before as Option<NumberSid>,
        (page.cursor == Cursor::ByNumber).then(|| page.start()),
        i64::from(page.size)
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Found { total: row.total, start: row.start, sids: row.sids }))
}
