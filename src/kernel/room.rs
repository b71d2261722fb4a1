//! Memory for answers. A request makes room for the most that its answer can be before it does anything, so that
//! nothing is done that could not be answered; the room shrinks to what the answer is, and is held until the client has
//! taken it. Of all the room that there is, an account has at most a third.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::error::{Error, Result};
use super::sid::AccountSid;

/// How long room is waited for, in the order of those who wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most that one resource is, in KiB: its row and the text that is made of it, in which an `&` of a URL is five bytes.
const ONE: usize = 64;

/// What a row of a page is counted as before it is known, in KiB: four URLs of 2,048 characters of ASCII.
const ROW: usize = 9;

/// What is written of a page before it is known whether all of it can be, in KiB.
const TEXT: usize = 1280;

/// All the room that there is. A quarter of it is for single resources only, so that one can buy while others
/// leave pages unread.
#[derive(Debug)]
pub struct Rooms {
    singles: Pool,
    pages: Pool,
    refused: [AtomicU64; 2],
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
    /// Bytes.
    pub singles: usize,
    pub pages: usize,
    /// Requests, for their account's share and for all there is.
    pub refused_by_account: u64,
    pub refused_by_all: u64,
}

/// Room of which each account has a share. All sizes are in KiB.
#[derive(Debug)]
struct Pool {
    size: usize,
    share: usize,
    free: Arc<Semaphore>,
    /// What is free of the share of each account that holds or wants some.
    shares: Mutex<HashMap<AccountSid, Arc<Semaphore>>>,
}

impl Pool {
    fn new(size: usize) -> Self {
        Self { size, share: size / 3, free: Arc::new(Semaphore::new(size)), shares: Mutex::default() }
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<AccountSid, Arc<Semaphore>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share_of(&self, account: AccountSid) -> Arc<Semaphore> {
        let share = || Arc::new(Semaphore::new(self.share));
        Arc::clone(self.shares().entry(account).or_insert_with(share))
    }

    /// An account that neither holds nor wants any room is forgotten.
    fn forget_idle(&self, account: AccountSid) {
        let mut shares = self.shares();
        if shares.get(&account).is_some_and(|share| Arc::strong_count(share) == 1) {
            shares.remove(&account);
        }
    }

    fn in_use(&self) -> usize {
        (self.size - self.free.available_permits()) * 1024
    }
}

/// Room for an answer.
#[derive(Debug)]
pub struct Room {
    rooms: Arc<Rooms>,
    is_page: bool,
    account: AccountSid,
    /// Of the account's share, and of all there is. `None` only while it is being made or given up.
    held: [Option<OwnedSemaphorePermit>; 2],
}

impl Rooms {
    /// So many MiB in all.
    pub fn new(mib: u32) -> Arc<Self> {
        let kib = usize::try_from(mib).unwrap_or(usize::MAX / 1024) * 1024;
        let refused = [AtomicU64::new(0), AtomicU64::new(0)];
        Arc::new(Self { singles: Pool::new(kib / 4), pages: Pool::new(kib - kib / 4), refused })
    }

    /// Room for one resource.
    ///
    /// # Errors
    /// 429 where the account's share is taken for as long as one waits, 503 where all is.
    pub async fn for_one(self: &Arc<Self>, account: AccountSid) -> Result<Room> {
        self.make(account, false, ONE).await
    }

    /// Room for a page of so many rows.
    ///
    /// # Errors
    /// As [`Self::for_one`].
    pub async fn for_page(self: &Arc<Self>, account: AccountSid, rows: u32) -> Result<Room> {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX / ROW);
        self.make(account, true, rows.saturating_mul(ROW) + TEXT.min(rows * 2 + 128)).await
    }

    async fn make(self: &Arc<Self>, account: AccountSid, is_page: bool, kib: usize) -> Result<Room> {
        let until = Instant::now() + PATIENCE;
        let mut room = Room { rooms: Arc::clone(self), is_page, account, held: [None, None] };
        let pool = room.pool();
        let kib = u32::try_from(kib.min(pool.share)).unwrap_or(u32::MAX);
        let (share, free) = (pool.share_of(account), Arc::clone(&pool.free));
        let share = timeout_at(until, share.acquire_many_owned(kib)).await;
        room.held[0] = Some(share.map_err(|_| self.refuse(Limit::Account))?.map_err(closed)?);
        let free = timeout_at(until, free.acquire_many_owned(kib)).await;
        room.held[1] = Some(free.map_err(|_| self.refuse(Limit::All))?.map_err(closed)?);
        Ok(room)
    }

