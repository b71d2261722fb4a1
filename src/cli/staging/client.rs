//! The commands that control a world: each sends one request to it.

use std::env;

use clap::{Args, Subcommand};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use url::Url;

use super::TOKEN;
use crate::cli::options::Output;
use crate::cli::show::show;
use crate::cli::{Done, Failure};
use crate::staging::LONGEST_CHANGE;

/// The token of an account, as Twilio's own tools name it.
const AUTH_TOKEN: &str = "TWILIO_AUTH_TOKEN";

/// The largest answer that is read.
const LARGEST: usize = 8 * 1024 * 1024;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Take a snapshot of a world that runs; an older one of this name is replaced
    Snapshot {
        /// 1 to 64 letters, digits, dashes and underscores
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        world: Running,
    },
    /// Show the clock of a world that runs, or set it: what falls due on the way is done
    Clock {
        #[command(flatten)]
        change: Change,
        #[command(flatten)]
        world: Running,
    },
    /// Show the faults of a world that runs, or add or clear some
    Fault {
        #[command(flatten)]
        change: FaultChange,
        #[command(flatten)]
        world: Running,
    },
    /// Show the log of a world that runs: what was asked of it and answered, and what money moved
    Log {
        #[command(flatten)]
        entries: Entries,
        #[command(flatten)]
        world: Running,
    },
    /// Call a number of an account of a world that runs, and show what its program did
    Call {
        #[command(flatten)]
        call: Caller,
        #[command(flatten)]
        ends: Ends,
        #[command(flatten)]
        world: Running,
    },
    /// Send a message to a number of an account of a world that runs, and show what its program did
    Message {
        /// Its text
        #[arg(long, value_name = "TEXT", default_value = "")]
        body: String,
        #[command(flatten)]
        ends: Ends,
        #[command(flatten)]
        world: Running,
    },
    /// Take a world that runs back to a snapshot
    Reset {
        /// The snapshot [default: the state after the seed]
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
        /// Keep the log
        #[arg(long)]
        keep_log: bool,
        #[command(flatten)]
        world: Running,
    },
}

/// What becomes of a clock. It goes forward only.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct Change {
    /// Go on by so long, in ISO 8601, as in P1M; months are those of the calendar
    #[arg(long, value_name = "DURATION")]
    advance: Option<String>,
    /// Go on to this time, as in 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Stand still
    #[arg(long)]
    stand: bool,
    /// Run on
    #[arg(long)]
    run: bool,
}

/// What becomes of faults.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct FaultChange {
    /// Add one, in JSON, as in '{"on":{"route":"…/Local"},"do":{"cut":"after"}}'
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    add: Option<Value>,
    /// Clear the one with this id
    #[arg(long, value_name = "ID")]
    clear: Option<String>,
    /// Clear all
    #[arg(long)]
    clear_all: bool,
}

/// What a caller does.
#[derive(Args, Debug)]
pub struct Caller {
    /// What the caller does, as in 'press 1; speak 12; hang up'
    #[arg(long, value_name = "SCRIPT")]
    script: Option<String>,
    /// The name that a look-up finds
    #[arg(long, value_name = "NAME")]
    caller_name: Option<String>,
}

/// Who calls whom. The account's token is the variable TWILIO_AUTH_TOKEN.
#[derive(Args, Debug)]
pub struct Ends {
    /// The account that holds the number; its token is taken from TWILIO_AUTH_TOKEN
    #[arg(long, value_name = "ACCOUNT", env = "TWILIO_ACCOUNT_SID")]
    account: String,
    /// The number
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// Who calls or writes [default: 4155550100]
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// By which version of the API the program is requested [default: the number's]
    #[arg(long, value_name = "VERSION")]
    api_version: Option<String>,
    /// Let warnings count as errors
    #[arg(long)]
    strict: bool,
    /// Do not wait for the end: show the Sid only
    #[arg(long)]
    no_wait: bool,
}

