//! Reporting: the views of the schema `reporting`, row by row. The migrations define them; their columns are a promise.
//!
//! A list that a command shows reads its view too, so that names and types are the same everywhere:
//!
//! `View::PRICES.all().and(Condition::Is("account_sid", Value::Account(sid)))`, which `cli/report.rs` shows.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;

use crate::db::Db;
use crate::error::{Error, Refuses, Result};
use crate::values::phone::PhoneNumber;
use crate::values::sid::AccountSid;

mod portions;
mod store;
mod views;

use portions::{Portion, Portions};

pub use views::{VIEWS, View};

/// Why a view is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The view has nothing that this option limits; those that do.
    NotLimitedBy { view: &'static str, option: &'static str, may: Vec<&'static str> },
    /// Too much touches a period: only that of an account or a number is shown.
    PeriodOfAll { view: &'static str },
}

impl Refuses for Refused {}

/// A view and its description.
#[derive(Debug, serde::Serialize)]
pub struct Described {
    pub name: String,
    pub shows: String,
}

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A header, then a line for each row.
    Csv,
    /// An object for each row.
    Json,
}

/// A column of a view.
#[derive(Debug)]
pub struct Column {
    pub name: String,
    type_name: String,
}

/// What a value is, and so how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A moment: `2026-11-24T04:32:17.129Z`.
    Time,
    /// A day: `2026-11-24`.
    Date,
    /// Dollars with two decimals or up to four: a text.
    Money,
    /// Ten digits: a text.
    PhoneNumber,
    Integer,
    Boolean,
    /// A text that a tenant, a file or an operator may have chosen.
    Text,
    /// One of a few names.
    Word,
    /// JSON.
    Document,
}

/// What a person limits a view by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub account: Option<AccountSid>,
    pub number: Option<PhoneNumber>,
    /// From this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
    /// The largest number of rows.
    pub rows: Option<u32>,
}

