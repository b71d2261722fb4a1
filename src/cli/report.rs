//! `report …`

use std::iter::once;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::options::Output;
use super::rows::Rows;
use super::{Context, Done};
use crate::reporting::{self, Form, VIEWS};

#[derive(Args, Debug)]
pub struct Report {
    /// A view of the schema reporting, or 'list' to see what each view shows
    #[arg(value_parser = PossibleValuesParser::new(once("list").chain(VIEWS.map(|view| view.name))))]
    name: String,
}

impl Report {
    pub async fn run(self, Context { db, output, .. }: &Context) -> Done {
        if let Some(view) = VIEWS.into_iter().find(|view| view.name == self.name) {
            let mut rows = Rows::new(*output, reporting::texts(db, view).await?);
            let form = if *output == Output::Json { Form::Json } else { Form::Csv };
            reporting::rows(db, view, form, |row| rows.add(row)).await?;
            return rows.end();
        }
        let mut rows = Rows::new(*output, Vec::new());
        rows.head(&["name", "shows"])?;
        reporting::list(db).await?.iter().try_for_each(|view| rows.show(view))?;
        rows.end()
    }
}
