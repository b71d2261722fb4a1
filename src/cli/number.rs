//! `number …`

use clap::Subcommand;

use super::show::show;
use super::{Context, Done};
use crate::values::sid::NumberSid;
use crate::{numbers, releases};

#[derive(Subcommand, Debug)]
pub enum Number {
    /// Show a number and everyone who held it
    Show {
        /// In any spelling, as in '+1 (415) 867-5309', or the Sid of a number that was ever sold
        #[arg(value_name = "NUMBER")]
        number: String,
    },
    /// Give a released number back to its last holder, while it is in quarantine
    Restore { sid: NumberSid },
}

impl Number {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        match self {
            Self::Show { number } => show(*output, &numbers::biography(db, context.number(&number).await?).await?),
            Self::Restore { sid } => show(*output, &releases::restore(db, clock, sid).await?),
        }
    }
}
