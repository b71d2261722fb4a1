//! The middlewares around each request to the API of a world: turns, faults and the log.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::body::{BodyStream, BoxBody, MessageBody, SizedStream, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{ContentType, HeaderName, HeaderValue, TryIntoHeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpResponse};
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use super::control::{admitted, world};
use super::faults::{Act, Met, Sight, Spoilt, Stage};
use super::{TREE, World};
use crate::accounts::Principal;
use crate::error::Denied;
use crate::values::phone::PhoneNumber;
use crate::values::sid::AccountSid;
use crate::values::text::short;
use crate::web::caller::credentials;
use crate::web::connections::Slot;
use crate::web::exception::Exception;
use crate::web::form::{LARGEST_BODY, parsed};
use crate::web::frame::Framed;
use crate::web::observe::{RefusedBy, Replayed};
use crate::web::params::Params;
use crate::web::refused::{Fault, Refused};
use crate::web::routes::Progress;
use crate::web::state::WorkerState;

/// The header that names the fault that an answer has met.
const FAULT: HeaderName = HeaderName::from_static("numberbank-fault");

/// The most letters of a parameter's value in the log, of a path, and the most parameters.
const LONGEST_VALUE: usize = 2000;
const MOST_PARAMETERS: usize = 100;

/// The longest name or path in a warning, in characters.
const LONGEST_NAME: usize = 200;

/// How long the first half of an answer has to go out.
const HALF_GOES_OUT: Duration = Duration::from_millis(50);

/// What is known of a request so far; both middlewares share it.
#[derive(Clone, Default)]
struct Seen(Rc<RefCell<Facts>>);

#[derive(Default)]
struct Facts {
    /// Whether it is for the API, and not for `/staging`.
    is_of_api: bool,
    method: String,
    path: String,
    route: Option<String>,
    account: Option<AccountSid>,
    parameters: Vec<(String, String)>,
    met: Option<Met>,
    progress: Option<Progress>,
}

/// Middleware around all others: does to the answer what a fault asks for, and logs it.
///
/// # Errors
/// An answer that refuses the request.
pub async fn record(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (world, slot) = (world(request.request()).map_err(Denied::<Refused>::from)?, slot(&request));
    let seen = Seen::default();
    request.extensions_mut().insert(seen.clone());
    match next.call(request).await {
        Ok(response) => {
            let (request, response) = response.into_parts();
            let response = finished(&world, &seen, slot, response.map_into_boxed_body()).await;
            Ok(ServiceResponse::new(request, response))
        }
        Err(error) => {
            let response = finished(&world, &seen, slot, error.error_response()).await;
            Err(InternalError::from_response("refused", response).into())
        }
    }
}

fn slot(request: &ServiceRequest) -> Option<Slot> {
    request.request().conn_data::<Slot>().cloned()
}

/// Middleware within the frame: a request of the world waits while the world as a whole is changed, which in turn waits for
/// it. If it meets a fault, that happens here, or is noted for [`record`].
///
/// # Errors
/// Those of `next`, and the refusal that a fault asks for.
pub async fn one_after_another(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.path().starts_with(TREE) {
        return next.call(request).await;
    }
    let world = world(request.request()).map_err(Denied::<Refused>::from)?;
    let form = read_ahead(&mut request).await?;
    let (met, writes) = (meet(&world, &request, &form), !request.method().is_safe());
    let deadline = Framed::of(request.request()).map_err(Denied::<Refused>::from)?.deadline;
    if let Some(Met { id, delay, act }) = &met {
        // The longest wait is never reached: the delay is shorter. A stop ends it.
        let _ = deadline.wait(*delay + HALF_GOES_OUT, timeout(*delay, world.stopped())).await;
        if let Some(refusal) = refusal(id, act, Stage::Before) {
            return Err(refusal.into());
        }
    }
    let numbers = test_numbers(&world, &request, &form).await?;
    let sale = if numbers.is_empty() { None } else { Some(world.begin_test_sale().await) };
    let turn = world.turn().await;
    if let Some(sale) = &sale {
        sale.offer(&numbers).await.map_err(Denied::<Refused>::from)?;
    }
    let response = next.call(request).await?;
    if let Some(sale) = sale {
        sale.end().await.map_err(Denied::<Refused>::from)?;
    }
    if writes {
        world.note_changes().await;
    }
    drop(turn);
    match met.and_then(|Met { id, act, .. }| refusal(&id, &act, Stage::After)) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(response),
    }
}

