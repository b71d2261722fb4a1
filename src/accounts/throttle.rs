//! Rate limiters (GCRA): one timestamp for each account or address. A turn moves the timestamp on, and it may lie so
//! far ahead that all turns of the rate's time are taken at once.

use std::hash::Hash;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::error::{Error, Limit, Result};

/// How many addresses, or accounts, are remembered; the least recently seen is forgotten first. About 8 MB.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(65_536).expect("more than none");

/// So many turns in a time.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    turn: Duration,
    time: Duration,
}

impl Rate {
    pub fn new(count: NonZeroU32, time: Duration) -> Self {
        let turn = time / count.get();
        Self { turn, time: turn * count.get() }
    }
}

/// The turns that somebody has taken.
#[derive(Clone, Copy, Debug)]
pub struct Turns(Instant);

impl Turns {
    /// None taken so far.
    pub fn none(now: Instant) -> Self {
        Self(now)
    }

    /// Takes a turn.
    ///
    /// # Errors
    /// How long it is until the next one, where there is none.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.0 = self.next(rate, now)?;
        Ok(())
    }

    /// These turns and one more; where there is none left, how long it is until the next one.
    fn next(self, rate: Rate, now: Instant) -> Result<Instant, Duration> {
        let taken = self.0.max(now) + rate.turn;
        let ahead = taken - now;
        if ahead > rate.time { Err(ahead - rate.time) } else { Ok(taken) }
    }
}

/// The wrong tokens of each address, or of each account. Right ones take no turn, however many come at once.
pub struct Failures<K: Eq + Hash> {
    rate: Option<Rate>,
    of: Mutex<LruCache<K, Turns>>,
}

impl<K: Eq + Hash> Failures<K> {
    /// Failures at this rate, or at any.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, of: Mutex::new(LruCache::new(MOST_REMEMBERED)) }
    }

    /// # Errors
    /// Where it may not be wrong once more.
    pub fn check(&self, who: &K) -> Result<()> {
        let (Some(rate), now) = (self.rate, Instant::now()) else { return Ok(()) };
        let next = self.of().get(who).map_or(Ok(now), |turns| turns.next(rate, now));
        next.map(drop).map_err(too_many)
    }

    /// Counts a wrong token.
    ///
    /// # Errors
    /// Where it is one too many.
    pub fn count(&self, who: K) -> Result<()> {
        let (Some(rate), now) = (self.rate, Instant::now()) else { return Ok(()) };
        let taken = self.of().get_or_insert_mut(who, || Turns::none(now)).take(rate, now);
        taken.map_err(too_many)
    }

    fn of(&self) -> MutexGuard<'_, LruCache<K, Turns>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(wait: Duration) -> Error {
    Error::TooMany { of: Limit::WrongTokens, wait }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::network::network;

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate::new(NonZeroU32::new(count).unwrap(), Duration::from_secs(seconds))
    }

    #[test]
    fn turns_come_back_one_by_one() {
        let (rate, now) = (rate(3, 60), Instant::now());
        let mut turns = Turns::none(now);
        assert!((0..3).all(|_| turns.take(rate, now).is_ok()));
        assert_eq!(turns.take(rate, now), Err(Duration::from_secs(20)));
        let later = now + Duration::from_secs(20);
        assert_eq!(turns.take(rate, later), Ok(()));
        assert_eq!(turns.take(rate, later), Err(Duration::from_secs(20)));
        // A long rest leaves no more than all of them.
        let rested = now + Duration::from_hours(1);
        assert_eq!((0..9).filter(|_| turns.take(rate, rested).is_ok()).count(), 3);
    }

    #[test]
    fn a_rate_whose_turns_do_not_divide_its_time_has_all_of_them() {
        let (rate, now) = (rate(7, 1), Instant::now());
        let mut turns = Turns::none(now);
        assert_eq!((0..9).filter(|_| turns.take(rate, now).is_ok()).count(), 7);
    }

    #[test]
    fn an_address_fails_so_often_and_a_look_costs_nothing() {
        let failures = Failures::new(Some(rate(2, 3600)));
        let address = |text: &str| network(text.parse().unwrap());
        assert!((0..5).all(|_| failures.check(&address("192.0.2.1")).is_ok()));
        assert!((0..2).all(|_| failures.count(address("192.0.2.1")).is_ok()));
        for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert!(failures.check(&address(same)).is_err() && failures.count(address(same)).is_err(), "{same}");
        }
        assert!((0..2).all(|n| failures.count(address(&format!("2001:db8::{n}"))).is_ok()));
        assert!(failures.check(&address("2001:db8::ffff:0:0:1")).is_err());
        for other in ["192.0.2.2", "2001:db8:0:1::1"] {
            assert!(failures.check(&address(other)).is_ok() && failures.count(address(other)).is_ok(), "{other}");
        }
    }
}
