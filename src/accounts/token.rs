//! AuthTokens: how they are made, stored and compared. SECURITY.md says why.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use blake2::Blake2bMac;
use blake2::digest::Mac;
use blake2::digest::consts::U32;
use uuid::Uuid;

use super::principal::{Caller, Principal};
use crate::values::sid::{AccountSid, random_bits};

/// BLAKE2's personalization: keeps these digests apart from all others.
const PURPOSE: &[u8; 16] = b"numberbank token";

/// An AuthToken in clear.
pub struct AuthToken {
    text: String,
    chosen: bool,
    /// Whether its hash costs as little as argon2 can.
    cheap: bool,
}

/// The error does not repeat the text, which may be a secret.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{} to {} visible ASCII characters without blanks is expected", AuthToken::CHOSEN.start(), AuthToken::CHOSEN.end())]
pub struct NotAToken;

/// What is stored instead of a token.
pub enum Kept {
    /// The fast hash of a token that numberbank made.
    Digest([u8; 32]),
    /// The argon2id hash, as a PHC string, of a token that a person chose.
    Hash(String),
}

/// What the database holds of a principal's token or secret.
pub struct Stored {
    /// An id that changes with the token; a key's is its Sid, as its secret never changes.
    pub credential: Uuid,
    pub caller: Caller,
    pub chosen: bool,
    pub digest: Option<Vec<u8>>,
    pub hash: Option<String>,
}

/// Whether a token is the one that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    Right,
    Wrong,
    /// Only a comparison with this argon2 hash can say; it takes tens of milliseconds.
    Ask {
        hash: &'a str,
        chosen: bool,
    },
}

impl AuthToken {
    /// The lengths of tokens that people choose, in characters. A shorter token is guessed too easily.
    pub const CHOSEN: RangeInclusive<usize> = 8..=64;

    /// 32 lower-case hex digits of 128 random bits.
    pub fn random() -> Self {
        Self { text: format!("{:032x}", random_bits()), chosen: false, cheap: false }
    }

    /// One that guards nothing, as in a test: of any length, and verified in no time.
    ///
    /// # Errors
    /// If it is empty or too long, or has other characters than visible ASCII.
    pub fn cheap(text: &str) -> Result<Self, NotAToken> {
        may_be_kept(text).then(|| Self { text: text.to_owned(), chosen: true, cheap: true }).ok_or(NotAToken)
    }

    pub fn is_chosen(&self) -> bool {
        self.chosen
    }

    /// What to store. For a chosen token this takes tens of milliseconds by design (argon2id: 19 MiB, two passes).
    ///
    /// # Panics
    /// If the operating system has no randomness for the salt.
    pub fn kept(&self, sid: AccountSid) -> Kept {
        if self.chosen {
            let argon2 = if self.cheap { cheapest() } else { Argon2::default() };
            Kept::Hash(argon2.hash_password(self.text.as_bytes()).expect("a token can be hashed").to_string())
        } else {
            Kept::Digest(self.digest(sid.into()))
        }
    }

    /// The fast hash to store of a token, or of a key's secret, that numberbank made.
    ///
    /// # Panics
    /// If the token is longer than 64 bytes.
    pub fn digest(&self, principal: Principal) -> [u8; 32] {
        digest(principal, &self.text)
    }

    pub fn reveal(&self) -> &str {
        &self.text
    }
}

/// Reads a token that a person chose.
impl FromStr for AuthToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let is_long_enough = text.len() >= *Self::CHOSEN.start() && may_be_kept(text);
        is_long_enough.then(|| Self { text: text.to_owned(), chosen: true, cheap: false }).ok_or(NotAToken)
    }
}

impl Kept {
    pub fn digest(&self) -> Option<&[u8]> {
        if let Self::Digest(digest) = self { Some(digest) } else { None }
    }

    pub fn hash(&self) -> Option<&str> {
        if let Self::Hash(hash) = self { Some(hash) } else { None }
    }
}

impl Stored {
    /// Compares a token with what is stored, without argon2. A token of the wrong form needs no argon2.
    pub fn judge(&self, principal: Principal, token: &str) -> Verdict<'_> {
        let possible = if self.chosen { may_be_kept(token) } else { may_be_made(token) };
        match (&self.digest, &self.hash) {
            _ if !possible => Verdict::Wrong,
            (Some(digest), _) if mac(principal, token).verify_slice(digest).is_ok() => Verdict::Right,
            (None, Some(hash)) => Verdict::Ask { hash, chosen: self.chosen },
            _ => Verdict::Wrong,
        }
    }
}

fn may_be_made(token: &str) -> bool {
    token.len() == 32 && token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether it may be one that is not made here. A short one may be of a test's account.
fn may_be_kept(token: &str) -> bool {
    (1..=*AuthToken::CHOSEN.end()).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Takes microseconds, and 8 KiB.
fn cheapest() -> Argon2<'static> {
    let params = Params::new(Params::MIN_M_COST, Params::MIN_T_COST, Params::MIN_P_COST, None);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.expect("argon2's smallest parameters"))
}

/// The fast hash of a token that numberbank made.
///
/// # Panics
/// If the token is longer than 64 bytes.
pub fn digest(principal: Principal, token: &str) -> [u8; 32] {
    mac(principal, token).finalize().into_bytes().into()
}

/// Its `verify_slice` compares in constant time.
fn mac(principal: Principal, token: &str) -> Blake2bMac<U32> {
    let mac = Blake2bMac::new_with_salt_and_personal(Some(token.as_bytes()), &[], PURPOSE);
    mac.expect("the token is 1 to 64 bytes").chain_update(principal.to_string())
}

