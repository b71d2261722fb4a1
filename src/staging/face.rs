//! How a world is controlled over HTTP: JSON in and out, below a path of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::{Bytes, Path, ServiceConfig, get};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::control::{Control, Visit, world};
use super::faults::Rule;
use super::log::{Filter, KINDS};
use super::refusals::{Refusal, answer};
use super::seed::Account;
use super::simulations::face as simulated;
use super::time::Asked;
use super::{SEEDED, World};
use crate::error::{Denied, Error as Failed, Limit};
use crate::web::frame::Face;
use crate::web::params::Params;
use crate::web::refused::Refused;
use crate::web::routes::{resource, routes};

/// The root of the paths.
pub const TREE: &str = "/staging";

/// This face, as the frame knows it.
pub const FACE: Face =
    Face { tree: TREE, refusal: answer, has_sub_accounts: false, has_keys: false, reads_multipart: false };

/// How long a change of the whole world may take: a large one takes longer than other requests may.
pub const LONGEST_CHANGE: Duration = Duration::from_mins(5);

routes! {
    TREE, nothing;
    "/health" { GET health }
    "/world" { GET show }
    "/clock" { GET clock, POST set_clock }
    "/snapshots" { GET snapshots, POST take }
    "/reset" { POST reset }
    "/faults" { GET faults, POST add_fault, DELETE clear_faults }
    "/faults/{id}" { GET fault, DELETE clear_fault }
    "/log" { GET log, DELETE clear_log }
    "/accounts" { POST make }
    "/Accounts/{AccountSid}/InboundCalls" { GET simulated::calls, POST simulated::call }
    "/Accounts/{AccountSid}/InboundCalls/{Sid}" { GET simulated::show_call }
    "/Accounts/{AccountSid}/InboundMessages" { GET simulated::messages, POST simulated::message }
    "/Accounts/{AccountSid}/InboundMessages/{Sid}" { GET simulated::show_message }
    "/recordings/{seconds}/{Sid}" { GET simulated::recording }
}

/// The resources of a version of the API that only a world has.
pub const ADDED: &[(&str, &[&str])] = &[
    ("/2008-08-01/Accounts/{AccountSid}/Notifications", &["GET"]),
    ("/2008-08-01/Accounts/{AccountSid}/Notifications/{Sid}", &["GET"]),
    ("/2008-08-01/Accounts/{AccountSid}/Calls/{CallSid}/Notifications", &["GET"]),
];

/// Adds this face to a server, before the versions of the API. Its routes have the indices from `first` on: those of
/// [`ROUTES`], then those of [`ADDED`].
pub fn mount(config: &mut ServiceConfig, world: Arc<World>, first: usize) {
    let added = first + ROUTES.len();
    let handlers = [
        get().to(simulated::notifications),
        get().to(simulated::notification),
        get().to(simulated::notifications_of_call),
    ];
    config.app_data(world);
    for (at, ((path, methods), handler)) in ADDED.iter().zip(handlers).enumerate() {
        config.service(resource(added + at, path, methods).route(handler));
    }
    config.service(tree(first));
}

async fn health(request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let world = world(&request)?;
    world.snapshots().await?;
    Ok(shown(StatusCode::OK, &json!({ "status": "ready", "world": world.name })))
}

async fn show(visit: Visit) -> Result<HttpResponse, Refusal> {
    Ok(shown(StatusCode::OK, &visit.world.shown().await?))
}

async fn clock(visit: Visit) -> Result<HttpResponse, Refusal> {
    Ok(shown(StatusCode::OK, &visit.world.shown_clock()))
}

async fn set_clock(visit: Visit) -> Result<HttpResponse, Refusal> {
    let change = visit.json::<Asked>()?.change()?;
    let world = Arc::clone(&visit.world);
    let changed = to_its_end(&visit, async move { world.change_clock(change).await }).await?;
    Ok(shown(StatusCode::OK, &changed))
}

