//! Phone numbers of the North American Numbering Plan, as far as this registry sells them.

use std::fmt;
use std::str::FromStr;

use crate::kernel::area_codes;
use crate::kernel::represent::Plain;

/// The two kinds of number that are sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type, serde::Serialize, clap::ValueEnum)]
#[sqlx(type_name = "number_kind", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Kind {
    Local,
    TollFree,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local",
            Self::TollFree => "tollfree",
        })
    }
}

/// A US area code, toll-free codes included.
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

    pub fn kind(self) -> Kind {
        match area_codes::TOLL_FREE.binary_search(&self.0) {
            Ok(_) => Kind::TollFree,
            Err(_) => Kind::Local,
        }
    }

    /// As the database keeps it.
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

/// Ten digits: a US area code and an exchange that begins with 2 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct PhoneNumber(i64);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPhoneNumber {
    #[error("'{0}' is not ten digits")]
    NotTenDigits(String),
    #[error("{0} has no US area code")]
    NoUsAreaCode(String),
    #[error("{0} has an exchange that does not begin with 2 to 9")]
    NoExchange(String),
}

impl PhoneNumber {
    /// # Errors
    /// When `digits` is not ten digits, has no US area code or no possible exchange.
    pub fn new(digits: i64) -> Result<Self, NotAPhoneNumber> {
        let text = || digits.to_string();
        if !(1_000_000_000..=9_999_999_999).contains(&digits) {
            return Err(NotAPhoneNumber::NotTenDigits(text()));
        }
        if Self(digits).area_code().is_none() {
            return Err(NotAPhoneNumber::NoUsAreaCode(text()));
        }
        if digits / 1_000_000 % 10 < 2 {
            return Err(NotAPhoneNumber::NoExchange(text()));
        }
        Ok(Self(digits))
    }

    pub fn area_code(self) -> Option<AreaCode> {
        u16::try_from(self.0 / 10_000_000).ok().and_then(AreaCode::new)
    }

    pub fn kind(self) -> Kind {
        self.area_code().map_or(Kind::Local, AreaCode::kind)
    }

    pub const fn digits(self) -> i64 {
        self.0
    }

    /// `(415) 867-5309`, the friendly name of a number that was given none.
    pub fn formatted(self) -> String {
        let digits = self.letters();
        let mut text = String::with_capacity("(415) 867-5309".len());
        for (mark, part) in [("(", &digits[..3]), (") ", &digits[3..6]), ("-", &digits[6..])] {
            text.push_str(mark);
            text.extend(part.iter().map(|digit| char::from(*digit)));
        }
        text
    }

    /// The ten digits as text.
    fn letters(self) -> [u8; 10] {
        let (mut digits, mut rest) = ([0; 10], self.0);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }

    /// Reads `4158675309`, `+14158675309`, `14158675309` and decorated forms such as
    /// `(415) 867-5309` or `+1 415.867.5309`; the digits need not be a number that is sold.
    pub fn from_decorated(text: &str) -> Option<Self> {
        let (plus, rest) = match text.trim().strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text.trim()),
        };
        let digits: String = rest.chars().filter(|c| !matches!(c, ' ' | '(' | ')' | '-' | '.')).collect();
        let national = match (digits.len(), digits.strip_prefix('1')) {
            (11, Some(national)) => national,
            (10, _) if !plus => &digits,
            _ => return None,
        };
        national.bytes().all(|b| b.is_ascii_digit()).then(|| national.parse().ok().map(Self))?
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

impl Plain for PhoneNumber {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.letters());
    }
}

impl FromStr for PhoneNumber {
    type Err = NotAPhoneNumber;

    /// Ten digits without decoration.
    fn from_str(text: &str) -> Result<Self, NotAPhoneNumber> {
        Some(text)
            .filter(|text| text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| NotAPhoneNumber::NotTenDigits(text.to_owned()))
            .and_then(Self::new)
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
    fn decorated_forms_are_the_ten_digits() {
        for text in ["4158675309", "14158675309", "+14158675309", "(415) 867-5309", "+1 415.867.5309", "1-415-867-5309"]
        {
            assert_eq!(PhoneNumber::from_decorated(text).unwrap().to_string(), "4158675309", "{text}");
        }
        for text in ["", "415867530", "41586753090", "+4158675309", "415867530x", "41586753०9", "++14158675309"] {
            assert_eq!(PhoneNumber::from_decorated(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_needs_a_us_area_code_and_an_exchange() {
        assert_eq!("4158675309".parse::<PhoneNumber>().unwrap().kind(), Kind::Local);
        assert_eq!("8668675309".parse::<PhoneNumber>().unwrap().kind(), Kind::TollFree);
        assert!(matches!("4161234567".parse::<PhoneNumber>(), Err(NotAPhoneNumber::NoUsAreaCode(_))));
        assert!(matches!("4151234567".parse::<PhoneNumber>(), Err(NotAPhoneNumber::NoExchange(_))));
        assert!(matches!("+14158675309".parse::<PhoneNumber>(), Err(NotAPhoneNumber::NotTenDigits(_))));
    }

    #[test]
    fn the_default_name_is_nicely_formatted() {
        assert_eq!("4158670009".parse::<PhoneNumber>().unwrap().formatted(), "(415) 867-0009");
    }
}
