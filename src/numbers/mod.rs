//! Numbers: finding and changing what is held, and telling who held it. On the wire an open tenancy is an
//! IncomingPhoneNumber.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::accounts;
use crate::inventory::{self, Cause, State, Stocked};
use crate::kernel::batch::Batches;
use crate::kernel::clock::Clock;
use crate::kernel::db::Db;
use crate::kernel::error::{Code, Error, Result, not_found, violated};
use crate::kernel::money::Money;
use crate::kernel::page::{Page, Slice, unknown_place};
use crate::kernel::phone::{Kind, PhoneNumber};
use crate::kernel::sid::{AccountSid, NumberSid};

pub mod http;
pub mod settings;
mod store;

use settings::Changes;
pub use settings::Settings;

/// An open tenancy.
#[derive(Debug)]
pub struct Number {
    pub sid: NumberSid,
    pub account_sid: AccountSid,
    pub phone_number: PhoneNumber,
    pub kind: Kind,
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
}

/// Lookups of single numbers: those that come at once to the primary, or to a replica, are answered together.
#[derive(Clone)]
pub struct Lookups {
    primary: Db,
    of_primary: Batches<(AccountSid, NumberSid), Result<Option<Number>>>,
    of_replica: Batches<(AccountSid, NumberSid), Result<Option<Number>>>,
}

impl Lookups {
    pub fn new(primary: &Db) -> Self {
        Self { primary: primary.clone(), of_primary: Batches::default(), of_replica: Batches::default() }
    }

    /// # Errors
    /// 20404 when the account holds no such number.
    pub async fn find(&self, db: &Db, account: AccountSid, sid: NumberSid) -> Result<Number> {
        let batches = if db.is(&self.primary) { &self.of_primary } else { &self.of_replica };
        let db = db.clone();
        let found = batches.join((account, sid), move |asked| find_all(db.clone(), asked)).await?;
        found?.ok_or_else(not_found)
    }
}

async fn find_all(db: Db, asked: Vec<(AccountSid, NumberSid)>) -> Vec<Result<Option<Number>>> {
    let (accounts, sids): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    match store::find(&db, &accounts, &sids).await {
        Ok(found) => {
            let mut answers: Vec<_> = sids.iter().map(|_| Ok(None)).collect();
            found.into_iter().for_each(|(place, number)| answers[place] = Ok(Some(number)));
            answers
        }
        Err(error) => {
            let error = Error::from(error);
            sids.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

/// # Errors
/// 20404 when the account holds no such number.
pub async fn find(db: &Db, account: AccountSid, sid: NumberSid) -> Result<Number> {
    let found = store::find(db, &[account], &[sid]).await?;
    found.into_iter().next().map(|(_, number)| number).ok_or_else(not_found)
}

/// Changes what is given and keeps the rest.
///
/// # Errors
/// 20404, 20005, and 21405, 21406, 21407 for what would not fit together afterwards.
pub async fn update(db: &Db, clock: &Clock, account: AccountSid, sid: NumberSid, changes: &Changes) -> Result<Number> {
    match store::update(db, account, sid, changes, clock.now()).await {
        Ok(Some(number)) => Ok(number),
        Ok(None) => {
            let number = find(db, account, sid).await?;
            Err(if number.kind == Kind::TollFree && changes.any_sms {
                settings::sms_on_tollfree()
            } else {
                accounts::not_active()
            })
        }
        Err(error) => Err(match violated(&error) {
            Some("tenancies_voice_fallback_needs_url") => settings::voice_fallback_without_url(),
            Some("tenancies_sms_fallback_needs_sms_url") => settings::sms_fallback_without_url(),
            Some("tenancies_no_sms_on_tollfree") => settings::sms_on_tollfree(),
            _ => error.into(),
        }),
    }
}

/// Which numbers of an account a list shows.
#[derive(Debug, Default)]
pub struct Filter {
    /// Both kinds where there is none.
    pub kind: Option<Kind>,
    /// Only the number with these digits; `Some(None)` are digits that no number has.
    pub number: Option<Option<PhoneNumber>>,
    /// Only numbers of this name.
    pub name: Option<String>,
}

/// A page of an account's numbers, newest first.
///
/// # Errors
/// 29002 when the page is to begin after a number that the account never held.
pub async fn list(db: &Db, account: AccountSid, filter: &Filter, page: Page) -> Result<Slice<Number>> {
    let kind = filter.kind;
    match (&filter.number, &filter.name) {
        (None, None) => list_all(db, account, kind, page).await?.ok_or_else(unknown_place),
        (None, Some(name)) => list_by_name(db, account, kind, name, page).await?.ok_or_else(unknown_place),
        (Some(number), name) => {
            let found = match number {
                Some(number) => store::find_by_digits(db, account, *number).await?,
                None => None,
            };
            let fits = |number: &Number| {
                filter.kind.is_none_or(|kind| kind == number.kind)
                    && name.as_ref().is_none_or(|name| *name == number.friendly_name())
            };
            let found: Vec<_> = found.into_iter().filter(fits).collect();
            let total = i64::try_from(found.len()).unwrap_or_default();
            Ok(Slice::new(page, total, if page.number == 0 { found } else { Vec::new() }))
        }
    }
}

async fn list_all(db: &Db, account: AccountSid, kind: Option<Kind>, page: Page) -> Result<Option<Slice<Number>>> {
    let before = |count| store::place(db, account, kind, count);
    let total = match beginning(page, before).await? {
        Some(after) => return Ok(store::list(db, account, kind, after, page).await?),
        None => store::count(db, account, kind, None).await?,
    };
    Ok(total.map(|total| Slice::new(page, total, Vec::new())))
}

async fn list_by_name(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    name: &str,
    page: Page,
) -> Result<Option<Slice<Number>>> {
    // A number without a name of its own goes by its digits, nicely formatted.
    let default = PhoneNumber::from_decorated(name).filter(|number| number.formatted() == name);
    let named = store::Named { name, default };
    let before = |count| store::place_by_name(db, account, kind, named, count);
    let total = match beginning(page, before).await? {
        Some(after) => return Ok(store::list_by_name(db, account, kind, named, after, page).await?),
        None => store::count_by_name(db, account, kind, named, None).await?,
    };
    Ok(total.map(|total| Slice::new(page, total, Vec::new())))
}

/// The number after which a page begins: the one that it names or, where it gives only its own
/// number, the one that stands before it now. `None` where the list is shorter.
async fn beginning<F>(page: Page, before: impl FnOnce(i64) -> F) -> Result<Option<Option<NumberSid>>>
where
    F: Future<Output = sqlx::Result<Option<NumberSid>>>,
{
    match (page.after, page.start()) {
        (Some(after), _) => Ok(Some(Some(after))),
        (None, 0) => Ok(Some(None)),
        (None, start) => Ok(before(start - 1).await?.map(Some)),
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
    let stocked = inventory::find(db, number).await?;
    let stocked = stocked.ok_or_else(|| Code::NotFound.because(format!("{number} is not in stock")))?;
    let (history, moves) = (store::history(db, number).await?, store::moves(db, number).await?);
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
