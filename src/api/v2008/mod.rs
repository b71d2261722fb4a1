//! API version 2008-08-01: its routes, representations, paging and the names of its parameters.

use actix_web::{HttpRequest, HttpResponse};

use crate::web::frame::{Face, Framed};
use crate::web::refused::Refused;
use crate::web::routes::routes;

mod accounts;
mod numbers;
mod page;
mod purchases;
mod refusals;
mod releases;
mod represent;
mod settings;

use refusals::{Refusal, Unfit};
pub use represent::TREE;

/// This version, as the frame knows it.
pub const FACE: Face =
    Face { tree: TREE, refusal: represent::refusal, has_sub_accounts: false, has_keys: false, reads_multipart: false };

routes! {
    TREE, nothing;
    "/Accounts/{AccountSid}/IncomingPhoneNumbers" { GET numbers::list }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/Local" { GET numbers::list_local, POST purchases::buy_local }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree" { GET numbers::list_tollfree, POST purchases::buy_tollfree }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}" {
        GET numbers::show, POST numbers::update, PUT numbers::update, DELETE releases::release
    }
    "/Accounts" { GET accounts::list }
    "/Accounts/{AccountSid}" { GET accounts::show, POST accounts::update, PUT accounts::update }
    "/Accounts/{AccountSid}/Balance" { GET accounts::balance }
}

/// The routes whose POST buys a number.
pub const BUYING: &[&str] =
    &["/Accounts/{AccountSid}/IncomingPhoneNumbers/Local", "/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree"];

/// Resources that Twilio has below an account and this registry does not have.
const NOT_KEPT: [&str; 8] =
    ["Calls", "SMS", "Recordings", "Notifications", "OutgoingCallerIds", "Sandbox", "Conferences", "Transcriptions"];

/// The answer to every path that is not in the route table: always 20404.
async fn nothing(request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let Framed { asked, .. } = Framed::of(&request)?;
    let accounts = asked.path.strip_prefix(TREE).and_then(|below| below.strip_prefix("/Accounts/"));
    let name = accounts.and_then(|account| account.split('/').nth(1)).unwrap_or_default();
    Err(match NOT_KEPT.contains(&name) {
        true => Unfit::NotKept(name.to_owned()).into(),
        false => Refused::NotFound.into(),
    })
}