/// The test numbers that a purchase by an account of the world asks for.
async fn test_numbers(
    world: &World,
    request: &ServiceRequest,
    form: &Params,
) -> Result<Vec<PhoneNumber>, Denied<Refused>> {
    let buys = request.method() == Method::POST && world.routes.buys(request.path());
    let numbers = if buys { world.test_numbers(form.pairs()) } else { Vec::new() };
    let Some((who, token)) = credentials(request.request()).filter(|_| !numbers.is_empty()) else {
        return Ok(Vec::new());
    };
    let state = WorkerState::of(request.request())?;
    let admitted = admitted(request.request(), world, &state, who, &token).await;
    // Who is not admitted is refused by the handler.
    Ok(if admitted.is_ok() { numbers } else { Vec::new() })
}

/// The refusal that a fault asks for at this stage. An answer that is cut off is never seen.
fn refusal(id: &str, act: &Act, at: Stage) -> Option<Exception> {
    match act {
        Act::Refuse { stage, status, code, retry_after } if *stage == at => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let message = format!("The fault {id} of this world refuses the request");
            Some(Exception::ordered(status, *code, message, (*retry_after).into()))
        }
        Act::Cut(Stage::Before) if at == Stage::Before => {
            Some(Exception::ordered(StatusCode::SERVICE_UNAVAILABLE, 20503, format!("cut off by the fault {id}"), 1))
        }
        _ => None,
    }
}

/// Lets the request meet a fault, if one fits, and notes what the log says of it.
fn meet(world: &World, request: &ServiceRequest, form: &Params) -> Option<Met> {
    let query = Framed::of(request.request()).map(|framed| framed.query).unwrap_or_default();
    let parameters = [query.pairs(), form.pairs()].concat();
    let (method, path) = (request.method().as_str(), request.path());
    let of_path = path.split("/Accounts/").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
    let of_caller = match credentials(request.request()) {
        Some((Principal::Account(account), _)) => Some(account),
        _ => None,
    };
    let (accounts, route) = ([of_path, of_caller], world.routes.of(path));
    let met = world.faults.meet(&Sight { method, route, accounts, parameters: &parameters });
    if let Some(Seen(facts)) = request.extensions().get::<Seen>() {
        *facts.borrow_mut() = Facts {
            is_of_api: true,
            method: method.to_owned(),
            path: path.to_owned(),
            route: route.map(str::to_owned),
            account: of_path.or(of_caller),
            parameters,
            met: met.clone(),
            progress: request.extensions().get::<Progress>().cloned(),
        };
    }
    met
}

/// Reads the body before the request takes its turn, so that a slow sender does not hold up a reset. Stops after
/// [`LARGEST_BODY`] bytes: the handler refuses such a body. Returns the form that it is, or none.
async fn read_ahead(request: &mut ServiceRequest) -> Result<Params, Denied<Refused>> {
    let (state, Framed { deadline, face, .. }) = (WorkerState::of(request.request())?, Framed::of(request.request())?);
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
    let body: Vec<_> = chunks.iter().flatten().flat_map(|chunk| chunk.iter().copied()).collect();
    let form = if size <= LARGEST_BODY { parsed(request.request(), body, face).await.ok() } else { None };
    request.set_payload(Payload::Stream { payload: stream::iter(chunks).boxed_local() });
    Ok(form.unwrap_or_default())
}

/// Makes of an answer what the fault asks for, and logs it.
async fn finished(world: &World, seen: &Seen, slot: Option<Slot>, answer: HttpResponse) -> HttpResponse {
    let facts = std::mem::take(&mut *seen.0.borrow_mut());
    if !facts.is_of_api {
        return answer;
    }
    log(world, &facts, &answer);
    let Some(Met { id, act, .. }) = facts.met else { return answer };
    let mut answer = match act {
        Act::Cut(_) => {
            slot.inspect(Slot::reset_at_end);
            // Nothing was written yet, and nothing is: the connection ends at once.
            answer.set_body(BodyStream::new(stream::once(async { Err::<Bytes, _>(cut()) }))).map_into_boxed_body()
        }
        Act::Spoil(spoilt) => spoil(answer, spoilt).await,
        Act::Delay | Act::Refuse { .. } | Act::Empty(_) | Act::Callback(_) => answer,
    };
    if let Ok(id) = HeaderValue::try_from(id) {
        answer.headers_mut().insert(FAULT, id);
    }
    answer
}

