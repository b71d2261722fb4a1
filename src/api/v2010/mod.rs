//! API version 2010-04-01: its routes, representations, paging and the names of its parameters.

use actix_web::HttpResponse;

use crate::web::frame::Face;
use crate::web::refused::Refused;
use crate::web::routes::routes;

mod accounts;
mod available;
mod keys;
mod numbers;
mod page;
mod purchases;
mod refusals;
mod represent;
mod settings;

use refusals::Refusal;
pub use represent::TREE;

/// This version, as the frame knows it.
pub const FACE: Face =
    Face { tree: TREE, refusal: represent::refusal, has_sub_accounts: true, has_keys: true, reads_multipart: true };

routes! {
    TREE, nothing;
    "/Accounts/{AccountSid}/IncomingPhoneNumbers" { GET numbers::list, POST purchases::buy_any }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/Local" { GET numbers::list_local, POST purchases::buy_local }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree" { GET numbers::list_tollfree, POST purchases::buy_tollfree }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/Mobile" { GET numbers::list_mobile, POST purchases::buy_mobile }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}" {
        GET numbers::show, POST numbers::update, PUT numbers::update, DELETE numbers::release
    }
    "/Accounts/{AccountSid}/AvailablePhoneNumbers" { GET available::countries }
    "/Accounts/{AccountSid}/AvailablePhoneNumbers/US" { GET available::country }
    "/Accounts/{AccountSid}/AvailablePhoneNumbers/US/Local" { GET available::local }
    "/Accounts/{AccountSid}/AvailablePhoneNumbers/US/TollFree" { GET available::tollfree }
    "/Accounts" { GET accounts::list, POST accounts::create }
    "/Accounts/{AccountSid}" { GET accounts::show, POST accounts::update, PUT accounts::update }
    "/Accounts/{AccountSid}/Balance" { GET accounts::balance }
    "/Accounts/{AccountSid}/Keys" { GET keys::list, POST keys::create }
    "/Accounts/{AccountSid}/Keys/{Sid}" {
        GET keys::show, POST keys::update, PUT keys::update, DELETE keys::delete
    }
}

/// The routes whose POST buys a number.
pub const BUYING: &[&str] = &[
    "/Accounts/{AccountSid}/IncomingPhoneNumbers",
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/Local",
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree",
];

/// The answer to every path that is not in the route table: always 20404.
async fn nothing() -> Result<HttpResponse, Refusal> {
    Err(Refused::NotFound.into())
}
