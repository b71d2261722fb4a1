//! JSON of the old API: the names of the XML, every value a string.

use super::{Fields, Plain, Record};

pub struct Json {
    buffer: Vec<u8>,
    first: bool,
}

impl Json {
    pub fn document(content: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut json = Self { buffer: Vec::with_capacity(1024), first: true };
        json.raw("{\"TwilioResponse\":");
        content(&mut json);
        json.raw("}\n");
        json.buffer
    }

    pub fn record<R: Record>(&mut self, record: &R) {
        self.raw("{");
        self.string(R::NAME);
        self.raw(":{");
        self.first = true;
        record.write(self);
        self.raw("}}");
    }

    pub fn list<T: Record>(&mut self, name: &str, items: &[T]) {
        self.raw("{");
        self.string(name);
        self.raw(":[");
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.raw(",");
            }
            self.record(item);
        }
        self.raw("]}");
    }

    fn raw(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.buffer, text).expect("memory can be written to");
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.raw(",");
        }
        self.string(name);
        self.raw(":");
    }
}

impl Fields for Json {
    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.string(value);
    }

    fn plain(&mut self, name: &'static str, value: &impl Plain) {
        self.name(name);
        self.raw("\"");
        value.write(&mut self.buffer);
        self.raw("\"");
    }
}

/// Adds the members of an object to a document, beside `TwilioResponse`.
pub fn beside(mut document: Vec<u8>, members: &impl serde::Serialize) -> Vec<u8> {
    // The end of the one and the beginning of the other make room for a comma.
    document.truncate(document.trim_ascii_end().len() - 1);
    let at = document.len();
    serde_json::to_writer(&mut document, members).expect("memory can be written to");
    document[at] = b',';
    document.push(b'\n');
    document
}
