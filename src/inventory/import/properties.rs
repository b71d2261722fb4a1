//! Properties of the import: of any file, each row is stored as it is or reported as bad, or the file is refused with
//! the line of a wrong quote.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::records::LONGEST_RECORD;
use super::*;
use crate::values::phone::AreaCode;

/// A stored row: number, provider, monthly cost in ten-thousandths of a dollar, note.
type Stored = (i64, Option<String>, Option<i64>, Option<String>);

/// The stored rows, and the lines of the bad ones.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    stored: Vec<Stored>,
    bad: Vec<u64>,
}

/// Why the file is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Header,
    /// A quote in this line is wrong.
    Line(u64),
}

/// The outcome of the import itself.
fn imported(file: &[u8], encoding: Encoding) -> Result<Outcome, Refused> {
    let (sender, mut parts) = mpsc::channel(100);
    let read = read(file, &Reading { encoding, ..Reading::default() }, &sender);
    drop(sender);
    let (mut outcome, mut has_header) = (Outcome::default(), false);
    while let Some(part) = parts.blocking_recv() {
        let Part::Rows(good, bad) = part else {
            has_header = true;
            continue;
        };
        assert!(bad.iter().all(|row| !row.reason.is_empty() && row.reason.len() < 400), "{bad:?}");
        outcome.bad.extend(bad.into_iter().map(|row| row.line));
        let texts = good.providers.into_iter().zip(good.costs).zip(good.notes);
        let rows = good.phone_numbers.into_iter().zip(texts);
        outcome.stored.extend(rows.map(|(number, ((provider, cost), note))| (number, provider, cost, note)));
    }
    match read {
        Ok(()) => Ok(outcome),
        Err(error) if has_header => {
            let super::Refused::File(told) = error else { panic!("{error:?}") };
            let line = told.split_once("line ").and_then(|(_, rest)| rest.split_once(':'));
            Err(Refused::Line(line.and_then(|(line, _)| line.parse().ok()).expect("a line")))
        }
        Err(_) => Err(Refused::Header),
    }
}

/// The same by a simple model, with the whole file in memory.
fn by_model(file: &[u8]) -> Result<Outcome, Refused> {
    let mut rest = Plain { file: file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file), at: 0 };
    let (mut header, mut outcome) = (None::<Vec<String>>, Outcome::default());
    while rest.at < rest.file.len() {
        let (begins, line) = (rest.at, rest.line());
        let in_header = header.is_none();
        let cells = rest.record().map_err(|line| if in_header { Refused::Header } else { Refused::Line(line) })?;
        let is_whole = rest.at - begins <= LONGEST_RECORD + 1;
        let is_blank = cells.iter().all(|cell| cell.trim_ascii().is_empty());
        match &header {
            _ if is_whole && is_blank => {}
            None => {
                let text = String::from_utf8_lossy(&rest.file[begins..rest.at]).replace("\r\n", "\n");
                let is_one_line = is_whole && !text.trim_ascii().contains('\r');
                header = Some(columns(&cells).filter(|_| is_one_line).ok_or(Refused::Header)?);
            }
            Some(columns) => match stored(&cells, columns).filter(|_| is_whole) {
                Some(row) => outcome.stored.push(row),
                None => outcome.bad.push(line),
            },
        }
    }
    header.map(|_| outcome).ok_or(Refused::Header)
}

/// The rest of a file with commas.
struct Plain<'a> {
    file: &'a [u8],
    at: usize,
}

impl Plain<'_> {
    fn line(&self) -> u64 {
        1 + self.file[..self.at].iter().filter(|byte| **byte == b'\n').count() as u64
    }

    fn find(&self, what: impl Fn(u8) -> bool) -> usize {
        self.file[self.at..].iter().position(|byte| what(*byte)).map_or(self.file.len(), |found| self.at + found)
    }

    /// Reads a record, or returns the line of a wrong quote.
    fn record(&mut self) -> Result<Vec<Vec<u8>>, u64> {
        let mut cells = Vec::new();
        loop {
            let mut cell = Vec::new();
            if self.file.get(self.at) == Some(&b'"') {
                let (begins, line) = (self.at, self.line());
                self.at += 1;
                loop {
                    let quote = self.find(|byte| byte == b'"');
                    cell.extend_from_slice(&self.file[self.at..quote]);
                    if quote == self.file.len() || quote - begins > LONGEST_RECORD + 1 {
                        return Err(line);
                    }
                    self.at = quote + 1;
                    if self.file.get(self.at) != Some(&b'"') {
                        break;
                    }
                    cell.push(b'"');
                    self.at += 1;
                }
                self.at = self.find(|byte| byte != b' ' && byte != b'\r');
                if self.file.get(self.at).is_some_and(|byte| !b",\n".contains(byte)) {
                    return Err(self.line());
                }
            } else {
                let end = self.find(|byte| byte == b',' || byte == b'\n' || byte == b'"');
                let text = &self.file[self.at..end];
                // Concatenated files each begin with a byte order mark.
                let marked = text.strip_prefix(b"\xEF\xBB\xBF").filter(|_| cells.is_empty());
                cell.extend_from_slice(marked.unwrap_or(text));
                self.at = end;
                if self.file.get(end) == Some(&b'"') {
                    return Err(self.line());
                }
            }
            cells.push(cell);
            self.at += 1;
            if self.file.get(self.at - 1) != Some(&b',') {
                self.at = self.at.min(self.file.len());
                return Ok(cells);
            }
        }
    }
}

