//! `./dev bench`: what the service does over HTTP, measured in turn with a yardstick, which is mostly what
//! PostgreSQL does with the least SQL for the same work. RESULTS.md says how.

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;

mod commands;
mod credentials;
mod database;
mod generators;
mod measure;
mod report;
mod server;
mod workloads;

use database::{Database, Size};
use workloads::WORKLOADS;

/// What goes wrong ends the run: figures of half a run are none.
type Error = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Error>;

#[derive(Parser)]
#[command(name = "./dev bench", about = "Measure the service over HTTP beside PostgreSQL with the least SQL")]
struct Options {
    /// How often a workload and its yardstick are measured, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,

    /// How long one measurement takes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=30))]
    seconds: u64,

    /// Only these workloads
    #[arg(long, value_name = "NAME,…", value_delimiter = ',',
        value_parser = clap::builder::PossibleValuesParser::new(WORKLOADS.iter().map(|workload| workload.name)))]
    only: Vec<String>,

    /// Measure a large database beside one of the usual size. It has this many millions of numbers for sale, and another million
    /// that were sold a year ago, with all their fees since. To fill it takes minutes
    #[arg(long, value_name = "MILLIONS", value_parser = clap::value_parser!(u64).range(1..=100))]
    size: Option<u64>,

    /// A file to write the figures to as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The numberbank to measure [default: this tree's]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_numberbank"), hide_default_value = true)]
    program: PathBuf,

    /// Where the database is made while it runs: some GB, on a disk
    #[arg(long, value_name = "FOLDER", default_value = "/var/tmp")]
    folder: PathBuf,

    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    if let Err(error) = run(&Options::parse()) {
        eprintln!("bench: {error}");
        std::process::exit(1);
    }
}

fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let say = |what: &str| eprintln!("bench: {:4} s: {what}", begun.elapsed().as_secs());
    say("making and filling a database");
    let mut usual = Database::make(&options.program, &options.folder, Size::USUAL)?;
    let mut rows = Vec::new();
    let mut large = match options.size {
        Some(millions) => {
            say("making and filling a large one");
            Some(Database::make(&options.program, &options.folder, Size::millions(millions))?)
        }
        None => None,
    };
    for workload in WORKLOADS {
        if options.only.is_empty() || options.only.iter().any(|name| name == workload.name) {
            say(workload.name);
            let (database, beside) = match &mut large {
                Some(large) => (large, Some(&mut usual)),
                None => (&mut usual, None),
            };
            rows.push(measure::workload(workload, database, beside, options.pairs, options.seconds)?);
        }
    }
    report::table(&rows);
    if let Some(file) = &options.json {
        let document = report::json(&rows, &usual.version()?, options.pairs, options.seconds);
        std::fs::write(file, document).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    if let Some(large) = large {
        say("commands, and the audit of both databases");
        report::commands(&commands::measure(&large, &usual)?);
        large.close()?;
    } else {
        say("auditing the database");
        usual.program(&["audit"])?;
    }
    usual.close()
}
