//! Numbers: buying, changing, releasing, finding. On the wire an open tenancy is an
//! IncomingPhoneNumber; here is the one place where stock, money and tenancy meet.

use chrono::{DateTime, TimeDelta, Utc};

use crate::accounts;
use crate::inventory::{self, Stocked};
use crate::kernel::clock::Clock;
use crate::kernel::db::{Db, Transaction};
use crate::kernel::error::{Code, Error, Result, is_deadlock, not_found, violated};
use crate::kernel::money::Money;
use crate::kernel::page::{Page, Slice, unknown_place};
use crate::kernel::phone::{AreaCode, Kind, PhoneNumber};
use crate::kernel::sid::{AccountSid, NumberSid, random_bits};

pub mod http;
mod settings;
mod store;

use settings::Changes;
pub use settings::Settings;
use store::{Attempt, Look};

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
    pub fn friendly_name(&self) -> String {
        let given = self.settings.friendly_name.as_ref();
        given.map_or_else(|| self.phone_number.formatted(), |name| name.as_str().to_owned())
    }
}

/// What is to be bought.
#[derive(Debug)]
pub struct Order {
    pub kind: Kind,
    /// Anywhere in the country where there is none.
    pub area_code: Option<AreaCode>,
    pub settings: Settings,
    pub key: Option<IdempotencyKey>,
}

/// Makes a purchase happen once, however often it is asked for.
#[derive(Debug)]
pub struct IdempotencyKey {
    pub text: String,
    /// A digest of the request: the same key with another request is refused.
    pub request: Vec<u8>,
}

/// A purchase: made now, or the first answer to a request that came before.
#[derive(Debug)]
pub enum Purchase {
    Made(Number),
    Replayed(Number),
}

/// How long an idempotency key is remembered.
const KEY_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// How often a purchase that others got in the way of is tried before the client has to.
const MOST_ATTEMPTS: usize = 5;

/// Buys a number: claims it, debits the account, writes the ledger entry and the tenancy, and
/// remembers the key, all in one statement or not at all.
///
/// # Errors
/// 21452 when nothing matches, 29001 when there is too little money, 20005 when the account is
/// suspended, 29005 when the key belongs to another request.
pub async fn buy(db: &Db, clock: &Clock, account: AccountSid, order: &Order) -> Result<Purchase> {
    let now = clock.now();
    // The first look passes over numbers that other buyers are about to take. Only when it
    // finds nothing does a second look wait for them: some may let go.
    let mut look = Look::Past;
    for _ in 0..MOST_ATTEMPTS {
        let sid = NumberSid::random();
        let from = match look {
            Look::Past => (random_bits() >> 97) as i32, // 31 random bits: where to begin among those that match
            Look::Waiting => 0,                         // all who wait do so in one order, so that no circle closes
        };
        let attempt = match store::buy(db, look, account, order, sid, from, now).await {
            Ok(attempt) => attempt,
            Err(error) if is_deadlock(&error) || violated(&error) == Some("idempotency_keys_pkey") => continue,
            Err(error) => return Err(error.into()),
        };
        match verdict(&attempt, look) {
            Verdict::Bought(phone_number) => return Ok(Purchase::Made(bought(account, order, sid, phone_number, now))),
            Verdict::KeyIsKnown => match recall(db, account, order, now).await? {
                Some(number) => return Ok(Purchase::Replayed(number)),
                None => continue, // it was too old, and is gone now
            },
            Verdict::LookAgain(closer) => look = closer,
            Verdict::Refused(error) => return Err(error),
        }
    }
    Err(Error::Unavailable("other buyers got in the way of a purchase again and again".to_owned()))
}

enum Verdict {
    Bought(PhoneNumber),
    KeyIsKnown,
    LookAgain(Look),
    Refused(Error),
}

/// What an attempt means. A refusal needs evidence that explains it; where the account changed
/// between the attempt's view of it and its turn to debit it, another attempt decides.
fn verdict(attempt: &Attempt, look: Look) -> Verdict {
    use accounts::Status;
    match (attempt.bought, attempt.candidate, look) {
        (Some(number), _, _) => Verdict::Bought(number),
        _ if attempt.key_is_known => Verdict::KeyIsKnown,
        _ if attempt.status == Some(Status::Suspended) => Verdict::Refused(accounts::not_active()),
        _ if attempt.status != Some(Status::Active) => Verdict::Refused(accounts::not_authenticated()),
        (None, None, Look::Past) => Verdict::LookAgain(Look::Waiting),
        (None, None, Look::Waiting) => {
            Verdict::Refused(Code::NoNumber.because("No phone number is left that matches; try another AreaCode"))
        }
        (None, Some(_), _) if attempt.balance < Some(attempt.price) => Verdict::Refused(insufficient(attempt)),
        (None, Some(_), look) => Verdict::LookAgain(look),
    }
}

