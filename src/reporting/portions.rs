//! A view of all numbers or entries is read in portions, each by a statement of its own: so the first row comes at once,
//! and no statement, however many rows there are and however slowly they are taken, keeps PostgreSQL from removing what
//! buyers leave behind. Each portion goes on after the key at which the last one ended. Keys never change, and all rows of
//! a key are in one portion: so nothing comes twice, and nothing is left out that was there throughout.

use chrono::{DateTime, Utc};

use super::{Condition, Report};
use crate::db::Db;
use crate::error::Result;
use crate::values::sid::AccountSid;

mod store;

/// The number of keys in the first portion, which is small so that its rows come soon.
const FIRST: i64 = 500;
/// The largest number of keys in a portion, and of rows, as far as the portion before it foretells them.
const MOST: i64 = 16_000;

/// By which key a view is cut into portions: the first columns that its rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyed {
    /// It has few rows, or adds up many: one statement reads it.
    None,
    /// `phone_number`, of the numbers in stock, or of those in use.
    Number,
    NumberInUse,
    /// `created_at` of accounts, or of API keys.
    Account,
    ApiKey,
    /// `id` of the actions of operators.
    Action,
    /// `account_sid` and `id` of ledger entries, or of the events of accounts.
    Entry,
    Event,
}

/// The rows of a view after one key, up to another and with it.
#[derive(Clone, Copy, Debug)]
pub enum Portion {
    Numbers(i64, i64),
    NumbersInUse(i64, i64),
    Moments(DateTime<Utc>, DateTime<Utc>),
    Ids(i64, i64),
    OfAccounts((AccountSid, i64), (AccountSid, i64)),
}

/// The portions of a report, one after the other.
pub struct Portions {
    key: Keyed,
    size: i64,
    last: Option<Portion>,
    /// Numbers from one to another only.
    numbers: (i64, i64),
    /// Entries or events of accounts from one to another only.
    accounts: (AccountSid, AccountSid),
}

impl Portions {
    /// Those of a report, unless what it is limited by leads to its rows by an index of its own.
    pub fn of(Report { view, limits, conditions, is_last }: &Report) -> Option<Self> {
        let is_few = limits.number.is_some() || limits.since.is_some() || limits.until.is_some();
        if view.key == Keyed::None || is_few || (*is_last && limits.rows.is_some()) {
            return None;
        }
        let accounts = match limits.account {
            None => (AccountSid::LEAST, AccountSid::MOST),
            Some(account) if matches!(view.key, Keyed::Entry | Keyed::Event) => (account, account),
            Some(_) => return None,
        };
        let (mut key, mut numbers) = (view.key, (0, i64::MAX));
        for condition in conditions {
            match condition {
                Condition::Between("phone_number", first, last) => numbers = (*first, *last),
                Condition::InState("in_use") => key = Keyed::NumberInUse,
                // No index has them by number, and mostly they are many.
                Condition::InState("available") => {}
                Condition::Is("kind", _) if view.key == Keyed::Number => {}
                _ => return None,
            }
        }
        Some(Self { key, size: FIRST, last: None, numbers, accounts })
    }

    /// Takes notice of how many rows the last portion had: numbers that changed hands often have many.
    pub fn had(&mut self, rows: usize) {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX).max(1);
        self.size = (self.size * MOST / rows).clamp(1, MOST.min(self.size * 2));
    }

    /// The next portion; `None` after the last one.
    pub async fn next(&mut self, db: &Db) -> Result<Option<Portion>> {
        let (beginning, size) = (DateTime::from_timestamp_nanos(i64::MIN), self.size);
        let next = match (self.key, self.last) {
            (Keyed::None, _) => None,
            (Keyed::Number | Keyed::NumberInUse, last) => {
                let after = match last {
                    Some(Portion::Numbers(_, last) | Portion::NumbersInUse(_, last)) => last,
                    _ => self.numbers.0 - 1,
                };
                let last = self.numbers.1;
                match self.key {
                    Keyed::Number => {
                        store::number(db, after, last, size).await?.map(|number| Portion::Numbers(after, number))
                    }
                    _ => store::number_in_use(db, after, last, size)
                        .await?
                        .map(|number| Portion::NumbersInUse(after, number)),
                }
            }
            (Keyed::Account | Keyed::ApiKey, last) => {
                let after = if let Some(Portion::Moments(_, last)) = last { last } else { beginning };
                let moment = match self.key {
                    Keyed::Account => store::account(db, after, size).await?,
                    _ => store::api_key(db, after, size).await?,
                };
                moment.map(|moment| Portion::Moments(after, moment))
            }
            (Keyed::Action, last) => {
                let after = if let Some(Portion::Ids(_, last)) = last { last } else { 0 };
                store::action(db, after, size).await?.map(|id| Portion::Ids(after, id))
            }
            (Keyed::Entry | Keyed::Event, last) => {
                let after = if let Some(Portion::OfAccounts(_, last)) = last { last } else { (self.accounts.0, 0) };
                let entry = match self.key {
                    Keyed::Entry => store::entry(db, after, self.accounts.1, size).await?,
                    _ => store::event(db, after, self.accounts.1, size).await?,
                };
                entry.map(|entry| Portion::OfAccounts(after, entry))
            }
        };
        self.last = next;
        Ok(next)
    }
}
