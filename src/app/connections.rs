//! Connections of clients. actix-web gives only the first head of a connection a time to arrive in:
//! once something of a later one has come it waits for the rest for ever, and so it does for a
//! client that reads nothing of its answer. Here every connection has a time to take the next piece of
//! its answer or to get on to its next request, and is cut off after it.

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::net::{self, Shutdown};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::Extensions;
use actix_web::rt::{self, net::TcpStream};
use actix_web::web::Bytes;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// A connection, kept by the server for as long as it is open.
struct Connection {
    /// A second handle of its socket, to cut it off by.
    socket: net::TcpStream,
    requests: Cell<u32>,
    rests_since: Cell<Instant>,
    watch: OnceCell<JoinHandle<()>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.watch.get().inspect(|watch| watch.abort());
    }
}

/// Cuts a new connection off when for longer than this no request has been under way on it, and no piece of
/// an answer has gone out.
pub fn watch(io: &dyn Any, data: &mut Extensions, longest: Duration) {
    let tls = || io.downcast_ref::<TlsStream<TcpStream>>().map(|tls| tls.get_ref().0);
    let socket = io.downcast_ref::<TcpStream>().or_else(tls).map(|tcp| tcp.as_fd().try_clone_to_owned());
    let Some(Ok(socket)) = socket else { return };
    let connection = Rc::new(Connection {
        socket: socket.into(),
        requests: Cell::new(0),
        rests_since: Cell::new(Instant::now()),
        watch: OnceCell::new(),
    });
    connection.watch.get_or_init(|| rt::spawn(cut_off_at_rest(Rc::downgrade(&connection), longest)));
    data.insert(connection);
}

async fn cut_off_at_rest(connection: Weak<Connection>, longest: Duration) {
    let mut look = Instant::now() + longest;
    loop {
        sleep_until(look).await;
        let (Some(connection), now) = (connection.upgrade(), Instant::now()) else { return };
        let end = connection.rests_since.get() + longest;
        if connection.requests.get() == 0 && end <= now {
            // Where the client has hung up there is nothing left to do.
            let _ = connection.socket.shutdown(Shutdown::Both);
            return;
        }
        look = if end > now { end } else { now + longest };
    }
}

/// A request under way.
pub struct UnderWay(Rc<Connection>);

/// Keeps the connection of a request from being cut off while it is under way.
pub fn under_way(request: &HttpRequest) -> Option<UnderWay> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    connection.requests.update(|requests| requests + 1);
    Some(UnderWay(Rc::clone(connection)))
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.requests.update(|requests| requests - 1);
        self.0.rests_since.set(Instant::now());
    }
}

/// How much of an answer is handed to its connection at a time: an ordinary one is whole.
const PIECE: usize = 64 * 1024;

/// An answer that goes out piece by piece, the next one when the client has taken most of the last: so a
/// client that reads slowly is told from one that does not read.
pub struct Pieces {
    rest: Bytes,
    connection: Option<Rc<Connection>>,
}

/// Cuts an answer into pieces, each of which shows that its connection does not rest.
pub fn in_pieces<B: MessageBody>(body: B, under_way: Option<&UnderWay>) -> EitherBody<Pieces, B> {
    let connection = under_way.map(|under_way| Rc::clone(&under_way.0));
    match body.try_into_bytes() {
        Ok(rest) => EitherBody::left(Pieces { rest, connection }),
        Err(body) => EitherBody::right(body),
    }
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if let Some(connection) = &self.connection {
            connection.rests_since.set(Instant::now());
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(self.rest.split_to(length))))
    }
}

/// Lets the process open the files that so many clients and connections to the database need, if
/// it may: two for each client, and some for everything else.
pub fn make_room(clients: u32, database: u32) {
    let needed = 2 * u64::from(clients) + u64::from(database) + 128;
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let raised = now >= needed || setrlimit(Resource::RLIMIT_NOFILE, needed.min(most), most).is_ok();
    if !raised || most < needed {
        tracing::warn!("{clients} clients at once need {needed} open files, and this process may have {most}");
    }
}
