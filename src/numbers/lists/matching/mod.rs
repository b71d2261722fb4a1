//! Lists of the numbers whose digits match a pattern.

use super::{Page, Slice};
use crate::db::Db;
use crate::error::Denied;
use crate::numbers::{Refused, find_all};
use crate::values::page::{Cursor, REACH};
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// Which digits a number must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digits {
    /// The client sent digits that no number has.
    None,
    Whole(PhoneNumber),
    /// Some of them, as SQL's `like` compares all ten.
    Like(String),
}

impl Digits {
    /// All ten digits, in any spelling.
    pub fn of(text: &str) -> Self {
        text.parse().map_or(Self::None, Self::Whole)
    }

    /// All ten digits in any spelling, or the pattern of version 2010-04-01: `+1` and the first digits, or digits from anywhere; `*` is any digit.
    pub fn of_pattern(text: &str) -> Self {
        if let whole @ Self::Whole(_) = Self::of(text) {
            return whole;
        }
        let (digits, is_beginning) = match text.strip_prefix('+') {
            Some(digits) => (digits.strip_prefix('1').unwrap_or(if digits.is_empty() { "" } else { "+" }), true),
            None => (text, false),
        };
        let is_pattern = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*');
        if !is_pattern || digits.len() > 10 {
            return Self::None;
        }
        let anything = if is_beginning { "" } else { "%" };
        Self::Like(format!("{anything}{}%", digits.replace('*', "_")))
    }
}

/// Numbers of an account, of one kind or both, whose digits are like these.
#[derive(Clone, Copy)]
struct Matching<'a> {
    account: AccountSid,
    kind: Option<Kind>,
    like: &'a str,
    name: Option<&'a str>,
    /// The number whose default name this is.
    default: Option<PhoneNumber>,
}

/// A page of the matching numbers. Its total is at most [`REACH`].
///
/// # Errors
/// As [`Lists::page`](super::Lists::page).
pub async fn page(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    like: &str,
    name: Option<&str>,
    page: Page,
) -> Result<Slice, Denied<Refused>> {
    if page.cursor == Cursor::ByNumber && page.start() >= REACH {
        return Err(Refused::BeyondReach.into());
    }
    let default = name.and_then(|name| name.parse().ok().filter(|number: &PhoneNumber| number.formatted() == name));
    let db = &db.admitted().await?;
    let found = store::find(db, Matching { account, kind, like, name, default }, page).await?;
    let Found { total, start, sids } = found.ok_or(Refused::UnknownCursor)?;
    let number = u32::try_from(start / i64::from(page.size)).unwrap_or_default();
    let page = match page.cursor {
        Cursor::Last => Page { number, ..page },
        // If no more than a page is left before the cursor, this is the first page.
        Cursor::Before(_) if start == 0 => Page { number: 0, ..page },
        _ => page,
    };
    let asked: Vec<_> = sids.into_iter().map(|sid| (account, sid)).collect();
    Ok(Slice::new(page, total, find_all(db, &asked).await?))
}

/// The Sids of a page, and of the number after it.
struct Found {
    /// The number of items in the whole list, up to [`REACH`].
    total: i64,
    /// How many come before the page.
    start: i64,
    sids: Vec<NumberSid>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_beginning_or_a_part() {
        let like = |text: &str| Digits::Like(text.to_owned());
        for (text, digits) in [
            ("5309", like("%5309%")),
            ("415*******", like("%415_______%")),
            ("+1415", like("415%")),
            ("+1", like("%")),
            ("+", like("%")),
            ("*", like("%_%")),
        ] {
            assert_eq!(Digits::of_pattern(text), digits, "{text}");
        }
        let whole = Digits::of("4158675309");
        assert!(matches!(whole, Digits::Whole(_)));
        for text in ["4158675309", "+14158675309", "14158675309", "(415) 867-5309"] {
            assert_eq!(Digits::of_pattern(text), whole, "{text}");
        }
        for text in ["+44", "+4158675309", "(415) 867", "415%", "_", "415_", "é", "+1 415", "41586753091"] {
            assert_eq!(Digits::of_pattern(text), Digits::None, "{text}");
        }
    }
}
