//! The gate: authenticates requests, and caches which tokens were right and which were wrong.
//!
//! - The cache holds a keyed digest of the token and the account's credential (an id that changes with its token).
//!   It never holds the token.
//! - Every [`CONFIRM_AFTER`] the cached credential is compared with the database. So a replaced token or a closed
//!   account stops working on every instance within that time, and no notification can be lost.
//! - Tokens that numberbank made are verified by a fast hash. Only those that need argon2 wait for the [`Verifiers`].
//!   Requests with the same token share one verification.
//! - After too many wrong tokens from one address, each further wrong one from there gets 429. So does a right token
//!   that a person chose, unless it is cached: it could be a lucky guess. A right token that numberbank made is let in
//!   from any address (see [`Task::chosen`]).
//! - The time of an answer to a wrong token does not tell whether the account exists or how its token is stored: see
//!   [`PACE`].

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use chrono::NaiveDate;
use lru::LruCache;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::sleep;
use uuid::Uuid;

use super::families::Families;
use super::last_use::LastUse;
use super::rate_limit::{FailureLimiter, Gcra, Rate};
use super::single_flight::{Digest, Role, SingleFlight};
use super::token::{self, Stored, Verdict};
use super::verifiers::{Load, Task, Verifiers};
use super::wrong_tokens::WrongTokens;
use super::{Refused, store};
use crate::db::Db;
use crate::db::per_account::PerAccount;
use crate::error::{Denied, Error, Limit, Result};
use crate::values::clock::Clock;
use crate::values::network::network;
use crate::values::sid::{AccountSid, random_bits};

/// How long the cache is believed without a look at the database.
const CONFIRM_AFTER: Duration = Duration::from_millis(500);

/// The size of the LRU cache of verified accounts: about 12 MB.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).expect("more than none");

/// The first refusal of a token is delayed to a multiple of this time, which is longer than argon2 takes.
const PACE: Duration = Duration::from_millis(100);

/// Concurrent look-ups of tokens that are not cached: a flood of them cannot take all connections.
const MAX_LOOKUPS: usize = 4;

/// How much work the gate takes on.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// Concurrent verifications by argon2, each with 19 MiB of memory.
    pub verifications: usize,
    /// Requests that may wait for a verification. Each takes half a KB.
    pub waiting: usize,
    /// Requests of one account.
    pub account_rate: Option<Rate>,
    /// Wrong tokens from one address.
    pub failures: Option<Rate>,
}

/// Authenticates requests. There is one for the whole process.
pub struct Gate {
    key: [u8; 32],
    verifying: SingleFlight,
    account_rate: Option<Rate>,
    failures: Arc<FailureLimiter<IpAddr>>,
    known: Mutex<LruCache<AccountSid, Known>>,
    /// By the account that pays, so that sub-accounts do not multiply its rate.
    limiters: Mutex<LruCache<AccountSid, Gcra>>,
    wrong: WrongTokens,
    verifiers: Verifiers,
    /// Held by the one request of an account that reads its credential again.
    confirming: PerAccount<AsyncMutex<()>>,
    lookups: Semaphore,
    /// One permit: one fast hash is written at a time.
    writing: Arc<Semaphore>,
    last_use: LastUse,
    pub families: Families,
}

/// A verification that succeeded.
struct Known {
    digest: Digest,
    credential: Uuid,
    confirmed: Instant,
    /// The last day on which its use was noted.
    noted: Option<NaiveDate>,
}

