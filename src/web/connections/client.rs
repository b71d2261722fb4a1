//! The stream of a connection: notes what its client sends and takes.

use std::io::{self, IoSlice};
use std::net;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Connection, Slots};

/// How many bytes the system takes beyond those on their way to the client. It takes more only when the client
/// acknowledges some, however large the system's buffers grow. What is on its way is limited by the network only, so a
/// fast and far client is not slowed down.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNSENT: u32 = 16 * 1024;

/// A connection, and the thread's limits that it counts against.
#[derive(Clone)]
pub struct Slot {
    pub(super) connection: Rc<Connection>,
    pub(super) slots: Rc<Slots>,
}

impl Slot {
    /// Lets the connection end by a reset.
    pub fn reset_at_end(&self) {
        // Fails if the client has hung up already.
        let _ = SockRef::from(&self.connection.socket).set_linger(Some(Duration::ZERO));
    }

    pub(super) fn request_started(&self) {
        self.connection.requests.update(|requests| requests + 1);
        self.connection.active_at.set(Instant::now());
        self.slots.consumed(&self.connection);
    }

    /// A request has ended, or the client has taken an answer.
    pub(super) fn request_ended(&self) {
        self.connection.touch();
        self.slots.close_extra(&self.connection);
        self.connection.waiting_reader.take().inspect(Waker::wake_by_ref);
    }
}

/// The stream of a connection, below TLS if there is any.
pub struct Client {
    tcp: TcpStream,
    slot: Slot,
    /// The task that wanted to read while the client took nothing.
    reader: Option<Waker>,
}

impl Client {
    pub(super) fn new(tcp: TcpStream, slot: Slot) -> Self {
        Self { tcp, slot, reader: None }
    }

    /// A second handle of a new socket, whose buffer is limited.
    pub(super) fn second_handle(tcp: &TcpStream) -> io::Result<net::TcpStream> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        SockRef::from(tcp).set_tcp_notsent_lowat(MAX_UNSENT)?;
        // Other systems can only limit the whole buffer.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        SockRef::from(tcp).set_send_buffer_size(64 * 1024)?;
        Ok(tcp.as_fd().try_clone_to_owned()?.into())
    }

    pub fn slot(&self) -> Slot {
        self.slot.clone()
    }

    /// Whether not to read: a request with its whole body is under way, or its answer goes out.
    pub(super) fn is_busy(&self) -> bool {
        let connection = &self.slot.connection;
        (connection.requests.get() > 0 || connection.answers.get() > 0) && connection.bodies.get() == 0
    }

    /// Ready once the client has hung up. Else the task is woken when there is something to read.
    pub(super) fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        self.slot.connection.waiting_reader.set(Some(context.waker().clone()));
        match ready!(self.tcp.poll_peek(context, &mut ReadBuf::new(&mut [0]))) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    pub fn peer(&self) -> Option<net::SocketAddr> {
        self.tcp.peer_addr().ok()
    }

    /// Notes whether the client takes what is written.
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Slot { connection, slots } = &self.slot;
        connection.is_blocked.set(written.is_pending());
        if written.is_ready() {
            // actix-web reads before it writes, so it may have skipped a request that came meanwhile: wake it.
            self.reader.take().inspect(Waker::wake_by_ref);
        }
        if let Poll::Ready(Ok(bytes)) = written
            && connection.answers.get() > 0
        {
            connection.credit(bytes, slots.idle_timeout());
        } else if written.is_ready() {
            connection.touch();
        }
        written
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.slot.slots.release(&self.slot.connection);
    }
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Nothing is read from a client that takes no answers.
        if self.slot.connection.is_blocked.get() {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let before = to.filled().len();
        let outcome = Pin::new(&mut self.tcp).poll_read(context, to);
        let (count, Slot { connection, slots }) = (to.filled().len() - before, &self.slot);
        if count > 0 && connection.requests.get() == 0 {
            connection.head_started();
            slots.received(connection, count);
        }
        outcome
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(context, from);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(context, from);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// The TLS acceptor needs this.
impl ActixStream for Client {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.tcp, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.tcp, context)
    }
}
