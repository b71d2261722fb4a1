//! Limits and timeouts.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::config;

/// A number of events in a period; `None` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerPeriod(Option<NonZeroU32>);

impl FromStr for PerPeriod {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = if text == "off" { Ok(0) } else { text.parse() };
        let number = number.ok().filter(|number| *number <= 1_000_000);
        number.map(|number| Self(NonZeroU32::new(number))).ok_or("off is expected, or a number up to 1000000")
    }
}

/// The limits of `serve` and `demo`.
#[derive(Args, Clone, Debug)]
pub struct LimitOptions {
    /// Seconds that the head of a request may take to arrive
    #[arg(long, env = "NUMBERBANK_HEADER_TIMEOUT", default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub header_timeout: u16,

    /// Seconds that the body of a request may take to arrive
    #[arg(long, env = "NUMBERBANK_BODY_TIMEOUT", default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub body_timeout: u16,

    /// Seconds that a client's connection may rest between two requests
    #[arg(long, env = "NUMBERBANK_KEEP_ALIVE", default_value_t = 5, value_name = "SECONDS",
        value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub keep_alive: u16,

    /// Connections of clients at once, over all threads, at most half of them from one address; at the limit, the
    /// oldest connection that has no request under way is closed
    #[arg(long, env = "NUMBERBANK_MAX_CONNECTIONS", default_value_t = 4096, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// MiB of memory for lists, of which one account may use a third; requests beyond it get a 429 or 503
    #[arg(long, env = "NUMBERBANK_ANSWER_MEMORY", default_value_t = 96, value_name = "MIB",
        value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub answer_memory: u32,

    /// Requests that may wait for a connection to PostgreSQL, over all threads. As many lookups, lists, updates and
    /// releases each may wait for the batch after the next, and as many purchases for each two threads. Requests
    /// beyond it get a 503
    #[arg(long, env = "NUMBERBANK_MAX_WAITING", default_value_t = 1024, value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub max_waiting: u32,

    /// AuthTokens that may wait to be verified by argon2, served round robin over addresses and accounts; requests
    /// beyond it get a 429
    #[arg(long, env = "NUMBERBANK_MAX_UNVERIFIED", default_value_t = 1000, value_name = "N",
        value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub max_unverified: u16,

    /// Requests a second of one account, or off; requests beyond it get a 429
    #[arg(long, env = "NUMBERBANK_ACCOUNT_RATE", default_value = "off", value_name = "N")]
    pub account_rate: PerPeriod,

    /// Wrong AuthTokens a minute from one address, or off. Beyond it, a wrong token from there gets a 429, and so
    /// does a right one that a person chose and this instance has not cached
    #[arg(long, env = "NUMBERBANK_FAILED_LOGINS", default_value = "60", value_name = "N")]
    pub failed_logins: PerPeriod,

    /// Trust the last address in X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host. Only if every request comes
    /// through a proxy that sets them
    #[arg(long, env = "NUMBERBANK_TRUST_PROXY", value_parser = BoolishValueParser::new())]
    pub trust_proxy: bool,
}

impl LimitOptions {
    /// As plain values.
    pub fn plain(&self) -> config::Limits {
        let seconds = |number: u16| Duration::from_secs(number.into());
        config::Limits {
            header_timeout: seconds(self.header_timeout),
            body_timeout: seconds(self.body_timeout),
            keep_alive: seconds(self.keep_alive),
            max_connections: self.max_connections,
            answer_memory: self.answer_memory,
            max_waiting: self.max_waiting,
            max_unverified: self.max_unverified,
            account_rate: self.account_rate.0,
            failed_logins: self.failed_logins.0,
            trust_proxy: self.trust_proxy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_off() {
        for (text, number) in [("1", 1), ("1000000", 1_000_000)] {
            assert_eq!(text.parse(), Ok(PerPeriod(NonZeroU32::new(number))), "{text}");
        }
        assert_eq!(("off".parse(), "0".parse()), (Ok(PerPeriod(None)), Ok(PerPeriod(None))));
        for text in ["", "-1", "1.5", "1000001", "OFF", "5/s"] {
            assert!(text.parse::<PerPeriod>().is_err(), "{text}");
        }
    }
}
