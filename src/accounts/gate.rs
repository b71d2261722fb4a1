//! The gate: lets in who knows the token of an account, and remembers whom it let in and whom it refused.
//!
//! - What is remembered is a keyed digest of the token and the credential it proved, never the token.
//! - Every [`CONFIRM_AFTER`] the credential is compared with the account's: a replaced token or a
//!   closed account stops working everywhere within that time, with nothing to listen to or to miss.
//! - Tokens that were made here are verified at once. Only where argon2 has to tell, a request waits for the
//!   [`Verifiers`]. Requests with the same token share one verification.
//! - After too many wrong tokens from one address, every further wrong token from there is answered with 429. So is a
//!   right one that a person chose, unless it is remembered: it could be a lucky guess. A right token that numberbank
//!   made is let in from any address (see [`Task::chosen`]).
//! - A wrong token is answered after the same time whether its account exists or not, and however the account's token
//!   is stored: see [`PACE`].

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use lru::LruCache;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::sleep;
use uuid::Uuid;

use super::flights::{Digest, Flight, Flights};
use super::refusals::Refusals;
use super::throttle::{Failures, Rate, Turns};
use super::token::{self, Stored, Verdict};
use super::verifiers::{Load, Task, Verifiers};
use super::{Refused, store};
use crate::db::Db;
use crate::db::per_account::PerAccount;
use crate::error::{Denied, Error, Limit, Result};
use crate::values::network::network;
use crate::values::sid::{AccountSid, random_bits};

/// How long a remembered verification is believed without a look at the account.
const CONFIRM_AFTER: Duration = Duration::from_millis(500);

/// How many accounts are remembered; the least recently seen is forgotten first. About 12 MB.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).expect("more than none");

/// What is refused for the first time is answered after a multiple of this time: longer than argon2 takes, so that the
/// time does not tell whether there is such an account and how its token is stored.
const PACE: Duration = Duration::from_millis(100);

/// How many accounts of clients that are not known yet are looked up at once: no crowd of them takes the connections
/// of those that are.
const LOOKUPS_AT_ONCE: usize = 4;

