//! A streaming replica that may be read where nobody can miss there what they have just written, through
//! whichever instance they did.
//!
//! - A watch samples how far the primary's log reaches, and waits until the replica has replayed that much.
//!   It then knows that the replica holds whatever was written before it took the sample.
//! - A read goes to the replica only while that moment is less than [`WINDOW`] ago, else to the primary.
//! - The answer to a write is held back until the replica is known to hold it or, where it does not come to that,
//!   for [`WINDOW`]: from then on no instance takes a replica that lacks it for fresh.
//!
//! So instances need not know of one another, and compare lengths of time only, never the clocks of two machines.
//! All of them must read from the same replica: what one has seen replayed there, the others find there.

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

/// How long the answer to a write is held back at most.
const WINDOW: Duration = Duration::from_secs(1);

/// How far behind a replica may be that is read: a little less, for no two machines' clocks go equally fast.
const FRESH: Duration = Duration::from_millis(900);

/// How often the replica is looked at while nobody writes, and after a look that failed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Between two questions whether the replica has come as far as it should: the second is asked soon, the
/// hundredth need not be.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long the replica may take for a read, after which the primary still has time for it, and either of
/// them for a question of the watch.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks after a replica for as long as it is kept. One for the whole process.
pub struct Watch {
    known: Arc<Known>,
    _task: JoinSet<()>,
}

/// What the watch knows, and who wants to know more.
#[derive(Default)]
struct Known {
    /// The replica holds all that was written before; `None` while it is of no use.
    fresh_as_of: watch::Sender<Option<Instant>>,
    wanted: Notify,
}

impl Watch {
    /// Begins to watch, within the runtime that calls this. The replica need not be there yet.
    pub fn start(primary: &PgConnectOptions, replica: &PgConnectOptions) -> Self {
        let known = Arc::<Known>::default();
        let mut task = JoinSet::new();
        task.spawn(keep_watching(Arc::clone(&known), primary.clone(), replica.clone()));
        Self { known, _task: task }
    }

    /// Returns when whoever asks any instance finds what was written before, or finds it in the primary.
    pub async fn settled(&self) {
        let written = Instant::now();
        let mut fresh_as_of = self.known.fresh_as_of.subscribe();
        self.known.wanted.notify_one();
        let _ = timeout(WINDOW, fresh_as_of.wait_for(|moment| *moment >= Some(written))).await;
    }

    /// Whether the replica is read.
    pub fn is_fresh(&self) -> bool {
        self.known.fresh_as_of.borrow().is_some_and(|moment| moment.elapsed() < FRESH)
    }
}

/// Where something is read.
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

    /// The same for one request of an account: see [`Db::of`].
    ///
    /// # Errors
    /// When the account has too many requests under way.
    pub fn of(&self, account: AccountSid) -> Result<Self> {
        Ok(Self { db: self.db.of(account, false)?, watch: Arc::clone(&self.watch) })
    }

    /// Reads from the replica, where it is fresh and answers soon, or else from the primary. A read that failed or
    /// took long says nothing of the replica: an account may have asked for too much. The watch finds out by itself.
    ///
    /// # Errors
    /// Those of the primary.
    pub async fn read<T, E>(&self, primary: &Db, read: impl AsyncFn(Source<'_>) -> Result<T, E>) -> Result<T, E> {
        if self.watch.is_fresh() {
            // Also where it refuses: what others have just written, the primary alone may know.
            if let Ok(Ok(found)) = timeout(PATIENCE, read(Source::Replica(&self.db))).await {
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

/// Why a replica is of no use.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("{0} refused to answer: {1}")]
    Refused(Side, sqlx::Error),
    #[error("{0} did not answer within {PATIENCE:?}")]
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

/// Who was asked.
type Side = &'static str;
const PRIMARY: Side = "the primary";
const REPLICA: Side = "the replica";

async fn keep_watching(known: Arc<Known>, primary: PgConnectOptions, replica: PgConnectOptions) {
    let (from, to) = (db::serving(&primary, 1, 1), db::reading(&replica, 1, 1));
    let mut told = None;
    loop {
        let asking = async {
            is_replica(&from, &to).await?;
            db::refuse_shared(&replica).await.map_err(Unfit::Unusable)?;
            keep_asking(&known, &from, &to, &mut told).await
        };
        let Err(unfit) = asking.await;
        known.fresh_as_of.send_replace(None);
        tell(&mut told, Err(unfit));
        sleep(TRY_AGAIN).await;
    }
}

async fn is_replica(primary: &Db, replica: &Db) -> Result<(), Unfit> {
    let theirs = answer(REPLICA, store::identity(replica)).await?;
    match theirs == answer(PRIMARY, store::identity(primary)).await? {
        true => Ok(()),
        false => Err(Unfit::OfAnother),
    }
}

async fn keep_asking(
    known: &Known,
    primary: &Db,
    replica: &Db,
    told: &mut Option<Result<(), String>>,
) -> Result<Infallible, Unfit> {
    loop {
        let asked = Instant::now();
        let position = answer(PRIMARY, store::position(primary)).await?;
        let mut pause = SHORTEST_PAUSE;
        while !answer(REPLICA, store::has_replayed(replica, &position)).await?.ok_or(Unfit::NotStandby)? {
            if asked.elapsed() > WINDOW {
                tell(told, Err(Unfit::Behind));
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        known.fresh_as_of.send_replace(Some(asked));
        if asked.elapsed() < FRESH {
            tell(told, Ok(()));
        }
        let _ = timeout(LOOK_EVERY, known.wanted.notified()).await;
    }
}

async fn answer<T>(side: Side, question: impl Future<Output = sqlx::Result<T>>) -> Result<T, Unfit> {
    let answered = timeout(PATIENCE, question).await.map_err(|_| Unfit::Silent(side))?;
    answered.map_err(|error| Unfit::Refused(side, error))
}

/// Logs how the replica is, if that is news.
fn tell(told: &mut Option<Result<(), String>>, news: Result<(), Unfit>) {
    let news = news.map_err(|unfit| unfit.to_string());
    if told.as_ref() != Some(&news) {
        match &news {
            Ok(()) => tracing::info!("lists and single numbers are read from the replica"),
            Err(why) => tracing::warn!(%why, "the replica is of no use; the primary is read, and writes take longer"),
        }
        *told = Some(news);
    }
}