async fn snapshots(Control(visit): Control) -> Result<HttpResponse, Refusal> {
    Ok(shown(StatusCode::OK, &json!({ "snapshots": visit.world.snapshots().await? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Take {
    name: String,
}

async fn take(Control(visit): Control) -> Result<HttpResponse, Refusal> {
    let Take { name } = visit.json()?;
    let world = Arc::clone(&visit.world);
    let taken = to_its_end(&visit, async move { world.take(&name).await }).await?;
    Ok(shown(StatusCode::CREATED, &taken))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    to: Option<String>,
    #[serde(default)]
    keep_log: bool,
}

async fn reset(visit: Visit) -> Result<HttpResponse, Refusal> {
    let Reset { to, keep_log } = visit.json()?;
    let to = to.unwrap_or_else(|| SEEDED.to_owned());
    let (world, gate, name) = (Arc::clone(&visit.world), Arc::clone(&visit.state.gate), to.clone());
    to_its_end(&visit, async move { world.reset(&name, keep_log, &gate).await }).await?;
    Ok(shown(StatusCode::OK, &json!({ "to": to })))
}

async fn make(Control(visit): Control) -> Result<HttpResponse, Refusal> {
    let account: Account = visit.json()?;
    let (world, gate) = (Arc::clone(&visit.world), Arc::clone(&visit.state.gate));
    let made = to_its_end(&visit, async move { world.make(&account, &gate).await }).await?;
    Ok(shown(StatusCode::CREATED, &made))
}

async fn faults(visit: Visit) -> Result<HttpResponse, Refusal> {
    Ok(shown(StatusCode::OK, &json!({ "faults": visit.world.faults.shown() })))
}

async fn add_fault(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (rule, world) = (visit.json::<Rule>()?, Arc::clone(&visit.world));
    let fault = to_its_end(&visit, async move { world.add_fault(rule).await }).await?;
    Ok(shown(StatusCode::CREATED, &fault))
}

async fn fault(visit: Visit, id: Path<String>) -> Result<HttpResponse, Refusal> {
    let fault = visit.world.faults.shown().into_iter().find(|fault| fault.id == *id);
    Ok(shown(StatusCode::OK, &fault.ok_or_else(|| super::Refused::NoFault(id.into_inner()))?))
}

async fn clear_faults(visit: Visit) -> Result<HttpResponse, Refusal> {
    let world = Arc::clone(&visit.world);
    let cleared = to_its_end(&visit, async move { world.clear_faults(None).await }).await?;
    Ok(shown(StatusCode::OK, &json!({ "cleared": cleared })))
}

async fn clear_fault(visit: Visit, id: Path<String>) -> Result<HttpResponse, Refusal> {
    let world = Arc::clone(&visit.world);
    let cleared = to_its_end(&visit, async move { world.clear_faults(Some(&id)).await }).await?;
    Ok(shown(StatusCode::OK, &json!({ "cleared": cleared })))
}

/// The longest wait for entries of the log.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

async fn log(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (filter, count, wait) = asked_for(&visit.query)?;
    let world = &visit.world;
    let turn = world.turn().await;
    world.note_changes().await;
    drop(turn);
    if !wait.is_zero() {
        let _waiting = world.waiting.try_acquire().map_err(|_| full())?;
        let _ = visit.deadline.wait(LONGEST_WAIT * 2, world.log.wait(&filter, count, wait)).await;
    }
    large(world, world.log.read(&filter))
}

/// The refusal of what is too much at once.
fn full() -> Failed {
    Failed::TooMany { of: Limit::UnderWay, wait: Duration::from_secs(1) }
}

/// An answer in JSON that may be large: few of those are on their way at a time, each written as its client takes it.
pub(super) fn large(world: &World, text: String) -> Result<HttpResponse, Refusal> {
    if text.len() <= LARGEST_PART {
        return Ok(HttpResponse::Ok().content_type(ContentType::json()).body(text));
    }
    let unread = |_| Failed::TooMany { of: Limit::Unread, wait: Duration::from_secs(1) };
    let permit = Arc::clone(&world.large).try_acquire_owned().map_err(unread)?;
    let text = Bytes::from(text);
    let size = text.len() as u64;
    let parts = stream::unfold((text, permit), |(mut text, permit)| async {
        let part = text.split_to(text.len().min(LARGEST_PART));
        (!part.is_empty()).then_some((Ok::<_, Infallible>(part), (text, permit)))
    });
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(SizedStream::new(size, Box::pin(parts))))
}

/// The most of a large answer that is written at a time, in bytes.
const LARGEST_PART: usize = 64 * 1024;

/// What a query asks of the log: which entries, how many of them to wait for, and how long.
fn asked_for(query: &Params) -> Result<(Filter, usize, Duration), super::Refused> {
    let (mut filter, mut count, mut wait) = (Filter::default(), 1, Duration::ZERO);
    for (name, value) in query.pairs() {
        let refused = |expected: &str| super::Refused::Parameter { name: name.clone(), expected: expected.to_owned() };
        match name.as_str() {
            "kind" => {
                let kind = KINDS.into_iter().find(|kind| kind == value);
                filter.kind = Some(kind.ok_or_else(|| refused(&format!("one of {}", KINDS.join(", "))))?);
            }
            "account" => filter.account = Some(value.parse().map_err(|_| refused("the Sid of an account"))?),
            "since" => filter.since = value.parse().map_err(|_| refused("the number of an entry"))?,
            "count" => count = value.parse().map_err(|_| refused("a number of entries"))?,
            "wait" => {
                let seconds: Option<u64> = value.strip_suffix('s').unwrap_or(value).parse().ok();
                let longest = seconds.map(Duration::from_secs).filter(|wait| *wait <= LONGEST_WAIT);
                wait = longest.ok_or_else(|| refused("a time of up to 60 seconds, as in 5s,"))?;
            }
            _ => return Err(refused("one of kind, account, since, wait and count")),
        }
    }
    Ok((filter, count, wait))
}

async fn clear_log(visit: Visit) -> Result<HttpResponse, Refusal> {
    visit.world.log.clear();
    Ok(shown(StatusCode::OK, &json!({ "cleared": true })))
}

/// Does work that is not left half done if the client hangs up, when its turn comes.
async fn to_its_end<T: 'static>(
    visit: &Visit,
    work: impl Future<Output = Result<T, Denied<super::Refused>>> + 'static,
) -> Result<T, Refusal> {
    let queued = Arc::clone(&visit.world.changes).try_acquire_owned().map_err(|_| full())?;
    let work = async {
        let _queued = queued;
        work.await
    };
    let done = visit.deadline.wait(LONGEST_CHANGE, actix_web::rt::spawn(work)).await;
    let done = done.map_err(|_| Failed::Internal("a change of the whole world did not end".to_owned()))?;
    Ok(done.map_err(|error| Failed::Internal(error.to_string()))??)
}

fn shown(status: StatusCode, what: &impl Serialize) -> HttpResponse {
    let body = serde_json::to_string(what).unwrap_or_default();
    HttpResponse::build(status).content_type(ContentType::json()).body(format!("{body}\n"))
}

async fn nothing() -> Result<HttpResponse, Refusal> {
    Err(Refused::NotFound.into())
}
