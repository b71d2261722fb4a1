//! Bodies of requests. actix-web closes a connection on which a body was not read to its end, as by an answer of 401
//! to a client that sends credentials only when they are asked for. Here what an answer leaves of a body is read and
//! thrown away before the answer goes out, so that the next request finds the connection open.

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
use tokio::time::timeout;

use super::connections;

/// The most that is thrown away of a body: 1 MiB. Beyond it the connection ends.
const LARGEST_DISCARDED: u64 = 1024 * 1024;

/// How long the rest of a body is waited for. Most clients have sent all of it by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Around a request: reads what its answer leaves of the body, as far as that may go.
pub async fn finish(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(body) = Body::of(&mut request) else { return next.call(request).await };
    let _under_way = connections::under_way(request.request());
    let answer = next.call(request).await;
    // Where the rest does not come in time, actix-web ends the connection after the answer.
    let _ = timeout(PATIENCE, body.discard()).await;
    answer
}

/// The body of a request, which its handler and [`finish`] both read from.
#[derive(Clone)]
struct Body(Rc<RefCell<Reading>>);

struct Reading {
    payload: Payload,
    /// What is still to come, where the request says so.
    left: Option<u64>,
    ended: bool,
}

impl Body {
    /// Stands in for the body of a request, if it has one.
    fn of(request: &mut ServiceRequest) -> Option<Self> {
        let payload = match request.take_payload() {
            Payload::None => return None,
            payload => payload,
        };
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
        let chunked = request.chunked().unwrap_or(false);
        let left = if chunked { None } else { Some(length.unwrap_or(0)) };
        let body = Self(Rc::new(RefCell::new(Reading { payload, left, ended: false })));
        request.set_payload(Payload::Stream { payload: Box::pin(body.clone()) });
        Some(body)
    }

    async fn discard(mut self) {
        let announced = self.0.borrow().left.unwrap_or(0);
        let mut discarded = 0;
        while announced.max(discarded) <= LARGEST_DISCARDED
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

impl Reading {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        // With `Upgrade: websocket` actix-web takes all that ever comes for the body.
        if self.ended || self.left == Some(0) {
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
        polled
    }
}
