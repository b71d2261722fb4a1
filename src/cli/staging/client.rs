//! The commands that control a world: each sends one request to it.

use std::env;

use clap::{Args, Subcommand};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use url::Url;

use super::TOKEN;
use crate::cli::options::Output;
use crate::cli::show::show;
use crate::cli::{Done, Failure};
use crate::staging::LONGEST_CHANGE;

/// The largest answer that is read.
const LARGEST: usize = 1024 * 1024;

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
    /// Take a world that runs back to a snapshot
    Reset {
        /// The snapshot [default: the state after the seed]
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
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

/// A world that runs. Its control token is the variable NUMBERBANK_STAGING_TOKEN.
#[derive(Args, Debug)]
pub struct Running {
    /// Where it listens, as in http://127.0.0.1:8010; its control token is taken from NUMBERBANK_STAGING_TOKEN
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Url,
}

impl Command {
    pub async fn run(self, output: Output) -> Done {
        let answer = match self {
            Self::Clock { change, world } => match change.body() {
                Some(body) => world.post("/staging/clock", &body).await?,
                None => world.get("/staging/clock").await?,
            },
            Self::Snapshot { name, world } => world.post("/staging/snapshots", &json!({ "name": name })).await?,
            Self::Reset { to: None, world } => world.post("/staging/reset", &json!({})).await?,
            Self::Reset { to, world } => world.post("/staging/reset", &json!({ "to": to })).await?,
        };
        show(output, &answer)
    }
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
        self.send(Method::GET, path, String::new()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, body.to_string()).await
    }

    async fn send(&self, method: Method, path: &str, body: String) -> Result<Value, Failure> {
        let token =
            env::var(TOKEN).map_err(|_| Failure::Bad(format!("the world's control token is expected in {TOKEN}")))?;
        let url = self.url.join(path).map_err(|error| Failure::Bad(error.to_string()))?;
        let failed = |error: reqwest::Error| {
            Failure::Bad(format!("the world at {} does not answer: {}", self.url, cause(&error)))
        };
        let client =
            Client::builder().no_proxy().redirect(Policy::none()).timeout(LONGEST_CHANGE).build().map_err(failed)?;
        let call = client.request(method, url).bearer_auth(token).header(CONTENT_TYPE, "application/json").body(body);
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

fn url(text: &str) -> Result<Url, &'static str> {
    let url = text.parse::<Url>().ok();
    url.filter(|url| url.scheme() == "http" && url.has_host())
        .ok_or("an http URL is expected, as in http://127.0.0.1:8010")
}
