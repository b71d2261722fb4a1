//! A stream of requests, handed on a little at a time.
//!
//! actix-http makes a request of every head that it has read, however many there are and whether the client takes
//! their answers or not: of 128 KiB of small heads 4,700 requests, which take 26 MB. So nothing of the next request is
//! read while one is under way or its answer goes out, and only so much at once that few heads fit in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_tls::accept::rustls_0_23::TlsStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Client, Connected};

/// The most that is read at once: up to 18 heads. An ordinary head is smaller, and takes one read.
const AT_ONCE: usize = 512;

/// A stream that leads to a client.
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
    /// Whether what was read last is to be looked at before more is read.
    pauses: bool,
}

impl<T: Stream> Paced<T> {
    pub fn new(stream: T) -> Self {
        Self { stream, pauses: false }
    }

    pub fn connected(&self) -> Connected {
        self.stream.client().connected()
    }
}

impl<T: Stream + AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.stream.client().is_busy() {
            // Only that the client has hung up is told at once.
            ready!(self.stream.client().poll_end(context));
        }
        if std::mem::take(&mut self.pauses) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut bytes = [0; AT_ONCE];
        let mut some = ReadBuf::new(&mut bytes[..AT_ONCE.min(to.remaining())]);
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
