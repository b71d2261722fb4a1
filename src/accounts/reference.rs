//! The operator's own key of an account, such as its number in a CRM.

use std::fmt;
use std::str::FromStr;

/// 1 to 64 characters, none of them a control character or a blank at an end.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(transparent)]
pub struct Reference(String);

impl Reference {
    /// The longest one, in characters.
    pub const LONGEST: usize = 64;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("1 to {} characters are expected, without control characters, as in crm-10017", Reference::LONGEST)]
pub struct NotAReference;

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let fits = (1..=Self::LONGEST).contains(&text.chars().count()) && text.trim() == text;
        if fits && !text.chars().any(char::is_control) { Ok(Self(text.to_owned())) } else { Err(NotAReference) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_is_a_short_text() {
        for (text, is_ref) in
            [("crm-10017", true), ("Größe 7", true), ("", false), (" a", false), ("a ", false), ("a\tb", false)]
        {
            assert_eq!(text.parse::<Reference>().is_ok(), is_ref, "{text:?}");
        }
        assert!("é".repeat(64).parse::<Reference>().is_ok() && "é".repeat(65).parse::<Reference>().is_err());
    }
}
