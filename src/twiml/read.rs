//! Reads an answer: bytes and a content type become a [`Document`], or an [`Error`] that says why not.

mod encoding;
mod tree;

use super::grammar::{Found, Rule};
use super::{Attributes, Document, Error, Grammar, Kind, Verb};
use encoding::decoded;

/// The most bytes of an answer.
pub const LARGEST: usize = 64 * 1024;

/// The most warnings of a document that are kept.
pub const MOST_WARNINGS: usize = 100;

/// Reads the answer to a call or a message.
///
/// # Errors
/// If it is too large, empty, of another content type, not well-formed, or no TwiML of this version.
pub fn read(body: &[u8], content_type: Option<&str>, grammar: Grammar) -> Result<Document, Error> {
    if body.len() > LARGEST {
        return Err(Error::of(11750, None, &format!("{} bytes, of at most {LARGEST}", body.len())));
    }
    if body.trim_ascii().is_empty() {
        return Err(Error::of(11770, None, "nothing, or nothing but white space"));
    }
    let content_type = content_type.ok_or_else(|| Error::of(11200, None, "there is no Content-Type header"))?;
    let (kind, charset) = media(content_type);
    match &*kind {
        "text/xml" | "application/xml" | "text/html" => tree::parse(&decoded(body, charset.as_deref(), true)?, grammar),
        "text/plain" => Ok(plain(&decoded(body, charset.as_deref(), false)?, grammar)),
        audio if audio.starts_with("audio/") && grammar.kind == Kind::Call => Ok(made(grammar, "Play", "", true)),
        other => Err(Error::of(12300, None, &format!("'{}' is neither TwiML nor text", short(other)))),
    }
}

/// The type of a Content-Type in small letters, and its charset.
fn media(content_type: &str) -> (String, Option<String>) {
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("charset"));
    (kind, charset.map(|(_, value)| value.trim().trim_matches('"').to_owned()))
}

/// Plain text is said, and the call ends; for a message it is the reply.
fn plain(text: &str, grammar: Grammar) -> Document {
    match grammar.kind {
        Kind::Call => made(grammar, "Say", text, true),
        Kind::Message => made(grammar, "Sms", text, false),
    }
}

/// The document of an answer that is no XML: one verb, and the end of the call.
fn made(grammar: Grammar, name: &str, text: &str, hangs_up: bool) -> Document {
    let mut checked = tree::Checked::new(grammar);
    let hangup = hangs_up.then_some(("Hangup", ""));
    for (name, text) in [Some((name, text)), hangup].into_iter().flatten() {
        if let Found::Rule(rule) = grammar.find(name, grammar.root()) {
            let verb = Verb { text: text.to_owned(), ..Verb::empty(rule, grammar, 1) };
            let verb = checked.finished(verb);
            checked.document.verbs.push(verb);
        }
    }
    checked.document
}

impl Verb {
    fn empty(rule: &'static Rule, grammar: Grammar, line: u32) -> Self {
        let (attributes, text) = (Attributes::default(), String::new());
        Self { rule, version: grammar.version, line, attributes, refused: Vec::new(), text, children: Vec::new() }
    }
}

/// A text for a message: its beginning, if it is long.
fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    crate::values::text::short(text, LONGEST)
}

#[cfg(test)]
mod tests;
