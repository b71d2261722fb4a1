//! Reads from a streaming replica, without missing what the client has just written through any instance.
//!
//! - A watch samples the end of the primary's log, and waits until the replica has replayed that much. Then the replica
//!   holds all that was written before the sample.
//! - A read goes to the replica only if that sample is less than [`WINDOW`] old, else to the primary.
//! - The answer to a write is held back until the replica is known to hold the write, or for [`WINDOW`]. After that, no
//!   instance reads from a replica that lacks the write.
//!
//! So instances need not know of one another, and only lengths of time are compared, never two machines' clocks. All
//! instances must read from the same replica.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::db::{self, Db, MigrateError};
use crate::error::Result;
use crate::values::sid::AccountSid;

mod store;

/// The longest delay of an answer to a write.
const WINDOW: Duration = Duration::from_secs(1);

/// The greatest age of the sample. A little less than [`WINDOW`], because clocks do not run equally fast.
const MAX_AGE: Duration = Duration::from_millis(900);

/// How often the replica is looked at while nothing is written, and after an error.
const POLL_EVERY: Duration = Duration::from_millis(100);
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The first and the longest pause while the replica has not yet replayed enough.
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// How long the replica may take for a read, so that time is left to ask the primary. Also for each server, for one
/// of the watch's own statements.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Watches a replica until it is dropped. One for the whole process.
pub struct Watch {
    state: Arc<Freshness>,
    _task: JoinSet<()>,
}

/// What the watch knows, and how it is woken.
#[derive(Default)]
struct Freshness {
    /// The replica holds all that was written before this moment; `None` while it cannot be used.
    fresh_as_of: watch::Sender<Option<Instant>>,
    wanted: Notify,
}

impl Watch {
    /// Starts the watch on the current runtime. The replica need not be there yet.
    pub fn start(primary: &PgConnectOptions, replica: &PgConnectOptions) -> Self {
        let state = Arc::<Freshness>::default();
        let mut task = JoinSet::new();
        task.spawn(watch_forever(Arc::clone(&state), primary.clone(), replica.clone()));
        Self { state, _task: task }
    }

    /// Returns when all instances see what was written before this call, in the replica or in the primary.
    pub async fn settled(&self) {
        let written = Instant::now();
        let mut fresh_as_of = self.state.fresh_as_of.subscribe();
        self.state.wanted.notify_one();
        let _ = timeout(WINDOW, fresh_as_of.wait_for(|moment| *moment >= Some(written))).await;
    }

    /// Whether reads go to the replica.
    pub fn is_fresh(&self) -> bool {
        self.state.fresh_as_of.borrow().is_some_and(|moment| moment.elapsed() < MAX_AGE)
    }
}

/// The source of reads.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    Primary(&'a Db),
    Replica(&'a Db),
}

impl<'a> Source<'a> {
    pub const fn db(self) -> &'a Db {
        match self {
            Self::Primary(db) | Self::Replica(db) => db,
        }
    }
}

/// Connections to a watched replica.
#[derive(Clone)]
pub struct Replica {
    db: Db,
    watch: Arc<Watch>,
}

impl Replica {
    pub fn new(db: Db, watch: Arc<Watch>) -> Self {
        Self { db, watch }
    }

    /// For one request of an account: see [`Db::of`].
    ///
    /// # Errors
    /// If the account has too many requests under way.
    pub fn of(&self, account: AccountSid) -> Result<Self> {
        Ok(Self { db: self.db.of(account, false)?, watch: Arc::clone(&self.watch) })
    }

    /// Reads from the replica if it is fresh and answers in time, else from the primary. A failed or slow read does not
    /// mark the replica as unusable: one heavy request may be the cause. The watch notices a broken replica itself.
    ///
    /// # Errors
    /// Those of the primary.
    pub async fn read<T, E>(&self, primary: &Db, read: impl AsyncFn(Source<'_>) -> Result<T, E>) -> Result<T, E> {
        if self.watch.is_fresh() {
            // After a refusal the primary is asked too: it may know something newer.
            if let Ok(Ok(found)) = timeout(TIMEOUT, read(Source::Replica(&self.db))).await {
                return Ok(found);
            }
        }
        read(Source::Primary(primary)).await
    }

    /// See [`Watch::settled`].
    pub async fn settled(&self) {
        self.watch.settled().await;
    }
}

/// Why a replica cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("{0} refused to answer: {1}")]
    Refused(Side, sqlx::Error),
    #[error("{0} did not answer within {TIMEOUT:?}")]
    Silent(Side),
    #[error("it is not a standby")]
    NotStandby,
    #[error("it is not a replica of this database")]
    OfAnother,
    #[error("{0}")]
    Unusable(MigrateError),
    #[error("it is more than {WINDOW:?} behind")]
    Behind,
}

/// The server that was asked.
type Side = &'static str;
const PRIMARY: Side = "the primary";
const REPLICA: Side = "the replica";

async fn watch_forever(state: Arc<Freshness>, primary: PgConnectOptions, replica: PgConnectOptions) {
    let (from, to) = (db::serving(&primary, 1, 1), db::reading(&replica, 1, 1));
    let mut logged = None;
    loop {
        let asking = async {
            is_replica(&from, &to).await?;
            db::refuse_shared(&replica).await.map_err(Unfit::Unusable)?;
            follow(&state, &from, &to, &mut logged).await
        };
        let Err(unfit) = asking.await;
        state.fresh_as_of.send_replace(None);
        log_change(&mut logged, Err(unfit));
        sleep(RETRY_AFTER).await;
    }
}

async fn is_replica(primary: &Db, replica: &Db) -> Result<(), Unfit> {
    let theirs = answer(REPLICA, store::identity(replica)).await?;
    match theirs == answer(PRIMARY, store::identity(primary)).await? {
        true => Ok(()),
        false => Err(Unfit::OfAnother),
    }
}

async fn follow(
    state: &Freshness,
    primary: &Db,
    replica: &Db,
    logged: &mut Option<Result<(), String>>,
) -> Result<Infallible, Unfit> {
    loop {
        let asked = Instant::now();
        let position = answer(PRIMARY, store::position(primary)).await?;
        let mut pause = MIN_PAUSE;
        while !answer(REPLICA, store::has_replayed(replica, &position)).await?.ok_or(Unfit::NotStandby)? {
            if asked.elapsed() > WINDOW {
                log_change(logged, Err(Unfit::Behind));
            }
            sleep(pause).await;
            pause = MAX_PAUSE.min(pause * 2);
        }
        state.fresh_as_of.send_replace(Some(asked));
        if asked.elapsed() < MAX_AGE {
            log_change(logged, Ok(()));
        }
        let _ = timeout(POLL_EVERY, state.wanted.notified()).await;
    }
}

async fn answer<T>(side: Side, question: impl Future<Output = sqlx::Result<T>>) -> Result<T, Unfit> {
    let answered = timeout(TIMEOUT, question).await.map_err(|_| Unfit::Silent(side))?;
    answered.map_err(|error| Unfit::Refused(side, error))
}

/// Logs the state of the replica when it changes.
fn log_change(logged: &mut Option<Result<(), String>>, news: Result<(), Unfit>) {
    let news = news.map_err(|unfit| unfit.to_string());
    if logged.as_ref() != Some(&news) {
        match &news {
            Ok(()) => tracing::info!("lists and single numbers are read from the replica"),
            Err(why) => tracing::warn!(%why, "the replica is of no use; the primary is read, and writes take longer"),
        }
        *logged = Some(news);
    }
}
