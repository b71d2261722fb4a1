//! The stream of a connection, which tells what its client sends and takes.

use std::io::{self, IoSlice};
use std::net;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Connection, Places};

/// So many bytes the system takes beside what is on its way to the client: so that more is taken only where the client
/// has acknowledged some of it, however large the system's own buffers grow. What is on its way has no bound but that
/// of the network, so a far and fast client is not slowed down.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MOST_UNSENT: u32 = 16 * 1024;

/// A connection and its place.
#[derive(Clone)]
pub struct Connected {
    pub(super) connection: Rc<Connection>,
    pub(super) places: Rc<Places>,
}

impl Connected {
    pub(super) fn begins_request(&self) {
        self.connection.requests.update(|requests| requests + 1);
        self.connection.rests_since.set(Instant::now());
        self.places.was_read(&self.connection);
    }

    /// A request has ended, or the client has taken an answer.
    pub(super) fn rests(&self) {
        self.connection.rests_from_now_on();
        self.places.is_free_again(&self.connection);
        self.connection.next_reader.take().inspect(Waker::wake_by_ref);
    }
}

/// The stream of a connection, below TLS where there is any.
pub struct Client {
    tcp: TcpStream,
    connected: Connected,
    /// Of the task that wanted to read while the client took nothing.
    reader: Option<Waker>,
}

impl Client {
    pub(super) fn new(tcp: TcpStream, connected: Connected) -> Self {
        Self { tcp, connected, reader: None }
    }

    /// A second handle of a new socket, made ready to serve a client with.
    pub(super) fn second_handle(tcp: &TcpStream) -> io::Result<net::TcpStream> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        SockRef::from(tcp).set_tcp_notsent_lowat(MOST_UNSENT)?;
        // Elsewhere the whole buffer has a bound.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        SockRef::from(tcp).set_send_buffer_size(64 * 1024)?;
        Ok(tcp.as_fd().try_clone_to_owned()?.into())
    }

    pub fn connected(&self) -> Connected {
        self.connected.clone()
    }

    /// Whether nothing is to be read: a request is under way that has all of its body, or its answer goes out.
    pub(super) fn is_busy(&self) -> bool {
        let connection = &self.connected.connection;
        (connection.requests.get() > 0 || connection.answers.get() > 0) && connection.bodies.get() == 0
    }

    /// Becomes ready where the client has hung up. Else the task is woken when there is something to read again.
    pub(super) fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        self.connected.connection.next_reader.set(Some(context.waker().clone()));
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
        let Connected { connection, places } = &self.connected;
        connection.is_blocked.set(written.is_pending());
        if written.is_ready() {
            // actix reads first and writes then: it has passed over the request that came meanwhile.
            self.reader.take().inspect(Waker::wake_by_ref);
        }
        if let Poll::Ready(Ok(bytes)) = written
            && connection.answers.get() > 0
        {
            connection.took(bytes, places.longest_rest());
        } else if written.is_ready() {
            connection.rests_from_now_on();
        }
        written
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connected.places.leave(&self.connected.connection);
    }
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Who does not take answers is not asked for more requests.
        if self.connected.connection.is_blocked.get() {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let before = to.filled().len();
        let outcome = Pin::new(&mut self.tcp).poll_read(context, to);
        let (came, Connected { connection, places }) = (to.filled().len() - before, &self.connected);
        if came > 0 && connection.requests.get() == 0 {
            connection.head_comes();
            places.came(connection, came);
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

/// What the acceptor of TLS wants of a stream.
impl ActixStream for Client {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.tcp, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.tcp, context)
    }
}
