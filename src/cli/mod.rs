//! The command line: one file for each family of commands.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::LogFormat;
use crate::db::transact::{Commits, telling};
use crate::db::{self, Db, MigrateError};
use crate::error::Error;
use crate::operators::{Action, Operator};
use crate::platform::embedded_pg;
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;

mod account;
mod action;
mod audit;
mod database;
mod demo;
mod front;
mod import;
mod inventory;
mod number;
pub mod options;
mod price;
mod refusals;
mod report;
mod rows;
mod runs;
mod secret;
mod serve;
mod show;
mod table;
mod terminal;

use database::Database;
use options::{Global, Output};

/// A self-hosted, multi-tenant phone number registry that speaks Twilio's 2008-08-01 IncomingPhoneNumbers API
#[derive(Parser, Debug)]
#[command(name = "numberbank", version, max_term_width = 120)]
pub struct Command {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
    #[arg(skip)]
    asked: Action,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Try it out: serves, with a demo account and demo stock where the database is empty
    Demo(options::Serve),
    /// Bring the schema up to date and serve until SIGTERM or SIGINT
    Serve(options::Serve),
    /// Bring the schema up to date and stop
    Migrate,
    /// Accounts and their money
    #[command(subcommand)]
    Account(account::Account),
    /// The stock of numbers
    #[command(subcommand)]
    Inventory(inventory::Inventory),
    /// What the next sale costs
    #[command(subcommand)]
    Price(price::Price),
    /// One number and everyone who held it
    #[command(subcommand)]
    Number(number::Number),
    /// Charge the monthly fees that are due; again, or twice at once, charges nothing twice
    Bill(runs::Bill),
    /// Put numbers on sale again whose quarantine has ended
    Recycle(runs::Recycle),
    /// Prove that money and stock add up
    Audit,
    /// The views of the schema reporting, row by row
    Report(report::Report),
}

/// How a command ended that did not do what was asked, or could not say so: one clear line. They are told apart by what
/// has become of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for cannot be: nothing was changed.
    #[error("{0}")]
    Bad(String),
    /// A use case refused: nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Nothing was changed, or no more than what was committed before.
    #[error("{0}")]
    Failed(Error),
    /// It is done and stands, but found what must not be.
    #[error("{0}")]
    Found(String),
    #[error("{0}")]
    Migrate(#[from] MigrateError),
    #[error("{0}")]
    Embedded(#[from] embedded_pg::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is done, but its answer could not be shown.
    #[error("{0}")]
    Untold(String),
    /// It is done, but for what was rejected.
    #[error("{0}")]
    Partly(String),
    /// The database's answer was lost: nobody knows whether it is done.
    #[error("{0}")]
    Lost(String),
    #[error("interrupted")]
    Interrupted,
    /// The same, of a command that does all or nothing.
    #[error("interrupted: {0}")]
    Undone(&'static str),
    /// Whoever read the answer has seen enough, as `| head` does.
    #[error("nobody reads the answer")]
    NoReader,
}

impl Failure {
    /// What the process ends with.
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Interrupted | Self::Undone(_) => 130,
            _ => 1,
        }
    }
}

pub use terminal::tell;

type Done = Result<(), Failure>;

impl Command {
    /// Reads the command line; ends the process where it is wrong.
    pub fn read() -> Self {
        let mut line = Self::command();
        let matches = line.get_matches_mut();
        let mut command = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut line).exit());
        command.asked = action::asked(&line, &matches);
        if command.global.output == Output::Csv && !command.verb.has_csv() {
            let only = "--output csv is for 'report' and 'inventory list'; other commands answer with table or json\n";
            clap::Error::raw(ErrorKind::InvalidValue, only).exit();
        }
        command
    }

    pub fn log_format(&self) -> LogFormat {
        self.global.log_format
    }

    /// Runs the command to its end, or until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When it is refused, fails or is interrupted; what it was to change is unchanged then, unless
    /// only its answer could not be written.
    pub async fn run(self) -> Done {
        // Before anything is started that would have to be stopped.
        if let Verb::Serve(settings) | Verb::Demo(settings) = &self.verb {
            settings.replica.options().map_err(Failure::Bad)?;
        }
        let stop = stop_signals()?;
        let database = Database::open(&self.global).await?;
        let db = db::for_command(&database.options);
        let context = Context {
            output: self.global.output,
            clock: Clock::watched(),
            db,
            stop,
            operator: self.global.operator.who(),
            action: self.verb.is_action().then_some(self.asked),
            made: OnceLock::new(),
            undone: self.verb.when_undone(),
        };
        let done = self.verb.run(&context, &database).await;
        // Connections first: a private PostgreSQL that stops would cut off what is on its way back to
        // the pool, and say so. A database that hangs does not keep the command from its end.
        let _ = tokio::time::timeout(FAREWELL, context.db.close()).await;
        // What is done is done, also where the private PostgreSQL does not stop as it should.
        if let Err(failure) = database.close().await {
            tracing::warn!("{failure}");
        }
        match done {
            Err(Failure::NoReader) => Ok(()),
            done => done,
        }
    }
}

/// Becomes true at the first SIGTERM or SIGINT.
fn stop_signals() -> Result<watch::Receiver<bool>, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tell.send(true)
    });
    Ok(told)
}

