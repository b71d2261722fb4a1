//! The accounts' token. They share one, but what is stored of it differs by account.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine};
use blake2::Blake2bMac;
use blake2::digest::Mac;
use blake2::digest::consts::U32;

const TOKEN: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";

/// A psql script that makes a table of the stored hashes for accounts 1 to `last`, by SECURITY.md.
pub fn digests(last: u64) -> String {
    let mut script = "create temporary table token_digests (n, digest) as values\n".to_owned();
    for account in 1..=last {
        let mac = Blake2bMac::<U32>::new_with_salt_and_personal(Some(TOKEN.as_bytes()), &[], b"numberbank token");
        let digest = mac.expect("a key of 32 bytes").chain_update(account_sid(account)).finalize().into_bytes();
        let end = if account == last { ';' } else { ',' };
        let _ = writeln!(script, "({account}, decode('{}', 'base64')){end}", BASE64_STANDARD.encode(digest));
    }
    script
}

pub fn account_sid(account: u64) -> String {
    format!("AC{account:032x}")
}

/// The `Authorization: Basic` value of an account.
pub fn basic(account: u64) -> String {
    BASE64_STANDARD.encode(format!("{}:{TOKEN}", account_sid(account)))
}
