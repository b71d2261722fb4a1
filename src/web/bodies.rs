//! Bodies of requests. actix-web closes a connection if a body was not read to its end: after a 401, say, to a client
//! that sends credentials only when asked for them. Here the rest of a body is read and discarded before the answer
//! goes out, so that the connection stays open.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::connections::{self, IncomingBody};
use crate::web::deadline::PROMISED;

/// The most bytes that are discarded: 1 MiB. A longer body ends the connection.
const MAX_DISCARDED: u64 = 1024 * 1024;

/// How long to wait for the rest of a body. Most clients have sent all of it by then.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Middleware that discards the rest of a body.
///
/// # Errors
/// Those of `next`.
pub async fn finish(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(body) = Body::of(&mut request) else { return next.call(request).await };
    let _under_way = connections::under_way(request.request());
    let due = Instant::now() + PROMISED;
    let answer = next.call(request).await;
    // If the rest does not come in time, actix-web closes the connection after the answer.
    let _ = timeout_at(due.min(Instant::now() + MAX_WAIT), body.discard()).await;
    answer
}

/// The body of a request. Its handler and [`finish`] both read it.
#[derive(Clone)]
struct Body(Rc<RefCell<BodyState>>);

struct BodyState {
    payload: Payload,
    /// The bytes still to come, if the request says how many.
    left: Option<u64>,
    ended: bool,
    incoming: Option<IncomingBody>,
}

impl Body {
    /// Takes the place of a request's body, if it has one.
    fn of(request: &mut ServiceRequest) -> Option<Self> {
        let payload = match request.take_payload() {
            Payload::None => return None,
            payload => payload,
        };
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
        let chunked = request.chunked().unwrap_or(false);
        let left = if chunked { None } else { Some(length.unwrap_or(0)) };
        let body = Self(Rc::new(RefCell::new(BodyState {
            payload,
            left,
            ended: false,
            incoming: connections::incoming_body(request.request()),
        })));
        request.set_payload(Payload::Stream { payload: Box::pin(body.clone()) });
        Some(body)
    }

    async fn discard(mut self) {
        let announced = self.0.borrow().left.unwrap_or(0);
        let mut discarded = 0;
        while announced.max(discarded) <= MAX_DISCARDED
            && let Some(Ok(chunk)) = self.next().await
        {
            discarded += chunk.len() as u64;
        }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll(context)
    }
}

impl BodyState {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        // With `Upgrade: websocket`, actix-web treats all later bytes of the connection as the body.
        if self.ended || self.left == Some(0) {
            self.incoming = None;
            return Poll::Ready(None);
        }
        let mut polled = Pin::new(&mut self.payload).poll_next(context);
        match &mut polled {
            Poll::Ready(Some(Ok(chunk))) => {
                if let Some(left) = &mut self.left {
                    chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= chunk.len() as u64;
                }
            }
            Poll::Ready(None | Some(Err(_))) => self.ended = true,
            Poll::Pending => {}
        }
        if self.ended || self.left == Some(0) {
            self.incoming = None;
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use actix_http::BoxedPayloadStream;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};
    use futures_util::stream::pending;
    use tokio::time::sleep;

    use super::*;
    use crate::db::LONGEST_REQUEST;

    #[tokio::test]
    async fn a_body_that_does_not_arrive_delays_no_answer_beyond_its_time() {
        let slow = async || {
            sleep(LONGEST_REQUEST).await;
            HttpResponse::ServiceUnavailable().finish()
        };
        let app = init_service(App::new().wrap(from_fn(finish)).default_service(web::to(slow))).await;
        let mut least = Duration::MAX;
        // The quickest of several tries counts, because a machine may be slow at times.
        for _ in 0..3 {
            let payload = Payload::from(Box::pin(pending()) as BoxedPayloadStream);
            let request = TestRequest::post().insert_header((CONTENT_LENGTH, "9")).to_request();
            let begun = Instant::now();
            call_service(&app, request.replace_payload(payload).0).await;
            least = least.min(begun.elapsed());
            if least < PROMISED + MAX_WAIT / 4 {
                break;
            }
        }
        assert!(least < PROMISED + MAX_WAIT / 4, "{least:?}");
    }
}
