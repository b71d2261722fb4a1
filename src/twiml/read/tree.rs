//! The tree of a document. quick-xml tells tags and texts apart; what it lets through and XML does not is refused here.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::super::grammar::{Attribute, Found, LONGEST_SPEECH, Place, Rule, Texts, Type, UNKNOWN, is_phone, title};
use super::super::{Document, Error, Grammar, TEXT, Verb, Version, Warning};
use super::encoding::is_xml_character;
use super::{MOST_WARNINGS, short};

/// How deep elements may be nested. No document of TwiML needs more than three.
const DEEPEST: usize = 100;

/// The most attributes of an element.
const MOST_ATTRIBUTES: usize = 100;

/// The root of every document.
const ROOT: &str = "Response";

/// # Errors
/// If the text is not well-formed, or not TwiML of this version. What is not well-formed goes first.
pub fn parse(text: &str, grammar: Grammar) -> Result<Document, Error> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut tree = Tree::new(grammar);
    loop {
        let start = reader.buffer_position();
        tree.line_of(text, start);
        match reader.read_event().map_err(|error| tree.malformed(&error.to_string()))? {
            Event::Start(tag) => tree.open(&tag)?,
            Event::Empty(tag) => {
                tree.open(&tag)?;
                tree.close();
            }
            Event::End(_) => tree.close(),
            Event::Text(part) if part.contains("]]>") => return Err(tree.malformed("']]>' in a text")),
            Event::Text(part) => tree.text(&part.xml10_content())?,
            Event::CData(part) => tree.content(&part.xml10_content())?,
            Event::GeneralRef(reference) => {
                let resolved = tree.resolved(&reference)?;
                tree.content(resolved.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(tree.malformed("a DOCTYPE")),
            Event::Decl(_) if start > 0 => return Err(tree.malformed("the XML declaration is not at the beginning")),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return tree.ended(),
        }
    }
}

/// An element that is open.
enum Open {
    Root,
    Verb(Verb),
    /// A part of the text of the verb below it. Whether it is set apart from the rest.
    Part(bool),
    /// What is not looked at. Its warning was given, or none is needed.
    Skipped,
}

struct Tree {
    checked: Checked,
    open: Vec<Open>,
    has_root: bool,
    /// The first error that does not concern XML.
    error: Option<Error>,
    /// Where the text was counted up to.
    counted: usize,
    line: u32,
}

impl Tree {
    fn new(grammar: Grammar) -> Self {
        let checked = Checked::new(grammar);
        Self { checked, open: Vec::new(), has_root: false, error: None, counted: 0, line: 1 }
    }

    /// Counts the lines up to here.
    fn line_of(&mut self, text: &str, position: u64) {
        let position = usize::try_from(position).map_or(text.len(), |position| position.min(text.len()));
        let lines = text.as_bytes()[self.counted..position].iter().filter(|byte| **byte == b'\n').count();
        self.line += u32::try_from(lines).unwrap_or_default();
        self.counted = position;
    }

    fn malformed(&self, what: &str) -> Error {
        Error::of(12100, Some(self.line), what)
    }

    fn refuse(&mut self, code: u16, what: &str) {
        let line = self.line;
        self.error.get_or_insert_with(|| Error::of(code, Some(line), what));
    }

    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), Error> {
        let name = tag.name();
        let name = name.as_ref();
        if self.open.len() == DEEPEST {
            return Err(self.malformed(&format!("elements are nested in more than {DEEPEST} others")));
        }
        if !is_name(name) {
            return Err(self.malformed(&format!("'{}' is no name", short(name))));
        }
        let attributes = self.attributes(tag)?;
        let opened = match self.open.last() {
            None if self.has_root => return Err(self.malformed("a second root")),
            None => self.root(name, &attributes),
            Some(Open::Skipped) => Open::Skipped,
            Some(Open::Verb(_) | Open::Part(_)) => self.nested(name, attributes),
            Some(Open::Root) => self.verb(name, attributes, self.checked.grammar.root()),
        };
        self.open.push(opened);
        self.set_apart();
        Ok(())
    }

    /// The verb that is open last: what is in it belongs to it.
    fn innermost(&mut self) -> Option<&mut Verb> {
        let verbs = self.open.iter_mut().rev();
        verbs.into_iter().find_map(|open| if let Open::Verb(verb) = open { Some(verb) } else { None })
    }

    /// What stands in a verb. In one that is not checked, only what it is known to have is looked at.
    fn nested(&mut self, name: &str, attributes: Vec<(String, String)>) -> Open {
        let grammar = self.checked.grammar;
        let Some(parent) = self.innermost().map(|verb| verb.rule) else { return Open::Skipped };
        let place = Place::In(parent.name);
        if parent.is_only_known && !matches!(grammar.find(name, place), Found::Rule(_)) {
            return Open::Skipped;
        }
        self.verb(name, attributes, place)
    }

    /// Where a part that is set apart begins or ends, so does a word.
    fn set_apart(&mut self) {
        if let Some(Open::Part(true)) = self.open.last()
            && let Some(verb) = self.innermost()
        {
            verb.text.push(' ');
        }
    }

    fn root(&mut self, name: &str, attributes: &[(String, String)]) -> Open {
        self.has_root = true;
        if name != ROOT {
            self.refuse(12102, &format!("it is {}", short(name)));
            return Open::Skipped;
        }
        for (attribute, value) in attributes {
            if attribute != "version" {
                self.checked.warn(UNKNOWN, ROOT, self.line, &format!("there is no attribute {}", short(attribute)));
            } else if Version::named(value).is_none() {
                let known = Version::ALL.map(Version::name).join(" or ");
                self.refuse(12101, &format!("'{}', where {known} is expected", short(value)));
            }
        }
        Open::Root
    }

    fn verb(&mut self, name: &str, attributes: Vec<(String, String)>, place: Place) -> Open {
        let grammar = self.checked.grammar;
        let place_name = if let Place::In(parent) = place { parent } else { ROOT };
        match grammar.find(name, place) {
            Found::Rule(rule) if rule.text.is_part() => return Open::Part(rule.text == Texts::PartApart),
            Found::Rule(rule) => {
                let mut verb = Verb::empty(rule, grammar, self.line);
                self.checked.take(&mut verb, attributes);
                return Open::Verb(verb);
            }
            Found::Later => {
                let version = grammar.version.name();
                self.refuse(13750, &format!("{name} is of a later version than {version}"));
            }
            Found::Misplaced => {
                let code = grammar.misplaced(place);
                self.checked.warn(code, name, self.line, &format!("{name} may not stand in this {place_name}"));
            }
            Found::Unknown => {
                let what = format!("there is no verb {}, and it is skipped", short(name));
                self.checked.warn(UNKNOWN, name, self.line, &what);
            }
        }
        Open::Skipped
    }

    /// The attributes of a tag, in their order. Those of XML itself, such as `xmlns`, are left out.
    fn attributes(&self, tag: &BytesStart<'_>) -> Result<Vec<(String, String)>, Error> {
        if !are_apart(tag.attributes_raw()) {
            return Err(self.malformed("there is no space between two attributes"));
        }
        let mut attributes = Vec::new();
        for (count, attribute) in tag.attributes().enumerate() {
            let attribute = attribute.map_err(|error| self.malformed(&error.to_string()))?;
            let name = attribute.key.as_ref();
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            let value = value.map_err(|error| self.malformed(&error.to_string()))?;
            if !is_name(name) || attribute.value.contains('<') || !value.chars().all(is_xml_character) {
                return Err(self.malformed(&format!("the attribute {}", short(name))));
            }
            if count == MOST_ATTRIBUTES {
                return Err(self.malformed(&format!("an element has more than {MOST_ATTRIBUTES} attributes")));
            }
            if name != "xmlns" && !name.starts_with("xmlns:") && !name.starts_with("xml:") {
                attributes.push((name.to_owned(), value.into_owned()));
            }
        }
        Ok(attributes)
    }

    /// White space may stand outside of the root.
    fn text(&mut self, text: &str) -> Result<(), Error> {
        if self.open.is_empty() && text.trim().is_empty() { Ok(()) } else { self.content(text) }
    }

    fn content(&mut self, text: &str) -> Result<(), Error> {
        match self.open.last_mut() {
            None => return Err(self.malformed("a text outside of the root")),
            Some(Open::Verb(_) | Open::Part(_)) => {
                if let Some(verb) = self.innermost() {
                    verb.text.push_str(text);
                }
            }
            Some(Open::Root) if !text.trim().is_empty() => {
                self.checked.warn(UNKNOWN, ROOT, self.line, "no text is expected");
            }
            Some(Open::Root | Open::Skipped) => {}
        }
        Ok(())
    }

    /// A reference to a character, or to one of the five entities that XML has by itself.
    fn resolved(&self, reference: &BytesRef<'_>) -> Result<char, Error> {
        let character = reference.resolve_char_ref().map_err(|error| self.malformed(&error.to_string()))?;
        let entity = || resolve_predefined_entity(reference).and_then(|text| text.chars().next());
        let resolved = character.or_else(entity).filter(|c| is_xml_character(*c));
        resolved.ok_or_else(|| self.malformed(&format!("the entity &{};", short(reference))))
    }

    fn close(&mut self) {
        self.set_apart();
        let Some(Open::Verb(verb)) = self.open.pop() else { return };
        let finished = self.checked.finished(verb);
        match self.open.last_mut() {
            Some(Open::Verb(parent)) => parent.children.push(finished),
            _ => self.checked.document.verbs.push(finished),
        }
    }

    fn ended(self) -> Result<Document, Error> {
        match self.error {
            _ if !self.open.is_empty() => Err(self.malformed("an element is not closed")),
            _ if !self.has_root => Err(self.malformed("there is no element")),
            Some(error) => Err(error),
            None => Ok(self.checked.document),
        }
    }
}

