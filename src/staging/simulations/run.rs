//! One run: requests, and the walk of the caller through what is answered.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::time::Instant;

use super::answer::{About, Answer, Notification, Problem, Redirected, Requested, Told};
use super::asked::Asked;
use super::scene::Scene;
use super::{answer, codes};
use crate::callbacks::{Ask, Cookies, Delivery, Failure};
use crate::numbers::settings::Callback as Url;
use crate::staging::World;
use crate::staging::requests::shown;
use crate::twiml::{Document, Grammar, Kind, Location, Next, Outcome, Request, Sids, Step, Version, Walk, Why, read};
use crate::values::sid::{CallSid, MessageSid, NotificationSid, RecordingSid};
use crate::values::text::Method;

/// How long a call or message may take in real time.
pub const LONGEST_RUN: Duration = Duration::from_mins(1);

/// The most bytes of all bodies and headers that an answer shows, and of all texts and attributes of steps; what is beyond
/// is left out.
const MOST_BODIES: usize = 256 * 1024;
const MOST_TEXTS: usize = 256 * 1024;

/// The longest value of a parameter that an answer shows: none is longer.
const LONGEST_SHOWN: usize = 16 * 1024;

/// The most notifications of a run.
const MOST_NOTIFICATIONS: usize = 200;

pub struct Run<'a> {
    world: &'a World,
    scene: &'a Scene,
    asked: &'a Asked,
    token: &'a str,
    walk: Walk,
    grammar: Grammar,
    sids: Draws<'a>,
    cookies: Cookies,
    until: Instant,
    fell_back: bool,
    /// The bytes of bodies and headers, and of the texts of steps, that the answer may still show.
    bodies: usize,
    texts: usize,
    answer: Answer,
    notifications: Vec<Notification>,
    /// The request that was noted last, and as it was asked for, without credentials.
    about: Arc<About>,
    asked_url: String,
}

/// The Sids of a run, from the world's chance.
struct Draws<'a> {
    world: &'a World,
    site: &'a str,
}

impl Sids for Draws<'_> {
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

