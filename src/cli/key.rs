//! `key …`

use clap::Subcommand;
use serde_json::json;

use super::confirm::Sure;
use super::options::Most;
use super::report::{optional, print};
use super::show::show;
use super::{Context, Done, Failure};
use crate::accounts::keys::{self, Key, Made, Scope};
use crate::reporting::{Limits, View};
use crate::values::sid::KeySid;
use crate::values::text::FriendlyName;

#[derive(Subcommand, Debug)]
pub enum ApiKey {
    /// Create an API key of an account; prints its Sid and its secret, which is never shown again
    Create {
        /// Whose: a Sid or its beginning, a ref, or a name
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[arg(long, help = format!("1 to {} characters", FriendlyName::LONGEST))]
        name: Option<FriendlyName>,
        /// A main key: it manages accounts and keys too, as the account's own token does
        #[arg(long)]
        main: bool,
    },
    /// List the API keys of accounts that are not closed, the oldest first
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        #[command(flatten)]
        most: Most,
    },
    /// Delete an API key; it stops working
    Delete {
        /// The key
        #[arg(value_name = "SID")]
        sid: KeySid,
        #[command(flatten)]
        sure: Sure,
    },
}

impl ApiKey {
    pub async fn run(self, context: &Context) -> Done {
        let Context { db, clock, output, .. } = context;
        match self {
            Self::Create { account, name, main } => {
                let account = context.account(&account).await?;
                let scope = if main { Scope::Main } else { Scope::Standard };
                let made = keys::create(db, clock, account, name.as_ref(), scope).await?;
                context.counted(&json!({ "key": made.key.sid }));
                reveal(context, &made)
            }
            Self::List { account, most } => {
                let account = optional(account.as_deref().map(|text| context.account(text))).await?;
                print(context, &View::API_KEYS.limited(Limits { account, rows: most.rows, ..Limits::default() })?).await
            }
            Self::Delete { sid, sure } => {
                let key = keys::find_any(db, sid).await?;
                context.is_about(key.account_sid);
                sure.of(&goes(&key), key.name.as_ref().unwrap_or(&sid.to_string())).await?;
                keys::delete(db, key.account_sid, sid).await?;
                show(*output, &key)
            }
        }
    }
}

/// What goes with a key that is deleted.
fn goes(key: &Key) -> String {
    let name = key.name.as_ref().map(|name| format!(" '{name}'")).unwrap_or_default();
    format!("API key {}{name} of {} will stop working for good", key.sid, key.account_sid)
}

/// Shows a secret. This is the only time, so if it cannot be shown, the command fails.
fn reveal(context: &Context, made: &Made) -> Done {
    show(context.output, made).map_err(|error| {
        let sid = made.key.sid;
        Failure::Untold(format!(
            "the secret of API key {sid} could not be shown ({error}): delete it with 'numberbank key delete {sid}', \
            and create another"
        ))
    })
}
