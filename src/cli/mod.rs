//! The command line: one file for each family of commands.

use std::sync::Mutex;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::LogFormat;
use crate::db;
use crate::operators::Action;

mod account;
mod action;
mod audit;
mod confirm;
mod context;
mod database;
mod demo;
mod failure;
mod front;
mod import;
mod inventory;
mod key;
mod ledger;
mod lists;
mod manual;
mod moving;
mod number;
pub mod options;
mod price;
mod refusals;
mod report;
mod rows;
mod runs;
mod screen;
mod secret;
mod serve;
mod show;
mod staging;
mod table;
mod terminal;
mod times;

use context::{Context, FAREWELL, stop_signals};
use database::Database;
use options::{Global, Output};

/// A self-hosted, multi-tenant phone number registry that speaks Twilio's IncomingPhoneNumbers API, 2008-08-01 and 2010-04-01
#[derive(Parser, Debug)]
#[command(name = "numberbank", version, max_term_width = 120)]
pub struct Command {
    #[command(flatten, next_help_heading = "Global options")]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
    #[arg(skip)]
    asked: Action,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Try it out: serve, and if the database is empty, make a demo account and demo stock
    Demo(options::Serve),
    /// Bring the schema up to date and serve until SIGTERM or SIGINT
    Serve(options::Serve),
    /// Bring the schema up to date and stop
    Migrate,
    /// Serve a world to test against: nothing in it is real. Its control token is taken from NUMBERBANK_STAGING_TOKEN;
    /// without it, one is made and printed
    Staging(staging::Staging),
    /// Accounts and their money
    #[command(subcommand)]
    Account(account::Account),
    /// API keys: further user names and passwords of an account, each of which can be deleted by itself
    #[command(subcommand)]
    Key(key::ApiKey),
    /// Entries of the ledger
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// The stock of numbers
    #[command(subcommand)]
    Inventory(inventory::Inventory),
    /// The prices of the next sales
    #[command(subcommand)]
    Price(price::Price),
    /// A number and the accounts that held it
    #[command(subcommand)]
    Number(number::Number),
    /// Charge the monthly fees that are due; it is safe to run it again, or twice at once
    Bill(runs::Bill),
    /// Put numbers on sale again whose quarantine has ended
    Recycle(runs::Recycle),
    /// Check that money and stock add up
    Audit(audit::Audit),
    /// The views of the schema reporting, row by row
    Report(report::Report),
    /// Print what completes commands in a shell
    Completions(manual::Completions),
    /// Print the manual's page of a command
    Man(manual::Man),
}

use failure::Done;
pub use failure::Failure;
pub use terminal::tell;
use terminal::{write_out, written};

const NO_WORLD: &str = "--world is for commands that work on a world: 'numberbank staging --name NAME' serves it";

impl Command {
    /// Reads the command line. Ends the process if it is wrong.
    pub fn read() -> Self {
        let mut line = manual::finished(Self::command());
        let matches = line.get_matches_mut();
        let mut command = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut line).exit());
        command.asked = action::asked(&line, &matches);
        if command.global.output() == Output::Csv && !command.verb.has_csv() {
            let only =
                "--output csv is for lists, as of 'report' and 'inventory list'; others answer with table or json\n";
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
    /// If it is refused, fails or is interrupted: see [`Failure`].
    pub async fn run(self) -> Done {
        let done = match self.verb {
            Verb::Completions(completions) => completions.run(),
            Verb::Man(man) => man.run(),
            Verb::Serve(_) | Verb::Demo(_) | Verb::Migrate | Verb::Staging(_) if self.global.world.is_some() => {
                Err(Failure::Usage(NO_WORLD.to_owned()))
            }
            Verb::Staging(staging) => staging.run(&self.global).await,
            verb => Self { verb, ..self }.work().await,
        };
        match done {
            Err(Failure::NoReader) => Ok(()),
            done => done,
        }
    }

    /// Runs a command that needs the database.
    async fn work(self) -> Done {
        // Checked before anything is started that would have to be stopped.
        if let Verb::Serve(settings) | Verb::Demo(settings) = &self.verb {
            settings.replica.options().map_err(Failure::Bad)?;
        }
        let stop = stop_signals()?;
        let database = Database::open(&self.global).await?;
        let db = db::for_command(&database.options);
        let context = Context {
            output: self.global.output(),
            clock: database.clock.clone(),
            world: database.world,
            db,
            stop,
            operator: self.global.operator.who(),
            action: self.verb.is_action().then_some(self.asked),
            about: Mutex::default(),
            undone: self.verb.when_undone(),
            so_far: Mutex::default(),
        };
        let done = self.verb.run(&context, &database).await;
        // Closes the connections before the private PostgreSQL stops, which would cut off those in use and log that.
        // The timeout is for a database that hangs.
        let _ = tokio::time::timeout(FAREWELL, context.db.close()).await;
        // The command is done, even if the private PostgreSQL does not stop properly.
        if let Err(failure) = database.close().await {
            tracing::warn!("{failure}");
        }
        done
    }
}

