//! Limits how much of a connection is read ahead.
//!
//! actix-http makes a request of every head that it has read, even if the client takes no answers: of 128 KiB of small
//! heads, 4,700 requests, which take 26 MB. So nothing is read while a request is under way or its answer goes out, and
//! one read is too small for many heads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_tls::accept::rustls_0_23::TlsStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Client, Slot};

/// The size of a read, in bytes: up to 18 heads. An ordinary head fits in one.
const MAX_READ: usize = 512;

/// A stream, with or without TLS, and its client.
pub trait Stream {
    fn client(&self) -> &Client;
}

impl Stream for Client {
    fn client(&self) -> &Client {
        self
    }
}

impl Stream for TlsStream<Client> {
    fn client(&self) -> &Client {
        self.get_ref().0
    }
}

pub struct Paced<T> {
    stream: T,
    /// Whether actix-http is to look at the last read before the next one.
    pauses: bool,
}

impl<T: Stream> Paced<T> {
    pub fn new(stream: T) -> Self {
        Self { stream, pauses: false }
    }

    pub fn slot(&self) -> Slot {
        self.stream.client().slot()
    }
}

impl<T: Stream + AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.stream.client().is_busy() {
            // The only thing to notice now is that the client has hung up.
            ready!(self.stream.client().poll_end(context));
        }
        if std::mem::take(&mut self.pauses) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut bytes = [0; MAX_READ];
        let mut some = ReadBuf::new(&mut bytes[..MAX_READ.min(to.remaining())]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut some))?;
        self.pauses = some.remaining() == 0;
        to.put_slice(some.filled());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
