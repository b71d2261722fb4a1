//! All that is known of a number: its row in stock, who held it, and its moves.

use chrono::{DateTime, Utc};

use super::Refused;
use crate::db::{Db, Transaction};
use crate::error::{Denied, Result};
use crate::inventory::{self, Cause, Retirement, Since, State, Stocked};
use crate::values::dialect::time;
use crate::values::money::Money;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// All that is known of a number.
#[derive(Debug, serde::Serialize)]
pub struct Biography {
    #[serde(flatten)]
    pub stocked: Stocked,
    #[serde(flatten)]
    pub since: Since,
    pub holder: Option<AccountSid>,
    pub holder_name: Option<String>,
    /// What the holder pays a month.
    pub price: Option<Money>,
    /// Who held it last, if no account holds it now.
    pub last_holder: Option<AccountSid>,
    pub last_holder_name: Option<String>,
    /// The earliest first.
    pub history: Vec<Tenancy>,
    pub transfers: Vec<Transferred>,
    pub moves: Vec<Move>,
}

/// A tenancy of a number or, if it was restored or moved to another account, a part of it. An open one has no end.
#[derive(Debug, serde::Serialize)]
pub struct Tenancy {
    pub sid: NumberSid,
    pub account_sid: AccountSid,
    #[serde(skip)]
    pub account_name: String,
    #[serde(serialize_with = "time")]
    pub from: DateTime<Utc>,
    #[serde(serialize_with = "time")]
    pub to: Option<DateTime<Utc>>,
    pub price: Money,
}

/// A move of a tenancy from one account to another.
#[derive(Debug, serde::Serialize)]
pub struct Transferred {
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    pub from: AccountSid,
    pub to: AccountSid,
    /// What the operator said of it.
    pub note: Option<String>,
}

/// A move of a number from one state to another.
#[derive(Debug, serde::Serialize)]
pub struct Move {
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    pub to: State,
    pub cause: Cause,
    /// The tenancy that began or ended with this move.
    pub sid: Option<NumberSid>,
    /// Why it was retired.
    pub retirement: Option<Retirement>,
    /// What the operator said of it.
    pub note: Option<String>,
}

/// The biography of a number. All of it is read at one moment.
///
/// # Errors
/// [`Refused::NotInStock`]
pub async fn biography(db: &Db, number: PhoneNumber) -> Result<Biography, Denied<Refused>> {
    let mut within = db.snapshot().await?;
    Ok(biography_within(&mut within, number).await?.ok_or(Refused::NotInStock(number))?)
}

/// As [`biography`], within a transaction that may have moved the number. `None` if the number is not in stock.
///
/// # Errors
/// When the database is out of reach.
pub async fn biography_within(within: &mut Transaction, number: PhoneNumber) -> Result<Option<Biography>> {
    let Some((stocked, since)) = inventory::find(within, number).await? else { return Ok(None) };
    let (history, transfers) = (store::history(within, number).await?, store::transfers(within, number).await?);
    let moves = store::moves(within, number).await?;
    let (held, gone): (Vec<_>, Vec<_>) = history.iter().partition(|tenancy| tenancy.to.is_none());
    let holder = held.first().copied();
    let last = gone.last().copied().filter(|_| holder.is_none());
    let (sid, name) = (|tenancy: &Tenancy| tenancy.account_sid, |tenancy: &Tenancy| tenancy.account_name.clone());
    Ok(Some(Biography {
        stocked,
        since,
        holder: holder.map(sid),
        holder_name: holder.map(name),
        price: holder.map(|tenancy| tenancy.price),
        last_holder: last.map(sid),
        last_holder_name: last.map(name),
        history,
        transfers,
        moves,
    }))
}
