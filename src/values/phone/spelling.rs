//! Reads phone numbers as people, address books and spreadsheets write them.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::{Digits, NotAPhoneNumber, Reason};
use crate::values::area_codes::FOREIGN;

impl FromStr for Digits {
    type Err = NotAPhoneNumber;

    /// Reads ten digits in any usual spelling, as `4158675309`, `+1 (415) 867-5309`, `1-415-867-5309`,
    /// `tel:+14158675309`, or as a spreadsheet writes them if it keeps all digits: `4158675309.0`, `4.158675309E+09`.
    ///
    /// # Errors
    /// If there are not exactly ten digits, after an optional country code 1. Only `0` to `9` are digits.
    fn from_str(text: &str) -> Result<Self, NotAPhoneNumber> {
        let refused = |reason| NotAPhoneNumber { text: text.trim().to_owned(), reason };
        let plain = unwrapped(text);
        let (plus, rest) = plain.strip_prefix('+').map_or((false, &*plain), |rest| (true, rest));
        let digits = match exponent(rest) {
            Some(digits) => digits.ok_or_else(|| refused(Reason::Rounded))?,
            // Separators are between digits: after one at the end, something is missing.
            None if rest.ends_with(is_separator) => return Err(refused(Reason::NotTenDigits)),
            None => whole(rest).chars().filter(|c| !is_separator(*c)).collect(),
        };
        let national = match (digits.len(), digits.strip_prefix('1')) {
            (11, Some(national)) => Some(national),
            (10, _) if !plus => Some(&*digits),
            _ => None,
        };
        let national = national.filter(|national| national.bytes().all(|byte| byte.is_ascii_digit()));
        let digits = national.and_then(|national| national.parse().ok()).and_then(Self::new);
        digits.ok_or_else(|| refused(Reason::NotTenDigits))
    }
}

/// Removes what is not part of the number: invisible characters, such as the bidi marks that address books copy, spaces
/// around it, the apostrophe that makes a spreadsheet keep a cell as text, and `tel:`.
fn unwrapped(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let seen = seen.trim();
    let seen = seen.strip_prefix('\'').unwrap_or(seen).trim_start();
    let number = seen.split_at_checked(4).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("tel:"));
    number.map_or(seen, |(_, number)| number.trim_start()).to_owned()
}

const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Spaces, parentheses, dots, slashes, and dashes of every length.
fn is_separator(c: char) -> bool {
    matches!(c, '(' | ')' | '-' | '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        || c == ' '
        || c == '\u{a0}'
        || c == '\u{202f}'
}

/// Removes the `.0` that a program appended: zeros after a single dot are not digits of the number, even if they would
/// make ten.
fn whole(text: &str) -> &str {
    let split = text.split_once('.');
    let is_fraction = |(whole, zeros): &(&str, &str)| {
        whole.bytes().all(|byte| byte.is_ascii_digit()) && zeros.bytes().all(|byte| byte == b'0')
    };
    split.filter(is_fraction).map_or(text, |(whole, _)| whole)
}

/// The digits of `4.158675309E+09`. `None` if the text is not in this format; `Some(None)` if digits are missing.
fn exponent(text: &str) -> Option<Option<String>> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: usize = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let (first, rest) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if first.len() != 1 || !are_digits(first) || !are_digits(rest) {
        return None;
    }
    Some((rest.len() == exponent).then(|| format!("{first}{rest}")))
}

