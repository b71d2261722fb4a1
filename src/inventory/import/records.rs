//! Reads the records of a CSV (RFC 4180) one by one, with memory for the longest only.
//!
//! After a wrong quote, nobody can tell which line breaks end a record: a guess could make rows from the lines of a
//! note. So reading stops there.

use std::io::Read;

use super::text::Text;

/// The longest record, and the longest quoted cell, in bytes of UTF-8.
pub const LONGEST_RECORD: usize = 1 << 14;

/// The possible delimiters of cells.
pub const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Why the rest of the file cannot be read, and what would be right.
#[derive(Debug)]
pub struct Unreadable(pub String);

/// The records of a file. While the delimiter is unknown, each of [`DELIMITERS`] is one.
pub struct Records<R> {
    text: Text<R>,
    pub delimiter: Option<u8>,
    /// The current line, counted from 1.
    line: u64,
    record: Vec<u8>,
}

/// A record without its line end.
pub struct Record<'a> {
    /// Its first line, counted from 1.
    pub line: u64,
    /// Its first [`LONGEST_RECORD`] bytes.
    pub bytes: &'a [u8],
    pub is_whole: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CsvState {
    CellBegins,
    Unquoted,
    Quoted,
    /// After a quote within a quoted cell: either it is the first of a doubled quote, or the cell has ended.
    Closed,
    /// The quoted cell has ended; only blanks may follow.
    Ended,
    RecordEnds,
}

impl<R: Read> Records<R> {
    pub fn of(text: Text<R>) -> Self {
        Self { text, delimiter: None, line: 1, record: Vec::new() }
    }

    /// The next record, which may be an empty line. `None` at the end.
    ///
    /// # Errors
    /// If the source cannot be read, or a quote is not around a whole cell.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Unreadable> {
        let begins = self.line;
        let (mut state, mut size, mut quote_line, mut quote_at) = (CsvState::CellBegins, 0, begins, 0);
        self.record.clear();
        while state != CsvState::RecordEnds {
            let piece = self.text.piece().map_err(|error| Unreadable(format!("the file cannot be read: {error}")))?;
            if piece.is_empty() {
                break;
            }
            let mut taken = 0;
            for byte in piece {
                taken += 1;
                let before = state;
                state = next_state(state, *byte, self.delimiter).ok_or_else(|| {
                    misplaced(self.line, if before == CsvState::Unquoted { None } else { Some(quote_line) })
                })?;
                if (before, state) == (CsvState::CellBegins, CsvState::Quoted) {
                    (quote_line, quote_at) = (self.line, size);
                }
                if state == CsvState::Quoted && size - quote_at > LONGEST_RECORD {
                    return Err(not_closed(quote_line));
                }
                if state == CsvState::RecordEnds {
                    break;
                }
                self.line += u64::from(*byte == b'\n');
                size += 1;
                if size <= LONGEST_RECORD {
                    self.record.push(*byte);
                }
            }
            self.text.take(taken);
        }
        match state {
            CsvState::Quoted => return Err(not_closed(quote_line)),
            CsvState::RecordEnds => self.line += 1,
            _ if size == 0 => return Ok(None),
            _ => {}
        }
        let bytes = self.record.strip_suffix(b"\r").unwrap_or(&self.record);
        Ok(Some(Record { line: begins, bytes, is_whole: size <= LONGEST_RECORD }))
    }
}

/// The state after a byte. `None` for a misplaced quote, or for text behind a quoted cell.
fn next_state(state: CsvState, byte: u8, delimiter: Option<u8>) -> Option<CsvState> {
    let delimits = delimiter.map_or(DELIMITERS.contains(&byte), |delimiter| delimiter == byte);
    Some(match (state, byte) {
        (CsvState::Quoted, b'"') => CsvState::Closed,
        (CsvState::Quoted, _) | (CsvState::CellBegins | CsvState::Closed, b'"') => CsvState::Quoted,
        (_, b'"') => return None,
        (_, b'\n') => CsvState::RecordEnds,
        _ if delimits => CsvState::CellBegins,
        (CsvState::Closed | CsvState::Ended, b' ' | b'\r') => CsvState::Ended,
        (CsvState::Closed | CsvState::Ended, _) => return None,
        _ => CsvState::Unquoted,
    })
}

fn not_closed(line: u64) -> Unreadable {
    Unreadable(format!(
        "line {line}: the quote that begins a cell there is not closed within {LONGEST_RECORD} bytes; from there on \
        rows cannot be told from the text of a cell"
    ))
}

fn misplaced(line: u64, quoted_since: Option<u64>) -> Unreadable {
    let since = match quoted_since {
        Some(since) if since != line => format!(" (the cell's first quote is in line {since})"),
        _ => String::new(),
    };
    Unreadable(format!(
        "line {line}: a quote must stand around a whole cell, or doubled within one{since}; from there on rows cannot \
        be told from the text of a cell"
    ))
}

