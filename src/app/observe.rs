//! What is seen of every request from outside: its id, what came of it, and how long that took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};

use crate::api::v2008::ROUTES;
use crate::api::v2008::represent::TREE;
use crate::error::{self, Code};
use crate::monitoring::traffic::{METHODS, Sale, Traffic, micros};
use crate::values::phone::Kind;
use crate::values::sid::random_bits;
use crate::web::asked::Representation;
use crate::web::pages::ERROR_PAGE;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header of a purchase that was answered again by its key.
const REPLAYED: &str = "idempotent-replayed";

/// What a line for each request goes by in `RUST_LOG`.
const ACCESS: &str = "numberbank::access";

/// The longest id that is taken from a client.
const LONGEST_ID: usize = 128;

/// Kept with an answer that refuses: what the client is told in words, and what it is not told.
pub struct Refused {
    code: Code,
    cause: Option<String>,
}

impl Refused {
    pub fn of(error: &error::Error) -> Self {
        Self { code: error.refusal().code, cause: error.cause().map(str::to_owned) }
    }
}

/// Around the frame of every request: gives it an id, counts it, and logs what went wrong inside.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let seen = Seen::of(&request);
    match next.call(request).await {
        Ok(mut response) => {
            seen.end(response.response_mut());
            Ok(response)
        }
        Err(error) => {
            let mut response = error.error_response();
            seen.end(&mut response);
            Err(InternalError::from_response("refused", response).into())
        }
    }
}

/// A request, as far as it is told of afterwards: neither its path, nor what it brings along.
struct Seen {
    id: HeaderValue,
    route: usize,
    method: usize,
    began: Instant,
    traffic: Option<Arc<Traffic>>,
}

impl Seen {
    fn of(request: &ServiceRequest) -> Self {
        let sent = request.headers().get(REQUEST_ID).filter(|id| is_id(id.as_bytes()));
        let method = request.method().as_str();
        Self {
            id: sent.cloned().unwrap_or_else(new_id),
            route: place(request.match_info().as_str()),
            method: METHODS.iter().position(|name| *name == method).unwrap_or(METHODS.len() - 1),
            began: Instant::now(),
            traffic: request.app_data::<Arc<Traffic>>().cloned(),
        }
    }

    fn end<B>(self, response: &mut HttpResponse<B>) {
        let (status, took) = (response.status().as_u16(), self.began.elapsed());
        if let Some(traffic) = &self.traffic {
            traffic.answered(self.route, self.method, status, took);
            if let Some((kind, sale)) = self.sale(response) {
                traffic.sold(kind, sale);
            }
        }
        let cause = response.extensions().get::<Refused>().and_then(|refused| refused.cause.clone());
        self.log(status, took, &cause.unwrap_or_default());
        response.headers_mut().insert(REQUEST_ID, self.id);
        // `Content-Type`, not `content-type`: clients of 2012 look names up letter for letter.
        response.head_mut().set_camel_case_headers(true);
    }

    /// What became of a purchase, if it was one.
    fn sale<B>(&self, response: &HttpResponse<B>) -> Option<(Kind, Sale)> {
        let kind = PATTERNS.get(self.route)?.sells.filter(|_| METHODS.get(self.method) == Some(&"POST"))?;
        let refused = response.extensions().get::<Refused>().map(|refused| Sale::Refused(refused.code));
        let sold = || match response.headers().contains_key(REPLAYED) {
            true => Sale::Replayed,
            false => Sale::Made,
        };
        // A method that was not meant, as by `_method`, buys nothing and is no refusal of a purchase.
        refused.or_else(|| (response.status() == 201).then(sold)).map(|sale| (kind, sale))
    }

    fn log(&self, status: u16, took: Duration, cause: &str) {
        let (request_id, duration_us) = (self.id.to_str().unwrap_or_default(), micros(took));
        let (method, route) = (METHODS.get(self.method), PATTERNS.get(self.route));
        let (method, route) = (method.copied().unwrap_or_default(), route.map_or("", |pattern| &pattern.name));
        match status {
            503 => tracing::warn!(%request_id, %method, %route, status, duration_us, %cause, "answered 503"),
            500.. => tracing::error!(%request_id, %method, %route, status, duration_us, %cause, "answered 500"),
            // On demand only: writing a line for each request would slow all of them down.
            _ => {
                tracing::debug!(target: ACCESS, %request_id, %method, %route, status, duration_us, "answered");
            }
        }
    }
}

