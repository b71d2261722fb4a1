//! A world's time: its clock, and what falls due when it is moved on.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, Days, Months, NaiveTime, TimeDelta, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::{Refused, World, store, told};
use crate::billing;
use crate::error::{Denied, Error, Unavailable};
use crate::inventory::{self, Quarantine};
use crate::purchases;
use crate::values::clock::{Clock, Course};
use crate::values::dialect::time;
use crate::values::money::Money;
use crate::values::sid::{AccountSid, NumberSid};

/// The pause between two runs of what falls due while a clock runs: as long as that of `serve`.
const PAUSE: Duration = Duration::from_hours(1);

/// How far from now a clock may be.
const MOST_MONTHS: Months = Months::new(1200);

/// How long numbers are kept in a world.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub quarantine: Quarantine,
    /// How long an unpaid number is kept.
    pub grace: TimeDelta,
}

/// The body of `POST /staging/clock`, which has exactly one of these members.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    #[serde(deserialize_with = "span")]
    advance: Option<Span>,
    #[serde(deserialize_with = "moment")]
    to: Option<DateTime<Utc>>,
    stand: bool,
    run: bool,
}

/// A change of a clock.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    By(Span),
    To(DateTime<Utc>),
    Stand,
    Run,
}

impl Asked {
    /// # Errors
    /// If it is not exactly one change.
    pub fn change(self) -> Result<Change, Refused> {
        match self {
            Self { advance: Some(span), to: None, stand: false, run: false } => Ok(Change::By(span)),
            Self { advance: None, to: Some(to), stand: false, run: false } => Ok(Change::To(to)),
            Self { advance: None, to: None, stand: true, run: false } => Ok(Change::Stand),
            Self { advance: None, to: None, stand: false, run: true } => Ok(Change::Run),
            _ => Err(Refused::NoChange),
        }
    }
}

/// A length of time, in ISO 8601. Its months are those of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    months: Months,
    rest: TimeDelta,
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a duration of ISO 8601 in whole numbers is expected, as in P1M, P2W or P1DT12H")]
pub struct NotASpan;

impl Span {
    /// So long after a moment. A month after a day that the next month has not ends on its last day.
    fn after(self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        moment.checked_add_months(self.months)?.checked_add_signed(self.rest)
    }
}

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let text = text.strip_prefix('P').ok_or(NotASpan)?;
        let (mut date, mut time) = text.split_once('T').unwrap_or((text, ""));
        if text.is_empty() || text.ends_with('T') {
            return Err(NotASpan);
        }
        let months = 12 * taken(&mut date, 'Y')? + taken(&mut date, 'M')?;
        let days = 7 * taken(&mut date, 'W')? + taken(&mut date, 'D')?;
        let minutes = 60 * taken(&mut time, 'H')? + taken(&mut time, 'M')?;
        let seconds = 86_400 * days + 60 * minutes + taken(&mut time, 'S')?;
        if !date.is_empty() || !time.is_empty() {
            return Err(NotASpan);
        }
        let months = u32::try_from(months).map_err(|_| NotASpan)?;
        Ok(Self { months: Months::new(months), rest: TimeDelta::seconds(seconds) })
    }
}

/// Takes the part of this unit off the front of a text; 0 if there is none.
fn taken(text: &mut &str, unit: char) -> Result<i64, NotASpan> {
    let Some((number, rest)) = text.split_once(unit) else { return Ok(0) };
    *text = rest;
    // So many digits of weeks are fewer seconds than a time holds.
    let is_number = (1..=10).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_number).ok_or(NotASpan)
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Span>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(|error| D::Error::custom(format!("'{text}': {error}")))).transpose()
}

/// A time that a world may have.
pub(super) fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let at = DateTime::parse_from_rfc3339(&text).ok().map(|at| at.to_utc()).filter(|at| may_be(*at));
    let expected = "a time from 2008 on, at most a hundred years from now, is expected, as in 2026-01-31T12:00:00Z";
    at.map(Some).ok_or_else(|| D::Error::custom(format!("'{text}': {expected}")))
}

fn may_be(at: DateTime<Utc>) -> bool {
    // PostgreSQL has no leap seconds.
    at.year() >= 2008 && at <= Clock::System.now() + MOST_MONTHS && at.timestamp_subsec_nanos() < 1_000_000_000
}

/// A world's clock, as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(serialize_with = "time")]
    now: DateTime<Utc>,
    state: &'static str,
}

