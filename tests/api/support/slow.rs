//! Servers with small limits, and clients that take their time.

use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use numberbank::app;
use numberbank::cli::options;
use numberbank::config::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Server, World};

/// Far longer than any limit under test: it counts as never.
const NEVER: Duration = Duration::from_mins(2);

/// The limits with these options. Wrong tokens are not limited by default here, because all tests come from one
/// address.
pub fn limits(options: &[&str]) -> Limits {
    let command =
        options::LimitOptions::augment_args(Command::new("test").no_binary_name(true)).args_override_self(true);
    let matches = command.get_matches_from(["--failed-logins", "off"].iter().chain(options));
    options::LimitOptions::from_arg_matches(&matches).expect("limits").plain()
}

impl World {
    /// A second instance with these limits.
    pub fn limited_server(&self, options: &[&str]) -> Server {
        self.server_with(options, |_| {})
    }

    /// A second instance with these limits and settings.
    pub fn server_with(&self, options: &[&str], change: impl FnOnce(&mut app::ServerOptions)) -> Server {
        let mut settings = Server::settings(&self.options, &self.clock);
        settings.limits = limits(options);
        change(&mut settings);
        Server::run(settings)
    }
}

impl Server {
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.site.trim_start_matches("http://")).await.expect("a connection")
    }

    /// Sends the beginning, and then `drop` again and again until the server hangs up. Returns what the server sent.
    pub async fn drip(&self, beginning: &str, drop: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(beginning.as_bytes()).await.expect("the server reads");
        let (mut reader, mut writer) = stream.split();
        let mut said = Vec::new();
        let drip = async {
            loop {
                sleep(Duration::from_millis(200)).await;
                // The reader notices that the server has closed the connection.
                let _ = writer.write_all(drop.as_bytes()).await;
            }
        };
        tokio::select! {
            // A reset counts as the end.
            _ = timeout(NEVER, reader.read_to_end(&mut said)) => {}
            () = drip => {}
        }
        String::from_utf8(said).expect("an answer in UTF-8")
    }
}

/// Fails if the end does not come.
pub async fn in_time<T>(end: impl Future<Output = T>) -> T {
    timeout(NEVER, end).await.expect("it ends")
}
