//! The monthly prices of the next sales.

use super::{Refused, store};
use crate::db::Db;
use crate::db::transact::transact;
use crate::error::{Denied, Result};
use crate::values::money::Money;
use crate::values::phone::Kind;
use crate::values::sid::AccountSid;

/// A price of the next sales: for one account, or for all accounts that have no price of their own.
#[derive(Debug, serde::Serialize)]
pub struct Price {
    pub kind: Kind,
    pub account_sid: Option<AccountSid>,
    pub price: Money,
}

/// All prices: the general ones first, then those of single accounts.
///
/// # Errors
/// If the database is out of reach.
pub async fn prices(db: &Db) -> Result<Vec<Price>> {
    Ok(store::prices(db).await?)
}

/// Sets the price a month of the next sales. Numbers that are sold keep their price.
///
/// # Errors
/// [`Refused::NoAccount`]
pub async fn set_price(db: &Db, kind: Kind, account: Option<AccountSid>, price: Money) -> Result<(), Denied<Refused>> {
    transact(db, async |within| match account {
        None => Ok(store::set_general_price(within, kind, price).await?),
        Some(sid) => match store::set_account_price(within, kind, sid, price).await? {
            0 => Err(Refused::NoAccount(sid).into()),
            _ => Ok(()),
        },
    })
    .await
}
