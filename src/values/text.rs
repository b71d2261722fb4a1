//! Texts that clients choose: names, callback URLs and methods.

use std::fmt;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use url::Url;

/// The longest note on a number or a ledger entry, in characters.
pub const LONGEST_NOTE: usize = 255;

/// A name: 1 to [`FriendlyName::LONGEST`] characters (Unicode scalar values), none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct FriendlyName(String);

#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be 1 to {} characters without control characters", FriendlyName::LONGEST)]
pub struct NotAName;

impl FriendlyName {
    pub const LONGEST: usize = 64;

    /// # Errors
    /// If the text is empty, too long, or holds a control character.
    pub fn new(text: String) -> Result<Self, NotAName> {
        let fits = (1..=Self::LONGEST).contains(&text.chars().count());
        if fits && text.chars().all(is_printable) { Ok(Self(text)) } else { Err(NotAName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for FriendlyName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        Self::new(text.to_owned())
    }
}

impl serde::Serialize for FriendlyName {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

/// Whether a character is not a control character, and is allowed in XML 1.0.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

/// An absolute http or https URL with a host, at most [`CallbackUrl::LONGEST`] characters. It is kept exactly as given.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct CallbackUrl(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACallbackUrl {
    #[error("must be an absolute http or https URL with a host, at most {} characters", CallbackUrl::LONGEST)]
    Malformed,
    #[error("must have a host without invisible characters (zero-width, bidi and other format characters)")]
    InvisibleInHost,
}

impl CallbackUrl {
    pub const LONGEST: usize = 2048;

    /// # Errors
    /// If the text is not such a URL, or its host holds an invisible character.
    pub fn new(text: String) -> Result<Self, NotACallbackUrl> {
        // The URL standard repairs many faults (`http:host`, `http:///host`, tabs). Other programs may not, so a URL
        // that needs repair is refused.
        let printable = text.chars().all(|c| is_printable(c) && !c.is_whitespace() && c != '\\');
        let after_scheme = |scheme: &str| {
            let (start, rest) = text.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let after_scheme = after_scheme("http://").or_else(|| after_scheme("https://"));
        let Some(rest) =
            after_scheme.filter(|rest| !rest.starts_with('/') && printable && text.chars().count() <= Self::LONGEST)
        else {
            return Err(NotACallbackUrl::Malformed);
        };
        if has_invisible(rest.split(['/', '?', '#']).next().unwrap_or_default()) {
            return Err(NotACallbackUrl::InvisibleInHost);
        }
        match Url::parse(&text).map_err(|_| NotACallbackUrl::Malformed)?.host_str().map(url::quirks::domain_to_unicode)
        {
            Some(host) if has_invisible(&host) => Err(NotACallbackUrl::InvisibleInHost),
            _ => Ok(Self(text)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a host holds invisible characters, percent-encoded or not.
fn has_invisible(host: &str) -> bool {
    // The parser of forms decodes percent-encoding, as URL parsers do for hosts. It also splits at `&` and `=`, which
    // does not matter here.
    let mut parts = url::form_urlencoded::parse(host.as_bytes());
    parts.any(|(name, value)| name.chars().chain(value.chars()).any(is_invisible))
}

/// Format characters (Unicode's category Cf, with zero-width and bidi characters), and others that show nothing and
/// that IDNA's mapping removes: joiners, fillers and variation selectors.
fn is_invisible(c: char) -> bool {
    c.general_category() == GeneralCategory::Format
        || matches!(c, '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}')
        || matches!(c, '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0100}'..='\u{E01EF}')
}

/// A text of at most this many characters: the text itself, or its beginning and a mark that it goes on.
pub fn short(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The HTTP method of a callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    #[default]
    Post,
}

#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be GET or POST")]
pub struct NotAMethod;

impl Method {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

impl std::str::FromStr for Method {
    type Err = NotAMethod;

    fn from_str(text: &str) -> Result<Self, NotAMethod> {
        [Self::Get, Self::Post].into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text)).ok_or(NotAMethod)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that look like URLs, with some parts missing or broken.
    const NEARLY: &str =
        "(https?|HTTPS?|ftp|)(:|)(//|/|///|)(\\PC{0,9}|[a-z0-9.@:\\[\\]%?#/\\\\-]{0,30}|\\x00|xn--[a-z0-9-]{0,9})";

    proptest! {
        #[test]
        fn a_name_is_kept_as_it_is_or_refused(text in "\\PC{0,80}|(?s:.){0,3}") {
            let fits = (1..=64).contains(&text.chars().count())
                && !text.contains(|c: char| c.is_control() || c == '\u{fffe}' || c == '\u{ffff}');
            prop_assert_eq!(FriendlyName::new(text.clone()).ok().map(|name| name.0), fits.then_some(text));
        }

        #[test]
        fn an_address_is_kept_as_it_is_and_has_a_host_or_is_refused(text in NEARLY) {
            if let Ok(address) = CallbackUrl::new(text.clone()) {
                let read = url::Url::parse(address.as_str()).unwrap();
                prop_assert!(matches!(read.scheme(), "http" | "https") && read.has_host());
                prop_assert!(!text.contains(|c: char| c.is_whitespace() || c.is_control()));
                prop_assert_eq!(address.as_str(), text);
            }
        }
    }

    #[test]
    fn names_have_up_to_64_characters() {
        assert!(FriendlyName::new("é".repeat(64)).is_ok());
        for text in [String::new(), "é".repeat(65), "a\u{1}".into(), "a\n".into(), "\u{85}".into(), "\u{FFFE}".into()]
        {
            assert!(FriendlyName::new(text.clone()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn callback_urls_are_absolute() {
        for text in [
            "http://mycompany.com/handleNewCall.php",
            "HTTPS://example.com:8443/a?b=c&d#e",
            "http://[::1]/",
            "http://bücher.example/",
        ] {
            assert_eq!(CallbackUrl::new(text.into()).unwrap().as_str(), text);
        }
        for text in [
            "",
            "/handle",
            "mycompany.com",
            "ftp://example.com/",
            "http://",
            "http:///example.com",
            "http:example.com",
            "http:/example.com",
            "http:\\\\example.com",
            "http://exa mple.com/",
            " http://example.com/",
            "http://example.com/\n",
            "http://?x",
            "http://:80/",
            "javascript:alert(1)",
        ] {
            assert!(CallbackUrl::new(text.into()).is_err(), "{text:?}");
        }
        let longest = format!("http://example.com/{}", "a".repeat(2048 - 19));
        assert!(CallbackUrl::new(longest.clone()).is_ok());
        assert!(CallbackUrl::new(longest + "a").is_err());
    }

    #[test]
    fn what_the_mapping_of_host_names_removes_is_invisible() {
        use GeneralCategory::{EnclosingMark, Format, ModifierSymbol, NonspacingMark, SpacingMark};
        let marks = [EnclosingMark, Format, ModifierSymbol, NonspacingMark, SpacingMark];
        let mut removed = 0;
        for c in ('\u{80}'..=char::MAX).filter(|c| marks.contains(&c.general_category())) {
            if url::Host::parse(&format!("a{c}a")).is_ok_and(|host| host.to_string() == "aa") {
                assert!(is_invisible(c), "{c:?}");
                removed += 1;
            }
        }
        assert!(removed > 250, "{removed}");
    }

    #[test]
    fn a_host_has_no_invisible_characters() {
        for host in [
            "exa\u{200b}mple.com",         // zero-width space, which IDNA's mapping removes
            "exa\u{ad}mple.com",           // soft hyphen
            "\u{feff}example.com",         // byte order mark
            "exa\u{2060}mple.com",         // word joiner
            "exam\u{202e}moc.elp",         // right-to-left override
            "example.com\u{200f}",         // right-to-left mark
            "\u{2066}example.com\u{2069}", // isolates
            "exa\u{e0061}mple.com",        // a tag
            "exa\u{fe0f}mple.com",         // variation selector: not a format character, but removed
            "exa\u{34f}mple.com",          // grapheme joiner, likewise
            "exa\u{3164}mple.com",         // a filler
            "exa%E2%80%8Bmple.com",
            "exa%e2%80%aemple.com",
            "us%E2%80%8Ber@example.com",
            "\u{915}\u{94d}\u{200d}\u{937}.example", // invisible, though this script may need it
            "xn--11b2ezcw70k.example",               // the same, encoded
            "example.com\u{200b}:8080",
        ] {
            for scheme in ["http", "HTTPS"] {
                let refused = CallbackUrl::new(format!("{scheme}://{host}/a")).unwrap_err();
                assert!(matches!(refused, NotACallbackUrl::InvisibleInHost), "{host:?}: {refused}");
            }
        }
        // No host name may hold these anyway.
        for host in
            ["xn--ab-m1t.example", "xn--ab-g4t.example", "xn--ab-5da.example", "xn--ab-372n.example", "xn--a-pgn"]
        {
            assert!(CallbackUrl::new(format!("http://{host}/")).is_err(), "{host}");
        }
        for text in [
            "http://b\u{fc}cher.example/",
            "http://xn--bcher-kva.example/",
            "http://b%C3%BCcher.example/",
            "http://\u{65e5}\u{672c}.example/",
            "http://\u{5d0}\u{5d1}.example/",
            "http://example.com/a\u{200b}b?c=\u{ad}#\u{200b}",
            "http://user:a+b&c=d@example.com/",
        ] {
            assert!(CallbackUrl::new(text.into()).is_ok(), "{text:?}");
        }
    }
}
