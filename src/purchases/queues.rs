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
///   transaction, for one payer or many. What one account pays for always uses the same lane, so two batches of an instance
///   never wait for the same payer's row.
/// - Purchases of a payer that another instance has locked have a queue of their own. One batch waits for it; the
///   others wait for that batch, without a connection.
/// - Purchases that name their numbers have lanes of their own, for theirs is another statement.
/// - A purchase that waits for locked numbers is done alone.
///
/// Both kinds of purchases that wait for locks use their account's share of the connections.
#[derive(Clone)]
pub struct PurchaseQueues(Arc<Queues>);

struct Queues {
    lanes: Vec<BidQueue>,
    named: Vec<BidQueue>,
    most_waiting: usize,
    of_busy: PerAccount<BidQueue>,
}

type BidQueue = Batches<Db, Job, Outcome>;

struct Job {
    bid: Bid,
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
        let lane = |locking| Batches::new(most_waiting, move |db, jobs| run_batch(db, locking, jobs));
        let all = |locking| (0..lanes.max(1)).map(|_| lane(locking)).collect();
        let (lanes, named) = (all(Locking::SkipAll), all(Locking::ThisIfFree));
        Self(Arc::new(Queues { lanes, named, most_waiting, of_busy: PerAccount::default() }))
    }

    /// The number of purchases that wait for a batch.
    pub fn waiting(&self) -> usize {
        self.0.lanes.iter().chain(&self.0.named).map(Batches::waiting).sum::<usize>()
            + self.0.of_busy.sum(Batches::waiting)
    }

    /// Attempts a purchase, in a batch if the locking allows it. `db` is for the purchase's own account.
    pub(super) async fn attempt(&self, db: &Db, clock: &Clock, locking: Locking, bid: Bid) -> Outcome {
        let (payer, clock) = (bid.payer, clock.clone());
        match locking {
            Locking::SkipAll | Locking::ThisIfFree => {
                let lanes = if locking == Locking::SkipAll { &self.0.lanes } else { &self.0.named };
                lane_of(lanes, payer).join(&db.of_all(), Job { bid, clock, _queue: None }).await?
            }
            Locking::WaitForAccount => {
                let hold = || self.0.of_busy.hold(payer, || self.queue());
                let (queue, kept) = (hold(), hold());
                queue.join(db, Job { bid, clock, _queue: Some(kept) }).await?
            }
            Locking::WaitForStock | Locking::This => {
                let alone = vec![Job { bid, clock, _queue: None }];
                run_batch(db.clone(), locking, alone).await.pop().unwrap_or(Ok(None))
            }
        }
    }

    /// The queue of an account that is busy elsewhere.
    fn queue(&self) -> BidQueue {
        Batches::new(self.0.most_waiting, |db, jobs| run_batch(db, Locking::WaitForAccount, jobs))
    }
}

/// The lane of an account that pays, always the same.
fn lane_of<T>(all: &[T], account: AccountSid) -> &T {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    &all[(hasher.finish() % all.len() as u64) as usize]
}

/// Runs a batch. If one bid's key was used meanwhile, all bids are tried again.
async fn run_batch(db: Db, locking: Locking, jobs: Vec<Job>) -> Vec<Outcome> {
    let Some(Job { clock, .. }) = jobs.first() else { return Vec::new() };
    let (now, bids) = (clock.now(), jobs.iter().map(|job| job.bid.clone()).collect::<Vec<_>>());
    match store::buy(&db, locking, &bids, now).await {
        Ok(attempts) => attempts.into_iter().map(|attempt| Ok(Some((attempt, now)))).collect(),
        Err(error) if violated(&error) == Some("idempotency_keys_pkey") => bids.iter().map(|_| Ok(None)).collect(),
        Err(error) => failed(error, bids.len()),
    }
}
