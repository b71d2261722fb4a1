//! `number …`

use clap::Subcommand;

use super::show::show;
use super::{Context, Done};
use crate::values::sid::NumberSid;
use crate::{numbers, releases};

#[derive(Subcommand, Debug)]
pub enum Number {
    /// Show a number and the accounts that held it
    Show {
        /// A number in any spelling, as in '+1 (415) 867-5309', or the Sid of a sold number
        #[arg(value_name = "NUMBER")]
        number: String,
    },
    /// Give a released number back to its last account; only while it is in quarantine
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
