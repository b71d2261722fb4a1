//! The one source of time. Everything that stores or compares a time asks a [`Clock`].

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

mod watch;

pub use watch::{Comparison, Offset, Watch, WrongClock};

/// Tells the time (UTC, whole microseconds as PostgreSQL keeps them).
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// The system's, and how far it is from the database's.
    Watched(Arc<Watch>),
    /// Stands still until moved; for tests.
    Frozen(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    pub fn frozen(at: DateTime<Utc>) -> Self {
        Self::Frozen(Arc::new(Mutex::new(at)))
    }

    /// The system's, to be compared with the database's.
    pub fn watched() -> Self {
        Self::Watched(Arc::default())
    }

    /// The same as on a machine whose clock is ahead by so much, or behind; for tests.
    pub fn wrong_by(ahead: TimeDelta) -> Self {
        let clock = Self::watched();
        clock.advance(ahead);
        clock
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self {
            Self::System => Utc::now(),
            Self::Watched(watch) => watch.shown(Utc::now()),
            Self::Frozen(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// Refuses a watched clock that is too far from the database's to sell, to bill, or to move numbers by: a sale is dated
    /// no earlier than the number's last move, so what is dated ahead would put off what comes after it.
    ///
    /// # Errors
    /// How far it is off.
    pub fn trusted(&self) -> Result<(), WrongClock> {
        match self {
            Self::Watched(watch) => watch.judge(self.now()),
            Self::System | Self::Frozen(_) => Ok(()),
        }
    }

    /// How far a watched clock is from the database's, once they were compared.
    pub fn offset(&self) -> Option<Offset> {
        match self {
            Self::Watched(watch) => watch.offset(self.now()),
            Self::System | Self::Frozen(_) => None,
        }
    }

    /// This clock, or one that stands still at `time` where that is still to come: what is done as of a
    /// later time is also written down as done then, but nothing is ever dated back.
    pub fn not_before(&self, time: DateTime<Utc>) -> Self {
        if time > self.now() { Self::frozen(time) } else { self.clone() }
    }

    /// Moves a frozen clock, or makes a watched one wrong by so much more; for tests. The system's stays as it is.
    pub fn advance(&self, by: TimeDelta) {
        match self {
            Self::System => {}
            Self::Watched(watch) => watch.advance(by),
            Self::Frozen(at) => *at.lock().unwrap_or_else(PoisonError::into_inner) += by,
        }
    }
}
