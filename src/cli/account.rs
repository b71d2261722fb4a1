//! `account …`

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::show::show;
use super::{Context, Done, Failure, secret};
use crate::accounts::{self, AuthToken, Created, Happened};
use crate::billing::{self, Credited};
use crate::db::transact::transact;
use crate::ledger::{self, Direction};
use crate::releases;
use crate::values::money::Money;
use crate::values::sid::AccountSid;
use crate::values::text::FriendlyName;

#[derive(Subcommand, Debug)]
pub enum Account {
    /// Create an account; prints its Sid and the token that is made for it, which is shown this once
    Create {
        /// 1 to 64 characters
        #[arg(long)]
        name: FriendlyName,
        /// First balance in dollars
        #[arg(long, default_value = "0.00")]
        balance: Money,
        /// Take the token from standard input instead of making one: a line of 8 to 64 visible ASCII characters. Good
        /// for customers who come with a token that they keep
        #[arg(long)]
        token_stdin: bool,
    },
    /// List all accounts
    List,
    /// Show one account
    Show { sid: AccountSid },
    /// Put money on an account; where that covers the fees that it owes, they are charged and it is active again
    Credit(Transfer),
    /// Take money off an account
    Debit(Transfer),
    /// Forbid an account to buy and update
    Suspend { sid: AccountSid },
    /// Allow it again
    Activate { sid: AccountSid },
    /// Close an account for good
    Close {
        sid: AccountSid,
        /// Release the numbers that it still holds
        #[arg(long)]
        release_numbers: bool,
    },
    /// Make a new token; the old one stops working
    RotateToken {
        sid: AccountSid,
        /// Take the token from standard input instead of making one: a line of 8 to 64 visible ASCII characters
        #[arg(long)]
        token_stdin: bool,
    },
}

#[derive(Args, Debug)]
pub struct Transfer {
    sid: AccountSid,
    /// Dollars, as in 25.00
    amount: Money,
    /// A word of why, for the ledger: at most 255 characters
    #[arg(long, value_parser = note)]
    note: Option<String>,
}

fn note(text: &str) -> Result<String, &'static str> {
    let fits = text.chars().count() <= 255 && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or("at most 255 characters are expected, and no control characters")
}

impl Account {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        match self {
            Self::Create { name, balance, token_stdin } => {
                let created = accounts::create_with(db, clock, &name, balance, token(token_stdin).await?).await?;
                context.made.get_or_init(|| created.sid);
                reveal(context, &created)
            }
            Self::List => show(*output, &accounts::list(db).await?),
            Self::Show { sid } => {
                let (account, events) = (accounts::find(db, sid).await?, accounts::events(db, sid).await?);
                let owed = billing::owed(db, clock, sid).await?;
                show(*output, &Biography { account, owed, events })
            }
            Self::Credit(transfer) => transfer.credit(context).await,
            Self::Debit(transfer) => transfer.debit(context).await,
            Self::Suspend { sid } => show(*output, &accounts::suspend(db, clock, sid).await?),
            Self::Activate { sid } => show(*output, &accounts::activate(db, clock, sid).await?),
            Self::Close { sid, release_numbers } => close(context, sid, release_numbers).await,
            Self::RotateToken { sid, token_stdin } => {
                reveal(context, &accounts::replace_token(db, clock, sid, token(token_stdin).await?).await?)
            }
        }
    }
}

/// An account, what it owes, and what became of it.
#[derive(Serialize)]
struct Biography {
    #[serde(flatten)]
    account: accounts::Account,
    owed: Money,
    events: Vec<Happened>,
}

impl Transfer {
    async fn credit(&self, Context { db, clock, output, .. }: &Context) -> Done {
        let credited = billing::credit(db, clock, self.sid, self.amount, self.note.as_deref()).await?;
        let Credited { balance, charged, owed, status } = credited;
        show(
            *output,
            &json!({ "sid": self.sid, "balance": balance, "charged": charged, "owed": owed, "status": status }),
        )
    }

    async fn debit(&self, Context { db, clock, output, .. }: &Context) -> Done {
        let (sid, note) = (self.sid, self.note.as_deref());
        let balance = transact(db, async |within| {
            ledger::transfer(within, clock, sid, Direction::Debit, self.amount, note).await
        });
        show(*output, &json!({ "sid": sid, "balance": balance.await? }))
    }
}

async fn token(from_stdin: bool) -> Result<AuthToken, Failure> {
    if from_stdin { secret::token().await } else { Ok(AuthToken::random()) }
}

/// Shows a token that was made, this once. Where it cannot be shown, it is lost: that is no success.
fn reveal(context: &Context, created: &Created) -> Done {
    if created.auth_token.is_chosen() {
        return show(context.output, created);
    }
    show(context.output, created).map_err(|error| {
        let sid = created.sid;
        Failure::Untold(format!(
            "the new token of account {sid} could not be shown ({error}): \
            make another with 'numberbank account rotate-token {sid}'"
        ))
    })
}

/// Releases and closes in one transaction: all of it, or nothing.
async fn close(Context { db, clock, output, .. }: &Context, sid: AccountSid, release_numbers: bool) -> Done {
    let (account, released) = transact(db, async |within| {
        let mut released = 0;
        if release_numbers {
            released += releases::release_all(within, clock, sid).await?;
        }
        let mut closed = accounts::close(within, clock, sid).await;
        if release_numbers && closed.is_err() {
            // Purchases may have come in between; the account is locked by now, so none comes any more.
            // Where one of them is just being released, the two wait for each other: PostgreSQL ends
            // one after a second, which has changed nothing and is done again.
            released += releases::release_all(within, clock, sid).await?;
            closed = accounts::close(within, clock, sid).await;
        }
        Ok((closed?, released))
    })
    .await?;
    show(*output, &json!({ "sid": sid, "status": account.status, "balance": account.balance, "released": released }))
}
