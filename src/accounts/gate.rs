//! The gate: authenticates requests, and caches which tokens were right and which were wrong.
//!
//! - Who authenticates is a [`Principal`], an account or an API key. In this room, a key's secret is called its token
//!   too.
//! - The cache holds a keyed digest of the token and the principal's credential (an id that changes with its token).
//!   It never holds the token.
//! - Every [`CONFIRM_AFTER`] the cached credential is compared with the database. So a replaced token, a revoked key or
//!   a closed account stops working on every instance within that time, and no notification can be lost.
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
use super::principal::{Caller, Principal};
use super::rate_limit::{FailureLimiter, Gcra, Rate};
use super::single_flight::{Digest, Role, SingleFlight, Verified};
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

/// How long the cache is believed without a look at the database, and a request whose body is still arriving.
pub const CONFIRM_AFTER: Duration = Duration::from_millis(500);

/// The size of the LRU cache of verified principals: about 15 MB.
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
    known: Mutex<LruCache<Principal, Known>>,
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

/// What the cache says of a token.
struct Cached {
    caller: Caller,
    /// Whether it was confirmed within [`CONFIRM_AFTER`].
    is_fresh: bool,
    /// Whether today's use is noted.
    is_noted: bool,
}

/// A verification that succeeded.
struct Known {
    digest: Digest,
    /// It never changes: a key's account and scope stay as they were made.
    caller: Caller,
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

    /// Lets a request in if the token is the principal's, and says as whom it acts.
    ///
    /// # Errors
    /// [`Refused::NotAuthenticated`] for an unknown key, an unknown or closed account, and for a wrong token alike. [`Error::TooMany`]
    /// if too many verifications wait, the account sends too many requests, or too many wrong tokens came from the
    /// address.
    pub async fn admit(
        &self,
        db: &Db,
        principal: Principal,
        token: &str,
        address: IpAddr,
    ) -> Result<Caller, Denied<Refused>> {
        let digest = self.digest(token);
        if let Some(Cached { caller, is_fresh, is_noted }) = self.recall(principal, digest)?
            && (is_fresh || self.confirm_once(db, principal, caller.account, digest).await?)
        {
            if !is_noted {
                self.note_use(db, principal);
            }
            return Ok(caller);
        }
        let address = network(address);
        loop {
            if self.is_refused(db, principal, &digest).await? {
                self.failures.check(&address)?;
                return Err(Refused::NotAuthenticated.into());
            }
            let verified = match self.verifying.join(principal, digest) {
                Role::Leader(leader) => Some(leader.finish(self.verify(db, principal, token, digest, address).await?)),
                Role::Follower(outcome) => outcome.await,
            };
            match verified {
                Some(Verified::Right(caller)) => {
                    self.note_use(db, principal);
                    return Ok(caller);
                }
                Some(Verified::Wrong) => return Err(Refused::NotAuthenticated.into()),
                // The leader's client hung up, or its request failed: try again, maybe as the leader.
                None => {}
            }
        }
    }

    /// Reads the credential of a principal again at its next request, for it has just changed or ended.
    pub fn forget(&self, principal: Principal) {
        self.memory().pop(&principal);
    }

    /// Forgets everything that it has cached or counted, as if the process had just begun.
    pub fn forget_all(&self) {
        self.memory().clear();
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.wrong.forget_all();
        self.families.forget_all();
        self.failures.forget_all();
    }

    /// What the cache says of a token, if it is there.
    fn recall(&self, principal: Principal, digest: Digest) -> Result<Option<Cached>> {
        let mut memory = self.memory();
        let Some(known) = memory.get_mut(&principal).filter(|known| known.digest == digest) else { return Ok(None) };
        let (now, caller) = (Instant::now(), known.caller);
        if let Some(rate) = self.account_rate {
            let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = limiters.get_or_insert_mut(caller.payer, || Gcra::new(now)).take(rate, now);
            taken.map_err(|wait| Error::TooMany { of: Limit::Rate, wait })?;
        }
        let is_fresh = now - known.confirmed < CONFIRM_AFTER;
        Ok(Some(Cached { caller, is_fresh, is_noted: known.noted == Some(self.last_use.today()) }))
    }

