//! The signature, by which a program knows that the sender has its AuthToken.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// The value of `X-Twilio-Signature`: base64 of HMAC-SHA1 over the URL and, of a POST, the names and values of its form,
/// sorted. A pair that is there twice counts once.
pub(super) fn signature(token: &str, url: &str, form: &[(String, String)]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("a key of any length");
    mac.update(url.as_bytes());
    for (name, value) in form.iter().collect::<BTreeSet<_>>() {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";

    fn signed(url: &str, form: &[(&str, &str)]) -> String {
        let form: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        signature("12345", url, &form)
    }

    /// Of the tests of Twilio's SDKs.
    #[test]
    fn the_signature_is_the_published_one() {
        let form = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
            ("Caller", "+14158675309"),
        ];
        assert_eq!(signed(URL, &form), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }

    #[test]
    fn values_of_one_name_are_unique_and_sorted() {
        let form =
            [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")];
        assert_eq!(signed(URL, &form), "IK+Dwps556ElfBT0I3Rgjkr1wJU=");
    }
}
