//! Patterns of digits, as Twilio writes them: `+1415`, `*FLOWERS`, `415%09$`.

use std::str::FromStr;

use crate::values::phone::AreaCode;

/// Which digits a number must have, from the country code on. Digits are read by a machine that is in several slots at
/// once, as the bits of an integer: bit `i` for slot `i`, and one more for the end.
#[derive(Clone, Debug)]
pub struct Pattern {
    slots: Vec<Slot>,
    /// The slots that each digit leads on from.
    led_on: [Slots; 10],
    many: Slots,
    /// The slots from which this many digits can lead to the end.
    hopeful: [Slots; DIGITS + 1],
}

/// Ranges of numbers: the first and the last of each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    pub list: Vec<[i64; 2]>,
    /// Whether they hold all numbers that match.
    pub are_all: bool,
}

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Digit(u8),
    Any,
    /// Any number of digits. No two of them follow each other.
    Many,
}

#[derive(Debug, thiserror::Error)]
#[error("no pattern of digits")]
pub struct NotAPattern;

/// A set of slots: at most twenty, with the end.
type Slots = u32;

/// The country code and the ten digits of a number.
const DIGITS: usize = 11;

/// How many digits come after an area code.
const AFTER_AREA: usize = 7;

/// The last digits that a range may leave open: it is an exchange at most, so that no plan reads more of it than that.
const WIDEST: usize = 4;

impl FromStr for Pattern {
    type Err = NotAPattern;

    /// Reads 2 to 16 of: digits; letters, as they are on a keypad; `*` for one digit, `%` for any number of them. After a
    /// `+` they begin at the country code, before a `$` they end at the last digit; else they may be anywhere in the ten
    /// digits.
    ///
    /// # Errors
    /// For anything else, and if fewer than two are digits or letters.
    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        if !(2..=16).contains(&text.len()) {
            return Err(NotAPattern);
        }
        let (is_beginning, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        let (is_end, rest) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
        let inner = rest.bytes().map(slot).collect::<Option<Vec<_>>>().ok_or(NotAPattern)?;
        if inner.iter().filter(|slot| matches!(slot, Slot::Digit(_))).count() < 2 {
            return Err(NotAPattern);
        }
        // Before the ten digits is the 1 of the country.
        let before: &[_] = if is_beginning { &[] } else { &[Slot::Any, Slot::Many] };
        let after: &[_] = if is_end { &[] } else { &[Slot::Many] };
        let mut slots = [before, &inner, after].concat();
        slots.dedup_by(|second, first| (*second, *first) == (Slot::Many, Slot::Many));
        Ok(Self::new(slots))
    }
}

/// The slot of a character. Letters have the digit of their key: `abc` 2 … `pqrs` 7 … `wxyz` 9.
fn slot(character: u8) -> Option<Slot> {
    Some(match character.to_ascii_lowercase() {
        digit @ b'0'..=b'9' => Slot::Digit(digit - b'0'),
        letter @ b'a'..=b'o' => Slot::Digit(2 + (letter - b'a') / 3),
        b'p'..=b's' => Slot::Digit(7),
        b't'..=b'v' => Slot::Digit(8),
        b'w'..=b'z' => Slot::Digit(9),
        b'*' => Slot::Any,
        b'%' => Slot::Many,
        _ => return None,
    })
}

impl Pattern {
    fn new(slots: Vec<Slot>) -> Self {
        let bits =
            |fits: &dyn Fn(usize) -> bool| (0..=slots.len()).filter(|at| fits(*at)).fold(0, |all, at| all | 1 << at);
        let many = |at: usize| slots.get(at) == Some(&Slot::Many);
        let led_on = |digit: usize| {
            bits(&|at| slots.get(at).is_some_and(|slot| [Slot::Any, Slot::Digit(digit as u8)].contains(slot)))
        };
        let reaches = |at: usize, left: usize| {
            let rest = &slots[at..];
            let needed = rest.iter().filter(|slot| **slot != Slot::Many).count();
            needed == left || needed < left && needed < rest.len()
        };
        Self {
            led_on: std::array::from_fn(led_on),
            many: bits(&many),
            hopeful: std::array::from_fn(|left| bits(&|at| reaches(at, left))),
            slots,
        }
    }

    /// As SQL's `like` compares the eleven digits.
    pub(super) fn like(&self) -> String {
        let letter = |slot: &Slot| match slot {
            Slot::Digit(digit) => char::from(b'0' + digit),
            Slot::Any => '_',
            Slot::Many => '%',
        };
        self.slots.iter().map(letter).collect()
    }

    /// Whether numbers with this area code can match.
    pub(super) fn is_possible_in(&self, code: AreaCode) -> bool {
        self.is_possible(self.after_area(code), AFTER_AREA)
    }

