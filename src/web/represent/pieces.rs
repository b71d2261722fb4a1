//! The text of a long list is written as the client takes it. Its rows are kept, not the text, which can be five times
//! larger.

use std::convert::Infallible;
use std::pin::Pin;
use std::slice;
use std::task::{Context, Poll};
use std::vec;

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::task::yield_now;

/// About how many bytes of a long text are written at a time.
const PIECE: usize = 32 * 1024;

/// How many bytes are handed out at a time. A page of 50 ordinary numbers has 50 kB.
const AT_ONCE: usize = 64 * 1024;

/// A text of up to this many bytes for each row is written at once. An ordinary row takes half of it.
const WHOLE_ROW: usize = 2 * 1024;
const WHOLE: usize = 1024 * 1024;

/// The length is checked after this many rows.
const ROUND: usize = 4;

/// How the rows of a list are written.
pub trait Rows<T> {
    /// Writes some of the rows. `is_first` if no row was written before them.
    fn write(&self, rows: &[T], is_first: bool, to: &mut Vec<u8>);

    /// The text after the last row.
    fn tail(&self) -> &str;
}

/// The length of these rows as text, after other rows. Counting can take long, so it yields to other requests of the
/// thread.
async fn length<T>(write: &impl Rows<T>, rows: &[T]) -> usize {
    let (mut text, mut length) = (Vec::with_capacity(PIECE), 0);
    for some in rows.chunks(ROUND) {
        text.clear();
        write.write(some, false, &mut text);
        length += text.len();
        yield_now().await;
    }
    length
}

/// The rest of a text.
pub struct Pieces<T, R> {
    written: Bytes,
    rows: vec::IntoIter<T>,
    write: R,
    /// Bytes that are not written yet.
    unwritten: usize,
}

impl<T, R: Rows<T>> Pieces<T, R> {
    /// The text that begins with `text` and goes on with these rows.
    pub async fn new(mut text: Vec<u8>, mut rows: Vec<T>, write: R) -> Self {
        let most = (rows.len() * WHOLE_ROW).min(WHOLE);
        let mut count = 0;
        text.reserve(most / 2);
        for some in rows.chunks(ROUND) {
            // The first rows always: those that come later follow others.
            if count > 0 && text.len() > most {
                break;
            }
            write.write(some, count == 0, &mut text);
            count += some.len();
        }
        rows.drain(..count);
        let unwritten = if rows.is_empty() {
            text.extend_from_slice(write.tail().as_bytes());
            0
        } else {
            length(&write, &rows).await + write.tail().len()
        };
        Self { written: text.into(), rows: rows.into_iter(), write, unwritten }
    }

    /// Writes the next rows.
    fn go_on(&mut self) {
        let mut text = Vec::with_capacity(2 * PIECE);
        while text.len() < PIECE
            && let Some(row) = self.rows.next()
        {
            self.write.write(slice::from_ref(&row), false, &mut text);
        }
        if self.rows.len() == 0 {
            text.extend_from_slice(self.write.tail().as_bytes());
        }
        self.unwritten -= text.len();
        self.written = text.into();
    }
}

impl<T: Unpin, R: Rows<T> + Unpin> MessageBody for Pieces<T, R> {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized((self.written.len() + self.unwritten) as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.written.is_empty() && self.unwritten > 0 {
            self.go_on();
        }
        let length = self.written.len().min(AT_ONCE);
        Poll::Ready((length > 0).then(|| Ok(self.written.split_to(length))))
    }
}
