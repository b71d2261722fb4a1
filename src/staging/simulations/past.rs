//! The calls and messages that there were, and those under way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::task::AbortHandle;

use super::answer::Notification;
use super::{MOST_OF_ACCOUNT, MOST_OF_WORLD};
use crate::callbacks::Cookies;
use crate::staging::Refused;
use crate::twiml::{Ends, Kind};
use crate::values::sid::AccountSid;

/// The most that is kept of those that have ended. Of the account that has most, the oldest one makes room.
const MOST_ENDED: usize = 500;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How long the cookies of a conversation by messages are kept, and of how many.
const COOKIES_LAST: TimeDelta = TimeDelta::hours(4);
const MOST_CONVERSATIONS: usize = 100;

#[derive(Debug, Default)]
pub struct Past(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// How many there ever were.
    begun: u64,
    /// Whether none may begin any more.
    is_stopped: bool,
    running: Vec<Running>,
    /// The newest first.
    ended: VecDeque<Ended>,
    conversations: VecDeque<Conversation>,
}

#[derive(Debug)]
struct Running {
    /// Sids may be drawn again after a reset.
    number: u64,
    sid: String,
    kind: Kind,
    account: AccountSid,
    task: Option<AbortHandle>,
}

#[derive(Debug)]
struct Ended {
    sid: String,
    kind: Kind,
    account: AccountSid,
    text: Arc<str>,
    notifications: Vec<Arc<Notification>>,
    bytes: usize,
}

#[derive(Debug)]
struct Conversation {
    account: AccountSid,
    ends: Ends,
    cookies: Cookies,
    last: DateTime<Utc>,
}

impl Past {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one, and returns its number.
    ///
    /// # Errors
    /// [`Refused::TooManyRuns`]
    pub fn begin(&self, sid: &str, kind: Kind, account: AccountSid) -> Result<u64, Refused> {
        let mut kept = self.kept();
        if kept.is_stopped {
            return Err(Refused::Interrupted);
        }
        let of_account = kept.running.iter().filter(|running| running.account == account).count();
        if of_account >= MOST_OF_ACCOUNT || kept.running.len() >= MOST_OF_WORLD {
            return Err(Refused::TooManyRuns);
        }
        kept.begun += 1;
        let number = kept.begun;
        kept.running.push(Running { number, sid: sid.to_owned(), kind, account, task: None });
        Ok(number)
    }

    /// Notes which task runs one.
    pub fn runs(&self, number: u64, task: AbortHandle) {
        if let Some(running) = self.kept().running.iter_mut().find(|running| running.number == number) {
            running.task = Some(task);
        }
    }

    /// Makes room for another one.
    pub fn stop(&self, number: u64) {
        self.kept().running.retain(|running| running.number != number);
    }

    pub fn end(&self, sid: &str, kind: Kind, account: AccountSid, text: Arc<str>, notifications: Vec<Notification>) {
        let notifications: Vec<_> = notifications.into_iter().map(Arc::new).collect();
        let bytes = text.len() + Notification::bytes(&notifications);
        let mut kept = self.kept();
        kept.ended.push_front(Ended { sid: sid.to_owned(), kind, account, text, notifications, bytes });
        while kept.ended.len() > 1 && kept.is_too_much() {
            kept.make_room();
        }
    }

    /// Forgets all, and ends those under way.
    pub fn forget_all(&self) {
        let mut kept = self.kept();
        let Kept { begun, is_stopped, .. } = *kept;
        let running = std::mem::replace(&mut *kept, Kept { begun, is_stopped, ..Kept::default() }).running;
        // What is dropped with a task takes the lock.
        drop(kept);
        running.iter().filter_map(|running| running.task.as_ref()).for_each(AbortHandle::abort);
    }

    /// Ends those under way, and lets none begin.
    pub fn stop_all(&self) {
        self.kept().is_stopped = true;
        self.forget_all();
    }

    /// One of an account's, as JSON.
    pub fn find(&self, sid: &str, kind: Kind, account: AccountSid) -> Option<Arc<str>> {
        let kept = self.kept();
        let is_running = |running: &Running| running.sid == sid && running.kind == kind && running.account == account;
        if kept.running.iter().any(is_running) {
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

    /// The cookies of an account's conversation.
    pub fn cookies(&self, account: AccountSid, ends: &Ends, now: DateTime<Utc>) -> Cookies {
        let mut kept = self.kept();
        kept.conversations.retain(|conversation| now - conversation.last < COOKIES_LAST);
        let mut all = kept.conversations.iter();
        let found = all.find(|conversation| conversation.account == account && conversation.ends == *ends);
        found.map(|conversation| conversation.cookies.clone()).unwrap_or_default()
    }

    pub fn keep_cookies(&self, account: AccountSid, ends: Ends, cookies: Cookies, last: DateTime<Utc>) {
        let mut kept = self.kept();
        kept.conversations.retain(|known| known.account != account || known.ends != ends);
        kept.conversations.push_back(Conversation { account, ends, cookies, last });
        if kept.conversations.len() > MOST_CONVERSATIONS {
            kept.conversations.pop_front();
        }
    }
}

impl Kept {
    fn is_too_much(&self) -> bool {
        self.ended.len() > MOST_ENDED || self.ended.iter().map(|ended| ended.bytes).sum::<usize>() > MOST_BYTES
    }

    /// Drops the oldest one of the account that has most, but not the newest of all.
    fn make_room(&mut self) {
        let mut shares = BTreeMap::<_, usize>::new();
        for ended in self.ended.iter().skip(1) {
            *shares.entry(ended.account).or_default() += ended.bytes;
        }
        let most = shares.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(account, _)| account);
        let oldest = self.ended.iter().rposition(|ended| Some(ended.account) == most);
        oldest.map(|at| self.ended.remove(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u8) -> AccountSid {
        format!("AC{number:032x}").parse().expect("a Sid")
    }

    #[test]
    fn an_account_with_much_takes_no_room_from_others_and_the_newest_stays() {
        let past = Past::default();
        let end = |sid: &str, of: u8, bytes: usize| {
            past.end(sid, Kind::Call, account(of), "x".repeat(bytes).into(), Vec::new());
        };
        end("CA1", 1, 1000);
        for count in 0..10 {
            end(&format!("CA2{count}"), 2, MOST_BYTES / 4);
        }
        assert_eq!((past.all(Kind::Call, account(1)).len(), past.all(Kind::Call, account(2)).len()), (1, 3));
        end("CA3", 3, 2 * MOST_BYTES);
        assert!(past.find("CA3", Kind::Call, account(3)).is_some(), "it is the newest");
    }
}