/// Whether a text that is no US phone number may be one of another country: `+` with another country code and at most the
/// 15 digits that there are, or one of the plan's other countries.
pub fn may_be_foreign(text: &str) -> bool {
    let plain = unwrapped(text);
    let digits = |text: &str| text.chars().filter(|c| !is_separator(*c)).collect::<String>();
    match plain.strip_prefix('+').map(digits) {
        Some(digits) if !digits.starts_with('1') => {
            (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => plain.parse::<Digits>().is_ok_and(|number| {
            let (code, exchange) = (number.value() / 10_000_000, number.value() / 10_000 % 1000);
            exchange >= 200 && u16::try_from(code).is_ok_and(|code| FOREIGN.binary_search(&code).is_ok())
        }),
    }
}

/// Reads a range such as `4158670000-4158679999`, or one number, in any spelling that [`Digits`] reads. The
/// digits need not be valid phone numbers.
///
/// # Errors
/// If it is neither, or the end is before the beginning.
pub fn range(text: &str) -> Result<RangeInclusive<i64>, String> {
    let one = match digits_of(text) {
        Ok(digits) => return Ok(digits..=digits),
        Err(error) => error,
    };
    // Two numbers have at least twenty digits, so only the dash between them has a whole number on each side.
    let dashes = text.char_indices().take(100).filter(|(_, c)| matches!(c, '-' | '\u{2013}'));
    let split =
        |(at, dash): (usize, char)| Some(digits_of(&text[..at]).ok()?..=digits_of(&text[at + dash.len_utf8()..]).ok()?);
    let mut splits = dashes.filter_map(split);
    match splits.next() {
        Some(range) if range.is_empty() => Err(format!("'{text}' ends before it begins")),
        Some(range) => Ok(range),
        None => Err(format!("{one}; give one number, or two with a dash between them, as in 4158670000-4158679999")),
    }
}

fn digits_of(text: &str) -> Result<i64, NotAPhoneNumber> {
    text.parse().map(Digits::value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_another_country_may_be_one() {
        for text in ["+442071838750", "+44 20 7183 8750", "+14165550100", "4165550100", "+49 (30) 901820"] {
            assert!(may_be_foreign(text), "{text}");
        }
        for text in [
            "",
            "+",
            "+1",
            "+4420",
            "+1500555000",
            "+15005550006",
            "442071838750",
            "+1416155010",
            "+4420718387501234",
            "+44x2071838750",
        ] {
            assert!(!may_be_foreign(text), "{text}");
        }
    }

    #[test]
    fn every_spelling_is_the_digits_of() {
        for text in [
            "4158675309",
            "14158675309",
            "+14158675309",
            "(415) 867-5309",
            "+1 (415) 867-5309",
            "+1 415.867.5309",
            "1-415-867-5309",
            " 415/867-5309\t",
            "tel:+1-415-867-5309",
            "TEL: 415 867 5309",
            "'4158675309",
            "'+14158675309",
            "\u{202a}+1 415 867 5309\u{202c}",
            "\u{feff}4158675309",
            "415\u{a0}867\u{2011}5309",
            "415\u{2013}867\u{2212}5309",
            "4158675309.0",
            "14158675309.00",
            "4158675309.000",
            "4.158675309E+09",
            "4,158675309e9",
            "1.4158675309E+10",
            "+1.4158675309E10",
        ] {
            assert_eq!(digits_of(text), Ok(4_158_675_309), "{text}");
        }
        assert_eq!(digits_of("415.867.0000"), Ok(4_158_670_000));
    }

    #[test]
    fn what_is_not_ten_digits_is_no_number() {
        for text in [
            "",
            "415867530",
            "41586753090",
            "+4158675309",
            "415867530x",
            "41586753०9",
            "++14158675309",
            "415867530.0",
            "415867530.00",
            "8675309.000",
            "415867.0000",
            "18675309.000",
            "1.0000000000",
            "004158675309",
            "24158675309",
            "4158675309 x12",
            "4158675309;ext=12",
            "415\n8675309",
            "415\t8675309",
            "tel:tel:4158675309",
            "-4158675309x",
            "E",
            "4E9",
            "4158675309-",
            "415867530.",
            "４１５８６７５３０９",
        ] {
            let reason = digits_of(text).expect_err(text).reason;
            assert_eq!(reason, if text == "4E9" { Reason::Rounded } else { Reason::NotTenDigits }, "{text}");
        }
        for text in ["4.16E+09", "4.15868E+09", "4.1586753E+9", "1.41587E+10", "4.158675309E+10"] {
            assert_eq!(digits_of(text).expect_err(text).reason, Reason::Rounded, "{text}");
        }
    }

    #[test]
    fn ranges_come_in_any_spelling() {
        let whole = 4_158_670_000..=4_158_679_999;
        for text in [
            "4158670000-4158679999",
            "415-867-0000-415-867-9999",
            "415-867-0000-1-415-867-9999",
            "1-415-867-0000-1-415-867-9999",
            "(415) 867-0000 - (415) 867-9999",
            "+14158670000\u{2013}+14158679999",
        ] {
            assert_eq!(range(text), Ok(whole.clone()), "{text}");
        }
        assert_eq!(range("415-867-5309"), Ok(4_158_675_309..=4_158_675_309));
        for text in ["", "-", "415867000", "4158670000-", "4158670000-9999", "4158670000-4158679999-4158679999"] {
            assert!(range(text).is_err(), "{text}");
        }
        assert!(range("4158679999-4158670000").unwrap_err().contains("ends before"));
    }
}
