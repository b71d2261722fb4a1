//! Which numbers there are for clients.

use super::{AreaCode, NotAPhoneNumber, NotAnAreaCode, PhoneNumber, Reason, refused};
use crate::values::phone::Digits;

/// A numbering plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    #[default]
    Us,
    /// Also the made-up codes and numbers of Twilio's test credentials, which a world has.
    UsAndTests,
}

impl Plan {
    /// The test code that numbers are sold by.
    pub const TEST_CODE: AreaCode = AreaCode(500);

    /// The test code that is always sold out.
    const SOLD_OUT: AreaCode = AreaCode(533);

    /// The test numbers. The first one is never for sale, and the second one is none.
    const TEST_NUMBERS: std::ops::RangeInclusive<i64> = 5_005_550_000..=5_005_550_999;
    const NEVER_FOR_SALE: i64 = 5_005_550_000;
    const NO_NUMBER: i64 = 5_005_550_001;

    /// # Errors
    /// If the plan has no such code.
    pub fn area_code(self, text: &str) -> Result<AreaCode, NotAnAreaCode> {
        let test = [Self::TEST_CODE, Self::SOLD_OUT].into_iter().find(|code| code.to_string() == text);
        match (self, test) {
            (Self::UsAndTests, Some(code)) => Ok(code),
            _ => text.parse(),
        }
    }

    /// # Errors
    /// If the plan has no such number.
    pub fn number(self, text: &str) -> Result<PhoneNumber, NotAPhoneNumber> {
        match text.parse::<Digits>()?.value() {
            digits @ Self::NO_NUMBER => Err(refused(digits, Reason::NoUsAreaCode)),
            digits if self == Self::UsAndTests && Self::TEST_NUMBERS.contains(&digits) => Ok(PhoneNumber(digits)),
            digits => PhoneNumber::new(digits),
        }
    }

    /// The test numbers that can be bought.
    pub fn for_sale() -> impl Iterator<Item = PhoneNumber> {
        Self::TEST_NUMBERS.filter(|digits| ![Self::NEVER_FOR_SALE, Self::NO_NUMBER].contains(digits)).map(PhoneNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_codes_and_numbers_are_of_one_plan_only() {
        for code in ["500", "533"] {
            assert!(Plan::Us.area_code(code).is_err() && Plan::UsAndTests.area_code(code).is_ok(), "{code}");
        }
        for plan in [Plan::Us, Plan::UsAndTests] {
            assert!(plan.area_code("415").is_ok() && plan.area_code("416").is_err() && plan.area_code("5 0").is_err());
            assert!(plan.number("+14158675309").is_ok() && plan.number("+15005550001").is_err());
            assert!(plan.number("+15005560006").is_err() && plan.number("+15005551000").is_err());
        }
        for number in ["+15005550000", "5005550006", "(500) 555-0999"] {
            assert!(Plan::Us.number(number).is_err() && Plan::UsAndTests.number(number).is_ok(), "{number}");
        }
        assert_eq!(Plan::for_sale().count(), 998);
        assert!(Plan::for_sale().all(|number| Plan::UsAndTests.number(&number.to_string()) == Ok(number)));
    }
}
