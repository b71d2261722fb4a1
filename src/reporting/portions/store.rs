//! The statements that find where a portion ends. Each walks an index.

use chrono::{DateTime, Utc};
use sqlx::{Result, query, query_scalar};
use tracing::instrument;

use crate::db::Db;
use crate::values::sid::AccountSid;

/// `query_scalar!` for the last of some numbers of a table that is kept by number.
macro_rules! by_number {
    ($rows:literal, $after:ident, $last:ident, $size:ident, $db:ident) => {
        query_scalar!(
            "select max(phone_number) from (
            select phone_number from "
                + $rows
                + " phone_number > $1 and phone_number <= $2 order by phone_number limit $3
        ) as portion",
            $after,
            $last,
            $size
        )
        .fetch_one($db)
        .await
    };
}

#[instrument(name = "reporting.portions.number", level = "debug", skip_all)]
pub async fn number(db: &Db, after: i64, last: i64, size: i64) -> Result<Option<i64>> {
    by_number!("stock where", after, last, size, db)
}

#[instrument(name = "reporting.portions.number_in_use", level = "debug", skip_all)]
pub async fn number_in_use(db: &Db, after: i64, last: i64, size: i64) -> Result<Option<i64>> {
    by_number!("tenancies where ended_at is null and", after, last, size, db)
}

/// `query_scalar!` for the last moment of some rows of a table that is kept by `created_at` and `sid`.
macro_rules! by_age {
    ($table:literal, $after:ident, $size:ident, $db:ident) => {
        query_scalar!(
            "select max(created_at) from (
            select created_at from "
                + $table
                + " where created_at > $1 order by created_at, sid limit $2
        ) as portion",
            $after,
            $size
        )
        .fetch_one($db)
        .await
    };
}

#[instrument(name = "reporting.portions.account", level = "debug", skip_all)]
pub async fn account(db: &Db, after: DateTime<Utc>, size: i64) -> Result<Option<DateTime<Utc>>> {
    by_age!("accounts", after, size, db)
}

#[instrument(name = "reporting.portions.api_key", level = "debug", skip_all)]
pub async fn api_key(db: &Db, after: DateTime<Utc>, size: i64) -> Result<Option<DateTime<Utc>>> {
    by_age!("api_keys", after, size, db)
}

#[instrument(name = "reporting.portions.action", level = "debug", skip_all)]
pub async fn action(db: &Db, after: i64, size: i64) -> Result<Option<i64>> {
    query_scalar!(
        "select max(id) from (select id from operator_actions where id > $1 order by id limit $2) as portion",
        after,
        size
    )
    .fetch_one(db)
    .await
}

/// `query!` for the last of some rows of a table that is kept by account and id.
macro_rules! of_accounts {
    ($table:literal, $after:ident, $last:ident, $size:ident, $db:ident) => {
        query!(
            "select account_sid as \"account: AccountSid\", id from (
                select account_sid, id from "
                + $table
                + "
                where (account_sid, id) > ($1, $2::bigint) and account_sid <= $4 order by account_sid, id limit $3
            ) as portion
            order by account_sid desc, id desc limit 1",
            $after.0 as AccountSid,
            $after.1,
            $size,
            $last as AccountSid
        )
        .fetch_optional($db)
        .await
        .map(|row| row.map(|row| (row.account, row.id)))
    };
}

#[instrument(name = "reporting.portions.entry", level = "debug", skip_all)]
pub async fn entry(
    db: &Db,
    after: (AccountSid, i64),
    last: AccountSid,
    size: i64,
) -> Result<Option<(AccountSid, i64)>> {
    of_accounts!("ledger_entries", after, last, size, db)
}

#[instrument(name = "reporting.portions.event", level = "debug", skip_all)]
pub async fn event(
    db: &Db,
    after: (AccountSid, i64),
    last: AccountSid,
    size: i64,
) -> Result<Option<(AccountSid, i64)>> {
    of_accounts!("account_events", after, last, size, db)
}