/// What fell due on the way from one time to a later one.
#[derive(Debug, Serialize)]
pub(super) struct Advanced {
    #[serde(serialize_with = "time")]
    from: DateTime<Utc>,
    #[serde(serialize_with = "time")]
    to: DateTime<Utc>,
    /// Months that were charged, and the sum of their fees.
    charged: i64,
    amount: Money,
    /// Of each of these, the first thousand.
    suspended: Vec<AccountSid>,
    activated: Vec<AccountSid>,
    released: Vec<NumberSid>,
    recycled: u64,
}

/// The answer to a change.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Changed {
    Advanced(Advanced),
    Set(Shown),
}

/// What was done, counted.
#[derive(Debug, Default)]
struct Fallen {
    charged: i64,
    amount: Money,
    recycled: u64,
}

/// When there is something to do next.
#[derive(Clone, Copy, Debug)]
struct Due {
    recycling: Option<DateTime<Utc>>,
    billing: Option<DateTime<Utc>>,
}

impl Due {
    /// Everything is to be looked at.
    const fn all(at: DateTime<Utc>) -> Self {
        Self { recycling: Some(at), billing: Some(at) }
    }

    fn first(self) -> Option<DateTime<Utc>> {
        [self.recycling, self.billing].into_iter().flatten().min()
    }
}

impl World {
    pub(super) fn shown_clock(&self) -> Shown {
        let state = if self.stands() { "stands" } else { "runs" };
        Shown { now: self.clock.now(), state }
    }

    fn stands(&self) -> bool {
        matches!(self.clock.course(), Some(Course::Stands(_)))
    }

    /// Changes the clock. Requests wait meanwhile.
    pub(super) async fn change_clock(&self, change: Change) -> Result<Changed, Denied<Refused>> {
        let _alone = self.turns.write().await;
        let now = self.clock.now();
        let to = match change {
            Change::By(span) => span.after(now).ok_or(Refused::TooFar)?,
            Change::To(to) => to,
            Change::Stand => return Ok(self.set(Course::Stands(now)).await?),
            Change::Run => return Ok(self.set(Course::running(now)).await?),
        };
        if to < now {
            return Err(Refused::NotForward { now, to }.into());
        }
        if !may_be(to) {
            return Err(Refused::TooFar.into());
        }
        Ok(Changed::Advanced(self.advance(now, to).await?))
    }

    async fn set(&self, course: Course) -> Result<Changed, Error> {
        if !store::keep_course(&self.db, self.start, course).await? {
            return Err(Error::Internal("another process has the world by now".to_owned()));
        }
        self.clock.set(course);
        Ok(Changed::Set(self.shown_clock()))
    }

    async fn go_on(&self, to: DateTime<Utc>) -> Result<(), Error> {
        let course = self.clock.course().unwrap_or(Course::Stands(to));
        self.set(course.at(to)).await.map(drop)
    }

