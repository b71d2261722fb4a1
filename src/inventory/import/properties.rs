//! Whatever a file holds, each of its rows is stored as it stands or named as bad.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::lines::LONGEST_ROW;
use super::*;

/// A row as it is stored: number, provider, monthly cost in cents, note.
type Stored = (i64, Option<String>, Option<i64>, Option<String>);

/// What is stored of a file, and which of its lines are bad.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    stored: Vec<Stored>,
    bad: Vec<u64>,
}

/// By the import itself; nothing where it refuses the header.
fn imported(file: &[u8]) -> Option<Outcome> {
    let (sender, mut parts) = mpsc::channel(100);
    read(file, &sender).ok()?;
    drop(sender);
    let mut outcome = Outcome { stored: Vec::new(), bad: Vec::new() };
    while let Some((good, bad)) = parts.blocking_recv() {
        assert!(bad.iter().all(|row| !row.reason.is_empty() && row.reason.len() < 400), "{bad:?}");
        outcome.bad.extend(bad.into_iter().map(|row| row.line));
        let texts = good.providers.into_iter().zip(good.monthly_costs).zip(good.notes);
        let rows = good.phone_numbers.into_iter().zip(texts);
        outcome.stored.extend(rows.map(|(number, ((provider, cost), note))| (number, provider, cost, note)));
    }
    Some(outcome)
}

/// The same, a whole line at a time, by a reader that knows all of CSV.
fn plainly(file: &[u8]) -> Option<Outcome> {
    let lines = (1..).zip(file.split_inclusive(|byte| *byte == b'\n'));
    let mut lines = lines.filter(|(_, line)| line.len() > LONGEST_ROW || !line.trim_ascii().is_empty());
    let columns = cells(lines.next()?.1)?;
    let known = columns.iter().all(|name| COLUMNS.contains(&name.as_str()));
    let once = columns.iter().all(|name| columns.iter().filter(|other| *other == name).count() == 1);
    if !known || !once || !columns.iter().any(|name| name == "phone_number") {
        return None;
    }
    let mut outcome = Outcome { stored: Vec::new(), bad: Vec::new() };
    for (number, line) in lines {
        match cells(line).and_then(|cells| stored(&cells, &columns)) {
            Some(row) => outcome.stored.push(row),
            None => outcome.bad.push(number),
        }
    }
    Some(outcome)
}

fn cells(line: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(line).ok().filter(|line| line.len() <= LONGEST_ROW)?;
    let text = text.trim_end_matches(|c: char| c.is_ascii_whitespace()).trim_start_matches('\u{feff}');
    if text.contains(char::is_control) {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let row = reader.records().next().map_or_else(Default::default, |row| row.expect("flexible text"));
    is_strict(text).then(|| row.iter().map(|cell| cell.trim().to_owned()).collect())
}

/// Whether a row is written as RFC 4180 has it, letter by letter.
fn is_strict(row: &str) -> bool {
    let mut state = "start";
    for c in row.chars() {
        state = match (state, c) {
            ("start", '"') | ("closed", '"') => "quoted",
            ("start" | "plain" | "closed", ',') => "start",
            ("quoted", '"') => "closed",
            ("start" | "plain", c) if c != '"' => "plain",
            ("quoted", _) => "quoted",
            _ => return false,
        };
    }
    state != "quoted"
}

fn stored(cells: &[String], columns: &[String]) -> Option<Stored> {
    let place = |name: &str| columns.iter().position(|column| column == name);
    let cell = |name: &str| place(name).and_then(|place| cells.get(place)).filter(|text| !text.is_empty()).cloned();
    let short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.chars().count() <= 255);
    let number = cell("phone_number")?.parse::<PhoneNumber>().ok()?.digits();
    let cost = cell("monthly_cost").map(|cost| cost.parse::<Money>()).transpose().ok()?.map(Money::cents);
    let (provider, note) = (cell("provider"), cell("note"));
    let fits = cells.len() <= columns.len() && short(&provider) && short(&note);
    fits.then_some((number, provider, cost, note))
}

/// A cell: what belongs there, and what is easily mistaken for it.
fn cell() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof!["415[2-9][0-9]{6}", "[0-9]{9,11}"];
    let odd = select(vec![
        &b""[..],
        b" ",
        b"0.85",
        b"1.005",
        b"-1",
        b"Acme",
        b"\"a, b\"",
        b"\"a\"\"b\"",
        b"\"open",
        b"x\"y",
        b"\"a\"b",
        b"\"",
        b"\"\"",
        b"\t",
        b"\r",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xc2\xa0",
        b"\xe2\x80\xa8",
        b"+14158675309",
        b"0000000000",
    ]);
    let long = (select(vec![&b" "[..], b"9", b"x", b"\xc3\xa9", b",", b"\""]), 250..260_usize);
    let longest = (select(vec![&b" "[..], b"9", b"x"]), 4000..4200_usize);
    prop_oneof![
        40 => number.prop_map(String::into_bytes),
        40 => odd.prop_map(<[u8]>::to_vec),
        5 => long.prop_map(|(text, count)| text.repeat(count)),
        1 => longest.prop_map(|(text, count)| text.repeat(count)),
        5 => vec(any::<u8>(), 0..20),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let good = "415[2-9][0-9]{6},[A-Z]{0,3},([0-9]\\.[0-9]{2})?,(\"a, b\"|x|)".prop_map(String::into_bytes);
    let cells = vec(cell(), 0..6).prop_map(|cells| cells.join(&b','));
    let end = select(vec![&b"\n"[..], b"\n", b"\r\n", b"\n\n", b"\r", b"   \n", b"\n\xef\xbb\xbf", b""]);
    (prop_oneof![good, cells], end).prop_map(|(row, end)| [&row[..], end].concat())
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let heads = ["phone_number,provider,monthly_cost,note\n", "note,phone_number\r\n", "\u{feff}phone_number\n"];
    let odd = [
        "phone_number,phone_number\n",
        "phone_number,\n",
        "number\n",
        "\"phone_number\",\"note\n",
        "\n \nphone_number\n",
    ];
    let head = prop_oneof![8 => select(heads.to_vec()), 1 => select(odd.to_vec()), 1 => Just("")];
    let rows = vec(line(), 0..30).prop_map(|lines| lines.concat());
    (head, rows).prop_map(|(head, rows)| [head.as_bytes(), &rows].concat())
}

proptest! {
    #[test]
    fn each_row_is_stored_as_it_stands_or_named(file in prop_oneof![20 => file(), 1 => vec(any::<u8>(), 0..200)]) {
        prop_assert_eq!(imported(&file), plainly(&file));
    }
}
