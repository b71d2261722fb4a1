//! `inventory withdraw`, `return`, `retire` and `set`.

use std::ops::RangeInclusive;

use clap::Args;
use serde_json::json;

use super::confirm::Sure;
use super::options::note;
use super::show::show;
use super::{Context, Done, Failure};
use crate::error::Denied;
use crate::inventory::{self, Changed, Correction, MOST_MOVED, Refused, Retirement};
use crate::values::money::{Cost, NotACost};
use crate::values::phone::{PhoneNumber, range};
use crate::values::text::LONGEST_NOTE;

/// Numbers in stock.
#[derive(Args, Debug)]
pub struct Numbers {
    /// In any spelling, or ranges, as in 4158670000-4158679999; 100,000 at most
    #[arg(required = true, value_name = "NUMBER", value_parser = possible)]
    numbers: Vec<RangeInclusive<i64>>,
}

#[derive(Args, Debug)]
pub struct Withdraw {
    #[command(flatten)]
    numbers: Numbers,
    /// A word of why, for the history of each: at most 255 characters
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
}

#[derive(Args, Debug)]
pub struct Return {
    #[command(flatten)]
    numbers: Numbers,
    /// Retired numbers too: they are ours again
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
pub struct Retire {
    #[command(flatten)]
    numbers: Numbers,
    /// Why they are ours no longer
    #[arg(long, value_enum)]
    reason: Retirement,
    /// A word of why, for the history of each: at most 255 characters
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Args, Debug)]
#[group(id = "known", required = true, multiple = true, args = ["provider", "monthly_cost", "note"])]
pub struct Set {
    #[command(flatten)]
    numbers: Numbers,
    /// Who the numbers come from; an empty text takes it away
    #[arg(long, value_name = "NAME", value_parser = known)]
    provider: Option<String>,
    /// What the provider charges a month, in dollars with up to four decimals; an empty text takes it away
    #[arg(long, value_name = "DOLLARS", value_parser = cost)]
    monthly_cost: Option<Charged>,
    /// What is to be known of them; an empty text takes it away
    #[arg(long, value_name = "TEXT", value_parser = known)]
    note: Option<String>,
}

/// A provider's cost, or none.
#[derive(Clone, Copy, Debug)]
struct Charged(Option<Cost>);

impl Withdraw {
    pub async fn run(self, context: &Context) -> Done {
        let numbers = self.numbers.each(context)?;
        let done = inventory::withdraw(&context.db, &context.clock, &numbers, self.note.as_deref()).await?;
        told(context, done, ["withdrawn", "already_withdrawn"])
    }
}

impl Return {
    pub async fn run(self, context: &Context) -> Done {
        let numbers = self.numbers.each(context)?;
        let done = inventory::put_back(&context.db, &context.clock, &numbers, self.force).await?;
        told(context, done, ["returned", "already_available"])
    }
}

impl Retire {
    pub async fn run(self, context: &Context) -> Done {
        let numbers = self.numbers.each(context)?;
        if let count @ 2.. = numbers.len() {
            let goes = format!("{count} numbers will be retired, and come back only by 'inventory return --force'");
            self.sure.of(&goes, &count.to_string()).await?;
        }
        let done = inventory::retire(&context.db, &context.clock, &numbers, self.reason, self.note.as_deref()).await?;
        told(context, done, ["retired", "already_retired"])
    }
}

impl Set {
    pub async fn run(self, context: &Context) -> Done {
        let numbers = self.numbers.each(context)?;
        let provider_cost = self.monthly_cost.map(|Charged(cost)| cost);
        let correction = Correction { provider: self.provider, provider_cost, note: self.note };
        told(context, inventory::set(&context.db, &numbers, &correction).await?, ["changed", "already_so"])
    }
}

/// Says how many changed, and how many were so already.
fn told(context: &Context, done: Changed, [changed, already]: [&str; 2]) -> Done {
    let told = json!({ changed: done.changed, already: done.already });
    context.counted(&told);
    show(context.output, &told)
}

impl Numbers {
    /// Each of them.
    fn each(&self, context: &Context) -> Result<Vec<PhoneNumber>, Failure> {
        let count: i64 = self.numbers.iter().map(|range| range.end() - range.start() + 1).sum();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > MOST_MOVED {
            return Err(Denied::from(Refused::TooManyMoved(count)).into());
        }
        let numbers = self.numbers.iter().cloned().flatten().map(PhoneNumber::new);
        let numbers: Vec<_> = numbers.collect::<Result<_, _>>().map_err(|error| Failure::Bad(error.to_string()))?;
        if let [number] = numbers[..] {
            context.is_about_number(number);
        }
        Ok(numbers)
    }
}

/// Reads a range of numbers that may be in stock.
fn possible(text: &str) -> Result<RangeInclusive<i64>, String> {
    let range = range(text)?;
    let ends = [range.start(), range.end()].map(|digits| PhoneNumber::new(*digits));
    ends.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string()).map(|_| range)
}

/// Reads a provider or a note on a number, as an import does.
fn known(text: &str) -> Result<String, String> {
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r');
    let fits = text.chars().count() <= LONGEST_NOTE && !text.contains(is_control);
    fits.then(|| text.trim().to_owned())
        .ok_or_else(|| format!("at most {LONGEST_NOTE} characters are expected, and no control characters"))
}

fn cost(text: &str) -> Result<Charged, String> {
    match text.trim() {
        "" => Ok(Charged(None)),
        text => text.parse().map(|cost| Charged(Some(cost))).map_err(|error: NotACost| error.to_string()),
    }
}
