//! How far this machine's clock is from the database's. All instances share the database, so a clock that is right by
//! the database's is right by theirs.
//!
//! A comparison takes a round trip. Between two of them the clock is held against the time that has passed since the last
//! one, by the monotonic clock: one that is set wrong is noticed by the next purchase, not by the next comparison.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

/// Beyond this it is said.
const NOTABLE: TimeDelta = TimeDelta::seconds(1);

/// Beyond this nothing is sold, billed or put on sale.
const TOLERABLE: TimeDelta = TimeDelta::seconds(30);

/// A clock that is compared.
#[derive(Debug, Default)]
pub struct Watch {
    /// By how many microseconds more it is wrong; for tests.
    wrong_by: AtomicI64,
    compared: Mutex<Option<Comparison>>,
    /// What was said last of a clock that is off.
    told: Mutex<Option<TimeDelta>>,
    wanted: Notify,
}

/// At a moment the database's clock said this, give or take half of the round trip.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    pub moment: Instant,
    pub database: DateTime<Utc>,
    pub uncertainty: TimeDelta,
}

/// How far a clock is from the database's: ahead of it where that is more than nothing.
#[derive(Clone, Copy, Debug)]
pub struct Offset {
    pub ahead: TimeDelta,
    uncertainty: TimeDelta,
}

impl Offset {
    /// Whether it certainly is farther off than this.
    fn is_beyond(self, most: TimeDelta) -> bool {
        self.ahead.abs() - self.uncertainty > most
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.ahead < TimeDelta::zero() { "behind" } else { "ahead of" };
        let seconds = self.ahead.abs().as_seconds_f64();
        write!(f, "this machine's clock is {seconds:.1} s {side} the database's")
    }
}

/// Why a clock is not to be trusted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongClock(String);

/// The refusal of what must not be dated by a clock that is wrong.
fn refusal(offset: Offset) -> WrongClock {
    let most = TOLERABLE.num_seconds();
    WrongClock(format!("{offset}: beyond {most} s nothing is sold, billed or put on sale; set the clock right"))
}

impl Watch {
    pub(super) fn shown(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::microseconds(self.wrong_by.load(Ordering::Relaxed))
    }

    pub(super) fn advance(&self, by: TimeDelta) {
        self.wrong_by.fetch_add(by.num_microseconds().unwrap_or_default(), Ordering::Relaxed);
    }

    /// How far off this time is, which was just read; nothing is known before the first comparison.
    pub(super) fn offset(&self, now: DateTime<Utc>) -> Option<Offset> {
        let Comparison { moment, database, uncertainty } = (*self.compared())?;
        let passed = TimeDelta::from_std(moment.elapsed()).ok()?;
        Some(Offset { ahead: now - (database + passed), uncertainty })
    }

    pub(super) fn judge(&self, now: DateTime<Utc>) -> Result<(), WrongClock> {
        match self.offset(now).filter(|offset| offset.is_beyond(TOLERABLE)) {
            None => Ok(()),
            Some(offset) => {
                // It may have been set right, or the machine slept, during which the monotonic clock stands still.
                self.wanted.notify_one();
                Err(refusal(offset))
            }
        }
    }

    /// What a comparison with the database found.
    pub fn found(&self, comparison: Option<Comparison>) {
        *self.compared() = comparison;
    }

    /// Waits until a refusal asks for another comparison.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Logs how the clock is, if that is news.
    pub fn tell(&self, now: Offset) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.is_none_or(|told| (now.ahead - told).abs() > NOTABLE);
        match now.is_beyond(NOTABLE) {
            true if is_news => {
                match now.is_beyond(TOLERABLE) {
                    true => tracing::error!("{}", refusal(now)),
                    false => tracing::warn!("{now}; let the same source of time (NTP) set both"),
                }
                *told = Some(now.ahead);
            }
            false if told.take().is_some() => tracing::info!("this machine's clock agrees with the database's again"),
            _ => {}
        }
    }

    fn compared(&self) -> MutexGuard<'_, Option<Comparison>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(ahead: i64, uncertainty: i64) -> Offset {
        Offset { ahead: TimeDelta::milliseconds(ahead), uncertainty: TimeDelta::milliseconds(uncertainty) }
    }

    #[test]
    fn what_a_round_trip_may_explain_is_no_offset() {
        for (ahead, uncertainty, beyond) in
            [(1_001, 0, true), (-1_001, 0, true), (1_000, 0, false), (1_400, 500, false), (-1_600, 500, true)]
        {
            assert_eq!(offset(ahead, uncertainty).is_beyond(NOTABLE), beyond, "{ahead} {uncertainty}");
        }
    }

    #[test]
    fn an_offset_says_on_which_side_it_is() {
        assert_eq!(offset(-45_040, 3).to_string(), "this machine's clock is 45.0 s behind the database's");
        assert_eq!(offset(31_000, 3).to_string(), "this machine's clock is 31.0 s ahead of the database's");
    }

    #[test]
    fn a_clock_that_is_set_wrong_after_the_comparison_is_noticed() {
        let watch = Watch::default();
        let now = DateTime::from_timestamp(1_207_074_392, 0).unwrap();
        assert!(watch.judge(now).is_ok());
        *watch.compared() =
            Some(Comparison { moment: Instant::now(), database: now, uncertainty: TimeDelta::milliseconds(1) });
        assert!(watch.judge(now + TimeDelta::seconds(10)).is_ok());
        assert!(watch.judge(now + TimeDelta::seconds(45)).is_err());
        assert!(watch.judge(now - TimeDelta::days(1)).is_err());
    }
}