    /// Ranges of the numbers with these area codes that match, and of no others, in the order of the codes. At most `most`
    /// of them, and none in a code of which all numbers match.
    pub(super) fn ranges(&self, codes: &[AreaCode], most: usize) -> Ranges {
        let mut list = Vec::new();
        let are_all = codes.iter().all(|code| {
            let at = self.after_area(*code);
            !self.takes_all(at) && self.find(at, code.as_smallint().into(), AFTER_AREA, most, &mut list)
        });
        Ranges { list, are_all }
    }

    /// Adds the ranges of matching numbers that begin with the digits `begun` and have `left` more digits. It goes on only
    /// with digits that can still match, and each of these leads to a range: so `most` limits the work too. Returns whether
    /// all ranges were added.
    fn find(&self, at: Slots, begun: i64, left: usize, most: usize, found: &mut Vec<[i64; 2]>) -> bool {
        if !self.is_possible(at, left) {
            return true;
        }
        if left > WIDEST || left > 0 && !self.takes_all(at) {
            // No exchange begins with 0 or 1.
            let first = if left == AFTER_AREA { 2 } else { 0 };
            return (first..10)
                .all(|digit| self.find(self.step(at, digit), begun * 10 + digit as i64, left - 1, most, found));
        }
        let is_room = found.len() < most;
        if is_room {
            let width = 10_i64.pow(left as u32);
            found.push([begun * width, (begun + 1) * width - 1]);
        }
        is_room
    }

    fn after_area(&self, code: AreaCode) -> Slots {
        let code = usize::from(code.as_smallint().unsigned_abs());
        let digits = [1, code / 100, code / 10 % 10, code % 10];
        digits.iter().fold(self.with_skipped(1), |at, digit| self.step(at, *digit))
    }

    /// The slots after one more digit.
    fn step(&self, at: Slots, digit: usize) -> Slots {
        self.with_skipped((at & self.led_on[digit]) << 1 | at & self.many)
    }

    /// With the slot after each `Many`, which may stand for no digit.
    fn with_skipped(&self, at: Slots) -> Slots {
        at | (at & self.many) << 1
    }

    /// Whether some digits, `left` of them, lead from here to the end.
    fn is_possible(&self, at: Slots, left: usize) -> bool {
        at & self.hopeful[left] != 0
    }

