//! TwiML: what a program answers when its number is called or receives a message. A text becomes a checked [`Document`],
//! and a [`Walk`] takes a scripted caller through it, up to the next request that Twilio would make.
//!
//! Nothing here knows HTTP, a database, a clock or chance: answers, Sids and the addresses of recordings are given, and
//! the time of a call is reckoned. docs/twiml.md says what is checked and what is executed.

mod grammar;
mod read;
mod script;
mod walk;

#[cfg(test)]
mod properties;

use serde::{Serialize, Serializer};

use grammar::Rule;
pub use read::{LARGEST, MOST_WARNINGS, read};
pub use script::{LONGEST_SCRIPT, NotAScript, Script};
pub use walk::{
    Ends, Location, MOST_DOCUMENTS, MOST_VERBS, Message, Next, Outcome, Request, Sids, Step, Walk, Walked, Why,
};

/// What a document answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Call,
    Message,
}

/// The version of the API that a number speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V2008,
    V2010,
}

impl Version {
    pub const ALL: [Self; 2] = [Self::V2008, Self::V2010];

    /// As paths, parameters and the attribute of a document write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2008 => "2008-08-01",
            Self::V2010 => "2010-04-01",
        }
    }

    /// The version of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }
}

/// By which rules a document is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grammar {
    pub kind: Kind,
    pub version: Version,
}

/// A document that was checked as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub verbs: Vec<Verb>,
    /// At most [`MOST_WARNINGS`], in the order of the text.
    pub warnings: Vec<Warning>,
    /// How many more there were.
    pub further_warnings: usize,
}

/// A verb, or what stands in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verb {
    rule: &'static Rule,
    version: Version,
    /// Where it begins, counted from 1.
    pub line: u32,
    pub attributes: Attributes,
    /// Attributes whose value was refused; [`TEXT`] stands for the text.
    refused: Vec<&'static str>,
    pub text: String,
    pub children: Vec<Verb>,
}

/// The name in `refused` under which a refused text is noted. No attribute is called so.
const TEXT: &str = "";

/// Attributes as they were written, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub Vec<(String, String)>);

/// Something that Twilio would warn of. The document is executed all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    pub code: u16,
    pub message: String,
    /// The verb, or what was taken for one.
    pub verb: String,
    pub line: u32,
}

/// Why an answer cannot be executed: the fallback's turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{code} {message}")]
pub struct Error {
    pub code: u16,
    pub message: String,
    /// Where it was found, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Error {
    /// A code with its title, and what is wrong.
    fn of(code: u16, line: Option<u32>, what: &str) -> Self {
        Self { code, message: format!("{}: {what}", grammar::title(code)), line }
    }
}

impl Verb {
    pub const fn name(&self) -> &'static str {
        self.rule.name
    }

    /// The value that counts: what was written, or else the default. `None` if there is neither.
    fn value(&self, name: &str) -> Option<&str> {
        let attribute = self.rule.attribute(name, self.version)?;
        let written = self.attributes.0.iter().find(|(written, _)| written == name && !self.is_refused(name));
        written.map(|(_, value)| value.as_str()).or(attribute.default)
    }

    /// A whole number. Its value was checked, so zero stands for one that is not there.
    fn whole(&self, name: &str) -> u32 {
        self.value(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.value(name) == Some(value)
    }

    fn is_refused(&self, name: &str) -> bool {
        self.refused.contains(&name)
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
