//! Limits on the connections of a thread, and which one is closed when a limit is reached.

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
use super::client::{Client, Slot};
use crate::values::network::network;

/// The most bytes of unfinished heads on one thread.
const MAX_UNREAD: usize = 16 * 1024 * 1024;

/// The most that actix-http keeps of one head.
const MAX_HEAD: usize = 128 * 1024;

/// The most connections of one thread: in all, and from one address.
#[derive(Clone, Copy, Debug)]
pub struct MaxConnections {
    pub total: usize,
    pub per_address: usize,
}

impl MaxConnections {
    /// Divides the clients among the threads. One address may have half of a thread's connections, or all if every
    /// client comes through one proxy.
    pub fn per_thread(clients: u32, threads: usize, one_proxy: bool) -> Self {
        let total = (usize::try_from(clients).unwrap_or(usize::MAX) / threads).max(1);
        Self { total, per_address: if one_proxy { usize::MAX } else { total.div_ceil(2) } }
    }

    /// With the extra ones that are let in while every connection has a request under way.
    pub fn with_extra(self) -> usize {
        self.total + self.total / 8 + 8
    }
}

/// The connections of one thread. At a limit, one that has no request under way and no answer going out is closed for
/// the new one: first those whose head has been unfinished for a second (TLS handshakes too), then the idle ones; the
/// oldest first. A new one goes last, because it had no time to send anything.
pub struct Slots {
    max: MaxConnections,
    idle_timeout: Duration,
    by_address: RefCell<HashMap<IpAddr, Vec<Rc<Connection>>>>,
    count: Cell<usize>,
    unread: Cell<usize>,
}

impl Slots {
    pub fn new(max: MaxConnections, idle_timeout: Duration) -> Self {
        let (count, unread) = (Cell::new(0), Cell::new(0));
        Self { max, idle_timeout, by_address: RefCell::default(), count, unread }
    }

    /// Accepts a new connection, and closes another one if a limit is reached.
    ///
    /// # Errors
    /// If the address has reached its limit and all its connections have a request under way; or if the client is
    /// gone.
    pub fn accept(self: &Rc<Self>, tcp: TcpStream) -> io::Result<Client> {
        let address = network(tcp.peer_addr()?.ip());
        let connection = Rc::new(Connection::new(Client::second_handle(&tcp)?, address));
        if self.count_of(address) >= self.max.per_address && !self.close_idle(|other| other.address == address) {
            return Err(io::Error::other("too many connections from one address"));
        }
        if self.count.get() >= self.max.total {
            // If every one is busy, a few extra ones are let in.
            self.close_idle(|_| true);
        }
        self.by_address.borrow_mut().entry(address).or_default().push(Rc::clone(&connection));
        self.count.update(|count| count + 1);
        connection.start_idle_timer(self.idle_timeout);
        Ok(Client::new(tcp, Slot { connection, slots: Rc::clone(self) }))
    }

    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    fn count_of(&self, address: IpAddr) -> usize {
        self.by_address.borrow().get(&address).map_or(0, Vec::len)
    }

    /// Closes an extra connection as soon as one other than this is idle.
    pub fn close_extra(&self, connection: &Rc<Connection>) {
        if self.count.get() > self.max.total {
            self.close_idle(|other| !Rc::ptr_eq(other, connection));
        }
    }

    /// Closes the one of these connections that is idle for longest.
    fn close_idle(&self, may_close: impl Fn(&Rc<Connection>) -> bool) -> bool {
        let now = Instant::now();
        let oldest = {
            let by_address = self.by_address.borrow();
            let idle = by_address.values().flatten().filter(|connection| connection.is_idle() && may_close(connection));
            idle.min_by_key(|connection| (!connection.is_overdue(now), connection.active_at.get())).cloned()
        };
        oldest.inspect(|oldest| self.close(oldest)).is_some()
    }

    fn close(&self, connection: &Rc<Connection>) {
        connection.close();
        self.release(connection);
    }

    /// Removes a connection. Doing it twice does no harm.
    pub fn release(&self, connection: &Rc<Connection>) {
        self.consumed(connection);
        let mut by_address = self.by_address.borrow_mut();
        let Some(of_address) = by_address.get_mut(&connection.address) else { return };
        let Some(at) = of_address.iter().position(|other| Rc::ptr_eq(other, connection)) else { return };
        of_address.swap_remove(at);
        self.count.update(|count| count - 1);
        if of_address.is_empty() {
            by_address.remove(&connection.address);
        }
    }

    /// Counts bytes that belong to no request yet. If the thread holds too many, the connection with the most is
    /// closed.
    pub fn received(&self, connection: &Connection, bytes: usize) {
        let before = connection.unread.get();
        let unread = (before + bytes).min(MAX_HEAD);
        connection.unread.set(unread);
        self.unread.update(|all| all + unread - before);
        if self.unread.get() > MAX_UNREAD {
            let longest = {
                let by_address = self.by_address.borrow();
                let idle = by_address.values().flatten().filter(|connection| connection.is_idle());
                idle.max_by_key(|connection| (connection.unread.get(), Reverse(connection.active_at.get()))).cloned()
            };
            longest.inspect(|longest| self.close(longest));
        }
    }

    /// All bytes received so far belong to a request now.
    pub fn consumed(&self, connection: &Connection) {
        self.unread.update(|all| all - connection.unread.take());
    }
}
