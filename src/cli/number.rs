//! `number …`

use clap::Subcommand;

use super::show::show;
use super::{Context, Done, Failure};
use crate::kernel::phone::PhoneNumber;
use crate::kernel::sid::NumberSid;
use crate::{numbers, releases};

#[derive(Subcommand, Debug)]
pub enum Number {
    /// Show a number and everyone who held it
    Show {
        /// Ten digits, or the Sid of a number that was ever sold
        #[arg(value_name = "NUMBER_OR_SID")]
        which: String,
    },
    /// Give a released number back to its last holder, while it is in quarantine
    Restore { sid: NumberSid },
}

impl Number {
    pub async fn run(self, Context { db, clock, output, .. }: &Context) -> Done {
        match self {
            Self::Show { which } => {
                let number = match (which.parse(), PhoneNumber::from_decorated(&which)) {
                    (Ok(sid), _) => numbers::digits_of(db, sid).await?,
                    (_, Some(number)) => number,
                    _ => return Err(Failure::Bad(format!("'{which}' is neither a phone number nor the Sid of one"))),
                };
                show(*output, &numbers::biography(db, number).await?)
            }
            Self::Restore { sid } => show(*output, &releases::restore(db, clock, sid).await?),
        }
    }
}