    /// Confirms the cached credential, one request of an account at a time; those of the same principal that waited find it
    /// confirmed. So one account cannot use up the connections that all share.
    async fn confirm_once(&self, db: &Db, principal: Principal, account: AccountSid, digest: Digest) -> Result<bool> {
        let confirming = self.confirming.hold(account, AsyncMutex::default);
        let _lock = confirming.lock().await;
        let known = self
            .memory()
            .get(&principal)
            .filter(|known| known.digest == digest)
            .map(|known| (known.credential, known.confirmed.elapsed() < CONFIRM_AFTER));
        match known {
            Some((_, true)) => Ok(true),
            Some((credential, false)) => self.confirm(db, principal, credential).await,
            None => Ok(false),
        }
    }

    async fn confirm(&self, db: &Db, principal: Principal, credential: Uuid) -> Result<bool> {
        let asked = Instant::now();
        let stands = principal.credential(db).await? == Some(credential);
        let mut memory = self.memory();
        match memory.get_mut(&principal).filter(|known| known.credential == credential) {
            Some(known) if stands => known.confirmed = asked,
            Some(_) => drop(memory.pop(&principal)),
            None => {}
        }
        Ok(stands)
    }

    /// Whether this token is known to be wrong.
    async fn is_refused(&self, db: &Db, principal: Principal, digest: &Digest) -> Result<bool> {
        match self.wrong.recall(principal, digest) {
            Some(confirmed) if confirmed.elapsed() >= CONFIRM_AFTER => {
                let (_permit, asked) = (self.lookups.acquire().await, Instant::now());
                let credential = principal.credential(db).await?;
                Ok(self.wrong.confirm(principal, digest, credential, asked))
            }
            recalled => Ok(recalled.is_some()),
        }
    }

    /// Verifies a token, and caches the outcome.
    async fn verify(
        &self,
        db: &Db,
        principal: Principal,
        token: &str,
        digest: Digest,
        address: IpAddr,
    ) -> Result<Verified> {
        let begun = Instant::now();
        let (stored, asked) = self.look_up(db, principal).await?;
        let verdict = stored.as_ref().map_or(Verdict::Wrong, |stored| stored.judge(principal, token));
        let outcome = match (&stored, verdict) {
            (Some(stored), Verdict::Ask { hash, chosen }) => {
                let (token, hash) = (token.to_owned(), hash.to_owned());
                self.verifiers.verify(Task { token, hash, chosen, address, account: stored.caller.account }).await
            }
            (_, Verdict::Wrong | Verdict::Ask { .. }) => self.failures.count(address).map(|()| false),
            (_, Verdict::Right) => Ok(true),
        };
        if !matches!(outcome, Ok(true)) {
            sleep(until_next(PACE, begun.elapsed())).await;
        }
        if matches!((verdict, &outcome), (Verdict::Wrong, _) | (_, Ok(false))) {
            // Even if the outcome is 429, so that the same wrong token is not looked up again.
            self.wrong.put(principal, digest, stored.as_ref().map(|stored| stored.credential), asked);
        }
        let Some(Stored { credential, caller, .. }) = &stored.as_ref().filter(|_| matches!(outcome, Ok(true))) else {
            return outcome.map(|_| Verified::Wrong);
        };
        if matches!(verdict, Verdict::Ask { chosen: false, .. }) {
            self.keep_digest(db, caller.account, *credential, token::digest(principal, token));
        }
        let known = Known { digest, caller: *caller, credential: *credential, confirmed: asked, noted: None };
        self.memory().put(principal, known);
        // The wait may have been long, so what was read before it is read again.
        let stands = asked.elapsed() < CONFIRM_AFTER || self.confirm(db, principal, *credential).await?;
        Ok(if stands { Verified::Right(*caller) } else { Verified::Wrong })
    }

    /// What is stored of a principal's token, and when it was read.
    async fn look_up(&self, db: &Db, principal: Principal) -> Result<(Option<Stored>, Instant)> {
        let (_permit, asked) = (self.lookups.acquire().await, Instant::now());
        Ok((principal.stored(db).await?, asked))
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
    fn note_use(&self, db: &Db, principal: Principal) {
        let (day, mut memory) = (self.last_use.today(), self.memory());
        let Some(known) = memory.get_mut(&principal).filter(|known| known.noted != Some(day)) else { return };
        let Some(place) = self.last_use.place() else { return };
        known.noted = Some(day);
        let account = known.caller.account;
        drop(memory);
        self.last_use.note(place, db, account, day);
    }

    fn digest(&self, token: &str) -> Digest {
        let mac = Blake2sMac256::new_from_slice(&self.key).expect("the key is 32 bytes");
        mac.chain_update(token.as_bytes()).finalize().into_bytes().into()
    }

    fn memory(&self) -> MutexGuard<'_, LruCache<Principal, Known>> {
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