impl Gate {
    pub fn new(limits: GateLimits, clock: Clock) -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&random_bits().to_ne_bytes());
        key[16..].copy_from_slice(&random_bits().to_ne_bytes());
        let failures = Arc::new(FailureLimiter::new(limits.failures));
        Self {
            key,
            verifying: SingleFlight::default(),
            account_rate: limits.account_rate,
            known: Mutex::new(LruCache::new(MAX_REMEMBERED)),
            limiters: Mutex::new(LruCache::new(MAX_REMEMBERED)),
            wrong: WrongTokens::default(),
            verifiers: Verifiers::start(&limits, &failures),
            failures,
            confirming: PerAccount::default(),
            lookups: Semaphore::new(MAX_LOOKUPS),
            writing: Arc::new(Semaphore::new(1)),
            last_use: LastUse::new(clock),
            families: Families::default(),
        }
    }

    /// How busy the verifiers are.
    pub fn load(&self) -> Load {
        self.verifiers.load()
    }

    /// Lets a request in if the token is the account's.
    ///
    /// # Errors
    /// [`Refused::NotAuthenticated`] for an unknown or closed account and for a wrong token alike. [`Error::TooMany`]
    /// if too many verifications wait, the account sends too many requests, or too many wrong tokens came from the
    /// address.
    pub async fn admit(&self, db: &Db, sid: AccountSid, token: &str, address: IpAddr) -> Result<(), Denied<Refused>> {
        let digest = self.digest(token);
        if let Some((is_fresh, is_noted)) = self.recall(sid, digest)?
            && (is_fresh || self.confirm_once(db, sid, digest).await?)
        {
            if !is_noted {
                self.note_use(db, sid);
            }
            return Ok(());
        }
        let address = network(address);
        loop {
            if self.is_refused(db, sid, &digest).await? {
                self.failures.check(&address)?;
                return Err(Refused::NotAuthenticated.into());
            }
            let right = match self.verifying.join(sid, digest) {
                Role::Leader(leader) => Some(leader.finish(self.verify(db, sid, token, digest, address).await?)),
                Role::Follower(outcome) => outcome.await,
            };
            match right {
                Some(true) => {
                    self.note_use(db, sid);
                    return Ok(());
                }
                Some(false) => return Err(Refused::NotAuthenticated.into()),
                // The leader's client hung up, or its request failed: try again, maybe as the leader.
                None => {}
            }
        }
    }

    /// Reads the credential of an account again at its next request, for it has just changed.
    pub fn forget(&self, sid: AccountSid) {
        self.memory().pop(&sid);
    }

    /// If the token is cached: whether it is fresh, and whether today's use is noted.
    fn recall(&self, sid: AccountSid, digest: Digest) -> Result<Option<(bool, bool)>> {
        let mut memory = self.memory();
        let Some(known) = memory.get_mut(&sid).filter(|known| known.digest == digest) else { return Ok(None) };
        let now = Instant::now();
        if let Some(rate) = self.account_rate {
            let payer = self.families.remembered(sid).unwrap_or(sid);
            let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = limiters.get_or_insert_mut(payer, || Gcra::new(now)).take(rate, now);
            taken.map_err(|wait| Error::TooMany { of: Limit::Rate, wait })?;
        }
        Ok(Some((now - known.confirmed < CONFIRM_AFTER, known.noted == Some(self.last_use.today()))))
    }

    /// Confirms the cached credential, one request of an account at a time: those that waited find it confirmed. So one
    /// account cannot use up the connections that all share.
    async fn confirm_once(&self, db: &Db, sid: AccountSid, digest: Digest) -> Result<bool> {
        let confirming = self.confirming.hold(sid, AsyncMutex::default);
        let _lock = confirming.lock().await;
        let known = self
            .memory()
            .get(&sid)
            .filter(|known| known.digest == digest)
            .map(|known| (known.credential, known.confirmed.elapsed() < CONFIRM_AFTER));
        match known {
            Some((_, true)) => Ok(true),
            Some((credential, false)) => self.confirm(db, sid, credential).await,
            None => Ok(false),
        }
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

    /// Whether this token is known to be wrong.
    async fn is_refused(&self, db: &Db, sid: AccountSid, digest: &Digest) -> Result<bool> {
        match self.wrong.recall(sid, digest) {
            Some(confirmed) if confirmed.elapsed() >= CONFIRM_AFTER => {
                let (_permit, asked) = (self.lookups.acquire().await, Instant::now());
                let credential = store::credential(db, sid).await?;
                Ok(self.wrong.confirm(sid, digest, credential, asked))
            }
            recalled => Ok(recalled.is_some()),
        }
    }

    /// Verifies a token, and caches the outcome.
    async fn verify(&self, db: &Db, sid: AccountSid, token: &str, digest: Digest, address: IpAddr) -> Result<bool> {
        let begun = Instant::now();
        let (stored, asked) = self.look_up(db, sid).await?;
        let verdict = stored.as_ref().map_or(Verdict::Wrong, |stored| stored.judge(sid, token));
        let outcome = match verdict {
            Verdict::Right => Ok(true),
            Verdict::Wrong => self.failures.count(address).map(|()| false),
            Verdict::Ask { hash, chosen } => {
                let (token, hash) = (token.to_owned(), hash.to_owned());
                self.verifiers.verify(Task { token, hash, chosen, address, account: sid }).await
            }
        };
        if !matches!(outcome, Ok(true)) {
            sleep(until_next(PACE, begun.elapsed())).await;
        }
        let credential = stored.as_ref().map(|stored| stored.credential);
        if matches!((&verdict, &outcome), (Verdict::Wrong, _) | (_, Ok(false))) {
            // Even if the outcome is 429, so that the same wrong token is not looked up again.
            self.wrong.put(sid, digest, credential, asked);
        }
        let Some(credential) = credential.filter(|_| matches!(outcome, Ok(true))) else { return outcome };
        if matches!(verdict, Verdict::Ask { chosen: false, .. }) {
            self.keep_digest(db, sid, credential, token::digest(sid, token));
        }
        let known = Known { digest, credential, confirmed: asked, noted: None };
        self.memory().put(sid, known);
        // The wait may have been long, so what was read before it is read again.
        Ok(asked.elapsed() < CONFIRM_AFTER || self.confirm(db, sid, credential).await?)
    }

    /// What is stored of an account's token, and when it was read.
    async fn look_up(&self, db: &Db, sid: AccountSid) -> Result<(Option<Stored>, Instant)> {
        let (_permit, asked) = (self.lookups.acquire().await, Instant::now());
        Ok((store::stored_token(db, sid).await?, asked))
    }

    /// Stores the fast hash of a token that argon2 has just verified. The request does not wait for that. If it fails,
    /// the next verification tries again.
    fn keep_digest(&self, db: &Db, sid: AccountSid, credential: Uuid, digest: [u8; 32]) {
        // It may wait for the lock of the account's row, so it uses the account's own share of the connections.
        let (Ok(db), writing) = (db.of(sid, true), Arc::clone(&self.writing)) else { return };
        tokio::spawn(async move {
            let _lock = writing.acquire().await;
            if let Err(error) = store::keep_digest(&db, sid, credential, &digest).await {
                tracing::debug!("the fast hash of a token could not be written: {error}");
            }
        });
    }

    /// Has it written down that the account was let in today. The request does not wait for that.
    fn note_use(&self, db: &Db, sid: AccountSid) {
        let (day, mut memory) = (self.last_use.today(), self.memory());
        let Some(known) = memory.get_mut(&sid).filter(|known| known.noted != Some(day)) else { return };
        let Some(place) = self.last_use.place() else { return };
        known.noted = Some(day);
        drop(memory);
        self.last_use.note(place, db, sid, day);
    }

    fn digest(&self, token: &str) -> Digest {
        let mac = Blake2sMac256::new_from_slice(&self.key).expect("the key is 32 bytes");
        mac.chain_update(token.as_bytes()).finalize().into_bytes().into()
    }

    fn memory(&self) -> MutexGuard<'_, LruCache<AccountSid, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time from `elapsed` to the next multiple of `pace`.
fn until_next(pace: Duration, elapsed: Duration) -> Duration {
    let over = elapsed.as_nanos() % pace.as_nanos();
    pace - Duration::from_nanos(u64::try_from(over).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_at_the_next_full_pace() {
        let after = |elapsed| elapsed + until_next(PACE, elapsed);
        for (elapsed, answered) in [(0, 100), (1, 100), (99, 100), (100, 200), (101, 200), (3950, 4000)] {
            assert_eq!(after(Duration::from_millis(elapsed)), Duration::from_millis(answered), "{elapsed}");
        }
    }
}
