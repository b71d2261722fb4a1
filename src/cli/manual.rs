//! The help of every command: what its values are called, and an example. Completions for shells, and manual pages.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man as Page;

use super::{Command, Done, Failure, write_out};

/// What an argument without a help of its own means.
const MEANINGS: [(&str, &str); 9] = [
    ("account", "A Sid or its beginning (6 characters or more), a ref, or a name"),
    ("number", "A number in any spelling, or the Sid of one that was ever sold"),
    ("numbers", "Numbers in any spelling, or ranges, as in 4158670000-4158670099"),
    ("ranges", "Numbers in any spelling, or ranges, as in 4158670000-4158670099"),
    ("kind", "Which kind of number"),
    ("area_code", "Three digits"),
    ("count", "How many numbers"),
    ("sid", "PN and 32 hex digits"),
    ("shell", "Which shell"),
];

/// What values are called, by the argument's name, where it does not say so itself.
const VALUES: [(&str, &str); 8] = [
    ("amount", "DOLLARS"),
    ("balance", "DOLLARS"),
    ("price", "DOLLARS"),
    ("monthly_cost", "DOLLARS"),
    ("sid", "SID"),
    ("count", "NUMBERS"),
    ("note", "TEXT"),
    ("key", "KEY"),
];

/// An example of each command.
const EXAMPLES: [(&str, &str); 54] = [
    ("demo", "numberbank demo --bind 127.0.0.1:8008"),
    ("serve", "numberbank serve --bind 127.0.0.1:8008 --database-url postgres://numberbank@db.internal/numberbank"),
    ("migrate", "numberbank migrate --database-url postgres://numberbank@db.internal/numberbank"),
    ("staging", "numberbank staging --seed seed.json --bind 127.0.0.1:0"),
    ("staging snapshot", "numberbank staging snapshot paid --url http://127.0.0.1:8010"),
    ("staging clock", "numberbank staging clock --advance P1M --url http://127.0.0.1:8010"),
    ("staging fault", "numberbank staging fault --add '{\"do\":{\"cut\":\"after\"}}' --url http://127.0.0.1:8010"),
    ("staging log", "numberbank staging log --kind money --wait 5s --url http://127.0.0.1:8010"),
    (
        "staging call",
        "numberbank staging call --account ACe4c13564edc11e8e3cbbc2ba66880340 --to 4158675309 --script 'press 1; hang up' \
        --url http://127.0.0.1:8010",
    ),
    (
        "staging message",
        "numberbank staging message --account ACe4c13564edc11e8e3cbbc2ba66880340 --to 4158675309 --body HELP \
        --url http://127.0.0.1:8010",
    ),
    ("staging reset", "numberbank staging reset --to paid --url http://127.0.0.1:8010"),
    ("account create", "numberbank account create --name 'Acme Inc' --balance 100.00"),
    ("account list", "numberbank account list --output csv"),
    ("account find", "numberbank account find acme"),
    ("account show", "numberbank account show 'Acme Inc'"),
    ("account set", "numberbank account set ACe536df --name 'Acme Ltd'"),
    ("account numbers", "numberbank account numbers 'Acme Inc'"),
    ("account ledger", "numberbank account ledger 'Acme Inc' --since -1month --kind monthly_fee"),
    ("account credit", "numberbank account credit 'Acme Inc' 25.00 --note 'invoice 17'"),
    ("account debit", "numberbank account debit 'Acme Inc' 5.00 --note 'paid out'"),
    ("account transfer", "numberbank account transfer 'Acme Inc' 'Acme Ltd' 25.00"),
    ("account suspend", "numberbank account suspend 'Acme Inc'"),
    ("account activate", "numberbank account activate 'Acme Inc'"),
    ("account close", "numberbank account close 'Acme Inc' --release-numbers"),
    ("account rotate-token", "numberbank account rotate-token 'Acme Inc'"),
    ("key create", "numberbank key create 'Acme Inc' --name billing"),
    ("key list", "numberbank key list --account 'Acme Inc'"),
    ("key delete", "numberbank key delete SK2a0747eba6abf96b7e3c3ff0b4530f6e"),
    ("ledger reverse", "numberbank ledger reverse 4711 --note 'wrong account'"),
    ("inventory add", "numberbank inventory add 4158670000-4158679999 '(800) 555-0100'"),
    ("inventory list", "numberbank inventory list --area-code 415 --state available --limit 20"),
    ("inventory summary", "numberbank inventory summary"),
    ("inventory set", "numberbank inventory set 4158670000-4158670099 --provider Bell --monthly-cost 0.35"),
    ("inventory withdraw", "numberbank inventory withdraw 4158670000 '(415) 867-0001'"),
    ("inventory return", "numberbank inventory return 4158670000-4158670009"),
    ("inventory retire", "numberbank inventory retire 4158670000 --reason ported-out"),
    ("inventory threshold list", "numberbank inventory threshold list"),
    ("inventory threshold set", "numberbank inventory threshold set 415 100"),
    ("price list", "numberbank price list"),
    ("price set", "numberbank price set local 1.15"),
    ("price unset", "numberbank price unset local --account 'Acme Inc'"),
    ("price history", "numberbank price history"),
    ("number show", "numberbank number show '(415) 867-1531'"),
    ("number release", "numberbank number release 4158671531 --note 'asked by phone'"),
    ("number assign", "numberbank number assign 4158671531 --account 'Acme Inc' --price 0.50"),
    ("number move", "numberbank number move 4158671531 --to 'Acme Ltd'"),
    ("number restore", "numberbank number restore PNe536dfda7c6184afab78d980cb8cdf43"),
    ("bill", "numberbank bill --grace 14"),
    ("recycle", "numberbank recycle --quarantine-local 45"),
    ("audit", "numberbank audit"),
    ("report", "numberbank report ledger --account 'Acme Inc' --since 2026-11-01 --output csv"),
    ("completions", "numberbank completions bash > ~/.local/share/bash-completion/completions/numberbank"),
    ("man", "numberbank man account close | man -l -"),
    ("inventory import", "numberbank inventory import numbers.csv --dry-run"),
];

