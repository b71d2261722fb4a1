//! Numbers: finding and changing what is held, and telling who held it. On the wire an open tenancy is an
//! IncomingPhoneNumber.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::accounts;
use crate::db::batch::{Reads, Writes};
use crate::db::{Db, Transaction};
use crate::error::{Code, Error, Result, not_found, violated};
use crate::inventory::{self, Cause, State, Stocked};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

pub mod lists;
pub mod settings;
mod store;

use settings::Changes;
pub use settings::Settings;
use store::Asked;

/// An open tenancy.
#[derive(Debug)]
pub struct Number {
    pub sid: NumberSid,
    pub account_sid: AccountSid,
    pub phone_number: PhoneNumber,
    pub settings: Settings,
    pub started_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Number {
    /// The name it was given, or its digits nicely formatted.
    pub fn friendly_name(&self) -> Cow<'_, str> {
        let given = self.settings.friendly_name.as_ref();
        given.map_or_else(|| self.phone_number.formatted().into(), |name| name.as_str().into())
    }

    /// How much memory it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.settings.bytes()
    }
}

/// Lookups of single numbers. Those that come at once are one statement.
#[derive(Clone)]
pub struct Lookups(Arc<Reads<(AccountSid, NumberSid), Option<Number>>>);

impl Lookups {
    pub fn new(primary: &Db, most_waiting: usize) -> Self {
        Self(Arc::new(Reads::new(primary, most_waiting)))
    }

    /// How many lookups wait for the one under way.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// # Errors
    /// 20404 when the account holds no such number.
    pub async fn find(&self, db: &Db, account: AccountSid, sid: NumberSid) -> Result<Number> {
        let all = |db, asked: Vec<_>| async move { store::find(&db, &asked).await };
        self.0.join(db, (account, sid), all).await?.ok_or_else(not_found)
    }
}

/// # Errors
/// 20404 when the account holds no such number.
pub async fn find(db: &Db, account: AccountSid, sid: NumberSid) -> Result<Number> {
    store::find(db, &[(account, sid)]).await?.pop().flatten().ok_or_else(not_found)
}

/// Changes of numbers. Those that come at once are one statement, and one transaction.
#[derive(Clone)]
pub struct Updates(Arc<Writes<Asked, Number>>);

impl Updates {
    pub fn new(most_waiting: usize) -> Self {
        Self(Arc::new(Writes::new(most_waiting)))
    }

    /// How many wait for the batch under way.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// Changes what is given and keeps the rest.
    ///
    /// # Errors
    /// 20404, 20005, and 21405 and 21406 for what would not fit together afterwards.
    pub async fn update(
        &self,
        db: &Db,
        clock: &Clock,
        account: AccountSid,
        sid: NumberSid,
        changes: Changes,
    ) -> Result<Number> {
        let (asked, its_clock) = (Asked { account, sid, changes: Arc::new(changes) }, clock.clone());
        let all = move |db, asked: Vec<_>| {
            let now = its_clock.now();
            async move { store::update_past(&db, &asked, now).await }
        };
        match self.0.join(db, asked.clone(), all).await? {
            Some(number) => Ok(number),
            None => update_alone(db, clock, asked).await,
        }
    }
}

async fn update_alone(db: &Db, clock: &Clock, asked: Asked) -> Result<Number> {
    let Asked { account, sid, ref changes } = asked;
    match store::update(db, asked.clone(), clock.now()).await {
        Ok(Some(number)) => Ok(number),
        Ok(None) => {
            let number = find(db, account, sid).await?;
            // The statement lets no fallback through that stands alone on a toll-free number: it has no SmsUrl.
            Err(if number.phone_number.kind() == Kind::TollFree && changes.lone_sms_fallback() {
                settings::sms_fallback_without_url()
            } else {
                accounts::not_active()
            })
        }
        Err(error) => Err(match violated(&error) {
            Some("tenancies_voice_fallback_needs_url") => settings::voice_fallback_without_url(),
            Some("tenancies_sms_fallback_needs_sms_url") => settings::sms_fallback_without_url(),
            _ => error.into(),
        }),
    }
}

/// All that is known of a number: its place in stock, and everyone who held it.
#[derive(Debug, serde::Serialize)]
pub struct Biography {
    #[serde(flatten)]
    pub stocked: Stocked,
    pub holder: Option<AccountSid>,
    pub history: Vec<Tenancy>,
    pub moves: Vec<Move>,
}

/// Who held a number from when to when; an open one has no end.
#[derive(Debug, serde::Serialize)]
pub struct Tenancy {
    pub sid: NumberSid,
    pub account_sid: AccountSid,
    pub from: DateTime<Utc>,
    pub to: Option<DateTime<Utc>>,
    pub price: Money,
}

/// A move of a number from one state to another.
#[derive(Debug, serde::Serialize)]
pub struct Move {
    pub at: DateTime<Utc>,
    pub to: State,
    pub cause: Cause,
    /// The tenancy that began or ended with it.
    pub sid: Option<NumberSid>,
}

/// The biography of a number.
///
/// # Errors
/// 20404 when it is not in stock.
pub async fn biography(db: &Db, number: PhoneNumber) -> Result<Biography> {
    biography_within(&mut db.begin().await?, number).await
}

/// The same, as a transaction sees it that may have moved the number.
///
/// # Errors
/// 20404 when it is not in stock.
pub async fn biography_within(within: &mut Transaction, number: PhoneNumber) -> Result<Biography> {
    let stocked = inventory::find(within, number).await?;
    let stocked = stocked.ok_or_else(|| Code::NotFound.because(format!("{number} is not in stock")))?;
    let (history, moves) = (store::history(within, number).await?, store::moves(within, number).await?);
    let holder = history.iter().find(|tenancy| tenancy.to.is_none()).map(|tenancy| tenancy.account_sid);
    Ok(Biography { stocked, holder, history, moves })
}

/// The digits of a number that was ever sold under this Sid.
///
/// # Errors
/// 20404 when none was.
pub async fn digits_of(db: &Db, sid: NumberSid) -> Result<PhoneNumber> {
    store::digits_of(db, sid).await?.ok_or_else(|| never_sold(sid))
}

/// The refusal of a Sid under which no number was ever sold.
pub fn never_sold(sid: NumberSid) -> Error {
    Code::NotFound.because(format!("There is no number {sid}"))
}
