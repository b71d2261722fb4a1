//! The frame around every request: a plain path and method before it, one shape of error after it.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse};
use futures_util::FutureExt;

use super::observe::Refused;
use crate::api::v2008::represent::{self, TREE};
use crate::db::LONGEST_REQUEST;
use crate::error::{Code, Error, Refusal, Result};
use crate::web::answer_memory::Reservation;
use crate::web::asked::{Asked, Representation};
use crate::web::connections;
use crate::web::deadline::Deadline;
use crate::web::params::{METHOD, Params};
use crate::web::site::Site;

/// Around every request: makes its path and method plain, and whatever goes wrong a RestException
/// in the representation that was asked for.
pub async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let under_way = connections::under_way(request.request());
    let is_head = request.method() == Method::HEAD;
    let site = Site::of(request.request());
    let asked = plain_path(request.path());
    let representation = asked.representation;
    let failed = |error: &Error| refuse(representation, &site, error);
    let params = Params::parse(request.query_string().as_bytes()).map_err(|error| failed(&error))?;
    let method = method(request.method(), &params).map_err(|error| failed(&error))?;
    if asked.path != request.path() {
        let uri = uri(&asked.path, request.query_string()).map_err(|error| failed(&error))?;
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
    request.head_mut().method = method;
    request.extensions_mut().insert(asked);
    request.extensions_mut().insert(params);
    let deadline = Deadline::after(LONGEST_REQUEST);
    request.extensions_mut().insert(deadline.clone());
    match deadline.bound(AssertUnwindSafe(next.call(request)).catch_unwind()).await {
        Some(Ok(Ok(response))) => Ok(match response.response().error() {
            None => {
                let room = response.request().extensions_mut().remove::<Reservation>();
                let going_out = |_: &mut _, body: BoxBody| {
                    let size = body.size();
                    connections::going_out(Some(body).filter(|_| !is_head), size, under_way.as_ref(), room)
                };
                response.map_into_boxed_body().map_body(going_out).map_into_left_body()
            }
            Some(error) => {
                let answer = answer(representation, &site, error);
                response.into_response(answer).map_into_right_body()
            }
        }),
        Some(Ok(Err(error))) => {
            Err(InternalError::from_response("refused", answer(representation, &site, &error)).into())
        }
        Some(Err(_)) => Err(failed(&Error::Internal("a handler panicked".to_owned()))),
        None => Err(failed(&Error::Unavailable(format!("no answer within {LONGEST_REQUEST:?}")))),
    }
}

/// An error that is answered before or after any handler could.
fn refuse(representation: Representation, site: &Site, error: &Error) -> actix_web::Error {
    InternalError::from_response("refused", answer_to(representation, site, error)).into()
}

fn answer(representation: Representation, site: &Site, error: &actix_web::Error) -> HttpResponse {
    match error.as_error::<Error>() {
        Some(error) => answer_to(representation, site, error),
        // The framework refuses only what it cannot route or read.
        None if error.as_response_error().status_code().is_client_error() => {
            answer_to(representation, site, &Code::Unreadable.because("The request cannot be read"))
        }
        None => answer_to(representation, site, &Error::Internal(error.to_string())),
    }
}

fn answer_to(representation: Representation, site: &Site, error: &Error) -> HttpResponse {
    let refusal: Refusal = error.refusal();
    let mut response = represent::refusal(representation, &site.to_string(), &refusal);
    // The cause is for the log, which tells it beside the request's id.
    response.extensions_mut().insert(Refused::of(error));
    response
}

/// Forgives doubled slashes and a trailing one, and takes the representation off the end.
fn plain_path(path: &str) -> Asked {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let path = format!("/{}", parts.join("/"));
    let ending = Representation::ENDINGS.into_iter().find(|(ending, _)| path.ends_with(ending));
    match ending.filter(|_| path.starts_with(TREE)) {
        Some((ending, representation)) => {
            Asked { representation, path: path[..path.len() - ending.len()].to_owned(), ending }
        }
        None => Asked { representation: Representation::Xml, path, ending: "" },
    }
}

