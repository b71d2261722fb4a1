//! The monthly prices of the next sales.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use super::Refused;
use crate::db::Db;
use crate::db::transact::transact;
use crate::error::{Denied, Error, Result};
use crate::values::clock::Clock;
use crate::values::dialect::time;
use crate::values::money::Money;
use crate::values::phone::Kind;
use crate::values::sid::AccountSid;

mod store;

/// A price of the next sales: for one account, or for all accounts that have no price of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Price {
    pub kind: Kind,
    pub account_sid: Option<AccountSid>,
    pub price: Money,
}

/// A change of a price.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PriceChange {
    pub id: i64,
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    pub kind: Kind,
    pub account_sid: Option<AccountSid>,
    /// `None`: the account's own price was removed.
    pub price: Option<Money>,
    /// Who they say they are; `None` before changes were recorded.
    pub operator: Option<String>,
}

/// A price after it was set, or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Priced {
    #[serde(flatten)]
    pub price: Price,
    /// Whether it was another one before.
    pub changed: bool,
}

/// What came of setting an account's price.
struct SetOfAccount {
    is_closed: bool,
    changed: bool,
}

/// Passes all prices to `take`, the general ones first; or what the next sale costs this account.
///
/// # Errors
/// If the database is out of reach, and those of `take`.
pub async fn prices<E: From<Error>>(
    db: &Db,
    account: Option<AccountSid>,
    take: impl FnMut(Price) -> Result<(), E>,
) -> Result<(), E> {
    let mut within = db.snapshot().await.map_err(Error::from)?;
    let prices = match account {
        None => store::all(&mut within),
        Some(account) => store::of_account(&mut within, account),
    };
    each(prices, take).await
}

/// Passes the last changes of prices to `take`, the latest first; or of the prices of one account.
///
/// # Errors
/// If the database is out of reach, and those of `take`.
pub async fn price_changes<E: From<Error>>(
    db: &Db,
    account: Option<AccountSid>,
    limit: u32,
    take: impl FnMut(PriceChange) -> Result<(), E>,
) -> Result<(), E> {
    let mut within = db.snapshot().await.map_err(Error::from)?;
    let changes = match account {
        None => store::changes(&mut within, limit.into()),
        Some(account) => store::changes_of(&mut within, account, limit.into()),
    };
    each(changes, take).await
}

async fn each<T, E: From<Error>>(
    mut rows: BoxStream<'_, sqlx::Result<T>>,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    while let Some(row) = rows.try_next().await.map_err(Error::from)? {
        take(row)?;
    }
    Ok(())
}

/// Sets the price a month of the next sales. Numbers that are sold keep their price.
///
/// # Errors
/// [`Refused::NoAccount`], [`Refused::Closed`]
pub async fn set_price(
    db: &Db,
    clock: &Clock,
    operator: &str,
    kind: Kind,
    account: Option<AccountSid>,
    price: Money,
) -> Result<Priced, Denied<Refused>> {
    transact(db, async |within| {
        let now = clock.now();
        let changed = match account {
            None => store::set_general(within, kind, price, operator, now).await?,
            Some(sid) => {
                let changed = store::set_of_account(within, kind, sid, price, operator, now).await?;
                match changed.ok_or(Refused::NoAccount(sid))? {
                    SetOfAccount { is_closed: true, .. } => return Err(Refused::Closed(sid).into()),
                    SetOfAccount { changed, .. } => changed,
                }
            }
        };
        Ok(Priced { price: Price { kind, account_sid: account, price }, changed })
    })
    .await
}

/// Removes an account's own price. Returns the general price, which is then in force for it.
///
/// # Errors
/// [`Refused::NoAccount`]
pub async fn unset_price(
    db: &Db,
    clock: &Clock,
    operator: &str,
    kind: Kind,
    account: AccountSid,
) -> Result<Priced, Denied<Refused>> {
    transact(db, async |within| {
        let changed = store::unset(within, kind, account, operator, clock.now()).await?;
        let changed = changed.ok_or(Refused::NoAccount(account))?;
        let price = store::general(within, kind).await?;
        Ok(Priced { price: Price { kind, account_sid: Some(account), price }, changed })
    })
    .await
}
