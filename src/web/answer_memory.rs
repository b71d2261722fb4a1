//! The memory limit for pages of lists. A request reserves memory for the largest page that it may read; once the page
//! is known, the reservation shrinks to its size. It ends when the client has taken the answer. An account has at most
//! a third of the memory.
//!
//! A single resource needs no reservation. It takes 128 KiB at most, for its row and its text (in which each `&` of a
//! URL is five bytes), and a connection has only one at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::error::{self, Error, Result, Unavailable};
use crate::values::sid::AccountSid;

/// How long a reservation waits. A small page passes a large one that does not fit.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// KiB for a row before it is read: five URLs of 2,048 ASCII characters, and the rest.
const ROW_KIB: usize = 11;

/// KiB for the text that is written before all of a page is known to fit.
const TEXT_KIB: usize = 1280;

/// The memory, and what is reserved of it. All sizes are in KiB.
#[derive(Debug)]
pub struct AnswerMemory {
    size: usize,
    share: usize,
    reserved: Mutex<Reserved>,
    /// Wakes those that wait when memory is released.
    freed: Notify,
    refused: [AtomicU64; 2],
}

#[derive(Debug, Default)]
struct Reserved {
    all: usize,
    /// Reserved KiB of each account that has any.
    by_account: HashMap<AccountSid, usize>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Account,
    All,
}

/// What is reserved, and how many requests were refused.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub bytes: usize,
    /// Requests refused, by which limit.
    pub refused_by_account: u64,
    pub refused_by_all: u64,
}

/// Memory reserved for an answer, until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: Arc<AnswerMemory>,
    account: AccountSid,
    kib: usize,
}

impl AnswerMemory {
    /// `mib` MiB in all.
    pub fn new(mib: u32) -> Arc<Self> {
        let size = usize::try_from(mib).unwrap_or(usize::MAX / 1024) * 1024;
        let (reserved, freed, refused) = (Mutex::default(), Notify::new(), [AtomicU64::new(0), AtomicU64::new(0)]);
        Arc::new(Self { size, share: size / 3, reserved, freed, refused })
    }

    /// Reserves memory for a page of `rows` rows.
    ///
    /// # Errors
    /// If no memory is freed in time: [`Error::TooMany`] if the account has used its share, else
    /// [`Unavailable::Memory`].
    pub async fn for_page(self: &Arc<Self>, account: AccountSid, rows: u32) -> Result<Reservation> {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX / ROW_KIB);
        let kib = (rows.saturating_mul(ROW_KIB) + TEXT_KIB.min(rows * 2 + 128)).min(self.share);
        let until = Instant::now() + MAX_WAIT;
        loop {
            // Subscribed before the attempt, so that no release between the two is missed.
            let freed = self.freed.notified();
            let Err(limit) = self.try_reserve(account, kib) else { break };
            timeout_at(until, freed).await.map_err(|_| self.refuse(limit))?;
        }
        Ok(Reservation { memory: Arc::clone(self), account, kib })
    }

    fn reserved(&self) -> MutexGuard<'_, Reserved> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_reserve(&self, account: AccountSid, kib: usize) -> Result<(), Limit> {
        let mut reserved = self.reserved();
        let own = reserved.by_account.get(&account).copied().unwrap_or(0);
        if own + kib > self.share {
            return Err(Limit::Account);
        }
        if reserved.all + kib > self.size {
            return Err(Limit::All);
        }
        reserved.all += kib;
        reserved.by_account.insert(account, own + kib);
        Ok(())
    }

    fn release(&self, account: AccountSid, kib: usize) {
        let mut reserved = self.reserved();
        reserved.all -= kib;
        if let Some(own) = reserved.by_account.get_mut(&account) {
            *own -= kib;
            if *own == 0 {
                reserved.by_account.remove(&account);
            }
        }
        drop(reserved);
        self.freed.notify_waiters();
    }

    fn refuse(&self, limit: Limit) -> Error {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        match limit {
            Limit::Account => Error::TooMany { of: error::Limit::Unread, wait: MAX_WAIT },
            Limit::All => Error::Unavailable(Unavailable::Memory),
        }
    }

    pub fn usage(&self) -> Usage {
        let refused = |limit: Limit| self.refused[limit as usize].load(Ordering::Relaxed);
        Usage {
            bytes: self.reserved().all * 1024,
            refused_by_account: refused(Limit::Account),
            refused_by_all: refused(Limit::All),
        }
    }
}

impl Reservation {
    /// Enlarges the reservation to `bytes`, if that is more. It never waits: two that wait while holding memory could
    /// wait for each other.
    ///
    /// # Errors
    /// As [`AnswerMemory::for_page`].
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        let more = bytes.div_ceil(1024).saturating_sub(self.kib);
        self.memory.try_reserve(self.account, more).map_err(|limit| self.memory.refuse(limit))?;
        self.kib += more;
        Ok(())
    }

    /// Releases all but `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let kib = bytes.div_ceil(1024).min(self.kib);
        self.memory.release(self.account, self.kib - kib);
        self.kib = kib;
    }
}

impl Drop for Reservation {
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
    async fn an_account_may_reserve_a_third() {
        let memory = AnswerMemory::new(48);
        let full = async |number| memory.for_page(account(number), u32::MAX).await;
        let held = [full(1).await.unwrap(), full(2).await.unwrap(), full(3).await.unwrap()];
        assert!(matches!(memory.for_page(account(1), 1).await, Err(Error::TooMany { .. })));
        assert!(matches!(memory.for_page(account(4), 1).await, Err(Error::Unavailable(Unavailable::Memory))));
        let usage = memory.usage();
        assert_eq!((usage.bytes, usage.refused_by_account, usage.refused_by_all), (48 << 20, 1, 1));
        drop(held);
        assert_eq!(memory.usage().bytes, 0);
        assert!(memory.reserved().by_account.is_empty());
        memory.for_page(account(4), 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_reservation_shrinks_to_the_answer_and_frees_the_rest() {
        let memory = AnswerMemory::new(48);
        let mut held = memory.for_page(account(1), u32::MAX).await.unwrap();
        let waits = async { memory.for_page(account(1), 100).await.map(|reservation| reservation.kib) };
        let (reservation, ()) = tokio::join!(waits, async { held.shrink(5000) });
        assert_eq!(reservation.unwrap(), 100 * ROW_KIB + 328);
        assert_eq!(memory.usage().bytes, 5 << 10);
        held.grow(6000).unwrap();
        held.grow(100).unwrap();
        assert_eq!(memory.usage().bytes, 6 << 10);
        assert!(matches!(held.grow(17 << 20), Err(Error::TooMany { .. })));
        assert!(held.grow(16 << 20).is_ok());
        drop(held);
        assert_eq!(memory.usage().bytes, 0);
        assert!(memory.reserved().by_account.is_empty());
    }

    #[tokio::test]
    async fn a_small_page_passes_a_large_one_that_does_not_fit() {
        let memory = AnswerMemory::new(30);
        let held = [memory.for_page(account(1), u32::MAX).await, memory.for_page(account(2), u32::MAX).await];
        let _half = memory.for_page(account(3), 500).await.unwrap();
        let large = memory.for_page(account(4), u32::MAX);
        let small = async {
            let reservation = memory.for_page(account(5), 1).await;
            drop(held);
            reservation
        };
        // The large one waits first. It gets its memory when the small one drops the others.
        let (large, small) = tokio::join!(biased; large, small);
        assert_eq!((large.unwrap().kib, small.unwrap().kib), (10 << 10, ROW_KIB + 130));
        assert_eq!(memory.usage().refused_by_all, 0);
    }
}
