//! A cache of wrong tokens: none is verified again while the account or key keeps the credential that refused it.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lru::LruCache;
use uuid::Uuid;

use super::principal::Principal;
use super::single_flight::Digest;

/// The size of each of the two LRU caches: about 6 MB.
const MAX_SIDS: NonZeroUsize = NonZeroUsize::new(8192).expect("more than none");

/// Wrong tokens kept for one account or key. The bound keeps a flood on one from evicting the others.
const MAX_TOKENS: usize = 16;

/// Two caches: one for open accounts and their keys, one for all other Sids. Apart, so that made-up Sids cannot evict
/// real ones.
pub struct WrongTokens(Mutex<[LruCache<Principal, Entry>; 2]>);

/// The wrong tokens of one Sid.
struct Entry {
    /// The credential when they were refused; `None` if there was no open account or key.
    credential: Option<Uuid>,
    /// When that was last read from the database.
    confirmed: Instant,
    /// The most recent one is last.
    digests: Vec<Digest>,
}

impl Default for WrongTokens {
    fn default() -> Self {
        Self(Mutex::new([LruCache::new(MAX_SIDS), LruCache::new(MAX_SIDS)]))
    }
}

impl WrongTokens {
    /// When the refusal of this token was last confirmed; `None` if the token is not in the cache.
    pub fn recall(&self, principal: Principal, digest: &Digest) -> Option<Instant> {
        self.both().iter_mut().find_map(|cache| {
            let entry = cache.get_mut(&principal)?;
            let at = entry.digests.iter().position(|known| known == digest)?;
            entry.digests[at..].rotate_left(1);
            Some(entry.confirmed)
        })
    }

    /// Updates the entry with the credential that was read at `seen`; one of another credential is removed. Returns
    /// whether the token is still known to be wrong.
    pub fn confirm(&self, principal: Principal, digest: &Digest, credential: Option<Uuid>, seen: Instant) -> bool {
        let mut stands = false;
        for cache in self.both().iter_mut() {
            match cache.get_mut(&principal) {
                Some(entry) if entry.credential == credential => {
                    entry.confirmed = entry.confirmed.max(seen);
                    stands |= entry.digests.contains(digest);
                }
                Some(_) => drop(cache.pop(&principal)),
                None => {}
            }
        }
        stands
    }

    /// Adds a token that was wrong under the credential that was read at `seen`.
    pub fn put(&self, principal: Principal, digest: Digest, credential: Option<Uuid>, seen: Instant) {
        let cache = &mut self.both()[usize::from(credential.is_none())];
        let new = || Entry { credential, confirmed: seen, digests: Vec::new() };
        let entry = cache.get_or_insert_mut(principal, new);
        if entry.credential != credential {
            if entry.confirmed > seen {
                return;
            }
            *entry = new();
        }
        entry.confirmed = entry.confirmed.max(seen);
        entry.digests.retain(|known| *known != digest);
        if entry.digests.len() == MAX_TOKENS {
            entry.digests.remove(0);
        }
        entry.digests.push(digest);
    }

    pub fn forget_all(&self) {
        self.both().iter_mut().for_each(LruCache::clear);
    }

    fn both(&self) -> MutexGuard<'_, [LruCache<Principal, Entry>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::values::sid::AccountSid;

    fn somebody() -> Principal {
        AccountSid::random().into()
    }

    #[test]
    fn a_wrong_token_stays_as_long_as_the_credential() {
        let (wrong_tokens, principal, [old, new]) = (WrongTokens::default(), somebody(), [1, 2].map(Uuid::from_u128));
        let (then, now) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        wrong_tokens.put(principal, [1; 32], Some(old), then);
        assert_eq!(wrong_tokens.recall(principal, &[1; 32]), Some(then));
        assert_eq!((wrong_tokens.recall(principal, &[2; 32]), wrong_tokens.recall(somebody(), &[1; 32])), (None, None));
        assert!(wrong_tokens.confirm(principal, &[1; 32], Some(old), now));
        assert_eq!(wrong_tokens.recall(principal, &[1; 32]), Some(now));
        assert!(!wrong_tokens.confirm(principal, &[1; 32], Some(new), now));
        assert_eq!(wrong_tokens.recall(principal, &[1; 32]), None);
        // A slow verification under the old credential does not replace the entry of the new one.
        wrong_tokens.put(principal, [2; 32], Some(new), now);
        wrong_tokens.put(principal, [3; 32], Some(old), then);
        assert_eq!(
            (wrong_tokens.recall(principal, &[2; 32]), wrong_tokens.recall(principal, &[3; 32])),
            (Some(now), None)
        );
    }

    #[test]
    fn a_flood_evicts_itself_first() {
        let (wrong_tokens, now) = (WrongTokens::default(), Instant::now());
        let (victim, attacked, credential) = (somebody(), somebody(), Some(Uuid::nil()));
        wrong_tokens.put(victim, [1; 32], credential, now);
        for n in 0..100 {
            wrong_tokens.put(attacked, [n; 32], credential, now);
            // A token that keeps coming stays in the cache.
            assert!(wrong_tokens.recall(attacked, &[0; 32]).is_some());
        }
        let remembered = (0..100).filter(|n| wrong_tokens.recall(attacked, &[*n; 32]).is_some());
        assert_eq!(remembered.count(), MAX_TOKENS);
        for _ in 0..=MAX_SIDS.get() {
            wrong_tokens.put(somebody(), [2; 32], None, now);
        }
        assert!(wrong_tokens.recall(victim, &[1; 32]).is_some());
        for _ in 0..MAX_SIDS.get() {
            wrong_tokens.put(somebody(), [2; 32], credential, now);
        }
        assert!(wrong_tokens.recall(victim, &[1; 32]).is_none());
    }
}
