//! The gate: remembers whose token was verified, so that a steady client pays for argon2 once.
//!
//! - What is remembered is a keyed digest of the token and the credential it proved, never the token.
//! - Every [`CONFIRM_AFTER`] the credential is compared with the account's: a replaced token or a
//!   closed account stops working everywhere within that time, with nothing to listen to or to miss.
//! - Verifications run a few at once, on threads of their own; a short queue waits, of each account
//!   a few tokens only, and the rest is refused at once. Requests with the same token share one
//!   verification. So a flood of wrong tokens starves nobody who is known, and fills no memory.
//! - An address that sends wrong tokens is soon refused before they are verified, so that one client's
//!   guesses, be it at many accounts, leave the queue to newcomers from elsewhere.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use super::flights::{Digest, Flight, Flights, too_many};
use super::throttle::{Failures, Rate, Turns};
use super::{not_authenticated, store, token};
use crate::kernel::db::Db;
use crate::kernel::error::{Error, Result};
use crate::kernel::sid::{AccountSid, random_bits};

/// How long a remembered verification is believed without a look at the account.
const CONFIRM_AFTER: Duration = Duration::from_millis(500);

/// How many accounts are remembered; the least recently seen is forgotten first. About 12 MB.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).expect("more than none");

/// What the gate takes on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Verifications at once, each with 19 MiB of memory.
    pub verifications: usize,
    /// How many may wait for one that runs, at tens of milliseconds each.
    pub waiting: usize,
    /// The requests of one account.
    pub account_rate: Option<Rate>,
    /// The wrong tokens of one address.
    pub failures: Option<Rate>,
}

/// Lets in who knows the token of an account. One for the whole process.
pub struct Gate {
    key: [u8; 32],
    flights: Flights,
    account_rate: Option<Rate>,
    failures: Failures,
    known: Mutex<LruCache<AccountSid, Known>>,
    verifiers: mpsc::Sender<Task>,
    places: Arc<Semaphore>,
    most: usize,
    running: Arc<AtomicUsize>,
    refused: AtomicU64,
}

/// How busy a gate is.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Verifications that run.
    pub running: usize,
    /// Verifications that wait for one that runs.
    pub waiting: usize,
    /// Requests that found no place, since the start.
    pub refused: u64,
}

/// A token to verify, and who waits for the outcome.
struct Task {
    token: String,
    hash: Option<String>,
    outcome: oneshot::Sender<bool>,
    /// Given back when the task is done, also where the client has hung up long before.
    _place: OwnedSemaphorePermit,
}

/// A verification that succeeded.
struct Known {
    digest: Digest,
    credential: Uuid,
    confirmed: Instant,
    turns: Turns,
}