fn cut() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut off by a fault")
}

async fn spoil(mut answer: HttpResponse, spoilt: Spoilt) -> HttpResponse {
    *answer.status_mut() = StatusCode::OK;
    match spoilt {
        Spoilt::Truncated => {
            let (answer, body) = answer.into_parts();
            let whole = to_bytes(body).await.unwrap_or_default();
            let half = whole.slice(..whole.len() / 2);
            let rest = sleep(HALF_GOES_OUT).map(|()| Err(cut()));
            let sent = stream::once(async { Ok(half) }).chain(stream::once(rest));
            answer.set_body(SizedStream::new(whole.len() as u64, sent)).map_into_boxed_body()
        }
        Spoilt::Garbage => answer.set_body("\u{7}}{<not what was asked for").map_into_boxed_body(),
        Spoilt::Empty => answer.set_body("").map_into_boxed_body(),
        Spoilt::Html => {
            if let Ok(html) = ContentType::html().try_into_value() {
                answer.headers_mut().insert(actix_web::http::header::CONTENT_TYPE, html);
            }
            let page =
                "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n";
            answer.set_body(page).map_into_boxed_body()
        }
    }
}

/// Logs a request with its answer, and what the program probably did not mean.
fn log(world: &World, facts: &Facts, answer: &HttpResponse) {
    let (status, told) = (answer.status(), answer.extensions());
    let code = match facts.met.as_ref().map(|met| &met.act) {
        Some(Act::Refuse { code, .. }) => Some(*code),
        _ => told.get().map(|RefusedBy(code)| u32::from(code.number())),
    };
    let is_replay = told.contains::<Replayed>();
    let request_id = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let fault = facts.met.as_ref().map(|met| met.id.as_str());
    if let Some(id) = fault {
        tracing::info!(%request_id, "the fault {id} of this world was met");
        world.faults.note(id, request_id);
    }
    let unread = facts.progress.as_ref().filter(|_| status.is_success()).map(Progress::unread).unwrap_or_default();
    let unknown: Vec<_> = unread.iter().map(|name| short(name, LONGEST_NAME)).collect();
    for warning in warnings(facts, status, is_replay, &unknown) {
        world.log.warn(warning, request_id);
    }
    let members = json!({
        "method": facts.method, "path": short(&facts.path, LONGEST_VALUE), "parameters": shown(&facts.parameters, LONGEST_VALUE),
        "status": status.as_u16(), "code": code, "request_id": request_id, "fault": fault,
        "replay": is_replay, "unknown": unknown,
    });
    world.log.add(world.clock.now(), "request", facts.account, members);
}

fn warnings(facts: &Facts, status: StatusCode, is_replay: bool, unknown: &[String]) -> Vec<String> {
    let Facts { method, path, route, .. } = facts;
    let mut warnings = Vec::new();
    let what = format!("{method} {}", route.clone().unwrap_or_else(|| short(path, LONGEST_NAME)));
    warnings.extend(unknown.iter().map(|name| format!("{what}: the parameter {name} is ignored")));
    if status == StatusCode::NOT_FOUND && route.is_none() {
        warnings.push(format!("{what}: there is no such path"));
    }
    if is_replay {
        warnings.push(format!("{what}: an idempotency key was sent again, and its first answer repeated"));
    }
    warnings
}

/// Parameters by their names; one that was sent several times is a list.
pub(super) fn shown(parameters: &[(String, String)], longest: usize) -> Value {
    let mut all = Map::new();
    for (name, value) in parameters.iter().take(MOST_PARAMETERS) {
        let (name, value) = (short(name, longest), Value::from(short(value, longest)));
        match all.get_mut(&name) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => drop(all.insert(name, value)),
        }
    }
    Value::Object(all)
}
