//! One run: requests, and the walk of the caller through what is answered.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::answer::{Answer, Notification, Problem};
use super::asked::Asked;
use super::codes;
use super::record::{Record, bare};
use super::scene::Scene;
use crate::callbacks::{Ask, Cookies, Delivery, Failure};
use crate::numbers::settings::Callback as Url;
use crate::staging::World;
use crate::twiml::{self, Document, Kind, Location, Next, Outcome, Request, Sids, Step, Version, Walk, Why, read};
use crate::values::sid::{CallSid, MessageSid, RecordingSid};
use crate::values::text::Method;

/// How long a call or message may take in real time.
pub const LONGEST_RUN: Duration = Duration::from_mins(1);

pub struct Run<'a> {
    world: &'a World,
    scene: &'a Scene,
    asked: &'a Asked,
    token: &'a str,
    walk: Walk,
    sids: DrawnSids<'a>,
    cookies: Cookies,
    until: Instant,
    fell_back: bool,
    /// Whether the last step gives this as the reason of a rejection.
    is_busy: bool,
    /// The last URL as it was asked for, without credentials.
    last_url: String,
    record: Record<'a>,
}

/// The Sids of a run, from the world's chance.
struct DrawnSids<'a> {
    world: &'a World,
    site: &'a str,
}

impl Sids for DrawnSids<'_> {
    fn call(&mut self) -> String {
        CallSid::drawn(&self.world.chance).to_string()
    }

    fn message(&mut self) -> String {
        MessageSid::drawn(&self.world.chance).to_string()
    }

    fn recording(&mut self, seconds: u32) -> String {
        format!("{}/staging/recordings/{seconds}/{}", self.site, RecordingSid::drawn(&self.world.chance))
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Ending {
    Walked(Outcome),
    Early(Early),
}

/// An end before the caller was through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Early {
    Error,
    NoUrl,
}

/// A document, and where it was found.
type Answered = (Document, Location);

impl<'a> Run<'a> {
    pub fn new(
        world: &'a World,
        scene: &'a Scene,
        asked: &'a Asked,
        token: &'a str,
        site: &'a str,
        cookies: Cookies,
    ) -> Self {
        Self {
            world,
            scene,
            asked,
            token,
            walk: Walk::new(scene.grammar(), scene.ends(), asked.script.clone()),
            sids: DrawnSids { world, site },
            cookies,
            until: Instant::now() + LONGEST_RUN,
            fell_back: false,
            is_busy: false,
            last_url: String::new(),
            record: Record::new(world, scene),
        }
    }

    pub async fn finish(mut self) -> (Answer, Vec<Notification>, Cookies) {
        let ending = self.walked().await;
        let status = self.status(ending);
        if self.scene.kind == Kind::Call && self.scene.is_active {
            self.tell_the_end(status).await;
        }
        let Record { mut answer, notifications, .. } = self.record;
        answer.outcome = ending;
        answer.status = status;
        answer.duration = self.walk.duration();
        answer.digits_left = self.walk.digits_left();
        answer.notifications = notifications.iter().map(|one| one.told.clone()).collect();
        (answer, notifications, self.cookies)
    }