impl Ends {
    async fn simulate(
        self,
        world: &Running,
        what: &str,
        more: impl Iterator<Item = (&'static str, Option<String>)>,
    ) -> Result<Value, Failure> {
        let token = env::var(AUTH_TOKEN)
            .map_err(|_| Failure::Bad(format!("the account's token is expected in {AUTH_TOKEN}")))?;
        let mut all = json!({ "To": self.to, "Strict": self.strict, "Wait": !self.no_wait });
        let given = [("From", self.from), ("ApiVersion", self.api_version)];
        for (name, value) in given.into_iter().chain(more).filter_map(|(name, value)| Some((name, value?))) {
            all[name] = Value::from(value);
        }
        let url = world.below(&["Accounts", &self.account, what])?;
        let call = |client: Client| client.post(url).basic_auth(&self.account, Some(token));
        world.ask(call, all.to_string()).await
    }
}

/// Which entries of a log are shown.
#[derive(Args, Debug)]
pub struct Entries {
    /// Only those of this kind, as in request or money
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only those about this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Only those after the entry of this number
    #[arg(long, value_name = "NUMBER")]
    since: Option<String>,
    /// With --wait: until there are this many entries [default: 1]
    #[arg(long, value_name = "N", requires = "wait")]
    count: Option<String>,
    /// Wait for so long at most, as in 5s
    #[arg(long, value_name = "SECONDS")]
    wait: Option<String>,
    /// Forget all entries and warnings
    #[arg(long, conflicts_with_all = ["kind", "account", "since", "wait"])]
    clear: bool,
}

impl Entries {
    async fn of(&self, world: &Running) -> Result<Value, Failure> {
        let Self { kind, account, since, count, wait, clear } = self;
        if *clear {
            return world.delete(&["log"]).await;
        }
        let named = [("kind", kind), ("account", account), ("since", since), ("count", count), ("wait", wait)];
        let query: Vec<_> = named.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        world.get_by("/staging/log", &query).await
    }
}

impl FaultChange {
    async fn done_to(&self, world: &Running) -> Result<Value, Failure> {
        match self {
            Self { add: Some(fault), .. } => world.post("/staging/faults", fault).await,
            Self { clear: Some(id), .. } => world.delete(&["faults", id]).await,
            Self { clear_all: true, .. } => world.delete(&["faults"]).await,
            Self { .. } => world.get("/staging/faults").await,
        }
    }
}

/// A world that runs. Its control token is the variable NUMBERBANK_STAGING_TOKEN.
#[derive(Args, Debug)]
pub struct Running {
    /// Where it listens, as in http://127.0.0.1:8010; its control token is taken from NUMBERBANK_STAGING_TOKEN
    #[arg(long, value_name = "URL", env = "NUMBERBANK_STAGING_URL", value_parser = url)]
    url: Url,
}

impl Command {
    pub async fn run(self, output: Output) -> Done {
        let answer = match self {
            Self::Clock { change, world } => match change.body() {
                Some(body) => world.post("/staging/clock", &body).await?,
                None => world.get("/staging/clock").await?,
            },
            Self::Fault { change, world } => change.done_to(&world).await?,
            Self::Call { call, ends, world } => {
                let script = [("Script", call.script), ("CallerName", call.caller_name)];
                ends.simulate(&world, "InboundCalls", script.into_iter()).await?
            }
            Self::Message { body, ends, world } => {
                ends.simulate(&world, "InboundMessages", [("Body", Some(body))].into_iter()).await?
            }
            Self::Log { entries, world } => entries.of(&world).await?,
            Self::Snapshot { name, world } => world.post("/staging/snapshots", &json!({ "name": name })).await?,
            Self::Reset { to, keep_log, world } => {
                world.post("/staging/reset", &json!({ "to": to, "keep_log": keep_log })).await?
            }
        };
        show(output, &if matches!(output, Output::Json) { answer.clone() } else { short(&answer) })?;
        match answer["outcome"].as_str() {
            Some(outcome @ ("error" | "limit")) => Err(Failure::Refused(format!("the outcome is {outcome}"))),
            _ => Ok(()),
        }
    }
}

/// An answer for people: requests without what is long.
fn short(answer: &Value) -> Value {
    let mut answer = answer.clone();
    let requests = answer.get_mut("requests").and_then(Value::as_array_mut);
    for request in requests.into_iter().flatten().filter_map(Value::as_object_mut) {
        for long in ["parameters", "signature", "headers", "body", "redirects"] {
            request.remove(long);
        }
    }
    answer
}

impl Change {
    /// As the world reads it; `None` if nothing is to change.
    fn body(&self) -> Option<Value> {
        match self {
            Self { advance: Some(advance), .. } => Some(json!({ "advance": advance })),
            Self { to: Some(to), .. } => Some(json!({ "to": to })),
            Self { stand: true, .. } => Some(json!({ "stand": true })),
            Self { run: true, .. } => Some(json!({ "run": true })),
            Self { .. } => None,
        }
    }
}

impl Running {
    async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.get_by(path, &[]).await
    }

    async fn get_by(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let mut url = self.at(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(Method::GET, url, String::new()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, self.at(path)?, body.to_string()).await
    }

    /// Deletes what is below `/staging` by these parts of a path.
    async fn delete(&self, parts: &[&str]) -> Result<Value, Failure> {
        self.send(Method::DELETE, self.below(parts)?, String::new()).await
    }

    fn below(&self, parts: &[&str]) -> Result<Url, Failure> {
        let mut url = self.at("/staging")?;
        url.path_segments_mut().map_err(|()| Failure::Bad(format!("{} has no paths", self.url)))?.extend(parts);
        Ok(url)
    }

    fn at(&self, path: &str) -> Result<Url, Failure> {
        self.url.join(path).map_err(|error| Failure::Bad(error.to_string()))
    }

    async fn send(&self, method: Method, url: Url, body: String) -> Result<Value, Failure> {
        let token =
            env::var(TOKEN).map_err(|_| Failure::Bad(format!("the world's control token is expected in {TOKEN}")))?;
        self.ask(|client| client.request(method, url).bearer_auth(token), body).await
    }

    async fn ask(&self, request: impl FnOnce(Client) -> RequestBuilder, body: String) -> Result<Value, Failure> {
        let failed = |error: reqwest::Error| {
            Failure::Bad(format!("the world at {} does not answer: {}", self.url, cause(&error)))
        };
        let client =
            Client::builder().no_proxy().redirect(Policy::none()).timeout(LONGEST_CHANGE).build().map_err(failed)?;
        let call = request(client).header(CONTENT_TYPE, "application/json").body(body);
        let mut response = call.send().await.map_err(failed)?;
        let (status, mut text) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            text.extend_from_slice(&chunk);
            if text.len() > LARGEST {
                return Err(Failure::Bad(format!("{} answers with more than a world would", self.url)));
            }
        }
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        match answer["message"].as_str() {
            _ if status.is_success() && answer.is_object() => Ok(answer),
            Some(message) => Err(Failure::Refused(message.to_owned())),
            None => Err(Failure::Bad(format!("{} is no staging world: it answers {status}", self.url))),
        }
    }
}

/// The innermost cause, which says most.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn json_text(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("JSON is expected: {error}"))
}

fn url(text: &str) -> Result<Url, &'static str> {
    let url = text.parse::<Url>().ok();
    url.filter(|url| url.scheme() == "http" && url.has_host())
        .ok_or("an http URL is expected, as in http://127.0.0.1:8010")
}
