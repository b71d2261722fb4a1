//! Where purchases queue.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, Semaphore};

use super::store::{self, Attempt, Bid, Look};
use crate::kernel::batch::Batches;
use crate::kernel::clock::Clock;
use crate::kernel::db::Db;
use crate::kernel::error::{Error, Result, violated};
use crate::kernel::sid::AccountSid;

/// One counter for the whole process.
///
/// - Purchases that come to a lane while a batch is under way become the next one: one statement, one
///   transaction, for purchases of one account as for those of many. Each account has its lane, so that within
///   an instance nobody waits for an account's row while others could go with it.
/// - Those of an account that is busy elsewhere queue by themselves: one batch waits for the account, the others
///   for that batch.
/// - Who waits for numbers that others hold goes alone, of each account one at a time.
///
/// Whoever waits for rows keeps a connection meanwhile. So few do, and the rest of the connections serve others.
#[derive(Clone)]
pub struct Counter(Arc<Places>);

struct Places {
    lanes: Vec<Lane>,
    queues: [Lane; TURNS],
    turns: [Mutex<()>; TURNS],
    few: Semaphore,
}

type Lane = Batches<Bid, Outcome>;

/// Nothing came of it where others may have been in the way: a closer look may do.
type Outcome = Result<Option<Tried>>;

/// An attempt, and when it was made.
pub type Tried = (Attempt, DateTime<Utc>);

/// So many accounts seldom share a turn.
const TURNS: usize = 256;

impl Counter {
    /// A counter where so many batches may be under way, so many purchases wait for them, and so few for rows.
    pub fn new(lanes: usize, most_waiting: usize, few: usize) -> Self {
        let lanes = lanes.max(1);
        Self(Arc::new(Places {
            lanes: (0..lanes).map(|_| Batches::new(most_waiting / lanes)).collect(),
            queues: std::array::from_fn(|_| Batches::new(most_waiting)),
            turns: std::array::from_fn(|_| Mutex::default()),
            few: Semaphore::new(few.max(1)),
        }))
    }

    /// How many purchases wait for the batches under way.
    pub fn waiting(&self) -> usize {
        self.0.lanes.iter().chain(&self.0.queues).map(Batches::waiting).sum()
    }

    /// Attempts a purchase, with others where that may be.
    pub(super) async fn attempt(&self, db: &Db, clock: &Clock, look: Look, bid: Bid) -> Outcome {
        let (account, db, clock) = (bid.account, db.clone(), clock.clone());
        match look {
            Look::Past => {
                let batch = move |bids| together(db.clone(), clock.clone(), look, bids);
                its(&self.0.lanes, account).join(bid, batch).await?
            }
            Look::PastNumbers => {
                let counter = self.clone();
                let batch = move |bids| counter.clone().of_each_account(db.clone(), clock.clone(), look, bids);
                its(&self.0.queues, account).join(bid, batch).await?
            }
            Look::Waiting => {
                let _turn = its(&self.0.turns, account).lock().await;
                let _place = self.0.few.acquire().await;
                together(db, clock, look, vec![bid]).await.pop().unwrap_or(Ok(None))
            }
        }
    }

    /// A batch for each account of these, one after another: none waits for one account while it holds another.
    async fn of_each_account(self, db: Db, clock: Clock, look: Look, bids: Vec<Bid>) -> Vec<Outcome> {
        let mut outcomes: Vec<_> = bids.iter().map(|_| Ok(None)).collect();
        let mut places: Vec<_> = (0..bids.len()).collect();
        places.sort_by_key(|place| bids[*place].account);
        for places in places.chunk_by(|one, other| bids[*one].account == bids[*other].account) {
            let of_account = places.iter().map(|place| bids[*place].clone()).collect();
            let _place = self.0.few.acquire().await;
            let tried = together(db.clone(), clock.clone(), look, of_account).await;
            places.iter().zip(tried).for_each(|(place, outcome)| outcomes[*place] = outcome);
        }
        outcomes
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
        Err(error) => {
            let error = failure(error, bids.len());
            bids.iter().map(|_| error.clone().map_or(Ok(None), Err)).collect()
        }
    }
}

/// What is to be said of a statement that failed; nothing where another attempt may do.
fn failure(error: sqlx::Error, bids: usize) -> Option<Error> {
    if violated(&error) == Some("idempotency_keys_pkey") {
        return None;
    }
    match Error::from(error) {
        Error::Overtaken(_) => None,
        Error::Internal(_) if bids > 1 => None,
        error => Some(error),
    }
}