fn columns(cells: &[Vec<u8>]) -> Option<Vec<String>> {
    let plain = |cell: &Vec<u8>| {
        let name = String::from_utf8_lossy(cell).to_lowercase().replace([' ', '_', '-', '\t', '\r', '\n'], "");
        match &*name {
            "number" | "tn" => "phonenumber".to_owned(),
            "carrier" => "provider".to_owned(),
            "mrc" => "monthlycost".to_owned(),
            _ => name,
        }
    };
    let names: Vec<_> = cells.iter().map(plain).collect();
    let count = |name: &str| names.iter().filter(|other| *other == name).count();
    let once = ["provider", "monthlycost", "note"].iter().all(|name| count(name) <= 1);
    (once && count("phonenumber") == 1).then_some(names)
}

fn stored(cells: &[Vec<u8>], columns: &[String]) -> Option<Stored> {
    let cell = |name: &str| {
        let found = columns.iter().position(|column| column == name).and_then(|index| cells.get(index));
        let text = std::str::from_utf8(found.map_or(&[][..], Vec::as_slice)).ok()?.trim();
        Some(Some(text.to_owned()).filter(|text| !text.is_empty()))
    };
    let text = |name: &str| {
        let text = cell(name)?;
        let fits = text.as_ref().is_none_or(|text| {
            text.chars().count() <= 255 && !text.replace(['\r', '\n'], "").contains(char::is_control)
        });
        fits.then_some(text)
    };
    let (number, cost) = (number(&cell("phonenumber")??)?, cell("monthlycost")?);
    let cost = cost.map_or(Some(None), |text| ten_thousandths(&text).map(Some))?;
    let row = (number, text("provider")?, cost, text("note")?);
    (cells.len() <= columns.len()).then_some(row)
}

/// Ten digits in any spelling, with a known area code and an exchange that is not N11.
fn number(text: &str) -> Option<i64> {
    let text = text.replace('\u{feff}', "");
    let text = text.trim().trim_start_matches("tel:");
    let text = text.strip_suffix(".0").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(text);
    let scientific = text.strip_suffix("E+09").filter(|rest| rest.len() == 11 && rest.as_bytes()[1] == b'.');
    let digits = scientific.unwrap_or(text).replace(['(', ')', ' ', '-', '.', '/', '\u{a0}'], "");
    let national = match digits.strip_prefix('+') {
        Some(rest) => rest.strip_prefix('1')?.to_owned(),
        None if digits.len() == 11 => digits.strip_prefix('1')?.to_owned(),
        None => digits,
    };
    let is_ten = national.len() == 10 && national.bytes().all(|byte| byte.is_ascii_digit());
    let is_sold = || {
        national[..3].parse().ok().and_then(AreaCode::new).is_some()
            && &national[3..4] >= "2"
            && &national[4..6] != "11"
    };
    let is_ten = is_ten && text.ends_with(|c: char| c.is_ascii_digit());
    (is_ten && is_sold()).then(|| national.parse().expect("digits"))
}

fn ten_thousandths(text: &str) -> Option<i64> {
    let plain = text.trim_start_matches('$').trim_start();
    if text.len() - text.trim_start_matches('$').len() > 1 {
        return None;
    }
    let mut parts = plain.splitn(2, '.');
    let (dollars, decimals) = (parts.next()?, parts.next().unwrap_or("0"));
    let digits = |part: &str, most: usize| part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit());
    if plain.is_empty() || decimals.is_empty() || !digits(dollars, 10) || !digits(decimals, 4) {
        return None;
    }
    let whole: i64 = if dollars.is_empty() { 0 } else { dollars.parse().ok()? };
    let part: i64 = decimals.parse().ok()?;
    let total = whole * 10_000 + part * 10_i64.pow(4 - u32::try_from(decimals.len()).ok()?);
    (total <= 10_000_000_000_000).then_some(total)
}

