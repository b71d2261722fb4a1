//! `price …`

use clap::Subcommand;
use serde_json::json;

use super::show::show;
use super::{Context, Done};
use crate::inventory;
use crate::values::money::Money;
use crate::values::phone::Kind;
use crate::values::sid::AccountSid;

#[derive(Subcommand, Debug)]
pub enum Price {
    /// List the prices of the next sales; a price without an account is for all others
    List,
    /// Set the price of the next sales; sold numbers keep their price
    Set {
        #[arg(value_enum)]
        kind: Kind,
        /// Dollars a month, as in 1.15
        price: Money,
        /// Only for this account
        #[arg(long, value_name = "SID")]
        account: Option<AccountSid>,
    },
}

impl Price {
    pub async fn run(self, Context { db, output, .. }: &Context) -> Done {
        match self {
            Self::List => show(*output, &inventory::prices(db).await?),
            Self::Set { kind, price, account } => {
                inventory::set_price(db, kind, account, price).await?;
                show(*output, &json!({ "kind": kind, "account_sid": account, "price": price }))
            }
        }
    }
}
