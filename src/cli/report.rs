//! `report …`, and lists of commands that are a view's rows.

use std::iter::once;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::options::{Most, Output};
use super::rows::Rows;
use super::times::Period;
use super::{Context, Done, Failure};
use crate::reporting::{self, Form, Limits, VIEWS, View};

#[derive(Args, Debug)]
pub struct Report {
    /// A view of the schema reporting, or 'list' to see what each view shows
    #[arg(value_parser = PossibleValuesParser::new(once("list").chain(VIEWS.map(|view| view.name))))]
    name: String,
    /// Only of this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Only of this number
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    most: Most,
}

impl Report {
    pub async fn run(self, context: &Context) -> Done {
        let Some(view) = View::named(&self.name) else { return list(context).await };
        let [since, until] = self.period.ends(context.clock.now())?;
        let account = optional(self.account.as_deref().map(|text| context.account(text))).await?;
        let number = optional(self.number.as_deref().map(|text| context.number(text))).await?;
        let limits = Limits { account, number, since, until, rows: self.most.rows };
        print(context, &view.limited(limits)?).await
    }
}

/// What an argument means, where it is given.
pub async fn optional<T>(meant: Option<impl Future<Output = Result<T, Failure>>>) -> Result<Option<T>, Failure> {
    match meant {
        Some(meant) => meant.await.map(Some),
        None => Ok(None),
    }
}

async fn list(Context { db, output, .. }: &Context) -> Done {
    let mut rows = Rows::new(*output, Vec::new());
    rows.head(&["name", "shows"])?;
    reporting::list(db).await?.iter().try_for_each(|view| rows.show(view))?;
    rows.end()
}

/// Writes the rows of a report to standard output. A command that lists what a view shows ends with this.
pub async fn print(Context { db, output, .. }: &Context, report: &reporting::Report) -> Done {
    let columns = reporting::columns(db, report.view()).await?;
    let texts = columns.iter().filter(|column| column.is_text()).map(|column| column.name.clone()).collect();
    let mut rows = Rows::new(*output, texts).foremost(report.view().foremost(&columns));
    let form = if *output == Output::Json { Form::Json } else { Form::Csv };
    reporting::rows(db, report, &columns, form, |row| rows.add(row)).await?;
    rows.end()
}
