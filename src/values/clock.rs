//! The only source of the time of day: all code asks a [`Clock`] for it.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

mod skew;

pub use skew::{Comparison, Offset, Skew, WrongClock};

/// A clock. Its times are UTC in whole microseconds, as PostgreSQL stores them.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// The system's clock, compared with the database's.
    Watched(Arc<Skew>),
    /// A clock of its own, that of a world or of a test: it is moved by hand.
    Own(Arc<Mutex<Course>>),
}

/// How a clock of its own goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    Stands(DateTime<Utc>),
    /// So far ahead of the system's clock.
    Runs(TimeDelta),
}

impl Clock {
    pub fn frozen(at: DateTime<Utc>) -> Self {
        Self::own(Course::Stands(at))
    }

    pub fn own(course: Course) -> Self {
        Self::Own(Arc::new(Mutex::new(course)))
    }

    /// The system's clock, not yet compared with the database's.
    pub fn watched() -> Self {
        Self::Watched(Arc::default())
    }

    /// A watched clock that is wrong by `ahead`; for tests.
    pub fn wrong_by(ahead: TimeDelta) -> Self {
        let clock = Self::watched();
        clock.advance(ahead);
        clock
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self {
            Self::System => Utc::now(),
            Self::Watched(skew) => skew.adjusted(Utc::now()),
            Self::Own(course) => match *course.lock().unwrap_or_else(PoisonError::into_inner) {
                Course::Stands(at) => at,
                Course::Runs(ahead) => Utc::now() + ahead,
            },
        };
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// Refuses a clock that is too far from the database's. A sale is dated no earlier than the number's last move, so
    /// one date in the future would put off the dates of all that follows.
    ///
    /// Purchases, the jobs, credits and debits, and operators' changes of stock and tenancies check this first.
    ///
    /// # Errors
    /// How far the clock is off.
    pub fn trusted(&self) -> Result<(), WrongClock> {
        match self {
            Self::Watched(skew) => skew.judge(self.now()),
            Self::System | Self::Own(_) => Ok(()),
        }
    }

    /// The offset of a watched clock from the database's; `None` before the first comparison.
    pub fn offset(&self) -> Option<Offset> {
        match self {
            Self::Watched(skew) => skew.offset(self.now()),
            Self::System | Self::Own(_) => None,
        }
    }

    /// This clock, or one that stands still at `time` if that is in the future. So work that is done as of a future
    /// time is dated then, and no work is dated before now.
    pub fn not_before(&self, time: DateTime<Utc>) -> Self {
        if time > self.now() { Self::frozen(time) } else { self.clone() }
    }

    /// How a clock of its own goes; `None` of any other.
    pub fn course(&self) -> Option<Course> {
        match self {
            Self::Own(course) => Some(*course.lock().unwrap_or_else(PoisonError::into_inner)),
            Self::System | Self::Watched(_) => None,
        }
    }

    /// Sets a clock of its own; does nothing to any other.
    pub fn set(&self, to: Course) {
        if let Self::Own(course) = self {
            *course.lock().unwrap_or_else(PoisonError::into_inner) = to;
        }
    }

    /// Moves a clock of its own, or adds to the offset of a watched one; for tests. Does nothing to the system's clock.
    pub fn advance(&self, by: TimeDelta) {
        match self {
            Self::System => {}
            Self::Watched(skew) => skew.advance(by),
            Self::Own(course) => match &mut *course.lock().unwrap_or_else(PoisonError::into_inner) {
                Course::Stands(at) => *at += by,
                Course::Runs(ahead) => *ahead += by,
            },
        }
    }
}

impl Course {
    /// The same course, at another moment.
    #[must_use]
    pub fn at(self, moment: DateTime<Utc>) -> Self {
        match self {
            Self::Stands(_) => Self::Stands(moment),
            Self::Runs(_) => Self::running(moment),
        }
    }

    /// Runs from this moment on.
    pub fn running(moment: DateTime<Utc>) -> Self {
        Self::Runs(moment - Clock::System.now())
    }
}