/// Splits records into cells.
pub struct Cells {
    reader: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Cells {
    pub fn split_at(delimiter: u8) -> Self {
        // A line break outside of quotes has ended the record already; a CR is a part of its cell.
        let end = csv_core::Terminator::Any(b'\n');
        let reader = csv_core::ReaderBuilder::new().delimiter(delimiter).terminator(end).build();
        Self { reader, text: vec![0; LONGEST_RECORD], ends: vec![0; 64] }
    }

    /// The cells, without their quotes.
    pub fn split(&mut self, mut record: &[u8]) -> Vec<&[u8]> {
        let (mut written, mut count) = (0, 0);
        self.reader.reset();
        loop {
            let ends = &mut self.ends[count..];
            let (result, read, more, ended) = self.reader.read_record(record, &mut self.text[written..], ends);
            (record, written, count) = (&record[read..], written + more, count + ended);
            match result {
                csv_core::ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                csv_core::ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                // Empty input tells it that the record ends.
                csv_core::ReadRecordResult::InputEmpty => {}
                csv_core::ReadRecordResult::Record | csv_core::ReadRecordResult::End => break,
            }
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends[..count]).map(|(start, end)| &self.text[start..*end]).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::inventory::import::text::Encoding;

    fn records(text: impl Read) -> Records<impl Read> {
        let mut records = Records::of(Text::of(text, Encoding::Auto).unwrap());
        records.delimiter = Some(b',');
        records
    }

    fn all(text: &str) -> Result<Vec<(u64, String)>, String> {
        let (mut records, mut cells, mut all) = (records(text.as_bytes()), Cells::split_at(b','), Vec::new());
        while let Some(record) = records.next().map_err(|error| error.0)? {
            let text = cells.split(record.bytes).iter().map(|cell| String::from_utf8_lossy(cell)).collect::<Vec<_>>();
            all.push((record.line, text.join("|")));
        }
        Ok(all)
    }

    #[test]
    fn a_quoted_cell_may_hold_anything() {
        let text = "a,\"b, \"\"c\"\"\r\n4158675309\nd\" ,e\r\n\n\"\",x\r\n\"last\"";
        let expected = [(1, "a|b, \"c\"\r\n4158675309\nd |e"), (4, ""), (5, "|x"), (6, "last")]
            .map(|(at, text)| (at, text.into()));
        assert_eq!(all(text).unwrap(), expected);
    }

    #[test]
    fn reading_ends_where_quotes_are_wrong() {
        for (text, line) in [
            ("a\nx\"y\nz", 2),
            ("a\n\"a\"b\nz", 2),
            ("a\n \"a\"\nz", 2),
            ("a\n\"a\" \"b\"\nz", 2),
            ("a\nb,\"open\nc\nd", 2),
            ("a\nb,\"open\n415,\"call\nd\"", 3),
            ("a,\"b\nc\"d\n", 2),
        ] {
            let refused = all(text).expect_err(text);
            assert!(refused.starts_with(&format!("line {line}: ")), "{text:?}: {refused}");
        }
        assert!(all("a\nb,\"open\n415,\"call\nd\"").unwrap_err().contains("first quote is in line 2"));
    }

    #[test]
    fn a_quote_that_is_not_closed_ends_soon() {
        let endless = io::Cursor::new(b"a\nb,\"").chain(io::repeat(b'\n'));
        let mut records = records(endless);
        records.next().unwrap();
        let refused = records.next().err().expect("it ends").0;
        assert!(refused.starts_with("line 2: ") && refused.contains("not closed"), "{refused}");
        let long = format!("a\n\"{}\"\n", "\n".repeat(LONGEST_RECORD - 2));
        assert_eq!(all(&long).unwrap().len(), 2);
    }

    #[test]
    fn an_endless_line_needs_little_memory() {
        for byte in [b'9', b' ', b',', b'\r'] {
            let mut records = records(io::repeat(byte).take(2_000_000));
            let record = records.next().unwrap().expect("a record");
            assert!(!record.is_whole && record.bytes.len() >= LONGEST_RECORD - 1);
            assert!(records.record.capacity() <= 2 * LONGEST_RECORD);
            assert!(records.next().unwrap().is_none());
        }
    }

    #[test]
    fn a_record_may_have_any_number_of_cells() {
        let mut cells = Cells::split_at(b';');
        for count in [0, 1, 62, 63, 64, 65, 1000, LONGEST_RECORD] {
            assert_eq!(cells.split(&vec![b';'; count]).len(), if count == 0 { 0 } else { count + 1 });
        }
    }
}
