//! The key by which an order is done once.

use std::fmt;
use std::str::FromStr;

/// 1 to 255 visible ASCII characters, as the operator chose them.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Key(String);

impl Key {
    /// The longest key, in characters.
    pub const LONGEST: usize = 255;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("1 to {} visible ASCII characters are expected, as in invoice-2026-0117", Key::LONGEST)]
pub struct NotAKey;

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let fits = (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(NotAKey) }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_of_some_length() {
        for (text, is_key) in
            [("a", true), ("invoice-17/b", true), ("", false), ("a b", false), ("é", false), ("a\n", false)]
        {
            assert_eq!(text.parse::<Key>().is_ok(), is_key, "{text:?}");
        }
        assert!("x".repeat(255).parse::<Key>().is_ok() && "x".repeat(256).parse::<Key>().is_err());
    }
}
