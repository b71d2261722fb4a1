//! The HTTP interface: the route table, and who is around it.

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Resource, web};

use crate::accounts::http as accounts;
use crate::kernel::error::Code;
use crate::kernel::represent::{self, TREE};
use crate::numbers::http as numbers;
use crate::purchases::http as purchases;
use crate::releases::http as releases;

mod connections;
mod frame;
mod observe;
mod server;

use frame::{asked, site};
pub use server::{Settings, serve};

macro_rules! routes {
    ($($path:literal { $($method:ident $handler:path),+ })+) => {
        /// Every resource below [`TREE`] with its methods. HEAD comes with GET, OPTIONS with everything.
        pub const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];

        fn tree() -> actix_web::Scope {
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

/// The path of the pages that `MoreInfo` leads to.
const ERROR_PAGE: &str = "/docs/errors/{code}";

/// A resource that says which methods it has to whoever asks, and to whoever uses another.
fn resource(path: &str, methods: &[&str]) -> Resource {
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
                    represent::refusal(asked(&request).representation, &site(&request), &refusal)
                }
            };
            response.headers_mut().insert(ALLOW, allow);
            response
        }
    }))
}
