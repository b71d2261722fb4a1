//! GCRA rate limiters: one timestamp for each account or address.

use std::hash::Hash;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::error::{Error, Limit, Result};

/// The size of the LRU cache of addresses or accounts: about 8 MB.
const MAX_KEYS: NonZeroUsize = NonZeroUsize::new(65_536).expect("more than none");

/// A number of events in a period. All of them may come at once.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Between two events at this rate.
    interval: Duration,
    period: Duration,
}

impl Rate {
    pub fn new(count: NonZeroU32, period: Duration) -> Self {
        let interval = period / count.get();
        Self { interval, period: interval * count.get() }
    }
}

/// The limiter of one account or address: when all its events would have come at the exact rate.
#[derive(Clone, Copy, Debug)]
pub struct Gcra(Instant);

impl Gcra {
    /// No event so far.
    pub fn new(now: Instant) -> Self {
        Self(now)
    }

    /// Counts an event.
    ///
    /// # Errors
    /// The time to wait, if it is one too many. Then it is not counted.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.0 = self.next(rate, now)?;
        Ok(())
    }

    /// The timestamp after one more event, or the time to wait for it.
    fn next(self, rate: Rate, now: Instant) -> Result<Instant, Duration> {
        let taken = self.0.max(now) + rate.interval;
        let ahead = taken - now;
        if ahead > rate.period { Err(ahead - rate.period) } else { Ok(taken) }
    }
}

/// Limits the wrong tokens of each address, or of each account. Right ones are not counted.
pub struct FailureLimiter<K: Eq + Hash> {
    rate: Option<Rate>,
    limiters: Mutex<LruCache<K, Gcra>>,
}

impl<K: Eq + Hash> FailureLimiter<K> {
    /// No rate means no limit.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, limiters: Mutex::new(LruCache::new(MAX_KEYS)) }
    }

    /// Whether one more wrong token would be within the rate. Counts nothing.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self, key: &K) -> Result<()> {
        let (Some(rate), now) = (self.rate, Instant::now()) else { return Ok(()) };
        let next = self.limiters().get(key).map_or(Ok(now), |limiter| limiter.next(rate, now));
        next.map(drop).map_err(too_many)
    }

    /// Counts a wrong token.
    ///
    /// # Errors
    /// If it is one too many.
    pub fn count(&self, key: K) -> Result<()> {
        let (Some(rate), now) = (self.rate, Instant::now()) else { return Ok(()) };
        let taken = self.limiters().get_or_insert_mut(key, || Gcra::new(now)).take(rate, now);
        taken.map_err(too_many)
    }

    pub fn forget_all(&self) {
        self.limiters().clear();
    }

    fn limiters(&self) -> MutexGuard<'_, LruCache<K, Gcra>> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn events_are_allowed_again_one_by_one() {
        let (rate, now) = (rate(3, 60), Instant::now());
        let mut limiter = Gcra::new(now);
        assert!((0..3).all(|_| limiter.take(rate, now).is_ok()));
        assert_eq!(limiter.take(rate, now), Err(Duration::from_secs(20)));
        let later = now + Duration::from_secs(20);
        assert_eq!(limiter.take(rate, later), Ok(()));
        assert_eq!(limiter.take(rate, later), Err(Duration::from_secs(20)));
        // A long pause allows no more than the rate's count.
        let rested = now + Duration::from_hours(1);
        assert_eq!((0..9).filter(|_| limiter.take(rate, rested).is_ok()).count(), 3);
    }

    #[test]
    fn a_count_that_does_not_divide_the_period_is_allowed_in_full() {
        let (rate, now) = (rate(7, 1), Instant::now());
        let mut limiter = Gcra::new(now);
        assert_eq!((0..9).filter(|_| limiter.take(rate, now).is_ok()).count(), 7);
    }

    #[test]
    fn the_failures_of_an_address_are_limited_and_a_check_counts_none() {
        let failures = FailureLimiter::new(Some(rate(2, 3600)));
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
