//! A database address that leads to one server, then to another: a TCP port in front of their Unix sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// An address in front of one server or another. It runs until the process ends.
pub struct Switch {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<PathBuf>,
    open: Mutex<Vec<TcpStream>>,
}

impl Switch {
    /// Leads to the server with its socket in this folder.
    pub fn to(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { target: Mutex::new(folder.to_owned()), open: Mutex::default() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || listener.incoming().flatten().for_each(|client| accepting.carry(client)));
        Self { port, shared }
    }

    /// Leads to this server from now on. Existing connections stay.
    pub fn lead_to(&self, folder: &Path) {
        *self.shared.target.lock().expect("a target") = folder.to_owned();
    }

    /// Closes all connections.
    pub fn cut(&self) {
        for client in self.shared.open.lock().expect("connections").drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    pub fn url(&self) -> String {
        format!("postgres://numberbank:x@127.0.0.1:{}/numberbank?sslmode=disable", self.port)
    }
}

impl Shared {
    fn carry(&self, client: TcpStream) {
        let target = self.target.lock().expect("a target").join(".s.PGSQL.5432");
        // If nothing listens there, the client's connection is closed.
        let Ok(server) = UnixStream::connect(target) else { return };
        self.open.lock().expect("connections").push(client.try_clone().expect("a handle"));
        let (from_client, to_server) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
        thread::spawn(move || copy(from_client, to_server));
        thread::spawn(move || copy(server, client));
    }
}

fn copy(mut from: impl Read, mut to: impl Write + Ends) {
    let _ = io::copy(&mut from, &mut to);
    to.end();
}

/// When one side of a connection ends, the other is closed too.
trait Ends {
    fn end(&self);
}

impl Ends for TcpStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Ends for UnixStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}
