//! Where purchases queue.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::store::{self, Attempt, Bid, Look};
use crate::db::Db;
use crate::db::batch::{Batches, failed};
use crate::db::per_account::PerAccount;
use crate::error::{Result, violated};
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;

/// One counter for the whole process.
///
/// - Purchases that come to a lane while a batch is under way become the next one: one statement, one
///   transaction, for purchases of one account as for those of many. Each account has its lane, so that within
///   an instance nobody waits for an account's row while others could go with it.
/// - Those of an account that is busy elsewhere queue by themselves: one batch waits for the account, the others
///   for that batch.
/// - A purchase that waits for numbers which others hold goes alone.
///
/// Both that wait for rows do so on their account's share of the connections.
#[derive(Clone)]
pub struct Counter(Arc<Places>);

struct Places {
    lanes: Vec<Lane>,
    most_waiting: usize,
    queues: PerAccount<Lane>,
}

type Lane = Batches<Bid, Outcome>;

/// Nothing came of it where others may have been in the way: a closer look may do.
type Outcome = Result<Option<Tried>>;

/// An attempt, and when it was made.
pub type Tried = (Attempt, DateTime<Utc>);

impl Counter {
    /// A counter where so many batches may be under way, and so many purchases wait for each of them.
    pub fn new(lanes: usize, most_waiting: usize) -> Self {
        let lanes = (0..lanes.max(1)).map(|_| Batches::new(most_waiting)).collect();
        Self(Arc::new(Places { lanes, most_waiting, queues: PerAccount::default() }))
    }

    /// How many purchases wait for the batches under way.
    pub fn waiting(&self) -> usize {
        self.0.lanes.iter().map(Batches::waiting).sum::<usize>() + self.0.queues.sum(Batches::waiting)
    }

    /// Attempts a purchase, with others where that may be. The connections are those of its account.
    pub(super) async fn attempt(&self, db: &Db, clock: &Clock, look: Look, bid: Bid) -> Outcome {
        let (account, db, clock) = (bid.account, db.clone(), clock.clone());
        match look {
            Look::Past => {
                let batch = move |bids| together(db.of_all(), clock.clone(), look, bids);
                its(&self.0.lanes, account).join(bid, batch).await?
            }
            Look::PastNumbers => {
                let hold = || self.0.queues.hold(account, || Batches::new(self.0.most_waiting));
                let (queue, kept) = (hold(), hold());
                let batch = move |bids| {
                    // Where all who bid have hung up, the queue stays until its batch is done: others go behind it.
                    let _ = &kept;
                    together(db.clone(), clock.clone(), look, bids)
                };
                queue.join(bid, batch).await?
            }
            Look::Waiting => together(db, clock, look, vec![bid]).await.pop().unwrap_or(Ok(None)),
        }
    }
}

/// The one among these that is always an account's.
fn its<T>(all: &[T], account: AccountSid) -> &T {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    &all[(hasher.finish() % all.len() as u64) as usize]
}

/// A batch. Where one of it may be the fault of another, nothing comes of any.
async fn together(db: Db, clock: Clock, look: Look, bids: Vec<Bid>) -> Vec<Outcome> {
    let now = clock.now();
    match store::buy(&db, look, &bids, now).await {
        Ok(attempts) => attempts.into_iter().map(|attempt| Ok(Some((attempt, now)))).collect(),
        Err(error) if violated(&error) == Some("idempotency_keys_pkey") => bids.iter().map(|_| Ok(None)).collect(),
        Err(error) => failed(error, bids.len()),
    }
}
