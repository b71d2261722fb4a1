//! The body of an answer that goes out.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::{Connected, UnderWay};
use crate::web::room::Room;

/// A body that keeps its room in memory, and its connection from making way for others, until the client has taken it.
pub struct GoingOut {
    size: BodySize,
    /// None in the answer to HEAD: actix would have all of it written, to throw it away.
    body: Option<BoxBody>,
    connected: Option<Connected>,
    _room: Option<Room>,
}

/// A body on its way to the client. Its room becomes as large as it is.
pub fn going_out(
    body: Option<BoxBody>,
    size: BodySize,
    under_way: Option<&UnderWay>,
    mut room: Option<Room>,
) -> GoingOut {
    if let (Some(room), BodySize::Sized(length)) = (&mut room, size) {
        room.shrink(usize::try_from(length).unwrap_or(usize::MAX));
    }
    let connected = under_way.map(|under_way| under_way.0.clone());
    connected.iter().for_each(|connected| connected.connection.answers.update(|answers| answers + 1));
    GoingOut { size, body, connected, _room: room }
}

impl MessageBody for GoingOut {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| body.as_pin_mut().poll_next(context))
    }
}

impl Drop for GoingOut {
    fn drop(&mut self) {
        if let Some(connected) = &self.connected {
            connected.connection.answers.update(|answers| answers - 1);
            connected.rests();
        }
    }
}
