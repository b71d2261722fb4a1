//! XML, the API's own representation.

use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use super::{Fields, List, Plain, Record, Uris};

/// The root of every document, and its end.
const ROOT: &str = "TwilioResponse";
const END: &str = "</TwilioResponse>\n";

/// Elements without attributes, which are nearly all, are written straight into the buffer. quick-xml writes the
/// others.
pub struct Xml<'a>(&'a mut Vec<u8>);

/// The text before and after the rows of a list.
pub fn around<T>(list: &List<'_, T>, uris: &Uris) -> (Vec<u8>, String) {
    let mut head = Vec::with_capacity(1024);
    let mut xml = Xml(&mut head);
    xml.begin();
    xml.event(Event::Start(tag(list, uris)));
    (head, format!("</{}>{END}", list.name))
}

/// The rows of a list.
pub fn rows<T: Record>(rows: &[T], to: &mut Vec<u8>) {
    let mut xml = Xml(to);
    rows.iter().for_each(|row| xml.record(row));
}

impl Xml<'_> {
    pub fn document(record: &impl Record) -> Vec<u8> {
        let mut text = Vec::with_capacity(1024);
        let mut xml = Xml(&mut text);
        xml.begin();
        xml.record(record);
        text.extend_from_slice(END.as_bytes());
        text
    }

    fn begin(&mut self) {
        self.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        self.open(ROOT);
    }

    fn record<R: Record>(&mut self, record: &R) {
        self.open(R::NAME);
        record.write(self);
        self.close(R::NAME);
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
fn tag<'a, T>(list: &List<'a, T>, uris: &Uris) -> BytesStart<'a> {
    let slice = &list.slice;
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
        ("uri", &uris.this),
        ("firstpageuri", &uris.first),
        ("nextpageuri", &uris.next),
        ("previouspageuri", &uris.previous),
        ("lastpageuri", &uris.last),
    ];
    let mut tag = BytesStart::new(list.name);
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
