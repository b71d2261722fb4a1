//! Import of a CSV file: streamed, in one transaction, with every bad row named.

use std::io::Read;

use tokio::sync::mpsc;

use self::lines::{Cells, Lines};
use super::store::{self, Batch};
use super::{Added, begin_additions, end_additions};
use crate::kernel::clock::Clock;
use crate::kernel::db::Db;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::money::Money;
use crate::kernel::phone::PhoneNumber;

mod lines;

/// Rows are sent to the database this many at a time.
const BATCH: usize = 2_000;

/// The longest provider or note, in characters.
const LONGEST_TEXT: usize = 255;

const COLUMNS: [&str; 4] = ["phone_number", "provider", "monthly_cost", "note"];

/// A row that cannot be stored.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct BadRow {
    /// Counted from 1, the header included.
    pub line: u64,
    pub reason: String,
}

/// What happens while a file is read.
pub enum Event {
    /// So many more rows were handled.
    Rows(u64),
    Bad(BadRow),
}

/// Stores the rows of a CSV in one transaction: all of them or, where a row is bad, none,
/// unless bad rows are to be skipped. Memory does not grow with the file: a reading thread
/// stays two batches ahead of the database at the most.
///
/// # Errors
/// 29002 for a header that cannot be used and for bad rows, and when this machine's clock is wrong; nothing is stored then.
pub async fn import(
    db: &Db,
    clock: &Clock,
    source: impl Read + Send + 'static,
    skip_bad: bool,
    mut heard: impl FnMut(Event),
) -> Result<Added> {
    clock.trusted()?;
    let (sender, mut parts) = mpsc::channel(1);
    let reader = tokio::task::spawn_blocking(move || read(source, &sender));
    let (now, mut result) = (clock.now(), Added::default());
    // Others may add to the stock until there is something to store.
    let mut next = parts.recv().await;
    let mut transaction = begin_additions(db).await?;
    while let Some((batch, bad)) = next {
        result.rejected += bad.len() as u64;
        let rows = batch.phone_numbers.len() as u64;
        let hopeless = result.rejected > 0 && !skip_bad;
        let handled = rows + bad.len() as u64;
        bad.into_iter().for_each(|row| heard(Event::Bad(row)));
        if !hopeless {
            let added = store::add_batch(&mut transaction, &batch, now).await?;
            result.added += added;
            result.already_known += rows - added;
        }
        heard(Event::Rows(handled));
        next = parts.recv().await;
    }
    reader.await.map_err(|error| Error::Internal(error.to_string()))??;
    if result.rejected > 0 && !skip_bad {
        return Err(Code::InvalidParameter.because(format!(
            "nothing was imported: {} bad rows; mend them, or store the good ones with --skip-bad",
            result.rejected
        )));
    }
    end_additions(transaction, result.added).await?;
    Ok(result)
}

type Part = (Batch, Vec<BadRow>);

/// Reads the file and sends it on in parts; ends early when nobody listens any more.
fn read(source: impl Read, to: &mpsc::Sender<Part>) -> Result<()> {
    let (mut lines, mut cells) = (Lines::of(source), Cells::default());
    let header = match lines.next()? {
        Some(line) => cells.split(line).and_then(|header| Columns::of(&header)),
        None => Err("it is empty".to_owned()),
    };
    let columns =
        header.map_err(|reason| Code::InvalidParameter.because(format!("the file cannot be used: {reason}")))?;
    let mut part = Part::default();
    while let Some(line) = lines.next()? {
        match cells.split(line).and_then(|cells| row(&cells, &columns)) {
            Ok(row) => part.0.push(row),
            Err(reason) => part.1.push(BadRow { line: lines.number, reason }),
        }
        if part.0.phone_numbers.len() + part.1.len() >= BATCH && to.blocking_send(std::mem::take(&mut part)).is_err() {
            return Ok(());
        }
    }
    // Nobody listens only when the import has failed already.
    let _ = to.blocking_send(part);
    Ok(())
}

/// Where in a row each known column stands.
struct Columns {
    places: [Option<usize>; COLUMNS.len()],
    count: usize,
}

impl Columns {
    /// # Errors
    /// The reason why this is no header.
    fn of(names: &[&str]) -> Result<Self, String> {
        for (place, name) in names.iter().enumerate() {
            if !COLUMNS.contains(name) {
                let name = shortened(name);
                return Err(format!("column '{name}' is unknown; the header may name {}", COLUMNS.join(", ")));
            }
            if names[..place].contains(name) {
                return Err(format!("column {name} stands in the header twice"));
            }
        }
        if !names.contains(&COLUMNS[0]) {
            return Err(format!("it needs a header with a column {}", COLUMNS[0]));
        }
        Ok(Self { places: COLUMNS.map(|column| names.iter().position(|name| *name == column)), count: names.len() })
    }
}

