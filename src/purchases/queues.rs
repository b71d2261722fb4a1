//! Where purchases queue.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::store::{self, Attempt, Bid, Locking};
use crate::db::batch::{Batches, failed};
use crate::db::per_account::{Held, PerAccount};
use crate::db::{Db, violated};
use crate::error::Result;
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;

/// The queues of purchases, one set for the whole process.
///
/// - Purchases that come to a lane while a batch is under way become the next one: one statement, one
///   transaction, for purchases of one account as for those of many. Each account has its lane, so that within
///   an instance nobody waits for an account's row while others could go with it.
/// - Those of an account that is busy elsewhere queue by themselves: one batch waits for the account, the others
///   for that batch.
/// - A purchase that waits for numbers which others hold goes alone, and so does one of a number that it names.
///
/// Both that wait for rows do so on their account's share of the connections.
#[derive(Clone)]
pub struct PurchaseQueues(Arc<Queues>);

struct Queues {
    lanes: Vec<BidQueue>,
    most_waiting: usize,
    of_busy: PerAccount<BidQueue>,
}

type BidQueue = Batches<Job, Outcome>;

/// A bid. Its batch uses the connections of its first job: lanes are shared by all workers, and pools are not.
struct Job {
    bid: Bid,
    db: Db,
    clock: Clock,
    /// The queue of a busy account stays until the batch is done, also where all clients have hung up: others go behind it.
    _queue: Option<Held<BidQueue>>,
}

/// `None`: others may have interfered; try with stricter locking.
type Outcome = Result<Option<Tried>>;

/// An attempt, and when it was made.
pub type Tried = (Attempt, DateTime<Utc>);

impl PurchaseQueues {
    /// At most `lanes` batches may run, and `most_waiting` purchases wait for each of them.
    pub fn new(lanes: usize, most_waiting: usize) -> Self {
        let lane = || Batches::new(most_waiting, |jobs| run_batch(Locking::SkipAll, Db::of_all, jobs));
        let lanes = (0..lanes.max(1)).map(|_| lane()).collect();
        Self(Arc::new(Queues { lanes, most_waiting, of_busy: PerAccount::default() }))
    }

    /// How many purchases wait for the batches under way.
    pub fn waiting(&self) -> usize {
        self.0.lanes.iter().map(Batches::waiting).sum::<usize>() + self.0.of_busy.sum(Batches::waiting)
    }

    /// Attempts a purchase, with others where that may be. The connections are those of its account.
    pub(super) async fn attempt(&self, db: &Db, clock: &Clock, locking: Locking, bid: Bid) -> Outcome {
        let (account, db, clock) = (bid.account, db.clone(), clock.clone());
        match locking {
            Locking::SkipAll => lane_of(&self.0.lanes, account).join(Job { bid, db, clock, _queue: None }).await?,
            Locking::WaitForAccount => {
                let hold = || self.0.of_busy.hold(account, || self.queue());
                let (queue, kept) = (hold(), hold());
                queue.join(Job { bid, db, clock, _queue: Some(kept) }).await?
            }
            Locking::WaitForStock | Locking::This => {
                let alone = vec![Job { bid, db, clock, _queue: None }];
                run_batch(locking, Db::clone, alone).await.pop().unwrap_or(Ok(None))
            }
        }
    }

    /// The queue of an account that is busy elsewhere.
    fn queue(&self) -> BidQueue {
        Batches::new(self.0.most_waiting, |jobs| run_batch(Locking::WaitForAccount, Db::clone, jobs))
    }
}

/// The lane of an account, always the same.
fn lane_of<T>(all: &[T], account: AccountSid) -> &T {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    &all[(hasher.finish() % all.len() as u64) as usize]
}

/// Runs a batch. If one bid's key was used meanwhile, all bids are tried again.
async fn run_batch(locking: Locking, of: fn(&Db) -> Db, jobs: Vec<Job>) -> Vec<Outcome> {
    let Some(Job { db, clock, .. }) = jobs.first() else { return Vec::new() };
    let (db, now, bids) = (of(db), clock.now(), jobs.iter().map(|job| job.bid.clone()).collect::<Vec<_>>());
    match store::buy(&db, locking, &bids, now).await {
        Ok(attempts) => attempts.into_iter().map(|attempt| Ok(Some((attempt, now)))).collect(),
        Err(error) if violated(&error) == Some("idempotency_keys_pkey") => bids.iter().map(|_| Ok(None)).collect(),
        Err(error) => failed(error, bids.len()),
    }
}
