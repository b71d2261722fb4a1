//! The lines of a CSV and their cells, with no more memory than the longest row needs.

use std::io::{self, BufRead, BufReader, Read};

use crate::kernel::error::{Code, Result};

/// The longest row, in bytes, its line ending included.
pub const LONGEST_ROW: usize = 4096;

/// A file line by line. A row never spans lines, so that a quote which is not closed swallows
/// nothing but its own.
pub struct Lines<R> {
    source: BufReader<R>,
    /// Of the line that was read last, counted from 1.
    pub number: u64,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    pub fn of(source: R) -> Self {
        Self { source: BufReader::new(source), number: 0, line: Vec::new() }
    }

    /// The next line that is not blank; at most one byte more of it than a row may have.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            self.number += 1;
            self.line.clear();
            let unreadable =
                |error: io::Error| Code::InvalidParameter.because(format!("the file cannot be read: {error}"));
            let most = LONGEST_ROW as u64 + 1;
            let read = self.source.by_ref().take(most).read_until(b'\n', &mut self.line).map_err(unreadable)?;
            if read as u64 == most && self.line.last() != Some(&b'\n') {
                self.source.skip_until(b'\n').map_err(unreadable)?;
            }
            match read {
                0 => return Ok(None),
                // What is too long for a row need not be blank to its end.
                _ if self.line.len() <= LONGEST_ROW && self.line.trim_ascii().is_empty() => {}
                _ => return Ok(Some(&self.line)),
            }
        }
    }
}

/// Splits rows into cells.
pub struct Cells {
    csv: csv_core::Reader,
    text: Vec<u8>,
}

impl Default for Cells {
    fn default() -> Self {
        Self { csv: csv_core::Reader::new(), text: vec![0; LONGEST_ROW] }
    }
}

impl Cells {
    /// # Errors
    /// The reason why the row cannot be read.
    pub fn split(&mut self, line: &[u8]) -> Result<Vec<&str>, String> {
        if line.len() > LONGEST_ROW {
            return Err(format!("the row is longer than {LONGEST_ROW} bytes"));
        }
        let line = line.trim_ascii_end();
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|_| "the row is not UTF-8 text")?;
        if text.chars().any(char::is_control) {
            return Err("the row holds a control character".to_owned());
        }
        if !is_well_quoted(text) {
            return Err("a quote is not closed, or stands within a cell; put quotes around the whole cell".to_owned());
        }
        let (mut ends, mut count) = ([0; super::COLUMNS.len() + 1], 0);
        self.csv.reset();
        // The second call tells the parser that the row ends here.
        for input in [line, &[]] {
            let written = ends[..count].last().copied().unwrap_or(0);
            let (_, _, _, more) = self.csv.read_record(input, &mut self.text[written..], &mut ends[count..]);
            count += more;
        }
        let starts = std::iter::once(0).chain(ends);
        let cells = starts.zip(&ends[..count]).map(|(start, end)| std::str::from_utf8(&self.text[start..*end]));
        cells.map(|cell| cell.map(str::trim).map_err(|_| "the row is not UTF-8 text".to_owned())).collect()
    }
}

/// Whether all quotes stand around whole cells, or doubled within those: of anything else the
/// parser would make a guess.
fn is_well_quoted(text: &str) -> bool {
    let parts: Vec<&str> = text.split('"').collect();
    let last = parts.len() - 1;
    // Every second part is outside of quotes; an empty one there is a doubled quote.
    let mut outside = parts.iter().enumerate().step_by(2).filter(|(_, part)| !part.is_empty());
    last.is_multiple_of(2)
        && outside.all(|(at, part)| (at == 0 || part.starts_with(',')) && (at == last || part.ends_with(',')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_does_not_end_needs_no_memory() {
        for byte in [b'9', b' ', b'"', b'\r'] {
            let mut lines = Lines::of(io::repeat(byte).take(20_000_000));
            let line = lines.next().unwrap().expect("a line");
            assert!((LONGEST_ROW..=2 * LONGEST_ROW).contains(&line.len()));
            assert!(lines.line.capacity() <= 4 * LONGEST_ROW);
            assert!(lines.next().unwrap().is_none());
        }
    }
}