/// A cell: valid, or easily mistaken for valid.
fn cell() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof!["415[2-9][0-9]{6}", "[0-9]{9,11}", "\\+?1?[ -]?\\(?415\\)?[ .-]?[1-3]1[0-2][ -]?[0-9]{4}"];
    let odd = select(vec![
        &b""[..],
        b" ",
        b"0.85",
        b"$0.0085",
        b"$ .5",
        b"1.00555",
        b"-1",
        b"Acme",
        b"\"a, b\"",
        b"\"a\"\"b\"",
        b"\"two\nlines\"",
        b"\"4158675309\r\n\" ",
        b"\"\n415867\n5309\"",
        b"\t",
        b"\r",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xc2\xa0",
        b"\xe2\x80\xa8",
        b"+14158675309",
        b"tel:+1-415-867-5309",
        b"4158675309.0",
        b"415867530.0",
        b"4.158675309E+09",
        b"4.16E+09",
        b"0000000000",
        b";",
    ]);
    let broken = select(vec![&b"\"open"[..], b"x\"y", b"\"a\"b", b"\"", b" \"a\"", b"\"a\" \"", b"\"a\n\"b"]);
    let long = (select(vec![&b" "[..], b"9", b"x", b"\xc3\xa9", b",", b"\"\""]), 250..260_usize);
    let longest = (select(vec![&b" "[..], b"9", b"x"]), any::<bool>(), LONGEST_RECORD - 40..LONGEST_RECORD + 40);
    let longest = longest.prop_map(|(text, quoted, count)| {
        let quote: &[u8] = if quoted { b"\"" } else { b"" };
        [quote, &text.repeat(count), quote].concat()
    });
    prop_oneof![
        400 => number.prop_map(String::into_bytes),
        400 => odd.prop_map(<[u8]>::to_vec),
        4 => broken.prop_map(<[u8]>::to_vec),
        20 => long.prop_map(|(text, count)| text.repeat(count)),
        1 => longest,
        20 => vec(any::<u8>(), 0..20),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let good = "415[2-9]00[0-9]{4},[A-Z]{0,3},(\\$?[0-9]\\.[0-9]{2,4})?,(\"a, b\"|\"x\ny\"|x|)";
    let good = good.prop_map(String::into_bytes);
    let cells = vec(cell(), 0..6).prop_map(|cells| cells.join(&b','));
    let end = select(vec![&b"\n"[..], b"\n", b"\r\n", b"\n\n", b"\r", b"   \n", b"\n\xef\xbb\xbf", b"", b",,,\n"]);
    (prop_oneof![good, cells], end).prop_map(|(row, end)| [&row[..], end].concat())
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let heads = [
        "phone_number,provider,monthly_cost,note\n",
        "note,Phone Number\r\n",
        "\u{feff}TN\n",
        "LATA,\"Carrier\",number,\"M\nR\nC\",\n",
    ];
    let odd = [
        "phone_number,phone_number\n",
        "number,TN\n",
        "phone_number,,\n",
        "colour\n",
        "\"phone_number\",\"note\n",
        "\n \nphone_number\n",
    ];
    let head = prop_oneof![8 => select(heads.to_vec()), 1 => select(odd.to_vec()), 1 => Just("")];
    let rows = vec(line(), 0..30).prop_map(|lines| lines.concat());
    (head, rows).prop_map(|(head, rows)| [head.as_bytes(), &rows].concat())
}

/// Whether a file begins with the mark of UTF-16.
fn is_utf_16(file: &[u8]) -> bool {
    file.starts_with(b"\xFF\xFE") || file.starts_with(b"\xFE\xFF")
}

proptest! {
    #[test]
    fn each_row_is_stored_as_it_is_or_reported(file in prop_oneof![20 => file(), 1 => vec(any::<u8>(), 0..200)]) {
        prop_assume!(!is_utf_16(&file));
        prop_assert_eq!(imported(&file, Encoding::Utf8), by_model(&file));
    }

    #[test]
    fn a_file_says_the_same_in_every_encoding(rows in vec(line(), 0..9), mark in any::<bool>(), big in any::<bool>()) {
        let rows = String::from_utf8_lossy(&rows.concat()).replace('\u{fffd}', "?");
        let file = format!("phone_number,provider,note\n{rows}");
        let order = if big { u16::to_be_bytes } else { u16::to_le_bytes };
        let marked = if mark { format!("\u{feff}{file}") } else { file.clone() };
        let utf_16: Vec<u8> = marked.encode_utf16().flat_map(order).collect();
        prop_assert_eq!(imported(&utf_16, Encoding::Auto), imported(file.as_bytes(), Encoding::Auto));
    }
}
