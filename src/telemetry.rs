//! Logs go to standard error; standard output belongs to the answers of commands.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging, at the level that `RUST_LOG` names or `info`.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
