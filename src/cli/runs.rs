//! `bill` and `recycle`, which `serve` also runs at intervals.

use chrono::{DateTime, Months, Utc};
use clap::Args;
use serde_json::json;

use super::inventory::bar;
use super::options::{Grace, Quarantine};
use super::show::{Outline, show};
use super::times::Time;
use super::{Context, Done, Failure};
use crate::billing::{Foreseen, Progress};
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
    /// Do what was due by then, which is in the future in a dry run only: RFC 3339, a date for its midnight in UTC, or as in +1month [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    as_of: Option<Time>,
}

impl Bill {
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub async fn run(self, context: &Context) -> Done {
        let Context { db, output, world, .. } = context;
        let (as_of, clock) = self.as_of.on(context, self.dry_run)?;
        if self.dry_run {
            return self.forecast(context, as_of, &clock).await;
        }
        let bar = bar(Some(billing::count_due(db, as_of).await?), "{human_pos} of {human_len} fees, {per_sec}");
        // Fees may have become due since they were counted.
        let progress = |progress: Progress| {
            bar.inc(progress.looked_at);
            bar.set_length(bar.length().unwrap_or_default().max(bar.position()));
            context.stands(charged(progress.charged));
            context.counted(&json!({ "charged": progress.charged }));
        };
        context.stands(charged(0));
        let billed = billing::bill(db, &clock, as_of, self.grace.length(*world), progress).await;
        bar.finish_and_clear();
        let billed = billed?;
        context.counted(&billed);
        show(*output, &billed)?;
        let left = "for too long: what is due of it is left for the next run";
        match billed.busy.as_slice() {
            [] => Ok(()),
            [only] => Err(Failure::Partly(format!("another session has locked account {only} {left}"))),
            [first, ..] => {
                let count = billed.busy.len();
                Err(Failure::Partly(format!("other sessions have locked {count} accounts, first {first}, {left}")))
            }
        }
    }

    async fn forecast(&self, Context { db, output, world, .. }: &Context, as_of: DateTime<Utc>, clock: &Clock) -> Done {
        let mut forecast = Outline::new(*output);
        billing::forecast(db, clock, as_of, self.grace.length(*world), self.verbose, |foreseen| match foreseen {
            Foreseen::Total(total) => forecast.begin(&total)?.list("accounts"),
            Foreseen::Account(account) => forecast.add(&account),
            Foreseen::Fee(fee) => forecast.within("fees")?.add(&fee),
        })
        .await?;
        forecast.end()
    }
}

/// How far ahead a dry run looks: each month of each number is a row of it.
const MOST_MONTHS_AHEAD: u32 = 36;

/// What a run of the fees says that is interrupted.
fn charged(fees: i64) -> String {
    let stand = match fees {
        0 => "no fee was charged".to_owned(),
        1 => "1 fee was charged and stands".to_owned(),
        fees => format!("{fees} fees were charged and stand"),
    };
    format!("{stand}; 'numberbank bill' goes on with the rest")
}

impl Recycle {
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    pub async fn run(self, context: &Context) -> Done {
        let Context { db, output, world, .. } = context;
        let (as_of, clock) = self.as_of.on(context, self.dry_run)?;
        if self.dry_run {
            let (mut forecast, mut all) = (Outline::new(*output), None);
            inventory::recyclable(db, as_of, self.quarantine.lengths(*world), |recycled, account| {
                if all.replace(recycled).is_none() {
                    forecast.begin(&json!({ "recycled": recycled }))?.list("accounts")?;
                }
                forecast.add(account)
            })
            .await?;
            if all.is_none() {
                forecast.begin(&json!({ "recycled": 0 }))?.list("accounts")?;
            }
            return forecast.end();
        }
        context.stands("what is on sale again stays so; 'numberbank recycle' goes on with the rest".to_owned());
        let recycled = inventory::recycle(db, &clock, as_of, self.quarantine.lengths(*world)).await?;
        let recycled = json!({ "recycled": recycled });
        context.counted(&recycled);
        show(*output, &recycled)
    }
}

impl AsOf {
    /// The time for what is due, and the clock for when it is done.
    fn on(&self, Context { clock, world, .. }: &Context, dry_run: bool) -> Result<(DateTime<Utc>, Clock), Failure> {
        clock.trusted().map_err(Error::from)?;
        let now = clock.now();
        let as_of = self.as_of.as_ref().map_or(Ok(now), |time| time.on(now))?;
        if as_of > now && !dry_run {
            return Err(Failure::Bad(match world {
                Some(_) => format!("{as_of} is later than the world's now: 'numberbank staging clock --to' goes there"),
                None => format!("{as_of} is in the future: --dry-run says what will be due then"),
            }));
        }
        if dry_run && as_of > now + Months::new(MOST_MONTHS_AHEAD) {
            return Err(Failure::Usage(format!("{as_of} is more than {MOST_MONTHS_AHEAD} months from now")));
        }
        Ok((as_of, clock.not_before(as_of)))
    }
}
