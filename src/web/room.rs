//! Memory for pages of lists. A request makes room for the most that its page can be before it reads one; the room
//! shrinks to what the page is, and is held until the client has taken it. Of all the room that there is, an account
//! has at most a third. A single resource needs none: it is 64 KiB at the most, its row and the text in which an `&`
//! of a URL is five bytes, and a connection has one at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::error::{self, Error, Result, Unavailable};
use crate::values::sid::AccountSid;

/// How long room is waited for. A small page passes a large one that does not fit.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a row is counted as before it is known, in KiB: four URLs of 2,048 characters of ASCII.
const ROW: usize = 9;

/// What is written of a page before it is known whether all of it can be, in KiB.
const TEXT: usize = 1280;

/// All the room that there is. All sizes are in KiB.
#[derive(Debug)]
pub struct Rooms {
    size: usize,
    share: usize,
    taken: Mutex<Taken>,
    /// Room was given back.
    freed: Notify,
    refused: [AtomicU64; 2],
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Of each account that has any.
    of: HashMap<AccountSid, usize>,
}

/// Why somebody was refused.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Account,
    All,
}

/// What the room is used for.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub bytes: usize,
    /// Requests, for their account's share and for all there is.
    pub refused_by_account: u64,
    pub refused_by_all: u64,
}

/// Room for an answer.
#[derive(Debug)]
pub struct Room {
    rooms: Arc<Rooms>,
    account: AccountSid,
    kib: usize,
}

impl Rooms {
    /// So many MiB in all.
    pub fn new(mib: u32) -> Arc<Self> {
        let size = usize::try_from(mib).unwrap_or(usize::MAX / 1024) * 1024;
        let (taken, freed, refused) = (Mutex::default(), Notify::new(), [AtomicU64::new(0), AtomicU64::new(0)]);
        Arc::new(Self { size, share: size / 3, taken, freed, refused })
    }

    /// Room for a page of so many rows.
    ///
    /// # Errors
    /// [`Error::TooMany`] where the account's share is taken for as long as one waits, [`Unavailable::Memory`] where all is.
    pub async fn for_page(self: &Arc<Self>, account: AccountSid, rows: u32) -> Result<Room> {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX / ROW);
        let kib = (rows.saturating_mul(ROW) + TEXT.min(rows * 2 + 128)).min(self.share);
        let until = Instant::now() + PATIENCE;
        loop {
            // From before the look on, so that nothing is missed that is given back after it.
            let freed = self.freed.notified();
            let Err(limit) = self.take(account, kib) else { break };
            timeout_at(until, freed).await.map_err(|_| self.refuse(limit))?;
        }
        Ok(Room { rooms: Arc::clone(self), account, kib })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, account: AccountSid, kib: usize) -> Result<(), Limit> {
        let mut taken = self.taken();
        let own = taken.of.get(&account).copied().unwrap_or(0);
        if own + kib > self.share {
            return Err(Limit::Account);
        }
        if taken.all + kib > self.size {
            return Err(Limit::All);
        }
        taken.all += kib;
        taken.of.insert(account, own + kib);
        Ok(())
    }

    fn give_back(&self, account: AccountSid, kib: usize) {
        let mut taken = self.taken();
        taken.all -= kib;
        if let Some(own) = taken.of.get_mut(&account) {
            *own -= kib;
            if *own == 0 {
                taken.of.remove(&account);
            }
        }
        drop(taken);
        self.freed.notify_waiters();
    }

    fn refuse(&self, limit: Limit) -> Error {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        match limit {
            Limit::Account => Error::TooMany { of: error::Limit::Unread, wait: PATIENCE },
            Limit::All => Error::Unavailable(Unavailable::Memory),
        }
    }

    pub fn usage(&self) -> Usage {
        let refused = |limit: Limit| self.refused[limit as usize].load(Ordering::Relaxed);
        Usage {
            bytes: self.taken().all * 1024,
            refused_by_account: refused(Limit::Account),
            refused_by_all: refused(Limit::All),
        }
    }
}

impl Room {
    /// Makes it larger where so many bytes do not fit into it. Nobody waits for that, for who has room must not.
    ///
    /// # Errors
    /// As [`Rooms::for_page`].
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        let more = bytes.div_ceil(1024).saturating_sub(self.kib);
        self.rooms.take(self.account, more).map_err(|limit| self.rooms.refuse(limit))?;
        self.kib += more;
        Ok(())
    }

    /// Gives back what is larger than so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let kib = bytes.div_ceil(1024).min(self.kib);
        self.rooms.give_back(self.account, self.kib - kib);
        self.kib = kib;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u32) -> AccountSid {
        format!("AC{number:032x}").parse().expect("a Sid")
    }

    #[tokio::test]
    async fn an_account_has_a_third_and_all_have_all() {
        let rooms = Rooms::new(48);
        let full = async |number| rooms.for_page(account(number), u32::MAX).await;
        let held = [full(1).await.unwrap(), full(2).await.unwrap(), full(3).await.unwrap()];
        assert!(matches!(rooms.for_page(account(1), 1).await, Err(Error::TooMany { wait: PATIENCE, .. })));
        assert!(matches!(rooms.for_page(account(4), 1).await, Err(Error::Unavailable(Unavailable::Memory))));
        let usage = rooms.usage();
        assert_eq!((usage.bytes, usage.refused_by_account, usage.refused_by_all), (48 << 20, 1, 1));
        drop(held);
        assert_eq!(rooms.usage().bytes, 0);
        assert!(rooms.taken().of.is_empty());
        rooms.for_page(account(4), 1).await.unwrap();
    }

    #[tokio::test]
    async fn room_is_as_large_as_the_answer_and_those_who_wait_get_the_rest() {
        let rooms = Rooms::new(48);
        let mut held = rooms.for_page(account(1), u32::MAX).await.unwrap();
        let waits = async { rooms.for_page(account(1), 100).await.map(|room| room.kib) };
        let (room, ()) = tokio::join!(waits, async { held.shrink(5000) });
        assert_eq!(room.unwrap(), 100 * ROW + 328);
        assert_eq!(rooms.usage().bytes, 5 << 10);
        held.grow(6000).unwrap();
        held.grow(100).unwrap();
        assert_eq!(rooms.usage().bytes, 6 << 10);
        assert!(matches!(held.grow(17 << 20), Err(Error::TooMany { .. })));
        assert!(held.grow(16 << 20).is_ok());
        drop(held);
        assert_eq!(rooms.usage().bytes, 0);
        assert!(rooms.taken().of.is_empty());
    }

    #[tokio::test]
    async fn a_small_page_passes_a_large_one_that_does_not_fit() {
        let rooms = Rooms::new(30);
        let held = [rooms.for_page(account(1), u32::MAX).await, rooms.for_page(account(2), u32::MAX).await];
        let _half = rooms.for_page(account(3), 500).await.unwrap();
        let large = rooms.for_page(account(4), u32::MAX);
        let small = async {
            let room = rooms.for_page(account(5), 1).await;
            drop(held);
            room
        };
        // The large one waits first, and gets its room when the small one has let the others go.
        let (large, small) = tokio::join!(biased; large, small);
        assert_eq!((large.unwrap().kib, small.unwrap().kib), (10 << 10, ROW + 130));
        assert_eq!(rooms.usage().refused_by_all, 0);
    }
}
