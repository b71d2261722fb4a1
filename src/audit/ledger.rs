//! The ledger, from its first entry to its last, a portion of entries at a time.
//!
//! Of each account it keeps the last entry that is proven, and what was left after it: the next portion must go on from there.
//! What was left at the end of the last closed month is kept as a checkpoint, from which the next audit begins.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::sleep;
use uuid::Uuid;

use super::portions::Pace;
use super::{Breach, Extent, store};
use crate::db::{Db, is_read_only};
use crate::error::Result;

/// How long to wait for transactions that go on. Those that write entries are shorter, unless they hang: then an entry that
/// is committed later may look missing, and no checkpoint is kept.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// What is proven of an account: that all entries up to `entry` are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    pub entry: i64,
    /// Cents, after that entry.
    pub balance: i64,
    /// Whether an entry after it does not follow. Then nothing after it counts as proven.
    ends: bool,
}

impl Proven {
    pub const fn at(entry: i64, balance: i64) -> Self {
        Self { entry, balance, ends: false }
    }
}

/// By account; unknown ones too, if there are entries of them.
pub type Balances = BTreeMap<Uuid, Proven>;

/// Where a proof of the ledger begins or ends.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// All entries up to this one are proven.
    pub entry: i64,
    /// The beginning of the month that was open then: all tenancies from before are proven to be paid for.
    pub month: DateTime<Utc>,
}

/// Entries of one account in a portion.
pub struct Link {
    pub account: Uuid,
    /// What was left before the first of them, by that entry.
    pub before: i64,
    pub last: i64,
    /// Their sum.
    pub sum: i64,
    /// Whether each follows from the one before it, and leaves no less than nothing.
    pub follows: bool,
}

/// What is proven so far.
pub struct Proof {
    begun: Option<Checkpoint>,
    balances: Balances,
    /// What was proven at the end of the last closed month.
    closed: Option<(Checkpoint, Balances)>,
}

impl Proof {
    /// Begins at the last checkpoint, or at the first entry. A checkpoint of a later month than this one is the work of a wrong
    /// clock, and does not count.
    pub async fn begin(db: &Db, extent: Extent, month: DateTime<Utc>) -> Result<Self> {
        let begun = match extent {
            Extent::Full => None,
            Extent::Open => store::checkpoint(db).await?.filter(|checkpoint| checkpoint.month <= month),
        };
        let balances = match begun {
            Some(_) => store::proven(db).await?,
            None => Balances::new(),
        };
        Ok(Self { begun, balances, closed: None })
    }

    /// Up to when all tenancies are proven to be paid for. Those of the last day are looked at again: clocks differ, and a sale
    /// takes a moment.
    pub fn paid_until(&self) -> DateTime<Utc> {
        self.begun.map_or(DateTime::UNIX_EPOCH, |checkpoint| checkpoint.month - TimeDelta::days(1))
    }

    /// What is proven of the accounts after `from`, up to `to`.
    pub fn between(&self, from: Uuid, to: Uuid) -> Vec<(Uuid, Proven)> {
        self.balances.range((Excluded(from), Included(to))).map(|(of, it)| (*of, *it)).collect()
    }

    fn add(&mut self, link: &Link) {
        let proven = self.balances.entry(link.account).or_default();
        if !link.follows || proven.ends || link.before != proven.balance {
            proven.ends = true;
        } else {
            *proven = Proven::at(link.last, proven.balance + link.sum);
        }
    }

    /// Keeps what was proven of closed months, unless the database takes no writes.
    pub async fn keep(self, db: &Db, now: DateTime<Utc>) -> Result<()> {
        let Some((checkpoint, balances)) = self.closed else { return Ok(()) };
        match store::keep(db, checkpoint, &balances, now).await {
            Err(error) if is_read_only(&error) => Ok(()),
            kept => Ok(kept?),
        }
    }
}

/// Proves the entries after the checkpoint: that they follow from one another, and what they are for. Entries before `month`
/// are of closed months.
pub async fn entries(db: &Db, proof: &mut Proof, month: DateTime<Utc>) -> Result<Vec<Breach>> {
    let mut from = proof.begun.map_or(0, |checkpoint| checkpoint.entry);
    let last = store::last_entry(db).await?;
    let all_have_ended = outlast_writers(db).await?;
    let closed = store::first_entry_since(db, month).await?.map_or(last, |first| first - 1).min(last);
    let (mut pace, mut breaches) = (Pace::of(500), Vec::new());
    loop {
        if from == closed && all_have_ended {
            proof.closed = Some((Checkpoint { entry: closed, month }, proof.balances.clone()));
        }
        if from >= last {
            return Ok(breaches);
        }
        let end = if from < closed { closed } else { last };
        let to = end.min(from + pace.size());
        let (links, found) = pace.work(db, of_entries(db, from, to)).await?;
        links.iter().for_each(|link| proof.add(link));
        breaches.extend(found);
        from = to;
    }
}

/// Waits until all transactions that may have written an entry so far have ended. Returns whether they have. Where nothing can
/// be written, that is not known, and no checkpoint can be kept either.
async fn outlast_writers(db: &Db) -> Result<bool> {
    let Some(mut left) = store::writers(db).await? else { return Ok(false) };
    let begun = Instant::now();
    while !left.is_empty() {
        if begun.elapsed() > LONGEST_WAIT {
            tracing::warn!("a transaction that may write the ledger stays open: what is proven now is not kept");
            return Ok(false);
        }
        sleep(PAUSE).await;
        let Some(now) = store::writers(db).await? else { return Ok(false) };
        left.retain(|writer| now.contains(writer));
    }
    Ok(true)
}

async fn of_entries(db: &Db, from: i64, to: i64) -> Result<(Vec<Link>, Vec<Breach>)> {
    let links = store::links(db, from, to).await?;
    let mut breaches = store::purchases(db, from, to).await?;
    breaches.extend(store::months(db, from, to).await?);
    Ok((links, breaches))
}
