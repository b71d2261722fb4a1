//! The stock: which numbers exist, their states, and what the next buyer pays.

use chrono::{DateTime, Utc};

use crate::db::{Db, ProcessLock, Transaction, begin_locked, walk};
use crate::error::{Refuses, Result};
use crate::values::dialect::time;
use crate::values::money::Cost;
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::AccountSid;

mod adding;
pub mod import;
mod moving;
mod prices;
mod quarantine;
mod recycling;
pub mod searching;
mod store;
mod thresholds;

pub use adding::{Added, Counted, MOST_AT_ONCE, MOST_REJECTIONS, Rejection, add};
pub use moving::{Changed, Correction, MOST_MOVED, put_back, retire, set, withdraw};
pub use prices::{Price, PriceChange, Priced, price_changes, prices, set_price, unset_price};
pub use quarantine::{Quarantine, keep_lengths, recycle};
pub use recycling::{Recyclable, next_recycling, recyclable};
pub use thresholds::{Threshold, set_threshold, thresholds};

/// Why the stock or its prices are not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    NotInStock(PhoneNumber),
    /// A number that cannot be withdrawn in its state.
    CannotWithdraw(PhoneNumber, State),
    /// A number that cannot be put on sale in its state.
    CannotReturn(PhoneNumber, State),
    /// A number that cannot be retired in its state.
    CannotRetire(PhoneNumber, State),
    /// More numbers than [`MOST_MOVED`].
    TooManyMoved(usize),
    NoAccount(AccountSid),
    /// A closed account buys nothing: it gets no price.
    Closed(AccountSid),
    /// More numbers than [`MOST_AT_ONCE`].
    TooMany(i64),
    /// A file cannot be read, or not beyond some line, and why.
    File(String),
    /// A file has bad rows: how many, and how many by reason.
    BadRows(u64, Vec<Counted>),
}

impl Refuses for Refused {}

/// The state of a number in stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "stock_state", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum State {
    Available,
    InUse,
    /// Released, and not sold again until its quarantine has ended.
    Quarantined,
    /// Taken out of sale by the operator.
    Withdrawn,
    /// Ours no longer.
    Retired,
}

impl State {
    /// Its name on the command line and in views.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::InUse => "in_use",
            Self::Quarantined => "quarantined",
            Self::Withdrawn => "withdrawn",
            Self::Retired => "retired",
        }
    }
}

/// Why a number moves from one state to another. Only the trigger `stock_moved` knows which moves are legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "move_cause", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Sale,
    /// The account that holds it has released it.
    Release,
    /// By the operator.
    OperatorRelease,
    /// The account that held it was closed.
    Close,
    /// Its fee was not paid.
    Unpaid,
    /// Its quarantine has ended.
    Recycle,
    /// The number went back to its last account.
    Restore,
    Withdraw,
    Return,
    Retire,
}

/// Why a number is ours no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type, serde::Serialize)]
#[sqlx(type_name = "retirement", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Retirement {
    /// To another provider.
    PortedOut,
    /// To the provider it came from.
    Returned,
    /// It never was ours.
    Mistake,
}

/// A number in stock, as operators see it.
#[derive(Debug, serde::Serialize)]
pub struct Stocked {
    pub phone_number: PhoneNumber,
    pub kind: Kind,
    pub area_code: i16,
    pub state: State,
    pub provider: Option<String>,
    pub provider_cost: Option<Cost>,
    pub note: Option<String>,
}

/// Since when a number is in its state, and how that goes on.
#[derive(Debug, serde::Serialize)]
pub struct Since {
    /// When it came into its state or, if it is in use, to its holder.
    #[serde(serialize_with = "time")]
    pub since: DateTime<Utc>,
    /// When its quarantine ends; `None` unless it is quarantined.
    #[serde(serialize_with = "time")]
    pub back_on_sale: Option<DateTime<Utc>>,
    /// Why it was retired, while it is.
    pub retirement: Option<Retirement>,
}

/// The numbers of a kind and area code, by state.
#[derive(Debug, serde::Serialize)]
pub struct Summary {
    pub kind: Kind,
    pub area_code: i16,
    pub available: i64,
    pub in_use: i64,
    pub quarantined: i64,
    pub withdrawn: i64,
    /// Those of the four states before.
    pub total: i64,
    pub retired: i64,
}

/// How many new numbers on sale make the planner's statistics wrong. To analyze the table takes up to a second.
const ANALYZE_FROM: u64 = 10_000;

/// Whether there is no number at all.
///
/// # Errors
/// If the database is out of reach.
pub async fn is_empty(db: &Db) -> Result<bool> {
    Ok(store::is_empty(db).await?)
}

/// A number, if it is in stock.
///
/// # Errors
/// If the database is out of reach.
pub async fn find(within: &mut Transaction, number: PhoneNumber) -> Result<Option<(Stocked, Since)>> {
    Ok(store::find(within, number).await?.zip(store::since(within, number).await?))
}

/// The counts of each kind and area code.
///
/// # Errors
/// If the database is out of reach.
pub async fn summary(db: &Db) -> Result<Vec<Summary>> {
    Ok(store::summary(db).await?)
}

/// Folds the counts of the stock. Nobody who moves a number waits for it.
///
/// # Errors
/// If the database is out of reach.
pub async fn fold_counts(db: &Db) -> Result<()> {
    for pages in walk::portions(db, "stock_counts").await? {
        store::fold_counts(db, pages).await?;
    }
    Ok(())
}

/// One transaction at a time adds to the stock, so that two never wait for each other's rows. Not a lock on `stock`
/// itself, whose vacuum takes long.
const ADDITIONS: ProcessLock =
    ProcessLock { table: "stock_thresholds", taken: "another process adds numbers to the stock" };

/// Begins a transaction that adds to the stock.
///
/// # Errors
/// If the database is out of reach.
async fn begin_additions(db: &Db) -> Result<Transaction> {
    begin_locked(db, ADDITIONS).await
}

/// Analyzes the stock after many additions. After their commit: a `vacuum` or `create index concurrently` blocks this,
/// and may itself wait for the transaction.
async fn analyze_if_many(db: &Db, added: u64) {
    if added < ANALYZE_FROM {
        return;
    }
    if let Err(error) = store::analyze(db).await {
        tracing::warn!("the planner was not told of the stock, which 'analyze stock' does: {error}");
    }
}
