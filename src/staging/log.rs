//! The log of a world: what was asked of it and answered, what money moved, what fell due. In memory only.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::values::sid::AccountSid;

/// The most entries, and the most bytes of all of them: older ones are dropped.
const MOST_ENTRIES: usize = 10_000;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The most different warnings: the oldest makes way for a new one.
const MOST_WARNINGS: usize = 100;

/// The kinds of entries.
pub const KINDS: [&str; 8] = ["request", "money", "account", "stock", "clock", "call", "message", "callback"];

#[derive(Debug, Default)]
pub struct Log {
    kept: Mutex<Kept>,
    /// Told of every new entry.
    added: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The number of the last entry. None is given twice.
    last: u64,
    warnings: Vec<Warning>,
    is_stopped: bool,
    /// How often it was cleared.
    cleared: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    kind: &'static str,
    account: Option<AccountSid>,
    text: String,
}

/// What a program probably did not mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// One line.
    text: String,
    count: u32,
    last_request_id: String,
}

/// Which entries are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub kind: Option<&'static str>,
    pub account: Option<AccountSid>,
    /// Only those after the entry of this number.
    pub since: u64,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        entry.number > self.since
            && self.kind.is_none_or(|kind| kind == entry.kind)
            && self.account.is_none_or(|account| entry.account == Some(account))
    }
}

impl Log {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry with these members.
    pub fn add(&self, at: DateTime<Utc>, kind: &'static str, account: Option<AccountSid>, members: Value) {
        let mut kept = self.kept();
        kept.last += 1;
        let number = kept.last;
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut all = Map::new();
        for (name, value) in
            [("n", json!(number)), ("at", json!(at)), ("kind", json!(kind)), ("account", json!(account))]
        {
            all.insert(name.to_owned(), value);
        }
        if let Value::Object(members) = members {
            all.extend(members);
        }
        let text = Value::Object(all).to_string();
        kept.bytes += text.len();
        kept.entries.push_back(Entry { number, kind, account, text });
        kept.trim();
        drop(kept);
        self.added.notify_waiters();
    }

    /// The entries that a filter takes, as a JSON object.
    pub fn read(&self, filter: &Filter) -> String {
        let kept = self.kept();
        let entries: Vec<_> =
            kept.entries.iter().filter(|entry| filter.takes(entry)).map(|entry| entry.text.as_str()).collect();
        format!("{{\"entries\":[{}],\"last\":{}}}\n", entries.join(","), kept.last)
    }

    /// Waits until there are `count` entries that a filter takes, for `longest` at most.
    pub async fn wait(&self, filter: &Filter, count: usize, longest: Duration) {
        let (until, mut there, mut seen) = (Instant::now() + longest, 0, filter.since);
        let mut cleared = self.kept().cleared;
        loop {
            // Before the look, so that no entry is missed.
            let added = self.added.notified();
            {
                let kept = self.kept();
                if kept.cleared != cleared {
                    (cleared, there) = (kept.cleared, 0);
                }
                let new = kept.entries.iter().rev().take_while(|entry| entry.number > seen);
                there += new.filter(|entry| filter.takes(entry)).count();
                seen = kept.last;
                if there >= count || kept.is_stopped {
                    return;
                }
            }
            if timeout_at(until, added).await.is_err() {
                return;
            }
        }
    }

    /// Nobody waits any more.
    pub fn stop(&self) {
        self.kept().is_stopped = true;
        self.added.notify_waiters();
    }

    /// Counts a warning.
    pub fn warn(&self, warning: String, request_id: &str) {
        let mut kept = self.kept();
        let last_request_id = request_id.to_owned();
        if let Some(known) = kept.warnings.iter_mut().find(|known| known.text == warning) {
            known.count += 1;
            known.last_request_id = last_request_id;
        } else {
            if kept.warnings.len() >= MOST_WARNINGS {
                kept.warnings.remove(0);
            }
            kept.warnings.push(Warning { text: warning, count: 1, last_request_id });
        }
    }

