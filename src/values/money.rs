//! Money in whole US cents, and carriers' costs in hundredths of a cent. Only texts and views show dollars with
//! decimals.

use std::fmt;
use std::str::FromStr;

/// An amount in US cents, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct Money(i64);

/// The ISO 4217 code of the currency of every amount.
pub const CURRENCY: &str = "USD";

/// The largest amount that is read from a text, in cents: a billion dollars.
const MAX_CENTS: i64 = 100_000_000_000;

impl Money {
    pub const ZERO: Self = Self(0);

    pub const fn cents(self) -> i64 {
        self.0
    }

    /// # Panics
    /// If `cents` is negative.
    pub const fn from_cents(cents: i64) -> Self {
        assert!(cents >= 0, "money is never negative");
        Self(cents)
    }

    /// The sum; `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(cents) => Some(Self(cents)),
            None => None,
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an amount: dollars from 0 to 1000000000 with at most two decimals are expected, as in 25.00")]
pub struct NotAnAmount(String);

impl FromStr for Money {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        read(text).filter(|cents| *cents <= MAX_CENTS).map(Self).ok_or_else(|| NotAnAmount(text.to_owned()))
    }
}

/// Reads an amount in dollars; returns cents.
fn read(text: &str) -> Option<i64> {
    let (dollars, cents) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let reads = digits(dollars) && digits(cents) && cents.len() <= 2;
    if reads { format!("{dollars}{cents:0<2}").parse().ok() } else { None }
}

impl serde::Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // No `MAX_CENTS` here: the text is our own, and a balance may be larger than an amount that an operator enters.
        let text = String::deserialize(from)?;
        read(&text).map(Self).ok_or_else(|| serde::de::Error::custom(NotAnAmount(text)))
    }
}

/// A carrier's monthly charge for a number, in ten-thousandths of a dollar, never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct Cost(i64);

impl Cost {
    const PER_DOLLAR: u64 = 10_000;

    pub const fn ten_thousandths(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Cost {
    /// Dollars with two decimals, and up to two more if they are not zero: `0.85`, `0.0085`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let all = self.0.unsigned_abs();
        let decimals = format!("{:04}", all % Self::PER_DOLLAR);
        let (cents, finer) = decimals.split_at(2);
        write!(f, "{sign}{}.{cents}{}", all / Self::PER_DOLLAR, finer.trim_end_matches('0'))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an amount: dollars from 0 to 1000000000 with at most four decimals are expected, as in $0.0085")]
pub struct NotACost(pub String);

impl FromStr for Cost {
    type Err = NotACost;

    /// Reads dollars, as in `0.85`, `$0.0085`, `$ 12` and `.5`.
    fn from_str(text: &str) -> Result<Self, NotACost> {
        let refused = || NotACost(text.to_owned());
        let plain = text.trim();
        let plain = plain.strip_prefix('$').map_or(plain, str::trim_start);
        let (dollars, decimals) = plain.split_once('.').unwrap_or((plain, "0"));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if plain.is_empty()
            || !digits(dollars)
            || !digits(decimals)
            || !(1..=4).contains(&decimals.len())
            || dollars.len() > 10
        {
            return Err(refused());
        }
        let total: i64 = format!("{dollars}{decimals:0<4}").parse().map_err(|_| refused())?;
        if total > MAX_CENTS * 100 { Err(refused()) } else { Ok(Self(total)) }
    }
}

impl serde::Serialize for Cost {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_and_shown() {
        for (text, shown) in [("25", "25.00"), ("0.5", "0.50"), ("1.15", "1.15"), ("1000000000", "1000000000.00")] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), shown);
        }
        assert_eq!(Money::from_cents(5).checked_add(Money::from_cents(95)), Some(Money::from_cents(100)));
        assert_eq!(Money::from_cents(i64::MAX).checked_add(Money::from_cents(1)), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1.155", "1,15", "1e3", "1000000000.01", "99999999999", "NaN", " 1"]
        {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }

    #[test]
    fn costs_have_up_to_four_decimals() {
        for (text, shown) in [
            ("0.85", "0.85"),
            ("$0.8500", "0.85"),
            ("$ 0.0085", "0.0085"),
            ("0.125", "0.125"),
            (" 12 ", "12.00"),
            (".5", "0.50"),
            ("0", "0.00"),
            ("$1000000000", "1000000000.00"),
        ] {
            let cost = text.parse::<Cost>().unwrap();
            assert_eq!(cost.to_string(), shown);
            assert_eq!(cost.to_string().parse::<Cost>().unwrap(), cost);
        }
        assert_eq!("0.0085".parse::<Cost>().unwrap().ten_thousandths(), 85);
        for text in [
            "",
            "$",
            ".",
            "1.",
            "$.",
            "0.00851",
            "-1",
            "$-1",
            "+1",
            "1,15",
            "1,000.00",
            "$$1",
            "1e3",
            "1000000000.0001",
            "99999999999",
            "0.85 USD",
            "NaN",
        ] {
            assert!(text.parse::<Cost>().is_err(), "{text}");
        }
    }
}