/// Enough of a text to know it again. No number and no amount is as long.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

struct Row {
    phone_number: PhoneNumber,
    provider: Option<String>,
    monthly_cost: Option<i64>,
    note: Option<String>,
}

/// # Errors
/// The reason why the row cannot be stored.
fn row(cells: &[&str], columns: &Columns) -> Result<Row, String> {
    if cells.len() > columns.count {
        return Err(format!("the row has more cells than the header, which has {}", columns.count));
    }
    let cell =
        |at: usize| columns.places[at].and_then(|place| cells.get(place).copied()).filter(|text| !text.is_empty());
    let text = |at: usize| match cell(at) {
        Some(text) if text.chars().count() > LONGEST_TEXT => {
            Err(format!("{} must be at most {LONGEST_TEXT} characters", COLUMNS[at]))
        }
        text => Ok(text.map(str::to_owned)),
    };
    let phone_number = shortened(cell(0).unwrap_or_default());
    let monthly_cost = cell(2).map(|cost| shortened(cost).parse::<Money>().map(Money::cents));
    Ok(Row {
        phone_number: phone_number.parse().map_err(|error| format!("phone_number {error}"))?,
        provider: text(1)?,
        monthly_cost: monthly_cost.transpose().map_err(|error| format!("monthly_cost {error}"))?,
        note: text(3)?,
    })
}

impl Batch {
    fn push(&mut self, row: Row) {
        self.phone_numbers.push(row.phone_number.digits());
        self.kinds.push(row.phone_number.kind());
        self.providers.push(row.provider);
        self.monthly_costs.push(row.monthly_cost);
        self.notes.push(row.note);
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::phone::Kind;

    fn all(text: &str) -> Result<Part> {
        let (sender, mut parts) = mpsc::channel(10);
        read(text.as_bytes(), &sender)?;
        Ok(parts.try_recv().unwrap())
    }

    #[test]
    fn columns_come_in_any_order() {
        let (good, bad) = all("note,phone_number\r\n\"a, b\",4158675309\r\n,8005550100\n").unwrap();
        assert_eq!(good.phone_numbers, [4_158_675_309, 8_005_550_100]);
        assert_eq!(good.kinds, [Kind::Local, Kind::TollFree]);
        assert_eq!(good.notes, [Some("a, b".to_owned()), None]);
        assert!(bad.is_empty());
    }

    #[test]
    fn each_bad_row_is_named_with_its_line() {
        let (good, bad) = all("phone_number,note\n\n4158675309,ok\n415,1\r\n4158675310,\"open\n\n\n4161234567\n\
            4158675311\n1,2,3\n4158675312,a\u{1}b\n4158675313,\"a\"\"b, c\"")
        .unwrap();
        assert_eq!(good.phone_numbers, [4_158_675_309, 4_158_675_311, 4_158_675_313]);
        assert_eq!(good.notes[2].as_deref(), Some("a\"b, c"));
        assert_eq!(bad.iter().map(|row| row.line).collect::<Vec<_>>(), [4, 5, 8, 10, 11]);
    }

    #[test]
    fn a_row_has_an_end_and_a_reason_too() {
        let long = format!("phone_number\n{}\n4158675309\n{}\n", "9".repeat(100_000), "8".repeat(4000));
        let (good, bad) = all(&long).unwrap();
        assert_eq!(good.phone_numbers, [4_158_675_309]);
        assert_eq!(bad.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 4]);
        assert!(bad.iter().all(|row| row.reason.len() < 100), "{bad:?}");
    }

    #[test]
    fn what_follows_4096_blanks_is_not_forgotten() {
        let blanks = " ".repeat(5000);
        let (good, bad) =
            all(&format!("phone_number\n4158675309{blanks}x\n{blanks}4158675310\n{blanks}\n4158675311\n")).unwrap();
        assert_eq!(good.phone_numbers, [4_158_675_311]);
        assert_eq!(bad.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn quotes_stand_around_whole_cells() {
        let rows = [
            ("\"a\"\"b\"", true),
            ("\"\"", true),
            ("\"\"\"\"", true),
            ("x\"y,\"open", false),
            ("x\"y\"", false),
            ("\"a\"b", false),
            ("\"open,\"a\"b", false),
            (" \"a\"", false),
        ];
        for (cells, readable) in rows {
            let (good, _) = all(&format!("phone_number,provider,note\n4158675309,{cells}\n")).unwrap();
            assert_eq!(good.phone_numbers.len() == 1, readable, "{cells}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_used_is_refused() {
        for text in ["", "4158675309\n", "phone_number,colour\n", "provider\n"] {
            assert!(all(text).is_err(), "{text:?}");
        }
    }
}