    pub fn warnings(&self) -> Vec<Warning> {
        self.kept().warnings.clone()
    }

    /// Forgets all entries and warnings.
    pub fn clear(&self) {
        let mut kept = self.kept();
        let Kept { last, is_stopped, cleared, .. } = *kept;
        *kept = Kept { last, is_stopped, cleared: cleared + 1, ..Kept::default() };
    }
}

impl Kept {
    fn trim(&mut self) {
        while self.entries.len() > MOST_ENTRIES || (self.bytes > MOST_BYTES && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at() -> DateTime<Utc> {
        "2026-01-31T12:00:00Z".parse().expect("a time")
    }

    fn entries(log: &Log, filter: &Filter) -> Vec<Value> {
        let read: Value = serde_json::from_str(&log.read(filter)).expect("JSON");
        read["entries"].as_array().expect("a list").clone()
    }

    #[test]
    fn the_oldest_entries_are_dropped() {
        let log = Log::default();
        for count in 0..MOST_ENTRIES + 5 {
            log.add(at(), "request", None, json!({ "count": count }));
        }
        let kept = entries(&log, &Filter::default());
        assert_eq!((kept.len(), &kept[0]["n"]), (MOST_ENTRIES, &json!(6)));
        let large = "x".repeat(MOST_BYTES / 4);
        for _ in 0..5 {
            log.add(at(), "money", None, json!({ "note": large }));
        }
        assert_eq!(entries(&log, &Filter::default()).len(), 3);
        log.add(at(), "call", None, json!({ "note": "x".repeat(MOST_BYTES) }));
        assert_eq!(entries(&log, &Filter::default()).len(), 1, "the newest stays");
    }

    #[test]
    fn a_filter_takes_what_fits_all_its_parts() {
        let (log, account) = (Log::default(), "AC00000000000000000000000000000001".parse().ok());
        log.add(at(), "request", account, json!({}));
        log.add(at(), "money", account, json!({}));
        log.add(at(), "money", None, json!({}));
        let count = |filter: Filter| entries(&log, &filter).len();
        assert_eq!(count(Filter { kind: Some("money"), ..Filter::default() }), 2);
        assert_eq!(count(Filter { kind: Some("money"), account, ..Filter::default() }), 1);
        assert_eq!(count(Filter { since: 2, ..Filter::default() }), 1);
        log.clear();
        log.add(at(), "clock", None, json!({}));
        assert_eq!(entries(&log, &Filter::default())[0]["n"], json!(4), "no number is given twice");
    }

    #[tokio::test]
    async fn who_waits_gets_what_comes_meanwhile() {
        let log = Arc::new(Log::default());
        let (filter, begun) = (Filter { kind: Some("money"), ..Filter::default() }, Instant::now());
        log.wait(&filter, 1, Duration::from_millis(50)).await;
        assert!(begun.elapsed() >= Duration::from_millis(50), "nothing came");
        let theirs = Arc::clone(&log);
        let adding = tokio::spawn(async move {
            for kind in ["money", "request", "money"] {
                tokio::time::sleep(Duration::from_millis(10)).await;
                theirs.add(at(), kind, None, json!({}));
            }
        });
        log.wait(&filter, 2, Duration::from_mins(1)).await;
        assert_eq!(entries(&log, &filter).len(), 2);
        adding.await.expect("all were added");
    }

    #[test]
    fn a_warning_is_counted() {
        let log = Log::default();
        for id in ["a", "b"] {
            log.warn("no such path".to_owned(), id);
        }
        let first = log.warnings().remove(0);
        assert_eq!((first.count, first.last_request_id.as_str()), (2, "b"));
        for other in 0..MOST_WARNINGS {
            log.warn(other.to_string(), "c");
        }
        assert_eq!(log.warnings().len(), MOST_WARNINGS, "the oldest made way");
    }
}
