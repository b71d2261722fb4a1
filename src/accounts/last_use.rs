//! Notes the last day on which each account was let in, for its operator.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::store;
use crate::db::Db;
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;

/// Notes that are under way at once. Without a free place, the account's next request tries again.
const MAX_UNDER_WAY: usize = 64;

/// How often a note is tried: another transaction may hold the account's row. After that, the day is not noted.
const TRIES: u32 = 5;

/// The time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes notes, one at a time. No request waits for one, and a note waits for no lock.
pub(super) struct LastUse {
    clock: Clock,
    places: Arc<Semaphore>,
    writing: Arc<Semaphore>,
}

/// A place for a note.
pub(super) struct Place(OwnedSemaphorePermit);

impl LastUse {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, places: Arc::new(Semaphore::new(MAX_UNDER_WAY)), writing: Arc::new(Semaphore::new(1)) }
    }

    /// The day, in UTC.
    pub(super) fn today(&self) -> NaiveDate {
        self.clock.now().date_naive()
    }

    /// A place, if one is free.
    pub(super) fn place(&self) -> Option<Place> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(Place)
    }

    /// Writes that the account was let in on this day. If the database does not take it, it is lost.
    pub(super) fn note(&self, place: Place, db: &Db, sid: AccountSid, day: NaiveDate) {
        let (Ok(db), writing) = (db.of(sid, true), Arc::clone(&self.writing)) else { return };
        tokio::spawn(async move {
            let Place(_place) = place;
            for _ in 0..TRIES {
                let permit = writing.acquire().await;
                match store::note_use(&db, sid, day).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => return tracing::debug!("the last use of an account could not be noted: {error}"),
                }
                drop(permit);
                sleep(PAUSE).await;
            }
        });
    }
}