    fn refuse(&self, limit: Limit) -> Error {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        match limit {
            Limit::Account => Error::too_many(
                "Answers of this account that are not read yet take all the memory it may have",
                PATIENCE,
            ),
            Limit::All => Error::Unavailable("no memory is free for the answer".to_owned()),
        }
    }

    pub fn usage(&self) -> Usage {
        let refused = |limit: Limit| self.refused[limit as usize].load(Ordering::Relaxed);
        Usage {
            singles: self.singles.in_use(),
            pages: self.pages.in_use(),
            refused_by_account: refused(Limit::Account),
            refused_by_all: refused(Limit::All),
        }
    }
}

fn closed(_: AcquireError) -> Error {
    Error::Internal("the room for answers was closed".to_owned())
}

impl Room {
    fn pool(&self) -> &Pool {
        if self.is_page { &self.rooms.pages } else { &self.rooms.singles }
    }

    /// Makes it larger where so many bytes do not fit into it. Nobody waits for that, for who has room must not.
    ///
    /// # Errors
    /// As [`Rooms::for_one`].
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        let more = bytes.div_ceil(1024).saturating_sub(self.kib());
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let pool = self.pool();
        let wanted = [(pool.share_of(self.account), Limit::Account), (Arc::clone(&pool.free), Limit::All)];
        for (held, (semaphore, limit)) in self.held.iter_mut().zip(wanted) {
            let more = semaphore.try_acquire_many_owned(more).map_err(|_| self.rooms.refuse(limit))?;
            if let Some(held) = held {
                held.merge(more);
            }
        }
        Ok(())
    }

    /// Gives back what is larger than so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let less = self.kib().saturating_sub(bytes.div_ceil(1024));
        for held in self.held.iter_mut().flatten() {
            drop(held.split(less));
        }
    }

    fn kib(&self) -> usize {
        self.held[1].as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.held = [None, None];
        self.pool().forget_idle(self.account);
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
        let rooms = Rooms::new(64);
        let full = async |number| rooms.for_page(account(number), u32::MAX).await;
        let held = [full(1).await.unwrap(), full(2).await.unwrap(), full(3).await.unwrap()];
        let refused = rooms.for_page(account(1), 1).await.unwrap_err().refusal();
        assert_eq!((refused.code.status(), refused.retry_after), (429, 1));
        let refused = rooms.for_page(account(4), 1).await.unwrap_err().refusal();
        assert_eq!((refused.code.status(), refused.retry_after), (503, 1));
        // What is for single resources is not for pages.
        let singles: Vec<_> =
            [rooms.for_one(account(1)).await.unwrap(), rooms.for_one(account(4)).await.unwrap()].into();
        let usage = rooms.usage();
        assert_eq!((usage.pages, usage.singles), (48 << 20, (2 * ONE) << 10));
        assert_eq!((usage.refused_by_account, usage.refused_by_all), (1, 1));
        drop((held, singles));
        assert_eq!((rooms.usage().pages, rooms.usage().singles), (0, 0));
        assert!(rooms.pages.shares().is_empty() && rooms.singles.shares().is_empty());
        rooms.for_page(account(4), 1).await.unwrap();
    }

    #[tokio::test]
    async fn room_is_as_large_as_the_answer_and_those_who_wait_get_the_rest() {
        let rooms = Rooms::new(64);
        let mut held = rooms.for_page(account(1), u32::MAX).await.unwrap();
        let waits = async { rooms.for_page(account(1), 100).await.map(|room| room.kib()) };
        let (room, ()) = tokio::join!(waits, async { held.shrink(5000) });
        assert_eq!(room.unwrap(), 100 * ROW + 328);
        assert_eq!(rooms.usage().pages, 5 << 10);
        held.grow(6000).unwrap();
        held.grow(100).unwrap();
        assert_eq!(rooms.usage().pages, 6 << 10);
        assert_eq!(held.grow(17 << 20).unwrap_err().refusal().code.status(), 429);
        assert!(held.grow(16 << 20).is_ok());
        drop(held);
        assert_eq!(rooms.usage().pages, 0);
        assert!(rooms.pages.shares().is_empty());
    }
}
