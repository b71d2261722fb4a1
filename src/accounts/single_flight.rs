//! Single-flight: concurrent requests with the same token share one verification.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::principal::{Caller, Principal};

/// A keyed digest of a token.
pub type Digest = [u8; 32];

type Key = (Principal, Digest);

/// Who is let in; `None` if the token is wrong.
pub type Verified = Option<Caller>;

type UnderWay = HashMap<Key, watch::Receiver<Option<Verified>>>;

/// The verifications under way, each with the channel of its outcome.
#[derive(Default)]
pub struct SingleFlight(Mutex<UnderWay>);

/// A request's part in a verification.
pub enum Role<'a> {
    /// The first request: it verifies for all.
    Leader(Leader<'a>),
    /// A later request: it waits for the outcome, which is `None` if the leader was dropped.
    Follower(BoxFuture<'static, Option<Verified>>),
}

pub struct Leader<'a> {
    verifications: &'a SingleFlight,
    key: Key,
    outcome: watch::Sender<Option<Verified>>,
}

impl SingleFlight {
    /// Joins the verification of a token under way, or starts one.
    pub fn join(&self, whose: Principal, digest: Digest) -> Role<'_> {
        let (key, mut under_way) = ((whose, digest), self.under_way());
        if let Some(outcome) = under_way.get(&key) {
            let mut outcome = outcome.clone();
            let wait = async move { outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| *outcome) };
            return Role::Follower(wait.boxed());
        }
        let (outcome, receiver) = watch::channel(None);
        under_way.insert(key, receiver);
        Role::Leader(Leader { verifications: self, key, outcome })
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader<'_> {
    /// Hands the outcome to the followers, and returns it.
    pub fn finish(self, verified: Verified) -> Verified {
        // Fails only if there are no followers.
        let _ = self.outcome.send(Some(verified));
        verified
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.verifications.under_way().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::sid::AccountSid;

    #[tokio::test]
    async fn the_same_token_is_verified_once() {
        let (verifications, whose) = (SingleFlight::default(), Principal::Account(AccountSid::random()));
        let Role::Leader(leader) = verifications.join(whose, [1; 32]) else { panic!("the first verifies") };
        let Role::Follower(outcome) = verifications.join(whose, [1; 32]) else { panic!("the second waits") };
        let caller = Some(Caller { account: AccountSid::random(), key: None });
        assert_eq!(leader.finish(caller), caller);
        assert_eq!(outcome.await, Some(caller));
        assert!(matches!(verifications.join(whose, [1; 32]), Role::Leader(_)), "the next one verifies anew");
    }

    #[tokio::test]
    async fn where_the_pilot_gives_up_there_is_no_outcome() {
        let (verifications, whose) = (SingleFlight::default(), Principal::Account(AccountSid::random()));
        let leader = verifications.join(whose, [1; 32]);
        let Role::Follower(outcome) = verifications.join(whose, [1; 32]) else { panic!("the second waits") };
        drop(leader);
        assert_eq!(outcome.await, None);
    }
}
