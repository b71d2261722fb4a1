//! A proxy to PostgreSQL that can be broken: a TCP port in front of the cluster's Unix socket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Closes all connections, and refuses new ones.
    Refused,
    /// Accepts new connections, and closes them at once.
    Dropped,
    /// Keeps connections and accepts new ones, but passes nothing on, ever.
    Hung,
    /// Loses the next request to the database: closes its connection before it arrives.
    RequestsLost,
    /// Loses the next answer of the database: closes its connection when it comes.
    AnswersLost,
}

pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    /// How often something came for the database.
    requests: Arc<AtomicU64>,
    /// Keeps the port while nothing listens on it.
    _reserved: TcpSocket,
    accepting: JoinHandle<()>,
    target: PgConnectOptions,
}

impl Proxy {
    pub fn start(target: &PgConnectOptions) -> Self {
        let folder = target.get_socket().expect("the cluster is on a Unix socket");
        let socket = folder.join(format!(".s.PGSQL.{}", target.get_port()));
        let reserved = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = reserved.local_addr().expect("an address");
        let (way, watched) = watch::channel(Way::Open);
        let requests = Arc::<AtomicU64>::default();
        let accepting = tokio::spawn(accept(address, Arc::new(socket), watched, Arc::clone(&requests)));
        Self { address, way, requests, _reserved: reserved, accepting, target: target.clone() }
    }

    /// How to connect to the database through this proxy.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host(&self.address.ip().to_string())
            .port(self.address.port())
            .ssl_mode(PgSslMode::Disable)
            .username(self.target.get_username())
            .database(self.target.get_database().expect("a database"))
    }

    /// How often something came for the database: once for each statement, and sometimes more.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn make(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A socket on this port, which others may share.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("a port for several");
    socket.bind(address).expect("a port");
    socket
}

async fn accept(address: SocketAddr, target: Arc<PathBuf>, way: watch::Receiver<Way>, requests: Arc<AtomicU64>) {
    let mut watched = way.clone();
    while watched.wait_for(|way| *way != Way::Refused).await.is_ok() {
        let listener = bound(address).listen(128).expect("a listener");
        loop {
            tokio::select! {
                client = listener.accept() => {
                    let (client, _) = client.expect("a connection");
                    tokio::spawn(carry(client, Arc::clone(&target), way.clone(), Arc::clone(&requests)));
                }
                _ = watched.wait_for(|way| *way == Way::Refused) => break,
            }
        }
    }
}

/// Copies both directions until either side ends or the proxy is broken.
async fn carry(mut client: TcpStream, target: Arc<PathBuf>, mut way: watch::Receiver<Way>, requests: Arc<AtomicU64>) {
    let mut server = UnixStream::connect(target.as_path()).await.expect("PostgreSQL takes connections");
    let (mut sent, mut answered) = ([0; 8192], [0; 8192]);
    loop {
        let now = *way.borrow_and_update();
        match now {
            Way::Refused | Way::Dropped => return,
            Way::Hung => return hang(client, server).await,
            Way::Open | Way::RequestsLost | Way::AnswersLost => {}
        }
        let passed = tokio::select! {
            count = client.read(&mut sent) => match count {
                Ok(1..) if now == Way::RequestsLost => return,
                Ok(count @ 1..) => {
                    requests.fetch_add(1, Ordering::Relaxed);
                    server.write_all(&sent[..count]).await
                }
                _ => return,
            },
            count = server.read(&mut answered) => match count {
                Ok(1..) if now == Way::AnswersLost => return,
                Ok(count @ 1..) => client.write_all(&answered[..count]).await,
                _ => return,
            },
            changed = way.changed() => match changed {
                Ok(()) => Ok(()),
                Err(_) => return,
            },
        };
        if passed.is_err() {
            return;
        }
    }
}

/// Discards whatever the client sends, until it hangs up.
async fn hang(mut client: TcpStream, _server: UnixStream) {
    let mut sent = [0; 8192];
    while let Ok(1..) = client.read(&mut sent).await {}
}
