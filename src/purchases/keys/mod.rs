//! Idempotency keys: a purchase happens once, however often it is asked for.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Order, Refused, bought};
use crate::db::{Db, walk};
use crate::error::{Denied, Result};
use crate::numbers::Number;
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;

mod store;

/// An idempotency key: a purchase that is sent again with the same key is not made again.
#[derive(Debug)]
pub struct IdempotencyKey {
    pub text: String,
    /// A digest of the request. The same key with another digest is refused.
    pub request: Vec<u8>,
}

impl IdempotencyKey {
    /// The longest key, in characters of ASCII.
    pub const LONGEST: usize = 255;
}

/// For how many hours an idempotency key is remembered.
pub const KEY_HOURS: i64 = 24;

const KEY_LIFETIME: TimeDelta = TimeDelta::hours(KEY_HOURS);

/// Deletes the idempotency keys that are too old, some at a time; returns how many.
///
/// # Errors
/// If the database is out of reach, or this machine's clock is wrong.
pub async fn forget_old_keys(db: &Db, clock: &Clock) -> Result<u64> {
    clock.trusted()?;
    let (since, mut forgotten) = (clock.now() - KEY_LIFETIME, 0);
    for pages in walk::portions(db, "idempotency_keys").await? {
        forgotten += store::forget_some(db, since, pages).await?;
    }
    Ok(forgotten)
}

/// The first answer to an order whose key is known. The request is the same, so its settings are those of the first
/// answer, even if the number was changed or released since.
///
/// # Errors
/// [`Refused::KeyReused`]
pub(super) async fn recall(
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
