//! Tokens: random, shown once, kept as an argon2id hash only.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::kernel::sid::random_bits;

/// An AuthToken in clear: 32 lower-case hex digits of 128 random bits.
pub struct AuthToken(String);

/// Stands in for the hash of an account that does not exist, at the same cost; no token fits it.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl AuthToken {
    pub fn random() -> Self {
        Self(format!("{:032x}", random_bits()))
    }

    /// The hash to store (argon2id: 19 MiB, two passes). Takes tens of milliseconds by design.
    ///
    /// # Panics
    /// When the operating system has no randomness to give for the salt.
    pub fn hash(&self) -> String {
        Argon2::default().hash_password(self.0.as_bytes()).expect("a token can be hashed").to_string()
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Whether `token` is the one that was hashed. Takes the same time where there is no hash.
pub fn verify(token: &str, hash: Option<&str>) -> bool {
    let fits = PasswordHash::new(hash.unwrap_or(DECOY))
        .is_ok_and(|hash| Argon2::default().verify_password(token.as_bytes(), &hash).is_ok());
    fits && hash.is_some()
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthToken(…)")
    }
}

/// A token is written out in the answer to the one who created it, and nowhere else.
impl serde::Serialize for AuthToken {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_fits_its_hash() {
        let token = AuthToken::random();
        let hash = token.hash();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(token.reveal(), Some(&hash)));
        assert!(!verify("", Some(&hash)));
        assert!(!verify(AuthToken::random().reveal(), Some(&hash)));
        assert!(!verify(token.reveal(), Some("not a hash")));
        assert!(!verify(token.reveal(), None));
    }

    #[test]
    fn the_decoy_costs_what_a_real_hash_costs() {
        let real = AuthToken::random().hash();
        let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(parameters(DECOY), parameters(&real));
        assert!(PasswordHash::new(DECOY).is_ok());
    }

    #[test]
    fn a_token_is_not_in_debug_output() {
        let token = AuthToken::random();
        assert!(!format!("{token:?}").contains(token.reveal()));
    }
}
