//! Releases: how a number leaves its holder, and how it may come back.

use chrono::{DateTime, Utc};

use crate::inventory::{self, State};
use crate::kernel::clock::Clock;
use crate::kernel::db::{Db, Transaction};
use crate::kernel::error::{Code, Result, not_found};
use crate::kernel::sid::{AccountSid, NumberSid};
use crate::numbers;

pub mod http;
mod store;

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

/// Releases numbers whose fee is due since then or longer, of accounts that have not paid since then:
/// some of them, and returns how many; 0 when there are none left.
///
/// # Errors
/// When the database is out of reach.
pub async fn release_unpaid(db: &Db, clock: &Clock, since: DateTime<Utc>) -> Result<u64> {
    Ok(store::release_unpaid(db, since, clock.now()).await?)
}

/// Gives a released number back to its last holder, with the same Sid and settings, as long as it is
/// in quarantine. Nothing is charged for it, nor later for months that began while nobody held it.
///
/// # Errors
/// 20404 when no number was ever sold under this Sid, 29002 when it cannot be given back any more,
/// 20005 when its holder's account is closed.
pub async fn restore(db: &Db, clock: &Clock, sid: NumberSid) -> Result<()> {
    let refused = |why: String| Err(Code::InvalidParameter.because(why));
    let mut transaction = db.begin().await?;
    let number = store::hold_number(&mut transaction, sid).await?.ok_or_else(|| numbers::never_sold(sid))?;
    let released = store::released(&mut transaction, sid).await?;
    if released.is_held {
        return refused(format!("{number} is held under {sid} already"));
    }
    if released.state != State::Quarantined {
        let state = inventory::state_name(released.state);
        return refused(format!("{number} is {state}; it can be given back only while it is in quarantine"));
    }
    if !released.is_last {
        return refused(format!("{number} had another holder after {sid}; it can go back to its last one only"));
    }
    match store::restore(&mut transaction, sid, clock.now()).await? {
        0 => Err(Code::AccountNotActive.because(format!("the account that held {sid} is closed for good"))),
        _ => Ok(transaction.commit().await?),
    }
}

/// What stands in the way of giving a released number back.
struct Released {
    state: State,
    is_held: bool,
    is_last: bool,
}
