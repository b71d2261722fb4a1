//! XML read by a parser, for when a search for tags is not enough.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

use super::Answer;

impl Answer {
    /// Every element without children, as its path and its text; fails if the body is not well-formed XML.
    #[track_caller]
    pub fn leaves(&self) -> Vec<(String, String)> {
        leaves(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    /// The text of the first leaf of this name.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        let found = self.leaves().into_iter().find(|(path, _)| path.rsplit('/').next() == Some(name));
        found.unwrap_or_else(|| panic!("no {name} in {}", self.body)).1
    }
}

fn leaves(xml: &str) -> Result<Vec<(String, String)>, quick_xml::Error> {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut found) = (Vec::new(), Vec::new());
    // The text since the last tag, if that tag opened an element.
    let mut text = None;
    loop {
        match reader.read_event()? {
            Event::Start(tag) => {
                tag.attributes().try_for_each(|attribute| attribute.map(drop))?;
                path.push(tag.name().as_ref().to_owned());
                text = Some(String::new());
            }
            Event::End(_) => {
                found.extend(text.take().map(|text| (path.join("/"), text)));
                path.pop();
            }
            Event::Text(part) => append(&mut text, &part.into_inner()),
            Event::GeneralRef(reference) => append(&mut text, &resolved(&reference)?),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(path, Vec::<String>::new(), "elements that stay open");
    assert!(xml.chars().all(is_xml_character), "a character that XML cannot carry");
    Ok(found)
}

fn append(text: &mut Option<String>, part: &str) {
    if let Some(text) = text {
        text.push_str(part);
    }
}

fn resolved(reference: &BytesRef<'_>) -> Result<String, quick_xml::Error> {
    if let Some(character) = reference.resolve_char_ref()? {
        assert!(is_xml_character(character), "a reference to a character that XML cannot carry");
        return Ok(character.to_string());
    }
    Ok(resolve_predefined_entity(&reference.borrow().into_inner()).expect("an entity of XML's own").to_owned())
}

fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
