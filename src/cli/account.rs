//! `account …`

use clap::Subcommand;
use serde_json::json;

use super::ledger::{Entry, Transfer};
use super::show::show;
use super::{Context, Done, Failure, secret};
use crate::accounts::{self, AuthToken, Created};
use crate::releases::Closed;
use crate::values::money::Money;
use crate::values::text::FriendlyName;
use crate::{billing, releases};

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
    Show {
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Put money on an account; where that covers the fees that it owes, they are charged and it is active again
    Credit(Entry),
    /// Take money off an account
    Debit(Entry),
    /// Move money from one account to another; where it covers the fees that the other owes, they are charged
    Transfer(Transfer),
    /// Forbid an account to buy and update
    Suspend {
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Allow it again
    Activate {
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Close an account for good
    Close {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// Release the numbers that it still holds
        #[arg(long)]
        release_numbers: bool,
    },
    /// Make a new token; the old one stops working
    RotateToken {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// Take the token from standard input instead of making one: a line of 8 to 64 visible ASCII characters
        #[arg(long)]
        token_stdin: bool,
    },
}

impl Account {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        match self {
            Self::Create { name, balance, token_stdin } => {
                let created = accounts::create_with(db, clock, &name, balance, token(token_stdin).await?).await?;
                context.is_about(created.sid);
                reveal(context, &created)
            }
            Self::List => show(*output, &accounts::list(db).await?),
            Self::Show { account } => {
                show(*output, &billing::standing(db, clock, context.account(&account).await?).await?)
            }
            Self::Credit(entry) => entry.credit(context).await,
            Self::Debit(entry) => entry.debit(context).await,
            Self::Transfer(transfer) => transfer.run(context).await,
            Self::Suspend { account } => {
                show(*output, &accounts::suspend(db, clock, context.account(&account).await?).await?)
            }
            Self::Activate { account } => {
                show(*output, &accounts::activate(db, clock, context.account(&account).await?).await?)
            }
            Self::Close { account, release_numbers } => {
                let sid = context.account(&account).await?;
                let Closed { account, released } = releases::close_account(db, clock, sid, release_numbers).await?;
                let (status, balance) = (account.status, account.balance);
                show(*output, &json!({ "sid": sid, "status": status, "balance": balance, "released": released }))
            }
            Self::RotateToken { account, token_stdin } => {
                let sid = context.account(&account).await?;
                reveal(context, &accounts::replace_token(db, clock, sid, token(token_stdin).await?).await?)
            }
        }
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
