//! Values whose text needs no escaping in any representation.

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::Plain;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{AccountSid, KeySid, NumberSid};

impl Plain for &'static str {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.as_bytes());
    }
}

/// A path of Sids and fixed words.
impl Plain for String {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.as_bytes());
    }
}

impl Plain for AccountSid {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.letters());
    }
}

impl Plain for NumberSid {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.letters());
    }
}

impl Plain for KeySid {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.letters());
    }
}

impl Plain for PhoneNumber {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.letters());
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

/// Writes the last digits of a number, as many as fit.
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