/// argon2's 19 MiB. A thread keeps them: to get them from the system anew takes half as long as a verification.
#[derive(Default)]
pub struct Memory(Vec<Block>);

/// Whether `token` is the one that was hashed.
pub fn verify(token: &str, hash: &str, memory: &mut Memory) -> bool {
    let known = PasswordHash::new(hash).ok();
    known.is_some_and(|known| known.hash.is_some() && output(token, &known, memory) == known.hash)
}

/// Hashes a token with the salt and the parameters of `hash`. `Output`s are compared in constant time.
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

/// A token is written out once: in the answer to the command that created it.
impl serde::Serialize for AuthToken {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "ACe4c13564edc11e8e3cbbc2ba66880340";
    const TOKEN: &str = "7e16cef8159d8d2253da6736284781fe";

    fn stored(chosen: bool, digest: Option<[u8; 32]>, hash: Option<&str>) -> Stored {
        let account = SID.parse().unwrap();
        let caller = Caller { account, payer: account, scope: None };
        Stored { credential: Uuid::nil(), caller, chosen, digest: digest.map(Vec::from), hash: hash.map(str::to_owned) }
    }

    #[test]
    fn a_digest_is_what_security_md_says() {
        // python3 -c 'import hashlib; print(hashlib.blake2b(b"ACe4…", digest_size=32, key=b"7e16…",
        //     person=b"numberbank token").hexdigest())'
        let written = digest(SID.parse().unwrap(), TOKEN).map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(written, "d5228d0e7a01c46c8e4f54d3f09f38ff4a3cc74b1e031d96ec08d32f30a25073");
    }

    #[test]
    fn a_token_that_was_made_here_is_judged_by_its_digest() {
        let (sid, token) = (AccountSid::random(), AuthToken::random());
        let Kept::Digest(digest) = token.kept(sid) else { panic!("a digest") };
        for hash in [None, Some("an old hash")] {
            let stored = stored(false, Some(digest), hash);
            assert_eq!(stored.judge(sid.into(), token.reveal()), Verdict::Right);
            let longer = format!("{}0", token.reveal());
            let others =
                [AuthToken::random().reveal().to_owned(), token.reveal().to_uppercase(), longer, "x".repeat(999)];
            for other in others.iter().map(String::as_str).chain([""]) {
                assert_eq!(stored.judge(sid.into(), other), Verdict::Wrong, "{other}");
            }
            assert_eq!(stored.judge(AccountSid::random().into(), token.reveal()), Verdict::Wrong, "of another account");
        }
    }

    #[test]
    fn argon2_is_asked_only_about_what_it_may_have_hashed() {
        let sid = AccountSid::random();
        let judge = |chosen, token: &str| {
            stored(chosen, None, Some("hash")).judge(sid.into(), token) == Verdict::Ask { hash: "hash", chosen }
        };
        assert!(judge(false, TOKEN) && judge(true, TOKEN) && judge(true, "a:b:c:d:"));
        assert!(!judge(false, "a:b:c:d:") && !judge(false, &TOKEN.to_uppercase()) && !judge(false, ""));
        for other in ["", "with a blank", "umlaut-ä", "control\u{7f}", &"x".repeat(65)] {
            assert!(!judge(true, other), "{other}");
            assert!(other.parse::<AuthToken>().is_err() && AuthToken::cheap(other).is_err(), "{other}");
        }
        assert!("7-chars".parse::<AuthToken>().is_err(), "too short for one that guards anything");
    }

    #[test]
    fn a_cheap_token_is_as_short_as_can_be_and_verified_all_the_same() {
        let (sid, mut memory) = (AccountSid::random(), Memory::default());
        for text in ["x", "7-chars", TOKEN, &"x".repeat(64)] {
            let Kept::Hash(hash) = AuthToken::cheap(text).expect("a token").kept(sid) else { panic!("a hash") };
            assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
            let stored = stored(true, None, Some(&hash));
            assert_eq!(stored.judge(sid.into(), text), Verdict::Ask { hash: &hash, chosen: true });
            assert!(verify(text, &hash, &mut memory) && !verify("y", &hash, &mut memory));
        }
    }

    #[test]
    fn a_chosen_token_is_hashed_with_argon2id_and_nothing_else() {
        let token: AuthToken = TOKEN.parse().unwrap();
        let Kept::Hash(hash) = token.kept(AccountSid::random()) else { panic!("a hash") };
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let mut memory = Memory::default();
        let mut fits = |token: &str, hash: &str| verify(token, hash, &mut memory);
        assert!(fits(TOKEN, &hash));
        assert!(!fits("", &hash) && !fits(AuthToken::random().reveal(), &hash));
        assert!(!fits(TOKEN, "not a hash") && !fits(TOKEN, hash.rsplit_once('$').expect("parts").0));
        assert!(fits(TOKEN, &hash));
    }

    #[test]
    fn a_hash_is_verified_as_it_was_made() {
        let mut memory = Memory::default();
        for (algorithm, cost) in [(Algorithm::Argon2id, 64), (Algorithm::Argon2i, 8), (Algorithm::Argon2d, 4096)] {
            let params = Params::new(cost, 1, 1, Some(20)).expect("parameters");
            let hash = Argon2::new(algorithm, Version::V0x13, params).hash_password(b"token").expect("a hash");
            assert!(verify("token", &hash.to_string(), &mut memory), "{hash}");
            assert!(!verify("Token", &hash.to_string(), &mut memory), "{hash}");
        }
    }

    #[test]
    fn a_token_is_not_in_debug_output() {
        let token = AuthToken::random();
        assert!(!format!("{token:?}").contains(token.reveal()));
    }
}
