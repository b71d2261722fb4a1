//! The threads that verify tokens by argon2, and the fair queue in front of them. A verification takes tens of
//! milliseconds and 19 MiB.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::fair_queue::FairQueue;
use super::gate::GateLimits;
use super::rate_limit::FailureLimiter;
use super::token;
use crate::db::LONGEST_REQUEST;
use crate::error::{Error, Limit, Result};
use crate::values::sid::AccountSid;

/// How long a request waits for its verification. Half a second of its deadline is left for its work.
const MAX_WAIT: Duration = LONGEST_REQUEST.saturating_sub(Duration::from_millis(500));

pub struct Verifiers {
    queue: Arc<FairQueue<Job>>,
    limiters: Arc<Limiters>,
    running: Arc<AtomicUsize>,
    refused: AtomicU64,
}

/// How busy the verifiers are.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Verifications under way.
    pub running: usize,
    /// Verifications in the queue.
    pub waiting: usize,
    /// Requests refused since the start, because the queue was full or they waited too long.
    pub refused: u64,
}

/// A token to verify.
pub struct Task {
    pub token: String,
    pub hash: String,
    /// Whether a person chose the account's token. Such a token can be guessed, so it is refused once its address has
    /// sent too many wrong ones. One that numberbank made cannot: it is refused only if its account, too, has seen too
    /// many, so that an account without a fast hash cannot keep the threads busy.
    pub chosen: bool,
    /// The client's network (see [`crate::values::network`]).
    pub address: IpAddr,
    pub account: AccountSid,
}

/// The limits on wrong tokens.
struct Limiters {
    addresses: Arc<FailureLimiter<IpAddr>>,
    /// Of accounts whose token numberbank made.
    accounts: FailureLimiter<AccountSid>,
}

struct Job {
    task: Task,
    outcome: oneshot::Sender<Result<bool>>,
}

impl Verifiers {
    /// Starts the threads, which run until this is dropped. Tokio's blocking pool has many threads, each of which would
    /// keep its 19 MiB.
    pub fn start(limits: &GateLimits, failures: &Arc<FailureLimiter<IpAddr>>) -> Self {
        // A task passes through the queue even if a thread is idle, so the idle threads need room in it.
        let queue = Arc::new(FairQueue::new(limits.waiting + limits.verifications));
        let limiters = Limiters { addresses: Arc::clone(failures), accounts: FailureLimiter::new(limits.failures) };
        let (limiters, running) = (Arc::new(limiters), Arc::<AtomicUsize>::default());
        for _ in 0..limits.verifications {
            let (queue, running, limiters) = (Arc::clone(&queue), Arc::clone(&running), Arc::clone(&limiters));
            thread::spawn(move || work(&queue, &running, &limiters));
        }
        Self { queue, limiters, running, refused: AtomicU64::new(0) }
    }

    /// Whether a token is the one that was hashed. A wrong one is counted even if its client hangs up meanwhile.
    ///
    /// # Errors
    /// If too many wrong tokens came from the address, the queue is full, or the wait is too long.
    pub async fn verify(&self, task: Task) -> Result<bool> {
        self.limiters.may_try(&task)?;
        let (outcome, told) = oneshot::channel();
        let _ticket = self.queue.push(task.address, task.account, Job { task, outcome });
        timeout(MAX_WAIT, told).await.ok().and_then(Result::ok).unwrap_or_else(|| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Err(Error::TooMany { of: Limit::Verifications, wait: Duration::from_secs(1) })
        })
    }

    pub fn load(&self) -> Load {
        let (running, refused) = (self.running.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        Load { running, waiting: self.queue.len(), refused }
    }
}

impl Drop for Verifiers {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn work(queue: &FairQueue<Job>, running: &AtomicUsize, limiters: &Limiters) {
    let mut memory = token::Memory::default();
    while let Some(Job { task, outcome: sender }) = queue.pop() {
        running.fetch_add(1, Ordering::Relaxed);
        let outcome = limiters.judge(&task, &mut memory);
        running.fetch_sub(1, Ordering::Relaxed);
        // Fails only if the client has hung up.
        let _ = sender.send(outcome);
    }
}

impl Limiters {
    fn may_try(&self, task: &Task) -> Result<()> {
        let tried = self.addresses.check(&task.address);
        if tried.is_ok() || task.chosen { tried } else { self.accounts.check(&task.account).or(tried) }
    }

    fn judge(&self, task: &Task, memory: &mut token::Memory) -> Result<bool> {
        // Again, as other wrong tokens may have come while this one waited.
        self.may_try(task)?;
        let right = token::verify(&task.token, &task.hash, memory);
        if !right {
            if !task.chosen {
                // If it is one too many, the next line says so.
                let _ = self.accounts.count(task.account);
            }
            self.addresses.count(task.address)?;
        }
        Ok(right)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use argon2::password_hash::PasswordHasher;
    use argon2::{Algorithm, Argon2, Params, Version};

    use super::*;
    use crate::accounts::rate_limit::Rate;

    #[test]
    fn one_made_here_is_tried_until_its_address_and_its_account_have_seen_too_many() {
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).expect("parameters"));
        let hash = cheap.hash_password(b"right").expect("a hash").to_string();
        let rate = Rate::new(NonZeroU32::new(2).expect("two"), Duration::from_hours(1));
        let (addresses, accounts) = (Arc::new(FailureLimiter::new(Some(rate))), FailureLimiter::new(Some(rate)));
        let (limiters, mut memory) = (Limiters { addresses, accounts }, token::Memory::default());
        let [attacked, other] = [(); 2].map(|()| AccountSid::random());
        let mut verify = |token: &str, chosen, address: u8, account| {
            let (token, hash, address) = (token.to_owned(), hash.clone(), [192, 0, 2, address].into());
            limiters.judge(&Task { token, hash, chosen, address, account }, &mut memory).ok()
        };
        assert_eq!([verify("1", false, 1, attacked), verify("2", false, 1, attacked)], [Some(false); 2]);
        assert_eq!(verify("right", false, 1, attacked), None, "both have seen too many");
        assert_eq!(verify("right", false, 2, attacked), Some(true), "its owner is elsewhere");
        assert_eq!(verify("right", false, 1, other), Some(true), "another account is not attacked");
        assert_eq!(verify("right", true, 1, other), None, "a chosen one could be guessed");
        assert_eq!(verify("right", true, 2, attacked), Some(true));
    }
}
