//! The HTTP server: the route table, the frame around every request, and the way to start it.

use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App as Actix, HttpMessage, HttpRequest, HttpResponse, HttpServer, Resource, web};
use futures_util::FutureExt;
use sqlx::postgres::PgConnectOptions;

use crate::accounts::gate::Gate;
use crate::accounts::http as accounts;
use crate::error_pages;
use crate::kernel::clock::Clock;
use crate::kernel::db;
use crate::kernel::error::{Code, Error, Refusal, Result, not_found};
use crate::kernel::params::Params;
use crate::kernel::represent::{self, Asked, Representation, TREE};
use crate::numbers::http as numbers;
use crate::purchases::http as purchases;
use crate::releases::http as releases;

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
    "/Accounts" { GET accounts::list }
    "/Accounts/{AccountSid}" { GET accounts::show, POST accounts::update, PUT accounts::update }
    "/Accounts/{AccountSid}/Balance" { GET accounts::balance }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers" { GET numbers::list }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/Local" { GET numbers::list_local, POST purchases::buy_local }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree" { GET numbers::list_tollfree, POST purchases::buy_tollfree }
    "/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}" {
        GET numbers::show, POST numbers::update, PUT numbers::update, DELETE releases::release
    }
}

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

/// How the server runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub database: PgConnectOptions,
    /// Threads that serve, each with connections of its own.
    pub workers: usize,
    /// Connections to the database, over all workers.
    pub connections: u32,
    /// Token verifications at once, each with 19 MiB of memory.
    pub verifications: usize,
    pub clock: Clock,
}

/// How long a request may take: the wire promises an answer within five seconds when the
/// database does not.
const LONGEST_REQUEST: Duration = Duration::from_millis(4500);

/// What is in flight at a stop has this many seconds to finish.
const SHUTDOWN_SECONDS: u64 = 30;

/// Serves on a listener. The caller decides when to stop, by the handle of the server.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(listener: TcpListener, settings: Settings) -> std::io::Result<Server> {
    let gate = web::Data::new(Gate::new(settings.verifications));
    let share = u32::try_from(settings.workers).unwrap_or(u32::MAX).max(1);
    let connections = (settings.connections / share).max(1);
    let server = HttpServer::new(move || {
        // A pool for each worker: a connection stays on the thread that serves with it.
        let database = db::serving(&settings.database, connections);
        Actix::new()
            .wrap(from_fn(frame))
            .app_data(database)
            .app_data(settings.clock.clone())
            .app_data(gate.clone())
            .service(tree())
            .service(resource("/docs/errors/{code}", &["GET"]).route(web::get().to(error_pages::show)))
            .default_service(web::to(|| async { Err::<HttpResponse, Error>(not_found()) }))
    });
    Ok(server
        .workers(settings.workers.max(1))
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .listen(listener)?
        .run())
}

/// Around every request: makes its path and method plain, and whatever goes wrong a RestException
/// in the representation that was asked for.
async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let site = site(request.request());
    let asked = plain_path(request.path());
    let representation = asked.representation;
    let failed = |error: &Error| refuse(representation, &site, error);
    let params = Params::parse(request.query_string().as_bytes()).map_err(|error| failed(&error))?;
    let method = method(request.method(), &params).map_err(|error| failed(&error))?;
    let uri = uri(&asked.path, request.query_string()).map_err(|error| failed(&error))?;
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    request.head_mut().method = method;
    request.extensions_mut().insert(asked);
    request.extensions_mut().insert(params);
    match tokio::time::timeout(LONGEST_REQUEST, AssertUnwindSafe(next.call(request)).catch_unwind()).await {
        Ok(Ok(Ok(response))) => Ok(match response.response().error() {
            None => response.map_into_left_body(),
            Some(error) => {
                let answer = answer(representation, &site, error);
                response.into_response(answer).map_into_right_body()
            }
        }),
        Ok(Ok(Err(error))) => {
            Err(InternalError::from_response("refused", answer(representation, &site, &error)).into())
        }
        Ok(Err(_)) => Err(failed(&Error::Internal("a handler panicked".to_owned()))),
        Err(_) => Err(failed(&Error::Unavailable(format!("no answer within {LONGEST_REQUEST:?}")))),
    }
}

/// An error that is answered before or after any handler could.
fn refuse(representation: Representation, site: &str, error: &Error) -> actix_web::Error {
    InternalError::from_response("refused", answer_to(representation, site, error)).into()
}

fn answer(representation: Representation, site: &str, error: &actix_web::Error) -> HttpResponse {
    match error.as_error::<Error>() {
        Some(error) => answer_to(representation, site, error),
        // The framework refuses only what it cannot route or read.
        None if error.as_response_error().status_code().is_client_error() => {
            answer_to(representation, site, &Code::Unreadable.because("The request cannot be read"))
        }
        None => answer_to(representation, site, &Error::Internal(error.to_string())),
    }
}

fn answer_to(representation: Representation, site: &str, error: &Error) -> HttpResponse {
    match error {
        Error::Refused(_) => {}
        Error::Unavailable(cause) => tracing::warn!(%cause, "answered 503"),
        Error::Internal(cause) => tracing::error!(%cause, "answered 500"),
    }
    let refusal: Refusal = error.refusal();
    represent::refusal(representation, site, &refusal)
}

fn asked(request: &HttpRequest) -> Asked {
    request.extensions().get::<Asked>().cloned().unwrap_or_default()
}

/// Where the client reached this server, also through a proxy that says so.
fn site(request: &HttpRequest) -> String {
    let connection = request.connection_info();
    format!("{}://{}", connection.scheme(), connection.host())
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
    match (sent, params.get("_method")?) {
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
    use super::*;

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
