//! How patient a URL asks us to be: `#ct=…&rt=…&tt=…&rc=…&rp=…` in its fragment, as Twilio publishes it.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Milliseconds to connect in.
const CONNECT: RangeInclusive<u64> = 100..=10_000;
/// Milliseconds to wait for an answer, and for each further part of it.
const READ: RangeInclusive<u64> = 100..=15_000;
/// Milliseconds for everything: look-ups, connections, redirects and retries.
const TOTAL: RangeInclusive<u64> = 100..=15_000;
const RETRIES: RangeInclusive<u64> = 0..=5;

/// What may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// No connection.
    Connect,
    /// No answer in time.
    Read,
    /// A status of 400 to 499.
    Client,
    /// A status of 500 to 599.
    Server,
    /// Anything else that went wrong with a connection.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overrides {
    pub connect: Duration,
    pub read: Duration,
    pub total: Duration,
    pub retries: u64,
    pub policy: Vec<Cause>,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(15),
            total: Duration::from_secs(15),
            retries: 1,
            policy: vec![Cause::Connect],
        }
    }
}

impl Overrides {
    /// What is unknown or out of its range is as if it were not there: a fragment may have another purpose.
    pub(super) fn read(fragment: &str) -> Self {
        let mut read = Self::default();
        for (name, value) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
            let within = |range: RangeInclusive<u64>| value.parse().ok().filter(|number| range.contains(number));
            let time = |range| within(range).map(Duration::from_millis);
            match name {
                "ct" => read.connect = time(CONNECT).unwrap_or(read.connect),
                "rt" => read.read = time(READ).unwrap_or(read.read),
                "tt" => read.total = time(TOTAL).unwrap_or(read.total),
                "rc" => read.retries = within(RETRIES).unwrap_or(read.retries),
                "rp" => read.policy = policy(value).unwrap_or(read.policy),
                _ => {}
            }
        }
        read
    }
}

fn policy(text: &str) -> Option<Vec<Cause>> {
    let mut causes = Vec::new();
    for word in text.split(',') {
        causes.extend(match word {
            "ct" => vec![Cause::Connect],
            "rt" => vec![Cause::Read],
            "4xx" => vec![Cause::Client],
            "5xx" => vec![Cause::Server],
            "all" => vec![Cause::Connect, Cause::Read, Cause::Client, Cause::Server, Cause::Other],
            _ => return None,
        });
    }
    Some(causes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_obeyed_within_the_published_ranges() {
        let read = Overrides::read("ct=100&rt=14000&tt=2500&rc=5&rp=4xx,rt&e=ashburn&sni=y");
        let of = Duration::from_millis;
        let policy = vec![Cause::Client, Cause::Read];
        assert_eq!(read, Overrides { connect: of(100), read: of(14_000), total: of(2_500), retries: 5, policy });
        assert_eq!(Overrides::read("rp=all").policy.len(), 5);
        for fragment in ["", "top", "ct=99&rt=15001&tt=0&rc=6&rp=", "ct=10001&rc=-1&rp=ct,x", "ct=1e3&CT=100&rp=ct rt"]
        {
            assert_eq!(Overrides::read(fragment), Overrides::default(), "{fragment}");
        }
    }
}
