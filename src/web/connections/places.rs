//! Places for connections: how many there are, and who has to go where they are all taken.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::time::Instant;

use super::Connection;
use super::client::{Client, Connected};
use crate::values::network::network;

/// How many bytes of unfinished heads a thread keeps.
const MOST_UNREAD: usize = 16 * 1024 * 1024;

/// As much as actix keeps of one head.
const LONGEST_HEAD: usize = 128 * 1024;

/// How many connections there are for: over all threads, and from one address.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    pub in_all: usize,
    pub of_one_address: usize,
}

impl Most {
    /// As many as each of so many threads has, where one address may have half, or all where every client is
    /// behind the same proxy.
    pub fn of_each(clients: u32, threads: usize, one_proxy: bool) -> Self {
        let in_all = (usize::try_from(clients).unwrap_or(usize::MAX) / threads).max(1);
        Self { in_all, of_one_address: if one_proxy { usize::MAX } else { in_all.div_ceil(2) } }
    }

    /// With the few more that come in where all have a request under way.
    pub fn at_times(self) -> usize {
        self.in_all + self.in_all / 8 + 8
    }
}

/// The places of one thread. A connection that has a request under way, or an answer going out, keeps its place. Where
/// all are taken, the oldest of the others makes way for a new one: first of those whose head has been unfinished for a
/// second, handshakes of TLS among them, then of those that rest. A new one is the last to go: it could not speak yet.
pub struct Places {
    most: Most,
    longest_rest: Duration,
    taken: RefCell<HashMap<IpAddr, Vec<Rc<Connection>>>>,
    count: Cell<usize>,
    unread: Cell<usize>,
}

impl Places {
    pub fn new(most: Most, longest_rest: Duration) -> Self {
        let (count, unread) = (Cell::new(0), Cell::new(0));
        Self { most, longest_rest, taken: RefCell::default(), count, unread }
    }

    /// A place for a new connection.
    ///
    /// # Errors
    /// When its address has all of its share and a request under way on each; or the client has gone.
    pub fn enter(self: &Rc<Self>, tcp: TcpStream) -> io::Result<Client> {
        let address = network(tcp.peer_addr()?.ip());
        let connection = Rc::new(Connection::new(Client::second_handle(&tcp)?, address));
        if self.count_of(address) >= self.most.of_one_address && !self.make_way(|other| other.address == address) {
            return Err(io::Error::other("too many connections from one address"));
        }
        if self.count.get() >= self.most.in_all {
            // Where all have a request under way, there are a few places more.
            self.make_way(|_| true);
        }
        self.taken.borrow_mut().entry(address).or_default().push(Rc::clone(&connection));
        self.count.update(|count| count + 1);
        connection.watch(self.longest_rest);
        Ok(Client::new(tcp, Connected { connection, places: Rc::clone(self) }))
    }

    pub fn longest_rest(&self) -> Duration {
        self.longest_rest
    }

    fn count_of(&self, address: IpAddr) -> usize {
        self.taken.borrow().get(&address).map_or(0, Vec::len)
    }

    /// Those few more places are given back as soon as others than this one may go.
    pub fn is_free_again(&self, connection: &Rc<Connection>) {
        if self.count.get() > self.most.in_all {
            self.make_way(|other| !Rc::ptr_eq(other, connection));
        }
    }

    /// Cuts off the one of these connections that has waited longest for its client.
    fn make_way(&self, may_go: impl Fn(&Rc<Connection>) -> bool) -> bool {
        let now = Instant::now();
        let oldest = {
            let taken = self.taken.borrow();
            let idle = taken.values().flatten().filter(|connection| connection.is_idle() && may_go(connection));
            idle.min_by_key(|connection| (!connection.is_overdue(now), connection.rests_since.get())).cloned()
        };
        oldest.inspect(|oldest| self.cut_off(oldest)).is_some()
    }

    fn cut_off(&self, connection: &Rc<Connection>) {
        connection.cut_off();
        self.leave(connection);
    }

    /// Gives a place back; once is enough.
    pub fn leave(&self, connection: &Rc<Connection>) {
        self.was_read(connection);
        let mut taken = self.taken.borrow_mut();
        let Some(of_address) = taken.get_mut(&connection.address) else { return };
        let Some(at) = of_address.iter().position(|other| Rc::ptr_eq(other, connection)) else { return };
        of_address.swap_remove(at);
        self.count.update(|count| count - 1);
        if of_address.is_empty() {
            taken.remove(&connection.address);
        }
    }

    /// Bytes have come that belong to no request yet. Where there are too many of them, the connection that has most goes.
    pub fn came(&self, connection: &Connection, bytes: usize) {
        let before = connection.unread.get();
        let unread = (before + bytes).min(LONGEST_HEAD);
        connection.unread.set(unread);
        self.unread.update(|all| all + unread - before);
        if self.unread.get() > MOST_UNREAD {
            let longest = {
                let taken = self.taken.borrow();
                let idle = taken.values().flatten().filter(|connection| connection.is_idle());
                idle.max_by_key(|connection| (connection.unread.get(), Reverse(connection.rests_since.get()))).cloned()
            };
            longest.inspect(|longest| self.cut_off(longest));
        }
    }

    /// What has come belongs to a request by now.
    pub fn was_read(&self, connection: &Connection) {
        self.unread.update(|all| all - connection.unread.take());
    }
}
