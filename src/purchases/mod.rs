//! Purchases: the one operation that spans stock, money and tenancy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::accounts::{self, Holder};
use crate::db::Db;
use crate::db::transact::transact;
use crate::error::{Denied, Error, Refuses, Result, Unavailable};
use crate::numbers::{self, Number, Settings};
use crate::values::chance::Chance;
use crate::values::clock::Clock;
use crate::values::dialect::time;
use crate::values::money::Money;
use crate::values::phone::{AreaCode, Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

mod keys;
mod queues;
mod store;

use keys::recall;
pub use keys::{IdempotencyKey, KEY_HOURS, forget_old_keys};
pub use queues::PurchaseQueues;
use queues::Tried;
use store::{Attempt, Bid, Locking};

/// Which number is to be bought, and with which settings.
#[derive(Debug)]
pub struct Order {
    pub wanted: Wanted,
    pub settings: Settings,
    pub key: Option<IdempotencyKey>,
}

/// Which number is to be bought.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// The next number of a kind. `None` means any area code.
    Next { kind: Kind, area_code: Option<AreaCode> },
    /// This number, at this price a month. `None` means the price of the account.
    This { number: PhoneNumber, price: Option<Money> },
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
        /// Whether it is the balance of the account's owner, who pays for it.
        is_owners: bool,
    },
    /// An earlier, different request had the same idempotency key.
    KeyReused,
    /// The number that was named is not on sale.
    NotOnSale(numbers::Refused),
}

impl Refuses for Refused {}

impl Wanted {
    /// The kind of number that is wanted.
    pub fn kind(self) -> Kind {
        match self {
            Self::Next { kind, .. } => kind,
            Self::This { number, .. } => number.kind(),
        }
    }

    const fn number(self) -> Option<PhoneNumber> {
        match self {
            Self::Next { .. } => None,
            Self::This { number, .. } => Some(number),
        }
    }

    const fn price(self) -> Option<Money> {
        match self {
            Self::Next { .. } => None,
            Self::This { price, .. } => price,
        }
    }

    /// How the first attempt locks: it skips locked rows. If it finds no number, later attempts wait for the locks: the
    /// other buyer may not buy.
    const fn first_locking(self) -> Locking {
        match self {
            Self::Next { .. } => Locking::SkipAll,
            Self::This { .. } => Locking::ThisIfFree,
        }
    }
}

/// How often a purchase is tried when other buyers interfere. After that the client must retry.
const MOST_ATTEMPTS: usize = 5;

/// No attempt begins later than this. An attempt may wait two seconds for locks, and must end before the request's
/// deadline.
const LATEST_ATTEMPT: Duration = Duration::from_secs(2);

/// Buys a number: claims it, debits the account that pays, writes the ledger entry and the tenancy, and
/// remembers the key, all in one statement or not at all.
///
/// # Errors
/// Each [`Refused`], and when this machine's clock is wrong.
pub async fn buy(
    queues: &PurchaseQueues,
    db: &Db,
    clock: &Clock,
    chance: &Chance,
    holder: Holder,
    order: Arc<Order>,
) -> Result<Purchase, Denied<Refused>> {
    Ok(match attempts(Some(queues), db, clock, chance, holder, &order).await? {
        Outcome::Made { number, .. } => Purchase::Made(number),
        Outcome::Replayed(number) => Purchase::Replayed(number),
    })
}

/// The outcome of an order.
enum Outcome {
    /// With the price, and the balance before it was paid.
    Made {
        number: Number,
        price: Money,
        balance: Money,
    },
    Replayed(Number),
}

/// Makes attempts until one has an outcome. With queues, an attempt joins a batch. Without, it is a transaction of its own,
/// so that a lost answer to its commit is told.
async fn attempts(
    queues: Option<&PurchaseQueues>,
    db: &Db,
    clock: &Clock,
    chance: &Chance,
    Holder { account, payer }: Holder,
    order: &Arc<Order>,
) -> Result<Outcome, Denied<Refused>> {
    clock.trusted()?;
    let (mut locking, begun) = (order.wanted.first_locking(), Instant::now());
    if queues.is_none() {
        // Nobody waits behind a transaction of its own, so that it may wait at once.
        locking = locking.stricter();
    }
    // One for all attempts: how many it takes depends on others, and what a world draws must not.
    let sid = NumberSid::drawn_at(chance, clock.now());
    for _ in 0..MOST_ATTEMPTS {
        if begun.elapsed() > LATEST_ATTEMPT {
            break;
        }
        let from = match locking {
            // All bids that wait lock numbers in one order, so that they cannot deadlock.
            Locking::WaitForStock => Chance::FIRST_PICK,
            _ => chance.pick(),
        };
        let bid = Bid { account, payer, order: Arc::clone(order), sid, from };
        let tried = match queues {
            Some(queues) => queues.attempt(db, clock, locking, bid).await?,
            None => alone(db, clock, locking, bid).await?,
        };
        let Some((attempt, now)) = tried else {
            locking = locking.stricter();
            continue;
        };
        match verdict(&attempt, locking, account != payer) {
            Verdict::Bought(phone_number, at) => {
                let balance = attempt.balance.unwrap_or(Money::ZERO);
                let number = bought(account, order, sid, phone_number, at);
                return Ok(Outcome::Made { number, price: attempt.price, balance });
            }
            Verdict::KeyIsKnown => match recall(db, account, order, now).await? {
                Some(number) => return Ok(Outcome::Replayed(number)),
                // The key was too old and is deleted now, or the other purchase with this key failed.
                None if locking.skips_accounts() => locking = locking.stricter(),
                None => {}
            },
            Verdict::Retry(stricter) => locking = stricter,
            // The number may have been bought by this client's earlier attempt, committed after our statement began: look
            // for the key before refusing.
            Verdict::Refused(refused) => match recall(db, account, order, now).await? {
                Some(number) => return Ok(Outcome::Replayed(number)),
                None => refuse(db, order.wanted, refused).await?,
            },
        }
    }
    Err(Error::Unavailable(Unavailable::Stock).into())
}

