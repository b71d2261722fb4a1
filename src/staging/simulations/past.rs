//! The calls and messages that there were, and those under way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::answer::Notification;
use super::{MOST_OF_ACCOUNT, MOST_OF_WORLD};
use crate::callbacks::Cookies;
use crate::staging::Refused;
use crate::twiml::{Ends, Kind};
use crate::values::sid::AccountSid;

/// The most that is kept of those that have ended, the newest first.
const MOST_ENDED: usize = 500;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How long the cookies of a conversation by messages are kept, and of how many.
const COOKIES_LAST: TimeDelta = TimeDelta::hours(4);
const MOST_CONVERSATIONS: usize = 100;

#[derive(Debug, Default)]
pub struct Past(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    running: Vec<(String, Kind, AccountSid)>,
    ended: VecDeque<Ended>,
    bytes: usize,
    conversations: VecDeque<(Ends, Cookies, DateTime<Utc>)>,
}

#[derive(Debug)]
struct Ended {
    sid: String,
    kind: Kind,
    account: AccountSid,
    text: Arc<str>,
    notifications: Vec<Arc<Notification>>,
}

impl Ended {
    fn bytes(&self) -> usize {
        self.text.len() + self.notifications.iter().map(|one| one.bytes()).sum::<usize>()
    }
}

impl Past {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// [`Refused::TooManyRuns`]
    pub fn begin(&self, sid: &str, kind: Kind, account: AccountSid) -> Result<(), Refused> {
        let mut kept = self.kept();
        let of_account = kept.running.iter().filter(|(.., of)| *of == account).count();
        if of_account >= MOST_OF_ACCOUNT || kept.running.len() >= MOST_OF_WORLD {
            return Err(Refused::TooManyRuns);
        }
        kept.running.push((sid.to_owned(), kind, account));
        Ok(())
    }

    /// Makes room for another one.
    pub fn stop(&self, sid: &str) {
        self.kept().running.retain(|(running, ..)| running != sid);
    }

    pub fn end(&self, sid: &str, kind: Kind, account: AccountSid, text: Arc<str>, notifications: Vec<Notification>) {
        let mut kept = self.kept();
        let notifications = notifications.into_iter().map(Arc::new).collect();
        let ended = Ended { sid: sid.to_owned(), kind, account, text, notifications };
        kept.bytes += ended.bytes();
        kept.ended.push_front(ended);
        while kept.ended.len() > MOST_ENDED || kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.ended.pop_back() else { break };
            kept.bytes -= oldest.bytes();
        }
    }

    /// Forgets those that have ended. Those under way still count.
    pub fn forget_all(&self) {
        let mut kept = self.kept();
        let running = std::mem::take(&mut kept.running);
        *kept = Kept { running, ..Kept::default() };
    }

    /// One of an account's, as JSON.
    pub fn find(&self, sid: &str, kind: Kind, account: AccountSid) -> Option<Arc<str>> {
        let kept = self.kept();
        let mut running = kept.running.iter();
        if running.any(|(running, of, by)| (running.as_str(), *of, *by) == (sid, kind, account)) {
            return Some(format!("{}\n", json!({ "sid": sid, "outcome": null, "status": "in-progress" })).into());
        }
        let mut ended = kept.ended.iter();
        let found = ended.find(|ended| ended.sid == sid && ended.kind == kind && ended.account == account);
        found.map(|ended| Arc::clone(&ended.text))
    }

    /// Those of an account that have ended, the newest first.
    pub fn all(&self, kind: Kind, account: AccountSid) -> Vec<Arc<str>> {
        let kept = self.kept();
        let own = kept.ended.iter().filter(|ended| ended.kind == kind && ended.account == account);
        own.map(|ended| Arc::clone(&ended.text)).collect()
    }

    /// The notifications of an account, the newest first; only those of a call, if one is named.
    pub fn notifications(&self, account: AccountSid, call: Option<&str>) -> Vec<Arc<Notification>> {
        let kept = self.kept();
        let own =
            kept.ended.iter().filter(|ended| ended.account == account && call.is_none_or(|call| ended.sid == call));
        own.flat_map(|ended| ended.notifications.iter().rev().map(Arc::clone)).collect()
    }

    /// The cookies of a conversation.
    pub fn cookies(&self, ends: &Ends, now: DateTime<Utc>) -> Cookies {
        let mut kept = self.kept();
        kept.conversations.retain(|(.., last)| now - *last < COOKIES_LAST);
        let found = kept.conversations.iter().find(|(of, ..)| of == ends);
        found.map(|(_, cookies, _)| cookies.clone()).unwrap_or_default()
    }

    pub fn keep_cookies(&self, ends: Ends, cookies: Cookies, now: DateTime<Utc>) {
        let mut kept = self.kept();
        kept.conversations.retain(|(of, ..)| *of != ends);
        kept.conversations.push_back((ends, cookies, now));
        if kept.conversations.len() > MOST_CONVERSATIONS {
            kept.conversations.pop_front();
        }
    }
}