/// A condition on a column of a view, for lists that know their view's columns.
#[derive(Clone, Debug)]
pub enum Condition {
    Is(&'static str, Value),
    IsNull(&'static str),
    /// One of these.
    IsOneOf(&'static str, Vec<Value>),
    /// Both ends included.
    Between(&'static str, i64, i64),
    /// Numbers of the stock in this state.
    InState(&'static str),
}

/// A value that a column is compared with.
#[derive(Clone, Debug)]
pub enum Value {
    Account(AccountSid),
    Number(PhoneNumber),
    Integer(i64),
    /// The name of a state or a kind, as the code spells it.
    Word(&'static str),
    /// Whatever somebody typed.
    Text(String),
}

/// Rows of a view: which, and how many.
#[derive(Clone, Debug)]
pub struct Report {
    view: View,
    limits: Limits,
    conditions: Vec<Condition>,
    /// Whether a limited number of rows is the last ones, and not the first.
    is_last: bool,
}

impl View {
    /// All rows of this view.
    pub fn all(self) -> Report {
        Report { view: self, limits: Limits::default(), conditions: Vec::new(), is_last: false }
    }

    /// The rows of this view within the limits.
    ///
    /// # Errors
    /// Each [`Refused`].
    pub fn limited(self, limits: Limits) -> Result<Report, Refused> {
        let asked = [
            ("--account", limits.account.is_some()),
            ("--number", limits.number.is_some()),
            ("--since", limits.since.is_some()),
            ("--until", limits.until.is_some()),
        ];
        for (option, is_asked) in asked {
            if is_asked && !self.limits().any(|may| may == option) {
                return Err(Refused::NotLimitedBy { view: self.name, option, may: self.limits().collect() });
            }
        }
        let (is_of_all, is_period) = (!asked[0].1 && !asked[1].1, asked[2].1 || asked[3].1);
        if is_of_all && is_period && matches!(self.time, views::Time::Stretch(..)) {
            return Err(Refused::PeriodOfAll { view: self.name });
        }
        Ok(Report { limits, ..self.all() })
    }
}

impl Report {
    /// Only rows for which this holds too.
    pub fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Where the number of rows is limited, the last ones instead of the first, in the same order.
    pub fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    pub const fn view(&self) -> View {
        self.view
    }

    /// Whether it is limited to a state. Then an index leads to its numbers, but the planner may not use it: by statistics from
    /// when more numbers had that state, it would read all tenancies.
    fn is_of_a_state(&self) -> bool {
        self.conditions.iter().any(|condition| matches!(condition, Condition::InState(_)))
    }
}

impl Column {
    /// Whether somebody may have chosen its values.
    pub fn is_text(&self) -> bool {
        self.shape() == Shape::Text
    }
}

/// All views, as the database describes them.
///
/// # Errors
/// If the database is out of reach.
pub async fn list(db: &Db) -> Result<Vec<Described>> {
    Ok(store::describe(db, &VIEWS.map(|view| view.name.to_owned())).await?)
}

/// The columns of a view, in their order.
///
/// # Errors
/// If the database is out of reach.
pub async fn columns(db: &Db, view: View) -> Result<Vec<Column>> {
    Ok(store::columns(db, view.name).await?)
}

/// Passes the rows of a report to `take` one by one, each with its line end: these columns of its view. Millions of rows
/// need little memory, and no transaction lasts while a portion is taken: see [`portions`].
///
/// # Errors
/// If the database is out of reach, and those of `take`.
pub async fn rows<E: From<Error>>(
    db: &Db,
    report: &Report,
    columns: &[Column],
    form: Form,
    take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut portions = Portions::of(report);
    let first = if let Some(portions) = &mut portions { portions.next(db).await? } else { None };
    match (portions, first) {
        // Without rows there is no portion, but a header.
        (Some(portions), Some(first)) => in_portions(db, report, (portions, first), columns, form, take).await,
        _ => at_once(db, report, columns, form, take).await,
    }
}

async fn at_once<E: From<Error>>(
    db: &Db,
    report: &Report,
    columns: &[Column],
    form: Form,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut transaction = db.begin().await.map_err(Error::from)?;
    if report.is_of_a_state() {
        store::walk_indexes(&mut transaction).await.map_err(Error::from)?;
    }
    let mut rows = store::copy(&mut transaction, report, None, columns, form).await.map_err(Error::from)?;
    while let Some(row) = rows.try_next().await.map_err(Error::from)? {
        take(row.as_ref())?;
    }
    Ok(())
}

async fn in_portions<E: From<Error>>(
    db: &Db,
    report: &Report,
    (mut portions, first): (Portions, Portion),
    columns: &[Column],
    form: Form,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    // Each portion of CSV begins with the header, which is written once.
    let header = usize::from(form == Form::Csv);
    let (mut report, mut written, mut next) = (report.clone(), 0, Some(first));
    while let Some(portion) = next {
        let lines = part(db, &report, portion, columns, form).await.map_err(Error::from)?;
        lines.iter().skip(written).try_for_each(|line| take(line))?;
        written = header;
        let rows = lines.len() - header;
        if let Some(most) = &mut report.limits.rows {
            *most = most.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX));
            if *most == 0 {
                break;
            }
        }
        portions.had(rows);
        next = portions.next(db).await?;
    }
    Ok(())
}

/// The lines of a portion.
async fn part(
    db: &Db,
    report: &Report,
    portion: Portion,
    columns: &[Column],
    form: Form,
) -> sqlx::Result<Vec<Box<[u8]>>> {
    let mut transaction = db.begin().await?;
    store::walk_indexes(&mut transaction).await?;
    let rows = store::copy(&mut transaction, report, Some(portion), columns, form).await?;
    let lines = rows.map_ok(|row| Box::from(row.as_ref())).try_collect().await?;
    transaction.commit().await?;
    Ok(lines)
}
