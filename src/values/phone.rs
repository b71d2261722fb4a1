//! US phone numbers of the North American Numbering Plan (NANP).

use std::fmt;
use std::str::FromStr;

use crate::values::{area_codes, states};

mod plan;
mod spelling;

pub use plan::Plan;
pub use spelling::{may_be_foreign, range};

/// The two kinds of number that are sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "number_kind", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Local,
    TollFree,
}

impl Kind {
    /// The name on the command line and in views.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::TollFree => "tollfree",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A US area code; toll-free codes are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AreaCode(u16);

#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a US area code")]
pub struct NotAnAreaCode(String);

impl AreaCode {
    pub fn new(code: u16) -> Option<Self> {
        let known = |table: &[u16]| table.binary_search(&code).is_ok();
        (known(area_codes::GEOGRAPHIC) || known(area_codes::TOLL_FREE)).then_some(Self(code))
    }

    /// All codes of a kind, sorted.
    pub fn all(kind: Kind) -> impl ExactSizeIterator<Item = Self> {
        let codes = match kind {
            Kind::Local => area_codes::GEOGRAPHIC,
            Kind::TollFree => area_codes::TOLL_FREE,
        };
        codes.iter().copied().map(Self)
    }

    pub fn kind(self) -> Kind {
        match area_codes::TOLL_FREE.binary_search(&self.0) {
            Ok(_) => Kind::TollFree,
            Err(_) => Kind::Local,
        }
    }

    /// The state, DC or territory, as two letters; `None` for a toll-free code.
    pub fn state(self) -> Option<&'static str> {
        states::state_of(self.0)
    }

    /// As the database stores it.
    pub fn as_smallint(self) -> i16 {
        self.0.cast_signed()
    }
}

impl fmt::Display for AreaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for AreaCode {
    type Err = NotAnAreaCode;

    fn from_str(text: &str) -> Result<Self, NotAnAreaCode> {
        Some(text)
            .filter(|text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .and_then(Self::new)
            .ok_or_else(|| NotAnAreaCode(text.to_owned()))
    }
}

/// Ten digits. They need not be a valid phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(i64);

impl Digits {
    /// `None` if there are more than ten, or the number is negative.
    pub fn new(digits: i64) -> Option<Self> {
        (0..=9_999_999_999).contains(&digits).then_some(Self(digits))
    }

    pub const fn value(self) -> i64 {
        self.0
    }
}

/// A US phone number: the area code, an exchange (three digits) that begins with 2 to 9, and four more digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct PhoneNumber(i64);

/// Why a text is not a phone number, or a number cannot be added to the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    NotTenDigits,
    /// A spreadsheet dropped digits, as in `4.16E+09`.
    Rounded,
    NoUsAreaCode,
    /// The exchange begins with 0 or 1.
    NoExchange,
    /// The exchange is 211, 311 … 911 (N11): those codes are for services, such as emergency calls.
    ServiceExchange,
}

impl Reason {
    /// A short name, for counts of numbers by reason.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotTenDigits => "not ten digits",
            Self::Rounded => "rounded by a spreadsheet",
            Self::NoUsAreaCode => "no US area code",
            Self::NoExchange => "exchange begins with 0 or 1",
            Self::ServiceExchange => "N11 exchange",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", message(.text, *.reason))]
pub struct NotAPhoneNumber {
    pub text: String,
    pub reason: Reason,
}

fn message(text: &str, reason: Reason) -> String {
    match reason {
        Reason::NotTenDigits => format!("'{text}' is not ten digits"),
        Reason::Rounded => {
            format!("'{text}' was rounded by a spreadsheet: format the column as text there and export it again")
        }
        Reason::NoUsAreaCode => format!("{text} has no US area code"),
        Reason::NoExchange => format!("{text} has an exchange that begins with 0 or 1"),
        Reason::ServiceExchange => format!("{text} has an N11 exchange (211, 311 … 911), which no number has"),
    }
}

impl PhoneNumber {
    /// # Errors
    /// If `digits` is not ten digits, has no US area code, or has an exchange that begins with 0 or 1.
    pub fn new(digits: i64) -> Result<Self, NotAPhoneNumber> {
        let Digits(digits) = Digits::new(digits).ok_or_else(|| refused(digits, Reason::NotTenDigits))?;
        match Self(digits) {
            number if AreaCode::new(number.first_three()).is_none() => Err(refused(digits, Reason::NoUsAreaCode)),
            number if number.exchange() < 200 => Err(refused(digits, Reason::NoExchange)),
            number => Ok(number),
        }
    }