fn is_id(id: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Unlike any other: of random bits that this process drew once, and a count.
fn new_id() -> HeaderValue {
    static PROCESS: LazyLock<String> = LazyLock::new(|| format!("{:016x}", random_bits() >> 64));
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let id = format!("{}-{:x}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).expect("hexadecimal digits are a header value")
}

/// A route as requests are counted by it.
struct Pattern {
    name: String,
    segments: Vec<&'static str>,
    /// What a POST buys here.
    sells: Option<Kind>,
}

/// Longer paths belong to no route.
const MOST_SEGMENTS: usize = 6;

/// All routes; the last stands for every other path, so that no client can make up names.
static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let tree = ROUTES.iter().map(|(path, _)| (TREE, *path));
    let mut patterns: Vec<_> = tree.chain([("", ERROR_PAGE)]).map(|(tree, path)| pattern(tree, path)).collect();
    patterns.push(Pattern { name: "other".to_owned(), segments: Vec::new(), sells: None });
    patterns
});

fn pattern(tree: &'static str, path: &'static str) -> Pattern {
    let segments: Vec<_> = tree.split('/').chain(path.split('/')).filter(|segment| !segment.is_empty()).collect();
    let sells = match segments.last() {
        Some(&"Local") => Some(Kind::Local),
        Some(&"TollFree") => Some(Kind::TollFree),
        _ => None,
    };
    Pattern { name: format!("{tree}{path}"), segments, sells }
}

/// The names of all routes, in the order of their places.
pub fn names() -> Vec<String> {
    PATTERNS.iter().map(|pattern| pattern.name.clone()).collect()
}

/// The place of the route that a path leads to. The path is as it was sent: the router is asked only later,
/// and not by requests that go wrong before.
fn place(path: &str) -> usize {
    let other = PATTERNS.len() - 1;
    let (mut segments, mut count) = ([""; MOST_SEGMENTS], 0);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let Some(free) = segments.get_mut(count) else { return other };
        *free = segment;
        count += 1;
    }
    let segments = &mut segments[..count];
    let Some(last) = segments.last_mut() else { return other };
    if let Some(plain) = Representation::ENDINGS.iter().find_map(|(ending, _)| last.strip_suffix(ending)) {
        *last = plain;
    }
    let fits = |pattern: &Pattern| {
        let same = |(of_route, sent): (&&str, &&str)| of_route.starts_with('{') || of_route == sent;
        pattern.segments.len() == count && pattern.segments.iter().zip(&*segments).all(same)
    };
    PATTERNS.iter().position(fits).unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_place_of_its_route() {
        let name = |path: &str| names().swap_remove(place(path));
        let account = "/2008-08-01/Accounts/{AccountSid}";
        for (path, route) in [
            ("/2008-08-01/Accounts", "/2008-08-01/Accounts".to_owned()),
            ("//2008-08-01/Accounts/AC1.json", account.to_owned()),
            ("/2008-08-01/Accounts/AC1/Balance/", format!("{account}/Balance")),
            ("/2008-08-01/Accounts/AC1/IncomingPhoneNumbers.csv", format!("{account}/IncomingPhoneNumbers")),
            ("/2008-08-01/Accounts/AC1/IncomingPhoneNumbers/Local", format!("{account}/IncomingPhoneNumbers/Local")),
            ("/2008-08-01/Accounts/AC1/IncomingPhoneNumbers/PN1", format!("{account}/IncomingPhoneNumbers/{{Sid}}")),
            ("/docs/errors/20003", "/docs/errors/{code}".to_owned()),
            ("/", "other".to_owned()),
            ("", "other".to_owned()),
            ("/2008-08-01/Accounts/AC1/Calls", "other".to_owned()),
            ("/1/2/3/4/5/6/7/8/9", "other".to_owned()),
        ] {
            assert_eq!(name(path), route, "{path}");
        }
        for (at, route) in names().iter().enumerate() {
            assert_eq!(place(route), at, "{route}");
        }
    }

    #[test]
    fn ids_are_short_and_visible() {
        for id in ["a", "req-1:2/3", &"x".repeat(128)] {
            assert!(is_id(id.as_bytes()), "{id}");
        }
        for id in ["", "a b", "a\t", "é", &"x".repeat(129)] {
            assert!(!is_id(id.as_bytes()), "{id}");
        }
        assert!(new_id() != new_id() && is_id(new_id().as_bytes()));
    }
}