/// How long a command waits in the end: for the answer to a commit that is under way at a signal, for its outcome to be
/// recorded, and for its connections to close.
const FAREWELL: Duration = Duration::from_secs(5);

impl Verb {
    async fn run(self, context: &Context, database: &Database) -> Done {
        match self {
            // These stop by themselves, and finish what is in flight.
            Self::Demo(settings) => demo::run(&settings, database, context).await,
            Self::Serve(settings) => serve::run(&settings, database, context).await,
            Self::Migrate => context.unless_stopped(serve::migrate(database, context.output)).await,
            Self::Account(command) => context.once_ready(database, command.run(context)).await,
            Self::Inventory(command) => context.once_ready(database, command.run(context)).await,
            Self::Price(command) => context.once_ready(database, command.run(context)).await,
            Self::Number(command) => context.once_ready(database, command.run(context)).await,
            Self::Bill(command) => context.once_ready(database, command.run(context)).await,
            Self::Recycle(command) => context.once_ready(database, command.run(context)).await,
            Self::Audit => context.once_ready(database, audit::run(context)).await,
            Self::Report(command) => context.once_ready(database, command.run(context)).await,
        }
    }

    /// Whether it is an operator's action, which is recorded: whatever may change something. The schema
    /// has an account of its own, and what the service and the demo do by themselves is no operator's.
    fn is_action(&self) -> bool {
        use account::Account;
        use inventory::{Inventory, Threshold};
        match self {
            Self::Demo(_) | Self::Serve(_) | Self::Migrate | Self::Audit | Self::Report(_) => false,
            Self::Account(command) => !matches!(command, Account::List | Account::Show { .. }),
            Self::Inventory(Inventory::Import(import)) => !import.is_dry_run(),
            Self::Inventory(Inventory::List(_) | Inventory::Summary | Inventory::Threshold(Threshold::List)) => false,
            Self::Price(command) => !matches!(command, price::Price::List),
            Self::Number(command) => !matches!(command, number::Number::Show { .. }),
            Self::Inventory(_) | Self::Bill(_) | Self::Recycle(_) => true,
        }
    }

    /// What is said where it is interrupted before it has changed anything: of a command that may take long, and does
    /// all or nothing.
    fn when_undone(&self) -> Option<&'static str> {
        match self {
            Self::Inventory(inventory::Inventory::Import(_)) => Some("nothing was imported"),
            Self::Inventory(inventory::Inventory::Add { .. }) => Some("nothing was added"),
            _ => None,
        }
    }

    /// Whether its answer is rows and nothing else.
    fn has_csv(&self) -> bool {
        matches!(self, Self::Report(_) | Self::Inventory(inventory::Inventory::List(_)))
    }
}

/// What a command works with.
struct Context {
    output: Output,
    clock: Clock,
    db: Db,
    stop: watch::Receiver<bool>,
    operator: Operator,
    /// What is to be recorded; `None` where nothing is changed.
    action: Option<Action>,
    /// The account that the command made.
    made: OnceLock<AccountSid>,
    /// As [`Verb::when_undone`].
    undone: Option<&'static str>,
}

impl Context {
    /// Returns at SIGTERM or SIGINT.
    async fn stopped(&self) {
        // The sender goes only after it has told.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Does the work, or as much of it as is done at SIGTERM or SIGINT. Where PostgreSQL commits just then, its answer
    /// is waited for, for a while: cut off, it may commit or not.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let (work, mut commits) = telling(work);
        let mut work = pin!(work);
        // What is done is done, also where a signal came.
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = self.stopped() => {}
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = commits.wait_for(|commits| *commits != Commits::Asked) => {}
            () = tokio::time::sleep(FAREWELL) => {}
        }
        Err(self.interrupted(*commits.borrow()))
    }

    fn interrupted(&self, commits: Commits) -> Failure {
        match (commits, self.undone) {
            (Commits::Asked, _) => Error::Unknown("interrupted before it came".to_owned()).into(),
            (Commits::Answered, Some(_)) => Failure::Untold("it was interrupted before it could say so".to_owned()),
            (Commits::None, Some(undone)) => Failure::Undone(undone),
            (Commits::None | Commits::Answered, None) => Failure::Interrupted,
        }
    }

    /// What must be done before a server serves; `None` where it is told to stop meanwhile, as it may be for long.
    async fn before_serving<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<Option<T>, Failure> {
        match self.unless_stopped(work).await {
            Err(Failure::Interrupted) => Ok(None),
            done => done.map(Some),
        }
    }

    /// Compares the clock with the database's. Where that cannot be done, what comes next will say why.
    async fn compare_clock(&self) {
        if let Err(error) = db::clock::compare(&self.clock, &self.db).await {
            tracing::warn!("this machine's clock could not be compared with the database's: {error}");
        }
    }

    async fn once_ready(&self, database: &Database, work: impl Future<Output = Done>) -> Done {
        self.unless_stopped(database.ready()).await?;
        if self.action.is_some() {
            self.compare_clock().await;
        }
        match &self.action {
            Some(action) => action::recorded(self, action, work).await,
            None => self.unless_stopped(work).await,
        }
    }
}

/// Writes to standard output.
fn write_out(text: &str) -> Done {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn written(result: io::Result<()>) -> Done {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NoReader,
        _ => Failure::Untold(format!("the answer could not be written: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Command::command().debug_assert();
    }
}
