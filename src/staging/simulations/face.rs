//! Simulations over HTTP.

use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, ContentType};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::answer::Notification;
use super::{Asked, LONGEST_RUN};
use crate::error::{Denied, Error};
use crate::staging::Refused;
use crate::staging::control::{Own, Visit, world};
use crate::staging::face::large;
use crate::staging::refusals::Refusal;
use crate::twiml::Kind;
use crate::values::sid::RecordingSid;
use crate::web::caller::Call;
use crate::web::codes::Code;
use crate::web::pages::of_error;
use crate::web::refused::Refused as NotRead;
use crate::web::represent::xml::{self, Xml};
use crate::web::represent::{Fields, Rfc2822};
use crate::web::site::Site;

/// `POST /staging/Accounts/{AccountSid}/InboundCalls`
pub async fn call(own: Own, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    simulate(Kind::Call, own, &request).await
}

/// `POST /staging/Accounts/{AccountSid}/InboundMessages`
pub async fn message(own: Own, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    simulate(Kind::Message, own, &request).await
}

async fn simulate(kind: Kind, own: Own, request: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let Own { visit, account, token } = own;
    if let Some((name, _)) = visit.query.pairs().first() {
        let expected = "a parameter in the body, and not in the query,".to_owned();
        return Err(Refused::Parameter { name: name.clone(), expected }.into());
    }
    let asked = match visit.form()? {
        Some(form) => Asked::of_form(kind, &form)?,
        None => Asked::of_json(kind, visit.json()?)?,
    };
    let (wait, site) = (asked.wait, Site::of(request, visit.state.clients.trust_proxy).to_string());
    let prepared = visit.world.prepare(account, token, asked).await?;
    let sid = prepared.sid().to_owned();
    // It goes on if the client hangs up.
    let (number, past) = (prepared.number(), &visit.world.simulations);
    let running = actix_web::rt::spawn(prepared.run(site));
    past.runs(number, running.abort_handle());
    if !wait {
        let begun = json!({ "sid": sid, "outcome": null, "status": "in-progress" });
        return Ok(shown(StatusCode::ACCEPTED, &format!("{begun}\n")));
    }
    let ended = visit.deadline.wait(LONGEST_RUN * 2, running).await;
    let ended = ended.map_err(|_| Error::Internal("a simulation did not end".to_owned()))?;
    let text = ended.map_err(|error| match error.is_cancelled() {
        true => Refusal::from(Refused::Interrupted),
        false => Error::Internal(error.to_string()).into(),
    })??;
    Ok(shown(StatusCode::CREATED, &text))
}

pub async fn calls(visit: Visit, path: Path<String>) -> Result<HttpResponse, Refusal> {
    list(Kind::Call, "calls", &visit, &path)
}

pub async fn messages(visit: Visit, path: Path<String>) -> Result<HttpResponse, Refusal> {
    list(Kind::Message, "messages", &visit, &path)
}

pub async fn show_call(visit: Visit, path: Path<(String, String)>) -> Result<HttpResponse, Refusal> {
    one(Kind::Call, &visit, &path)
}

pub async fn show_message(visit: Visit, path: Path<(String, String)>) -> Result<HttpResponse, Refusal> {
    one(Kind::Message, &visit, &path)
}

fn list(kind: Kind, name: &str, visit: &Visit, account: &str) -> Result<HttpResponse, Refusal> {
    let all = visit.world.simulations.all(kind, visit.of_account(account)?);
    let all: Vec<_> = all.iter().map(|one| one.trim_end()).collect();
    large(&visit.world, format!("{{\"{name}\":[{}]}}\n", all.join(",")))
}

fn one(kind: Kind, visit: &Visit, (account, sid): &(String, String)) -> Result<HttpResponse, Refusal> {
    let found = visit.world.simulations.find(sid, kind, visit.of_account(account)?);
    Ok(shown(StatusCode::OK, &found.ok_or(NotRead::NotFound)?))
}

fn shown(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::json()).body(text.to_owned())
}

/// The samples of a recording are of 8 bits, 8,000 a second; this one is silence.
const RATE: u32 = 8000;
const SILENCE: u8 = 0x80;

/// The longest recording, in seconds.
const LONGEST_RECORDING: u32 = 3600;

