//! Which verbs there are, where they may stand, and what their attributes may be: one table for both versions, for calls
//! and messages.

mod table;

use super::{Grammar, Kind, Version};
use crate::values::phone::{Digits, may_be_foreign};

pub use table::{RULES, TITLES};

/// The versions in which something is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Always,
    /// In 2008-08-01 only.
    Only2008,
    /// From 2010-04-01 on.
    From2010,
}

/// Where a verb may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Right below the root of a document that answers a call.
    Call,
    /// Right below the root of one that answers a message.
    Message,
    In(&'static str),
}

/// What the text of a verb is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    None,
    /// What is said: not empty, at most [`LONGEST_SPEECH`] bytes; white space counts as one space.
    Speech,
    /// What is sent: at most [`Grammar::longest_body`] characters, and not empty unless there is a Media.
    Body,
    /// A phone number. Where something may be nested, that may stand for it.
    Phone,
    /// A URL: checked when it is requested.
    Url,
    /// Not checked.
    Any,
    /// A part of the text that it stands in.
    Part,
    /// The same, and no word reaches over its ends.
    PartApart,
}

/// What the value of an attribute may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A relative or absolute URL that is requested, and checked only then.
    Action,
    /// A relative or absolute URL that is never requested.
    Url,
    Method,
    /// A whole number from this one on.
    Whole(u32),
    Flag,
    OneOf(&'static [&'static str]),
    /// Digits, `*`, `#`: at most one.
    Key,
    /// Digits, `*`, `#`: at least one.
    Keys,
    /// Digits, `*`, `#`, and `w` for a pause.
    Tones,
    Phone,
    /// A phone number, or `client:` and a name; any name where a Client or a Sip is called.
    Caller,
    Any,
}

/// An attribute, in the versions that know it with these values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    pub since: Since,
    pub value: Type,
    /// An empty URL is that of the document itself.
    pub default: Option<&'static str>,
    /// The warning for another value; 0 where every value is allowed.
    pub code: u16,
}

/// A verb in the places where it has these attributes.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: &'static str,
    pub since: Since,
    pub places: &'static [Place],
    pub text: Texts,
    pub attributes: &'static [Attribute],
    /// The warning for a verb that may not be nested in this one.
    pub nested: u16,
    /// Neither its attributes nor what is in it are checked.
    pub is_only_known: bool,
}

/// The most bytes of what is said.
pub const LONGEST_SPEECH: usize = 4096;

pub const UNKNOWN: u16 = 12200;

/// The title of a code.
pub fn title(code: u16) -> &'static str {
    TITLES.iter().find(|(known, _)| *known == code).map_or("Unknown code", |(_, title)| title)
}

/// What a name means in a place.
pub enum Found {
    Rule(&'static Rule),
    /// The name of a verb that may not stand here.
    Misplaced,
    /// A verb of a later version.
    Later,
    Unknown,
}

impl Since {
    pub fn includes(self, version: Version) -> bool {
        match self {
            Self::Always => true,
            Self::Only2008 => version == Version::V2008,
            Self::From2010 => version >= Version::V2010,
        }
    }
}

impl Texts {
    pub const fn is_part(self) -> bool {
        matches!(self, Self::Part | Self::PartApart)
    }
}

impl Grammar {
    /// The place right below the root.
    pub const fn root(self) -> Place {
        match self.kind {
            Kind::Call => Place::Call,
            Kind::Message => Place::Message,
        }
    }

    pub fn find(self, name: &str, place: Place) -> Found {
        // The markup of a text is no verb: where it is not known, nothing is known of it.
        let is_none = |rule: &Rule| rule.text.is_part() && !rule.since.includes(self.version);
        let mut named = RULES.iter().filter(|rule| rule.name == name && !is_none(rule)).peekable();
        if named.peek().is_none() {
            return Found::Unknown;
        }
        let mut known = named.filter(|rule| rule.since.includes(self.version)).peekable();
        if known.peek().is_none() {
            return Found::Later;
        }
        known.find(|rule| rule.places.contains(&place)).map_or(Found::Misplaced, Found::Rule)
    }

    /// The warning for a verb that may not stand in this place.
    pub fn misplaced(self, place: Place) -> u16 {
        match place {
            Place::Call => UNKNOWN,
            Place::Message => 14110,
            Place::In(parent) => RULES.iter().find(|rule| rule.name == parent).map_or(UNKNOWN, |rule| rule.nested),
        }
    }

    /// The most characters of a message.
    pub const fn longest_body(self) -> usize {
        match self.version {
            Version::V2008 => 160,
            Version::V2010 => 1600,
        }
    }
}

impl Rule {
    pub fn attribute(&self, name: &str, version: Version) -> Option<&'static Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name && attribute.since.includes(version))
    }
}

impl Type {
    /// Whether a value is one of these.
    pub fn allows(self, value: &str) -> bool {
        match self {
            Self::Action | Self::Any => true,
            Self::Url => is_url(value),
            Self::Method => ["GET", "POST"].iter().any(|method| method.eq_ignore_ascii_case(value)),
            Self::Whole(least) => whole(value).is_some_and(|number| number >= least),
            Self::Flag => matches!(value, "true" | "false"),
            Self::OneOf(values) => values.contains(&value),
            Self::Key => value.len() <= 1 && value.chars().all(is_key),
            Self::Keys => !value.is_empty() && value.chars().all(is_key),
            Self::Tones => value.chars().all(|c| is_key(c) || matches!(c, 'w' | 'W')),
            Self::Phone => is_phone(value),
            Self::Caller => is_phone(value) || value.strip_prefix("client:").is_some_and(|name| !name.is_empty()),
        }
    }

    /// What is expected, in words.
    pub fn expected(self) -> String {
        match self {
            Self::Action | Self::Url => "a relative or absolute URL".to_owned(),
            Self::Method => "GET or POST".to_owned(),
            Self::Whole(least) => format!("a whole number from {least} on"),
            Self::Flag => "true or false".to_owned(),
            Self::OneOf(values) => values.join(", "),
            Self::Key => "a digit, *, # or nothing".to_owned(),
            Self::Keys => "digits, * and #".to_owned(),
            Self::Tones => "digits, *, # and w".to_owned(),
            Self::Phone => "a phone number".to_owned(),
            Self::Caller => "a phone number, or client: and a name; to a Client or Sip, any name".to_owned(),
            Self::Any => "any".to_owned(),
        }
    }
}

/// Whether a text is a key of a telephone.
pub fn is_key(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '*' | '#')
}

/// Digits only, as the sign that `parse` allows is no part of a number here.
fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A phone number in any usual spelling: the format is checked, not whether the number can exist.
pub fn is_phone(text: &str) -> bool {
    text.parse::<Digits>().is_ok() || may_be_foreign(text)
}

/// Whether a text is a URL of http or https, or leads to one from any other.
fn is_url(text: &str) -> bool {
    let base = url::Url::parse("http://host/").ok();
    let url = url::Url::options().base_url(base.as_ref()).parse(text);
    url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests;
