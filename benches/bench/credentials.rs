//! The accounts' token. They share one: each is verified by itself all the same.

use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::prelude::{BASE64_STANDARD, Engine};

const TOKEN: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";

/// As `numberbank account create` hashes it.
pub fn hash() -> String {
    Argon2::default().hash_password(TOKEN.as_bytes()).expect("a token can be hashed").to_string()
}

pub fn account_sid(account: u64) -> String {
    format!("AC{account:032x}")
}

/// What the client of an account sends as `Authorization: Basic`.
pub fn basic(account: u64) -> String {
    BASE64_STANDARD.encode(format!("{}:{TOKEN}", account_sid(account)))
}

/// How long it takes to verify a token and do nothing else.
pub fn verification(hash: &str) -> Duration {
    let begun = Instant::now();
    let hash = PasswordHash::new(hash).expect("a hash");
    Argon2::default().verify_password(TOKEN.as_bytes(), &hash).expect("the token fits");
    begun.elapsed()
}
