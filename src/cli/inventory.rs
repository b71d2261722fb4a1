//! `inventory …`

use std::ops::RangeInclusive;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::import::{Import, told};
use super::moving::{Retire, Return, Set, Withdraw};
use super::show::show;
use super::{Context, Done, Failure, lists};
use crate::inventory;
use crate::values::phone::{AreaCode, range};

#[derive(Subcommand, Debug)]
pub enum Inventory {
    /// Add numbers or ranges, as in '(415) 867-0000' or 4158670000-4158679999; numbers in stock stay as they are
    Add {
        #[arg(required = true, value_name = "FIRST[-LAST]", value_parser = range)]
        ranges: Vec<RangeInclusive<i64>>,
    },
    /// Import a CSV file of numbers as a carrier sends it
    #[command(after_long_help = IMPORT_HELP, after_help = IMPORT_HELP)]
    Import(Import),
    /// List numbers in stock
    List(lists::Stock),
    /// Count the numbers of each kind and area code
    Summary,
    /// Take numbers or ranges out of sale
    Withdraw(Withdraw),
    /// Put withdrawn numbers or ranges back on sale, or back into their quarantine
    Return(Return),
    /// Take numbers or ranges out of stock for good: they are ours no longer
    Retire(Retire),
    /// Correct the provider, cost or note of numbers or ranges, in any state
    Set(Set),
    /// Thresholds: with fewer available numbers, an area code is low on stock
    #[command(subcommand)]
    Threshold(Threshold),
}

#[derive(Subcommand, Debug)]
pub enum Threshold {
    /// List all thresholds; 'report low_stock' shows the area codes below them
    List,
    /// Set the threshold of an area code; 0 removes it
    Set {
        area_code: AreaCode,
        #[arg(value_parser = clap::value_parser!(i32).range(0..=10_000_000))]
        count: i32,
    },
}

impl Inventory {
    pub async fn run(self, context: &Context) -> Done {
        match self {
            Self::Add { ranges } => add(context, &ranges).await,
            Self::Import(import) => import.run(context).await,
            Self::List(listing) => listing.run(context).await,
            Self::Summary => lists::summary(context).await,
            Self::Withdraw(command) => command.run(context).await,
            Self::Return(command) => command.run(context).await,
            Self::Retire(command) => command.run(context).await,
            Self::Set(command) => command.run(context).await,
            Self::Threshold(command) => command.run(context).await,
        }
    }
}

/// The help of an import, besides its options.
const IMPORT_HELP: &str = "\
The first row names the columns, in any case and order: phone_number (or number, did, tn, e164, telephone number,
phone), and where they are there provider (carrier), monthly_cost (cost, mrc, monthly fee) and note (description,
comment). Other columns are left out. Cells stand between commas, semicolons or tabs.

  numberbank inventory import numbers.csv --dry-run
  numberbank inventory import numbers.csv --map 'Rate=monthly_cost' --skip-bad --bad-rows bad.csv";

async fn add(context: &Context, ranges: &[RangeInclusive<i64>]) -> Done {
    let Context { db, clock, output, .. } = context;
    let count: i64 = ranges.iter().map(|range| range.end() - range.start() + 1).sum();
    let count = count.unsigned_abs();
    let bar = bar(Some(count), "{human_pos} of {human_len} numbers");
    let added = inventory::add(db, clock, ranges, |added| {
        let done = added.added + added.already_known + added.rejected;
        bar.set_position(done);
        context.counted(added);
        let stands = format!("{} numbers were added and stand; the same command adds the rest", added.added);
        context.stands((done < count).then_some(stands));
    });
    let added = added.await;
    bar.finish_and_clear();
    let added = added?;
    let shown = show(*output, &added);
    match told(added.rejected, &added.rejected_by_reason) {
        None => shown,
        Some(told) if added.added + added.already_known == 0 => Err(Failure::Bad(told)),
        Some(told) => Err(Failure::Partly(format!("{told}; the other numbers are in stock"))),
    }
}

/// A progress bar on standard error, shown only on a terminal. `None` means that the length is unknown, as with a
/// pipe.
pub fn bar(length: Option<u64>, what: &str) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = match length {
        Some(_) => format!("{{wide_bar}} {{percent:>3}}%  {what}  {{eta}} left"),
        None => format!("{{spinner}} {}  {{elapsed}}", what.replace(" of {total_bytes}", "")),
    };
    let style = ProgressStyle::with_template(&template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
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
