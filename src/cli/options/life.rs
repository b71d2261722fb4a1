//! The interval of the jobs, and the days of quarantine and grace.

use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;

use crate::inventory;
use crate::staging::Life;

/// Whether `serve` runs its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    Off,
    Every(Duration),
}

impl FromStr for Jobs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let refused = "off is expected, or a time of at least a second and less than a year, as in 90s, 30m or 1h";
        let (number, seconds) = [("s", 1), ("m", 60), ("h", 3600)]
            .into_iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
            .ok_or(refused)?;
        let number: u32 = number.parse().map_err(|_| refused)?;
        let every = Duration::from_secs(u64::from(number) * seconds);
        Some(every).filter(|every| (1..31_536_000).contains(&every.as_secs())).map(Self::Every).ok_or(refused)
    }
}

/// The most days of quarantine or grace.
const MAX_DAYS: i64 = 3650;

/// How long released numbers are kept from sale.
#[derive(Args, Clone, Copy, Debug)]
pub struct Quarantine {
    /// Days that a released local number is kept from sale [default: 45, or those of the world]
    #[arg(long, env = "NUMBERBANK_QUARANTINE_LOCAL", value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(0..=MAX_DAYS))]
    pub quarantine_local: Option<u16>,

    /// Days that a released toll-free number is kept from sale [default: 45, or those of the world]
    #[arg(long, env = "NUMBERBANK_QUARANTINE_TOLLFREE", value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(0..=MAX_DAYS))]
    pub quarantine_tollfree: Option<u16>,
}

impl Quarantine {
    /// The lengths in a world, or in a registry.
    pub fn lengths(self, world: Option<Life>) -> inventory::Quarantine {
        let usual = TimeDelta::days(45);
        let usual = world.map_or(inventory::Quarantine { local: usual, tollfree: usual }, |world| world.quarantine);
        inventory::Quarantine {
            local: self.quarantine_local.map_or(usual.local, |days| TimeDelta::days(days.into())),
            tollfree: self.quarantine_tollfree.map_or(usual.tollfree, |days| TimeDelta::days(days.into())),
        }
    }
}

/// How long unpaid numbers are kept.
#[derive(Args, Clone, Copy, Debug)]
pub struct Grace {
    /// Days that an unpaid number is kept before it is released [default: 14, or those of the world]
    #[arg(long, env = "NUMBERBANK_GRACE", value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(0..=MAX_DAYS))]
    pub grace: Option<u16>,
}

impl Grace {
    /// The length in a world, or in a registry.
    pub fn length(self, world: Option<Life>) -> TimeDelta {
        let usual = world.map_or(TimeDelta::days(14), |world| world.grace);
        self.grace.map_or(usual, |days| TimeDelta::days(days.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_every_so_often_or_not_at_all() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h", 3600)] {
            assert_eq!(text.parse(), Ok(Jobs::Every(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!("off".parse(), Ok(Jobs::Off));
        for text in ["", "h", "0s", "60", "-1h", "1d", "1.5h", "99999999h", "OFF"] {
            assert!(text.parse::<Jobs>().is_err(), "{text}");
        }
    }
}
