//! `inventory …`

use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::rows::Rows;
use super::show::show;
use super::{Context, Done, Failure};
use crate::config::Output;
use crate::inventory::import::{BadRow, Event};
use crate::inventory::{self, Filter, State};
use crate::kernel::phone::{AreaCode, Kind, PhoneNumber};

#[derive(Subcommand, Debug)]
pub enum Inventory {
    /// Add numbers or ranges, as in 4158670000 or 4158670000-4158679999; what is known already stays as it is
    Add {
        #[arg(required = true, value_name = "FIRST[-LAST]", value_parser = range)]
        ranges: Vec<RangeInclusive<i64>>,
    },
    /// Import a CSV with a column phone_number and optional provider, monthly_cost and note
    Import {
        /// The file; - is standard input
        file: PathBuf,
        /// Store the good rows where some are bad
        #[arg(long)]
        skip_bad: bool,
    },
    /// List numbers in stock
    List(Listing),
    /// Count the numbers of each kind and area code
    Summary,
    /// Take numbers out of sale
    Withdraw {
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<PhoneNumber>,
    },
    /// Put withdrawn numbers back on sale
    Return {
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<PhoneNumber>,
    },
    /// Below how many available numbers an area code is low on stock
    #[command(subcommand)]
    Threshold(Threshold),
}

#[derive(Subcommand, Debug)]
pub enum Threshold {
    /// List all thresholds; 'report low_stock' shows what is below them
    List,
    /// Set the threshold of an area code; 0 removes it
    Set {
        area_code: AreaCode,
        #[arg(value_parser = clap::value_parser!(i32).range(0..=10_000_000))]
        count: i32,
    },
}

#[derive(Args, Debug)]
pub struct Listing {
    #[arg(long)]
    area_code: Option<AreaCode>,
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    #[arg(long, value_enum)]
    state: Option<State>,
}

impl Inventory {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        match self {
            Self::Add { ranges } => add(context, &ranges).await,
            Self::Import { file, skip_bad } => import(context, file, skip_bad).await,
            Self::List(listing) => listing.run(context).await,
            Self::Summary => show(*output, &inventory::summary(db).await?),
            Self::Withdraw { numbers } => {
                show(*output, &json!({ "withdrawn": inventory::withdraw(db, clock, &numbers).await? }))
            }
            Self::Return { numbers } => {
                show(*output, &json!({ "returned": inventory::put_back(db, clock, &numbers).await? }))
            }
            Self::Threshold(command) => command.run(context).await,
        }
    }
}

/// Reads `4158670000` or `4158670000-4158679999`.
fn range(text: &str) -> Result<RangeInclusive<i64>, String> {
    let digits = |text: &str| match text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<i64>().map_err(|error| error.to_string()),
        false => Err(format!("'{text}' is not ten digits")),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = digits(first)?..=digits(last)?;
    if range.is_empty() { Err(format!("'{text}' ends before it begins")) } else { Ok(range) }
}

async fn add(Context { db, clock, output, .. }: &Context, ranges: &[RangeInclusive<i64>]) -> Done {
    let count: i64 = ranges.iter().map(|range| range.end() - range.start() + 1).sum();
    let bar = bar(Some(count.unsigned_abs()), "{human_pos} of {human_len} numbers");
    let added = inventory::add(db, clock, ranges, |count| bar.inc(count)).await;
    bar.finish_and_clear();
    show(*output, &added?)
}

/// How many bad rows a JSON answer repeats; all of them are named on standard error.
const MOST_REPEATED: usize = 10_000;

async fn import(Context { db, clock, output, .. }: &Context, file: PathBuf, skip_bad: bool) -> Done {
    let (source, length): (Box<dyn Read + Send>, _) = if file.as_os_str() == "-" {
        (Box::new(io::stdin()), None)
    } else {
        let opened = File::open(&file).and_then(|opened| Ok((opened.metadata()?.len(), opened)));
        let (length, opened) =
            opened.map_err(|error| Failure::Bad(format!("cannot read {}: {error}", file.display())))?;
        (Box::new(opened), Some(length))
    };
    let bar = bar(length, "{bytes} of {total_bytes}, {msg} rows");
    let (mut rows, mut bad_rows) = (0, Vec::<BadRow>::new());
    let heard = |event| match event {
        Event::Rows(more) => {
            rows += more;
            bar.set_message(rows.to_string());
        }
        Event::Bad(row) => {
            bar.suspend(|| eprintln!("line {}: {}", row.line, row.reason));
            if *output == Output::Json && bad_rows.len() < MOST_REPEATED {
                bad_rows.push(row);
            }
        }
    };
    let imported = inventory::import::import(db, clock, bar.wrap_read(source), skip_bad, heard).await;
    bar.finish_and_clear();
    let imported = imported?;
    match output {
        Output::Json => show(
            *output,
            &json!({ "added": imported.added, "already_known": imported.already_known,
                "rejected": imported.rejected, "bad_rows": bad_rows }),
        ),
        _ => show(*output, &imported),
    }
}

/// A progress bar on standard error, which shows on a terminal only.
pub fn bar(length: Option<u64>, what: &str) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let style = ProgressStyle::with_template(&format!("{{wide_bar}} {{percent:>3}}%  {what}  {{elapsed_precise}}"));
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How many numbers are fetched at a time, so that a list of millions needs no memory.
const CHUNK: i64 = 5000;

impl Listing {
    async fn run(&self, Context { db, output, .. }: &Context) -> Done {
        let filter = Filter { area_code: self.area_code, kind: self.kind, state: self.state };
        let (mut rows, mut after) = (Rows::new(*output), None);
        rows.head(&["phone_number", "kind", "area_code", "state", "provider", "monthly_cost", "note"])?;
        loop {
            let chunk = inventory::list(db, filter, after, CHUNK).await?;
            let Some(last) = chunk.last() else { break };
            after = Some(last.phone_number);
            chunk.iter().try_for_each(|stocked| rows.show(stocked))?;
        }
        rows.end()
    }
}

impl Threshold {
    async fn run(self, Context { db, output, .. }: &Context) -> Done {
        match self {
            Self::List => show(*output, &inventory::thresholds(db).await?),
            Self::Set { area_code, count } => {
                inventory::set_threshold(db, area_code, count).await?;
                let (kind, area_code) = (area_code.kind(), area_code.as_smallint());
                show(*output, &json!({ "kind": kind, "area_code": area_code, "threshold": count }))
            }
        }
    }
}
