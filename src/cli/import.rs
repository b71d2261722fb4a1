//! `inventory import`

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use csv::ByteRecord;
use serde_json::json;

use super::inventory::bar;
use super::options::Output;
use super::show::show;
use super::terminal::tell;
use super::{Context, Done, Failure};
use crate::inventory::Counted;
use crate::inventory::import::{BadRow, Encoding, Event, Header, Imported, Mapping, Origin, Reading, Wanted, import};

#[derive(Args, Debug)]
pub struct Import {
    /// The file; - is standard input
    file: PathBuf,
    /// Encoding of the file, if it is not UTF-8 or UTF-16
    #[arg(long, value_enum, default_value_t)]
    encoding: Encoding,
    /// Meaning of a column, as in --map 'Rate=monthly_cost'; may be given for each column
    #[arg(long = "map", value_name = "HEADER=COLUMN")]
    maps: Vec<Mapping>,
    /// Refuse a file with unknown columns, which are left out by default
    #[arg(long)]
    strict: bool,
    /// Also set provider, cost and note of numbers that are in stock already; an empty cell changes nothing
    #[arg(long)]
    update: bool,
    /// Store the good rows even if some are bad
    #[arg(long)]
    skip_bad: bool,
    /// Show how the file is understood and what would be stored, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Write all bad rows to this new CSV file, each with its line and the reason
    #[arg(long, value_name = "FILE")]
    bad_rows: Option<PathBuf>,
}

/// The most bad rows that are shown on standard error.
const MOST_TOLD: u64 = 20;

/// The most bad rows in a JSON answer.
const MOST_REPEATED: usize = 10_000;

impl Import {
    pub const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, operator, .. } = context;
        let (source, length) = open(&self.file)?;
        let mut bad_rows = BadRows::to(self.bad_rows, *output == Output::Json)?;
        let bar = bar(length, "{bytes} of {total_bytes}, {msg} rows");
        let (mut header, mut rows) = (Header::default(), 0);
        let heard = |event: Event<'_>| match event {
            Event::Header(found) => {
                header = found.clone();
                bad_rows.begin(found);
                bar.suspend(|| tell_left_out(&found.left_out));
                Ok(())
            }
            Event::Rows(more) => {
                rows += more;
                bar.set_message(rows.to_string());
                Ok(())
            }
            Event::Bad(row) if bad_rows.told < MOST_TOLD => bar.suspend(|| bad_rows.take(row)),
            Event::Bad(row) => bad_rows.take(row),
            Event::Committing => bad_rows.flush(),
        };
        let reading = Reading { encoding: self.encoding, maps: self.maps, strict: self.strict };
        let wanted = Wanted { skip_bad: self.skip_bad, update: self.update, dry_run: self.dry_run };
        let file = self.file.to_string_lossy();
        let origin = Origin { file: &file, operator: &operator.name };
        let imported = import(db, clock, bar.wrap_read(source), reading, wanted, origin, heard).await;
        bar.finish_and_clear();
        bad_rows.end()?;
        let imported = imported?;
        let Imported { id, added, already_known, changed, rejected, .. } = &imported;
        context.counted(&json!({ "import": id, "added": added, "already_known": already_known, "changed": changed,
            "rejected": rejected }));
        if wanted.dry_run && imported.rejected > 0 && !wanted.skip_bad {
            tell(&format!("without --skip-bad nothing would be imported; bad rows: {}", imported.rejected));
        }
        answer(*output, wanted, &header, &imported, bad_rows.repeated)
    }
}

fn open(file: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let opened = File::open(file).and_then(|opened| Ok((opened.metadata()?, opened)));
    let (about, opened) = opened.map_err(|error| Failure::Bad(format!("cannot read {}: {error}", file.display())))?;
    Ok((Box::new(opened), about.is_file().then_some(about.len())))
}

fn tell_left_out(headers: &[String]) {
    const MOST: usize = 20;
    if headers.is_empty() {
        return;
    }
    let more = if headers.len() > MOST { format!(" and {} more", headers.len() - MOST) } else { String::new() };
    let named: Vec<_> = headers.iter().take(MOST).map(|header| format!("'{header}'")).collect();
    tell(&format!("columns left out: {}{more}; --map tells what one is", named.join(", ")));
}