async fn alone(db: &Db, clock: &Clock, locking: Locking, bid: Bid) -> Result<Option<Tried>> {
    let bids = [bid];
    transact(db, async |within| {
        let now = clock.now();
        let mut attempts = store::buy(&mut **within, locking, &bids, now).await?;
        Ok(attempts.pop().map(|attempt| (attempt, now)))
    })
    .await
}

/// Refuses an order, unless its number is on sale by now.
async fn refuse(db: &Db, wanted: Wanted, refused: Refused) -> Result<(), Denied<Refused>> {
    match (refused, wanted) {
        (Refused::NoNumber, Wanted::This { number, .. }) => {
            let on_sale = numbers::refuse_unless_on_sale(db, number).await;
            on_sale.map_err(|denied| denied.map(Refused::NotOnSale))
        }
        (refused, _) => Err(refused.into()),
    }
}

/// A number that an operator sold to an account.
#[derive(Debug, serde::Serialize)]
pub struct Assigned {
    pub phone_number: PhoneNumber,
    pub sid: NumberSid,
    pub account_sid: AccountSid,
    pub price: Money,
    #[serde(serialize_with = "time")]
    pub started_at: DateTime<Utc>,
    /// The balance of who pays, after the purchase.
    pub balance: Money,
}

/// Sells this very number to an account: a purchase like any other. `price: None` means the price of the account.
///
/// # Errors
/// Each [`Refused`] but those of keys, and when this machine's clock is wrong.
pub async fn assign(
    db: &Db,
    clock: &Clock,
    chance: &Chance,
    account: AccountSid,
    number: PhoneNumber,
    price: Option<Money>,
    settings: Settings,
) -> Result<Assigned, Denied<Refused>> {
    let order = Arc::new(Order { wanted: Wanted::This { number, price }, settings, key: None });
    let holder = accounts::families::holder(db, account).await?.ok_or(Refused::AccountGone)?;
    match attempts(None, db, clock, chance, holder, &order).await? {
        Outcome::Made { number: Number { sid, phone_number, started_at, .. }, price, balance } => {
            let balance = Money::from_cents(balance.cents() - price.cents());
            Ok(Assigned { phone_number, sid, account_sid: account, price, started_at, balance })
        }
        Outcome::Replayed(_) => Err(Error::Internal("a purchase without a key was replayed".to_owned()).into()),
    }
}

enum Verdict {
    Bought(PhoneNumber, DateTime<Utc>),
    KeyIsKnown,
    Retry(Locking),
    Refused(Refused),
}

/// What the result of an attempt means. A purchase is refused only if the attempt saw the reason. If other bids of
/// the batch or of another instance may have interfered, the next attempt locks more strictly.
fn verdict(attempt: &Attempt, locking: Locking, is_owners: bool) -> Verdict {
    use accounts::Status;
    match (attempt.bought.zip(attempt.at), attempt.candidate, attempt.status) {
        (Some((number, at)), _, _) => Verdict::Bought(number, at),
        _ if attempt.key_is_known => Verdict::KeyIsKnown,
        (_, _, None) if locking.skips_accounts() => Verdict::Retry(locking.stricter()),
        (_, _, None | Some(Status::Closed)) => Verdict::Refused(Refused::AccountGone),
        (_, _, Some(Status::Suspended)) => Verdict::Refused(Refused::Suspended),
        (None, None, _) if locking.waits_for_stock() => Verdict::Refused(Refused::NoNumber),
        (None, None, _) => Verdict::Retry(locking.strictest()),
        _ if attempt.balance < Some(attempt.price) => {
            let balance = attempt.balance.unwrap_or(Money::ZERO);
            Verdict::Refused(Refused::Insufficient { balance, price: attempt.price, is_owners })
        }
        _ => Verdict::Retry(locking.stricter()),
    }
}

/// The bought number as its buyer sees it. No further statement is needed: all its values are known.
fn bought(account: AccountSid, order: &Order, sid: NumberSid, phone_number: PhoneNumber, at: DateTime<Utc>) -> Number {
    let settings = order.settings.clone();
    Number { sid, account_sid: account, phone_number, settings, started_at: at, updated_at: at }
}
