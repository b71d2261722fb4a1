//! Tokens: random, shown once, kept as an argon2id hash only.

use std::fmt;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};

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

/// What tokens are verified in. Who verifies many keeps it: to get so much memory from the system, page by page, takes
/// half as long as to verify.
#[derive(Default)]
pub struct Memory(Vec<Block>);

/// Whether `token` is the one that was hashed. Takes the same time where there is no hash.
pub fn verify(token: &str, hash: Option<&str>, memory: &mut Memory) -> bool {
    let known = PasswordHash::new(hash.unwrap_or(DECOY)).ok();
    let fits = known.is_some_and(|known| known.hash.is_some() && output(token, &known, memory) == known.hash);
    fits && hash.is_some()
}

/// What hashing a token as this hash was made gives. Outputs are compared in constant time.
fn output(token: &str, hash: &PasswordHash, memory: &mut Memory) -> Option<Output> {
    let (salt, length) = (hash.salt.as_ref()?, hash.hash.as_ref()?.len());
    let params = Params::try_from(hash).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    memory.0.resize(params.block_count(), Block::default());
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..length)?;
    let argon2 = Argon2::new(algorithm, version, params);
    argon2.hash_password_into_with_memory(token.as_bytes(), salt.as_ref(), output, &mut memory.0[..]).ok()?;
    Output::new(output).ok()
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
        let mut memory = Memory::default();
        let mut fits = |token: &str, hash: Option<&str>| verify(token, hash, &mut memory);
        assert!(fits(token.reveal(), Some(&hash)));
        assert!(!fits("", Some(&hash)));
        assert!(!fits(AuthToken::random().reveal(), Some(&hash)));
        assert!(!fits(token.reveal(), Some("not a hash")));
        assert!(!fits(token.reveal(), Some(hash.rsplit_once('$').expect("parts").0)));
        assert!(!fits(token.reveal(), None));
        assert!(fits(token.reveal(), Some(&hash)));
    }

    #[test]
    fn a_hash_is_verified_as_it_was_made() {
        let mut memory = Memory::default();
        for (algorithm, cost) in [(Algorithm::Argon2id, 64), (Algorithm::Argon2i, 8), (Algorithm::Argon2d, 4096)] {
            let params = Params::new(cost, 1, 1, Some(20)).expect("parameters");
            let hash = Argon2::new(algorithm, Version::V0x13, params).hash_password(b"token").expect("a hash");
            assert!(verify("token", Some(&hash.to_string()), &mut memory), "{hash}");
            assert!(!verify("Token", Some(&hash.to_string()), &mut memory), "{hash}");
        }
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
