//! JSON: names in snake case, real booleans, numbers and nulls.

use std::fmt::Write;

use super::{Record, Same, Typed};
use crate::values::page::Slice;
use crate::values::sid::NumberSid;
use crate::web::represent::{Fields, Links, Plain};

/// No name is longer, in characters of ASCII.
const LONGEST_NAME: usize = 32;

/// The end of every document.
const END: &str = "}\n";

pub struct Json<'a> {
    buffer: &'a mut Vec<u8>,
    first: bool,
}

/// A document that holds one resource.
pub fn document(record: &impl Record) -> Vec<u8> {
    let mut text = Vec::with_capacity(2048);
    object(record, &mut text);
    text.push(b'\n');
    text
}

/// The text before and after the rows of a list: the keys of both generations of paging, and one key with the rows. A
/// page that does not exist is null: to old SDKs, an empty text would be a page.
pub fn around<T>(name: &str, slice: &Slice<T, NumberSid>, links: &Links) -> (Vec<u8>, String) {
    let mut text = String::with_capacity(1024);
    let (start, end) = slice.offsets();
    let uris = [
        ("uri", &links.this),
        ("first_page_uri", &links.first),
        ("next_page_uri", &links.next),
        ("previous_page_uri", &links.previous),
        ("last_page_uri", &links.last),
    ];
    let numbers = [
        ("page", slice.number()),
        ("page_size", slice.page.size.into()),
        ("start", start),
        ("end", end),
        ("total", slice.total),
        ("num_pages", slice.pages()),
    ];
    for (index, (key, uri)) in uris.into_iter().enumerate() {
        let comma = if index == 0 { "{" } else { "," };
        // An encoded path has nothing to escape.
        let _ = if uri.is_empty() {
            write!(text, "{comma}\"{key}\":null")
        } else {
            write!(text, "{comma}\"{key}\":\"{uri}\"")
        };
    }
    for (key, number) in numbers {
        let _ = write!(text, ",\"{key}\":{number}");
    }
    let mut text = text.into_bytes();
    text.extend_from_slice(b",\"");
    write_snake(name, &mut text);
    text.extend_from_slice(b"\":[");
    (text, format!("]{END}"))
}

/// The rows of a list. `is_first` if no row was written before them.
pub fn rows<T: Record>(rows: &[T], is_first: bool, to: &mut Vec<u8>) {
    for (index, row) in rows.iter().enumerate() {
        if index > 0 || !is_first {
            to.push(b',');
        }
        object(row, to);
    }
}

fn object(record: &impl Record, to: &mut Vec<u8>) {
    to.push(b'{');
    record.write(&mut Json { buffer: to, first: true });
    to.push(b'}');
}

/// A document that holds a whole list: its path, and one key with the rows.
pub fn whole<T: Record>(name: &str, uri: &str, all: &[T]) -> Vec<u8> {
    // An encoded path has nothing to escape.
    let mut text = format!("{{\"uri\":\"{uri}\",\"").into_bytes();
    write_snake(name, &mut text);
    text.extend_from_slice(b"\":[");
    rows(all, true, &mut text);
    text.extend_from_slice(b"]");
    text.extend_from_slice(END.as_bytes());
    text
}

/// `VoiceUrl` as `voice_url`.
pub fn snake(name: &str) -> String {
    let mut text = Vec::with_capacity(2 * name.len());
    write_snake(name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn write_snake(name: &str, to: &mut Vec<u8>) {
    let mut words = [0; 2 * LONGEST_NAME];
    let mut end = 0;
    for letter in name.bytes() {
        if letter.is_ascii_uppercase() && end > 0 {
            words[end] = b'_';
            end += 1;
        }
        words[end] = letter.to_ascii_lowercase();
        end += 1;
    }
    to.extend_from_slice(&words[..end]);
}

impl Json<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.buffer.push(b',');
        }
        self.buffer.push(b'"');
        write_snake(name, self.buffer);
        self.buffer.extend_from_slice(b"\":");
    }
}

impl Fields for Json<'_> {
    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        serde_json::to_writer(&mut *self.buffer, value).expect("memory can be written to");
    }

    fn plain(&mut self, name: &'static str, value: &impl Plain) {
        self.name(name);
        self.buffer.push(b'"');
        value.write(self.buffer);
        self.buffer.push(b'"');
    }
}

impl Typed for Json<'_> {
    fn fixed(&mut self, name: &'static str, json: &str, _: Option<&str>) {
        self.name(name);
        self.buffer.extend_from_slice(json.as_bytes());
    }

    fn same(&mut self, known: &'static Same, write: impl FnOnce(&mut Self)) {
        if let Some(text) = known.json.get() {
            return self.buffer.extend_from_slice(text);
        }
        let before = self.buffer.len();
        write(self);
        known.json.get_or_init(|| self.buffer[before..].to_vec());
    }

    fn uri(&mut self, name: &'static str, path: &impl Plain) {
        self.name(name);
        self.buffer.push(b'"');
        path.write(self.buffer);
        self.buffer.extend_from_slice(b".json\"");
    }
}
