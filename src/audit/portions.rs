//! Walks through accounts and numbers, a portion at a time.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::time::sleep;
use uuid::Uuid;

use super::ledger::Proof;
use super::{Breach, store};
use crate::db::Db;
use crate::error::Result;

/// How many go into a portion, so that it takes about a fifth of a second.
pub struct Pace {
    least: i64,
    size: i64,
    /// How long the one before took.
    took: Duration,
}

impl Pace {
    /// A snapshot of so long keeps few old rows.
    const TIME: Duration = Duration::from_millis(200);
    const MOST: i64 = 1_000_000;
    /// Beside others, how many times as long as a portion the audit rests after it.
    const REST: u32 = 4;

    /// Begins with the least.
    pub const fn of(least: i64) -> Self {
        Self { least, size: least, took: Duration::ZERO }
    }

    pub const fn size(&self) -> i64 {
        self.size
    }

    /// Does the work of a portion. The next one is larger if this one was quick, and smaller if it was slow. Before it, the
    /// audit rests while others are at work: it would take half of two processors from them.
    pub async fn work<T>(&mut self, db: &Db, work: impl Future<Output = Result<T>>) -> Result<T> {
        if store::others_are_at_work(db).await? {
            sleep(self.took * Self::REST).await;
        }
        let begun = Instant::now();
        let done = work.await?;
        self.took = begun.elapsed();
        if self.took < Self::TIME / 2 {
            self.size = (self.size * 2).min(Self::MOST);
        } else if self.took > Self::TIME * 2 {
            self.size = (self.size / 2).max(self.least);
        }
        Ok(done)
    }
}

/// The accounts: their own counts, and their balances.
pub async fn accounts(db: &Db, proof: &Proof) -> Result<Vec<Breach>> {
    let (mut pace, mut from, mut breaches) = (Pace::of(500), Uuid::nil(), Vec::new());
    while from != Uuid::max() {
        let to = store::account_after(db, from, pace.size()).await?.unwrap_or(Uuid::max());
        breaches.extend(pace.work(db, of_accounts(db, from, to, proof)).await?);
        from = to;
    }
    Ok(breaches)
}

async fn of_accounts(db: &Db, from: Uuid, to: Uuid, proof: &Proof) -> Result<Vec<Breach>> {
    let mut breaches = store::holdings(db, from, to).await?;
    breaches.extend(store::balances(db, from, to, &proof.between(from, to)).await?);
    Ok(breaches)
}

/// The numbers, their tenancies, and the counts of the stock. Tenancies from before `paid_until` are proven to be paid for.
pub async fn numbers(db: &Db, paid_until: DateTime<Utc>) -> Result<Vec<Breach>> {
    let (mut pace, mut from, mut breaches) = (Pace::of(500), 0, Vec::new());
    while from != i64::MAX {
        let to = store::number_after(db, from, pace.size()).await?.unwrap_or(i64::MAX);
        breaches.extend(pace.work(db, of_numbers(db, from, to, paid_until)).await?);
        from = to;
    }
    breaches.extend(counts(db).await?);
    Ok(breaches)
}

async fn of_numbers(db: &Db, from: i64, to: i64, paid_until: DateTime<Utc>) -> Result<Vec<Breach>> {
    let mut breaches = store::holders(db, from, to).await?;
    breaches.extend(store::sales(db, from, to, paid_until).await?);
    breaches.extend(store::due(db, from, to).await?);
    breaches.extend(store::overlaps(db, from, to).await?);
    Ok(breaches)
}

/// The counts of the stock. Several area codes share a portion, because each portion reads the counts of all. An area code is
/// never divided: a full one takes seconds.
async fn counts(db: &Db) -> Result<Vec<Breach>> {
    let (mut pace, mut breaches) = (Pace::of(1), Vec::new());
    let codes = store::area_codes(db).await?;
    let mut left = &codes[..];
    while !left.is_empty() {
        let size = usize::try_from(pace.size()).unwrap_or(usize::MAX).min(left.len());
        let (now, later) = left.split_at(size);
        breaches.extend(pace.work(db, async { Ok(store::counts(db, now).await?) }).await?);
        left = later;
    }
    Ok(breaches)
}
