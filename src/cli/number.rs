//! `number …`

use clap::Subcommand;

use super::show::show;
use super::{Context, Done, Failure};
use crate::values::phone::{NotAPhoneNumber, Reason};
use crate::values::sid::NumberSid;
use crate::{numbers, releases};

#[derive(Subcommand, Debug)]
pub enum Number {
    /// Show a number and the accounts that held it
    Show {
        /// A number in any spelling, as in '+1 (415) 867-5309', or the Sid of a sold number
        #[arg(value_name = "NUMBER_OR_SID")]
        which: String,
    },
    /// Give a released number back to its last account; only while it is in quarantine
    Restore { sid: NumberSid },
}

impl Number {
    pub async fn run(self, Context { db, clock, output, .. }: &Context) -> Done {
        match self {
            Self::Show { which } => {
                let number = match (which.parse(), which.parse()) {
                    (Ok(sid), _) => numbers::digits_of(db, sid).await?,
                    (_, Ok(number)) => number,
                    (_, Err(error)) => return Err(not_a_number(&error)),
                };
                show(*output, &numbers::biography(db, number).await?)
            }
            Self::Restore { sid } => show(*output, &releases::restore(db, clock, sid).await?),
        }
    }
}

fn not_a_number(error: &NotAPhoneNumber) -> Failure {
    Failure::Bad(match error.reason {
        Reason::NotTenDigits => format!("'{}' is neither a phone number of ten digits nor the Sid of one", error.text),
        _ => error.to_string(),
    })
}
