//! API version 2008-08-01: its routes, representations, paging and the names of its parameters.

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Resource, web};

use crate::error::{Code, Result, not_found};
use crate::web::asked::{Asked, asked};
use crate::web::site::Site;

mod accounts;
mod numbers;
mod page;
mod purchases;
mod releases;
pub mod represent;
mod settings;

use represent::TREE;

macro_rules! routes {
    ($($path:literal { $($method:ident $handler:path),+ })+) => {
        /// Every resource below [`TREE`] with its methods. HEAD comes with GET, OPTIONS with everything.
        pub const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];

        pub fn tree() -> actix_web::Scope {
            web::scope(TREE)$(.service(
                resource($path, &[$(stringify!($method)),+])$(.route(web::method(Method::$method).to($handler)))+
            ))+
        }
    };
}

routes! {
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

/// What Twilio's tree has below an account and a registry of numbers has not.
const NOT_KEPT: [&str; 8] =
    ["Calls", "SMS", "Recordings", "Notifications", "OutgoingCallerIds", "Sandbox", "Conferences", "Transcriptions"];

/// The answer to every path that is not in the route table.
///
/// # Errors
/// 20404, always.
pub async fn nothing(request: HttpRequest) -> Result<HttpResponse> {
    let Asked { path, .. } = asked(&request);
    let accounts = path.strip_prefix(TREE).and_then(|below| below.strip_prefix("/Accounts/"));
    let name = accounts.and_then(|account| account.split('/').nth(1)).unwrap_or_default();
    Err(match NOT_KEPT.contains(&name) {
        true => Code::NotFound.because(format!("numberbank keeps numbers; it has no {name}")),
        false => not_found(),
    })
}

/// A resource. It lists its methods in `Allow`, in the answer to OPTIONS and in the 405 to any other method.
///
/// # Panics
/// For a method whose name is not ASCII.
pub fn resource(path: &str, methods: &[&str]) -> Resource {
    let head = if methods.contains(&"GET") { ", HEAD" } else { "" };
    let allow =
        HeaderValue::try_from(format!("{}{head}, OPTIONS", methods.join(", "))).expect("method names are ASCII");
    web::resource(path).default_service(web::to(move |request: HttpRequest| {
        let allow = allow.clone();
        async move {
            let mut response = match *request.method() {
                Method::OPTIONS => HttpResponse::NoContent().finish(),
                _ => {
                    let methods = allow.to_str().unwrap_or_default();
                    let refusal =
                        Code::MethodNotAllowed.because(format!("This resource takes {methods} only")).refusal();
                    represent::refusal(asked(&request).representation, &Site::of(&request).to_string(), &refusal)
                }
            };
            response.headers_mut().insert(ALLOW, allow);
            response
        }
    }))
}
