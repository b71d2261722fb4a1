//! Connections of clients. actix-web gives only the first head of a connection a time to arrive in:
//! once something of a later one has come it waits for the rest for ever, and so it does for a
//! client that reads nothing of its answer. Here every connection has a time to get on to its next
//! request, and is cut off after it.

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::net::{self, Shutdown};
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::{self, net::TcpStream};
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

/// Cuts a new connection off when no request has been under way on it for longer than this.
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
