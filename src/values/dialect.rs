//! How the output of commands shows times: in the same format as reports. Each such field has
//! `#[serde(serialize_with = "time")]`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serializer;

/// A time, or an optional one.
pub trait Moment {
    fn moment(&self) -> Option<DateTime<Utc>>;
}

impl Moment for DateTime<Utc> {
    fn moment(&self) -> Option<DateTime<Utc>> {
        Some(*self)
    }
}

impl Moment for Option<DateTime<Utc>> {
    fn moment(&self) -> Option<DateTime<Utc>> {
        *self
    }
}

/// Writes a time in RFC 3339, in UTC, cut to milliseconds: `2026-11-24T04:32:17.129Z`. `None` becomes null.
///
/// # Errors
/// Those of the serializer.
pub fn time<S: Serializer>(time: &impl Moment, to: S) -> Result<S::Ok, S::Error> {
    match time.moment() {
        Some(time) => to.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_milliseconds_and_a_z() {
        for (at, text) in [
            ("2026-11-24T04:32:17.129999Z", "\"2026-11-24T04:32:17.129Z\""),
            ("2026-11-24T04:32:17+01:00", "\"2026-11-24T03:32:17.000Z\""),
        ] {
            let at: DateTime<Utc> = at.parse().unwrap();
            let mut written = Vec::new();
            time(&Some(at), &mut serde_json::Serializer::new(&mut written)).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), text);
        }
        let mut written = Vec::new();
        time(&None::<DateTime<Utc>>, &mut serde_json::Serializer::new(&mut written)).unwrap();
        assert_eq!(written, b"null");
    }
}
