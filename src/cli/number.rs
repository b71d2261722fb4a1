//! `number …`

use clap::{Args, Subcommand};

use super::options::{NumberSettings, note};
use super::show::show;
use super::{Context, Done};
use crate::error::Denied;
use crate::releases::Moving;
use crate::values::chance::Chance;
use crate::values::money::Money;
use crate::values::sid::NumberSid;
use crate::{numbers, purchases, releases};

#[derive(Subcommand, Debug)]
pub enum Number {
    /// Show a number and the accounts that held it
    Show {
        /// A number in any spelling, as in '+1 (415) 867-5309', or the Sid of a sold number
        #[arg(value_name = "NUMBER")]
        number: String,
    },
    /// Sell this very number to an account: a purchase like any other
    Assign {
        /// In any spelling; it must be on sale
        #[arg(value_name = "NUMBER")]
        number: String,
        /// The account that pays and holds it
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        /// Dollars a month, as in 0.50 [default: the account's price]
        #[arg(long, value_name = "DOLLARS")]
        price: Option<Money>,
        #[command(flatten)]
        settings: Box<NumberSettings>,
    },
    /// End a customer's number: it goes into quarantine
    Release(Held),
    /// Move a number to another account: it goes on there, with the same Sid, settings, price and days of its fees
    Move {
        #[command(flatten)]
        held: Held,
        /// The account that takes it, which must be active
        #[arg(long, value_name = "ACCOUNT")]
        to: String,
    },
    /// Give a released number back to its last holder, while it is in quarantine
    Restore {
        /// In any spelling, or the Sid under which it was held
        #[arg(value_name = "NUMBER")]
        number: String,
    },
}

/// A number that somebody holds.
#[derive(Args, Debug)]
pub struct Held {
    /// In any spelling, or the Sid under which it is held
    #[arg(value_name = "NUMBER")]
    number: String,
    /// A word of why, for the number's history: at most 255 characters
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
}

impl Number {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        match self {
            Self::Show { number } => show(*output, &numbers::biography(db, context.number(&number).await?).await?),
            Self::Assign { number, account, price, settings } => {
                let settings = settings.first().map_err(Denied::from)?;
                let (number, account) = (context.number(&number).await?, context.account(&account).await?);
                show(*output, &purchases::assign(db, clock, &Chance::System, account, number, price, settings).await?)
            }
            Self::Release(Held { number: text, note }) => {
                let number = context.number(&text).await?;
                let released = releases::release_by_operator(db, clock, number, sid(&text), note.as_deref()).await?;
                released.last_holder.into_iter().for_each(|account| context.is_about(account));
                show(*output, &released)
            }
            Self::Move { held: Held { number: text, note }, to } => {
                let (number, to) = (context.number(&text).await?, context.account(&to).await?);
                let moving = Moving { number, sid: sid(&text), holder: None, to, note: note.as_deref() };
                let moved = releases::transfer_and_tell(db, clock, moving).await?;
                // The account that takes the number is among the arguments.
                moved.transfers.last().into_iter().for_each(|last| context.is_about(last.from));
                show(*output, &moved)
            }
            Self::Restore { number: text } => {
                let number = context.number(&text).await?;
                let restored = match sid(&text) {
                    Some(sid) => releases::restore(db, clock, sid).await?,
                    None => releases::restore_number(db, clock, number).await?,
                };
                restored.holder.into_iter().for_each(|account| context.is_about(account));
                show(*output, &restored)
            }
        }
    }
}

/// The tenancy that an argument names, where it is a Sid.
fn sid(text: &str) -> Option<NumberSid> {
    text.parse().ok()
}
