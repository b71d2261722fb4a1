//! `price …`

use clap::Subcommand;

use super::options::rows;
use super::show::{Listing, show};
use super::{Context, Done, Failure};
use crate::inventory;
use crate::values::money::Money;
use crate::values::phone::Kind;
use crate::values::sid::AccountSid;

#[derive(Subcommand, Debug)]
pub enum Price {
    /// List the prices of the next sales; a price without an account is for all others
    List {
        /// The prices of this account's next sales: its own, else everybody's
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
    },
    /// Set the price of the next sales; sold numbers keep their price
    Set {
        #[arg(value_enum)]
        kind: Kind,
        /// Dollars a month, as in 1.15
        price: Money,
        /// Only for this account
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
    },
    /// Remove an account's own price: its next sales cost what everybody pays
    Unset {
        #[arg(value_enum)]
        kind: Kind,
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
    },
    /// Show who changed which price when, the latest first; an entry without a price: it was removed
    History {
        /// Only this account's own prices
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// The largest number of changes: the newest ones
        #[arg(long, value_name = "ROWS", default_value_t = 100, value_parser = rows())]
        limit: u32,
    },
}

impl Price {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, operator, .. } = context;
        match self {
            Self::List { account } => {
                let (account, mut listing) = (maybe(context, account.as_deref()).await?, Listing::new(*output));
                inventory::prices(db, account, |price| listing.add(&price)).await?;
                listing.end()
            }
            Self::Set { kind, price, account } => {
                let account = maybe(context, account.as_deref()).await?;
                show(*output, &inventory::set_price(db, clock, &operator.name, kind, account, price).await?)
            }
            Self::Unset { kind, account } => {
                let account = context.account(&account).await?;
                show(*output, &inventory::unset_price(db, clock, &operator.name, kind, account).await?)
            }
            Self::History { account, limit } => {
                let (account, mut listing) = (maybe(context, account.as_deref()).await?, Listing::new(*output));
                inventory::price_changes(db, account, limit, |change| listing.add(&change)).await?;
                listing.end()
            }
        }
    }
}

async fn maybe(context: &Context, account: Option<&str>) -> Result<Option<AccountSid>, Failure> {
    match account {
        None => Ok(None),
        Some(text) => context.account(text).await.map(Some),
    }
}