    /// Whether all digits lead from here to the end.
    fn takes_all(&self, at: Slots) -> bool {
        let end = self.slots.len();
        at & self.many & 1 << (end - 1) != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::values::phone::Kind;

    /// Whether the digits match from their first one on, by the words of the contract.
    fn begins(pattern: &[char], is_end: bool, digits: &[char]) -> bool {
        match (pattern.split_first(), digits.split_first()) {
            (None, _) => !is_end || digits.is_empty(),
            (Some(('%', rest)), _) => (0..=digits.len()).any(|skipped| begins(rest, is_end, &digits[skipped..])),
            (Some((wanted, rest)), Some((digit, others))) => {
                let keys = ["0", "1", "2abc", "3def", "4ghi", "5jkl", "6mno", "7pqrs", "8tuv", "9wxyz"];
                let key = |c: &char| keys.iter().position(|key| key.contains(c.to_ascii_lowercase()));
                (*wanted == '*' || key(wanted) == key(digit)) && begins(rest, is_end, others)
            }
            (Some(_), None) => false,
        }
    }

    /// A simple model of a pattern.
    fn matches(text: &str, number: i64) -> bool {
        let (is_beginning, is_end) = (text.starts_with('+'), text.ends_with('$'));
        let pattern: Vec<_> = text.trim_start_matches('+').trim_end_matches('$').chars().collect();
        let digits: Vec<_> = format!("1{number}").chars().collect();
        let mut places = if is_beginning { 0..=0 } else { 1..=10 };
        places.any(|place| begins(&pattern, is_end, &digits[place..]))
    }

    /// What `like` says of the eleven digits.
    fn is_like(like: &[char], digits: &[char]) -> bool {
        match like.split_first() {
            None => digits.is_empty(),
            Some(('%', rest)) => (0..=digits.len()).any(|skipped| is_like(rest, &digits[skipped..])),
            Some((wanted, rest)) => digits
                .split_first()
                .is_some_and(|(digit, others)| (*wanted == '_' || wanted == digit) && is_like(rest, others)),
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["22", "+14", "+1415", "*FLOWERS", "415%09$", "%%22", "aZ", "+4158675309$", "12345678901234$"] {
            assert!(text.parse::<Pattern>().is_ok(), "{text}");
        }
        for text in [
            "",
            "2",
            "+1",
            "2$",
            "+2$",
            "**",
            "2*",
            "%9%",
            "22+",
            "$22",
            "2$2",
            "++22",
            "22$$",
            "2 2",
            "22-",
            "é2",
            "12345678901234567",
            "(415)",
            "+",
            "$",
            "+$",
            "22\u{661}",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_are_ranges_or_a_walk() {
        let local: Vec<_> = AreaCode::all(Kind::Local).collect();
        let ranges = |text: &str, codes: &[AreaCode]| text.parse::<Pattern>().unwrap().ranges(codes, 4000);
        let all = |text: &str| Some(ranges(text, &local)).filter(|ranges| ranges.are_all).map(|ranges| ranges.list);
        assert_eq!(all("+1415867"), Some(vec![[4_158_670_000, 4_158_679_999]]));
        assert_eq!(all("+14158675309"), Some(vec![[4_158_675_309, 4_158_675_309]]));
        assert_eq!(all("4158675309"), all("+14158675309$"));
        assert_eq!(all("+1416867"), Some(vec![]), "not in the US");
        assert_eq!(all("+1415112"), Some(vec![]), "no exchange begins with 1");
        assert_eq!(all("+1415$"), Some(vec![]));
        // One for each area code, where the first three digits are open.
        assert_eq!(all("8675309$").map(|list| list.len()), Some(local.len()));
        assert_eq!(all("*FLOWERS$").map(|list| list.len()), Some(local.len()));
        for digits in ["675309", "222222", "203040", "999999"] {
            assert!(all(digits).is_some(), "{digits}");
        }
        for walked in ["22", "5309", "67530"] {
            assert_eq!((ranges(walked, &local).list.len(), all(walked)), (4000, None), "{walked}");
        }
        for area in ["+1415", "+14", "+1%41"] {
            assert_eq!(all(area), None, "{area}");
        }
    }

    fn number() -> impl Strategy<Value = i64> {
        let codes = prop_oneof![9 => Just(415_i64), 1 => Just(212), 1 => Just(224)];
        (codes, 2..10_i64, 0..1_000_000_i64).prop_map(|(code, first, rest)| (code * 10 + first) * 1_000_000 + rest)
    }

    /// A number, and a pattern that is made of some of its digits, or of others.
    fn both() -> impl Strategy<Value = (i64, String)> {
        let edit = prop_oneof![4 => Just(None), 3 => "[*%]?".prop_map(Some), 1 => "[0-9a-zA-Z]".prop_map(Some)];
        let cut = (0..11_usize, 2..11_usize);
        let of_number = (number(), proptest::collection::vec(edit, 11), cut, any::<[bool; 2]>()).prop_map(
            |(number, edits, (skipped, length), [is_beginning, is_end])| {
                let digits = format!("1{number}");
                let letters = digits.chars().map(String::from).zip(edits);
                let edited = letters.map(|(digit, edit)| edit.unwrap_or(digit));
                let kept: String = edited.skip(skipped).take(length).collect();
                let (plus, end) = (if is_beginning { "+" } else { "" }, if is_end { "$" } else { "" });
                (number, format!("{plus}{kept}{end}"))
            },
        );
        prop_oneof![3 => of_number, 1 => (number(), "\\+?[0-9a-zA-Z*%]{2,14}\\$?")]
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_the_model_matches((number, text) in both()) {
            let Ok(pattern) = text.parse::<Pattern>() else { return Ok(()) };
            let expected = matches(&text, number);
            let digits: Vec<_> = format!("1{number}").chars().collect();
            prop_assert_eq!(is_like(&pattern.like().chars().collect::<Vec<_>>(), &digits), expected);
            let code: AreaCode = number.to_string()[..3].parse().unwrap();
            prop_assert!(pattern.is_possible_in(code) || !expected);
            let Ranges { list, are_all } = pattern.ranges(&[code], 4000);
            let holding = list.iter().filter(|[low, high]| (*low..=*high).contains(&number)).count();
            prop_assert!(holding == usize::from(expected) || holding == 0 && !are_all, "{:?}", list);
        }

        #[test]
        fn a_text_is_a_pattern_or_not_and_breaks_nothing(text in "\\PC{0,20}|[+]?[0-9a-zA-Z*%$+]{0,18}[$]?") {
            let letters = text.strip_prefix('+').unwrap_or(&text);
            let letters = letters.strip_suffix('$').unwrap_or(letters);
            let fits = (2..=16).contains(&text.len())
                && letters.chars().all(|c| c.is_ascii_alphanumeric() || "*%".contains(c))
                && letters.chars().filter(|c| c.is_ascii_alphanumeric()).count() >= 2;
            let pattern = text.parse::<Pattern>();
            prop_assert_eq!(pattern.is_ok(), fits);
            if let Ok(pattern) = pattern {
                let local: Vec<_> = AreaCode::all(Kind::Local).collect();
                prop_assert!(pattern.ranges(&local, 4000).list.len() <= 4000);
            }
        }
    }
}
