//! `report …`

use std::iter::once;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::rows::Rows;
use super::{Context, Done};
use crate::config::Output;
use crate::reporting::{self, Form, VIEWS};

#[derive(Args, Debug)]
pub struct Report {
    /// A view of the schema reporting; 'list' tells what each shows
    #[arg(value_parser = PossibleValuesParser::new(once("list").chain(VIEWS.map(|view| view.name))))]
    name: String,
}

impl Report {
    pub async fn run(self, Context { db, output, .. }: &Context) -> Done {
        let mut rows = Rows::new(*output);
        if let Some(view) = VIEWS.into_iter().find(|view| view.name == self.name) {
            let form = if *output == Output::Json { Form::Json } else { Form::Csv };
            reporting::rows(db, view, form, |row| rows.add(row)).await?;
        } else {
            rows.head(&["name", "shows"])?;
            for view in reporting::list(db).await? {
                rows.show(&view)?;
            }
        }
        rows.end()
    }
}