impl Verb {
    async fn run(self, context: &Context, database: &Database) -> Done {
        match self {
            // These two handle signals themselves, and finish the requests under way.
            Self::Demo(settings) => demo::run(&settings, database, context).await,
            Self::Serve(settings) => serve::run(&settings, database, context).await,
            Self::Migrate => context.unless_stopped(serve::migrate(database, context.output)).await,
            Self::Account(command) => context.once_ready(database, command.run(context)).await,
            Self::Key(command) => context.once_ready(database, command.run(context)).await,
            Self::Ledger(command) => context.once_ready(database, command.run(context)).await,
            Self::Inventory(command) => context.once_ready(database, command.run(context)).await,
            Self::Price(command) => context.once_ready(database, command.run(context)).await,
            Self::Number(command) => context.once_ready(database, command.run(context)).await,
            Self::Bill(command) => context.once_ready(database, command.run(context)).await,
            Self::Recycle(command) => context.once_ready(database, command.run(context)).await,
            Self::Audit(command) => context.once_ready(database, command.run(context)).await,
            Self::Report(command) => context.once_ready(database, command.run(context)).await,
            // They need no database.
            Self::Completions(completions) => completions.run(),
            Self::Man(man) => man.run(),
            Self::Staging(_) => Ok(()),
        }
    }

    /// Whether it is an operator's action, which is recorded: any command that may change something. Not `migrate`,
    /// because the schema has a record of its own; nor `serve` and `demo`, which no operator directs.
    fn is_action(&self) -> bool {
        use account::Account;
        use inventory::{Inventory, Threshold};
        match self {
            Self::Demo(_) | Self::Serve(_) | Self::Migrate | Self::Audit(_) | Self::Report(_) => false,
            Self::Completions(_) | Self::Man(_) | Self::Staging(_) => false,
            Self::Account(command) => !matches!(
                command,
                Account::List { .. }
                    | Account::Show { .. }
                    | Account::Find(_)
                    | Account::Numbers(_)
                    | Account::Ledger(_)
            ),
            Self::Key(command) => !matches!(command, key::ApiKey::List { .. }),
            Self::Inventory(Inventory::Import(import)) => !import.is_dry_run(),
            Self::Inventory(Inventory::List(_) | Inventory::Summary | Inventory::Threshold(Threshold::List)) => false,
            Self::Price(command) => !matches!(command, price::Price::List { .. } | price::Price::History { .. }),
            Self::Number(command) => !matches!(command, number::Number::Show { .. }),
            Self::Bill(bill) => !bill.is_dry_run(),
            Self::Recycle(recycle) => !recycle.is_dry_run(),
            Self::Ledger(_) | Self::Inventory(_) => true,
        }
    }

    /// For commands that may take long and do all or nothing: what they say if they are interrupted before they have
    /// changed anything.
    fn when_undone(&self) -> Option<&'static str> {
        match self {
            Self::Inventory(inventory::Inventory::Import(_)) => Some("nothing was imported"),
            Self::Inventory(inventory::Inventory::Add { .. }) => Some("nothing was added"),
            Self::Inventory(
                inventory::Inventory::Withdraw(_)
                | inventory::Inventory::Return(_)
                | inventory::Inventory::Retire(_)
                | inventory::Inventory::Set(_),
            ) => Some("nothing was changed"),
            _ => None,
        }
    }

    /// Whether its answer consists of rows only.
    fn has_csv(&self) -> bool {
        use account::Account;
        use inventory::{Inventory, Threshold};
        match self {
            Self::Report(_) => true,
            Self::Account(command) => {
                matches!(command, Account::List { .. } | Account::Find(_) | Account::Numbers(_) | Account::Ledger(_))
            }
            Self::Key(command) => matches!(command, key::ApiKey::List { .. }),
            Self::Inventory(Inventory::List(_) | Inventory::Summary | Inventory::Threshold(Threshold::List)) => true,
            Self::Price(command) => matches!(command, price::Price::List { .. } | price::Price::History { .. }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::manual::finished(super::Command::command()).debug_assert();
    }
}