    /// As [`Self::new`], for a number to be added to the stock. Numbers with an N11 exchange were added before this
    /// check existed, so [`Self::new`] accepts them: they can be shown, withdrawn and released.
    ///
    /// # Errors
    /// As [`Self::new`], and if the exchange is an N11 service.
    pub fn for_stock(digits: i64) -> Result<Self, NotAPhoneNumber> {
        match Self::new(digits)? {
            number if number.exchange() % 100 == 11 => Err(refused(digits, Reason::ServiceExchange)),
            number => Ok(number),
        }
    }

    const fn exchange(self) -> i64 {
        self.0 / 10_000 % 1000
    }

    /// At most 999, because there are ten digits in all.
    const fn first_three(self) -> u16 {
        (self.0 / 10_000_000) as u16
    }

    pub const fn area_code(self) -> AreaCode {
        AreaCode(self.first_three())
    }

    pub fn kind(self) -> Kind {
        self.area_code().kind()
    }

    pub const fn digits(self) -> i64 {
        self.0
    }

    /// The default FriendlyName, as in `(415) 867-5309`.
    pub fn formatted(self) -> String {
        let digits = self.letters();
        let mut text = String::with_capacity("(415) 867-5309".len());
        for (mark, part) in [("(", &digits[..3]), (") ", &digits[3..6]), ("-", &digits[6..])] {
            text.push_str(mark);
            text.extend(part.iter().map(|digit| char::from(*digit)));
        }
        text
    }

    /// The ten digits as ASCII text.
    pub fn letters(self) -> [u8; 10] {
        let (mut digits, mut rest) = ([0; 10], self.0);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }
}

fn refused(digits: i64, reason: Reason) -> NotAPhoneNumber {
    NotAPhoneNumber { text: format!("{digits:010}"), reason }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

impl FromStr for PhoneNumber {
    type Err = NotAPhoneNumber;

    /// Reads all spellings that [`Digits`] reads.
    fn from_str(text: &str) -> Result<Self, NotAPhoneNumber> {
        Self::new(text.parse::<Digits>()?.value())
    }
}

impl serde::Serialize for PhoneNumber {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_a_us_area_code_and_an_exchange() {
        assert_eq!("4158675309".parse::<PhoneNumber>().unwrap().kind(), Kind::Local);
        assert_eq!("866-867-5309".parse::<PhoneNumber>().unwrap().kind(), Kind::TollFree);
        for (text, reason) in [
            ("4161234567", Reason::NoUsAreaCode),
            ("0158675309", Reason::NoUsAreaCode),
            ("9118675309", Reason::NoUsAreaCode),
            ("4151234567", Reason::NoExchange),
            ("(415) 099-9999", Reason::NoExchange),
            ("415", Reason::NotTenDigits),
        ] {
            assert_eq!(text.parse::<PhoneNumber>().expect_err(text).reason, reason, "{text}");
        }
    }

    #[test]
    fn no_number_with_an_n11_exchange_comes_into_stock() {
        for n in 2..=9 {
            for last in [0, 5309, 9999] {
                let digits = 4_150_000_000 + n * 1_000_000 + 110_000 + last;
                assert_eq!(PhoneNumber::for_stock(digits).expect_err("N11").reason, Reason::ServiceExchange);
                assert!(PhoneNumber::new(digits).is_ok(), "one that is there already has a name");
            }
            assert!(PhoneNumber::for_stock(4_150_000_000 + n * 1_000_000 + 109_999).is_ok());
            assert!(PhoneNumber::for_stock(4_150_000_000 + n * 1_000_000 + 120_000).is_ok());
        }
        assert_eq!(PhoneNumber::for_stock(4_150_110_000).expect_err("011").reason, Reason::NoExchange);
    }

    #[test]
    fn the_default_name_is_nicely_formatted() {
        assert_eq!("4158670009".parse::<PhoneNumber>().unwrap().formatted(), "(415) 867-0009");
    }
}
