//! CSV: a header with the names, then a line for each record.

use super::{Fields, Plain};

/// A row. An element that a record does not have becomes an empty cell.
pub struct CsvRow {
    columns: std::slice::Iter<'static, &'static str>,
    cells: Vec<Vec<u8>>,
}

/// A whole document. `write` writes the elements of an item.
///
/// # Panics
/// Never: memory can be written to.
pub fn document<T>(columns: &'static [&'static str], items: &[T], write: impl Fn(&T, &mut CsvRow)) -> Vec<u8> {
    let mut text = Vec::with_capacity(1024);
    let mut writer = csv::Writer::from_writer(&mut text);
    writer.write_record(columns).expect("memory can be written to");
    drop(writer);
    rows(columns, items, write, &mut text);
    text
}

/// A line for each record.
///
/// # Panics
/// Never: memory can be written to.
pub fn rows<T>(columns: &'static [&'static str], items: &[T], write: impl Fn(&T, &mut CsvRow), to: &mut Vec<u8>) {
    let mut writer = csv::Writer::from_writer(to);
    for item in items {
        let mut row = CsvRow { columns: columns.iter(), cells: Vec::with_capacity(columns.len()) };
        write(item, &mut row);
        row.cells.resize(columns.len(), Vec::new());
        writer.write_record(&row.cells).expect("memory can be written to");
    }
    writer.flush().expect("memory can be written to");
}

impl CsvRow {
    fn cell(&mut self, name: &'static str, cell: Vec<u8>) {
        let left_out = self.columns.by_ref().take_while(|column| **column != name).count();
        self.cells.resize(self.cells.len() + left_out, Vec::new());
        self.cells.push(cell);
    }
}

impl Fields for CsvRow {
    fn text(&mut self, name: &'static str, value: &str) {
        self.cell(name, value.as_bytes().to_vec());
    }

    fn plain(&mut self, name: &'static str, value: &impl Plain) {
        let mut cell = Vec::new();
        value.write(&mut cell);
        self.cell(name, cell);
    }
}
