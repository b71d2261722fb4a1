//! Staging: a world of its own to test a program against. It is the whole service on a database that is marked, where
//! nothing is real: with chosen accounts, the same draws of chance on every run, and a way back to an earlier state.
//!
//! A world is one process. What only a world's database has is in `world.sql`; the statements of the slices know nothing
//! of it, and `serve` never has any of this.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock, Semaphore, watch};

use crate::accounts::gate::Gate;
use crate::callbacks::Callbacks;
use crate::db::transact::transact;
use crate::db::{Db, MigrateError};
use crate::error::{Denied, Error, Refuses};
use crate::values::chance::{Chance, Draws};
use crate::values::clock::Clock;
use crate::values::dialect::time;
use crate::values::phone::Plan;

mod changes;
mod control;
mod database;
mod face;
pub mod faults;
mod log;
mod opening;
mod refusals;
mod requests;
mod routes;
pub mod seed;
mod simulations;
mod store;
mod test_numbers;
mod time;
mod token;

use changes::Noted;
pub use database::{Database, MEETING, Name, NotAName, drop_leftovers};
pub use face::{ADDED, FACE, LONGEST_CHANGE, ROUTES, TREE, mount};
use faults::{Faults, MOST_FAULTS, Rule};
use log::{Log, Warning};
pub use opening::{Parts, clock_of, is_there};
pub use requests::{one_after_another, record};
pub use routes::Routes;
use seed::{Account, Choice, Made};
use simulations::{MOST_OF_ACCOUNT, MOST_OF_WORLD, Simulations};
use store::Snapshot;
pub use time::{Life, NotASpan, Span};
pub use token::{NotAToken, Token};

/// The snapshot of a world as its seed made it.
pub const SEEDED: &str = "seed";

/// The state before an account is made in several steps, in case one fails. Nobody else can name a snapshot so.
const BEFORE: &str = ".before";

/// The most snapshots, that of the seed included.
const MOST_SNAPSHOTS: usize = 32;

/// The most changes of a world as a whole that are under way or wait.
const MOST_QUEUED: usize = 32;

/// The most large answers on their way, of up to 4 MiB each, and the most who wait for the log.
const MOST_LARGE: usize = 8;
const MOST_WAITING: usize = 64;

/// The longest name of a snapshot.
const LONGEST_NAME: usize = 64;

/// Why a world was not opened, as the command `staging` says it: one line.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    #[error("another process has the world of the database {0}")]
    Busy(String),
    #[error("PostgreSQL has ended the connection that keeps other processes from this world: start it again")]
    Lost,
    #[error("there is no world '{0}': 'numberbank staging --name {0}' makes one")]
    Unknown(Name),
    #[error(
        "the world '{0}' was made of another seed: leave --seed out to go on with it, or make it again with --anew"
    )]
    OtherSeed(Name),
    #[error("the database {0} is not that of a world: choose another name, or drop it yourself")]
    Foreign(String),
    #[error("the seed: {0}")]
    Seed(Refused),
    #[error("the role may not make databases, of which each world has one: let it, by alter role … createdb")]
    NotAllowed,
    #[error(transparent)]
    Database(#[from] MigrateError),
    #[error("{0}")]
    Failed(#[from] Error),
}

impl From<sqlx::Error> for Unopened {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Denied<Refused>> for Unopened {
    fn from(denied: Denied<Refused>) -> Self {
        match denied {
            Denied::Refused(refused) => Self::Seed(refused),
            Denied::Failed(error) => Self::Failed(error),
        }
    }
}

/// Why nothing was done to a world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("Authenticate with the control token (Authorization: Bearer …), or with an account's Sid and AuthToken")]
    NoCredentials,
    #[error("This is for the control token only (Authorization: Bearer …)")]
    ControlOnly,
    /// JSON that cannot be read, and where.
    #[error("{0}")]
    NotRead(String),
    #[error("{0}")]
    Part(Part),
    #[error("there is no snapshot '{0}'")]
    NoSnapshot(String),
    #[error("a snapshot's name is 1 to {LONGEST_NAME} letters, digits, dashes and underscores, and not '{SEEDED}'")]
    NoName,
    #[error(
        "a world has at most {MOST_SNAPSHOTS} snapshots; one that is taken again replaces the older one of its name"
    )]
    TooManySnapshots,
    #[error("one of advance, to, stand (true) and run (true) is expected")]
    NoChange,
    #[error("a clock goes forward only: it is {} now, which is later than {}", told(*now), told(*to))]
    NotForward { now: DateTime<Utc>, to: DateTime<Utc> },
    #[error("a clock goes to a hundred years from now at most")]
    TooFar,
    /// What falls due where the clock is may be done in part.
    #[error(
        "Not all that fell due could be done; the log of the world says why. Its clock is at {}: send the rest of the way again",
        told(*.0)
    )]
    HalfWay(DateTime<Utc>),
    #[error("a world has at most {MOST_FAULTS} faults: clear some")]
    TooManyFaults,
    #[error("there is no fault '{0}'")]
    NoFault(String),
    #[error("{name}: {expected} is expected")]
    Parameter { name: String, expected: String },
    #[error("the world was reset, or is stopping: the simulation has ended")]
    Interrupted,
    #[error("Script: {0}")]
    Script(String),
    #[error("the account holds no such number")]
    NotHeld,
    #[error("authenticate as the account itself: requests to its program are signed with its AuthToken")]
    AsAccount,
    #[error(
        "at most {MOST_OF_ACCOUNT} calls and messages of an account, and {MOST_OF_WORLD} of a world, are simulated at a time"
    )]
    TooManyRuns,
    #[error("the snapshot '{0}' is of another version of the schema: make the world again with --anew")]
    OtherSchema(String),
}

