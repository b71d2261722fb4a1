//! The body of an answer on its way to the client.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::{RequestGuard, Slot};
use crate::web::answer_memory::Reservation;

/// A body that holds its memory, and protects its connection from being closed for a new one, until the client has
/// taken it.
pub struct AnswerBody {
    size: BodySize,
    /// `None` in the answer to HEAD: actix-web would write all of it and throw it away.
    body: Option<BoxBody>,
    slot: Option<Slot>,
    _memory: Option<Reservation>,
}

/// Wraps the body of an answer, and shrinks the reservation to its size.
pub fn going_out(
    body: Option<BoxBody>,
    size: BodySize,
    under_way: Option<&RequestGuard>,
    mut memory: Option<Reservation>,
) -> AnswerBody {
    if let (Some(memory), BodySize::Sized(length)) = (&mut memory, size) {
        memory.shrink(usize::try_from(length).unwrap_or(usize::MAX));
    }
    let slot = under_way.map(|under_way| under_way.0.clone());
    slot.iter().for_each(|slot| slot.connection.answers.update(|answers| answers + 1));
    AnswerBody { size, body, slot, _memory: memory }
}

impl MessageBody for AnswerBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| body.as_pin_mut().poll_next(context))
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.connection.answers.update(|answers| answers - 1);
            slot.request_ended();
        }
    }
}
