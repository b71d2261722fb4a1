//! The token of whoever controls a world.

use blake2::{Blake2s256, Digest};

use crate::values::sid::random_bits;

/// The longest token, in bytes.
const LONGEST: usize = 256;

/// A digest of the token, with a key of this process: to compare digests tells nothing of the token.
pub struct Token {
    key: [u8; 16],
    digest: [u8; 32],
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("1 to {LONGEST} visible ASCII characters are expected")]
pub struct NotAToken;

impl Token {
    /// # Errors
    /// If a header could not hold it.
    pub fn new(text: &str) -> Result<Self, NotAToken> {
        let may_be = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let key = random_bits().to_ne_bytes();
        may_be.then(|| Self { key, digest: digest(key, text) }).ok_or(NotAToken)
    }

    /// A token that nobody can guess.
    pub fn random() -> String {
        format!("{:032x}", random_bits())
    }

    pub fn is(&self, text: &str) -> bool {
        digest(self.key, text) == self.digest
    }
}

fn digest(key: [u8; 16], text: &str) -> [u8; 32] {
    Blake2s256::new_with_prefix(key).chain_update(text).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_it() {
        let token = Token::new("s3cret").expect("a token");
        assert!(token.is("s3cret"));
        assert!(!token.is("s3cre") && !token.is("S3CRET") && !token.is(""));
        for text in ["", "with a blank", "umlaut-ä", &"x".repeat(257)] {
            assert!(Token::new(text).is_err(), "{text}");
        }
        assert!(Token::new(&Token::random()).is_ok() && Token::random() != Token::random());
    }
}
