//! Writes resources, for all versions of the API: element by element, straight into one buffer. The rows
//! of a long list are written as the client takes them.

mod csv;
mod links;
mod pieces;
mod plain;
pub mod xml;

pub use csv::{CsvRow, document as csv_document, rows as csv_rows};
pub use links::{Links, list_links};
pub use pieces::{Pieces, Rows};
pub use plain::Rfc2822;

/// Takes the elements of a resource, in their order.
pub trait Fields {
    /// A text. A client may have chosen it, so it must be escaped.
    fn text(&mut self, name: &'static str, value: &str);

    /// A value that is the same in every representation.
    fn plain(&mut self, name: &'static str, value: &impl Plain);
}

/// A value whose text needs no escaping in any representation.
pub trait Plain {
    fn write(&self, to: &mut Vec<u8>);
}