impl Refuses for Refused {}

fn told(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A part of a seed or of an account that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct Part {
    /// As in `accounts[0].numbers[1]`.
    place: String,
    why: String,
}

impl Refuses for Part {}

impl From<Part> for Refused {
    fn from(part: Part) -> Self {
        Self::Part(part)
    }
}

impl Part {
    fn of(place: &str, why: impl ToString) -> Self {
        Self { place: place.to_owned(), why: why.to_string() }
    }

    /// The same, as a part of a larger one.
    fn below(self, outer: &str) -> Self {
        let Self { place, why } = self;
        Self { place: if place.is_empty() { outer.to_owned() } else { format!("{outer}.{place}") }, why }
    }
}

/// A world that is open.
pub struct World {
    /// The name of its database.
    pub name: String,
    pub clock: Clock,
    pub chance: Chance,
    choice: Choice,
    /// The numbers that there are for its clients.
    pub plan: Plan,
    /// Which start of the world this is.
    start: i32,
    life: Life,
    token: Token,
    db: Db,
    routes: Routes,
    callbacks: Callbacks,
    simulations: Simulations,
    /// The names of callers, by their numbers.
    caller_names: BTreeMap<String, String>,
    /// Those of the seed, which are there again after a reset.
    first_faults: Vec<Rule>,
    faults: Faults,
    log: Log,
    /// Whether it stops.
    stopping: watch::Sender<bool>,
    /// Held while a test number is on sale.
    offering: Arc<Mutex<()>>,
    /// Permits for answers that may be large, until their clients have taken them.
    large: Arc<Semaphore>,
    /// Permits for those who wait for entries of the log.
    waiting: Semaphore,
    /// Up to which rows of the database the log is written.
    noted: Mutex<Noted>,
    /// Permits for changes of the world as a whole, under way or waiting for their turn.
    changes: Arc<Semaphore>,
    /// Read-locked by each request, write-locked by what changes the world as a whole.
    turns: Arc<RwLock<()>>,
}

/// The answer to `GET /staging/world`.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    clock: time::Shown,
    seed: i64,
    choice: Choice,
    snapshots: Vec<ShownSnapshot>,
    faults: Vec<faults::Shown>,
    /// The ids of faults that no request has met.
    unspent: Vec<String>,
    warnings: Vec<Warning>,
}

#[derive(Debug, Serialize)]
struct ShownSnapshot {
    name: String,
    #[serde(serialize_with = "time")]
    taken_at: DateTime<Utc>,
}

