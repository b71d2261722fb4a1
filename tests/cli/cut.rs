//! A proxy to the private PostgreSQL that is cut at a commit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::home::Home;

/// What happens to the first commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It does not arrive.
    Before,
    /// It is done, but its answer is lost.
    Within,
    /// It is done and answered; then the database is unreachable for good.
    After,
}

/// A port in front of a home's PostgreSQL.
pub struct Way {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    cut: Cut,
    is_cut: AtomicBool,
    clients: Mutex<Vec<TcpStream>>,
}

impl Way {
    pub fn to(home: &Home, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { cut, is_cut: AtomicBool::new(false), clients: Mutex::default() });
        let (known, socket) = (Arc::clone(&shared), home.data_dir().join("pg/.s.PGSQL.5432"));
        thread::spawn(move || {
            for client in listener.incoming().map(|client| client.expect("a connection")) {
                // Later connections reach the database again, or never.
                if known.cut != Cut::After || !known.is_cut.load(Ordering::SeqCst) {
                    carry(client, &socket, &known);
                }
            }
        });
        Self { port, shared }
    }

    pub fn url(&self) -> String {
        format!("postgres://numberbank@127.0.0.1:{}/numberbank?sslmode=disable", self.port)
    }

    /// Whether a commit passed.
    pub fn is_cut(&self) -> bool {
        self.shared.is_cut.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn cut_all(&self) {
        for client in self.clients.lock().expect("no thread has panicked").iter() {
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

/// Copies both directions, each on its own thread.
fn carry(client: TcpStream, socket: &Path, shared: &Arc<Shared>) {
    let server = UnixStream::connect(socket).expect("PostgreSQL takes connections");
    let handle = || client.try_clone().expect("a handle");
    shared.clients.lock().expect("no thread has panicked").push(handle());
    let (mut from_client, mut to_client) = (handle(), handle());
    let (mut from_server, mut to_server) = (server.try_clone().expect("a handle"), server);
    let (asking, asked) = (Arc::new(AtomicBool::new(false)), Arc::clone(shared));
    let (commits, answering) = (Arc::clone(&asking), Arc::clone(shared));
    thread::spawn(move || {
        copy(&mut from_client, |sent| {
            let first = sent.windows(7).any(|part| part == b"COMMIT\0") && !asked.is_cut.swap(true, Ordering::SeqCst);
            asking.fetch_or(first, Ordering::SeqCst);
            !(first && asked.cut == Cut::Before) && to_server.write_all(sent).is_ok()
        });
        let _ = (from_client.shutdown(Shutdown::Both), to_server.shutdown(Shutdown::Both));
    });
    thread::spawn(move || {
        copy(&mut from_server, |sent| {
            let committed = commits.load(Ordering::SeqCst);
            let passes = !(committed && answering.cut == Cut::Within) && to_client.write_all(sent).is_ok();
            if committed && answering.cut == Cut::After {
                answering.cut_all();
            }
            passes && !committed
        });
        let _ = (from_server.shutdown(Shutdown::Both), to_client.shutdown(Shutdown::Both));
    });
}

/// Copies what is read until the other side ends.
fn copy(from: &mut impl Read, mut to: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !to(&buffer[..count]) {
            break;
        }
    }
}
