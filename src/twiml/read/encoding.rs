//! The text of an answer: a byte order mark, the charset of the Content-Type or the XML declaration says how it is
//! encoded, in this order. Otherwise it is UTF-8.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use quick_xml::events::{BytesDecl, BytesStart};

use super::super::Error;
use super::short;

/// # Errors
/// If the encoding is unknown, the bytes are not text in it, or the text has a character that XML cannot carry.
pub fn decoded<'a>(body: &'a [u8], charset: Option<&str>, is_xml: bool) -> Result<Cow<'a, str>, Error> {
    let malformed = |what: String| Error::of(12100, None, &what);
    let marked = Encoding::for_bom(body);
    let (encoding, start) = if let Some(marked) = marked {
        marked
    } else {
        let declared = || declared(body).filter(|_| is_xml);
        let label = charset.map(str::to_owned).or_else(declared);
        let known = label.as_ref().map_or(Some(UTF_8), |label| Encoding::for_label(label.as_bytes()));
        let label = label.unwrap_or_default();
        (known.ok_or_else(|| malformed(format!("the encoding '{}' is unknown", short(&label))))?, 0)
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(&body[start..]);
    let text = text.ok_or_else(|| malformed(format!("it is not text in {}", encoding.name())))?;
    match text.chars().find(|c| !is_xml_character(*c)) {
        Some(c) => Err(malformed(format!("it has the character U+{:04X}", u32::from(c)))),
        None => Ok(text),
    }
}

/// The encoding that an XML declaration names. All that a declaration has is ASCII in every encoding of a label.
fn declared(body: &[u8]) -> Option<String> {
    const LONGEST: usize = 200;
    let rest = body.strip_prefix(b"<?")?;
    let end = rest.windows(2).take(LONGEST).position(|pair| pair == b"?>")?;
    let declaration = str::from_utf8(&rest[..end]).ok()?.strip_prefix("xml")?;
    let declaration = BytesDecl::from_start(BytesStart::from_content(declaration, 0));
    declaration.encoding()?.ok().map(Cow::into_owned)
}

/// Whether XML 1.0 allows a character.
pub const fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
