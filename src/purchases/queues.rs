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
/// - Purchases that join a lane while a batch is under way become the next batch: one statement and one
///   transaction, for one account or many. An account always uses the same lane, so two batches of an instance never
///   wait for the same account's row.
/// - Purchases of an account that another instance has locked have a queue of their own. One batch waits for the
///   account; the others wait for that batch, without a connection.
/// - A purchase that waits for locked numbers is done alone, and so is one that names its number.
///
/// Both kinds of purchases that wait for locks use their account's share of the connections.
#[derive(Clone)]
pub struct PurchaseQueues(Arc<Queues>);

struct Queues {
    lanes: Vec<BidQueue>,
    most_waiting: usize,
    of_busy: PerAccount<BidQueue>,
}

type BidQueue = Batches<Job, Outcome>;

/// A bid and its pool. Workers share the lanes, but each has a pool of its own; a batch uses the pool of its first
/// job.
struct Job {
    bid: Bid,
    db: Db,
    clock: Clock,
    /// Keeps the queue of a busy account until the batch is done, even if all its clients have hung up: later bids
    /// must wait behind it.
    _queue: Option<Held<BidQueue>>,
}

/// `None` means that others may have interfered: try again with stricter locking.
type Outcome = Result<Option<Tried>>;

/// An attempt, and its time.
pub type Tried = (Attempt, DateTime<Utc>);

impl PurchaseQueues {
    /// At most `lanes` batches run at once. At most `most_waiting` purchases wait for each of them.
    pub fn new(lanes: usize, most_waiting: usize) -> Self {
        let lane = || Batches::new(most_waiting, |jobs| run_batch(Locking::SkipAll, Db::of_all, jobs));
        let lanes = (0..lanes.max(1)).map(|_| lane()).collect();
        Self(Arc::new(Queues { lanes, most_waiting, of_busy: PerAccount::default() }))
    }

    /// The number of purchases that wait for a batch.
    pub fn waiting(&self) -> usize {
        self.0.lanes.iter().map(Batches::waiting).sum::<usize>() + self.0.of_busy.sum(Batches::waiting)
    }

    /// Attempts a purchase, in a batch if the locking allows it. `db` is for the purchase's own account.
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
