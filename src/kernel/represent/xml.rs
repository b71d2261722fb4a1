//! XML, the API's own representation.

use quick_xml::Writer;
use quick_xml::escape::escape;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use super::{Fields, List, Plain, Record, Uris};

/// What an element of a list takes up, more or less.
const RECORD_SIZE: usize = 1024;

/// Elements without attributes, which are nearly all, go straight into the buffer; the rest through quick-xml.
pub struct Xml(Vec<u8>);

impl Xml {
    pub fn document(content: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut xml = Self(Vec::with_capacity(RECORD_SIZE));
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml.open("TwilioResponse");
        content(&mut xml);
        xml.close("TwilioResponse");
        xml.0.push(b'\n');
        xml.0
    }

    pub fn record<R: Record>(&mut self, record: &R) {
        self.open(R::NAME);
        record.write(self);
        self.close(R::NAME);
    }

    pub fn list<T: Record>(&mut self, list: &List<'_, T>, uris: &Uris) {
        self.0.reserve(list.slice.items.len() * RECORD_SIZE);
        self.event(Event::Start(tag(list, uris)));
        list.slice.items.iter().for_each(|item| self.record(item));
        self.close(list.name);
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
        Writer::new(&mut self.0).write_event(event).expect("memory can be written to");
    }
}

/// The tag of a list, which tells where its page lies.
fn tag<'a, T>(list: &List<'a, T>, uris: &Uris) -> BytesStart<'a> {
    let slice = list.slice;
    let (start, end) = slice.places();
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

impl Fields for Xml {
    fn text(&mut self, name: &'static str, value: &str) {
        self.open(name);
        self.0.extend_from_slice(escape(value).as_bytes());
        self.close(name);
    }

    fn plain(&mut self, name: &'static str, value: &impl Plain) {
        self.open(name);
        value.write(&mut self.0);
        self.close(name);
    }
}
