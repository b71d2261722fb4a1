//! Commands as operator actions: what was asked for, and the outcome.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::Value;

use super::{Context, Done, Failure};
use crate::operators::{self, Action, Outcome};

/// The words of the command, and the arguments from the command line or the environment. Arguments of all commands,
/// such as the database's URL, are left out.
pub fn asked(line: &clap::Command, matches: &ArgMatches) -> Action {
    let (mut command, mut given, mut words) = (line, matches, Vec::new());
    while let Some((name, below)) = given.subcommand() {
        let Some(found) = command.find_subcommand(name) else { break };
        (command, given) = (found, below);
        words.push(name);
    }
    let own =
        command.get_arguments().filter(|argument| !argument.is_global_set() && !argument.is_hide_env_values_set());
    let said = own.filter_map(|argument| Some((argument.get_id().to_string(), said(argument, given)?)));
    Action { words: words.join(" "), arguments: said.collect() }
}

fn said(argument: &Arg, given: &ArgMatches) -> Option<Value> {
    let id = argument.get_id().as_str();
    given.value_source(id).filter(|source| *source != ValueSource::DefaultValue)?;
    let mut values = given.get_raw(id)?.map(|value| value.to_string_lossy().into_owned());
    match argument.get_action() {
        ArgAction::SetTrue => Some(true.into()),
        ArgAction::Append => Some(values.collect::<Vec<_>>().into()),
        _ => values.next().map(Value::from),
    }
}

/// Does the work of an action, and has it recorded. A signal before its beginning is recorded leaves no record.
pub async fn recorded(context: &Context, action: &Action, work: impl Future<Output = Done>) -> Done {
    let Context { db, clock, operator, .. } = context;
    let begin = async { Ok(operators::begin(db, clock, operator, action).await?) };
    let begun = context.unless_stopped(begin).await?;
    let work = async { context.unless_stopped(work).await.map_err(|failure| plainly(action, failure)) };
    begun.around(db, clock, work, |done| (outcome(done), context.about())).await
}

/// Adds to a failure whether the action was done.
fn plainly(action: &Action, failure: Failure) -> Failure {
    match failure {
        Failure::Lost(cause) => {
            Failure::Lost(format!("whether this was done is not known, for {cause}: {}", remedy(action)))
        }
        Failure::Untold(why) => Failure::Untold(format!("this was done, but {why}")),
        failure => failure,
    }
}

/// How to find out whether an action was done, or how to repeat it safely.
fn remedy(action: &Action) -> String {
    let sid = action
        .arguments
        .get("account")
        .or_else(|| action.arguments.get("sid"))
        .and_then(Value::as_str)
        .unwrap_or("SID");
    let number = action.arguments.get("number").and_then(Value::as_str).unwrap_or("NUMBER");
    match action.words.as_str() {
        _ if action.arguments.contains_key("key") => "run it again: with its key it is done once".to_owned(),
        "account create" => "'numberbank account list' shows whether there is such an account, and \
            'numberbank account rotate-token SID' makes a token for it"
            .to_owned(),
        "account credit" | "account debit" => {
            format!("'numberbank account show {sid}' shows the balance, 'numberbank report ledger' its entries")
        }
        "account transfer" | "ledger reverse" => "'numberbank report ledger' shows the entries".to_owned(),
        "account rotate-token" => format!("make another token with 'numberbank account rotate-token {sid}'"),
        "key create" => {
            "'numberbank key list' shows whether there is such a key, and 'numberbank key delete SID' deletes \
            one whose secret nobody knows"
                .to_owned()
        }
        "key delete" => "'numberbank key list' shows whether it is still there".to_owned(),
        words if words.starts_with("account ") => format!("'numberbank account show {sid}' shows it"),
        words if words.starts_with("number ") => format!("'numberbank number show {number}' shows it"),
        "price set" | "price unset" => "'numberbank price list' shows it".to_owned(),
        // Commands of the inventory, `bill` and `recycle`: to repeat them is safe.
        words => format!("run 'numberbank {words}' again: what is done already is not done twice"),
    }
}

fn outcome(done: &Done) -> Outcome {
    match done {
        Ok(()) | Err(Failure::NoReader | Failure::Untold(_) | Failure::Partly(_) | Failure::Found(_)) => Outcome::Done,
        Err(Failure::Refused(why) | Failure::Bad(why) | Failure::Usage(why)) => Outcome::Refused(why.clone()),
        Err(Failure::Interrupted | Failure::Undone(_) | Failure::HalfDone(_)) => Outcome::Interrupted,
        Err(Failure::Lost(_)) => Outcome::Unknown,
        // Their texts come from PostgreSQL and the system. They go to standard error, not into the record.
        Err(Failure::Failed(_) | Failure::Migrate(_) | Failure::Embedded(_) | Failure::Io(_)) => Outcome::Failed,
    }
}