/// `GET /staging/recordings/{seconds}/{Sid}`, for anybody, as Twilio's are: a silent WAV.
pub async fn recording(path: Path<(String, String)>) -> Result<HttpResponse, Refusal> {
    let (seconds, name) = path.into_inner();
    let seconds = seconds.parse().ok().filter(|seconds| *seconds <= LONGEST_RECORDING).ok_or(NotRead::NotFound)?;
    // Whatever form is asked for, it is a WAV.
    let name = name.split('.').next().unwrap_or_default();
    name.parse::<RecordingSid>().map_err(|_| NotRead::NotFound)?;
    let second = Bytes::from(vec![SILENCE; RATE as usize]);
    let sound = stream::iter(0..seconds).map(move |_| second.clone());
    let body = stream::once(async move { head(seconds) }).chain(sound).map(Ok::<_, std::io::Error>);
    let size = u64::from(44 + seconds * RATE);
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "audio/x-wav")).body(SizedStream::new(size, Box::pin(body))))
}

/// The head of a WAV: RIFF, the format, and the size of what follows.
fn head(seconds: u32) -> Bytes {
    let size = seconds * RATE;
    let mut head = Vec::with_capacity(44);
    head.extend_from_slice(b"RIFF");
    head.extend_from_slice(&(36 + size).to_le_bytes());
    head.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    head.extend_from_slice(&RATE.to_le_bytes());
    head.extend_from_slice(&RATE.to_le_bytes());
    head.extend_from_slice(b"\x01\0\x08\0data");
    head.extend_from_slice(&size.to_le_bytes());
    head.into()
}

/// `GET /2008-08-01/Accounts/{AccountSid}/Notifications`
pub async fn notifications(request: HttpRequest, call: Call) -> Result<HttpResponse, Denied<NotRead>> {
    let world = world(&request)?;
    Ok(told(&call, &request, &world.simulations.notifications(call.account, None)))
}

/// `GET /2008-08-01/Accounts/{AccountSid}/Calls/{CallSid}/Notifications`
pub async fn notifications_of_call(request: HttpRequest, call: Call) -> Result<HttpResponse, Denied<NotRead>> {
    let (world, sid) = (world(&request)?, call.path("CallSid").to_owned());
    world.simulations.find(&sid, Kind::Call, call.account).ok_or(NotRead::NotFound)?;
    Ok(told(&call, &request, &world.simulations.notifications(call.account, Some(&sid))))
}

/// `GET /2008-08-01/Accounts/{AccountSid}/Notifications/{Sid}`
pub async fn notification(request: HttpRequest, call: Call) -> Result<HttpResponse, Denied<NotRead>> {
    let (world, sid) = (world(&request)?, call.path("Sid").to_owned());
    let all = world.simulations.notifications(call.account, None);
    let one = all.iter().find(|one| one.told.sid == sid).ok_or(NotRead::NotFound)?;
    let site = Site::of(&request, call.state.clients.trust_proxy);
    Ok(answer(xml::document(|to| to.element("Notification", |to| write(one, &site, true, to)))))
}

/// Where Twilio explains its codes.
const TWILIO_S_PAGES: &str = "https://www.twilio.com/docs/api/errors";

/// A list has all of them: there is no paging.
fn told(call: &Call, request: &HttpRequest, all: &[Arc<Notification>]) -> HttpResponse {
    let site = Site::of(request, call.state.clients.trust_proxy);
    answer(xml::whole("Notifications", &call.asked.whole(), |to| {
        for one in all {
            to.element("Notification", |to| write(one, &site, false, to));
        }
    }))
}

fn answer(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/xml; charset=utf-8")).body(body)
}

/// The elements of a notification. What was sent and answered is only in that of one.
fn write(one: &Notification, site: &Site, is_whole: bool, to: &mut Xml<'_>) {
    to.text("Sid", &one.told.sid);
    to.plain("DateCreated", &Rfc2822(one.at));
    to.plain("DateUpdated", &Rfc2822(one.at));
    to.plain("AccountSid", &one.account);
    to.text("CallSid", &one.call);
    to.text("Log", &one.told.log.to_string());
    to.text("ErrorCode", &one.told.code.to_string());
    let code = one.told.code;
    let is_ours = u16::try_from(code).ok().and_then(Code::from_number).is_some();
    let page = if is_ours { format!("{site}{}", of_error(code)) } else { format!("{TWILIO_S_PAGES}/{code}") };
    to.text("MoreInfo", &page);
    to.text("MessageText", &one.told.message);
    to.plain("MessageDate", &Rfc2822(one.at));
    to.text("RequestURL", &one.about.url);
    to.text("RequestMethod", one.about.method);
    if is_whole {
        to.text("RequestVariables", &one.about.variables);
        to.text("ResponseHeaders", &one.about.headers);
        to.text("ResponseBody", &one.about.body);
    }
}
