//! The way of a scripted caller, or of a message, through documents. A [`Walk`] runs one document after another; its
//! user makes the requests in between.

mod run;
mod url;

use serde::Serialize;

use super::script::Script;
use super::{Attributes, Document, Error, Grammar};
use run::Run;

/// The most documents of a call or message, and the most verbs of all of them.
pub const MOST_DOCUMENTS: u32 = 50;
pub const MOST_VERBS: u32 = 1000;

/// The two ends of a call or message, as messages name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who called, or sent the message.
    pub caller: String,
    /// The account's number.
    pub number: String,
}

/// Where a document came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub url: String,
    /// The number of the request, as steps name it.
    pub request: u32,
}

/// Gives ids to what comes to be in a walk.
pub trait Sids {
    /// A call's Sid.
    fn call(&mut self) -> String;
    /// A message's Sid.
    fn message(&mut self) -> String;
    /// The URL of a recording that lasts `seconds`. Its last segment is the recording's Sid.
    fn recording(&mut self, seconds: u32) -> String;
}

/// A call or a message under way.
#[derive(Clone, Debug)]
pub struct Walk {
    grammar: Grammar,
    ends: Ends,
    script: Script,
    /// Seconds since the beginning.
    time: u64,
    documents: u32,
    verbs: u32,
    /// Whether a verb other than Redirect and Reject was executed: the call is not rejected any more.
    is_answered: bool,
    ended: Option<Outcome>,
}

/// What came of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    pub steps: Vec<Step>,
    pub messages: Vec<Message>,
    pub next: Next,
}

/// How it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Request(Request),
    Ended(Outcome),
    /// The next URL is none, which is for the fallback.
    Error(Error),
}

/// The request that Twilio would make next. The parameters are those of the verb only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub why: Why,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Absolute. One that was written as such is kept as it was written.
    pub url: String,
    pub parameters: Vec<(&'static str, String)>,
    /// Whether the caller hung up: the call is over, and what is answered does not matter.
    pub is_last: bool,
}

/// What a request is for. A walk itself asks for the verbs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    Url,
    Gather,
    Record,
    Dial,
    Sms,
    Redirect,
    Fallback,
    Ended,
}

/// How a call or message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Hangup,
    /// The last document had no more verbs.
    End,
    CallerHungUp,
    Rejected,
    Limit,
}

/// A verb that was executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Seconds since the beginning. Of a Gather, when its prompts are over.
    pub at: u64,
    pub request: u32,
    pub verb: &'static str,
    pub attributes: Attributes,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// All keys that this verb took, those that finish included.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pressed: String,
    /// Of a Record, the seconds that were recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<u32>,
    /// Whom a Dial called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dialled: Vec<String>,
    /// How that ended, as the parameter says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// The message that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Whether the caller hung up here.
    #[serde(skip_serializing_if = "is_false")]
    pub hung_up: bool,
    /// Whether the verb is known and does nothing here.
    #[serde(skip_serializing_if = "is_false")]
    pub skipped: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    pub sid: String,
    pub to: String,
    pub from: String,
    pub body: String,
    /// What its Media name, as it was written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
}

impl Walk {
    pub const fn new(grammar: Grammar, ends: Ends, script: Script) -> Self {
        Self { grammar, ends, script, time: 0, documents: 0, verbs: 0, is_answered: false, ended: None }
    }

    /// Executes a document that was read by this walk's grammar, up to the next request or the end. After the end
    /// nothing is executed.
    pub fn run(&mut self, document: &Document, at: &Location, sids: &mut impl Sids) -> Walked {
        let limit = (self.documents == MOST_DOCUMENTS).then_some(Outcome::Limit);
        if let Some(outcome) = self.ended.or(limit) {
            return Walked { steps: Vec::new(), messages: Vec::new(), next: Next::Ended(outcome) };
        }
        self.documents += 1;
        let mut run = Run::new(self, at, sids);
        let next = run.document(document);
        let (steps, messages) = run.done();
        let next = match next {
            Next::Request(request) if !request.is_last && self.documents == MOST_DOCUMENTS => {
                Next::Ended(Outcome::Limit)
            }
            next => next,
        };
        if let Next::Ended(outcome) = next {
            self.ended = Some(outcome);
        }
        Walked { steps, messages, next }
    }

    /// The seconds that the call has taken so far.
    pub const fn duration(&self) -> u64 {
        self.time
    }

    /// Whether the call was answered: not as long as it was redirected only, nor if it is rejected.
    pub const fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// The keys that the caller has not pressed.
    pub fn digits_left(&self) -> String {
        self.script.digits()
    }
}

#[cfg(test)]
mod tests;