/// A document, and the warnings that it gathers.
pub struct Checked {
    grammar: Grammar,
    pub document: Document,
}

impl Checked {
    pub fn new(grammar: Grammar) -> Self {
        Self { grammar, document: Document::default() }
    }

    fn warn(&mut self, code: u16, verb: &str, line: u32, what: &str) {
        if self.document.warnings.len() == MOST_WARNINGS {
            self.document.further_warnings += 1;
        } else {
            let message = format!("{}: {what}", title(code));
            self.document.warnings.push(Warning { code, message, verb: short(verb), line });
        }
    }

    /// Gives a verb its attributes. The unknown ones are warned of and left out.
    fn take(&mut self, verb: &mut Verb, attributes: Vec<(String, String)>) {
        let (rule, version) = (verb.rule, verb.version);
        for (name, value) in attributes {
            match rule.attribute(&name, version) {
                _ if rule.is_only_known => {}
                None => self.warn(UNKNOWN, rule.name, verb.line, &format!("there is no attribute {}", short(&name))),
                // It depends on who is called, which is not read yet.
                Some(attribute) if attribute.value == Type::Caller => {}
                Some(attribute) if attribute.value.allows(&value) => {}
                Some(attribute) => {
                    verb.refused.push(attribute.name);
                    self.warn(attribute.code, rule.name, verb.line, &unfit(attribute, &value));
                }
            }
            verb.attributes.0.push((name, value));
        }
    }

