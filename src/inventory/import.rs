//! Import of a CSV file as carriers send it: streamed, in one transaction, with every bad row named.

use std::collections::BTreeMap;
use std::io::Read;

use tokio::sync::mpsc;

use self::columns::Columns;
use self::records::{Cells, Records, Unreadable};
use self::rows::{Fault, Row};
use self::store::{Batch, ImportEntry};
use self::text::Text;
use super::{Counted, Refused, analyze_if_many, begin_additions};
use crate::db::transact::commit;
use crate::db::{Db, Transaction};
use crate::error::{Denied, Error, Result};
use crate::values::clock::Clock;

mod columns;
mod records;
mod rows;
mod store;
mod text;

pub use columns::{Mapping, Understood};
pub use text::Encoding;

/// Rows are sent to the database this many at a time,
const BATCH: usize = 2_000;

/// or fewer where their bad ones hold so many bytes.
const MOST_BAD_BYTES: usize = 1 << 20;

/// How a file is to be read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub encoding: Encoding,
    pub maps: Vec<Mapping>,
    /// Refuse a file with columns that would be left out.
    pub strict: bool,
}

/// What is to be done with its rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Store the good rows where some are bad.
    pub skip_bad: bool,
    /// Set what the file says of numbers that are known already.
    pub update: bool,
    /// Store nothing, and tell what would be.
    pub dry_run: bool,
}

/// What is written down of an import.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    pub file: &'a str,
    pub operator: &'a str,
}

/// A row that cannot be stored.
#[derive(Debug, serde::Serialize)]
pub struct BadRow {
    /// Where it begins, counted from 1, the header included.
    pub line: u64,
    pub reason: String,
    /// In few words, the same for every row with this fault.
    #[serde(skip)]
    pub fault: &'static str,
    /// As they stand in the file; none of a row that is too long.
    #[serde(skip)]
    pub cells: csv::ByteRecord,
}

/// What happens while a file is read.
pub enum Event<'a> {
    /// The header was understood. Comes first, and once.
    Header(&'a Header),
    /// So many more rows were handled.
    Rows(u64),
    Bad(BadRow),
    /// What comes next is the commit: the last moment to refuse it.
    Committing,
}

/// The header of a file.
#[derive(Clone, Debug, Default)]
pub struct Header {
    pub columns: Vec<Understood>,
    /// Headers of columns that are left out.
    pub left_out: Vec<String>,
    pub cells: csv::ByteRecord,
    pub delimiter: u8,
}

/// What became of a file.
#[derive(Debug, Default)]
pub struct Imported {
    /// `None` where nothing was stored.
    pub id: Option<i64>,
    pub added: u64,
    /// Rows whose number was in stock already.
    pub already_known: u64,
    /// Numbers of those of which the file changed what is known.
    pub changed: u64,
    pub rejected: u64,
    faults: BTreeMap<&'static str, u64>,
}

impl Imported {
    /// How many rows were bad for which reason, the most frequent first.
    pub fn rejected_by_reason(&self) -> Vec<Counted> {
        Counted::of(&self.faults)
    }
}

/// Stores the rows of a CSV in one transaction: all of them or, where a row is bad, none,
/// unless bad rows are to be skipped. Memory does not grow with the file: a reading thread
/// stays two batches ahead of the database at the most.
///
/// # Errors
/// [`Refused::File`], [`Refused::BadRows`], and when this machine's clock is wrong; nothing is stored then. [`Error::Unknown`] where the answer to the commit was lost. What `heard` returns.
pub async fn import<E: From<Denied<Refused>>>(
    db: &Db,
    clock: &Clock,
    source: impl Read + Send + 'static,
    reading: Reading,
    wanted: Wanted,
    origin: Origin<'_>,
    mut heard: impl FnMut(Event<'_>) -> Result<(), E>,
) -> Result<Imported, E> {
    clock.trusted().map_err(Denied::from)?;
    let (sender, mut parts) = mpsc::channel(1);
    let reader = tokio::task::spawn_blocking(move || read(source, &reading, &sender));
    let mut importing = Importing { db, clock, wanted, transaction: None, done: Imported::default() };
    while let Some(part) = parts.recv().await {
        match part {
            Part::Header(header) => heard(Event::Header(&header))?,
            Part::Rows(batch, bad) => {
                let rows = (batch.len() + bad.len()) as u64;
                for row in bad {
                    importing.done.reject(row.fault);
                    heard(Event::Bad(row))?;
                }
                importing.store(&batch).await.map_err(Denied::from)?;
                heard(Event::Rows(rows))?;
            }
        }
    }
    reader.await.map_err(|error| Denied::Failed(Error::Internal(error.to_string())))?.map_err(Denied::Refused)?;
    if importing.is_hopeless() {
        return Err(Denied::Refused(importing.done.refusal()).into());
    }
    let (transaction, done) = importing.end(origin).await.map_err(Denied::from)?;
    if let Some(transaction) = transaction {
        heard(Event::Committing)?;
        commit(transaction).await.map_err(Denied::from)?;
        analyze_if_many(db, done.added).await;
    }
    Ok(done)
}

impl Imported {
    fn reject(&mut self, fault: &'static str) {
        self.rejected += 1;
        *self.faults.entry(fault).or_default() += 1;
    }

    fn refusal(&self) -> Refused {
        Refused::BadRows(self.rejected, self.rejected_by_reason())
    }
}

struct Importing<'a> {
    db: &'a Db,
    clock: &'a Clock,
    wanted: Wanted,
    /// Others may add to the stock until there is something to store.
    transaction: Option<Transaction>,
    done: Imported,
}

