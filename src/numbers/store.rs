//! The statements on numbers.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Result, query_as, query_scalar};
use tracing::instrument;

use super::Number;
use super::settings::{Changes, Given, Row, columns};
use crate::db::Db;
use crate::db::batch::each;
use crate::inventory::State;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};
use crate::values::text::Method;

/// `query_as!` for rows of `tenancies`: the SQL before and after their columns. The word `columns` within the SQL
/// inserts the same columns again. `ordinal` and `total` in front say which of these two columns the statement has.
macro_rules! numbers {
    (ordinal and total $($said:tt)*) => {
        columns!(numbers! { "ordinal, total", $($said)* })
    };
    (ordinal $($said:tt)*) => {
        columns!(numbers! { "ordinal, null::bigint as total", $($said)* })
    };
    (
        $array:literal, $names:literal, $read:literal, $counts:literal,
        $before:literal $(+ $more:literal)*, $after:literal $(columns $rest:literal)* $(, $value:expr)*
    ) => {
        query_as!(
            Row,
            $before $(+ $more)* + "sid as \"sid!: NumberSid\", phone_number as \"phone_number!: PhoneNumber\",
                started_at as \"started_at!\", updated_at as \"updated_at!\", " + $read + ", " + $counts + $after
                $(+ " sid, phone_number, started_at, updated_at, " + $names + $rest)*
            $(, $value)*
        )
    };
    ($before:literal, $($said:tt)*) => {
        columns!(numbers! { "null::bigint as ordinal, null::bigint as total", $before, $($said)* })
    };
}

pub(super) use numbers;

impl Row {
    /// The index, from 0, of the request that this row answers.
    pub fn index(&self) -> usize {
        self.ordinal.and_then(|ordinal| usize::try_from(ordinal - 1).ok()).unwrap_or(usize::MAX)
    }

    /// The number, of the account in which it was looked for.
    pub fn number(self, account_sid: AccountSid) -> Number {
        let Self { sid, phone_number, started_at, updated_at, .. } = self;
        Number { sid, account_sid, phone_number, settings: self.settings(), started_at, updated_at }
    }
}

/// Finds many numbers, each in its account. `None` for a number that its account does not hold.
#[instrument(name = "numbers.find", level = "debug", skip_all)]
pub async fn find(db: &Db, asked: &[(AccountSid, NumberSid)]) -> Result<Vec<Option<Number>>> {
    let (accounts, sids): (Vec<_>, Vec<_>) = asked.iter().copied().unzip();
    let rows = numbers!(ordinal
        "select ",
        " from unnest($1::uuid[], $2::uuid[]) with ordinality as asked (asked_account, asked_sid, ordinal)
        join tenancies on sid = asked_sid and account_sid = asked_account and ended_at is null",
        &accounts as &[AccountSid],
        &sids as &[NumberSid]
    );
    let mut found: Vec<_> = asked.iter().map(|_| None).collect();
    db.lend(async |connection| {
        let mut rows = rows.fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let index = row.index();
            found[index] = Some(row.number(accounts[index]));
        }
        Ok(found)
    })
    .await
}

/// A change that is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub account: AccountSid,
    pub sid: NumberSid,
    pub changes: Arc<Changes>,
}

/// The whole rule of an update, as one statement for many updates. It changes the given settings if the account is
/// active. `$lock` says whether locked tenancies are skipped. `$fits` is a condition for updates in a batch.
macro_rules! updates {
    ($array:literal, $names:literal, $read:literal, $lock:literal, $fits:literal, $asked:ident, $now:ident) => {
        numbers!(ordinal
            "with asked as (
                -- Sees: what is asked for. Locks: nothing. First, because the rest of the statement reads it. Of
                -- several updates of one number this statement does the first. The others are done alone, after it.
                -- An update that names the wrong account does not count as one of these.
                select distinct on (its_sid, its_account) its_sid, its_account, ordinal, ($3::" + $array + ")[ordinal] as given
                from unnest($1::uuid[], $2::uuid[]) with ordinality as every (its_sid, its_account, ordinal)
                order by its_sid, its_account, ordinal
            ), held as materialized (
                -- Sees: the tenancies as they are once they are locked, which may be newer than the statement's
                -- snapshot. Locks: these tenancies. Here: the new settings are made from the locked rows.
                select ordinal, its_sid, greatest($4, updated_at) as new_updated_at,
                    changed_settings(tenancies, given, $5) as new
                from asked join tenancies on sid = its_sid and account_sid = its_account and ended_at is null
                where exists (select from accounts where accounts.sid = its_account and status = 'active')
                for no key update of tenancies " + $lock + "
            )
            update tenancies set updated_at = new_updated_at, (" + $names + ") = row((new).*)
            from held where sid = its_sid" + $fits + "
            returning ",
            "",
            &each($asked, |asked| asked.sid) as &[NumberSid],
            &each($asked, |asked| asked.account) as &[AccountSid],
            &each($asked, |asked| Given::by(&asked.changes)) as &[Given<'_>],
            $now,
            Method::default().as_str()
        )
    };
}

/// Does one update. It waits for the lock of the row. Constraints refuse settings that do not fit together.
#[instrument(name = "numbers.update", level = "debug", skip_all)]
pub async fn update(db: &Db, asked: Asked, now: DateTime<Utc>) -> Result<Option<Number>> {
    let (account, asked) = (asked.account, &[asked]);
    Ok(columns!(updates! { "", "", asked, now }).fetch_optional(db).await?.map(|row| row.number(account)))
}

/// Does many updates. Leaves out those whose row is locked, or that a constraint would refuse. Returns the changed
/// numbers in the order of the updates.
#[instrument(name = "numbers.update_past", level = "debug", skip_all)]
pub async fn update_past(db: &Db, asked: &[Asked], now: DateTime<Utc>) -> Result<Vec<Option<Number>>> {
    let rows = columns!(updates! { "skip locked", " and settings_fit(new)", asked, now });
    let mut changed: Vec<_> = asked.iter().map(|_| None).collect();
    for row in rows.fetch_all(db).await? {
        let index = row.index();
        changed[index] = Some(row.number(asked[index].account));
    }
    Ok(changed)
}

/// The state of a number; `None` if it is not in stock.
#[instrument(name = "numbers.state", level = "debug", skip_all)]
pub async fn state(db: &Db, number: PhoneNumber) -> Result<Option<State>> {
    query_scalar!(r#"select state as "state: State" from stock where phone_number = $1"#, number as PhoneNumber)
        .fetch_optional(db)
        .await
}

/// The number of a tenancy, open or ended.
#[instrument(name = "numbers.digits_of", level = "debug", skip_all)]
pub async fn digits_of(db: &Db, sid: NumberSid) -> Result<Option<PhoneNumber>> {
    query_scalar!(
        r#"select phone_number as "phone_number: PhoneNumber" from tenancies where sid = $1"#,
        sid as NumberSid
    )
    .fetch_optional(db)
    .await
}