/// The method that is meant: HEAD is GET without the body, which the server leaves out by itself,
/// and `_method` lets clients that know no PUT and DELETE say so.
fn method(sent: &Method, params: &Params) -> Result<Method> {
    match (sent, params.get(METHOD)?) {
        (&Method::HEAD, None) => Ok(Method::GET),
        (sent, None) => Ok(sent.clone()),
        (&Method::POST, Some("PUT")) => Ok(Method::PUT),
        (&Method::POST, Some("DELETE")) => Ok(Method::DELETE),
        _ => Err(Code::InvalidParameter.because("_method must be PUT or DELETE, on a POST")),
    }
}

fn uri(path: &str, query: &str) -> Result<Uri> {
    let text = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    text.parse().map_err(|_| Code::Unreadable.because("The path of the request cannot be read"))
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::{App as Actix, web};
    use proptest::prelude::*;

    use super::*;

    /// Paths of what a route is made of, and of what it is not.
    fn hostile() -> impl Strategy<Value = String> {
        let known =
            vec!["/", "//", "/2008-08-01", "/Accounts", ".xml", ".json", ".csv", "/.", "/..", "%2F", "%2e", "%00", "*"];
        let part = prop_oneof![6 => proptest::sample::select(known).prop_map(str::to_owned), 1 => any::<String>()];
        let parts = proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat());
        prop_oneof![20 => parts, 1 => (0..30_000_usize).prop_map(|count| "/a".repeat(count))]
    }

    proptest! {
        #[test]
        fn a_plain_path_has_the_same_parts_and_is_plain(path in hostile()) {
            let asked = plain_path(&path);
            let whole = format!("{}{}", asked.path, asked.ending);
            prop_assert!(whole.starts_with('/') && whole.len() <= path.len() + 1 && !whole.contains("//"));
            prop_assert!(whole == "/" || !whole.ends_with('/'));
            prop_assert!(whole.split('/').skip(1).eq(path.split('/').filter(|part| !part.is_empty())) || whole == "/");
            let again = plain_path(&whole);
            prop_assert_eq!((again.path, again.ending), (asked.path, asked.ending));
        }

        #[test]
        fn a_plain_path_of_a_request_is_one_of_a_request(target in hostile(), query in "[!-~]{0,9}") {
            if let Ok(sent) = format!("{target}?{query}").parse::<Uri>() {
                let asked = plain_path(sent.path());
                let plain = uri(&asked.path, sent.query().unwrap_or_default()).unwrap();
                prop_assert_eq!(plain.path(), asked.path);
                prop_assert_eq!(plain.query().unwrap_or_default(), sent.query().unwrap_or_default());
            }
        }
    }

    #[test]
    fn paths_are_forgiven() {
        for (path, plain, ending) in [
            ("//2008-08-01/Accounts/", "/2008-08-01/Accounts", ""),
            ("/2008-08-01//Accounts.json", "/2008-08-01/Accounts", ".json"),
            ("/2008-08-01/Accounts.csv/", "/2008-08-01/Accounts", ".csv"),
            ("/", "/", ""),
            ("/docs/errors/1.xml", "/docs/errors/1.xml", ""),
        ] {
            let asked = plain_path(path);
            assert_eq!((asked.path.as_str(), asked.ending), (plain, ending));
        }
    }

    async fn panicking() -> HttpResponse {
        panic!("secret")
    }

    #[tokio::test]
    async fn a_panic_is_a_rest_exception() {
        let app = Actix::new().wrap(from_fn(frame)).default_service(web::to(panicking));
        let app = actix_web::test::init_service(app).await;
        let request = actix_web::test::TestRequest::get().uri("/2008-08-01/Accounts.json").to_request();
        let error = actix_web::test::try_call_service(&app, request).await.map(|_| ()).unwrap_err();
        let response = error.error_response();
        assert_eq!(response.status(), 500);
        let body = actix_web::body::to_bytes(response.into_body()).await.ok().unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("\"Code\":\"20500\"") && !body.contains("secret"), "{body}");
    }
}
