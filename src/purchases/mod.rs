//! Purchases: the one operation that spans stock, money and tenancy.

use chrono::{DateTime, TimeDelta, Utc};

use crate::accounts;
use crate::kernel::clock::Clock;
use crate::kernel::db::Db;
use crate::kernel::error::{Code, Error, Result, is_deadlock, violated};
use crate::kernel::money::Money;
use crate::kernel::phone::{AreaCode, Kind, PhoneNumber};
use crate::kernel::sid::{AccountSid, NumberSid, random_bits};
use crate::numbers::{Number, Settings};

pub mod http;
mod store;

use store::{Attempt, Look};

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

/// Forgets the keys that are too old to be heeded; returns how many.
///
/// # Errors
/// When the database is out of reach.
pub async fn forget_old_keys(db: &Db, clock: &Clock) -> Result<u64> {
    Ok(store::forget_all(db, clock.now() - KEY_LIFETIME).await?)
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
