//! Single-flight: concurrent requests with the same token share one verification.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::principal::{Caller, Principal};

/// A keyed digest of a token.
pub type Digest = [u8; 32];

type Flight = (Principal, Digest);
type UnderWay = HashMap<Flight, watch::Receiver<Option<Verified>>>;

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    Right(Caller),
    Wrong,
}

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
    flight: Flight,
    outcome: watch::Sender<Option<Verified>>,
}

impl SingleFlight {
    /// Joins the verification of a token under way, or starts one.
    pub fn join(&self, principal: Principal, digest: Digest) -> Role<'_> {
        let (flight, mut under_way) = ((principal, digest), self.under_way());
        if let Some(outcome) = under_way.get(&flight) {
            let mut outcome = outcome.clone();
            let wait = async move { outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| *outcome) };
            return Role::Follower(wait.boxed());
        }
        let (outcome, receiver) = watch::channel(None);
        under_way.insert(flight, receiver);
        Role::Leader(Leader { verifications: self, flight, outcome })
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
        self.verifications.under_way().remove(&self.flight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::sid::AccountSid;

    #[tokio::test]
    async fn the_same_token_is_verified_once() {
        let (verifications, principal) = (SingleFlight::default(), Principal::Account(AccountSid::random()));
        let Role::Leader(leader) = verifications.join(principal, [1; 32]) else { panic!("the first verifies") };
        let Role::Follower(outcome) = verifications.join(principal, [1; 32]) else { panic!("the second waits") };
        let account = AccountSid::random();
        let right = Verified::Right(Caller { account, payer: account, scope: None });
        assert_eq!(leader.finish(right), right);
        assert_eq!(outcome.await, Some(right));
        assert!(matches!(verifications.join(principal, [1; 32]), Role::Leader(_)), "the next one verifies anew");
    }

    #[tokio::test]
    async fn where_the_leader_gives_up_there_is_no_outcome() {
        let (verifications, principal) = (SingleFlight::default(), Principal::Account(AccountSid::random()));
        let leader = verifications.join(principal, [1; 32]);
        let Role::Follower(outcome) = verifications.join(principal, [1; 32]) else { panic!("the second waits") };
        drop(leader);
        assert_eq!(outcome.await, None);
    }
}
