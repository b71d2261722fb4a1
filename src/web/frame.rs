//! The frame around every request: normalizes path and method before it, and gives every error one shape after it.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::FutureExt;

use super::answer_memory::Reservation;
use super::asked::{Asked, Representation};
use super::connections;
use super::deadline::Deadline;
use super::params::{METHOD, Params};
use super::refused::{Fault, Refused};
use super::site::Site;
use super::state::{WorkerState, incomplete};
use crate::db::LONGEST_REQUEST;
use crate::error::{Denied, Error, Unavailable};

/// What the frame knows of an API version.
#[derive(Debug)]
pub struct Face {
    /// The prefix of its paths.
    pub tree: &'static str,
    /// Makes the answer to a request that was refused or failed. The version knows the types of its errors; `Site` is
    /// the server's address, for links.
    pub refusal: fn(&Asked, &Site, &actix_web::Error) -> HttpResponse,
    /// Whether an account may act on the paths of its sub-accounts.
    pub has_sub_accounts: bool,
    /// Whether API keys authenticate.
    pub has_keys: bool,
    /// Whether forms may be `multipart/form-data`.
    pub reads_multipart: bool,
}

/// What the frame passes on with a request.
#[derive(Clone, Debug)]
pub struct Framed {
    pub asked: Asked,
    /// The API version.
    pub face: &'static Face,
    pub query: Params,
    pub deadline: Deadline,
}

impl Framed {
    /// # Errors
    /// If the request did not come through the frame.
    pub fn of(request: &HttpRequest) -> Result<Self, Error> {
        request.extensions().get::<Self>().cloned().ok_or_else(incomplete)
    }
}

/// Around every request: normalizes its path and method, and turns every error into the answer of the version and the
/// representation that were asked for.
///
/// # Errors
/// An answer to a request that was refused before it came to a handler.
pub async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let state = WorkerState::of(request.request()).map_err(Denied::<Refused>::from)?;
    let under_way = connections::under_way(request.request());
    let is_head = request.method() == Method::HEAD;
    let site = Site::of(request.request(), state.clients.trust_proxy);
    let asked = plain_path(request.path(), state.faces);
    let face = face_of(&asked.path, state.faces).or(state.faces.first()).ok_or_else(|| failed(incomplete()))?;
    let answer = {
        let asked = asked.clone();
        move |error: &actix_web::Error| (face.refusal)(&asked, &site, error)
    };
    let refused = |error: &actix_web::Error| InternalError::from_response("refused", answer(error)).into();
    let deadline = match normalize(&mut request, asked, face) {
        Ok(deadline) => deadline,
        Err(error) => return Err(refused(&Denied::from(error).into())),
    };
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
                let answer = answer(error);
                response.into_response(answer).map_into_right_body()
            }
        }),
        Some(Ok(Err(error))) => Err(refused(&error)),
        Some(Err(_)) => Err(refused(&failed(Error::Internal("a handler panicked".to_owned())))),
        None => Err(refused(&failed(Error::Unavailable(Unavailable::Time(LONGEST_REQUEST))))),
    }
}

fn failed(error: Error) -> actix_web::Error {
    Denied::<Refused>::Failed(error).into()
}

fn face_of<'a>(path: &str, faces: &'a [Face]) -> Option<&'a Face> {
    faces.iter().find(|face| path.starts_with(face.tree))
}

/// Normalizes the path and the method of a request, and passes on what they say.
fn normalize(request: &mut ServiceRequest, asked: Asked, face: &'static Face) -> Result<Deadline, Refused> {
    let query = Params::parse(request.query_string().as_bytes())?;
    let method = method(request.method(), &query)?;
    if *asked.path != *request.path() {
        let uri = uri(&asked.path, request.query_string())?;
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
    request.head_mut().method = method;
    let deadline = Deadline::after(LONGEST_REQUEST);
    request.extensions_mut().insert(Framed { asked, face, query, deadline: deadline.clone() });
    Ok(deadline)
}

/// Removes doubled and trailing slashes, and the ending that names the representation.
fn plain_path(path: &str, faces: &[Face]) -> Asked {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let path = format!("/{}", parts.join("/"));
    let ending = Representation::ENDINGS.into_iter().find(|(ending, _)| path.ends_with(ending));
    match ending.filter(|_| face_of(&path, faces).is_some()) {
        Some((ending, representation)) => {
            Asked { representation, path: path[..path.len() - ending.len()].into(), ending }
        }
        None => Asked { representation: Representation::Xml, path: path.into(), ending: "" },
    }
}

/// The method to route by. HEAD is routed as GET; actix-web omits the body. `_method` is for clients that cannot send
/// PUT or DELETE.
fn method(sent: &Method, params: &Params) -> Result<Method, Refused> {
    match (sent, params.get(METHOD)?) {
        (&Method::HEAD, None) => Ok(Method::GET),
        (sent, None) => Ok(sent.clone()),
        (&Method::POST, Some("PUT")) => Ok(Method::PUT),
        (&Method::POST, Some("DELETE")) => Ok(Method::DELETE),
        _ => Err(Refused::MethodOverride),
    }
}

fn uri(path: &str, query: &str) -> Result<Uri, Refused> {
    let text = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    text.parse().map_err(|_| Fault::Path.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FACES: &[Face] = &[Face {
        tree: "/2008-08-01",
        refusal: |_, _, _| HttpResponse::InternalServerError().finish(),
        has_sub_accounts: false,
        has_keys: false,
        reads_multipart: false,
    }];

    /// Paths made of parts of routes, and of other parts.
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
            let asked = plain_path(&path, FACES);
            let whole = format!("{}{}", asked.path, asked.ending);
            prop_assert!(whole.starts_with('/') && whole.len() <= path.len() + 1 && !whole.contains("//"));
            prop_assert!(whole == "/" || !whole.ends_with('/'));
            prop_assert!(whole.split('/').skip(1).eq(path.split('/').filter(|part| !part.is_empty())) || whole == "/");
            let again = plain_path(&whole, FACES);
            prop_assert_eq!((again.path, again.ending), (asked.path, asked.ending));
        }

        #[test]
        fn a_plain_path_of_a_request_is_one_of_a_request(target in hostile(), query in "[!-~]{0,9}") {
            if let Ok(sent) = format!("{target}?{query}").parse::<Uri>() {
                let asked = plain_path(sent.path(), FACES);
                let plain = uri(&asked.path, sent.query().unwrap_or_default()).unwrap();
                prop_assert_eq!(plain.path(), &*asked.path);
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
            let asked = plain_path(path, FACES);
            assert_eq!((&*asked.path, asked.ending), (plain, ending));
        }
    }
}
