//! Quarantine: for how long a released number is not sold.

use chrono::{DateTime, TimeDelta, Utc};

use super::{analyze_if_many, fold_counts, store};
use crate::db::Db;
use crate::db::transact::{again, commit};
use crate::error::Result;
use crate::values::clock::Clock;
use crate::values::phone::Kind;

/// How long a released number is not sold, by kind.
#[derive(Clone, Copy, Debug)]
pub struct Quarantine {
    pub local: TimeDelta,
    pub tollfree: TimeDelta,
}

/// Stores the lengths of quarantines. Reports say by them when a number is back on sale.
///
/// # Errors
/// If the database is out of reach.
pub async fn keep_lengths(db: &Db, quarantine: Quarantine) -> Result<()> {
    Ok(store::keep_lengths(db, quarantine.local.num_days(), quarantine.tollfree.num_days()).await?)
}

/// Puts all numbers on sale whose quarantine has ended by `as_of`, and returns how many. Also folds the counts of the
/// stock; an error of that is only logged. Stores the lengths, too.
///
/// # Errors
/// If the database is out of reach, or this machine's clock is wrong. What was put on sale by then stays so.
pub async fn recycle(db: &Db, clock: &Clock, as_of: DateTime<Utc>, quarantine: Quarantine) -> Result<u64> {
    clock.trusted()?;
    keep_lengths(db, quarantine).await?;
    let mut recycled = 0;
    for (kind, length) in [(Kind::Local, quarantine.local), (Kind::TollFree, quarantine.tollfree)] {
        loop {
            match again(|| recycle_some(db, clock, kind, as_of - length)).await? {
                0 => break,
                some => recycled += some,
            }
        }
    }
    if let Err(error) = fold_counts(db).await {
        tracing::warn!("the counts of the stock were not folded: {error}");
    }
    analyze_if_many(db, recycled).await;
    Ok(recycled)
}

async fn recycle_some(db: &Db, clock: &Clock, kind: Kind, since: DateTime<Utc>) -> Result<u64> {
    let mut transaction = db.begin().await?;
    let recycled = store::recycle(&mut transaction, kind, since, clock.now()).await?;
    commit(transaction).await?;
    Ok(recycled)
}
