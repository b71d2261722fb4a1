//! How a world is controlled over HTTP: JSON in and out, below a path of its own.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, ServiceConfig};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::control::{Control, Visit, world};
use super::refusals::{Refusal, answer};
use super::seed::Account;
use super::time::Asked;
use super::{SEEDED, World};
use crate::error::{Denied, Error as Failed};
use crate::web::form::LARGEST_BODY;
use crate::web::frame::{Face, Framed};
use crate::web::refused::{Fault, Refused};
use crate::web::routes::routes;
use crate::web::state::WorkerState;

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
    "/accounts" { POST make }
}

/// Adds this face to a server. Its routes have the indices from `first` on.
pub fn mount(config: &mut ServiceConfig, world: Arc<World>, first: usize) {
    config.app_data(world).service(tree(first));
}

/// Middleware: a request of the world waits while the world as a whole is changed, which in turn waits for it.
///
/// # Errors
/// Those of `next`.
pub async fn one_after_another(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.path().starts_with(TREE) {
        return next.call(request).await;
    }
    let world = world(request.request()).map_err(Denied::<Refused>::from)?;
    read_ahead(&mut request).await?;
    let _turn = world.turn().await;
    next.call(request).await
}

/// Reads the body before the request takes its turn, so that a slow sender does not hold up a reset. Stops after
/// [`LARGEST_BODY`] bytes: the handler refuses such a body.
async fn read_ahead(request: &mut ServiceRequest) -> Result<(), Denied<Refused>> {
    let (state, deadline) = (WorkerState::of(request.request())?, Framed::of(request.request())?.deadline);
    let (mut payload, mut chunks, mut size) = (request.take_payload(), Vec::new(), 0);
    let all = async {
        while size <= LARGEST_BODY
            && let Some(chunk) = payload.next().await
        {
            size += chunk.as_ref().map_or(LARGEST_BODY, Bytes::len);
            chunks.push(chunk);
        }
    };
    deadline.wait(state.clients.body_timeout, all).await.map_err(|time| Refused::from(Fault::SlowBody(time)))?;
    request.set_payload(Payload::Stream { payload: stream::iter(chunks).boxed_local() });
    Ok(())
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
}

async fn reset(visit: Visit) -> Result<HttpResponse, Refusal> {
    let to = visit.json::<Reset>()?.to.unwrap_or_else(|| SEEDED.to_owned());
    let (world, gate, name) = (Arc::clone(&visit.world), Arc::clone(&visit.state.gate), to.clone());
    to_its_end(&visit, async move { world.reset(&name, &gate).await }).await?;
    Ok(shown(StatusCode::OK, &json!({ "to": to })))
}

async fn make(Control(visit): Control) -> Result<HttpResponse, Refusal> {
    let account: Account = visit.json()?;
    let (world, gate) = (Arc::clone(&visit.world), Arc::clone(&visit.state.gate));
    let made = to_its_end(&visit, async move { world.make(&account, &gate).await }).await?;
    Ok(shown(StatusCode::CREATED, &made))
}

/// Does work that is not left half done if the client hangs up.
async fn to_its_end<T: 'static>(
    visit: &Visit,
    work: impl Future<Output = Result<T, Denied<super::Refused>>> + 'static,
) -> Result<T, Refusal> {
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
