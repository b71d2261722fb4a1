//! JSON of the old API: the names of the XML, every value a string.

use super::Record;
use crate::web::represent::{Fields, Plain};

/// How every document begins and ends.
const BEGIN: &str = "{\"TwilioResponse\":";
const END: &str = "}\n";

pub struct Json<'a> {
    buffer: &'a mut Vec<u8>,
    first: bool,
}

/// The text before and after the rows of a list.
pub fn around(name: &str) -> (Vec<u8>, String) {
    (format!("{BEGIN}{{\"{name}\":[").into_bytes(), format!("]}}{END}"))
}

/// The rows of a list. `is_first` if no row was written before them.
pub fn rows<T: Record>(rows: &[T], is_first: bool, to: &mut Vec<u8>) {
    let mut json = Json { buffer: to, first: true };
    for (index, row) in rows.iter().enumerate() {
        if index > 0 || !is_first {
            json.raw(",");
        }
        json.record(row);
    }
}

impl Json<'_> {
    pub fn document(record: &impl Record) -> Vec<u8> {
        let mut text = Vec::with_capacity(1024);
        let mut json = Json { buffer: &mut text, first: true };
        json.raw(BEGIN);
        json.record(record);
        json.raw(END);
        text
    }

    fn record<R: Record>(&mut self, record: &R) {
        self.raw("{");
        self.string(R::NAME);
        self.raw(":{");
        self.first = true;
        record.write(self);
        self.raw("}}");
    }

    fn raw(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut *self.buffer, text).expect("memory can be written to");
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.raw(",");
        }
        self.string(name);
        self.raw(":");
    }
}

impl Fields for Json<'_> {
    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.string(value);
    }

    fn plain(&mut self, name: &'static str, value: &impl Plain) {
        self.name(name);
        self.raw("\"");
        value.write(self.buffer);
        self.raw("\"");
    }
}

/// Adds the members of an object to a document, beside `TwilioResponse`.
pub fn beside(mut document: Vec<u8>, members: &impl serde::Serialize) -> Vec<u8> {
    // The `}` at the end of the document and the `{` of the members give way to a comma.
    document.truncate(document.trim_ascii_end().len() - 1);
    let at = document.len();
    serde_json::to_writer(&mut document, members).expect("memory can be written to");
    document[at] = b',';
    document.push(b'\n');
    document
}
