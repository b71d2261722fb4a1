//! Sids: ids of two letters, which tell the type, and 32 lower-case hex digits, which are 128 bits: random ones, and in
//! the Sid of a number the time of its purchase before them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::chance::Chance;

/// 128 bits from the operating system's cryptographic random number generator.
///
/// # Panics
/// If the operating system gives no random bytes: it would not be safe to go on.
pub fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    u128::from_ne_bytes(bytes)
}

/// A text that is not a Sid of the expected kind.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not a Sid: {prefix} and 32 lower-case hex digits are expected")]
pub struct NotASid {
    text: String,
    prefix: &'static str,
}

impl NumberSid {
    /// The Sid of a number that is bought at this moment.
    pub fn drawn_at(chance: &Chance, moment: DateTime<Utc>) -> Self {
        Self(Uuid::from_u128(chance.bits_at(moment)))
    }
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// No other comes before it.
            pub const LEAST: Self = Self(Uuid::nil());
            /// No other comes after it.
            pub const MOST: Self = Self(Uuid::max());

            pub fn random() -> Self {
                Self(Uuid::from_u128(random_bits()))
            }

            pub fn drawn(chance: &Chance) -> Self {
                Self(Uuid::from_u128(chance.bits()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), self.0.as_u128())
            }
        }

        impl $name {
            /// The Sid as ASCII text.
            pub fn letters(&self) -> [u8; 34] {
                let mut letters = [0; 34];
                letters[..2].copy_from_slice($prefix.as_bytes());
                self.0.simple().encode_lower(&mut letters[2..]);
                letters
            }
        }

        impl FromStr for $name {
            type Err = NotASid;

            /// Accepts lower-case hex digits only: the API compares Sids exactly.
            fn from_str(text: &str) -> Result<Self, NotASid> {
                let lower_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
                text.strip_prefix($prefix)
                    .filter(|hex| hex.len() == 32 && hex.chars().all(lower_hex))
                    .and_then(|hex| u128::from_str_radix(hex, 16).ok())
                    .map(|bits| Self(Uuid::from_u128(bits)))
                    .ok_or_else(|| NotASid { text: text.to_owned(), prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

sid!(
    /// Identifies an account.
    AccountSid, "AC"
);
sid!(
    /// Identifies an IncomingPhoneNumber: one tenancy of one number.
    NumberSid, "PN"
);
sid!(
    /// Identifies an API key.
    KeySid, "SK"
);

sid!(
    /// Identifies a call.
    CallSid, "CA"
);
sid!(
    /// Identifies a message.
    MessageSid, "SM"
);
sid!(
    /// Identifies a notification: what went wrong in a call or a message.
    NotificationSid, "NO"
);
sid!(
    /// Identifies a recording.
    RecordingSid, "RE"
);

/// The Sid of a resource that Twilio has and this registry does not, as it was given.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct ForeignSid(String);

impl ForeignSid {
    /// The length of every Sid, in characters of ASCII.
    pub const LENGTH: usize = 34;

    /// `None` if the text is not `prefix` and 32 hex digits, lower-case or not.
    pub fn new(prefix: &str, text: &str) -> Option<Self> {
        let hex = text.strip_prefix(prefix)?;
        let is_sid = text.len() == Self::LENGTH && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_sid.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_read_back_exactly() {
        let sid = AccountSid::random();
        assert_eq!(sid.to_string().parse::<AccountSid>().unwrap(), sid);
        let text = "PNe536dfda7c6184afab78d980cb8cdf43";
        assert_eq!(text.parse::<NumberSid>().unwrap().to_string(), text);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "PN",
            "ACe536dfda7c6184afab78d980cb8cdf43",
            "PNE536DFDA7C6184AFAB78D980CB8CDF43",
            "PNe536dfda7c6184afab78d980cb8cdf4",
            "PN+536dfda7c6184afab78d980cb8cdf43",
        ] {
            assert!(text.parse::<NumberSid>().is_err(), "{text}");
        }
    }
}