    /// Checks who calls: where a Client or a Sip is called, that may be any name.
    fn check_caller(&mut self, verb: &mut Verb) {
        let calls_a_name = verb.children.iter().any(|child| matches!(child.name(), "Client" | "Sip"));
        for (name, value) in &verb.attributes.0 {
            let attribute = verb.rule.attribute(name, verb.version).filter(|known| known.value == Type::Caller);
            let is_fit = |known: &Attribute| known.value.allows(value) || (calls_a_name && !value.trim().is_empty());
            if let Some(attribute) = attribute.filter(|attribute| !is_fit(attribute)) {
                verb.refused.push(attribute.name);
                self.warn(attribute.code, verb.rule.name, verb.line, &unfit(attribute, value));
            }
        }
    }

    /// Checks what is left of a verb, once all that is in it is read.
    pub fn finished(&mut self, mut verb: Verb) -> Verb {
        self.check_caller(&mut verb);
        let rule: &Rule = verb.rule;
        verb.text = match rule.text {
            Texts::Speech => verb.text.split_whitespace().collect::<Vec<_>>().join(" "),
            _ => verb.text.trim().to_owned(),
        };
        let (code, what) = match rule.text {
            Texts::None if !verb.text.is_empty() => (UNKNOWN, "no text is expected".to_owned()),
            Texts::Speech if verb.text.is_empty() => (13520, "there is none".to_owned()),
            Texts::Speech if verb.text.len() > LONGEST_SPEECH => {
                (13520, format!("{} bytes, of at most {LONGEST_SPEECH}", verb.text.len()))
            }
            Texts::Body => match body_fault(&verb, self.grammar) {
                Some(what) => (14103, what),
                None => return verb,
            },
            Texts::Phone if !is_phone(&verb.text) && (!verb.text.is_empty() || verb.children.is_empty()) => {
                (13223, format!("'{}' is no phone number", short(&verb.text)))
            }
            _ => return verb,
        };
        verb.refused.push(TEXT);
        self.warn(code, rule.name, verb.line, &what);
        verb
    }
}

