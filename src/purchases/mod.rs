//! Purchases: the one operation that spans stock, money and tenancy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::accounts;
use crate::db::Db;
use crate::error::{Denied, Error, Refuses, Result, Unavailable};
use crate::numbers::{Number, Settings};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::phone::{AreaCode, Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid, random_bits};

mod queues;
mod store;

pub use queues::PurchaseQueues;
use store::{Attempt, Bid, Locking};

/// Which number is to be bought, and with which settings.
#[derive(Debug)]
pub struct Order {
    pub kind: Kind,
    /// `None` means any area code.
    pub area_code: Option<AreaCode>,
    pub settings: Settings,
    pub key: Option<IdempotencyKey>,
}

/// An idempotency key: a purchase that is sent again with the same key is not made again.
#[derive(Debug)]
pub struct IdempotencyKey {
    pub text: String,
    /// A digest of the request. The same key with another digest is refused.
    pub request: Vec<u8>,
}

/// A purchase that was made now, or the repeated answer to an earlier request with the same key.
#[derive(Debug)]
pub enum Purchase {
    Made(Number),
    Replayed(Number),
}

/// Why a purchase is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The account was closed after the request was authenticated.
    AccountGone,
    Suspended,
    /// No number on sale matches.
    NoNumber,
    Insufficient {
        balance: Money,
        /// The price of the first month.
        price: Money,
    },
    /// An earlier, different request had the same idempotency key.
    KeyReused,
}

impl Refuses for Refused {}

impl IdempotencyKey {
    /// The longest key, in characters of ASCII.
    pub const LONGEST: usize = 255;
}

/// For how many hours an idempotency key is remembered.
pub const KEY_HOURS: i64 = 24;

const KEY_LIFETIME: TimeDelta = TimeDelta::hours(KEY_HOURS);

/// How often a purchase is tried when other buyers interfere. After that the client must retry.
const MOST_ATTEMPTS: usize = 5;

/// No attempt begins later than this. An attempt may wait two seconds for locks, and must end before the request's
/// deadline.
const LATEST_ATTEMPT: Duration = Duration::from_secs(2);

/// Buys a number: claims it, debits the account, writes the ledger entry and the tenancy, and
/// remembers the key, all in one statement or not at all.
///
/// # Errors
/// Each [`Refused`], and when this machine's clock is wrong.
pub async fn buy(
    queues: &PurchaseQueues,
    db: &Db,
    clock: &Clock,
    account: AccountSid,
    order: Arc<Order>,
) -> Result<Purchase, Denied<Refused>> {
    clock.trusted()?;
    // The first attempt skips locked rows. If it finds no number, later attempts wait for the locks: the other buyer
    // may not buy.
    let (mut locking, begun) = (Locking::SkipAll, Instant::now());
    for _ in 0..MOST_ATTEMPTS {
        if begun.elapsed() > LATEST_ATTEMPT {
            break;
        }
        let sid = NumberSid::random();
        let from = match locking {
            // All bids that wait lock numbers in one order, so that they cannot deadlock.
            Locking::WaitForStock => 0,
            // 31 random bits.
            _ => (random_bits() >> 97) as i32,
        };
        let bid = Bid { account, order: Arc::clone(&order), sid, from };
        let Some((attempt, now)) = queues.attempt(db, clock, locking, bid).await? else {
            locking = locking.stricter();
            continue;
        };
        match verdict(&attempt, locking) {
            Verdict::Bought(phone_number, at) => {
                return Ok(Purchase::Made(bought(account, &order, sid, phone_number, at)));
            }
            Verdict::KeyIsKnown => match recall(db, account, &order, now).await? {
                Some(number) => return Ok(Purchase::Replayed(number)),
                // The key was too old and is deleted now, or the other purchase with this key failed.
                None => locking = locking.max(Locking::WaitForAccount),
            },
            Verdict::Retry(stricter) => locking = stricter,
            // The number may have been bought by this client's earlier attempt, committed after our statement began: look
            // for the key before refusing.
            Verdict::Refused(refused) => {
                return Ok(recall(db, account, &order, now).await?.map(Purchase::Replayed).ok_or(refused)?);
            }
        }
    }
    Err(Error::Unavailable(Unavailable::Stock).into())
}

/// Deletes the idempotency keys that are too old; returns how many.
///
/// # Errors
/// If the database is out of reach, or this machine's clock is wrong.
pub async fn forget_old_keys(db: &Db, clock: &Clock) -> Result<u64> {
    clock.trusted()?;
    Ok(store::forget_all(db, clock.now() - KEY_LIFETIME).await?)
}

enum Verdict {
    Bought(PhoneNumber, DateTime<Utc>),
    KeyIsKnown,
    Retry(Locking),
    Refused(Refused),
}

/// What the result of an attempt means. A purchase is refused only if the attempt saw the reason. If other bids of
/// the batch or of another instance may have interfered, the next attempt locks more strictly.
fn verdict(attempt: &Attempt, locking: Locking) -> Verdict {
    use accounts::Status;
    match (attempt.bought.zip(attempt.at), attempt.candidate, attempt.status) {
        (Some((number, at)), _, _) => Verdict::Bought(number, at),
        _ if attempt.key_is_known => Verdict::KeyIsKnown,
        (_, _, None) if locking == Locking::SkipAll => Verdict::Retry(Locking::WaitForAccount),
        (_, _, None | Some(Status::Closed)) => Verdict::Refused(Refused::AccountGone),
        (_, _, Some(Status::Suspended)) => Verdict::Refused(Refused::Suspended),
        (None, None, _) if locking == Locking::WaitForStock => Verdict::Refused(Refused::NoNumber),
        (None, None, _) => Verdict::Retry(Locking::WaitForStock),
        _ if attempt.balance < Some(attempt.price) => {
            let balance = attempt.balance.unwrap_or(Money::ZERO);
            Verdict::Refused(Refused::Insufficient { balance, price: attempt.price })
        }
        _ => Verdict::Retry(locking.stricter()),
    }
}

/// The bought number as its buyer sees it. No further statement is needed: all its values are known.
fn bought(account: AccountSid, order: &Order, sid: NumberSid, phone_number: PhoneNumber, at: DateTime<Utc>) -> Number {
    let settings = order.settings.clone();
    Number { sid, account_sid: account, phone_number, settings, started_at: at, updated_at: at }
}

/// The first answer to an order whose key is known. The request is the same, so its settings are those of the first
/// answer, even if the number was changed or released since.
///
/// # Errors
/// [`Refused::KeyReused`]
async fn recall(
    db: &Db,
    account: AccountSid,
    order: &Order,
    now: DateTime<Utc>,
) -> Result<Option<Number>, Denied<Refused>> {
    let Some(key) = &order.key else { return Ok(None) };
    let since = now - KEY_LIFETIME;
    match store::recall(db, account, &key.text, since).await? {
        Some(first) if first.request == key.request => {
            Ok(Some(bought(account, order, first.sid, first.phone_number, first.started_at)))
        }
        Some(_) => Err(Refused::KeyReused.into()),
        None => {
            store::forget(db, account, &key.text, since).await?;
            Ok(None)
        }
    }
}