    /// The status of a call that ended so. One that was rejected has that of the reason that the program gave.
    fn status(&self, ending: Ending) -> &'static str {
        match (self.scene.kind, ending) {
            (Kind::Message, _) => "received",
            (Kind::Call, Ending::Early(_) | Ending::Walked(Outcome::Limit)) => "failed",
            (Kind::Call, Ending::Walked(Outcome::Rejected)) if self.is_busy => "busy",
            (Kind::Call, Ending::Walked(Outcome::Rejected)) => "no-answer",
            (Kind::Call, Ending::Walked(_)) => "completed",
        }
    }

    /// Requests one document after another, until the end.
    async fn walked(&mut self) -> Ending {
        if !self.scene.is_active {
            let message = "the account is suspended: nothing is requested".to_owned();
            self.record.notify(0, codes::SUSPENDED, message);
            return Ending::Early(Early::Error);
        }
        let Some(first) = self.scene.first.clone() else { return Ending::Early(Early::NoUrl) };
        let mut request = request(Why::Url, &first, Vec::new());
        loop {
            let next = match self.document(request).await {
                Ok(Some((document, at))) => {
                    let walked = self.walk.run(&document, &at, &mut self.sids);
                    self.is_busy = walked.steps.last().is_some_and(is_busy);
                    self.record.steps(walked.steps);
                    self.record.messages(walked.messages);
                    walked.next
                }
                Ok(None) => Next::Ended(Outcome::Limit),
                Err(error) => Next::Error(error),
            };
            request = match next {
                // The caller has hung up: what is answered does not matter.
                Next::Request(last) if last.is_last => {
                    self.send(&last, "completed").await;
                    return Ending::Walked(Outcome::CallerHungUp);
                }
                Next::Request(next) => next,
                Next::Ended(outcome) => return self.ended(outcome),
                Next::Error(error) => match self.fall_back(error) {
                    Some(fallback) => fallback,
                    None => return Ending::Early(Early::Error),
                },
            };
        }
    }

    fn ended(&mut self, outcome: Outcome) -> Ending {
        if outcome == Outcome::Limit {
            let what = "a run has at most 50 documents, 1,000 verbs and 60 s of real time".to_owned();
            self.record.notify(0, codes::LIMIT, what);
        }
        Ending::Walked(outcome)
    }

    /// The request of the fallback, once a run.
    fn fall_back(&mut self, error: twiml::Error) -> Option<Request> {
        // If the request itself failed, that is notified already.
        if self.record.answer.requests.last().is_some_and(|last| last.error.is_none()) {
            self.record.notify(0, error.code.into(), error.message);
        }
        let fallback = self.scene.fallback.as_ref().filter(|_| !self.fell_back)?;
        self.fell_back = true;
        let parameters = vec![("ErrorCode", error.code.to_string()), ("ErrorUrl", self.last_url.clone())];
        Some(request(Why::Fallback, fallback, parameters))
    }

    /// The document that is answered to a request; `None` if there is no time left. An error is noted at the request.
    async fn document(&mut self, request: Request) -> Result<Option<Answered>, twiml::Error> {
        if Instant::now() >= self.until {
            return Ok(None);
        }
        let is_ringing = self.scene.version == Version::V2010 && !self.walk.is_answered();
        let delivery = self.send(&request, if is_ringing { "ringing" } else { "in-progress" }).await;
        if delivery.failure.is_some() && Instant::now() >= self.until {
            return Ok(None);
        }
        let number = self.record.answer.requests.len() as u32;
        match self.read(&delivery).and_then(|document| self.judged(document)) {
            Ok(document) => {
                // What a document names is beside where it was found.
                let redirected = delivery.target.filter(|_| !delivery.redirects.is_empty());
                let url = redirected.and_then(|target| target.resolve("").ok()).unwrap_or(request.url);
                Ok(Some((document, Location { url, request: number })))
            }
            Err(Problem { code, message }) => {
                self.record.problem(Problem { code, message: message.clone() });
                Err(twiml::Error { code: u16::try_from(code).unwrap_or_default(), message, line: None })
            }
        }
    }

    fn read(&self, delivery: &Delivery) -> Result<Document, Problem> {
        match &delivery.failure {
            Some(failure) => Err(Problem { code: codes::of(failure), message: failure.to_string() }),
            // Many programs acknowledge a message so.
            None if self.scene.kind == Kind::Message && delivery.status == Some(204) => Ok(Document::default()),
            None => read(&delivery.body, content_type(delivery), self.scene.grammar()).map_err(|error| {
                let at = error.line.map(|line| format!(" (line {line})")).unwrap_or_default();
                Problem { code: error.code.into(), message: error.message + &at }
            }),
        }
    }

    /// Notifies of a document's warnings; where they count as errors, of the first one as that.
    fn judged(&mut self, document: Document) -> Result<Document, Problem> {
        let told = |warning: &twiml::Warning| format!("{} ({}, line {})", warning.message, warning.verb, warning.line);
        if self.asked.strict
            && let Some(warning) = document.warnings.first()
        {
            return Err(Problem { code: warning.code.into(), message: told(warning) });
        }
        for warning in &document.warnings {
            self.record.notify(1, warning.code.into(), told(warning));
        }
        Ok(document)
    }

    /// Sends one request, or lets a fault answer in the program's place, and notes it.
    async fn send(&mut self, request: &Request, status: &str) -> Delivery {
        let method = request.method.parse().unwrap_or(Method::Post);
        let mut parameters = self.scene.parameters(status);
        // A program that reads its form into a map would rebuild another signature from a name that comes twice.
        parameters.retain(|(name, _)| !request.parameters.iter().any(|(of_verb, _)| of_verb == name));
        parameters.extend(request.parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let ask = Ask { method, url: &request.url, parameters: &parameters, token: self.token };
        self.last_url = bare(&request.url);
        let met = self.world.faults.meet_callback(&self.last_url, self.scene.account, &self.scene.sid);
        let left = self.until.saturating_duration_since(Instant::now());
        let delivery = match met {
            None => self.world.callbacks.send_within(left, &ask, &mut self.cookies, self.world.clock.now()).await,
            Some((_, fault)) => unasked(&ask, fault.status),
        };
        self.record.request(request, &parameters, &delivery, met.map(|(id, _)| id));
        delivery
    }

    /// Requests what is told of the end of a call, in a time of its own. What is answered does not matter.
    async fn tell_the_end(&mut self, status: &'static str) {
        let (told, status) = match self.scene.version {
            Version::V2008 => (self.scene.first.clone().map(|url| request(Why::Ended, &url, Vec::new())), "completed"),
            Version::V2010 => {
                let duration = vec![("CallDuration", self.walk.duration().to_string())];
                (self.scene.status.clone().map(|url| request(Why::Ended, &url, duration)), status)
            }
        };
        if let Some(request) = told {
            self.until = Instant::now() + LONGEST_RUN;
            self.send(&request, status).await;
        }
    }
}

fn is_busy(step: &Step) -> bool {
    step.attributes.0.iter().any(|(name, value)| name == "reason" && value == "busy")
}

fn request(why: Why, url: &Url, parameters: Vec<(&'static str, String)>) -> Request {
    Request { why, method: url.method.as_str(), url: url.url.as_str().to_owned(), parameters, is_last: false }
}

/// The Content-Type as it was sent.
fn content_type(delivery: &Delivery) -> Option<&str> {
    let named = delivery.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    named.map(|(_, value)| value.as_str())
}

/// What a fault has answered.
fn unasked(ask: &Ask<'_>, status: Option<u16>) -> Delivery {
    let failure = match status {
        Some(200..300) => None,
        Some(status) => Some(Failure::Status(status)),
        None => Some(Failure::TooSlow),
    };
    Delivery { status, failure, ..Delivery::unsent(ask) }
}