fn unfit(attribute: &Attribute, value: &str) -> String {
    let expected = attribute.value.expected();
    format!("{}=\"{}\", where {expected} is expected", attribute.name, short(value))
}

/// What is wrong with the text of a message.
fn body_fault(verb: &Verb, grammar: Grammar) -> Option<String> {
    let (body, longest) = (verb.body(), grammar.longest_body());
    let length = body.chars().count();
    match length {
        0 if verb.media().is_empty() => Some("there is none".to_owned()),
        _ if length > longest => Some(format!("{length} characters, of at most {longest}")),
        _ => None,
    }
}

impl Verb {
    /// The text of a message: its own, or that of a Body in it.
    pub fn body(&self) -> &str {
        self.text_or(&["Body"])
    }

    /// The URLs that a message shows.
    pub fn media(&self) -> Vec<String> {
        let media = self.children.iter().filter(|child| child.name() == "Media" && !child.text.is_empty());
        media.map(|child| child.text.clone()).collect()
    }

    /// Its own text, or that of the first of these in it.
    pub fn text_or(&self, names: &[&str]) -> &str {
        let nested = self.children.iter().filter(|child| names.contains(&child.name())).map(|child| &*child.text);
        [&*self.text].into_iter().chain(nested).find(|text| !text.is_empty()).unwrap_or_default()
    }
}

/// Whether a text is a name of XML. Of other scripts, all letters and digits pass.
fn is_name(text: &str) -> bool {
    let starts = |c: char| c.is_alphabetic() || matches!(c, '_' | ':');
    let goes_on = |c: char| starts(c) || c.is_alphanumeric() || matches!(c, '-' | '.' | '\u{b7}');
    text.starts_with(starts) && text.chars().all(goes_on)
}

/// Whether white space follows each value: quick-xml does not ask for it.
fn are_apart(attributes: &str) -> bool {
    let (mut quote, mut ended) = (None, false);
    for c in attributes.chars() {
        if ended && !c.is_ascii_whitespace() {
            return false;
        }
        ended = quote == Some(c);
        quote = match quote {
            Some(open) if open != c => Some(open),
            None if matches!(c, '"' | '\'') => Some(c),
            _ => None,
        };
    }
    true
}