fn answer(output: Output, wanted: Wanted, header: &Header, imported: &Imported, bad_rows: Vec<BadRow>) -> Done {
    let Imported { id, added, already_known, changed, rejected, .. } = imported;
    let by_reason = imported.rejected_by_reason();
    if output == Output::Json {
        return show(
            output,
            &json!({ "import": id, "dry_run": wanted.dry_run, "added": added, "already_known": already_known,
                "changed": changed, "rejected": rejected, "rejected_by_reason": by_reason,
                "columns": header.columns, "left_out": header.left_out, "bad_rows": bad_rows }),
        );
    }
    let mut shown = json!({ "import": id, "added": added, "already_known": already_known, "changed": changed,
        "rejected": rejected, "columns": header.columns });
    if wanted.dry_run {
        shown["import"] = json!("none, this was a dry run");
    }
    if !by_reason.is_empty() {
        shown["rejected_by_reason"] = json!(by_reason);
    }
    show(output, &shown)
}

/// Reports bad rows: shows the first on standard error, writes all to a file if one was named, and keeps some for a
/// JSON answer.
struct BadRows {
    told: u64,
    found: u64,
    to: Option<PathBuf>,
    file: Option<csv::Writer<File>>,
    header: ByteRecord,
    delimiter: u8,
    repeats: bool,
    repeated: Vec<BadRow>,
}

impl BadRows {
    fn to(to: Option<PathBuf>, repeats: bool) -> Result<Self, Failure> {
        if let Some(file) = to.as_deref().filter(|file| file.symlink_metadata().is_ok()) {
            return Err(Failure::Bad(format!("{} exists already: name a new file for the bad rows", file.display())));
        }
        let (file, header, repeated) = (None, ByteRecord::new(), Vec::new());
        Ok(Self { told: 0, found: 0, to, file, header, delimiter: b',', repeats, repeated })
    }

    fn begin(&mut self, header: &Header) {
        (self.header, self.delimiter) = (header.cells.clone(), header.delimiter);
    }

    fn take(&mut self, row: BadRow) -> Done {
        self.found += 1;
        if self.told < MOST_TOLD {
            self.told += 1;
            tell(&format!("line {}: {}", row.line, row.reason));
        }
        self.write(&row)?;
        if self.repeats && self.repeated.len() < MOST_REPEATED {
            self.repeated.push(BadRow { cells: ByteRecord::new(), ..row });
        }
        Ok(())
    }

    /// Writes a row to the file. The first row creates the file; it fails if the file exists.
    fn write(&mut self, row: &BadRow) -> Done {
        let Some(path) = &self.to else { return Ok(()) };
        let failed = |error: &dyn std::fmt::Display| Failure::Bad(format!("cannot write {}: {error}", path.display()));
        let line = |first: [&[u8]; 2], cells: &ByteRecord| first.into_iter().chain(cells).collect::<ByteRecord>();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let new = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| failed(&error))?;
                // Flexible: each row keeps the number of cells that it has in the imported file.
                let mut file = csv::WriterBuilder::new().flexible(true).delimiter(self.delimiter).from_writer(new);
                let header = line([b"line", b"reason"], &self.header);
                file.write_byte_record(&header).map_err(|error| failed(&error))?;
                self.file.insert(file)
            }
        };
        let row = line([row.line.to_string().as_bytes(), row.reason.as_bytes()], &row.cells);
        file.write_byte_record(&row).map_err(|error| failed(&error))
    }

    fn end(&mut self) -> Done {
        if self.found > self.told {
            let more = self.found - self.told;
            let plural = if more == 1 { "" } else { "s" };
            let all = if self.to.is_some() { "" } else { "; --bad-rows FILE.csv gets all of them" };
            tell(&format!("and {more} more bad row{plural}{all}"));
        }
        self.flush()
    }

    fn flush(&mut self) -> Done {
        match (&mut self.file, &self.to) {
            (Some(file), Some(path)) => {
                file.flush().map_err(|error| Failure::Bad(format!("cannot write {}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }
}

/// One line about what was rejected; `None` if nothing was.
pub fn told(rejected: u64, by_reason: &[Counted]) -> Option<String> {
    (rejected > 0).then(|| format!("{rejected} rejected: {}", Counted::message(by_reason)))
}
