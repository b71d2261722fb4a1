//! What changed in the database of a world, for its log: what money moved, and what became of accounts.

use std::collections::BTreeSet;

use serde_json::json;

use super::{World, store};
use crate::error::Error;

/// How many rows are read at a time.
pub const AT_A_TIME: usize = 1000;

/// How far back ids are looked at again: a transaction that began earlier may have been committed later.
const LOOKED_BACK: i64 = 1000;

/// The changes that the log has.
#[derive(Debug, Default)]
pub struct Noted {
    money: Ids,
    accounts: Ids,
}

/// The ids of the rows that are noted: all up to `all`, and these.
#[derive(Debug, Default)]
pub struct Ids {
    pub all: i64,
    recent: BTreeSet<i64>,
}

impl Ids {
    const fn until(all: i64) -> Self {
        Self { all, recent: BTreeSet::new() }
    }

    /// Those after `all`.
    pub fn recent(&self) -> Vec<i64> {
        self.recent.iter().copied().collect()
    }

    fn note(&mut self, id: i64) {
        self.recent.insert(id);
        self.all = self.all.max(id - LOOKED_BACK);
        self.recent = self.recent.split_off(&(self.all + 1));
    }
}

impl World {
    /// Logs what changed since the last time. If that fails, it is logged the next time.
    pub(super) async fn note_changes(&self) {
        if let Err(error) = self.try_to_note_changes().await {
            tracing::warn!("the log of the world was not brought up to date: {error}");
        }
    }

    async fn try_to_note_changes(&self) -> Result<(), Error> {
        let mut noted = self.noted.lock().await;
        loop {
            let mut changes = store::money_since(&self.db, &noted.money).await?;
            // By account within one moment: the order between accounts may be another on each run.
            changes.sort_by_key(|change| (change.at, change.account, change.id));
            for change in &changes {
                noted.money.note(change.id);
                let store::Moved { at, account, entry, amount, balance, number, month, note, .. } = change;
                let members = json!({
                    "entry": entry, "amount": amount, "balance": balance, "number": number, "month": month, "note": note,
                });
                self.log.add(*at, "money", Some(*account), members);
            }
            if changes.len() < AT_A_TIME {
                break;
            }
        }
        loop {
            let mut changes = store::events_since(&self.db, &noted.accounts).await?;
            settle(&mut changes);
            for change in &changes {
                noted.accounts.note(change.id);
                let store::Happened { at, account, change, reason, number, .. } = change;
                let members = json!({ "change": change, "reason": reason, "number": number });
                self.log.add(*at, "account", Some(*account), members);
            }
            if changes.len() < AT_A_TIME {
                break;
            }
        }
        Ok(())
    }

    /// From now on, only what changes later is logged.
    pub(super) async fn pass_over_changes(&self) -> Result<(), Error> {
        let (money, accounts) = (store::last_entry(&self.db).await?, store::last_event(&self.db).await?);
        *self.noted.lock().await = Noted { money: Ids::until(money), accounts: Ids::until(accounts) };
        Ok(())
    }
}

/// Sorts events of accounts. In which order an account loses numbers at once may be another on each run.
fn settle(changes: &mut [store::Happened]) {
    changes.sort_by_key(|change| (change.at, change.account, change.id));
    let at_once = |one: &store::Happened, next: &store::Happened| {
        let key = |change: &store::Happened| (change.at, change.account, change.change == LOST);
        key(one) == key(next) && one.change == LOST
    };
    changes.chunk_by_mut(at_once).for_each(|lost| lost.sort_by_key(|change| change.number));
}

/// As the database names it.
const LOST: &str = "number_lost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_late_is_looked_at_again() {
        let mut ids = Ids::until(5);
        ids.note(9);
        ids.note(7);
        assert_eq!((ids.all, ids.recent()), (5, vec![7, 9]));
        ids.note(1008);
        assert_eq!((ids.all, ids.recent()), (8, vec![9, 1008]));
    }
}