/// A document, and the number of the request that it is the answer to.
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
        let grammar = scene.grammar();
        let answer = Answer {
            sid: scene.sid.clone(),
            outcome: "error",
            status: "completed",
            duration: 0,
            digits_left: String::new(),
            requests: Vec::new(),
            steps: Vec::new(),
            messages: Vec::new(),
            notifications: Vec::new(),
        };
        Self {
            world,
            scene,
            asked,
            token,
            walk: Walk::new(grammar, scene.ends(), asked.script.clone()),
            grammar,
            sids: Draws { world, site },
            cookies,
            until: Instant::now() + LONGEST_RUN,
            fell_back: false,
            bodies: MOST_BODIES,
            texts: MOST_TEXTS,
            answer,
            notifications: Vec::new(),
            about: Arc::default(),
            asked_url: String::new(),
        }
    }

    pub async fn finish(mut self) -> (Answer, Vec<Notification>, Cookies) {
        let outcome = self.walked().await;
        self.answer.outcome = outcome;
        self.answer.status = match (self.scene.kind, outcome) {
            (Kind::Call, "error" | "no-url" | "limit") => "failed",
            (Kind::Call, "rejected") => self.rejection(),
            (Kind::Call, _) => "completed",
            (Kind::Message, _) => "received",
        };
        self.answer.duration = self.walk.duration();
        self.answer.digits_left = self.walk.digits_left();
        if self.scene.kind == Kind::Call && self.scene.is_active {
            self.tell_the_end().await;
        }
        self.answer.notifications = self.notifications.iter().map(|one| one.told.clone()).collect();
        (self.answer, self.notifications, self.cookies)
    }

    /// Requests one document after another, until the end.
    async fn walked(&mut self) -> &'static str {
        if !self.scene.is_active {
            self.notify(0, codes::SUSPENDED, "the account is suspended: nothing is requested".to_owned());
            return "error";
        }
        let Some(first) = self.scene.first.clone() else { return "no-url" };
        let mut request = request(Why::Url, &first, Vec::new());
        loop {
            let next = match self.document(request).await {
                Ok(Some((document, at))) => {
                    let walked = self.walk.run(&document, &at, &mut self.sids);
                    self.show_steps(walked.steps);
                    self.answer.messages.extend(walked.messages);
                    walked.next
                }
                Ok(None) => return self.limit(),
                Err(error) => Next::Error(error),
            };
            request = match next {
                Next::Request(next) => next,
                Next::Ended(Outcome::Limit) => return self.limit(),
                Next::Ended(outcome) => return named(outcome),
                Next::Error(error) => match self.fall_back(error) {
                    Some(fallback) => fallback,
                    None => return "error",
                },
            };
        }
    }

    /// The status of a call that was rejected, by the reason that the program gave.
    fn rejection(&self) -> &'static str {
        let reason =
            self.answer.steps.last().and_then(|step| step.attributes.0.iter().find(|(name, _)| name == "reason"));
        if reason.is_some_and(|(_, value)| value == "busy") { "busy" } else { "no-answer" }
    }

    fn limit(&mut self) -> &'static str {
        let what = "a run has at most 50 documents, 1,000 verbs and 60 s of real time".to_owned();
        self.notify(0, codes::LIMIT, what);
        "limit"
    }

    /// The request of the fallback, once a run.
    fn fall_back(&mut self, error: crate::twiml::Error) -> Option<Request> {
        // If the request itself failed, that is notified already.
        if self.answer.requests.last().is_some_and(|last| last.error.is_none()) {
            self.notify(0, error.code.into(), error.message.clone());
        }
        let fallback = self.scene.fallback.as_ref().filter(|_| !self.fell_back)?;
        self.fell_back = true;
        let parameters = vec![("ErrorCode", error.code.to_string()), ("ErrorUrl", self.asked_url.clone())];
        Some(request(Why::Fallback, fallback, parameters))
    }

    /// The document that is answered to a request; `None` if there is no time left. An error is noted at the request.
    async fn document(&mut self, request: Request) -> Result<Option<Answered>, crate::twiml::Error> {
        if Instant::now() >= self.until {
            return Ok(None);
        }
        let status = match (self.scene.version, self.answer.requests.is_empty()) {
            (Version::V2010, true) => "ringing",
            _ => "in-progress",
        };
        let url = request.url.clone();
        let delivery = self.send(&request, status, self.until).await;
        if delivery.failure.is_some() && Instant::now() >= self.until {
            return Ok(None);
        }
        let number = self.answer.requests.len() as u32;
        let read = match &delivery.failure {
            Some(failure) => Err((codes::of(failure), failure.to_string())),
            // Many programs acknowledge a message so.
            None if self.scene.kind == Kind::Message && delivery.status == Some(204) => Ok(Document::default()),
            None => read(&delivery.body, content_type(&delivery), self.grammar)
                .map_err(|error| (error.code.into(), located(error))),
        };
        let document = read.and_then(|document| self.judged(document));
        match document {
            Ok(document) => {
                // What a document names is beside where it was found.
                let redirected = delivery.target.filter(|_| !delivery.redirects.is_empty());
                let url = redirected.and_then(|target| target.resolve("").ok()).unwrap_or(url);
                Ok(Some((document, Location { url, request: number })))
            }
            Err((code, message)) => {
                self.notify(0, code, message.clone());
                if let Some(last) = self.answer.requests.last_mut() {
                    last.error = Some(Problem { code, message: message.clone() });
                }
                Err(crate::twiml::Error { code: u16::try_from(code).unwrap_or_default(), message, line: None })
            }
        }
    }

    /// Notifies of a document's warnings; where they count as errors, of the first one as that.
    fn judged(&mut self, document: Document) -> Result<Document, (u32, String)> {
        let told =
            |warning: &crate::twiml::Warning| format!("{} ({}, line {})", warning.message, warning.verb, warning.line);
        if self.asked.strict
            && let Some(warning) = document.warnings.first()
        {
            return Err((warning.code.into(), told(warning)));
        }
        for warning in &document.warnings {
            self.notify(1, warning.code.into(), told(warning));
        }
        Ok(document)
    }

    /// Sends one request, or lets a fault answer in the program's place, and notes it.
    async fn send(&mut self, request: &Request, status: &str, until: Instant) -> Delivery {
        let method = request.method.parse().unwrap_or(Method::Post);
        let mut parameters = self.scene.parameters(status);
        // A program that reads its form into a map would rebuild another signature from a name that comes twice.
        parameters.retain(|(name, _)| !request.parameters.iter().any(|(of_verb, _)| of_verb == name));
        parameters.extend(request.parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let ask = Ask { method, url: &request.url, parameters: &parameters, token: self.token };
        self.asked_url = bare(&request.url);
        let met = self.world.faults.meet_callback(&self.asked_url, self.scene.account, &self.scene.sid);
        let left = until.saturating_duration_since(Instant::now());
        let delivery = match met {
            None => self.world.callbacks.send_within(left, &ask, &mut self.cookies, self.world.clock.now()).await,
            Some((_, fault)) => unasked(&ask, fault.status),
        };
        self.note(request, &parameters, &delivery, met.map(|(id, _)| id));
        delivery
    }

    /// Notes a request in the answer, and in the world's log.
    fn note(&mut self, request: &Request, parameters: &[(String, String)], delivery: &Delivery, fault: Option<String>) {
        if let Some(Failure::NotAllowed { why, address }) = &delivery.failure {
            tracing::warn!("a callback was not sent to {address}: {why}");
        }
        let body = within(&mut self.bodies, &String::from_utf8_lossy(&delivery.body));
        let headers: Vec<_> =
            delivery.headers.iter().map(|(name, value)| (name.clone(), within(&mut self.bodies, value))).collect();
        let url = if delivery.url.is_empty() { self.asked_url.clone() } else { delivery.url.clone() };
        let redirects = delivery.redirects.iter().map(|hop| Redirected {
            method: hop.method.as_str(),
            url: hop.url.clone(),
            signature: hop.signature.clone(),
            status: hop.status,
        });
        let failure = delivery.failure.as_ref();
        let requested = Requested {
            n: self.answer.requests.len() as u32 + 1,
            why: request.why,
            method: delivery.method.as_str(),
            url,
            address: delivery.address.map(|address| address.to_string()),
            parameters: shown(parameters, LONGEST_SHOWN),
            signature: delivery.signature.clone(),
            tries: delivery.tries,
            status: delivery.status,
            ms: delivery.took.as_millis() as u64,
            headers: shown(&headers, LONGEST_SHOWN),
            body,
            redirects: redirects.collect(),
            error: failure.map(|failure| Problem { code: codes::of(failure), message: failure.to_string() }),
            fault,
        };
        let members = json!({
            answer::log_kind(self.scene.kind): self.scene.sid, "why": requested.why, "method": requested.method,
            "url": requested.url, "parameters": requested.parameters, "status": requested.status,
            "error": requested.error, "fault": requested.fault,
        });
        self.world.log.add(self.now(), "callback", Some(self.scene.account), members);
        self.about = Arc::new(About {
            url: legible(&requested.url),
            method: requested.method,
            variables: legible(&requested.parameters.to_string()),
            headers: legible(&requested.headers.to_string()),
            body: legible(&requested.body),
        });
        self.answer.requests.push(requested);
    }

    /// Shows steps, without their texts and attributes once there are too many.
    fn show_steps(&mut self, steps: Vec<Step>) {
        for mut step in steps {
            step.text = within(&mut self.texts, &step.text);
            let attributes = step.attributes.0.iter().map(|(name, value)| name.len() + value.len()).sum();
            match self.texts.checked_sub(attributes) {
                Some(left) => self.texts = left,
                None => step.attributes.0.clear(),
            }
            self.answer.steps.push(step);
        }
    }

    /// Requests what is told of the end of a call. What is answered does not matter.
    async fn tell_the_end(&mut self) {
        let told = match self.scene.version {
            Version::V2008 => self.scene.first.clone().map(|url| request(Why::Ended, &url, Vec::new())),
            Version::V2010 => self
                .scene
                .status
                .clone()
                .map(|url| request(Why::Ended, &url, vec![("CallDuration", self.walk.duration().to_string())])),
        };
        let status = match self.scene.version {
            Version::V2008 => "completed",
            Version::V2010 => self.answer.status,
        };
        if let Some(request) = told {
            self.send(&request, status, Instant::now() + LONGEST_RUN).await;
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.world.clock.now()
    }

    /// Notifies of something that concerns the last request, if there was one.
    fn notify(&mut self, log: u8, code: u32, message: String) {
        if self.notifications.len() >= MOST_NOTIFICATIONS {
            return;
        }
        let sid = NotificationSid::drawn(&self.world.chance).to_string();
        let of_call = if self.scene.kind == Kind::Call { self.scene.sid.clone() } else { String::new() };
        self.notifications.push(Notification {
            told: Told { sid, log, code, message },
            account: self.scene.account,
            call: of_call,
            at: self.now(),
            about: Arc::clone(&self.about),
        });
    }
}

/// What is wrong, and where.
fn located(error: crate::twiml::Error) -> String {
    error.line.map_or(error.message.clone(), |line| format!("{} (line {line})", error.message))
}

/// A text, or as much of it as may still be shown.
fn within(left: &mut usize, text: &str) -> String {
    let end = text.floor_char_boundary(*left);
    *left -= end;
    text[..end].to_owned()
}

/// A URL without credentials, also one that cannot be read.
fn bare(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let after = rest[..authority].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[after..])
}

/// A text that XML can hold.
fn legible(text: &str) -> String {
    let holds = |c: char| matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'));
    text.chars().map(|c| if holds(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn request(why: Why, url: &Url, parameters: Vec<(&'static str, String)>) -> Request {
    Request { why, method: url.method.as_str(), url: url.url.as_str().to_owned(), parameters, is_last: false }
}

const fn named(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Hangup => "hangup",
        Outcome::End => "end",
        Outcome::CallerHungUp => "caller-hung-up",
        Outcome::Rejected => "rejected",
        Outcome::Limit => "limit",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_credentials() {
        for (url, shown) in [
            ("http://me:se@cret@app:3000/a@b?c@d", "http://app:3000/a@b?c@d"),
            ("http://app/a", "http://app/a"),
            ("http://me@app", "http://app"),
            ("me@app", "me@app"),
        ] {
            assert_eq!(bare(url), shown);
        }
    }

    #[test]
    fn what_is_beyond_is_left_out() {
        let mut left = 5;
        assert_eq!([within(&mut left, "abc"), within(&mut left, "éé"), within(&mut left, "x")], ["abc", "é", ""]);
    }
}
