//! What is kept of a run while it goes on: its answer, its notifications, and entries of the world's log.

use std::sync::Arc;

use serde_json::json;

use super::answer::{About, Answer, Notification, Problem, Redirected, Requested, Told};
use super::scene::Scene;
use super::{answer, codes};
use crate::callbacks::{Delivery, Failure};
use crate::staging::World;
use crate::staging::requests::shown;
use crate::twiml::{Kind, Message, Request, Step};
use crate::values::sid::NotificationSid;

/// The most bytes of all bodies and headers that an answer shows, and of all texts and attributes of steps; what is beyond
/// is left out.
const MOST_BODIES: usize = 256 * 1024;
const MOST_TEXTS: usize = 256 * 1024;

/// The same of all messages.
const MOST_MESSAGES: usize = 256 * 1024;

/// The longest value of a parameter that an answer shows: none is longer.
const LONGEST_SHOWN: usize = 16 * 1024;

/// The most notifications of a run.
const MOST_NOTIFICATIONS: usize = 200;

pub struct Record<'a> {
    world: &'a World,
    scene: &'a Scene,
    pub answer: Answer,
    pub notifications: Vec<Notification>,
    /// The last request.
    about: Arc<About>,
    /// How many bytes of bodies, and of texts, may still be shown.
    bodies: usize,
    texts: usize,
    messages: usize,
}

impl<'a> Record<'a> {
    pub fn new(world: &'a World, scene: &'a Scene) -> Self {
        let answer = Answer::begun(scene.sid.clone());
        let (about, notifications) = (Arc::default(), Vec::new());
        Self {
            world,
            scene,
            answer,
            notifications,
            about,
            bodies: MOST_BODIES,
            texts: MOST_TEXTS,
            messages: MOST_MESSAGES,
        }
    }

    /// Adds a request, with the fault that answered it, if one did.
    pub fn request(
        &mut self,
        request: &Request,
        parameters: &[(String, String)],
        delivery: &Delivery,
        fault: Option<String>,
    ) {
        if let Some(Failure::NotAllowed { why, address }) = &delivery.failure {
            tracing::warn!("a callback was not sent to {address}: {why}");
        }
        let requested = self.requested(request, parameters, delivery, fault);
        let members = json!({
            answer::log_kind(self.scene.kind): self.scene.sid, "why": requested.why, "method": requested.method,
            "url": requested.url, "parameters": requested.parameters, "status": requested.status,
            "error": requested.error, "fault": requested.fault,
        });
        self.world.log.add(self.world.clock.now(), "callback", Some(self.scene.account), members);
        self.about = Arc::new(About {
            url: legible(&requested.url),
            method: requested.method,
            variables: legible(&requested.parameters.to_string()),
            headers: legible(&requested.headers.to_string()),
            body: legible(&requested.body),
        });
        self.answer.requests.push(requested);
    }

    fn requested(
        &mut self,
        request: &Request,
        parameters: &[(String, String)],
        delivery: &Delivery,
        fault: Option<String>,
    ) -> Requested {
        let body = within(&mut self.bodies, &String::from_utf8_lossy(&delivery.body));
        let headers = delivery.headers.iter().map(|(name, value)| (name.clone(), within(&mut self.bodies, value)));
        let headers: Vec<_> = headers.collect();
        let redirects = delivery.redirects.iter().map(|hop| Redirected {
            method: hop.method.as_str(),
            url: within(&mut self.bodies, &hop.url),
            signature: hop.signature.clone(),
            status: hop.status,
        });
        let redirects = redirects.collect();
        let failure = delivery.failure.as_ref();
        Requested {
            n: self.answer.requests.len() as u32 + 1,
            why: request.why,
            method: delivery.method.as_str(),
            url: if delivery.url.is_empty() { bare(&request.url) } else { delivery.url.clone() },
            address: delivery.address.map(|address| address.to_string()),
            parameters: shown(parameters, LONGEST_SHOWN),
            signature: delivery.signature.clone(),
            tries: delivery.tries,
            status: delivery.status,
            ms: delivery.took.as_millis() as u64,
            headers: shown(&headers, LONGEST_SHOWN),
            body,
            redirects,
            error: failure.map(|failure| Problem { code: codes::of(failure), message: failure.to_string() }),
            fault,
        }
    }

    /// Notes why the last request did not lead to a document.
    pub fn problem(&mut self, problem: Problem) {
        self.notify(0, problem.code, problem.message.clone());
        if let Some(last) = self.answer.requests.last_mut() {
            last.error = Some(problem);
        }
    }

    /// Adds steps, without their texts and attributes once there are too many.
    pub fn steps(&mut self, steps: Vec<Step>) {
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

    /// Adds messages, of which those that are too much are shown without what they say.
    pub fn messages(&mut self, messages: Vec<Message>) {
        for mut message in messages {
            message.body = within(&mut self.messages, &message.body);
            let media = message.media.iter().map(String::len).sum();
            match self.messages.checked_sub(media) {
                Some(left) => self.messages = left,
                None => message.media.clear(),
            }
            self.answer.messages.push(message);
        }
    }

    /// Notifies of something that concerns the last request, if there was one.
    pub fn notify(&mut self, log: u8, code: u32, message: String) {
        if self.notifications.len() >= MOST_NOTIFICATIONS {
            return;
        }
        let sid = NotificationSid::drawn(&self.world.chance).to_string();
        let is_call = self.scene.kind == Kind::Call;
        self.notifications.push(Notification {
            told: Told { sid, log, code, message },
            account: self.scene.account,
            call: if is_call { self.scene.sid.clone() } else { String::new() },
            at: self.world.clock.now(),
            about: Arc::clone(&self.about),
        });
    }
}

/// A text, or as much of it as may still be shown.
fn within(left: &mut usize, text: &str) -> String {
    let end = text.floor_char_boundary(*left);
    *left -= end;
    text[..end].to_owned()
}

/// A URL without credentials, also one that cannot be read.
pub fn bare(url: &str) -> String {
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
