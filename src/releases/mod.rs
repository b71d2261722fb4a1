//! Releases: how a number leaves its holder, and how it may come back.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::db::batch::Writes;
use crate::db::transact::{again, commit, transact};
use crate::db::{Db, Transaction};
use crate::error::{Code, Result, not_found};
use crate::inventory::{self, State};
use crate::numbers::{self, Biography};
use crate::values::clock::Clock;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// Releases of single numbers. Those that come at once are one statement, and one transaction.
#[derive(Clone)]
pub struct Releases(Arc<Writes<(AccountSid, NumberSid), ()>>);

impl Releases {
    pub fn new(most_waiting: usize) -> Self {
        Self(Arc::new(Writes::new(most_waiting)))
    }

    /// How many wait for the batch under way.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// Ends the tenancy at once; the number goes into quarantine.
    ///
    /// # Errors
    /// 20404 when the account holds no such number (any more).
    pub async fn release(&self, db: &Db, clock: &Clock, account: AccountSid, sid: NumberSid) -> Result<()> {
        let its_clock = clock.clone();
        let all = move |db, asked: Vec<_>| {
            let now = its_clock.now();
            async move { release_past(&db, asked, now).await }
        };
        match self.0.join(db, (account, sid), all).await? {
            Some(()) => Ok(()),
            None => release_alone(db, clock, account, sid).await,
        }
    }
}

async fn release_past(
    db: &Db,
    asked: Vec<(AccountSid, NumberSid)>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Option<()>>> {
    let mut released = store::release_past(db, &asked, now).await?;
    // Of several for one number the first has released it.
    Ok(asked.iter().map(|asked| released.remove(asked).then_some(())).collect())
}

async fn release_alone(db: &Db, clock: &Clock, account: AccountSid, sid: NumberSid) -> Result<()> {
    match again(|| async { Ok(store::release(db, account, sid, clock.now()).await?) }).await? {
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
    let mut transaction = db.begin().await?;
    let released = store::release_unpaid(&mut transaction, since, clock.now()).await?;
    commit(transaction).await?;
    Ok(released)
}

/// Gives a released number back to its last holder, with the same Sid and settings, as long as it is
/// in quarantine. Nothing is charged for it, nor later for months that began while nobody held it. Returns all
/// that is known of the number then.
///
/// # Errors
/// 20404 when no number was ever sold under this Sid, 29002 when it cannot be given back any more,
/// 20005 when its holder's account is closed, and when this machine's clock is wrong.
pub async fn restore(db: &Db, clock: &Clock, sid: NumberSid) -> Result<Biography> {
    clock.trusted()?;
    transact(db, async |within| {
        let number = store::hold_number(within, sid).await?.ok_or_else(|| numbers::never_sold(sid))?;
        refuse_unless_last(within, sid, number).await?;
        match store::restore(within, sid, clock.now()).await? {
            0 => Err(Code::AccountNotActive.because(format!("the account that held {sid} is closed for good"))),
            _ => numbers::biography_within(within, number).await,
        }
    })
    .await
}

async fn refuse_unless_last(within: &mut Transaction, sid: NumberSid, number: PhoneNumber) -> Result<()> {
    let refused = |why: String| Err(Code::InvalidParameter.because(why));
    let released = store::released(within, sid).await?;
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
    Ok(())
}

/// What stands in the way of giving a released number back.
struct Released {
    state: State,
    is_held: bool,
    is_last: bool,
}
