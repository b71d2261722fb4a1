//! Connections of clients. actix-web gives only the first head of a connection a time to arrive in:
//! once something of a later one has come it waits for the rest for ever, and so it does for a
//! client that reads nothing of its answer. Here every connection has a time to take more of
//! its answer or to get on to its next request, and is cut off after it.

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
mod places;

pub use body::going_out;
pub use client::{Client, Connected};
pub use paced::{Paced, Stream};
pub use places::{Most, Places};

/// Who takes so many bytes of an answer in the longest rest is not cut off.
const PROMISED: usize = 64 * 1024;

/// How long the head of a request may take before its connection is the first to make way for a new one.
const QUICK_HEAD: Duration = Duration::from_secs(1);

/// How many times the longest rest one can have beside it by what one took.
const MOST_BOUGHT: u32 = 3;

/// A connection, kept by the server for as long as it is open.
pub struct Connection {
    /// A second handle of its socket, to cut it off by.
    socket: net::TcpStream,
    /// The network it comes from.
    address: IpAddr,
    requests: Cell<u32>,
    answers: Cell<u32>,
    /// Requests whose body is still to come.
    bodies: Cell<u32>,
    /// Of the task that is to read the next request when this one is done.
    next_reader: Cell<Option<Waker>>,
    /// Whether the client has not taken what was written last.
    is_blocked: Cell<bool>,
    /// Since when a head is awaited: the connection was opened, or something of the head came. None between two requests.
    head_since: Cell<Option<Instant>>,
    /// How many bytes have come that belong to no request yet.
    unread: Cell<usize>,
    /// When it was opened, a request ended, or the client last took something of an answer; later where it took much.
    rests_since: Cell<Instant>,
    watch: OnceCell<JoinHandle<()>>,
}

impl Connection {
    fn new(socket: net::TcpStream, address: IpAddr) -> Self {
        Self {
            socket,
            address,
            requests: Cell::new(0),
            answers: Cell::new(0),
            bodies: Cell::new(0),
            next_reader: Cell::default(),
            is_blocked: Cell::new(false),
            head_since: Cell::new(Some(Instant::now())),
            unread: Cell::new(0),
            rests_since: Cell::new(Instant::now()),
            watch: OnceCell::new(),
        }
    }

    /// Whether it waits for the client to begin, or to end the head of, a request.
    fn is_idle(&self) -> bool {
        self.requests.get() == 0 && self.answers.get() == 0 && !self.is_blocked.get()
    }

    /// Whether the head of a request takes longer to come than it needs to.
    fn is_overdue(&self, now: Instant) -> bool {
        self.head_since.get().is_some_and(|since| now.duration_since(since) > QUICK_HEAD)
    }

    fn head_comes(&self) {
        self.head_since.update(|since| since.or_else(|| Some(Instant::now())));
    }

    fn rests_from_now_on(&self) {
        self.rests_since.update(|since| since.max(Instant::now()));
    }

    /// The client's system has taken so many bytes of an answer. Where it takes much at once, and then nothing until
    /// the client has read half of that, what it took counts for so much longer; not for ever, for perhaps nobody reads.
    fn took(&self, bytes: usize, longest: Duration) {
        let now = Instant::now();
        let bought = longest.mul_f64(bytes as f64 / PROMISED as f64);
        self.rests_since.update(|since| (since + bought).clamp(now, now + longest * MOST_BOUGHT));
    }

    fn cut_off(&self) {
        // Where the client has hung up there is nothing left to do.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Cuts it off when for longer than this no request has been under way on it, and the client has
    /// taken nothing of an answer.
    fn watch(self: &Rc<Self>, longest: Duration) {
        self.watch.get_or_init(|| rt::spawn(cut_off_at_rest(Rc::downgrade(self), longest)));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.watch.get().inspect(|watch| watch.abort());
    }
}

async fn cut_off_at_rest(connection: Weak<Connection>, longest: Duration) {
    let mut look = Instant::now() + longest;
    loop {
        sleep_until(look).await;
        let (Some(connection), now) = (connection.upgrade(), Instant::now()) else { return };
        let end = connection.rests_since.get() + longest;
        if connection.requests.get() == 0 && end <= now {
            return connection.cut_off();
        }
        look = if end > now { end } else { now + longest };
    }
}

/// A request under way.
pub struct UnderWay(Connected);

/// Keeps the connection of a request from being cut off while it is under way.
pub fn under_way(request: &HttpRequest) -> Option<UnderWay> {
    let connected = request.conn_data::<Connected>()?;
    connected.begins_request();
    Some(UnderWay(connected.clone()))
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.connection.requests.update(|requests| requests - 1);
        self.0.connection.head_since.set(None);
        self.0.rests();
    }
}

/// A request whose body is still to come.
pub struct BodyComes(Connected);

/// Has more read of a connection, until this is dropped: the body of a request.
pub fn body_comes(request: &HttpRequest) -> Option<BodyComes> {
    let connected = request.conn_data::<Connected>()?;
    connected.connection.bodies.update(|bodies| bodies + 1);
    Some(BodyComes(connected.clone()))
}

impl Drop for BodyComes {
    fn drop(&mut self) {
        self.0.connection.bodies.update(|bodies| bodies - 1);
    }
}

/// Lets the process open the files that so many clients and connections to the database need, if
/// it may: two for each client, and some for everything else.
pub fn make_room(clients: usize, database: u32) {
    let needed = 2 * clients as u64 + u64::from(database) + 128;
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let raised = now >= needed || setrlimit(Resource::RLIMIT_NOFILE, needed.min(most), most).is_ok();
    if !raised || most < needed {
        tracing::warn!("{clients} clients at once need {needed} open files, and this process may have {most}");
    }
}
