//! Verifications under way: requests that bring the same token at once share one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::values::sid::AccountSid;

/// A keyed digest of a token.
pub type Digest = [u8; 32];

type Key = (AccountSid, Digest);
type UnderWay = HashMap<Key, watch::Receiver<Option<bool>>>;

/// All verifications under way, and where their outcomes will be told.
#[derive(Default)]
pub struct Flights(Mutex<UnderWay>);

/// One's part in a verification.
pub enum Flight<'a> {
    /// To verify, on behalf of all that bring the same token.
    Pilot(Pilot<'a>),
    /// To wait for the outcome; there is none where the pilot gives up.
    Passenger(BoxFuture<'static, Option<bool>>),
}

pub struct Pilot<'a> {
    flights: &'a Flights,
    key: Key,
    outcome: watch::Sender<Option<bool>>,
}

impl Flights {
    /// Joins the verification of a token, or begins it.
    pub fn board(&self, sid: AccountSid, digest: Digest) -> Flight<'_> {
        let (key, mut under_way) = ((sid, digest), self.under_way());
        if let Some(outcome) = under_way.get(&key) {
            let mut outcome = outcome.clone();
            let told = async move { outcome.wait_for(Option::is_some).await.ok().and_then(|told| *told) };
            return Flight::Passenger(told.boxed());
        }
        let (outcome, told) = watch::channel(None);
        under_way.insert(key, told);
        Flight::Pilot(Pilot { flights: self, key, outcome })
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pilot<'_> {
    /// Tells the passengers.
    pub fn tell(self, verified: bool) -> bool {
        // Nobody may be listening.
        let _ = self.outcome.send(Some(verified));
        verified
    }
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        self.flights.under_way().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_token_is_verified_once() {
        let (flights, sid) = (Flights::default(), AccountSid::random());
        let Flight::Pilot(pilot) = flights.board(sid, [1; 32]) else { panic!("the first verifies") };
        let Flight::Passenger(outcome) = flights.board(sid, [1; 32]) else { panic!("the second waits") };
        assert!(pilot.tell(true));
        assert_eq!(outcome.await, Some(true));
        assert!(matches!(flights.board(sid, [1; 32]), Flight::Pilot(_)), "the next one verifies anew");
    }

    #[tokio::test]
    async fn where_the_pilot_gives_up_there_is_no_outcome() {
        let (flights, sid) = (Flights::default(), AccountSid::random());
        let pilot = flights.board(sid, [1; 32]);
        let Flight::Passenger(outcome) = flights.board(sid, [1; 32]) else { panic!("the second waits") };
        drop(pilot);
        assert_eq!(outcome.await, None);
    }
}
