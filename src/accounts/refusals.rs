//! Tokens that were wrong: they are not verified again while the account's credential stands.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lru::LruCache;
use uuid::Uuid;

use super::flights::Digest;
use crate::values::sid::AccountSid;

/// Of how many accounts, and of how many Sids that name none, wrong tokens are remembered; the least recently seen are
/// forgotten first. About 6 MB each.
const MOST_SIDS: NonZeroUsize = NonZeroUsize::new(8192).expect("more than none");

/// How many wrong tokens of one account are remembered, so that a flood at one account is forgotten by itself.
const MOST_TOKENS: usize = 16;

/// What was refused, at accounts that exist and at those that do not or are closed. They are apart, so that who makes
/// Sids up does not flush what is known of accounts.
pub struct Refusals(Mutex<[LruCache<AccountSid, Refused>; 2]>);

/// The wrong tokens of one Sid.
struct Refused {
    /// What they were refused under; `None` where there was no open account.
    credential: Option<Uuid>,
    /// When that was so.
    confirmed: Instant,
    /// The one that came last stands at the end.
    digests: Vec<Digest>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new([LruCache::new(MOST_SIDS), LruCache::new(MOST_SIDS)]))
    }
}

impl Refusals {
    /// When the credential last stood under which this token was refused; `None` where it was not.
    pub fn recall(&self, sid: AccountSid, digest: &Digest) -> Option<Instant> {
        self.both().iter_mut().find_map(|cache| {
            let refused = cache.get_mut(&sid)?;
            let at = refused.digests.iter().position(|known| known == digest)?;
            refused.digests[at..].rotate_left(1);
            Some(refused.confirmed)
        })
    }

    /// Whether the token is refused by the credential that was seen then. What another one has refused is forgotten.
    pub fn confirm(&self, sid: AccountSid, digest: &Digest, credential: Option<Uuid>, seen: Instant) -> bool {
        let mut stands = false;
        for cache in self.both().iter_mut() {
            match cache.get_mut(&sid) {
                Some(refused) if refused.credential == credential => {
                    refused.confirmed = refused.confirmed.max(seen);
                    stands |= refused.digests.contains(digest);
                }
                Some(_) => drop(cache.pop(&sid)),
                None => {}
            }
        }
        stands
    }

    /// Remembers a token that the credential which was seen then refused.
    pub fn put(&self, sid: AccountSid, digest: Digest, credential: Option<Uuid>, seen: Instant) {
        let cache = &mut self.both()[usize::from(credential.is_none())];
        let new = || Refused { credential, confirmed: seen, digests: Vec::new() };
        let refused = cache.get_or_insert_mut(sid, new);
        if refused.credential != credential {
            if refused.confirmed > seen {
                return;
            }
            *refused = new();
        }
        refused.confirmed = refused.confirmed.max(seen);
        refused.digests.retain(|known| *known != digest);
        if refused.digests.len() == MOST_TOKENS {
            refused.digests.remove(0);
        }
        refused.digests.push(digest);
    }

    fn both(&self) -> MutexGuard<'_, [LruCache<AccountSid, Refused>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_stands_as_long_as_its_credential() {
        let (refusals, sid, [old, new]) = (Refusals::default(), AccountSid::random(), [1, 2].map(Uuid::from_u128));
        let (then, now) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        refusals.put(sid, [1; 32], Some(old), then);
        assert_eq!(refusals.recall(sid, &[1; 32]), Some(then));
        assert_eq!((refusals.recall(sid, &[2; 32]), refusals.recall(AccountSid::random(), &[1; 32])), (None, None));
        assert!(refusals.confirm(sid, &[1; 32], Some(old), now));
        assert_eq!(refusals.recall(sid, &[1; 32]), Some(now));
        assert!(!refusals.confirm(sid, &[1; 32], Some(new), now));
        assert_eq!(refusals.recall(sid, &[1; 32]), None);
        // A verification that took long does not bring back what is over.
        refusals.put(sid, [2; 32], Some(new), now);
        refusals.put(sid, [3; 32], Some(old), then);
        assert_eq!((refusals.recall(sid, &[2; 32]), refusals.recall(sid, &[3; 32])), (Some(now), None));
    }

    #[test]
    fn a_flood_is_forgotten_by_itself() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let (victim, attacked, credential) = (AccountSid::random(), AccountSid::random(), Some(Uuid::nil()));
        refusals.put(victim, [1; 32], credential, now);
        for n in 0..100 {
            refusals.put(attacked, [n; 32], credential, now);
            // Who comes again and again stays.
            assert!(refusals.recall(attacked, &[0; 32]).is_some());
        }
        let remembered = (0..100).filter(|n| refusals.recall(attacked, &[*n; 32]).is_some());
        assert_eq!(remembered.count(), MOST_TOKENS);
        for _ in 0..=MOST_SIDS.get() {
            refusals.put(AccountSid::random(), [2; 32], None, now);
        }
        assert!(refusals.recall(victim, &[1; 32]).is_some());
        for _ in 0..MOST_SIDS.get() {
            refusals.put(AccountSid::random(), [2; 32], credential, now);
        }
        assert!(refusals.recall(victim, &[1; 32]).is_none());
    }
}