fn insufficient(attempt: &Attempt) -> Error {
    let balance = attempt.balance.unwrap_or(Money::ZERO);
    Code::InsufficientBalance
        .because(format!("The balance of {balance} does not cover the first month's price of {}", attempt.price))
}

/// A number as the one who just bought it sees it: all of it is known without another look.
fn bought(account: AccountSid, order: &Order, sid: NumberSid, phone_number: PhoneNumber, at: DateTime<Utc>) -> Number {
    let (kind, settings) = (order.kind, order.settings.clone());
    Number { sid, account_sid: account, phone_number, kind, settings, started_at: at, updated_at: at }
}

/// The first answer to an order whose key is remembered: the request was the same, so its
/// settings are those of the answer, whatever became of the number since.
///
/// # Errors
/// 29005 when the key came with another request.
async fn recall(db: &Db, account: AccountSid, order: &Order, now: DateTime<Utc>) -> Result<Option<Number>> {
    let Some(key) = &order.key else { return Ok(None) };
    let since = now - KEY_LIFETIME;
    match store::recall(db, account, &key.text, since).await? {
        Some(first) if first.request == key.request => {
            Ok(Some(bought(account, order, first.sid, first.phone_number, first.started_at)))
        }
        Some(_) => Err(Code::IdempotencyKey
            .because("The idempotency key was used for another request within 24 hours; send a new one")),
        None => {
            store::forget(db, account, &key.text, since).await?;
            Ok(None)
        }
    }
}

/// # Errors
/// 20404 when the account holds no such number.
pub async fn find(db: &Db, account: AccountSid, sid: NumberSid) -> Result<Number> {
    store::find(db, account, sid).await?.ok_or_else(not_found)
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
            Err(if number.kind == Kind::TollFree && changes.sms {
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

/// Ends the tenancy at once; the number goes into quarantine.
///
/// # Errors
/// 20404 when the account holds no such number (any more).
pub async fn release(db: &Db, clock: &Clock, account: AccountSid, sid: NumberSid) -> Result<()> {
    match store::release(db, account, sid, clock.now()).await? {
        0 => Err(not_found()),
        _ => Ok(()),
    }
}

/// Releases every number of an account; returns how many there were.
///
/// # Errors
/// When the database is out of reach.
pub async fn release_all(within: &mut Transaction, clock: &Clock, account: AccountSid) -> Result<u64> {
    Ok(store::release_all(within, account, clock.now()).await?)
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
    match (&filter.number, &filter.name) {
        (None, None) => list_all(db, account, filter.kind, page).await?.ok_or_else(unknown_place),
        (None, Some(name)) => {
            // A number without a name of its own goes by its digits, nicely formatted.
            let default = PhoneNumber::from_decorated(name).filter(|number| number.formatted() == *name);
            store::list_by_name(db, account, filter.kind, name, default, page).await?.ok_or_else(unknown_place)
        }
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

/// A page begins after the number that it names or, where it names only its own number, after
/// the one that stands before it now.
async fn list_all(db: &Db, account: AccountSid, kind: Option<Kind>, page: Page) -> Result<Option<Slice<Number>>> {
    let after = match (page.after, page.start()) {
        (None, 0) => None,
        (None, start) => match store::place(db, account, kind, start - 1).await? {
            Some(before) => Some(before),
            None => return Ok(store::empty(db, account, kind, None, page).await?),
        },
        (after, _) => after,
    };
    Ok(store::list(db, account, kind, after, page).await?)
}

/// All that is known of a number: its place in stock, and everyone who held it.
#[derive(Debug, serde::Serialize)]
pub struct Biography {
    #[serde(flatten)]
    pub stocked: Stocked,
    pub holder: Option<AccountSid>,
    pub history: Vec<Tenancy>,
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

/// The biography of a number.
///
/// # Errors
/// 20404 when it is not in stock.
pub async fn biography(db: &Db, number: PhoneNumber) -> Result<Biography> {
    let stocked = inventory::find(db, number).await?;
    let stocked = stocked.ok_or_else(|| Code::NotFound.because(format!("{number} is not in stock")))?;
    let history = store::history(db, number).await?;
    let holder = history.iter().find(|tenancy| tenancy.to.is_none()).map(|tenancy| tenancy.account_sid);
    Ok(Biography { stocked, holder, history })
}

/// The digits of a number that was ever sold under this Sid.
///
/// # Errors
/// 20404 when none was.
pub async fn digits_of(db: &Db, sid: NumberSid) -> Result<PhoneNumber> {
    store::digits_of(db, sid).await?.ok_or_else(|| Code::NotFound.because(format!("There is no number {sid}")))
}
