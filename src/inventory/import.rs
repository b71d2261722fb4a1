//! Imports a CSV file of a carrier: streamed, in one transaction, with a report of every bad row.

use std::collections::BTreeMap;
use std::io::Read;

use tokio::sync::mpsc;

use self::columns::Columns;
use self::records::{Cells, Records, Unreadable};
use self::rows::{Fault, StockRow};
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

/// Most rows in one statement.
const BATCH: usize = 2_000;

/// Most bytes of bad rows in one batch.
const MAX_BAD_BYTES: usize = 1 << 20;

/// How to read the file.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub encoding: Encoding,
    pub maps: Vec<Mapping>,
    /// Refuse a file with unknown columns.
    pub strict: bool,
}

/// What to do with the rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Store the good rows even if some are bad.
    pub skip_bad: bool,
    /// Update numbers that are in stock already.
    pub update: bool,
    /// Store nothing, only count.
    pub dry_run: bool,
}

/// What is recorded about an import.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    pub file: &'a str,
    pub operator: &'a str,
}

/// A row that cannot be stored.
#[derive(Debug, serde::Serialize)]
pub struct BadRow {
    /// Its first line, counted from 1 with the header.
    pub line: u64,
    pub reason: String,
    /// A short name of the fault, the same for every row that has it.
    #[serde(skip)]
    pub fault: &'static str,
    /// The cells as in the file; empty if the row is too long.
    #[serde(skip)]
    pub cells: csv::ByteRecord,
}

/// Progress of an import.
pub enum Event<'a> {
    /// The header was read. Comes first, once.
    Header(&'a Header),
    /// This many more rows were handled.
    Rows(u64),
    Bad(BadRow),
    /// The commit comes next: the last moment to stop it.
    Committing,
}

/// The header of a file.
#[derive(Clone, Debug, Default)]
pub struct Header {
    pub columns: Vec<Understood>,
    /// The headers of unknown columns.
    pub left_out: Vec<String>,
    pub cells: csv::ByteRecord,
    pub delimiter: u8,
}

/// The outcome of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// `None` if nothing was stored.
    pub id: Option<i64>,
    pub added: u64,
    /// Rows whose number was in stock already.
    pub already_known: u64,
    /// How many of these were changed.
    pub changed: u64,
    pub rejected: u64,
    faults: BTreeMap<&'static str, u64>,
}

impl Imported {
    /// The number of bad rows by reason, the most frequent first.
    pub fn rejected_by_reason(&self) -> Vec<Counted> {
        Counted::of(&self.faults)
    }
}

/// Stores the rows of a CSV file in one transaction: all of them, or none if a row is bad, unless bad rows are skipped.
/// Memory does not grow with the file: the reading thread is two batches ahead at most.
///
/// # Errors
/// [`Refused::File`], [`Refused::BadRows`], and if this machine's clock is wrong; then nothing is stored.
/// [`Error::Unknown`] if the answer to the commit was lost. And the errors of `on_event`.
pub async fn import<E: From<Denied<Refused>>>(
    db: &Db,
    clock: &Clock,
    source: impl Read + Send + 'static,
    reading: Reading,
    wanted: Wanted,
    origin: Origin<'_>,
    mut on_event: impl FnMut(Event<'_>) -> Result<(), E>,
) -> Result<Imported, E> {
    clock.trusted().map_err(Denied::from)?;
    let (sender, mut parts) = mpsc::channel(1);
    let reader = tokio::task::spawn_blocking(move || read(source, &reading, &sender));
    let mut importing = Importing { db, clock, wanted, transaction: None, done: Imported::default() };
    while let Some(part) = parts.recv().await {
        match part {
            Part::Header(header) => on_event(Event::Header(&header))?,
            Part::Rows(batch, bad) => {
                let rows = (batch.len() + bad.len()) as u64;
                for row in bad {
                    importing.done.reject(row.fault);
                    on_event(Event::Bad(row))?;
                }
                importing.store(&batch).await.map_err(Denied::from)?;
                on_event(Event::Rows(rows))?;
            }
        }
    }
    reader.await.map_err(|error| Denied::Failed(Error::Internal(error.to_string())))?.map_err(Denied::Refused)?;
    if importing.is_hopeless() {
        return Err(Denied::Refused(importing.done.refusal()).into());
    }
    let (transaction, done) = importing.end(origin).await.map_err(Denied::from)?;
    if let Some(transaction) = transaction {
        on_event(Event::Committing)?;
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
    /// `None` until there is something to store, so that others may add to the stock meanwhile.
    transaction: Option<Transaction>,
    done: Imported,
}

impl Importing<'_> {
    /// Whether nothing will be stored, because a row was bad. The rest of the file is read only to report its bad rows.
    const fn is_hopeless(&self) -> bool {
        self.done.rejected > 0 && !self.wanted.skip_bad && !self.wanted.dry_run
    }

    /// Stores a batch. A dry run does too, and rolls back at the end, so that its counts are exact. Changes of known
    /// numbers are only collected, so that the numbers are not locked while the file is read.
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
            store::collect_changes(within, batch).await?;
        }
        self.done.added += added;
        self.done.already_known += batch.len() as u64 - added;
        Ok(())
    }

    /// Prepares the commit, if there is something to commit.
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

/// Reads the file and sends it in parts. Ends early if the receiver is gone.
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
    let (mut cells, mut part) = (Cells::split_at(columns.delimiter), Pending::default());
    while let Some(record) = records.next().map_err(unreadable)? {
        let line = record.line;
        let cells = if record.is_whole { cells.split(record.bytes) } else { Vec::new() };
        if record.is_whole && cells.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        let row = if record.is_whole { StockRow::of(&cells, &columns) } else { Err(too_long()) };
        part.push(row, line, &cells);
        if part.is_full() && to.blocking_send(part.take()).is_err() {
            return Ok(());
        }
    }
    // Fails only if the import has failed already.
    let _ = to.blocking_send(part.take());
    Ok(())
}

const LONE_CR: &str = "its lines end in CR alone; save it with LF or CRLF line ends";

/// Whether a CR stands inside the header, and not before an LF in a quoted cell.
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

/// The rows of the next batch.
#[derive(Default)]
struct Pending {
    good: Batch,
    bad: Vec<BadRow>,
    bad_bytes: usize,
}

impl Pending {
    fn push(&mut self, row: Result<StockRow, Fault>, line: u64, cells: &[&[u8]]) {
        match row {
            Ok(row) => self.good.push(row),
            Err(Fault { name, reason }) => {
                self.bad_bytes += cells.iter().map(|cell| cell.len()).sum::<usize>();
                self.bad.push(BadRow { line, reason, fault: name, cells: cells.iter().collect() });
            }
        }
    }

    fn is_full(&self) -> bool {
        self.good.len() + self.bad.len() >= BATCH || self.bad_bytes >= MAX_BAD_BYTES
    }

    fn take(&mut self) -> Part {
        let Self { good, bad, .. } = std::mem::take(self);
        Part::Rows(good, bad)
    }
}

/// The start of a text, for a message. No number and no amount is longer.
fn truncated(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
