//! XML, the API's own representation, the same in all versions.

use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use super::{Fields, Links, Plain};
use crate::values::page::Slice;
use crate::values::sid::NumberSid;

/// The root of every document, and its end.
const ROOT: &str = "TwilioResponse";
const END: &str = "</TwilioResponse>\n";

/// Elements without attributes, which are nearly all, are written straight into the buffer. quick-xml writes the
/// others.
pub struct Xml<'a>(&'a mut Vec<u8>);

/// The text before and after the rows of a list.
pub fn around<T>(name: &str, slice: &Slice<T, NumberSid>, links: &Links) -> (Vec<u8>, String) {
    let mut head = Vec::with_capacity(1024);
    let mut xml = Xml(&mut head);
    xml.begin();
    xml.event(Event::Start(tag(name, slice, links)));
    (head, format!("</{name}>{END}"))
}

/// A whole document. `write` writes what its root holds.
pub fn document(write: impl FnOnce(&mut Xml<'_>)) -> Vec<u8> {
    let mut text = Vec::with_capacity(1024);
    let mut xml = Xml(&mut text);
    xml.begin();
    write(&mut xml);
    text.extend_from_slice(END.as_bytes());
    text
}

/// A document that holds a whole list, whose only attribute is its path.
pub fn whole(name: &str, uri: &str, write: impl FnOnce(&mut Xml<'_>)) -> Vec<u8> {
    document(|xml| {
        let mut tag = BytesStart::new(name);
        tag.push_attribute(("uri", uri));
        xml.event(Event::Start(tag));
        write(xml);
        xml.close(name);
    })
}

/// An element that holds others.
pub fn element(to: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Xml<'_>)) {
    Xml(to).element(name, write);
}

impl Xml<'_> {
    pub fn element(&mut self, name: &str, write: impl FnOnce(&mut Xml<'_>)) {
        self.open(name);
        write(self);
        self.close(name);
    }

    /// What is XML already, or needs no escaping.
    pub fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// What was written so far.
    pub fn written(&mut self) -> &mut Vec<u8> {
        self.0
    }

    fn begin(&mut self) {
        self.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        self.open(ROOT);
    }

    fn open(&mut self, name: &str) {
        self.0.push(b'<');
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'>');
    }

    fn close(&mut self, name: &str) {
        self.0.extend_from_slice(b"</");
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'>');
    }

    fn event(&mut self, event: Event<'_>) {
        Writer::new(&mut *self.0).write_event(event).expect("memory can be written to");
    }
}

/// The tag of a list. Its attributes tell which page this is.
fn tag<'a, T>(name: &'a str, slice: &Slice<T, NumberSid>, links: &Links) -> BytesStart<'a> {
    let (start, end) = slice.offsets();
    let numbers = [
        ("page", slice.number()),
        ("numpages", slice.pages()),
        ("pagesize", i64::from(slice.page.size)),
        ("total", slice.total),
        ("start", start),
        ("end", end),
    ];
    let texts = [
        ("uri", &links.this),
        ("firstpageuri", &links.first),
        ("nextpageuri", &links.next),
        ("previouspageuri", &links.previous),
        ("lastpageuri", &links.last),
    ];
    let mut tag = BytesStart::new(name);
    for (name, value) in numbers {
        tag.push_attribute((name, value.to_string().as_str()));
    }
    for (name, value) in texts {
        tag.push_attribute((name, value.as_str()));
    }
    tag
}

impl Fields for Xml<'_> {
    fn text(&mut self, name: &'static str, value: &str) {
        self.open(name);
        // Outside attributes, quotation marks need no escaping.
        self.0.extend_from_slice(partial_escape(value).as_bytes());
        self.close(name);
    }

    fn plain(&mut self, name: &'static str, value: &impl Plain) {
        self.open(name);
        value.write(self.0);
        self.close(name);
    }
}
