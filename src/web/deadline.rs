//! A request's deadline. The clock stops while its body arrives.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The API promises an answer within this time if the database does not answer. The time in which the request's body
/// arrives is not counted.
pub const PROMISED: Duration = Duration::from_secs(5);

/// A request's deadline. Clones share it.
#[derive(Clone, Debug)]
pub struct Deadline(Rc<Cell<Instant>>);

impl Deadline {
    pub fn after(time: Duration) -> Self {
        Self(Rc::new(Cell::new(Instant::now() + time)))
    }

    /// Runs the work until the deadline; `None` if that comes first.
    pub async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut end) = (pin!(work), pin!(sleep_until(self.0.get())));
        poll_fn(|context| {
            if let Poll::Ready(outcome) = work.as_mut().poll(context) {
                return Poll::Ready(Some(outcome));
            }
            // The work may just have moved the deadline.
            if end.deadline() != self.0.get() {
                end.as_mut().reset(self.0.get());
            }
            end.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    /// Waits for the client, for `longest` at most. The deadline moves on by the time of the wait.
    ///
    /// # Errors
    /// `longest`, if the client took longer.
    pub async fn wait<T>(&self, longest: Duration, client: impl Future<Output = T>) -> Result<T, Duration> {
        let begun = Instant::now();
        let left = self.0.get() - begun;
        self.0.set(begun + longest + left);
        let outcome = tokio::time::timeout_at(begun + longest, client).await;
        self.0.set(Instant::now() + left);
        outcome.map_err(|_| longest)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn work_ends_at_the_deadline() {
        assert_eq!(Deadline::after(MOMENT).bound(pending::<()>()).await, None);
        assert_eq!(Deadline::after(LONG).bound(async { 1 }).await, Some(1));
    }

    #[tokio::test]
    async fn the_wait_for_a_client_is_not_counted_and_has_a_limit() {
        let deadline = Deadline::after(MOMENT);
        let slow = deadline.bound(async { deadline.wait(LONG, sleep(MOMENT * 4)).await });
        assert_eq!(slow.await, Some(Ok(())));
        let silent = deadline.bound(async { deadline.wait(MOMENT * 4, pending::<()>()).await });
        assert_eq!(silent.await, Some(Err(MOMENT * 4)));
    }

    #[tokio::test]
    async fn time_that_a_client_does_not_need_is_not_added() {
        let deadline = Deadline::after(MOMENT);
        let work = async {
            deadline.wait(LONG, async {}).await.expect("a quick client");
            pending::<()>().await;
        };
        assert_eq!(deadline.bound(work).await, None);
    }
}
