//! The one source of time. Everything that stores or compares a time asks a [`Clock`].

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Datelike, DurationRound, TimeDelta, Timelike, Utc};

use super::error::Result;
use super::represent::Plain;

mod store;
mod watch;

pub use watch::Offset;
use watch::Watch;

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
    pub fn trusted(&self) -> Result<()> {
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

/// A time as RFC 2822 has it, with a two-digit day and UTC as `+0000`: `Tue, 01 Apr 2008 18:26:32 +0000`.
pub struct Rfc2822(pub DateTime<Utc>);

/// Written by hand: chrono's formatter took a tenth of the time of a page.
impl Plain for Rfc2822 {
    fn write(&self, to: &mut Vec<u8>) {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (date, seconds) = (self.0.date_naive(), self.0.num_seconds_from_midnight());
        let mut text = *b"Thu, 01 Jan 1970 00:00:00 +0000";
        text[..3].copy_from_slice(DAYS[date.weekday().num_days_from_monday() as usize].as_bytes());
        put(&mut text[5..7], date.day());
        text[8..11].copy_from_slice(MONTHS[date.month0() as usize].as_bytes());
        put(&mut text[12..16], date.year().unsigned_abs());
        put(&mut text[17..19], seconds / 3600);
        put(&mut text[20..22], seconds / 60 % 60);
        put(&mut text[23..25], seconds % 60);
        to.extend_from_slice(&text);
    }
}

/// Writes the last digits of a number, as many as there is room for.
fn put(room: &mut [u8], mut number: u32) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
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
