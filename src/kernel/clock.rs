//! The one source of time. Everything that stores or compares a time asks a [`Clock`].

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Datelike, DurationRound, TimeDelta, Timelike, Utc};

use super::represent::Plain;

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

/// A time as RFC 2822 has it, with a two-digit day and UTC as `+0000`: `Tue, 01 Apr 2008 18:26:32 +0000`.
pub struct Rfc2822(pub DateTime<Utc>);

/// Written by hand: chrono's formatter took a tenth of the time of a page.
impl Plain for Rfc2822 {
    fn write(&self, to: &mut Vec<u8>) {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (date, seconds) = (self.0.date_naive(), self.0.num_seconds_from_midnight());
        to.extend_from_slice(DAYS[date.weekday().num_days_from_monday() as usize].as_bytes());
        to.extend_from_slice(b", ");
        digits(to, date.day(), 2, b' ');
        to.extend_from_slice(MONTHS[date.month0() as usize].as_bytes());
        to.push(b' ');
        digits(to, date.year().unsigned_abs(), 4, b' ');
        digits(to, seconds / 3600, 2, b':');
        digits(to, seconds / 60 % 60, 2, b':');
        digits(to, seconds % 60, 2, b' ');
        to.extend_from_slice(b"+0000");
    }
}

/// The last so many digits of a number, and what comes after them.
fn digits(to: &mut Vec<u8>, number: u32, many: u32, after: u8) {
    to.extend((0..many).rev().map(|place| b'0' + (number / 10_u32.pow(place) % 10) as u8));
    to.push(after);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_two_digits() {
        let written = |seconds| {
            let mut text = Vec::new();
            Rfc2822(DateTime::from_timestamp(seconds, 0).unwrap()).write(&mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(written(1_207_074_392), "Tue, 01 Apr 2008 18:26:32 +0000");
        for seconds in (0..4_000_000_000).step_by(86_400 * 17 + 12_345) {
            let chrono = DateTime::from_timestamp(seconds, 0).unwrap().format("%a, %d %b %Y %H:%M:%S +0000");
            assert_eq!(written(seconds), chrono.to_string());
        }
    }
}
