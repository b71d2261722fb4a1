//! Finds the addresses of a host, and refuses those that may not be requested. A name is looked up once for each URL, and
//! the connection goes to an address that was judged: a name that leads elsewhere a moment later gains nothing.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use url::Host;

use super::target::Target;
use super::{Failure, Policy};

/// Look-ups at once, of all deliveries together: each occupies a thread, also if nobody waits for it any more.
const AT_ONCE: usize = 32;

/// Of how many addresses of a name one is looked for that takes a connection. All of them are judged.
const MOST_ADDRESSES: usize = 8;

/// Looks a name up. It may block its thread.
pub trait Lookup: Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static {}

impl<F: Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static> Lookup for F {}

pub(super) struct Resolver {
    lookup: Arc<dyn Lookup>,
    at_once: Arc<Semaphore>,
}

/// As the system does.
impl Default for Resolver {
    fn default() -> Self {
        Self::new(|name: &str, port: u16| Ok((name, port).to_socket_addrs()?.collect()))
    }
}

impl Resolver {
    pub(super) fn new(lookup: impl Lookup) -> Self {
        Self { lookup: Arc::new(lookup), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The addresses of a URL, at least one. A single one that may not be requested refuses all.
    pub(super) async fn addresses(&self, target: &Target, policy: &Policy) -> Result<Vec<SocketAddr>, Failure> {
        let mut found = match target.host() {
            Host::Ipv4(address) => vec![SocketAddr::new(address.into(), target.port())],
            Host::Ipv6(address) => vec![SocketAddr::new(address.into(), target.port())],
            Host::Domain(name) => self.look_up(name.to_owned(), target.port()).await?,
        };
        for address in &found {
            let judged = policy.judge(target.host_name(), *address);
            judged.map_err(|why| Failure::NotAllowed { why, address: *address })?;
        }
        found.truncate(MOST_ADDRESSES);
        if found.is_empty() { Err(Failure::NotFound) } else { Ok(found) }
    }

    async fn look_up(&self, name: String, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let permit = Arc::clone(&self.at_once).acquire_owned().await.map_err(|_| Failure::NotFound)?;
        let lookup = Arc::clone(&self.lookup);
        let found = spawn_blocking(move || {
            let _permit = permit;
            lookup(&name, port)
        });
        found.await.ok().and_then(Result::ok).ok_or(Failure::NotFound)
    }
}
