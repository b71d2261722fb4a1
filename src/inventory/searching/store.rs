//! The statements of a search. None of them locks.
//!
//! Their limits are parameters: PostgreSQL then plans to read a tenth of what is there, and so to walk along an index. For as
//! many as it expects to find at all, it would rather sort them.

use sqlx::{Result, query_scalar};
use tracing::instrument;

use super::{ENOUGH, LOOKED_UP, WALKED};
use crate::db::Db;
use crate::values::phone::{AreaCode, Kind, PhoneNumber};

/// Walks along the numbers of a kind. The pattern is that of eleven digits.
#[instrument(name = "inventory.searching.of_kind", level = "debug", skip_all)]
pub async fn of_kind(db: &Db, kind: Kind, like: &str, from: i32, most: i64) -> Result<Vec<PhoneNumber>> {
    query_scalar!(
        r#"select phone_number as "phone_number!: PhoneNumber" from (
            select there.phone_number
            from (values ($2::integer, 2147483647), (0, $2 - 1)) as range (low, high)
            cross join lateral (
                select phone_number from stock
                where state = 'available' and kind = $1 and pick between low and high order by pick limit $5
            ) as there
            limit $5
        ) as looked_at
        where (10000000000 + phone_number)::text like $3 limit $4"#,
        kind as Kind,
        from,
        like,
        most,
        WALKED
    )
    .fetch_all(db)
    .await
}

/// Walks along the numbers of these area codes, one code after the other, at most `of_each` on each side of the place
/// where it begins. It does not name the kind, because an area code has only one.
#[instrument(name = "inventory.searching.of_areas", level = "debug", skip_all)]
pub async fn of_areas(
    db: &Db,
    codes: &[AreaCode],
    of_each: i64,
    like: &str,
    from: i32,
    most: i64,
) -> Result<Vec<PhoneNumber>> {
    let codes: Vec<_> = codes.iter().map(|code| code.as_smallint()).collect();
    query_scalar!(
        r#"select phone_number as "phone_number!: PhoneNumber" from (
            select phone_number, pick from (
                select there.phone_number, there.pick
                from unnest($1::smallint[]) as area (code)
                cross join lateral (values ($2::integer, 2147483647), (0, $2 - 1)) as range (low, high)
                cross join lateral (
                    select phone_number, pick from stock
                    where state = 'available' and area_code = code and pick between low and high
                    order by pick limit $3
                ) as there
                limit $6
            ) as looked_at
            where (10000000000 + phone_number)::text like $4 limit $7
        ) as found
        order by pick < $2, pick limit $5"#,
        &codes,
        from,
        of_each,
        like,
        most,
        WALKED,
        ENOUGH
    )
    .fetch_all(db)
    .await
}

/// Looks at the numbers of these ranges, one range after the other.
#[instrument(name = "inventory.searching.within", level = "debug", skip_all)]
pub async fn within(db: &Db, ranges: &[[i64; 2]], from: i32, most: i64) -> Result<Vec<PhoneNumber>> {
    let (lows, highs): (Vec<_>, Vec<_>) = ranges.iter().map(|[low, high]| (*low, *high)).unzip();
    query_scalar!(
        r#"select phone_number as "phone_number!: PhoneNumber" from (
            select phone_number, pick from (
                select there.phone_number, there.pick, there.state
                from unnest($1::bigint[], $2::bigint[]) as range (low, high)
                cross join lateral (
                    select phone_number, pick, state from stock
                    where phone_number between low and high order by phone_number limit $5
                ) as there
                limit $5
            ) as looked_at
            where state = 'available' limit $6
        ) as found
        order by pick < $3, pick limit $4"#,
        &lows,
        &highs,
        from,
        most,
        LOOKED_UP,
        ENOUGH
    )
    .fetch_all(db)
    .await
}
