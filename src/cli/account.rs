//! `account …`

use clap::{Args, Subcommand};
use serde_json::json;

use super::confirm::Sure;
use super::inventory::bar;
use super::ledger::{Entry, Transfer};
use super::options::{Grace, Most, note};
use super::show::{Listing, show};
use super::{Context, Done, Failure, lists, secret, tell};
use crate::accounts::{self, AuthToken, Created, Leftover, NotAReference, Reference, Said, Status};
use crate::releases::{Closed, Closing};
use crate::values::money::Money;
use crate::values::text::FriendlyName;
use crate::{billing, releases};

#[derive(Subcommand, Debug)]
pub enum Account {
    /// Create an account; prints its Sid and its new token, which is never shown again
    Create {
        #[arg(long, help = name_help())]
        name: FriendlyName,
        /// Your own key of it, such as its number in a CRM; no two accounts have the same
        #[arg(long, value_name = "REF")]
        r#ref: Option<Reference>,
        /// First balance in dollars
        #[arg(long, default_value = "0.00")]
        balance: Money,
        #[arg(long, help = format!("{}. Good for customers who come with a token that they keep", token_stdin()))]
        token_stdin: bool,
    },
    /// List accounts, the oldest first; closed ones only with --all or --status closed
    List {
        /// Those of this status only
        #[arg(long, value_enum, conflicts_with = "all")]
        status: Option<Status>,
        /// Closed ones too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        most: Most,
    },
    /// Show one account: what it owes, which of its numbers go when, which went, and what became of it
    Show {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        grace: Grace,
    },
    /// Change the name or the ref of an account
    Set {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        changes: Changes,
    },
    /// Find accounts by a part of their name or ref, the beginning of their Sid, or a number that they hold or held
    Find(lists::Search),
    /// List the numbers that an account holds
    Numbers(lists::Numbers),
    /// List what changed an account's balance, the newest entry last: with the balance after each, and the month that a fee
    /// pays for
    Ledger(lists::Entries),
    /// Put money on an account; if an unpaid account can now pay its fees, they are charged and it is active again
    Credit(Entry),
    /// Take money off an account
    Debit(Entry),
    /// Move money from one account to another; if the other one can now pay its fees, they are charged
    Transfer(Transfer),
    /// Forbid an account to buy and update
    Suspend(Change),
    /// Allow an account to buy and update again
    Activate(Change),
    /// Close an account for ever
    Close(Close),
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

/// The help of `--name`.
fn name_help() -> String {
    format!("1 to {} characters", FriendlyName::LONGEST)
}

/// The help of `--token-stdin`.
fn token_stdin() -> String {
    let (least, most) = AuthToken::CHOSEN.into_inner();
    format!(
        "Take the token from standard input instead of making one: a line of {least} to {most} visible ASCII characters"
    )
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub struct Changes {
    #[arg(long, help = name_help())]
    name: Option<FriendlyName>,
    /// Your own key of it; an empty one takes it away
    #[arg(long, value_name = "REF", value_parser = new_ref)]
    r#ref: Option<NewRef>,
}

/// A ref, or none.
#[derive(Clone, Debug)]
struct NewRef(Option<Reference>);

fn new_ref(text: &str) -> Result<NewRef, NotAReference> {
    if text.is_empty() { Ok(NewRef(None)) } else { text.parse().map(|reference| NewRef(Some(reference))) }
}

#[derive(Args, Debug)]
pub struct Change {
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// A reason, kept in the account's events
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
}

#[derive(Args, Debug)]
pub struct Close {
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Release the numbers that it still holds
    #[arg(long)]
    release_numbers: bool,
    /// Pay its balance out: a debit takes it off
    #[arg(long, conflicts_with = "keep_balance")]
    refund: bool,
    /// Close it though it has money, which stays there
    #[arg(long)]
    keep_balance: bool,
    /// A reason, kept in the account's events and with the refund
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,
    #[command(flatten)]
    sure: Sure,
}

impl Account {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        match self {
            Self::Create { name, r#ref, balance, token_stdin } => {
                let new = accounts::New { name: &name, reference: r#ref.as_ref(), balance };
                let created = accounts::create_with(db, clock, new, token(token_stdin).await?).await?;
                context.is_about(created.sid);
                if let Some(namesake) = created.namesake {
                    tell(&format!("numberbank: warning: account {namesake} has this name too"));
                }
                reveal(context, &created)
            }
            Self::List { status, all, most: Most { rows: limit } } => {
                let mut listing = Listing::new(*output);
                accounts::list(db, accounts::Filter { status, all, limit }, |account| listing.add(account)).await?;
                listing.end()
            }
            Self::Find(search) => search.run(context).await,
            Self::Numbers(numbers) => numbers.run(context).await,
            Self::Ledger(entries) => entries.run(context).await,
            Self::Show { account, grace } => {
                let sid = context.account(&account).await?;
                show(*output, &billing::standing(db, clock, sid, grace.length(context.world)).await?)
            }
            Self::Set { account, changes } => {
                let reference = changes.r#ref.as_ref().map(|NewRef(reference)| reference.as_ref());
                let edit = accounts::Edit { name: changes.name.as_ref(), reference };
                show(*output, &accounts::edit(db, clock, context.account(&account).await?, edit).await?)
            }
            Self::Credit(entry) => entry.credit(context).await,
            Self::Debit(entry) => entry.debit(context).await,
            Self::Transfer(transfer) => transfer.run(context).await,
            Self::Suspend(Change { account, note }) => {
                let sid = context.account(&account).await?;
                show(*output, &accounts::suspend(db, clock, sid, note.as_deref()).await?)
            }
            Self::Activate(Change { account, note }) => {
                let sid = context.account(&account).await?;
                show(*output, &accounts::activate(db, clock, sid, note.as_deref()).await?)
            }
            Self::Close(close) => close.run(context).await,
            Self::RotateToken { account, token_stdin, sure } => {
                let sid = context.account(&account).await?;
                let name = accounts::find(db, sid).await?.name;
                sure.of(&format!("the token of account '{name}' will stop working for good"), &name).await?;
                reveal(context, &accounts::replace_token(db, clock, sid, token(token_stdin).await?).await?)
            }
        }
    }
}

impl Close {
    async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        let sid = context.account(&self.account).await?;
        let leftover = match (self.refund, self.keep_balance) {
            (true, _) => Some(Leftover::Refunded),
            (_, true) => Some(Leftover::Kept),
            _ => None,
        };
        let closing = Closing {
            releases: self.release_numbers,
            leftover,
            said: Said::by_operator(self.note.as_deref()),
            shown: None,
        };
        let going = releases::before_closing(db, sid, closing).await?;
        self.sure.of(&goes(&going, leftover), &going.name).await?;
        let numbers = going.numbers_held();
        let shown = self.sure.asks().then_some((numbers, going.balance));
        let closing = Closing { shown, ..closing };
        let bar = bar(Some(numbers.unsigned_abs()), "{human_pos} of {human_len} numbers, {per_sec}");
        let told = |released: u64| {
            bar.set_position(released);
            context.stands(format!(
                "the account is suspended, and {released} of its numbers were released; the same command goes on with the \
                rest, or 'numberbank account activate {sid}' lets it keep them"
            ));
            context.counted(&json!({ "released": released }));
        };
        let closed = releases::close_account_in_portions(db, clock, sid, closing, told).await;
        bar.finish_and_clear();
        let Closed { account, refunded, released } = closed?;
        context.counted(&json!({ "released": released, "refunded": refunded }));
        let (status, balance) = (account.status, account.balance);
        let closed =
            json!({ "sid": sid, "status": status, "balance": balance, "released": released, "refunded": refunded });
        show(*output, &closed)
    }
}

/// What goes with an account that is closed.
fn goes(account: &accounts::Account, leftover: Option<Leftover>) -> String {
    let numbers = match account.numbers_held() {
        0 => "no numbers".to_owned(),
        1 => "one number, which is released".to_owned(),
        some => format!("{some} numbers, which are released"),
    };
    let money = match (account.balance, leftover) {
        (Money::ZERO, _) | (_, None) => "no balance".to_owned(),
        (balance, Some(Leftover::Refunded)) => format!("a balance of {balance}, which is refunded"),
        (balance, Some(Leftover::Kept)) => format!("a balance of {balance}, which it keeps"),
    };
    format!("account '{}' will be closed, with {money}, and with {numbers}", account.name)
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
