//! The one source of time. Everything that stores or compares a time asks a [`Clock`].

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Tells the time (UTC, whole microseconds as PostgreSQL keeps them).
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// Stands still until moved; for tests.
    Frozen(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    pub fn frozen(at: DateTime<Utc>) -> Self {
        Self::Frozen(Arc::new(Mutex::new(at)))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self {
            Self::System => Utc::now(),
            Self::Frozen(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// This clock, or one that stands still at `time` where that is still to come: what is done as of a
    /// later time is also written down as done then, but nothing is ever dated back.
    pub fn not_before(&self, time: DateTime<Utc>) -> Self {
        if time > self.now() { Self::frozen(time) } else { self.clone() }
    }

    /// Moves a frozen clock; the system's cannot be moved and stays as it is.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Frozen(at) = self {
            *at.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }
}

/// Read once: to do so for every date took a tenth of the time of a page.
static RFC2822: LazyLock<Vec<Item<'static>>> =
    LazyLock::new(|| StrftimeItems::new("%a, %d %b %Y %H:%M:%S +0000").collect());

/// RFC 2822 with a two-digit day and UTC as `+0000`: `Tue, 01 Apr 2008 18:26:32 +0000`.
pub fn rfc2822(at: DateTime<Utc>) -> String {
    at.format_with_items(RFC2822.iter()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_two_digits() {
        let at = DateTime::from_timestamp(1_207_074_392, 0).unwrap();
        assert_eq!(rfc2822(at), "Tue, 01 Apr 2008 18:26:32 +0000");
    }
}
