//! Gives each request its id, counts its answer, and logs failures.

use std::rc::Rc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use tracing::Instrument;

use super::codes::Code;
use super::routes::Progress;
use super::state::WorkerState;
use super::traffic::{METHODS, Sale, micros};
use crate::values::sid::random_bits;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The log target of the line for each request.
const ACCESS: &str = "numberbank::access";

/// The longest id that a client may send.
const LONGEST_ID: usize = 128;

/// Travels with an answer to this middleware: the cause of a failure, which the client does not see.
pub struct Cause(pub String);

/// Travels with an answer that refuses: its code.
#[derive(Clone, Copy)]
pub struct RefusedBy(pub Code);

/// Travels with the answer to a purchase that was made before.
#[derive(Clone, Copy)]
pub struct Replayed;

/// Middleware around the frame: gives each request an id, counts it, and logs the cause of a failure.
///
/// # Errors
/// An answer that refuses the request.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let seen = RequestLog::of(&request);
    let span = tracing::debug_span!("request", id = seen.id.to_str().unwrap_or_default());
    match next.call(request).instrument(span).await {
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

/// What is logged and counted of a request: not its path, query or body.
struct RequestLog {
    id: HeaderValue,
    progress: Progress,
    method: usize,
    began: Instant,
    state: Option<Rc<WorkerState>>,
}

impl RequestLog {
    fn of(request: &ServiceRequest) -> Self {
        let sent = request.headers().get(REQUEST_ID).filter(|id| is_id(id.as_bytes()));
        let method = request.method().as_str();
        Self {
            id: sent.cloned().unwrap_or_else(new_id),
            progress: Progress::begin(request),
            method: METHODS.iter().position(|name| *name == method).unwrap_or(METHODS.len() - 1),
            began: Instant::now(),
            state: WorkerState::of(request.request()).ok(),
        }
    }

    fn end<B>(self, response: &mut HttpResponse<B>) {
        let (status, took) = (response.status().as_u16(), self.began.elapsed());
        let (sale, cause) = {
            let told = response.extensions();
            let sale = match told.get() {
                Some(RefusedBy(code)) => Sale::Refused(*code),
                None if told.contains::<Replayed>() => Sale::Replayed,
                None => Sale::Made,
            };
            (sale, told.get().map_or_else(String::new, |Cause(cause)| cause.clone()))
        };
        if let Some(state) = &self.state {
            state.traffic.answered(self.progress.route(), self.method, status, took);
            if let Some(kind) = self.progress.buys() {
                state.traffic.sold(kind, sale);
            }
        }
        self.log(status, took, &cause);
        response.headers_mut().insert(REQUEST_ID, self.id);
        // `Content-Type`, not `content-type`: clients of 2012 compare names letter for letter.
        response.head_mut().set_camel_case_headers(true);
    }

    fn log(&self, status: u16, took: Duration, cause: &str) {
        let (request_id, duration_us) = (self.id.to_str().unwrap_or_default(), micros(took));
        let method = METHODS.get(self.method).copied().unwrap_or_default();
        let route = self.state.as_ref().map_or("", |state| state.traffic.route(self.progress.route()));
        match status {
            503 => tracing::warn!(%request_id, %method, %route, status, duration_us, %cause, "answered 503"),
            500.. => tracing::error!(%request_id, %method, %route, status, duration_us, %cause, "answered 500"),
            // Only if asked for: a line for each request would slow all of them down.
            _ => {
                tracing::debug!(target: ACCESS, %request_id, %method, %route, status, duration_us, "answered");
            }
        }
    }
}

fn is_id(id: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A unique id: random bits that this process drew once, and a counter.
fn new_id() -> HeaderValue {
    static PROCESS: LazyLock<String> = LazyLock::new(|| format!("{:016x}", random_bits() >> 64));
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let id = format!("{}-{:x}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).expect("hexadecimal digits are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

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
