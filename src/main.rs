//! The process: reads the command line and runs one command.

use std::process::exit;

use numberbank::cli::{Command, tell};
use numberbank::platform::telemetry;

#[tokio::main]
async fn main() {
    let command = Command::read();
    telemetry::start(command.log_format());
    // By `exit`, because a thread that waits for standard input would keep the process alive.
    match command.run().await {
        Ok(()) => exit(0),
        Err(error) => {
            tell(&format!("numberbank: {error}"));
            exit(error.exit_code())
        }
    }
}
