//! Statements on prices.

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use sqlx::{Result, query_as, query_scalar};
use tracing::instrument;

use super::{Price, PriceChange, SetOfAccount};
use crate::db::Transaction;
use crate::values::money::Money;
use crate::values::phone::Kind;
use crate::values::sid::AccountSid;

#[instrument(name = "inventory.prices.all", level = "debug", skip_all)]
pub fn all(within: &mut Transaction) -> BoxStream<'_, Result<Price>> {
    query_as!(
        Price,
        r#"select kind as "kind: Kind", account_sid as "account_sid: AccountSid", price as "price: Money"
        from prices order by account_sid nulls first, kind"#
    )
    .fetch(&mut **within)
}

/// The price of each kind for an account: its own, else its payer's, else the general one, as a purchase finds it.
#[instrument(name = "inventory.prices.of_account", level = "debug", skip_all)]
pub fn of_account(within: &mut Transaction, account: AccountSid) -> BoxStream<'_, Result<Price>> {
    query_as!(
        Price,
        r#"select distinct on (kind) kind as "kind: Kind", account_sid as "account_sid: AccountSid", price as "price: Money"
        from prices
        where account_sid is null or account_sid in ($1, (select payer_sid from accounts where sid = $1))
        order by kind, account_sid is null, account_sid <> $1"#,
        account as AccountSid
    )
    .fetch(&mut **within)
}

#[instrument(name = "inventory.prices.changes", level = "debug", skip_all)]
pub fn changes(within: &mut Transaction, limit: i64) -> BoxStream<'_, Result<PriceChange>> {
    query_as!(
        PriceChange,
        r#"select id, at, kind as "kind: Kind", account_sid as "account_sid: AccountSid", price as "price: Money", operator
        from price_changes order by id desc limit $1"#,
        limit
    )
    .fetch(&mut **within)
}

#[instrument(name = "inventory.prices.changes_of", level = "debug", skip_all)]
pub fn changes_of(within: &mut Transaction, account: AccountSid, limit: i64) -> BoxStream<'_, Result<PriceChange>> {
    query_as!(
        PriceChange,
        r#"select id, at, kind as "kind: Kind", account_sid as "account_sid: AccountSid", price as "price: Money", operator
        from price_changes where account_sid = $1 order by id desc limit $2"#,
        account as AccountSid,
        limit
    )
    .fetch(&mut **within)
}

#[instrument(name = "inventory.prices.general", level = "debug", skip_all)]
pub async fn general(within: &mut Transaction, kind: Kind) -> Result<Money> {
    query_scalar!(r#"select price as "price: Money" from prices where kind = $1 and account_sid is null"#, kind as Kind)
        .fetch_one(&mut **within)
        .await
}

/// Returns whether the price was another one; then the change is recorded.
#[instrument(name = "inventory.prices.set_general", level = "debug", skip_all)]
pub async fn set_general(
    within: &mut Transaction,
    kind: Kind,
    price: Money,
    operator: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    query_scalar!(
        r#"with changed as (
            update prices set price = $2 where kind = $1 and account_sid is null and price <> $2 returning kind, price
        ), told as (
            insert into price_changes (at, kind, price, operator) select $3, kind, price, $4 from changed
        )
        select exists (select from changed) as "changed!""#,
        kind as Kind,
        price.cents(),
        now,
        operator
    )
    .fetch_one(&mut **within)
    .await
}

/// The same for one account; `None` where there is no such account. A closed one gets no price.
#[instrument(name = "inventory.prices.set_of_account", level = "debug", skip_all)]
pub async fn set_of_account(
    within: &mut Transaction,
    kind: Kind,
    account: AccountSid,
    price: Money,
    operator: &str,
    now: DateTime<Utc>,
) -> Result<Option<SetOfAccount>> {
    query_as!(
        SetOfAccount,
        r#"with changed as (
            insert into prices (kind, account_sid, price)
            select $1, sid, $3 from accounts where sid = $2 and closed_at is null
            on conflict (account_sid, kind) where account_sid is not null
                do update set price = excluded.price where prices.price <> excluded.price
            returning kind, account_sid, price
        ), told as (
            insert into price_changes (at, kind, account_sid, price, operator)
            select $4, kind, account_sid, price, $5 from changed
        )
        select exists (select from changed) as "changed!", closed_at is not null as "is_closed!"
        from accounts where sid = $2"#,
        kind as Kind,
        account as AccountSid,
        price.cents(),
        now,
        operator
    )
    .fetch_optional(&mut **within)
    .await
}

/// Returns whether the account had a price of its own; then the change is recorded. `None` where there is no such account.
#[instrument(name = "inventory.prices.unset", level = "debug", skip_all)]
pub async fn unset(
    within: &mut Transaction,
    kind: Kind,
    account: AccountSid,
    operator: &str,
    now: DateTime<Utc>,
) -> Result<Option<bool>> {
    query_scalar!(
        r#"with changed as (
            delete from prices where kind = $1 and account_sid = $2 returning kind, account_sid
        ), told as (
            insert into price_changes (at, kind, account_sid, operator) select $3, kind, account_sid, $4 from changed
        )
        select exists (select from changed) as "changed!" from accounts where sid = $2"#,
        kind as Kind,
        account as AccountSid,
        now,
        operator
    )
    .fetch_optional(&mut **within)
    .await
}
