//! Numbers: finds and changes the numbers that accounts hold, and tells who held a number. The API calls an open
//! tenancy an IncomingPhoneNumber.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::db::batch::{Reads, Writes};
use crate::db::replica::Source;
use crate::db::{Db, violated};
use crate::error::{Denied, Refuses, Result};
use crate::inventory::State;
use crate::values::clock::Clock;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod biography;
pub mod lists;
pub mod settings;
mod store;

pub use biography::{Biography, Move, Tenancy, Transferred, biography, biography_within};
use settings::Changes;
pub use settings::Settings;
use store::Asked;

/// Why a number is not found, listed or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The account holds no such number (any more).
    NotHeld,
    /// The account that holds it is suspended.
    Suspended,
    /// There would be a VoiceFallbackUrl without the URL that it replaces.
    LoneVoiceFallback,
    /// There would be an SmsFallbackUrl without an SmsUrl.
    LoneSmsFallback,
    /// The cursor is a number that the account never held.
    UnknownCursor,
    /// The page is too far into the list to be found by its number.
    BeyondReach,
    NotInStock(PhoneNumber),
    /// Not on sale in its state.
    NotOnSale(PhoneNumber, State),
    NeverSold(NumberSid),
}

impl Refuses for Refused {}

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
    /// Its own name, or the default: its digits, formatted.
    pub fn friendly_name(&self) -> Cow<'_, str> {
        let given = self.settings.friendly_name.as_ref();
        given.map_or_else(|| self.phone_number.formatted().into(), |name| name.as_str().into())
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.settings.bytes()
    }
}

/// Lookups of single numbers. Those that come together are one batch: one statement.
#[derive(Clone)]
pub struct Lookups(Arc<Reads<(AccountSid, NumberSid), Option<Number>>>);

impl Lookups {
    pub fn new(most_waiting: usize) -> Self {
        let find = |db: Db, asked: Vec<_>| async move { store::find(&db, &asked).await };
        Self(Arc::new(Reads::new(most_waiting, find)))
    }

    /// The number of lookups that wait for a batch.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// # Errors
    /// [`Refused::NotHeld`]
    pub async fn find(
        &self,
        source: Source<'_>,
        account: AccountSid,
        sid: NumberSid,
    ) -> Result<Number, Denied<Refused>> {
        Ok(self.0.join(source, (account, sid)).await?.ok_or(Refused::NotHeld)?)
    }
}

/// Many numbers, each in its account, in their order. Those that are not held any more are left out.
///
/// # Errors
/// If the database is out of reach.
pub async fn find_all(db: &Db, asked: &[(AccountSid, NumberSid)]) -> Result<Vec<Number>> {
    Ok(store::find(db, asked).await?.into_iter().flatten().collect())
}

/// # Errors
/// [`Refused::NotHeld`]
pub async fn find(db: &Db, account: AccountSid, sid: NumberSid) -> Result<Number, Denied<Refused>> {
    Ok(store::find(db, &[(account, sid)]).await?.pop().flatten().ok_or(Refused::NotHeld)?)
}

/// Updates of numbers. Those that come together are one batch: one statement and one transaction.
#[derive(Clone)]
pub struct Updates {
    batches: Arc<Writes<Asked, Number>>,
    clock: Clock,
}

impl Updates {
    pub fn new(clock: &Clock, most_waiting: usize) -> Self {
        let its_clock = clock.clone();
        let update = move |db: Db, asked: Vec<_>| {
            let now = its_clock.now();
            async move { store::update_past(&db, &asked, now).await }
        };
        Self { batches: Arc::new(Writes::new(most_waiting, update)), clock: clock.clone() }
    }

    /// The number of updates that wait for a batch.
    pub fn waiting(&self) -> usize {
        self.batches.waiting()
    }

    /// Changes the settings that are given and keeps the others. An update that the batch did not do is done alone.
    ///
    /// # Errors
    /// [`Refused::NotHeld`], [`Refused::Suspended`], [`Refused::LoneVoiceFallback`], [`Refused::LoneSmsFallback`]
    pub async fn update(
        &self,
        db: &Db,
        account: AccountSid,
        sid: NumberSid,
        changes: Changes,
    ) -> Result<Number, Denied<Refused>> {
        let asked = Asked { account, sid, changes: Arc::new(changes) };
        match self.batches.join(db, asked.clone()).await? {
            Some(number) => Ok(number),
            None => update_alone(db, &self.clock, asked).await,
        }
    }
}

async fn update_alone(db: &Db, clock: &Clock, asked: Asked) -> Result<Number, Denied<Refused>> {
    let (account, sid) = (asked.account, asked.sid);
    match store::update(db, asked, clock.now()).await {
        Ok(Some(number)) => Ok(number),
        Ok(None) => {
            find(db, account, sid).await?;
            Err(Refused::Suspended.into())
        }
        Err(error) => Err(match violated(&error) {
            Some("tenancies_voice_fallback_needs_url") => Refused::LoneVoiceFallback.into(),
            Some("tenancies_sms_fallback_needs_sms_url") => Refused::LoneSmsFallback.into(),
            _ => Denied::Failed(error.into()),
        }),
    }
}

/// Refuses a number that is not on sale now.
///
/// # Errors
/// [`Refused::NotInStock`], [`Refused::NotOnSale`]
pub async fn refuse_unless_on_sale(db: &Db, number: PhoneNumber) -> Result<(), Denied<Refused>> {
    match store::state(db, number).await?.ok_or(Refused::NotInStock(number))? {
        State::Available => Ok(()),
        state => Err(Refused::NotOnSale(number, state).into()),
    }
}

/// The number of a tenancy, open or ended.
///
/// # Errors
/// [`Refused::NeverSold`]
pub async fn digits_of(db: &Db, sid: NumberSid) -> Result<PhoneNumber, Denied<Refused>> {
    Ok(store::digits_of(db, sid).await?.ok_or(Refused::NeverSold(sid))?)
}
