//! Compares a machine's clock with the database's.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio::time::{sleep, timeout};

use super::Db;
use crate::error::{Error, Result, Unavailable};
use crate::values::clock::{Clock, Comparison};

mod store;

/// The longest pause between two comparisons, and the shortest, for when refusals ask for one.
const MAX_PAUSE: Duration = Duration::from_mins(1);
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// How long the database may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Samples of one comparison. The one with the shortest round trip counts.
const SAMPLES: usize = 3;

/// Compares a watched clock with the database's, and logs a difference. Any other clock is left as it is.
///
/// # Errors
/// If the database is out of reach. The last comparison stays.
pub async fn compare(clock: &Clock, db: &Db) -> Result<()> {
    let Clock::Watched(skew) = clock else { return Ok(()) };
    skew.found(comparison(db).await?);
    clock.offset().into_iter().for_each(|offset| skew.tell(offset));
    Ok(())
}

/// Compares again and again, until dropped.
pub async fn keep_comparing(clock: Clock, db: Db) {
    let Clock::Watched(skew) = &clock else { return };
    loop {
        sleep(MIN_PAUSE).await;
        if clock.offset().is_some() {
            let _ = timeout(MAX_PAUSE - MIN_PAUSE, skew.wanted()).await;
        }
        if let Err(error) = compare(&clock, &db).await {
            tracing::debug!("this machine's clock could not be compared with the database's: {error}");
        }
    }
}

async fn comparison(db: &Db) -> Result<Option<Comparison>> {
    let mut best: Option<Comparison> = None;
    for _ in 0..SAMPLES {
        let asked = Instant::now();
        let late =
            |_| Error::Unavailable(Unavailable::Database(format!("it did not tell its time within {TIMEOUT:?}")));
        let told = timeout(TIMEOUT, store::time(db)).await.map_err(late);
        let database = match told.and_then(|told| Ok(told?)) {
            Ok(database) => database,
            Err(_) if best.is_some() => break,
            Err(error) => return Err(error),
        };
        let half = asked.elapsed() / 2;
        let uncertainty = TimeDelta::from_std(half).unwrap_or(TimeDelta::MAX);
        if best.is_none_or(|best| uncertainty < best.uncertainty) {
            best = Some(Comparison { moment: asked + half, database, uncertainty });
        }
    }
    Ok(best)
}
