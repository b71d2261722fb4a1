//! The offset of this machine's clock from the database's. All instances share the database, so clocks that agree with
//! it agree with each other.
//!
//! A comparison takes a round trip. Between two comparisons, the monotonic clock tells how much time has passed. So if
//! this machine's clock is set wrong, the next purchase notices, not only the next comparison.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

/// An offset larger than this is logged.
const LOGGED_FROM: TimeDelta = TimeDelta::seconds(1);

/// With an offset larger than this, nothing is sold, billed or put on sale.
const MAX_OFFSET: TimeDelta = TimeDelta::seconds(30);

/// What is known of a clock's offset from the database's.
#[derive(Debug, Default)]
pub struct Skew {
    /// Microseconds that are added to the system's time; for tests.
    wrong_by: AtomicI64,
    compared: Mutex<Option<Comparison>>,
    /// The offset that was logged last; `None` while the clocks agree.
    logged: Mutex<Option<TimeDelta>>,
    /// Wakes the task that compares.
    wanted: Notify,
}

/// What the database's clock showed at a moment. The uncertainty is half of the round trip.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    pub moment: Instant,
    pub database: DateTime<Utc>,
    pub uncertainty: TimeDelta,
}

/// An offset from the database's clock: positive if ours is ahead.
#[derive(Clone, Copy, Debug)]
pub struct Offset {
    pub ahead: TimeDelta,
    uncertainty: TimeDelta,
}

impl Offset {
    /// Whether it is larger than `most` even if the uncertainty is subtracted.
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

/// This machine's clock is off by too much.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongClock(String);

/// The error of work that a wrong clock must not date.
fn refusal(offset: Offset) -> WrongClock {
    let most = MAX_OFFSET.num_seconds();
    WrongClock(format!("{offset}: beyond {most} s nothing is sold, billed or put on sale; set the clock right"))
}

impl Skew {
    pub(super) fn adjusted(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::microseconds(self.wrong_by.load(Ordering::Relaxed))
    }

    pub(super) fn advance(&self, by: TimeDelta) {
        self.wrong_by.fetch_add(by.num_microseconds().unwrap_or_default(), Ordering::Relaxed);
    }

    /// The offset of `now`, which the caller has just read; `None` before the first comparison.
    pub(super) fn offset(&self, now: DateTime<Utc>) -> Option<Offset> {
        let Comparison { moment, database, uncertainty } = (*self.compared())?;
        let passed = TimeDelta::from_std(moment.elapsed()).ok()?;
        Some(Offset { ahead: now - (database + passed), uncertainty })
    }

    pub(super) fn judge(&self, now: DateTime<Utc>) -> Result<(), WrongClock> {
        match self.offset(now).filter(|offset| offset.is_beyond(MAX_OFFSET)) {
            None => Ok(()),
            Some(offset) => {
                // Compare again: the clock may be right by now, or the monotonic clock stood still while the machine
                // slept.
                self.wanted.notify_one();
                Err(refusal(offset))
            }
        }
    }

    /// Sets the latest comparison.
    pub fn found(&self, comparison: Option<Comparison>) {
        *self.compared() = comparison;
    }

    /// Waits until a refusal asks for a new comparison.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Logs an offset when it has changed by more than [`LOGGED_FROM`], and once when the clocks agree again.
    pub fn tell(&self, now: Offset) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = logged.is_none_or(|logged| (now.ahead - logged).abs() > LOGGED_FROM);
        match now.is_beyond(LOGGED_FROM) {
            true if is_news => {
                match now.is_beyond(MAX_OFFSET) {
                    true => tracing::error!("{}", refusal(now)),
                    false => tracing::warn!("{now}; let the same source of time (NTP) set both"),
                }
                *logged = Some(now.ahead);
            }
            false if logged.take().is_some() => tracing::info!("this machine's clock agrees with the database's again"),
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
    fn an_offset_within_the_uncertainty_is_none() {
        for (ahead, uncertainty, beyond) in
            [(1_001, 0, true), (-1_001, 0, true), (1_000, 0, false), (1_400, 500, false), (-1_600, 500, true)]
        {
            assert_eq!(offset(ahead, uncertainty).is_beyond(LOGGED_FROM), beyond, "{ahead} {uncertainty}");
        }
    }

    #[test]
    fn an_offset_is_ahead_or_behind() {
        assert_eq!(offset(-45_040, 3).to_string(), "this machine's clock is 45.0 s behind the database's");
        assert_eq!(offset(31_000, 3).to_string(), "this machine's clock is 31.0 s ahead of the database's");
    }

    #[test]
    fn a_clock_that_is_set_wrong_after_the_comparison_is_noticed() {
        let skew = Skew::default();
        let now = DateTime::from_timestamp(1_207_074_392, 0).unwrap();
        assert!(skew.judge(now).is_ok());
        *skew.compared() =
            Some(Comparison { moment: Instant::now(), database: now, uncertainty: TimeDelta::milliseconds(1) });
        assert!(skew.judge(now + TimeDelta::seconds(10)).is_ok());
        assert!(skew.judge(now + TimeDelta::seconds(45)).is_err());
        assert!(skew.judge(now - TimeDelta::days(1)).is_err());
    }
}