impl Importing<'_> {
    /// Whether nothing will be stored, for a row was bad; the file is only read on to name the others.
    const fn is_hopeless(&self) -> bool {
        self.done.rejected > 0 && !self.wanted.skip_bad && !self.wanted.dry_run
    }

    /// Also a dry run stores, and takes it back in the end: so it counts as the import would. What is to be changed of
    /// known numbers is only kept, for nobody is to wait for them while the file is read.
    async fn store(&mut self, batch: &Batch) -> Result<()> {
        if self.is_hopeless() {
            self.transaction = None;
            return Ok(());
        }
        let within = match &mut self.transaction {
            Some(transaction) => transaction,
            None => {
                let mut transaction = begin_additions(self.db).await?;
                if !self.wanted.dry_run {
                    self.done.id = Some(store::next_import(&mut transaction).await?);
                }
                self.transaction.insert(transaction)
            }
        };
        let added = store::add_batch(within, batch, self.done.id, self.clock.now()).await?;
        if self.wanted.update {
            store::keep_changes(within, batch).await?;
        }
        self.done.added += added;
        self.done.already_known += batch.len() as u64 - added;
        Ok(())
    }

    /// What is to be committed, if anything is.
    async fn end(self, origin: Origin<'_>) -> Result<(Option<Transaction>, Imported)> {
        let mut done = self.done;
        let Some(mut transaction) = self.transaction else { return Ok((None, done)) };
        let Some(id) = done.id else {
            done.changed = store::count_changes(&mut transaction).await?.unsigned_abs();
            return Ok((None, done));
        };
        if self.wanted.update {
            done.changed = store::apply_changes(&mut transaction).await?;
        }
        let count = |count: u64| count.cast_signed();
        let entry = ImportEntry {
            id,
            file: origin.file,
            operator: origin.operator,
            added: count(done.added),
            already_known: count(done.already_known),
            changed: count(done.changed),
            rejected: count(done.rejected),
        };
        store::record_import(&mut transaction, &entry, self.clock.now()).await?;
        Ok((Some(transaction), done))
    }
}

enum Part {
    Header(Header),
    Rows(Batch, Vec<BadRow>),
}

/// Reads the file and sends it on in parts; ends early when nobody listens any more.
fn read(source: impl Read, reading: &Reading, to: &mpsc::Sender<Part>) -> Result<(), Refused> {
    let refused = Refused::File;
    let unreadable = |Unreadable(reason)| Refused::File(reason);
    let text = Text::of(source, reading.encoding).map_err(|error| refused(error.to_string()))?;
    let mut records = Records::of(text);
    let header = loop {
        match records.next().map_err(unreadable)? {
            None => return Err(refused("it is empty".to_owned())),
            Some(record) if record.bytes.trim_ascii().is_empty() => {}
            Some(record) if holds_lone_cr(record.bytes) => return Err(refused(LONE_CR.to_owned())),
            Some(record) if !record.is_whole => return Err(refused("its header is too long".to_owned())),
            Some(record) => break record.bytes.to_vec(),
        }
    };
    let columns = Columns::of(&header, &reading.maps, reading.strict).map_err(refused)?;
    records.delimiter = Some(columns.delimiter);
    if to.blocking_send(Part::Header(columns.to_header())).is_err() {
        return Ok(());
    }
    let (mut cells, mut part) = (Cells::split_at(columns.delimiter), Gathering::default());
    while let Some(record) = records.next().map_err(unreadable)? {
        let line = record.line;
        let cells = if record.is_whole { cells.split(record.bytes) } else { Vec::new() };
        if record.is_whole && cells.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        let row = if record.is_whole { Row::of(&cells, &columns) } else { Err(too_long()) };
        part.take(row, line, &cells);
        if part.is_full() && to.blocking_send(part.send()).is_err() {
            return Ok(());
        }
    }
    // Nobody listens only when the import has failed already.
    let _ = to.blocking_send(part.send());
    Ok(())
}

const LONE_CR: &str = "its lines end in CR alone; save it with LF or CRLF line ends";

/// Whether a CR stands between two letters, and is not the first half of a line break within a quoted cell.
fn holds_lone_cr(header: &[u8]) -> bool {
    let header = header.trim_ascii();
    header.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
}

fn too_long() -> Fault {
    Fault::new("row too long", format!("the row is longer than {} bytes", records::LONGEST_RECORD))
}

impl Columns {
    fn to_header(&self) -> Header {
        Header {
            columns: self.understood.clone(),
            left_out: self.left_out.clone(),
            cells: self.header.iter().collect(),
            delimiter: self.delimiter,
        }
    }
}

/// Rows that go to the database together.
#[derive(Default)]
struct Gathering {
    good: Batch,
    bad: Vec<BadRow>,
    bad_bytes: usize,
}

impl Gathering {
    fn take(&mut self, row: Result<Row, Fault>, line: u64, cells: &[&[u8]]) {
        match row {
            Ok(row) => self.good.push(row),
            Err(Fault { name, reason }) => {
                self.bad_bytes += cells.iter().map(|cell| cell.len()).sum::<usize>();
                self.bad.push(BadRow { line, reason, fault: name, cells: cells.iter().collect() });
            }
        }
    }

    fn is_full(&self) -> bool {
        self.good.len() + self.bad.len() >= BATCH || self.bad_bytes >= MOST_BAD_BYTES
    }

    fn send(&mut self) -> Part {
        let Self { good, bad, .. } = std::mem::take(self);
        Part::Rows(good, bad)
    }
}

/// Enough of a text to know it again. No number and no amount is as long.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
