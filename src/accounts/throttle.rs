//! How often somebody may do something. A rate and one moment tell it: each turn moves the moment
//! on, and it may lie so far ahead that all turns of the rate's time are taken at once.

use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::kernel::error::{Error, Result};

/// How many addresses are remembered; the least recently seen is forgotten first. About 8 MB.
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
        let taken = self.0.max(now) + rate.turn;
        let ahead = taken - now;
        if ahead > rate.time {
            return Err(ahead - rate.time);
        }
        self.0 = taken;
        Ok(())
    }

    /// Gives the last turn back.
    fn give_back(&mut self, rate: Rate) {
        self.0 = self.0.checked_sub(rate.turn).unwrap_or(self.0);
    }
}

/// The wrong tokens of each address. Whoever wants one verified takes a turn first, and gets it back
/// where it was right: many at once are no way around the rate.
pub struct Failures {
    rate: Option<Rate>,
    of: Mutex<LruCache<IpAddr, Turns>>,
}

impl Failures {
    /// Failures at this rate, or at any.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, of: Mutex::new(LruCache::new(MOST_REMEMBERED)) }
    }

    /// Takes one of the turns of an address.
    ///
    /// # Errors
    /// 20429 where it has none left.
    pub fn take(&self, address: IpAddr) -> Result<()> {
        let (Some(rate), now) = (self.rate, Instant::now()) else { return Ok(()) };
        let taken = self.of().get_or_insert_mut(network(address), || Turns::none(now)).take(rate, now);
        taken.map_err(|wait| Error::too_many("Too many wrong credentials came from your address", wait))
    }

    pub fn give_back(&self, address: IpAddr) {
        if let Some((rate, turns)) = self.rate.zip(self.of().get_mut(&network(address))) {
            turns.give_back(rate);
        }
    }

    fn of(&self) -> MutexGuard<'_, LruCache<IpAddr, Turns>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom an address stands for: in IPv6 one client has a whole /64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let rested = now + Duration::from_secs(3600);
        assert_eq!((0..9).filter(|_| turns.take(rate, rested).is_ok()).count(), 3);
    }

    #[test]
    fn a_rate_whose_turns_do_not_divide_its_time_has_all_of_them() {
        let (rate, now) = (rate(7, 1), Instant::now());
        let mut turns = Turns::none(now);
        assert_eq!((0..9).filter(|_| turns.take(rate, now).is_ok()).count(), 7);
    }

    #[test]
    fn an_address_fails_so_often_and_a_success_costs_nothing() {
        let failures = Failures::new(Some(rate(2, 3600)));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..5 {
            assert!(failures.take(address("192.0.2.1")).is_ok());
            failures.give_back(address("192.0.2.1"));
        }
        assert!((0..2).all(|_| failures.take(address("192.0.2.1")).is_ok()));
        for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert!(failures.take(address(same)).is_err(), "{same}");
        }
        assert!((0..2).all(|n| failures.take(address(&format!("2001:db8::{n}"))).is_ok()));
        assert!(failures.take(address("2001:db8::ffff:0:0:1")).is_err());
        for other in ["192.0.2.2", "2001:db8:0:1::1"] {
            assert!(failures.take(address(other)).is_ok(), "{other}");
        }
    }
}
