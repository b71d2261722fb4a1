//! What operators do with numbers in stock: out of sale and back, retired, and corrected.

use std::collections::HashMap;

use super::{Refused, Retirement, State};
use crate::db::transact::transact;
use crate::db::{Db, Transaction};
use crate::error::Denied;
use crate::values::clock::Clock;
use crate::values::money::Cost;
use crate::values::phone::PhoneNumber;

mod store;

/// The most numbers that are changed at once: all of them are locked.
pub const MOST_MOVED: usize = 100_000;

/// The outcome of a change of many numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    pub changed: u64,
    /// Numbers that were so already.
    pub already: u64,
}

/// What is known of a number. `None` keeps it. An empty text, or no cost, clears it.
#[derive(Clone, Debug, Default)]
pub struct Correction {
    pub provider: Option<String>,
    pub provider_cost: Option<Option<Cost>>,
    pub note: Option<String>,
}

/// Takes numbers out of sale: all of them, or none if one cannot be.
///
/// # Errors
/// [`Refused::NotInStock`], [`Refused::CannotWithdraw`] for one that is in use or retired, [`Refused::TooManyMoved`], and if
/// this machine's clock is wrong.
pub async fn withdraw(
    db: &Db,
    clock: &Clock,
    numbers: &[PhoneNumber],
    note: Option<&str>,
) -> Result<Changed, Denied<Refused>> {
    clock.trusted()?;
    let stays = |state| matches!(state, State::InUse | State::Retired);
    transact(db, async |within| {
        let held = hold(within, numbers, stays, Refused::CannotWithdraw).await?;
        Ok(held.after(store::withdraw(within, numbers, note, clock.now()).await?))
    })
    .await
}

/// Puts withdrawn numbers back on sale, or back into the quarantine that they came from: all of them, or none. With `force`
/// also retired ones, which are ours again.
///
/// # Errors
/// [`Refused::NotInStock`], [`Refused::CannotReturn`] for one that is in use, quarantined or, without force, retired,
/// [`Refused::TooManyMoved`], and if this machine's clock is wrong.
pub async fn put_back(
    db: &Db,
    clock: &Clock,
    numbers: &[PhoneNumber],
    force: bool,
) -> Result<Changed, Denied<Refused>> {
    clock.trusted()?;
    let stays = |state| match state {
        State::Withdrawn | State::Available => false,
        State::Retired => !force,
        State::InUse | State::Quarantined => true,
    };
    transact(db, async |within| {
        let held = hold(within, numbers, stays, Refused::CannotReturn).await?;
        Ok(held.after(store::put_back(within, numbers, clock.now()).await?))
    })
    .await
}

/// Retires numbers, which are ours no longer: all of them, or none. One that is retired already keeps its reason.
///
/// # Errors
/// [`Refused::NotInStock`], [`Refused::CannotRetire`] for one that is in use, [`Refused::TooManyMoved`], and if this
/// machine's clock is wrong.
pub async fn retire(
    db: &Db,
    clock: &Clock,
    numbers: &[PhoneNumber],
    reason: Retirement,
    note: Option<&str>,
) -> Result<Changed, Denied<Refused>> {
    clock.trusted()?;
    let stays = |state| state == State::InUse;
    transact(db, async |within| {
        let held = hold(within, numbers, stays, Refused::CannotRetire).await?;
        Ok(held.after(store::retire(within, numbers, reason, note, clock.now()).await?))
    })
    .await
}

/// Corrects what is known of numbers, in whatever state: of all of them, or of none.
///
/// # Errors
/// [`Refused::NotInStock`], [`Refused::TooManyMoved`]
pub async fn set(db: &Db, numbers: &[PhoneNumber], correction: &Correction) -> Result<Changed, Denied<Refused>> {
    transact(db, async |within| {
        let held = lock(within, numbers).await?;
        Ok(held.after(store::set(within, numbers, correction).await?))
    })
    .await
}

/// Numbers that are locked, with their states.
struct Held(HashMap<PhoneNumber, State>);

impl Held {
    /// The outcome, if so many of them were changed.
    fn after(&self, changed: u64) -> Changed {
        Changed { changed, already: self.0.len() as u64 - changed }
    }
}

/// Locks the numbers, if each of them is in stock.
async fn lock(within: &mut Transaction, numbers: &[PhoneNumber]) -> Result<Held, Denied<Refused>> {
    if numbers.len() > MOST_MOVED {
        return Err(Refused::TooManyMoved(numbers.len()).into());
    }
    let held: HashMap<_, _> = store::lock(within, numbers).await?.into_iter().collect();
    match numbers.iter().find(|number| !held.contains_key(number)) {
        Some(unknown) => Err(Refused::NotInStock(*unknown).into()),
        None => Ok(Held(held)),
    }
}

/// As [`lock`]; refuses a number whose state does not let it go.
async fn hold(
    within: &mut Transaction,
    numbers: &[PhoneNumber],
    stays: impl Fn(State) -> bool,
    otherwise: fn(PhoneNumber, State) -> Refused,
) -> Result<Held, Denied<Refused>> {
    let held = lock(within, numbers).await?;
    let states = numbers.iter().filter_map(|number| Some((*number, *held.0.get(number)?)));
    match states.into_iter().find(|(_, state)| stays(*state)) {
        Some((number, state)) => Err(otherwise(number, state).into()),
        None => Ok(held),
    }
}
