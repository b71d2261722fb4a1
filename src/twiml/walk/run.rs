//! One document of a walk.

use super::super::grammar::is_phone;
use super::super::script::{Act, Dialled, Reply, Then};
use super::super::{Document, TEXT, Verb, Version};
use super::url::resolved;
use super::{Location, MOST_VERBS, Message, Next, Outcome, Request, Sids, Step, Walk, Why};
use crate::values::phone::Digits;

/// The seconds that a Play is reckoned to take. Nothing is fetched, so its length is not known.
const PLAY: u64 = 5;

/// How many words are said in a second.
const WORDS: u64 = 2;

/// The seconds until a line is found to be busy, or a number not to exist.
const NOT_CONNECTED: u64 = 1;

pub struct Run<'a, S> {
    walk: &'a mut Walk,
    at: &'a Location,
    sids: &'a mut S,
    steps: Vec<Step>,
    messages: Vec<Message>,
}

type Parameters = Vec<(&'static str, String)>;

/// What a verb leads to; `None` is the next verb.
type Onward = Option<Next>;

impl<'a, S: Sids> Run<'a, S> {
    pub const fn new(walk: &'a mut Walk, at: &'a Location, sids: &'a mut S) -> Self {
        Self { walk, at, sids, steps: Vec::new(), messages: Vec::new() }
    }

    pub fn done(self) -> (Vec<Step>, Vec<Message>) {
        (self.steps, self.messages)
    }

    pub fn document(&mut self, document: &Document) -> Next {
        let onward = document.verbs.iter().find_map(|verb| self.verb(verb));
        onward.unwrap_or(Next::Ended(Outcome::End))
    }

    fn verb(&mut self, verb: &Verb) -> Onward {
        self.walk.is_answered |= !matches!(verb.name(), "Redirect" | "Reject");
        match verb.name() {
            "Say" | "Play" | "Pause" => self.heard(verb),
            "Gather" => self.gather(verb),
            "Record" => self.record(verb),
            "Dial" => self.dial(verb),
            "Sms" | "Message" => self.send(verb),
            "Redirect" => self.redirect(verb),
            "Hangup" => self.end(verb, Outcome::Hangup),
            "Reject" if self.walk.is_answered => self.end(verb, Outcome::Hangup),
            "Reject" => self.end(verb, Outcome::Rejected),
            // The call stays in it.
            "Connect" => self.step(verb, |step| step.skipped = true).or(Some(Next::Ended(Outcome::End))),
            _ => self.step(verb, |step| step.skipped = true),
        }
    }

    /// Notes that a verb is executed now, unless too many were.
    fn step(&mut self, verb: &Verb, tell: impl FnOnce(&mut Step)) -> Onward {
        if self.walk.verbs == MOST_VERBS {
            return Some(Next::Ended(Outcome::Limit));
        }
        self.walk.verbs += 1;
        let mut step = Step {
            at: self.walk.time,
            request: self.at.request,
            verb: verb.name(),
            attributes: verb.attributes.clone(),
            text: verb.text.clone(),
            pressed: String::new(),
            recorded: None,
            dialled: Vec::new(),
            status: None,
            sid: None,
            hung_up: false,
            skipped: false,
        };
        tell(&mut step);
        self.steps.push(step);
        None
    }

    fn end(&mut self, verb: &Verb, outcome: Outcome) -> Onward {
        self.step(verb, |_| {}).or(Some(Next::Ended(outcome)))
    }

    fn caller_hangs_up(&mut self, verb: &Verb) -> Onward {
        self.step(verb, |step| step.hung_up = true).or(Some(Next::Ended(Outcome::CallerHungUp)))
    }

    fn pass(&mut self, seconds: impl Into<u64>) {
        self.walk.time += seconds.into();
    }

    /// What never ends is heard once; then the caller hangs up.
    fn heard(&mut self, verb: &Verb) -> Onward {
        let limit = self.step(verb, |_| {});
        if limit.is_some() {
            return limit;
        }
        self.pass(lasts(verb));
        if !is_endless(verb) {
            return None;
        }
        if let Some(step) = self.steps.last_mut() {
            step.hung_up = true;
        }
        Some(Next::Ended(Outcome::CallerHungUp))
    }

    /// The caller hears all prompts, then presses keys. One that never ends is heard once, and waits for a key.
    fn gather(&mut self, verb: &Verb) -> Onward {
        for prompt in &verb.children {
            let limit = self.step(prompt, |_| {});
            if limit.is_some() {
                return limit;
            }
            self.pass(lasts(prompt));
            if is_endless(prompt) {
                break;
            }
        }
        let listens = verb.value("input").is_none_or(|input| input.contains("dtmf"));
        let reply = self.walk.script.reply(|act| listens && matches!(act, Act::Press(_) | Act::Wait));
        let waits_for_ever = verb.children.iter().any(is_endless);
        match reply {
            Reply::Acts(Act::Press(keys)) => self.gathered(verb, &keys),
            Reply::HangsUp => self.caller_hangs_up(verb),
            _ if waits_for_ever => self.caller_hangs_up(verb),
            _ => self.gathered(verb, ""),
        }
    }

    /// Takes keys up to the last one that is needed, and waits for more where there are too few. What is left goes to
    /// the next Gather.
    fn gathered(&mut self, verb: &Verb, keys: &str) -> Onward {
        let finish = verb.value("finishOnKey").and_then(|key| key.chars().next());
        let most = verb.value("numDigits").map(|_| verb.whole("numDigits") as usize);
        let until = keys.find(|key| Some(key) == finish);
        let (digits, taken, is_over) = match (most, until) {
            (Some(most), _) if most <= until.unwrap_or(keys.len()) => (&keys[..most], most, true),
            (_, Some(until)) => (&keys[..until], until + 1, true),
            (_, None) => (keys, keys.len(), false),
        };
        let limit = self.step(verb, |step| keys[..taken].clone_into(&mut step.pressed));
        let rest = &keys[if limit.is_some() { 0 } else { taken }..];
        self.walk.script.give_back((!rest.is_empty()).then(|| Act::Press(rest.to_owned())));
        if limit.is_some() {
            return limit;
        }
        self.pass(taken as u64);
        if !is_over {
            self.pass(verb.whole("timeout"));
        }
        if digits.is_empty() && !verb.is("actionOnEmptyResult", "true") {
            return None;
        }
        let mut parameters = vec![("Digits", digits.to_owned())];
        if self.walk.grammar.version >= Version::V2010 {
            let key = keys[digits.len()..taken].to_owned();
            parameters.extend([("FinishedOnKey", key), ("msg", "Gather End".to_owned())]);
        }
        self.act(verb, Why::Gather, parameters)
    }

    fn record(&mut self, verb: &Verb) -> Onward {
        match self.walk.script.reply(|act| matches!(act, Act::Speak(..) | Act::Silence)) {
            Reply::Acts(Act::Speak(seconds, then)) => self.recorded(verb, seconds, then),
            Reply::HangsUp => self.caller_hangs_up(verb),
            _ => {
                let limit = self.step(verb, |_| {});
                let silence = verb.whole("timeout");
                self.pass(if silence == 0 { verb.whole("maxLength") } else { silence });
                limit
            }
        }
    }

    /// Records until `maxLength`, a key that finishes, a silence, or the caller hangs up. What comes after `maxLength` is
    /// for the next verb; a key that does not finish is heard in the recording.
    fn recorded(&mut self, verb: &Verb, seconds: u32, then: Then) -> Onward {
        let longest = verb.whole("maxLength");
        let (duration, is_cut) = (seconds.min(longest), seconds >= longest);
        let (now, later) = if is_cut { (Then::Nothing, then) } else { (then, Then::Nothing) };
        let limit = self.step(verb, |step| {
            step.recorded = Some(duration);
            step.pressed = if let Then::Press(key) = now { key.into() } else { String::new() };
            step.hung_up = now == Then::HangUp;
        });
        self.walk.script.give_back(if limit.is_some() { then } else { later }.act());
        if limit.is_some() {
            return limit;
        }
        self.pass(duration);
        let digits = match now {
            Then::HangUp => "hangup".to_owned(),
            Then::Press(key) if verb.value("finishOnKey").is_some_and(|keys| keys.contains(key)) => key.into(),
            _ if is_cut => String::new(),
            _ => {
                self.pass(verb.whole("timeout"));
                String::new()
            }
        };
        let parameters = [self.recording(duration), vec![("Digits", digits)]].concat();
        self.act_or_end(verb, Why::Record, parameters, now == Then::HangUp)
    }

    /// What is told of a recording.
    fn recording(&mut self, seconds: u32) -> Parameters {
        let url = self.sids.recording(seconds);
        match self.walk.grammar.version {
            Version::V2008 => vec![("RecordingUrl", url), ("Duration", seconds.to_string())],
            Version::V2010 => {
                let sid = url.rsplit('/').next().unwrap_or_default().to_owned();
                vec![("RecordingUrl", url), ("RecordingSid", sid), ("RecordingDuration", seconds.to_string())]
            }
        }
    }

    fn dial(&mut self, verb: &Verb) -> Onward {
        let dialled = dialled(verb);
        let answer = self.answer(verb, &dialled);
        let hangs_up = matches!(answer, Dialled::Canceled | Dialled::Answered { hangs_up: true, .. });
        let answered = self.by_version("answered", "completed");
        let (status, waited, talked) = match answer {
            Dialled::Answered { seconds, .. } => (answered, 0, seconds),
            Dialled::Busy => ("busy", NOT_CONNECTED, 0),
            Dialled::NoAnswer => ("no-answer", verb.whole("timeout").into(), 0),
            Dialled::Failed => ("failed", NOT_CONNECTED, 0),
            Dialled::Canceled => ("canceled", 0, 0),
        };
        let limit = self.step(verb, |step| {
            step.dialled = dialled;
            step.status = Some(status);
            step.hung_up = hangs_up;
        });
        if limit.is_some() {
            return limit;
        }
        self.pass(waited + u64::from(talked));
        let parameters = match self.walk.grammar.version {
            // Nothing shows that the action heard of it.
            Version::V2008 if hangs_up => return Some(Next::Ended(Outcome::CallerHungUp)),
            Version::V2008 => vec![("DialStatus", status.to_owned())],
            Version::V2010 => self.dial_parameters(verb, status, talked),
        };
        self.act_or_end(verb, Why::Dial, parameters, hangs_up)
    }

    /// What becomes of a Dial. Where no number can be called, none is: the script's answer waits for the next Dial. Who
    /// would have hung up after `timeLimit` does so at the next chance.
    fn answer(&mut self, verb: &Verb, dialled: &[String]) -> Dialled {
        if dialled.is_empty() {
            return Dialled::Failed;
        }
        let longest = verb.whole("timeLimit");
        match self.walk.script.reply(|act| matches!(act, Act::Dial(_))) {
            Reply::Acts(Act::Dial(Dialled::Answered { seconds, hangs_up })) if seconds >= longest => {
                self.walk.script.give_back(hangs_up.then_some(Act::HangUp));
                Dialled::Answered { seconds: longest, hangs_up: false }
            }
            Reply::Acts(Act::Dial(answer)) => answer,
            Reply::HangsUp => Dialled::Canceled,
            _ => Dialled::NoAnswer,
        }
    }

    /// What 2010-04-01 tells of a Dial. Who was answered has talked for a second at least.
    fn dial_parameters(&mut self, verb: &Verb, status: &str, talked: u32) -> Parameters {
        let is_bridged = talked > 0;
        let mut parameters = vec![
            ("DialCallStatus", status.to_owned()),
            ("DialCallSid", self.sids.call()),
            ("DialCallDuration", talked.to_string()),
            ("DialBridged", is_bridged.to_string()),
        ];
        if is_bridged && verb.value("record").is_some_and(|record| !matches!(record, "do-not-record" | "false")) {
            parameters.extend(self.recording(talked));
        }
        parameters
    }

    /// A message with a part that was refused has a Sid too, and is not sent.
    fn send(&mut self, verb: &Verb) -> Onward {
        let sid = self.sids.message();
        let is_valid = !["to", "from", TEXT].iter().any(|part| verb.is_refused(part));
        let status = if is_valid { "sending" } else { "invalid" };
        let limit = self.step(verb, |step| {
            verb.body().clone_into(&mut step.text);
            step.sid = is_valid.then(|| sid.clone());
            step.status = Some(status);
        });
        if limit.is_some() {
            return limit;
        }
        if is_valid {
            let end = |name, default: &str| verb.value(name).map_or_else(|| default.to_owned(), |end| self.spelt(end));
            let (to, from) = (end("to", &self.walk.ends.caller), end("from", &self.walk.ends.number));
            let (body, media) = (verb.body().to_owned(), verb.media());
            self.messages.push(Message { sid: sid.clone(), to, from, body, media });
        }
        let mut parameters = vec![("SmsSid", sid.clone()), ("SmsStatus", status.to_owned())];
        if verb.name() == "Message" {
            parameters.extend([("MessageSid", sid), ("MessageStatus", status.to_owned())]);
        }
        self.act(verb, Why::Sms, parameters)
    }

    fn redirect(&mut self, verb: &Verb) -> Onward {
        self.step(verb, |_| {}).or_else(|| Some(self.request(verb, Why::Redirect, &verb.text, Vec::new())))
    }

    /// Goes on at the verb's action, if it has one.
    fn act(&self, verb: &Verb, why: Why, parameters: Parameters) -> Onward {
        verb.value("action").map(|action| self.request(verb, why, action, parameters))
    }

    /// The same, where the caller may have hung up: the action hears of it, and nothing follows.
    fn act_or_end(&mut self, verb: &Verb, why: Why, parameters: Parameters, hung_up: bool) -> Onward {
        if !hung_up {
            return self.act(verb, why, parameters);
        }
        self.walk.ended = Some(Outcome::CallerHungUp);
        self.act(verb, why, parameters).or(Some(Next::Ended(Outcome::CallerHungUp)))
    }

    fn request(&self, verb: &Verb, why: Why, reference: &str, parameters: Parameters) -> Next {
        let is_get = verb.value("method").is_some_and(|method| method.eq_ignore_ascii_case("GET"));
        let method = if is_get { "GET" } else { "POST" };
        match resolved(self.at, reference, verb.line) {
            Ok(url) => Next::Request(Request { why, method, url, parameters, is_last: self.walk.ended.is_some() }),
            Err(error) => Next::Error(error),
        }
    }

    const fn by_version(&self, of_2008: &'static str, of_2010: &'static str) -> &'static str {
        match self.walk.grammar.version {
            Version::V2008 => of_2008,
            Version::V2010 => of_2010,
        }
    }

    /// A US number as this version writes it; others as they were written.
    fn spelt(&self, phone: &str) -> String {
        match phone.parse::<Digits>() {
            Ok(digits) => format!("{}{:010}", self.by_version("", "+1"), digits.value()),
            Err(_) => phone.trim().to_owned(),
        }
    }
}

/// The seconds that a prompt takes.
fn lasts(verb: &Verb) -> u64 {
    let once = match verb.name() {
        "Say" => (verb.text.split_whitespace().count() as u64).div_ceil(WORDS),
        "Play" => PLAY,
        _ => verb.whole("length").into(),
    };
    once * u64::from(verb.value("loop").map_or(1, |_| verb.whole("loop")).max(1))
}

fn is_endless(verb: &Verb) -> bool {
    verb.is("loop", "0")
}

/// Whom a Dial calls: its text, and what is in it. Numbers stand by themselves, others after what they are.
fn dialled(verb: &Verb) -> Vec<String> {
    let own = Some(&verb.text).filter(|text| is_phone(text)).cloned();
    let nested = verb.children.iter().filter(|child| !child.is_refused(TEXT)).map(|child| {
        let (kind, name) = (child.name().to_lowercase(), child.text_or(&["Identity", "ApplicationSid"]));
        let says_so = name.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(&kind));
        if child.name() == "Number" || says_so { name.to_owned() } else { format!("{kind}:{name}") }
    });
    own.into_iter().chain(nested).collect()
}
