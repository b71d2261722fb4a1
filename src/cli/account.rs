//! `account …`

use clap::{Args, Subcommand};
use serde_json::json;

use super::confirm::Sure;
use super::show::show;
use super::{Context, Done, Failure, lists, secret};
use crate::accounts::{self, AuthToken, Created};
use crate::releases::Closed;
use crate::values::money::Money;
use crate::values::sid::AccountSid;
use crate::values::text::{FriendlyName, LONGEST_NOTE};
use crate::{billing, ledger, releases};

#[derive(Subcommand, Debug)]
pub enum Account {
    /// Create an account; prints its Sid and its new token, which is never shown again
    Create {
        #[arg(long, help = format!("1 to {} characters", FriendlyName::LONGEST))]
        name: FriendlyName,
        /// First balance in dollars
        #[arg(long, default_value = "0.00")]
        balance: Money,
        #[arg(long, help = format!("{}. Good for customers who come with a token that they keep", token_stdin()))]
        token_stdin: bool,
    },
    /// List all accounts
    List,
    /// Show one account
    Show {
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Find accounts by a part of their name or ref, the beginning of their Sid, or a number that they hold or held
    Find(lists::Search),
    /// List the numbers that an account holds
    Numbers(lists::Numbers),
    /// List what changed an account's balance, the newest entry last: with the balance after each, and the month that a fee
    /// pays for
    Ledger(lists::Entries),
    /// Put money on an account; if an unpaid account can now pay its fees, they are charged and it is active again
    Credit(Transfer),
    /// Take money off an account
    Debit(Transfer),
    /// Forbid an account to buy and update
    Suspend {
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Allow an account to buy and update again
    Activate {
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Close an account for ever
    Close {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// Release the numbers that it still holds
        #[arg(long)]
        release_numbers: bool,
        #[command(flatten)]
        sure: Sure,
    },
    /// Make a new token; the old one stops working
    RotateToken {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[arg(long, help = token_stdin())]
        token_stdin: bool,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Args, Debug)]
pub struct Transfer {
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Dollars, as in 25.00
    amount: Money,
    #[arg(long, value_parser = note, help = format!("A reason, for the ledger: at most {LONGEST_NOTE} characters"))]
    note: Option<String>,
}

/// The help of `--token-stdin`.
fn token_stdin() -> String {
    let (least, most) = AuthToken::CHOSEN.into_inner();
    format!(
        "Take the token from standard input instead of making one: a line of {least} to {most} visible ASCII characters"
    )
}

fn note(text: &str) -> Result<String, String> {
    let fits = text.chars().count() <= LONGEST_NOTE && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| format!("at most {LONGEST_NOTE} characters are expected, and no control characters"))
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
            Self::Find(search) => search.run(context).await,
            Self::Numbers(numbers) => numbers.run(context).await,
            Self::Ledger(entries) => entries.run(context).await,
            Self::Credit(Transfer { account, amount, note }) => {
                let sid = context.account(&account).await?;
                show(*output, &billing::credit(db, clock, sid, amount, note.as_deref()).await?)
            }
            Self::Debit(Transfer { account, amount, note }) => {
                let sid = context.account(&account).await?;
                show(*output, &ledger::debit(db, clock, sid, amount, note.as_deref()).await?)
            }
            Self::Suspend { account } => {
                show(*output, &accounts::suspend(db, clock, context.account(&account).await?).await?)
            }
            Self::Activate { account } => {
                show(*output, &accounts::activate(db, clock, context.account(&account).await?).await?)
            }
            Self::Close { account, release_numbers, sure } => {
                let sid = context.account(&account).await?;
                let Named { name, balance, numbers } = named(context, sid).await?;
                let goes =
                    format!("account '{name}' will be closed, with a balance of {balance} and {numbers} numbers");
                sure.of(&goes, &name).await?;
                let Closed { account, released } = releases::close_account(db, clock, sid, release_numbers).await?;
                let (status, balance) = (account.status, account.balance);
                show(*output, &json!({ "sid": sid, "status": status, "balance": balance, "released": released }))
            }
            Self::RotateToken { account, token_stdin, sure } => {
                let sid = context.account(&account).await?;
                let Named { name, .. } = named(context, sid).await?;
                sure.of(&format!("the token of account '{name}' will stop working"), &name).await?;
                reveal(context, &accounts::replace_token(db, clock, sid, token(token_stdin).await?).await?)
            }
        }
    }
}

/// What an operator knows an account by.
struct Named {
    name: String,
    balance: Money,
    numbers: i64,
}

async fn named(Context { db, .. }: &Context, account: AccountSid) -> Result<Named, Failure> {
    let accounts::Account { name, balance, local_numbers, tollfree_numbers, .. } = accounts::find(db, account).await?;
    Ok(Named { name, balance, numbers: local_numbers + tollfree_numbers })
}

async fn token(from_stdin: bool) -> Result<AuthToken, Failure> {
    if from_stdin { secret::token().await } else { Ok(AuthToken::random()) }
}

/// Shows a token that numberbank made. This is the only time, so if it cannot be shown, the command fails.
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
