//! Watches whether some instance on this database runs the jobs.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{sleep, timeout};

use super::store;
use crate::db::Db;
use crate::monitoring::{Instance, Jobs};
use crate::values::clock::Clock;

/// The longest pause between two checks.
const CHECK_EVERY: Duration = Duration::from_mins(1);

/// How long the database may take to answer a check.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Watches the jobs until dropped: tells monitoring when they last ran, and while they are overdue, logs a warning once
/// an interval. With `--jobs off` this is not started.
pub async fn watch(db: Db, clock: Clock, every: Duration, instance: Arc<Instance>) {
    let interval = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    let begun = clock.now();
    let (mut last_done, mut quiet_until) = (None, begun);
    loop {
        // If the database does not answer, keep the last known time.
        if let Ok(Ok(known)) = timeout(TIMEOUT, store::last_done(&db)).await {
            last_done = known;
        }
        let now = clock.now();
        let overdue = is_overdue(begun, last_done, interval, now);
        instance.jobs(Jobs { last_done, overdue });
        if overdue && now >= quiet_until {
            quiet_until = now + interval;
            let last_done = last_done.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339());
            tracing::warn!(
                last_done,
                "no instance has finished the jobs for two intervals: see 'the jobs did not come to their end' in the logs"
            );
        }
        sleep(every.min(CHECK_EVERY)).await;
    }
}

/// Whether more than two intervals passed without a run. They are counted from this instance's start at the earliest.
fn is_overdue(begun: DateTime<Utc>, last_done: Option<DateTime<Utc>>, interval: TimeDelta, now: DateTime<Utc>) -> bool {
    now - last_done.map_or(begun, |at| at.max(begun)) > interval.checked_mul(2).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_are_overdue_after_two_intervals() {
        let minute = |minute: i64| DateTime::from_timestamp(1_207_074_392 + minute * 60, 0).expect("a time");
        for (begun, last_done, now, overdue) in [
            (0, None, 20, false),
            (0, None, 21, true),
            (0, Some(15), 35, false),
            (0, Some(15), 36, true),
            (100, Some(15), 101, false),
            (100, Some(15), 121, true),
        ] {
            let last_done = last_done.map(minute);
            let interval = TimeDelta::minutes(10);
            assert_eq!(
                is_overdue(minute(begun), last_done, interval, minute(now)),
                overdue,
                "{begun} {last_done:?} {now}"
            );
        }
    }
}
