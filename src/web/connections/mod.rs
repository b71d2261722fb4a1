//! Connections of clients. actix-web limits only the time of the first head of a connection. It waits for ever for the
//! rest of a later head, and for a client that reads nothing. Here each connection has an idle timeout: it is closed if
//! it neither takes more of its answer nor gets on to its next request.

use std::cell::{Cell, OnceCell};
use std::net::{self, IpAddr, Shutdown};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::rt;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

mod body;
mod client;
mod paced;
mod slots;

pub use body::going_out;
pub use client::{Client, Slot};
pub use paced::{Paced, Stream};
pub use slots::{MaxConnections, Slots};

/// A client that takes this many bytes of an answer within the idle timeout is not cut off.
const MIN_PROGRESS: usize = 64 * 1024;

/// How long the head of a request may take before its connection is the first to be closed for a new one.
const HEAD_GRACE: Duration = Duration::from_secs(1);

/// The most credit, in idle timeouts: see [`Connection::credit`].
const MAX_CREDIT: u32 = 3;

/// A connection, while it is open.
pub struct Connection {
    /// A second handle of its socket, to close it by.
    socket: net::TcpStream,
    /// The client's network.
    address: IpAddr,
    requests: Cell<u32>,
    answers: Cell<u32>,
    /// Requests whose body has not arrived yet.
    bodies: Cell<u32>,
    /// The task that will read the next request after this one.
    waiting_reader: Cell<Option<Waker>>,
    /// Whether the last write is still waiting for the client.
    is_blocked: Cell<bool>,
    /// When the wait for a head began: when the connection was opened, or the head's first bytes came. `None` between
    /// two requests.
    head_since: Cell<Option<Instant>>,
    /// Bytes received that belong to no request yet.
    unread: Cell<usize>,
    /// The last activity: it was opened, a request ended, or the client took some of an answer. In the future if it
    /// took much.
    active_at: Cell<Instant>,
    idle_timer: OnceCell<JoinHandle<()>>,
}

impl Connection {
    fn new(socket: net::TcpStream, address: IpAddr) -> Self {
        Self {
            socket,
            address,
            requests: Cell::new(0),
            answers: Cell::new(0),
            bodies: Cell::new(0),
            waiting_reader: Cell::default(),
            is_blocked: Cell::new(false),
            head_since: Cell::new(Some(Instant::now())),
            unread: Cell::new(0),
            active_at: Cell::new(Instant::now()),
            idle_timer: OnceCell::new(),
        }
    }

    /// Whether it waits for the start or the end of a request's head.
    fn is_idle(&self) -> bool {
        self.requests.get() == 0 && self.answers.get() == 0 && !self.is_blocked.get()
    }

    /// Whether the head of a request takes longer than [`HEAD_GRACE`].
    fn is_overdue(&self, now: Instant) -> bool {
        self.head_since.get().is_some_and(|since| now.duration_since(since) > HEAD_GRACE)
    }

    fn head_started(&self) {
        self.head_since.update(|since| since.or_else(|| Some(Instant::now())));
    }

    fn touch(&self) {
        self.active_at.update(|at| at.max(Instant::now()));
    }

    /// The client's system took some bytes of an answer. A system may take much at once, and then nothing until the
    /// client has read half of it. So each byte counts as time ahead, up to [`MAX_CREDIT`], as perhaps nobody reads.
    fn credit(&self, bytes: usize, timeout: Duration) {
        let now = Instant::now();
        let credit = timeout.mul_f64(bytes as f64 / MIN_PROGRESS as f64);
        self.active_at.update(|at| (at + credit).clamp(now, now + timeout * MAX_CREDIT));
    }

    fn close(&self) {
        // Fails if the client has hung up already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Closes the connection once it was idle for `timeout`: it had no request under way, and its client took nothing
    /// of an answer.
    fn start_idle_timer(self: &Rc<Self>, timeout: Duration) {
        self.idle_timer.get_or_init(|| rt::spawn(close_when_idle(Rc::downgrade(self), timeout)));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.idle_timer.get().inspect(|timer| timer.abort());
    }
}

async fn close_when_idle(connection: Weak<Connection>, timeout: Duration) {
    let mut wake_at = Instant::now() + timeout;
    loop {
        sleep_until(wake_at).await;
        let (Some(connection), now) = (connection.upgrade(), Instant::now()) else { return };
        let end = connection.active_at.get() + timeout;
        if connection.requests.get() == 0 && end <= now {
            return connection.close();
        }
        wake_at = if end > now { end } else { now + timeout };
    }
}

/// A request under way.
pub struct RequestGuard(Slot);

/// Marks the connection as busy until the result is dropped.
pub fn under_way(request: &HttpRequest) -> Option<RequestGuard> {
    let slot = request.conn_data::<Slot>()?;
    slot.request_started();
    Some(RequestGuard(slot.clone()))
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.connection.requests.update(|requests| requests - 1);
        self.0.connection.head_since.set(None);
        self.0.request_ended();
    }
}

/// A request whose body has not arrived yet.
pub struct IncomingBody(Slot);

/// Lets the connection be read from until this is dropped: the request's body.
pub fn incoming_body(request: &HttpRequest) -> Option<IncomingBody> {
    let slot = request.conn_data::<Slot>()?;
    slot.connection.bodies.update(|bodies| bodies + 1);
    Some(IncomingBody(slot.clone()))
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        self.0.connection.bodies.update(|bodies| bodies - 1);
    }
}

/// Raises the limit on open files for this many clients and database connections: two files for each client.
pub fn raise_file_limit(clients: usize, database: u32) {
    let needed = 2 * clients as u64 + u64::from(database) + 128;
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let raised = now >= needed || setrlimit(Resource::RLIMIT_NOFILE, needed.min(most), most).is_ok();
    if !raised || most < needed {
        tracing::warn!("{clients} clients at once need {needed} open files, and this process may have {most}");
    }
}
