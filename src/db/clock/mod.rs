//! Compares a machine's clock with the database's.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio::time::{sleep, timeout};

use super::Db;
use crate::error::{Error, Result, Unavailable};
use crate::values::clock::{Clock, Comparison};

mod store;

/// Between two comparisons: at most, and at least where refusals ask for one.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the database may take for one question.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the database is asked for its time. The quickest answer is the most exact one, and counts.
const QUESTIONS: usize = 3;

/// Compares a watched clock with the database's, and says so where they differ; any other is taken as it is.
///
/// # Errors
/// When the database is out of reach: what was known stays.
pub async fn compare(clock: &Clock, db: &Db) -> Result<()> {
    let Clock::Watched(watch) = clock else { return Ok(()) };
    watch.found(comparison(db).await?);
    clock.offset().into_iter().for_each(|offset| watch.tell(offset));
    Ok(())
}

/// Compares again and again, until it is dropped.
pub async fn keep_comparing(clock: Clock, db: Db) {
    let Clock::Watched(watch) = &clock else { return };
    loop {
        sleep(SHORTEST_PAUSE).await;
        if clock.offset().is_some() {
            let _ = timeout(LONGEST_PAUSE - SHORTEST_PAUSE, watch.wanted()).await;
        }
        if let Err(error) = compare(&clock, &db).await {
            tracing::debug!("this machine's clock could not be compared with the database's: {error}");
        }
    }
}

async fn comparison(db: &Db) -> Result<Option<Comparison>> {
    let mut best: Option<Comparison> = None;
    for _ in 0..QUESTIONS {
        let asked = Instant::now();
        let late =
            |_| Error::Unavailable(Unavailable::Database(format!("it did not tell its time within {PATIENCE:?}")));
        let told = timeout(PATIENCE, store::time(db)).await.map_err(late);
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
