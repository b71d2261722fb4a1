//! Where purchases queue.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::store::{self, Attempt, Bid, Look};
use crate::db::batch::{Batches, failed};
use crate::db::per_account::{Held, PerAccount};
use crate::db::{Db, violated};
use crate::error::Result;
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
pub struct Counter(Arc<Queues>);

struct Queues {
    lanes: Vec<Lane>,
    most_waiting: usize,
    of_busy: PerAccount<Lane>,
}

type Lane = Batches<Job, Outcome>;

/// A bid, and what its batch needs: that is done on the connections of the job that comes first.
struct Job {
    bid: Bid,
    db: Db,
    clock: Clock,
    /// The queue of a busy account stays until the batch is done, also where all clients have hung up: others go behind it.
    _queue: Option<Held<Lane>>,
}

/// Nothing came of it where others may have been in the way: a closer look may do.
type Outcome = Result<Option<Tried>>;

/// An attempt, and when it was made.
pub type Tried = (Attempt, DateTime<Utc>);

impl Counter {
    /// A counter where so many batches may be under way, and so many purchases wait for each of them.
    pub fn new(lanes: usize, most_waiting: usize) -> Self {
        let lane = || Batches::new(most_waiting, |jobs| together(Look::Past, Db::of_all, jobs));
        let lanes = (0..lanes.max(1)).map(|_| lane()).collect();
        Self(Arc::new(Queues { lanes, most_waiting, of_busy: PerAccount::default() }))
    }

    /// How many purchases wait for the batches under way.
    pub fn waiting(&self) -> usize {
        self.0.lanes.iter().map(Batches::waiting).sum::<usize>() + self.0.of_busy.sum(Batches::waiting)
    }

    /// Attempts a purchase, with others where that may be. The connections are those of its account.
    pub(super) async fn attempt(&self, db: &Db, clock: &Clock, look: Look, bid: Bid) -> Outcome {
        let (account, db, clock) = (bid.account, db.clone(), clock.clone());
        match look {
            Look::Past => its(&self.0.lanes, account).join(Job { bid, db, clock, _queue: None }).await?,
            Look::PastNumbers => {
                let hold = || self.0.of_busy.hold(account, || self.queue());
                let (queue, kept) = (hold(), hold());
                queue.join(Job { bid, db, clock, _queue: Some(kept) }).await?
            }
            Look::Waiting => {
                let alone = vec![Job { bid, db, clock, _queue: None }];
                together(look, Db::clone, alone).await.pop().unwrap_or(Ok(None))
            }
        }
    }

    /// The queue of an account that is busy elsewhere.
    fn queue(&self) -> Lane {
        Batches::new(self.0.most_waiting, |jobs| together(Look::PastNumbers, Db::clone, jobs))
    }
}

/// The one among these that is always an account's.
fn its<T>(all: &[T], account: AccountSid) -> &T {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    &all[(hasher.finish() % all.len() as u64) as usize]
}

/// A batch. Where one of it may be the fault of another, nothing comes of any.
async fn together(look: Look, of: fn(&Db) -> Db, jobs: Vec<Job>) -> Vec<Outcome> {
    let Some(Job { db, clock, .. }) = jobs.first() else { return Vec::new() };
    let (db, now, bids) = (of(db), clock.now(), jobs.iter().map(|job| job.bid.clone()).collect::<Vec<_>>());
    match store::buy(&db, look, &bids, now).await {
        Ok(attempts) => attempts.into_iter().map(|attempt| Ok(Some((attempt, now)))).collect(),
        Err(error) if violated(&error) == Some("idempotency_keys_pkey") => bids.iter().map(|_| Ok(None)).collect(),
        Err(error) => failed(error, bids.len()),
    }
}