impl World {
    /// Ends what would otherwise keep the server from stopping: simulations, and waits for the log.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
        self.simulations.stop_all();
        self.log.stop();
    }

    /// Waits until the world stops.
    async fn stopped(&self) {
        // Never an error: the world has the sender.
        let _ = self.stopping.subscribe().wait_for(|stops| *stops).await;
    }

    /// Closes its connections.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Waits until nothing changes the world as a whole, and keeps it so.
    async fn turn(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.turns).read_owned().await
    }

    async fn shown(&self) -> Result<Shown, Error> {
        let (name, clock, choice) = (self.name.clone(), self.shown_clock(), self.choice);
        let seed = self.chance.draws().map_or(0, |draws| draws.seed);
        let (snapshots, warnings) = (self.snapshots().await?, self.log.warnings());
        let (faults, unspent) = (self.faults.shown(), self.faults.unspent());
        Ok(Shown { name, clock, seed, choice, snapshots, faults, unspent, warnings })
    }

    /// Those that have a name of their own, the oldest first.
    async fn snapshots(&self) -> Result<Vec<ShownSnapshot>, Error> {
        let all = store::snapshots(&self.db).await?;
        let named = all.into_iter().filter(|snapshot| snapshot.name != BEFORE);
        Ok(named.map(|Snapshot { name, taken_at, .. }| ShownSnapshot { name, taken_at }).collect())
    }

    /// Takes a snapshot, in place of an older one of this name. Requests wait meanwhile.
    async fn take(&self, name: &str) -> Result<ShownSnapshot, Denied<Refused>> {
        if name == SEEDED || !may_be_name(name) {
            return Err(Refused::NoName.into());
        }
        let _alone = self.turns.write().await;
        self.copy(name).await
    }

    async fn copy(&self, name: &str) -> Result<ShownSnapshot, Denied<Refused>> {
        let (now, draws) = (self.clock.now(), self.draws()?);
        let taken = transact(&self.db, async |within| {
            Ok::<_, Error>(store::take(within, name, now, draws, MOST_SNAPSHOTS as i64).await?)
        });
        if !taken.await? {
            return Err(Refused::TooManySnapshots.into());
        }
        Ok(ShownSnapshot { name: name.to_owned(), taken_at: now })
    }

    /// Goes back to a snapshot. Requests wait meanwhile, and everything that the process knows of accounts is forgotten, as
    /// are faults and, unless it is to be kept, the log.
    async fn reset(&self, name: &str, keep_log: bool, gate: &Gate) -> Result<(), Denied<Refused>> {
        if !may_be_name(name) {
            return Err(Refused::NoSnapshot(name.escape_debug().to_string()).into());
        }
        let _alone = self.turns.write().await;
        self.go_back(name, gate).await?;
        self.simulations.forget_all();
        if !keep_log {
            self.log.clear();
        }
        self.begin_anew().await
    }

    /// Arms the faults of the seed, and no others. The log begins with what changes from now on.
    async fn begin_anew(&self) -> Result<(), Denied<Refused>> {
        self.faults.begin_anew();
        self.fill_up(None).await?;
        self.withdraw_test_numbers().await?;
        self.pass_over_changes().await?;
        for rule in self.first_faults.clone() {
            self.arm(rule).await?;
        }
        Ok(())
    }

    async fn go_back(&self, name: &str, gate: &Gate) -> Result<(), Denied<Refused>> {
        let draws = self.draws()?;
        let snapshot = transact(&self.db, async |within| {
            let snapshot = store::snapshot(within, name).await?.ok_or_else(|| Refused::NoSnapshot(name.to_owned()))?;
            if !store::fits(within, &snapshot).await? {
                return Err(Refused::OtherSchema(name.to_owned()).into());
            }
            store::reset(within, &snapshot).await?;
            Ok::<_, Denied<Refused>>(snapshot)
        });
        let snapshot = snapshot.await?;
        self.chance.go_back(snapshot.draws(draws.seed));
        self.clock.set(snapshot.course());
        gate.forget_all();
        Ok(())
    }

    /// Makes an account, or changes nothing: if the process is killed meanwhile, the next one goes back.
    async fn make(&self, account: &Account, gate: &Gate) -> Result<Made, Denied<Refused>> {
        let _alone = self.turns.write().await;
        if account.is_several() {
            self.copy(BEFORE).await?;
        }
        let made = account.make(&self.db, &self.clock, &self.chance).await;
        if account.is_several() {
            if made.is_err() {
                self.go_back(BEFORE, gate).await?;
            }
            transact(&self.db, async |within| Ok::<_, Error>(store::forget(within, BEFORE).await?)).await?;
        }
        // Its token may have been refused before.
        gate.forget_all();
        made.map_err(|denied| denied.map(Refused::from))
    }

    /// Goes back to where an account was being made when the last process was killed.
    async fn undo(&self) -> Result<(), Denied<Refused>> {
        transact(&self.db, async |within| {
            let Some(snapshot) = store::snapshot(within, BEFORE).await? else { return Ok(()) };
            if store::fits(within, &snapshot).await? {
                store::reset(within, &snapshot).await?;
            }
            Ok::<_, Denied<Refused>>(store::forget(within, BEFORE).await?)
        })
        .await
    }

    fn draws(&self) -> Result<Draws, Error> {
        self.chance.draws().ok_or_else(|| Error::Internal("a world's chance is seeded".to_owned()))
    }
}

fn may_be_name(name: &str) -> bool {
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(may_be)
}
