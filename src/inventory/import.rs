//! Import of a CSV file: streamed, in one transaction, with every bad row named.

use std::io::Read;

use csv::StringRecord;
use tokio::sync::mpsc;

use super::store::{self, Batch};
use super::{Added, begin_additions};
use crate::kernel::clock::Clock;
use crate::kernel::db::Db;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::money::Money;
use crate::kernel::phone::PhoneNumber;

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
/// 29002 for a header that cannot be used and for bad rows; nothing is stored then.
pub async fn import(
    db: &Db,
    clock: &Clock,
    source: impl Read + Send + 'static,
    skip_bad: bool,
    mut heard: impl FnMut(Event),
) -> Result<Added> {
    let (sender, mut parts) = mpsc::channel(1);
    let reader = tokio::task::spawn_blocking(move || read(source, &sender));
    let (now, mut result) = (clock.now(), Added::default());
    let mut transaction = begin_additions(db).await?;
    while let Some((batch, bad)) = parts.recv().await {
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
    }
    reader.await.map_err(|error| Error::Internal(error.to_string()))??;
    if result.rejected > 0 && !skip_bad {
        return Err(Code::InvalidParameter.because(format!(
            "nothing was imported: {} bad rows; mend them, or store the good ones with --skip-bad",
            result.rejected
        )));
    }
    transaction.commit().await?;
    Ok(result)
}

type Part = (Batch, Vec<BadRow>);

/// Reads the file and sends it on in parts; ends early when nobody listens any more.
fn read(source: impl Read, to: &mpsc::Sender<Part>) -> Result<()> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(source);
    let columns = Columns::of(csv.headers().map_err(|error| unreadable(&error))?)?;
    let (mut record, mut part) = (StringRecord::new(), Part::default());
    loop {
        let line = csv.position().line();
        match csv.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                match row(&record, &columns) {
                    Ok(row) => part.0.push(row),
                    Err(reason) => part.1.push(BadRow { line, reason }),
                }
            }
            Err(error) if error.is_io_error() => return Err(unreadable(&error)),
            Err(_) => part.1.push(BadRow { line, reason: "the row is not UTF-8 text".to_owned() }),
        }
        if part.0.phone_numbers.len() + part.1.len() >= BATCH && to.blocking_send(std::mem::take(&mut part)).is_err() {
            return Ok(());
        }
    }
    // Nobody listens only when the import has failed already.
    let _ = to.blocking_send(part);
    Ok(())
}

fn unreadable(error: &csv::Error) -> Error {
    Code::InvalidParameter.because(format!("the file cannot be read: {error}"))
}

/// Where in a row each known column stands.
struct Columns {
    places: [Option<usize>; 4],
    count: usize,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self> {
        let names: Vec<_> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        let refused = |why: String| Err(Code::InvalidParameter.because(why));
        for (place, name) in names.iter().enumerate() {
            if !COLUMNS.contains(name) {
                return refused(format!("column '{name}' is unknown; the header may name {}", COLUMNS.join(", ")));
            }
            if names[..place].contains(name) {
                return refused(format!("column {name} stands in the header twice"));
            }
        }
        if !names.contains(&COLUMNS[0]) {
            return refused(format!("the file needs a header with a column {}", COLUMNS[0]));
        }
        Ok(Self { places: COLUMNS.map(|column| names.iter().position(|name| *name == column)), count: names.len() })
    }
}

struct Row {
    phone_number: PhoneNumber,
    provider: Option<String>,
    monthly_cost: Option<i64>,
    note: Option<String>,
}

/// # Errors
/// The reason why the row cannot be stored.
fn row(record: &StringRecord, columns: &Columns) -> Result<Row, String> {
    if record.len() > columns.count {
        return Err(format!("the row has {} cells, the header {}", record.len(), columns.count));
    }
    let cell = |at: usize| columns.places[at].and_then(|place| record.get(place)).filter(|text| !text.is_empty());
    let text = |at: usize| match cell(at) {
        Some(text) if text.chars().count() > LONGEST_TEXT || text.contains('\0') => {
            Err(format!("{} must be at most {LONGEST_TEXT} characters without NUL", COLUMNS[at]))
        }
        text => Ok(text.map(str::to_owned)),
    };
    Ok(Row {
        phone_number: cell(0).unwrap_or_default().parse().map_err(|error| format!("phone_number {error}"))?,
        provider: text(1)?,
        monthly_cost: cell(2)
            .map(|cost| cost.parse::<Money>().map(Money::cents).map_err(|error| format!("monthly_cost {error}")))
            .transpose()?,
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
        let (good, bad) =
            all("phone_number,monthly_cost\n4158675309,0.85\n415,1\n4158675310,x\n4161234567\n4158675311\n1,2,3\n")
                .unwrap();
        assert_eq!(good.phone_numbers, [4_158_675_309, 4_158_675_311]);
        assert_eq!(bad.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4, 5, 7]);
    }

    #[test]
    fn a_header_that_cannot_be_used_is_refused() {
        for text in ["", "4158675309\n", "phone_number,colour\n", "provider\n"] {
            assert!(all(text).is_err(), "{text:?}");
        }
    }
}
