//! The process: reads the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;
use numberbank::cli::Command;
use numberbank::telemetry;

#[tokio::main]
async fn main() -> ExitCode {
    let command = Command::parse();
    telemetry::start();
    match command.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("numberbank: {error}");
            ExitCode::FAILURE
        }
    }
}