    async fn advance(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Advanced, Denied<Refused>> {
        let before = store::last_event(&self.db).await?;
        let fallen = self.pass(from, to).await.map_err(|error| {
            tracing::warn!("the clock of the world was not moved on to its end: {error}");
            Refused::HalfWay(self.clock.now())
        })?;
        let Fallen { charged, amount, recycled } = fallen;
        let suspended = store::suspended_since(&self.db, before).await?;
        let activated = store::activated_since(&self.db, before).await?;
        let released = store::released_since(&self.db, before).await?;
        self.log.add(to, "clock", None, json!({ "from": told(from), "to": told(to) }));
        Ok(Advanced { from, to, charged, amount, suspended, activated, released, recycled })
    }

    /// Does what falls due at each midnight on the way, in order. Days on which nothing does are passed over.
    async fn pass(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Fallen, Error> {
        let (mut fallen, mut next) = (Fallen::default(), midnight_after(from));
        // What a clock that ran, or an advance that was cut off, has left undone.
        self.fall_due(&mut fallen, Due::all(from), midnight_before(from), from).await?;
        // On the first day everything is looked at.
        let mut due = Due::all(next);
        while let Some(midnight) = due.first().map(|due| midnight_from(due).max(next)).filter(|day| *day <= to) {
            // The clock first: if this is cut off, nothing is dated later than it.
            self.go_on(midnight).await?;
            let released = self.fall_due(&mut fallen, due, midnight, midnight).await?;
            next = midnight_after(midnight);
            due = self.next_due().await?;
            if released > 0 {
                // The balance may cover what is left.
                due.billing = Some(next);
            }
        }
        purchases::forget_old_keys(&self.db, &Clock::frozen(to)).await?;
        self.go_on(to).await?;
        Ok(fallen)
    }

    /// Recycles, then bills, what is due by a time; dated at `now`. Returns how many numbers were released.
    async fn fall_due(
        &self,
        fallen: &mut Fallen,
        due: Due,
        by: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let (clock, Life { quarantine, grace }) = (Clock::frozen(now), self.life);
        if due.recycling.is_some_and(|due| due <= now) {
            let recycled = inventory::recycle(&self.db, &clock, by, quarantine).await?;
            fallen.recycled += recycled;
            if recycled > 0 {
                self.log.add(now, "stock", None, json!({ "recycled": recycled }));
                self.withdraw_returned_test_numbers().await?;
            }
        }
        if due.billing.is_none_or(|due| due > now) {
            return Ok(0);
        }
        let billed = billing::bill(&self.db, &clock, by, grace, |_| {}).await?;
        if let Some(busy) = billed.busy.first() {
            return Err(Error::Unavailable(Unavailable::Locked(format!("account {busy}"))));
        }
        let amount = fallen.amount.checked_add(billed.amount);
        fallen.amount = amount.ok_or_else(|| Error::Internal("the fees are too much to be summed up".to_owned()))?;
        fallen.charged += billed.charged;
        self.note_changes().await;
        Ok(billed.released)
    }

    async fn next_due(&self) -> Result<Due, Error> {
        let recycling = inventory::next_recycling(&self.db, self.life.quarantine).await?;
        let billing = billing::next_due(&self.db, self.life.grace).await?;
        Ok(Due { recycling, billing })
    }

    /// Does what falls due while the clock runs, until dropped. While it stands, nothing does.
    pub async fn keep_up(&self) {
        loop {
            if let Err(error) = self.catch_up().await {
                tracing::warn!("what falls due was not done: {error}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn catch_up(&self) -> Result<(), Error> {
        let _turn = self.turn().await;
        if self.stands() {
            return Ok(());
        }
        let now = self.clock.now();
        self.fall_due(&mut Fallen::default(), Due::all(now), now, now).await?;
        purchases::forget_old_keys(&self.db, &self.clock).await.map(drop)
    }
}

/// The last midnight that is not later.
fn midnight_before(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment.date_naive().and_time(NaiveTime::MIN).and_utc()
}

/// The first midnight that is later.
fn midnight_after(moment: DateTime<Utc>) -> DateTime<Utc> {
    midnight_before(moment) + Days::new(1)
}

/// The first midnight that is not earlier.
fn midnight_from(moment: DateTime<Utc>) -> DateTime<Utc> {
    if moment.time() == NaiveTime::MIN { moment } else { midnight_after(moment) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn a_span_goes_by_the_calendar_and_by_the_clock() {
        let from = at("2026-01-31T12:00:00Z");
        for (span, to) in [
            ("P1M", "2026-02-28T12:00:00Z"),
            ("P1Y1M", "2027-02-28T12:00:00Z"),
            ("P25M", "2028-02-29T12:00:00Z"),
            ("P1M1D", "2026-03-01T12:00:00Z"),
            ("P2W", "2026-02-14T12:00:00Z"),
            ("P1DT11H59M60S", "2026-02-02T00:00:00Z"),
            ("PT0S", "2026-01-31T12:00:00Z"),
            ("PT1M", "2026-01-31T12:01:00Z"),
        ] {
            assert_eq!(span.parse::<Span>().ok().and_then(|span| span.after(from)), Some(at(to)), "{span}");
        }
        let no_spans =
            ["", "P", "PT", "P1", "1M", "P-1M", "P+1M", "P1M1Y", "P1.5D", "P1H", "PT1D", "P1MT", "p1m", "P1M "];
        for text in no_spans.into_iter().chain(["P9999999999Y", "P99999999999D"]) {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!("P9999999999W".parse::<Span>().ok().and_then(|span| span.after(from)), None);
    }

    #[test]
    fn a_midnight_is_the_next_one() {
        let (midnight, next) = (at("2026-02-01T00:00:00Z"), at("2026-02-02T00:00:00Z"));
        assert_eq!([midnight_after(midnight), midnight_from(midnight)], [next, midnight]);
        let noon = at("2026-02-01T12:00:00Z");
        assert_eq!([midnight_before(noon), midnight_after(noon), midnight_from(noon)], [midnight, next, next]);
    }
}
