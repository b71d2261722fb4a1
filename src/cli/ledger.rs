//! `ledger …`, and what `account …` does with money.

use clap::{Args, Subcommand};

use super::options::note;
use super::show::show;
use super::{Context, Done};
use crate::ledger::{Key, Order, Repeated};
use crate::values::money::Money;
use crate::{billing, ledger};

#[derive(Subcommand, Debug)]
pub enum Ledger {
    /// Undo a credit or debit, once; money that comes back pays the fees that the account owes
    Reverse {
        /// The id of the entry, as in 'report ledger'
        entry: i64,
        /// A reason, for the ledger
        #[arg(long, value_name = "TEXT", value_parser = note)]
        note: Option<String>,
    },
}

/// A credit or a debit.
#[derive(Args, Debug)]
pub struct Entry {
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Dollars, as in 25.00
    amount: Money,
    /// A reason, for the ledger: at most 255 characters
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
    #[command(flatten)]
    once: Once,
}

/// What becomes of an order that is given twice.
#[derive(Args, Debug)]
struct Once {
    /// Do it once for ever: the same key again answers the same again, and moves nothing
    #[arg(long, value_name = "KEY")]
    key: Option<Key>,
    /// Do it also if the same sum with the same note was entered within 24 hours
    #[arg(long, conflicts_with = "key")]
    again: bool,
}

impl Once {
    const fn repeated(&self) -> Repeated<'_> {
        match &self.key {
            Some(key) => Repeated::Answers(key),
            None if self.again => Repeated::Done,
            None => Repeated::Refused,
        }
    }
}

#[derive(Args, Debug)]
pub struct Transfer {
    /// The account that gives
    #[arg(value_name = "FROM")]
    from: String,
    /// The account that gets
    #[arg(value_name = "TO")]
    to: String,
    /// Dollars, as in 25.00
    amount: Money,
    /// A reason, for both entries: at most 255 characters
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
    #[command(flatten)]
    once: Once,
}

impl Ledger {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        match self {
            Self::Reverse { entry, note } => {
                let reversed = billing::reverse(db, clock, entry, note.as_deref()).await?;
                context.is_about(reversed.account.sid);
                show(*output, &reversed)
            }
        }
    }
}

impl Entry {
    pub async fn credit(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        show(*output, &billing::credit(db, clock, self.order(context).await?).await?)
    }

    pub async fn debit(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        show(*output, &ledger::debit(db, clock, self.order(context).await?).await?)
    }

    async fn order(&self, context: &Context) -> Result<Order<'_>, super::Failure> {
        let account = context.account(&self.account).await?;
        let (note, repeated) = (self.note.as_deref(), self.once.repeated());
        Ok(Order { account, to: None, amount: self.amount, note, repeated })
    }
}

impl Transfer {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        let to = context.account(&self.to).await?;
        // The record is about the account that gives; its arguments name the other one.
        let account = context.account(&self.from).await?;
        let (note, repeated) = (self.note.as_deref(), self.once.repeated());
        let order = Order { account, to: Some(to), amount: self.amount, note, repeated };
        show(*output, &billing::transfer(db, clock, order, to).await?)
    }
}