/// What the gate takes on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Verifications by argon2 at once, each with 19 MiB of memory.
    pub verifications: usize,
    /// How many may wait for one that runs, at tens of milliseconds and half a KB each.
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
    failures: Arc<Failures<IpAddr>>,
    known: Mutex<LruCache<AccountSid, Known>>,
    refusals: Refusals,
    verifiers: Verifiers,
    /// Of each account one request at a time asks whether its credential stands.
    confirming: PerAccount<AsyncMutex<()>>,
    lookups: Semaphore,
    /// One digest is written at a time.
    writing: Arc<Semaphore>,
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
        let failures = Arc::new(Failures::new(limits.failures));
        Self {
            key,
            flights: Flights::default(),
            account_rate: limits.account_rate,
            known: Mutex::new(LruCache::new(MOST_REMEMBERED)),
            refusals: Refusals::default(),
            verifiers: Verifiers::start(&limits, &failures),
            failures,
            confirming: PerAccount::default(),
            lookups: Semaphore::new(LOOKUPS_AT_ONCE),
            writing: Arc::new(Semaphore::new(1)),
        }
    }

    /// How busy it is at this moment.
    pub fn load(&self) -> Load {
        self.verifiers.load()
    }

    /// Lets the caller in or not.
    ///
    /// # Errors
    /// [`Refused::NotAuthenticated`] for an unknown or closed account and for a wrong token alike. [`Error::TooMany`]
    /// when too many verifications wait, the account asks too often, or the address was wrong too often.
    pub async fn admit(&self, db: &Db, sid: AccountSid, token: &str, address: IpAddr) -> Result<(), Denied<Refused>> {
        let digest = self.digest(token);
        match self.recall(sid, digest)? {
            Some((_, true)) => return Ok(()),
            Some((_, false)) if self.confirm_once(db, sid, digest).await? => return Ok(()),
            _ => {}
        }
        let address = network(address);
        loop {
            if self.is_refused(db, sid, &digest).await? {
                self.failures.check(&address)?;
                return Err(Refused::NotAuthenticated.into());
            }
            let right = match self.flights.board(sid, digest) {
                Flight::Pilot(pilot) => Some(pilot.tell(self.verify(db, sid, token, digest, address).await?)),
                Flight::Passenger(outcome) => outcome.await,
            };
            match right {
                Some(true) => return Ok(()),
                Some(false) => return Err(Refused::NotAuthenticated.into()),
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
            taken.map_err(|wait| Error::TooMany { of: Limit::Rate, wait })?;
        }
        Ok(Some((known.credential, now - known.confirmed < CONFIRM_AFTER)))
    }

    /// Confirms what is remembered, for one request of the account at a time: the others of a crowd find it confirmed. So
    /// it may go by the connections that are kept for what every request needs, and waits for no other account.
    async fn confirm_once(&self, db: &Db, sid: AccountSid, digest: Digest) -> Result<bool> {
        let confirming = self.confirming.hold(sid, AsyncMutex::default);
        let _alone = confirming.lock().await;
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

    /// Whether this token is remembered as wrong.
    async fn is_refused(&self, db: &Db, sid: AccountSid, digest: &Digest) -> Result<bool> {
        match self.refusals.recall(sid, digest) {
            Some(confirmed) if confirmed.elapsed() >= CONFIRM_AFTER => {
                let (_turn, asked) = (self.lookups.acquire().await, Instant::now());
                let credential = store::credential(db, sid).await?;
                Ok(self.refusals.confirm(sid, digest, credential, asked))
            }
            recalled => Ok(recalled.is_some()),
        }
    }

    /// Verifies a token, and remembers it.
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
            // Also where it is one wrong token too many: those who bring the same one are not looked up again.
            self.refusals.put(sid, digest, credential, asked);
        }
        let Some(credential) = credential.filter(|_| matches!(outcome, Ok(true))) else { return outcome };
        if matches!(verdict, Verdict::Ask { chosen: false, .. }) {
            self.keep_digest(db, sid, credential, token::digest(sid, token));
        }
        self.memory().put(sid, Known { digest, credential, confirmed: asked, turns: Turns::none(asked) });
        // The line may have been long: what was so when it began must still be so.
        Ok(asked.elapsed() < CONFIRM_AFTER || self.confirm(db, sid, credential).await?)
    }

    /// What is stored of an account's token, and since when that is known.
    async fn look_up(&self, db: &Db, sid: AccountSid) -> Result<(Option<Stored>, Instant)> {
        let (_turn, asked) = (self.lookups.acquire().await, Instant::now());
        Ok((store::stored_token(db, sid).await?, asked))
    }

    /// Writes the fast hash of a token beside its argon2 hash, which has just told that it is right. The request does
    /// not wait for it; where it fails, the next verification tries again.
    fn keep_digest(&self, db: &Db, sid: AccountSid, credential: Uuid, digest: [u8; 32]) {
        // It may wait for the account's row: on the account's share of the connections.
        let (Ok(db), writing) = (db.of(sid, true), Arc::clone(&self.writing)) else { return };
        tokio::spawn(async move {
            let _alone = writing.acquire().await;
            if let Err(error) = store::keep_digest(&db, sid, credential, &digest).await {
                tracing::debug!("the fast hash of a token could not be written: {error}");
            }
        });
    }

    fn digest(&self, token: &str) -> Digest {
        let mac = Blake2sMac256::new_from_slice(&self.key).expect("the key is 32 bytes");
        mac.chain_update(token.as_bytes()).finalize().into_bytes().into()
    }

    fn memory(&self) -> MutexGuard<'_, LruCache<AccountSid, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long it is until a multiple of `pace` has gone by.
fn until_next(pace: Duration, gone: Duration) -> Duration {
    let over = gone.as_nanos() % pace.as_nanos();
    pace - Duration::from_nanos(u64::try_from(over).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_at_the_next_full_pace() {
        let after = |gone| gone + until_next(PACE, gone);
        for (gone, answered) in [(0, 100), (1, 100), (99, 100), (100, 200), (101, 200), (3950, 4000)] {
            assert_eq!(after(Duration::from_millis(gone)), Duration::from_millis(answered), "{gone}");
        }
    }
}