/// The command line with what every command's help has.
pub fn finished(line: clap::Command) -> clap::Command {
    with_help(line, "")
}

fn with_help(command: clap::Command, path: &str) -> clap::Command {
    let command = command.mut_args(|argument| {
        let own = argument
            .get_value_names()
            .is_some_and(|names| names[0].as_str() != argument.get_id().as_str().to_uppercase());
        let called = VALUES.iter().find(|(id, _)| *id == argument.get_id().as_str() && !own);
        let meaning = MEANINGS.iter().find(|(id, _)| *id == argument.get_id().as_str()).map(|(_, meaning)| *meaning);
        let meaning = meaning.filter(|_| argument.get_help().is_none());
        let argument = match called {
            Some((_, name)) if argument.get_action().takes_values() => argument.value_name(*name),
            _ => argument,
        };
        if let Some(meaning) = meaning { argument.help(meaning) } else { argument }
    });
    let example = EXAMPLES.iter().find(|(of, _)| *of == path).filter(|_| command.get_after_help().is_none());
    let command = match example {
        Some((_, example)) => command.after_help(format!("Example: {example}")),
        None => command,
    };
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        with_help(below, path.trim_start())
    })
}

#[derive(Args, Debug)]
pub struct Completions {
    #[arg(value_name = "SHELL", value_parser = PossibleValuesParser::new(["bash", "zsh", "fish"]))]
    shell: String,
}

impl Completions {
    pub fn run(&self) -> Done {
        let shell: Shell = self.shell.parse().map_err(Failure::Bad)?;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut finished(Command::command()), "numberbank", &mut script);
        write_out(&String::from_utf8_lossy(&script))
    }
}

#[derive(Args, Debug)]
pub struct Man {
    /// The command, as in: account close [default: numberbank itself]
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "words")]
    to: Option<PathBuf>,
}

impl Man {
    pub fn run(&self) -> Done {
        let mut line = finished(Command::command());
        if let Some(folder) = &self.to {
            return Ok(clap_mangen::generate_to(line, folder)?);
        }
        line.build();
        let found = self.words.iter().try_fold(&line, |command, word| command.find_subcommand(word));
        let command = found.ok_or_else(|| Failure::Usage(format!("there is no command '{}'", self.words.join(" "))))?;
        let mut page = Vec::new();
        Page::new(command.clone()).render(&mut page)?;
        write_out(&String::from_utf8_lossy(&page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line, as a shell takes them.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for c in line.chars() {
            match c {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    fn leaves<'a>(command: &'a clap::Command, path: &str, found: &mut Vec<(String, &'a clap::Command)>) {
        if command.get_subcommands().next().is_none() {
            found.push((path.to_owned(), command));
        }
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            leaves(below, format!("{path} {}", below.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_an_example_that_it_reads() {
        let line = finished(Command::command());
        let mut commands = Vec::new();
        leaves(&line, "", &mut commands);
        assert!(commands.len() > 20);
        for (path, command) in commands {
            let help = command.get_after_help().unwrap_or_else(|| panic!("{path} has no example")).to_string();
            let example = EXAMPLES.iter().find(|(of, _)| *of == path).map_or("", |(_, example)| example);
            assert!(help.contains(example) && example.contains(&path), "{path}: {help}");
            let example = example.split(['>', '|']).next().unwrap_or_default().trim_end();
            let read = finished(Command::command()).try_get_matches_from(words(example));
            assert!(read.is_ok(), "{path}: {}", read.unwrap_err());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path}: '{}' has no help", argument.get_id());
            }
        }
    }

    #[test]
    fn global_options_have_a_heading_of_their_own() {
        let mut line = finished(Command::command());
        line.build();
        let mut commands = Vec::new();
        leaves(&line, "", &mut commands);
        for (path, command) in commands {
            for argument in command.get_arguments().filter(|argument| argument.is_global_set()) {
                assert_eq!(argument.get_help_heading(), Some("Global options"), "{path} {}", argument.get_id());
            }
            let mut own = command.get_arguments().filter(|argument| !argument.is_global_set());
            assert!(own.all(|argument| argument.get_help_heading() != Some("Global options")), "{path}");
        }
    }
}
