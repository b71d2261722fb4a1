//! Threads that verify tokens by argon2, which takes each of them tens of milliseconds and 19 MiB, and the fair line
//! of those that wait for them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::gate::Limits;
use super::line::Line;
use super::throttle::Failures;
use super::token;
use crate::db::LONGEST_REQUEST;
use crate::error::{Error, Limit, Result};
use crate::values::sid::AccountSid;

/// How long a request waits for its token to be verified: half a second of its time is left for its work.
const PATIENCE: Duration = LONGEST_REQUEST.saturating_sub(Duration::from_millis(500));

pub struct Verifiers {
    line: Arc<Line<Waiting>>,
    guesses: Arc<Guesses>,
    running: Arc<AtomicUsize>,
    refused: AtomicU64,
}

/// How busy the verifiers are.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Verifications that run.
    pub running: usize,
    /// Verifications that wait for one that runs.
    pub waiting: usize,
    /// Requests that found no room or waited in vain, since the start.
    pub refused: u64,
}

/// What is to be verified.
pub struct Task {
    pub token: String,
    pub hash: String,
    /// Whether somebody chose the token. Then it could be guessed, so the wrong ones of an address have an end. Nobody
    /// guesses one that was made here; it is refused where both its address and its account have seen too many, so
    /// that no account from before the fast hash keeps the threads busy.
    pub chosen: bool,
    /// An address, or what stands for it.
    pub address: IpAddr,
    pub account: AccountSid,
}

/// What was wrong so far.
struct Guesses {
    addresses: Arc<Failures<IpAddr>>,
    /// Of accounts whose token was made here.
    accounts: Failures<AccountSid>,
}

struct Waiting {
    task: Task,
    outcome: oneshot::Sender<Result<bool>>,
}

impl Verifiers {
    /// Starts the threads, with room for those who wait for them. They stay until this is dropped: a few that
    /// keep their memory for the next token, where a pool of many would keep that of each of its threads.
    pub fn start(limits: &Limits, failures: &Arc<Failures<IpAddr>>) -> Self {
        // The line is passed through by those, too, that find a thread at leisure.
        let line = Arc::new(Line::new(limits.waiting + limits.verifications));
        let guesses = Guesses { addresses: Arc::clone(failures), accounts: Failures::new(limits.failures) };
        let (guesses, running) = (Arc::new(guesses), Arc::<AtomicUsize>::default());
        for _ in 0..limits.verifications {
            let (line, running, guesses) = (Arc::clone(&line), Arc::clone(&running), Arc::clone(&guesses));
            thread::spawn(move || work(&line, &running, &guesses));
        }
        Self { line, guesses, running, refused: AtomicU64::new(0) }
    }

    /// Whether a token is the one that was hashed. A wrong one is counted against the address, also where its client
    /// has hung up meanwhile.
    ///
    /// # Errors
    /// When the address was wrong too often, when the line is full, or when the turn does not come in time.
    pub async fn verify(&self, task: Task) -> Result<bool> {
        self.guesses.may_try(&task)?;
        let (outcome, told) = oneshot::channel();
        let _ticket = self.line.join(task.address, task.account, Waiting { task, outcome });
        timeout(PATIENCE, told).await.ok().and_then(Result::ok).unwrap_or_else(|| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Err(Error::TooMany { of: Limit::Verifications, wait: Duration::from_secs(1) })
        })
    }

    pub fn load(&self) -> Load {
        let (running, refused) = (self.running.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        Load { running, waiting: self.line.len(), refused }
    }
}

impl Drop for Verifiers {
    fn drop(&mut self) {
        self.line.close();
    }
}

fn work(line: &Line<Waiting>, running: &AtomicUsize, guesses: &Guesses) {
    let mut memory = token::Memory::default();
    while let Some(Waiting { task, outcome: teller }) = line.next() {
        running.fetch_add(1, Ordering::Relaxed);
        let outcome = guesses.judge(&task, &mut memory);
        running.fetch_sub(1, Ordering::Relaxed);
        // Nobody may be listening.
        let _ = teller.send(outcome);
    }
}

impl Guesses {
    fn may_try(&self, task: &Task) -> Result<()> {
        let tried = self.addresses.check(&task.address);
        if tried.is_ok() || task.chosen { tried } else { self.accounts.check(&task.account).or(tried) }
    }

    fn judge(&self, task: &Task, memory: &mut token::Memory) -> Result<bool> {
        // Others may have been wrong while this one waited.
        self.may_try(task)?;
        let right = token::verify(&task.token, &task.hash, memory);
        if !right {
            if !task.chosen {
                // One too many is told by the address.
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
    use crate::accounts::throttle::Rate;

    #[test]
    fn one_made_here_is_tried_until_its_address_and_its_account_have_seen_too_many() {
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).expect("parameters"));
        let hash = cheap.hash_password(b"right").expect("a hash").to_string();
        let rate = Rate::new(NonZeroU32::new(2).expect("two"), Duration::from_hours(1));
        let (addresses, accounts) = (Arc::new(Failures::new(Some(rate))), Failures::new(Some(rate)));
        let (guesses, mut memory) = (Guesses { addresses, accounts }, token::Memory::default());
        let [attacked, other] = [(); 2].map(|()| AccountSid::random());
        let mut verify = |token: &str, chosen, address: u8, account| {
            let (token, hash, address) = (token.to_owned(), hash.clone(), [192, 0, 2, address].into());
            guesses.judge(&Task { token, hash, chosen, address, account }, &mut memory).ok()
        };
        assert_eq!([verify("1", false, 1, attacked), verify("2", false, 1, attacked)], [Some(false); 2]);
        assert_eq!(verify("right", false, 1, attacked), None, "both have seen too many");
        assert_eq!(verify("right", false, 2, attacked), Some(true), "its owner is elsewhere");
        assert_eq!(verify("right", false, 1, other), Some(true), "another account is not attacked");
        assert_eq!(verify("right", true, 1, other), None, "a chosen one could be guessed");
        assert_eq!(verify("right", true, 2, attacked), Some(true));
    }
}
