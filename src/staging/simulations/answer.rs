//! What came of a call or message, as it is shown. Its form is a promise: docs/staging.md has it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::run::{Early, Ending};
use crate::twiml::{Kind, Message, Step, Why};
use crate::values::sid::AccountSid;

#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    pub sid: String,
    pub outcome: Ending,
    pub status: &'static str,
    /// Seconds, as reckoned.
    pub duration: u64,
    pub digits_left: String,
    pub requests: Vec<Requested>,
    pub steps: Vec<Step>,
    pub messages: Vec<Message>,
    pub notifications: Vec<Told>,
}

impl Answer {
    /// Of a run that has just begun.
    pub const fn begun(sid: String) -> Self {
        Self {
            sid,
            outcome: Ending::Early(Early::Error),
            status: "in-progress",
            duration: 0,
            digits_left: String::new(),
            requests: Vec::new(),
            steps: Vec::new(),
            messages: Vec::new(),
            notifications: Vec::new(),
        }
    }
}

/// A request to the program.
#[derive(Clone, Debug, Serialize)]
pub struct Requested {
    pub n: u32,
    pub why: Why,
    pub method: &'static str,
    /// As it was signed.
    pub url: String,
    pub address: Option<String>,
    pub parameters: Value,
    pub signature: String,
    pub tries: u64,
    pub status: Option<u16>,
    pub ms: u64,
    pub headers: Value,
    pub body: String,
    pub redirects: Vec<Redirected>,
    pub error: Option<Problem>,
    /// The fault that answered in the program's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Redirected {
    pub method: &'static str,
    pub url: String,
    pub signature: String,
    pub status: u16,
}

/// Why a request did not lead to a document.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub code: u32,
    pub message: String,
}

/// A notification, in short.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    pub sid: String,
    pub log: u8,
    pub code: u32,
    pub message: String,
}

/// A notification with the request that it is about.
#[derive(Clone, Debug)]
pub struct Notification {
    pub told: Told,
    pub account: AccountSid,
    /// Empty if it is about a message.
    pub call: String,
    pub at: DateTime<Utc>,
    pub about: Arc<About>,
}

/// The request that notifications are about, in texts that XML can hold.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub url: String,
    pub method: &'static str,
    pub variables: String,
    pub headers: String,
    pub body: String,
}

impl Notification {
    /// The memory that all of them take. Those of one request stand side by side and share it.
    pub fn bytes(all: &[Arc<Self>]) -> usize {
        let own = all.iter().map(|one| size_of::<Self>() + one.told.message.len()).sum::<usize>();
        let shared = all.chunk_by(|one, next| Arc::ptr_eq(&one.about, &next.about)).filter_map(<[_]>::first);
        own + shared.map(|one| one.about.bytes()).sum::<usize>()
    }
}

impl About {
    const fn bytes(&self) -> usize {
        self.url.len() + self.variables.len() + self.headers.len() + self.body.len()
    }
}

/// The kind of its entry in the log.
pub const fn log_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "call",
        Kind::Message => "message",
    }
}