impl Gate {
    pub fn new(limits: Limits) -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&random_bits().to_ne_bytes());
        key[16..].copy_from_slice(&random_bits().to_ne_bytes());
        let (most, running) = (limits.verifications + limits.waiting, Arc::default());
        Self {
            key,
            flights: Flights::default(),
            account_rate: limits.account_rate,
            failures: Failures::new(limits.failures),
            known: Mutex::new(LruCache::new(MOST_REMEMBERED)),
            verifiers: start_verifiers(limits.verifications, &running),
            places: Arc::new(Semaphore::new(most)),
            most,
            running,
            refused: AtomicU64::new(0),
        }
    }

    /// How busy it is at this moment.
    pub fn load(&self) -> Load {
        let (running, taken) = (self.running.load(Ordering::Relaxed), self.most - self.places.available_permits());
        Load { running, waiting: taken.saturating_sub(running), refused: self.refused.load(Ordering::Relaxed) }
    }

    fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets the caller in or not.
    ///
    /// # Errors
    /// 20003 for an unknown or closed account and for a wrong token alike, 20429 when too many
    /// verifications wait, when the account asks too often or the address was wrong too often, and when
    /// the database is out of reach.
    pub async fn admit(&self, db: &Db, sid: AccountSid, token: &str, address: IpAddr) -> Result<()> {
        let digest = self.digest(token);
        match self.recall(sid, digest)? {
            Some((_, true)) => return Ok(()),
            Some((credential, false)) if self.confirm(db, sid, credential).await? => return Ok(()),
            _ => {}
        }
        loop {
            let verified = match self.flights.board(sid, digest).inspect_err(|_| self.count_refused())? {
                Flight::Pilot(pilot) => Some(pilot.tell(self.guess(db, sid, token, digest, address).await?)),
                Flight::Passenger(outcome) => outcome.await,
            };
            match verified {
                Some(true) => return Ok(()),
                Some(false) => return Err(not_authenticated()),
                // The pilot's client hung up, or was refused: somebody else takes over.
                None => {}
            }
        }
    }

    /// The remembered credential that this token proved, and whether it needs no look at the account.
    fn recall(&self, sid: AccountSid, digest: Digest) -> Result<Option<(Uuid, bool)>> {
        let mut memory = self.memory();
        let Some(known) = memory.get_mut(&sid).filter(|known| known.digest == digest) else { return Ok(None) };
        let now = Instant::now();
        if let Some(rate) = self.account_rate {
            let taken = known.turns.take(rate, now);
            taken.map_err(|wait| Error::too_many("The account sends too many requests", wait))?;
        }
        Ok(Some((known.credential, now - known.confirmed < CONFIRM_AFTER)))
    }

    async fn confirm(&self, db: &Db, sid: AccountSid, credential: Uuid) -> Result<bool> {
        let asked = Instant::now();
        let stands = store::credential(db, sid).await? == Some(credential);
        let mut memory = self.memory();
        match memory.get_mut(&sid).filter(|known| known.credential == credential) {
            Some(known) if stands => known.confirmed = asked,
            Some(_) => drop(memory.pop(&sid)),
            None => {}
        }
        Ok(stands)
    }

    /// Verifies a token where the address may still be wrong. One that was right, or that nobody could
    /// verify, leaves it as many wrong ones as before.
    async fn guess(&self, db: &Db, sid: AccountSid, token: &str, digest: Digest, address: IpAddr) -> Result<bool> {
        self.failures.take(address)?;
        let verified = self.verify(db, sid, token, digest).await;
        if !matches!(verified, Ok(false)) {
            self.failures.give_back(address);
        }
        verified
    }

    async fn verify(&self, db: &Db, sid: AccountSid, token: &str, digest: Digest) -> Result<bool> {
        let place = Arc::clone(&self.places).try_acquire_owned().inspect_err(|_| self.count_refused());
        let place = place.map_err(|_| too_many())?;
        let confirmed = Instant::now();
        let (credential, hash) = store::token_hash(db, sid).await?.unzip();
        let (outcome, verified) = oneshot::channel();
        let task = Task { token: token.to_owned(), hash, outcome, _place: place };
        let gone = || Error::Internal("no thread verifies tokens".to_owned());
        self.verifiers.send(task).map_err(|_| gone())?;
        let verified = verified.await.map_err(|_| gone())?;
        let Some(credential) = credential.filter(|_| verified) else { return Ok(false) };
        self.memory().put(sid, Known { digest, credential, confirmed, turns: Turns::none(confirmed) });
        // The queue may have been long: what was so when it began must still be so.
        Ok(confirmed.elapsed() < CONFIRM_AFTER || self.confirm(db, sid, credential).await?)
    }

    fn digest(&self, token: &str) -> Digest {
        let mac = Blake2sMac256::new_from_slice(&self.key).expect("the key is 32 bytes");
        mac.chain_update(token.as_bytes()).finalize().into_bytes().into()
    }

    fn memory(&self) -> MutexGuard<'_, LruCache<AccountSid, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that verify tokens until their gate is gone. A few that stay keep the memory of a
/// verification for the next one; a pool of many would keep that of each of its threads.
fn start_verifiers(at_once: usize, running: &Arc<AtomicUsize>) -> mpsc::Sender<Task> {
    let (sender, tasks) = mpsc::channel::<Task>();
    let tasks = Arc::new(Mutex::new(tasks));
    for _ in 0..at_once {
        let (tasks, running) = (Arc::clone(&tasks), Arc::clone(running));
        let next = move || tasks.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        thread::spawn(move || {
            let mut memory = token::Memory::default();
            for task in std::iter::from_fn(next) {
                // Nobody waits any more for what a client that hung up has asked.
                if !task.outcome.is_closed() {
                    running.fetch_add(1, Ordering::Relaxed);
                    let verified = token::verify(&task.token, task.hash.as_deref(), &mut memory);
                    running.fetch_sub(1, Ordering::Relaxed);
                    let _ = task.outcome.send(verified);
                }
            }
        });
    }
    sender
}
