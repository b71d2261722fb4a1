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

mod store;
mod views;

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
/// need no memory.
///
/// # Errors
/// If the database is out of reach, and those of `take`.
pub async fn rows<E: From<Error>>(
    db: &Db,
    report: &Report,
    columns: &[Column],
    form: Form,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut transaction = db.begin().await.map_err(Error::from)?;
    let mut rows = store::copy(&mut transaction, report, columns, form).await.map_err(Error::from)?;
    while let Some(row) = rows.try_next().await.map_err(Error::from)? {
        take(row.as_ref())?;
    }
    Ok(())
}
