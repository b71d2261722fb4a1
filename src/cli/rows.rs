//! Answers of any length: rows are written as they come, so that millions of rows need little memory.

use std::io::{self, BufWriter, Stdout, Write};

use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use serde::Serialize;

use super::options::Output;
use super::screen::Screen;
use super::table::Table;
use super::terminal::tell;
use super::{Done, Failure, written};

/// A table is written in batches of this many bytes. The first batch, about a thousand rows, settles the widths of
/// the columns.
const BATCH: usize = 1 << 17;

/// Writes rows to standard output.
pub struct Rows {
    output: Output,
    out: BufWriter<Stdout>,
    /// What comes before the next object.
    before: &'static str,
    /// The lines of the next batch of a table; the header is the first line.
    waiting: Vec<u8>,
    table: Option<Table>,
    /// The indices of its columns, those first that a narrow terminal shows.
    foremost: Option<Vec<usize>>,
    /// The columns that hold texts of tenants and files, and their indices once the header is known.
    texts: Vec<String>,
    indices: Option<Vec<usize>>,
}

impl Rows {
    /// `texts` names the columns with texts of tenants and files.
    pub fn new(output: Output, texts: Vec<String>) -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout());
        Self { output, out, before: "[\n", waiting: Vec::new(), table: None, foremost: None, texts, indices: None }
    }

    /// On a narrow terminal, columns at these indices come first.
    pub fn foremost(mut self, indices: Vec<usize>) -> Self {
        self.foremost = Some(indices);
        self
    }

    /// Takes a row as text: an object of JSON, or else a line of CSV, the header first.
    pub fn add(&mut self, row: &[u8]) -> Done {
        written(match self.output {
            Output::Csv => self.add_line(row),
            Output::Json => {
                let before = std::mem::replace(&mut self.before, ",\n");
                self.out.write_all(before.as_bytes()).and_then(|()| self.out.write_all(row.trim_ascii_end()))
            }
            Output::Table | Output::Wide => {
                self.waiting.extend_from_slice(row);
                if self.waiting.len() > BATCH { self.tabulate() } else { Ok(()) }
            }
        })
    }

    /// Takes a line of CSV. Puts an apostrophe before a text that a spreadsheet would take for a formula.
    fn add_line(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(indices) = &self.indices else {
            let header = record(line)?;
            let is_text = |name: &[u8]| self.texts.iter().any(|text| text.as_bytes() == name);
            self.indices = Some((0..).zip(&header).filter(|(_, name)| is_text(name)).map(|(index, _)| index).collect());
            return self.out.write_all(line);
        };
        // A line without these characters holds no formula. So most lines need not be parsed.
        if indices.is_empty() || !line.iter().any(|byte| is_mark(*byte)) {
            return self.out.write_all(line);
        }
        let cells = record(line)?;
        let is_formula = |index: usize| indices.contains(&index) && cells.get(index).is_some_and(begins_formula);
        if !(0..cells.len()).any(is_formula) {
            return self.out.write_all(line);
        }
        let tamed = (0..).zip(&cells).map(|(index, cell)| match is_formula(index) {
            true => [b"'", cell].concat(),
            false => cell.to_vec(),
        });
        WriterBuilder::new().has_headers(false).from_writer(&mut self.out).write_record(tamed)?;
        Ok(())
    }

    /// Takes the names of the columns. Rows for [`Rows::show`] follow.
    pub fn head(&mut self, names: &[&str]) -> Done {
        if self.output == Output::Json { Ok(()) } else { self.show(&names) }
    }

    /// Takes a row, and writes it in the form of the output.
    pub fn show(&mut self, row: &impl Serialize) -> Done {
        let unreadable = |error: &dyn std::error::Error| Failure::Bad(error.to_string());
        if self.output == Output::Json {
            return self.add(&serde_json::to_vec(row).map_err(|error| unreadable(&error))?);
        }
        let mut line = WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        line.serialize(row).map_err(|error| unreadable(&error))?;
        self.add(&line.into_inner().map_err(|error| unreadable(&error))?)
    }

    /// Writes the rest.
    pub fn end(mut self) -> Done {
        let last = match self.output {
            Output::Csv => Ok(()),
            Output::Json => write!(self.out, "{}\n]\n", if self.before == ",\n" { "" } else { "[" }),
            Output::Table | Output::Wide => self.tabulate(),
        };
        written(last.and_then(|()| self.out.flush()))?;
        if let Some(told) = self.table.and_then(|table| table.left_out()) {
            tell(&told);
        }
        Ok(())
    }

    fn tabulate(&mut self) -> io::Result<()> {
        let lines = ReaderBuilder::new().has_headers(false).from_reader(&*self.waiting);
        let records = lines.into_records().collect::<Result<Vec<_>, _>>()?;
        self.waiting.clear();
        let records: Vec<Vec<&str>> = records.iter().map(|record| record.iter().collect()).collect();
        let (output, foremost) = (self.output, self.foremost.as_deref());
        let table = self.table.get_or_insert_with(|| {
            let (header, rows) = records.split_first().map_or((None, &[][..]), |(header, rows)| (Some(header), rows));
            Table::of(header, rows, Screen::of(output), foremost)
        });
        let mut text = String::new();
        records.iter().for_each(|row| table.write(&mut text, row));
        self.out.write_all(text.as_bytes())
    }
}

fn record(line: &[u8]) -> io::Result<ByteRecord> {
    let mut record = ByteRecord::new();
    ReaderBuilder::new().has_headers(false).from_reader(line).read_byte_record(&mut record)?;
    Ok(record)
}

const fn is_mark(byte: u8) -> bool {
    // 0xEF is the first byte of the full-width forms of these signs, which some spreadsheets treat alike.
    matches!(byte, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n' | 0xEF)
}

/// Whether a spreadsheet would take this cell for a formula.
fn begins_formula(cell: &[u8]) -> bool {
    let wide = ["\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}"];
    match cell.first() {
        Some(0xEF) => wide.iter().any(|mark| cell.starts_with(mark.as_bytes())),
        first => first.is_some_and(|byte| is_mark(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_told_by_how_it_begins() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\u{ff1d}1"] {
            assert!(begins_formula(cell.as_bytes()), "{cell:?}");
        }
        for cell in ["", "Acme", "a=b", "'=1", "\u{ff21}", "株式"] {
            assert!(!begins_formula(cell.as_bytes()), "{cell:?}");
        }
    }
}
