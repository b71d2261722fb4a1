//! `bill` and `recycle`, which `serve` also runs at intervals.

use chrono::{DateTime, Months, NaiveDate, NaiveTime, Utc};
use clap::Args;
use serde_json::json;

use super::inventory::bar;
use super::options::{Grace, Quarantine};
use super::show::show;
use super::{Context, Done, Failure};
use crate::error::Error;
use crate::values::clock::Clock;
use crate::{billing, inventory};

#[derive(Args, Debug)]
pub struct Bill {
    #[command(flatten)]
    as_of: AsOf,
    #[command(flatten)]
    grace: Grace,
    /// Say by account what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// List each fee too
    #[arg(long, requires = "dry_run")]
    verbose: bool,
}

#[derive(Args, Debug)]
pub struct Recycle {
    #[command(flatten)]
    as_of: AsOf,
    #[command(flatten)]
    quarantine: Quarantine,
    /// Say by account what would happen, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
struct AsOf {
    /// Do what is due by this time: RFC 3339, or a date for its midnight, UTC [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    as_of: Option<DateTime<Utc>>,
    /// Allow a time in the future, for staging; a dry run needs no leave
    #[arg(long)]
    force: bool,
}

impl Bill {
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        let (as_of, clock) = self.as_of.on(clock, self.dry_run)?;
        if self.dry_run {
            let grace = self.grace.length();
            return show(*output, &billing::forecast(db, &clock, as_of, grace, self.verbose).await?);
        }
        let bar = bar(Some(billing::count_due(db, as_of).await?), "{human_pos} of {human_len} fees, {per_sec}");
        // Fees may have become due since they were counted.
        let progress = |more| {
            bar.inc(more);
            bar.set_length(bar.length().unwrap_or_default().max(bar.position()));
        };
        let billed = billing::bill(db, &clock, as_of, self.grace.length(), progress).await;
        bar.finish_and_clear();
        let billed = billed?;
        context.counted(&billed);
        show(*output, &billed)
    }
}

impl Recycle {
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        let (as_of, clock) = self.as_of.on(clock, self.dry_run)?;
        if self.dry_run {
            let accounts = inventory::recyclable(db, as_of, self.quarantine.lengths()).await?;
            let recycled: i64 = accounts.iter().map(|account| account.recycled).sum();
            return show(*output, &json!({ "recycled": recycled, "accounts": accounts }));
        }
        let recycled = inventory::recycle(db, &clock, as_of, self.quarantine.lengths()).await?;
        let recycled = json!({ "recycled": recycled });
        context.counted(&recycled);
        show(*output, &recycled)
    }
}

impl AsOf {
    /// The time for what is due, and the clock for when it is done.
    fn on(&self, clock: &Clock, dry_run: bool) -> Result<(DateTime<Utc>, Clock), Failure> {
        // For a future `--as-of`, check this machine's clock now.
        clock.trusted().map_err(Error::from)?;
        let now = clock.now();
        let as_of = self.as_of.unwrap_or(now);
        if as_of > now && !self.force && !dry_run {
            return Err(Failure::Bad(format!("{as_of} is in the future: --force does it all the same, for staging")));
        }
        if as_of > now + Months::new(1200) {
            return Err(Failure::Bad(format!("{as_of} is more than a hundred years from now")));
        }
        Ok((as_of, clock.not_before(as_of)))
    }
}

/// Reads RFC 3339, or a date for its midnight, UTC.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).ok();
    let date = || text.parse().ok().map(midnight).filter(|_| text.len() == "2026-01-31".len());
    time.or_else(date)
        .ok_or_else(|| "RFC 3339 is expected, as in 2026-01-31T08:00:00Z, or a date, as in 2026-01-31".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_midnight() {
        for (text, read) in [
            ("2026-01-31", Some("2026-01-31T00:00:00+00:00")),
            ("2026-01-31T08:00:00Z", Some("2026-01-31T08:00:00+00:00")),
            ("2026-01-31T23:30:00-02:00", Some("2026-02-01T01:30:00+00:00")),
            ("2026-02-30", None),
            ("26-1-1", None),
            ("2026-01-31T08:00:00", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(time(text).ok().map(|time| time.to_rfc3339()).as_deref(), read, "{text}");
        }
    }
}
