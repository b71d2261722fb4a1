//! Times on the command line.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use clap::Args;

use super::Failure;

/// A time: RFC 3339, a date, or how long from now.
#[derive(Clone, Debug)]
pub struct Time {
    text: String,
    meant: Meant,
}

#[derive(Clone, Copy, Debug)]
enum Meant {
    At(DateTime<Utc>),
    /// So long from now.
    Away(TimeDelta),
    /// So many months from now.
    Months(i64),
}

/// A period of time.
#[derive(Args, Debug)]
pub struct Period {
    /// Only from then on: RFC 3339, a date for its midnight in UTC, or as in -7d or -1month
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<Time>,
    /// Only before then
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<Time>,
}

impl Period {
    /// Where it begins, and where it ends.
    pub fn ends(self, now: DateTime<Utc>) -> Result<[Option<DateTime<Utc>>; 2], Failure> {
        let on = |time: Option<Time>| time.map(|time| time.on(now)).transpose();
        let ends @ [since, until] = [on(self.since)?, on(self.until)?];
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(Failure::Usage("the period is empty: --since must be before --until".to_owned()));
        }
        Ok(ends)
    }
}

impl Time {
    /// The moment that is meant.
    pub fn on(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
        let time = match self.meant {
            Meant::At(time) => Some(time),
            Meant::Away(away) => now.checked_add_signed(away),
            Meant::Months(months) => u32::try_from(months.unsigned_abs()).ok().map(Months::new).and_then(|count| {
                if months < 0 { now.checked_sub_months(count) } else { now.checked_add_months(count) }
            }),
        };
        time.filter(|time| (1..=9999).contains(&time.year()))
            .ok_or_else(|| Failure::Usage(format!("'{}' is too far away: the years 1 to 9999 are expected", self.text)))
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let midnight = |date: NaiveDate| Meant::At(date.and_time(NaiveTime::MIN).and_utc());
        let time = DateTime::parse_from_rfc3339(text).map(|time| Meant::At(time.to_utc())).ok();
        let date = || text.parse().ok().map(midnight).filter(|_| text.len() == "2026-01-31".len());
        let meant = time.or_else(date).or_else(|| away(text)).ok_or(
            "RFC 3339 is expected, as in 2026-01-31T08:00:00Z, a date, as in 2026-01-31, or a time from now, as in \
            -7d, -2h or +1month",
        )?;
        Ok(Self { text: text.to_owned(), meant })
    }
}

/// Reads `+1month`, `-7d`, `-2hours`.
fn away(text: &str) -> Option<Meant> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let unit = text[1..].trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u32 = text[1..text.len() - unit.len()].parse().ok()?;
    let count = sign * i64::from(count);
    let away = |length: TimeDelta| length.checked_mul(i32::try_from(count).ok()?).map(Meant::Away);
    match unit {
        "min" | "mins" | "minute" | "minutes" => away(TimeDelta::minutes(1)),
        "h" | "hour" | "hours" => away(TimeDelta::hours(1)),
        "d" | "day" | "days" => away(TimeDelta::days(1)),
        "w" | "week" | "weeks" => away(TimeDelta::weeks(1)),
        "month" | "months" => Some(Meant::Months(count)),
        "y" | "year" | "years" => Some(Meant::Months(count * 12)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_a_date_or_so_long_from_now() {
        let now: DateTime<Utc> = "2026-03-31T12:00:00Z".parse().unwrap();
        for (text, read) in [
            ("2026-01-31", Some("2026-01-31T00:00:00+00:00")),
            ("2026-01-31T08:00:00Z", Some("2026-01-31T08:00:00+00:00")),
            ("2026-01-31T23:30:00-02:00", Some("2026-02-01T01:30:00+00:00")),
            ("+1month", Some("2026-04-30T12:00:00+00:00")),
            ("-1month", Some("2026-02-28T12:00:00+00:00")),
            ("-7d", Some("2026-03-24T12:00:00+00:00")),
            ("-2h", Some("2026-03-31T10:00:00+00:00")),
            ("+30min", Some("2026-03-31T12:30:00+00:00")),
            ("-1w", Some("2026-03-24T12:00:00+00:00")),
            ("+2years", Some("2028-03-31T12:00:00+00:00")),
            ("+99999y", None),
            ("-2027y", None),
            ("+4294967295w", None),
            ("2026-02-30", None),
            ("26-1-1", None),
            ("2026-01-31T08:00:00", None),
            ("7d", None),
            ("+d", None),
            ("+-7d", None),
            ("-7 d", None),
            ("+7☎", None),
            ("-7m", None),
            ("tomorrow", None),
            ("", None),
        ] {
            let time = text.parse::<Time>().ok().and_then(|time| time.on(now).ok());
            assert_eq!(time.map(|time| time.to_rfc3339()).as_deref(), read, "{text}");
        }
    }
}
