//! Batching. A job that comes while no batch is under way starts at once. Jobs that come meanwhile wait, and become the
//! next batch. So a busy server does many requests in one round trip, and an idle one delays none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Db;
use super::LONGEST_REQUEST;
use super::replica::Source;
use crate::error::{Error, Result, Unavailable};

/// The largest batch: each job waits for the slowest of its batch.
pub(super) const LARGEST: usize = 64;

/// A queue of jobs of one kind, and their outcomes. Cheap to clone.
///
/// Several threads may share a queue, but each thread has a pool of its own. The job that starts a run passes its thread's
/// pool, `P`, and all batches of that run use it: a connection of another thread would wake that thread for each answer.
pub struct Batches<P, J, O>(Arc<Inner<P, J, O>>);

struct Inner<P, J, O> {
    queue: Mutex<Queue<J, O>>,
    work: Box<Work<P, J, O>>,
}

/// Does the jobs of a batch, and returns their outcomes in the same order. Made in `Lookups::new`, `Lists::new`,
/// `Updates::new`, `Releases::new` and `PurchaseQueues::new`.
type Work<P, J, O> = dyn Fn(P, Vec<J>) -> BoxFuture<'static, Vec<O>> + Send + Sync;

struct Queue<J, O> {
    waiting: VecDeque<(J, Reply<O>)>,
    most_waiting: usize,
    is_under_way: bool,
}

type Reply<O> = oneshot::Sender<Result<O>>;

impl<P, J, O> Clone for Batches<P, J, O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Clone + Send + 'static, J: Send + 'static, O: Send + 'static> Batches<P, J, O> {
    /// At most `most_waiting` jobs may wait, beyond those of the next batch. `work` does the jobs of a batch, and
    /// returns their outcomes in the same order.
    pub fn new<W>(most_waiting: usize, work: impl Fn(P, Vec<J>) -> W + Send + Sync + 'static) -> Self
    where
        W: Future<Output = Vec<O>> + Send + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), most_waiting, is_under_way: false });
        Self(Arc::new(Inner { queue, work: Box::new(move |pool, jobs| work(pool, jobs).boxed()) }))
    }

    /// Does a job, in a batch. The batch goes on even if the client hangs up. `pool` is this thread's.
    ///
    /// # Errors
    /// If too many jobs wait, the batch takes longer than [`LONGEST_REQUEST`], or it ends without an outcome.
    pub async fn join(&self, pool: &P, job: J) -> Result<O> {
        let (reply, outcome) = oneshot::channel();
        if let Some(runner) = self.enter(job, reply)? {
            tokio::spawn(runner.run(pool.clone()));
        }
        // The batch panicked, or its thread ended because the server stops.
        outcome.await.map_err(|_| late())?
    }

    /// Queues a job. If no batch is under way, the caller is to run the queue.
    fn enter(&self, job: J, reply: Reply<O>) -> Result<Option<Runner<P, J, O>>> {
        let mut queue = self.queue();
        if queue.waiting.len() >= queue.most_waiting + LARGEST {
            return Err(Error::Unavailable(Unavailable::Queue { waiting: queue.waiting.len() }));
        }
        queue.waiting.push_back((job, reply));
        let is_under_way = std::mem::replace(&mut queue.is_under_way, true);
        Ok((!is_under_way).then(|| Runner { batches: self.clone(), is_over: false }))
    }

    /// The next batch. If the queue is empty, the run ends.
    fn next(&self) -> Option<(Vec<J>, Vec<Reply<O>>)> {
        let taken = self.take();
        // Jobs whose client has hung up are dropped, without the lock: what a job holds may lock something else.
        (!taken.is_empty()).then(|| taken.into_iter().filter(|(_, reply)| !reply.is_closed()).unzip())
    }

    fn take(&self) -> Vec<(J, Reply<O>)> {
        let mut queue = self.queue();
        let many = queue.waiting.len().min(LARGEST);
        queue.is_under_way = many > 0;
        queue.waiting.drain(..many).collect()
    }
}

impl<P, J, O> Batches<P, J, O> {
    /// The number of jobs that wait for the batch under way.
    pub fn waiting(&self) -> usize {
        self.queue().waiting.len()
    }

    fn queue(&self) -> MutexGuard<'_, Queue<J, O>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that runs batches until the queue is empty.
struct Runner<P, J, O> {
    batches: Batches<P, J, O>,
    is_over: bool,
}

impl<P: Clone + Send + 'static, J: Send + 'static, O: Send + 'static> Runner<P, J, O> {
    async fn run(mut self, pool: P) {
        while let Some((jobs, replies)) = self.batches.next() {
            if jobs.is_empty() {
                continue;
            }
            // A dead connection would never answer, and block all later batches.
            let outcomes: Vec<_> = match timeout(LONGEST_REQUEST, (self.batches.0.work)(pool.clone(), jobs)).await {
                Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
                Err(_) => replies.iter().map(|_| Err(late())).collect(),
            };
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // Fails only if the client has hung up.
                let _ = reply.send(outcome);
            }
        }
        // By now, another task may run the queue.
        self.is_over = true;
    }
}

fn late() -> Error {
    Error::Unavailable(Unavailable::Batch(LONGEST_REQUEST))
}

/// If the task panics, or its thread ends, the waiting jobs get an error.
impl<P, J, O> Drop for Runner<P, J, O> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = self.batches.queue();
            let left = std::mem::take(&mut queue.waiting);
            queue.is_under_way = false;
            drop(queue);
            // Without the lock, as in `next`.
            drop(left);
        }
    }
}

/// Reads of one kind, in one queue for each database.
pub struct Reads<J, O> {
    of_primary: Batches<Db, J, Result<O>>,
    of_replica: Batches<Db, J, Result<O>>,
}

impl<J: Send + 'static, O: Send + 'static> Reads<J, O> {
    /// At most `most_waiting` jobs may wait for each database. `work` returns the outcomes in the order of its jobs.
    pub fn new<W>(most_waiting: usize, work: impl Fn(Db, Vec<J>) -> W + Copy + Send + Sync + 'static) -> Self
    where
        W: Future<Output = sqlx::Result<Vec<O>>> + Send + 'static,
    {
        let batches = || {
            Batches::new(most_waiting, move |db: Db, jobs: Vec<J>| {
                let (many, work) = (jobs.len(), work(db, jobs));
                async move {
                    match work.await.map_err(Error::from) {
                        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
                        Err(error) => (0..many).map(|_| Err(error.clone())).collect(),
                    }
                }
            })
        };
        Self { of_primary: batches(), of_replica: batches() }
    }

    /// The number of jobs that wait for the batches under way.
    pub fn waiting(&self) -> usize {
        self.of_primary.waiting() + self.of_replica.waiting()
    }

    /// Does a read, in a batch.
    ///
    /// # Errors
    /// As [`Batches::join`], and if the database refuses or is out of reach.
    pub async fn join(&self, source: Source<'_>, job: J) -> Result<O> {
        // Not limited to one account: a batch serves many, and no job in it is slow.
        match source {
            Source::Primary(db) => self.of_primary.join(&db.of_all(), job).await?,
            Source::Replica(db) => self.of_replica.join(&db.of_all(), job).await?,
        }
    }
}

/// Writes of one kind. A batch skips rows that others have locked, so that no job is slow.
pub struct Writes<J, O>(Batches<Db, J, Result<Option<O>>>);

impl<J: Send + 'static, O: Send + 'static> Writes<J, O> {
    /// At most `most_waiting` jobs may wait, beyond those of the next batch. `work` returns the outcomes in the order
    /// of its jobs; `None` for a job that the batch did not do.
    pub fn new<W>(most_waiting: usize, work: impl Fn(Db, Vec<J>) -> W + Send + Sync + 'static) -> Self
    where
        W: Future<Output = sqlx::Result<Vec<Option<O>>>> + Send + 'static,
    {
        Self(Batches::new(most_waiting, move |db: Db, jobs: Vec<J>| {
            let (many, work) = (jobs.len(), work(db, jobs));
            async move {
                match work.await {
                    Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
                    Err(error) => failed(error, many),
                }
            }
        }))
    }

    /// The number of jobs that wait for the batch under way.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// Does a write, in a batch. `None` means that the batch did not do it: the caller then does it alone, and finds
    /// out why.
    ///
    /// # Errors
    /// As [`Batches::join`], and if the database is out of reach.
    pub async fn join(&self, db: &Db, job: J) -> Result<Option<O>> {
        self.0.join(&db.of_all(), job).await?
    }
}

/// The outcomes of a batch that PostgreSQL rolled back. `None` for all, if one job may have failed the others, or waited for a
/// lock: each is then done alone.
pub fn failed<O>(error: sqlx::Error, jobs: usize) -> Vec<Result<Option<O>>> {
    let error = match Error::from(error) {
        Error::Overtaken(_) => None,
        Error::Internal(_) | Error::Unavailable(Unavailable::Locked(_)) if jobs > 1 => None,
        error => Some(error),
    };
    (0..jobs).map(|_| error.clone().map_or(Ok(None), Err)).collect()
}

/// One value of each job: an array for a statement.
pub fn each<'a, J, T>(jobs: &'a [J], value: impl Fn(&'a J) -> T) -> Vec<T> {
    jobs.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles each number after a pause, and counts the batches.
    async fn doubled((): (), jobs: Vec<u32>) -> Vec<(u32, usize)> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        jobs.iter().map(|job| (job * 2, jobs.len())).collect()
    }

    #[tokio::test]
    async fn what_comes_meanwhile_goes_together() {
        let batches = Batches::new(80, doubled);
        let all = futures_util::future::join_all((0..80).map(|job| batches.join(&(), job))).await;
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert!(all.iter().enumerate().all(|(job, (doubled, _))| *doubled as usize == job * 2));
        let sizes: Vec<_> = all.iter().map(|(_, size)| *size).collect();
        assert_eq!((sizes[0], sizes[79]), (LARGEST, 80 - LARGEST));
    }

    #[tokio::test]
    async fn a_run_keeps_the_pool_of_its_first_job() {
        let batches = Batches::new(80, |pool: u32, jobs: Vec<()>| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            jobs.iter().map(|()| pool).collect()
        });
        let run = async |first| {
            let later = async {
                tokio::task::yield_now().await;
                batches.join(&9, ()).await
            };
            let (first, later) = tokio::join!(batches.join(&first, ()), later);
            (first.unwrap(), later.unwrap())
        };
        assert_eq!(run(1).await, (1, 1));
        assert_eq!(run(2).await, (2, 2));
    }

    #[tokio::test]
    async fn a_panic_ends_the_wait_and_the_next_goes_on() {
        let batches = Batches::new(80, |(), jobs: Vec<u32>| async move {
            assert!(!jobs.contains(&1), "one is not liked");
            doubled((), jobs).await
        });
        let (beside, bad) = tokio::join!(batches.join(&(), 0), batches.join(&(), 1));
        assert!(beside.is_err() && bad.is_err());
        assert_eq!(batches.join(&(), 3).await.unwrap(), (6, 1));
    }

    #[tokio::test]
    async fn whoever_is_one_too_many_is_refused_at_once_and_the_others_are_done() {
        let gate = Arc::new(Semaphore::new(0));
        let behind = Arc::clone(&gate);
        let batches = Batches::new(2, move |(), jobs: Vec<u32>| {
            let gate = Arc::clone(&behind);
            async move {
                let _open = gate.acquire().await;
                doubled((), jobs).await
            }
        });
        // Polled once each: they are queued, and wait.
        let mut first = Box::pin(batches.join(&(), 0));
        assert!((&mut first).now_or_never().is_none());
        while batches.waiting() > 0 {
            tokio::task::yield_now().await;
        }
        let mut others: Vec<_> = (1..=66).map(|job| Box::pin(batches.join(&(), job))).collect();
        assert!(others.iter_mut().all(|other| other.now_or_never().is_none()));
        assert_eq!(batches.waiting(), LARGEST + 2);
        assert!(matches!(batches.join(&(), 67).now_or_never(), Some(Err(Error::Unavailable(_)))));
        gate.add_permits(1);
        let (first, others) = futures_util::future::join(first, futures_util::future::join_all(others)).await;
        assert_eq!(first.unwrap(), (0, 1));
        let sizes: Vec<_> = others.into_iter().map(|other| other.unwrap().1).collect();
        assert_eq!((sizes[0], sizes[65]), (LARGEST, 2));
        assert_eq!(batches.waiting(), 0);
    }

    /// A job that locks the queue when it is dropped.
    struct Nosy(Batches<(), Nosy, ()>);

    impl Drop for Nosy {
        fn drop(&mut self) {
            self.0.waiting();
        }
    }

    #[test]
    fn a_job_is_dropped_without_the_lock() {
        let (told, done) = std::sync::mpsc::channel();
        // On a thread of its own: a deadlock is to fail the test, not to hang it.
        std::thread::spawn(move || {
            let batches = Batches::<(), Nosy, ()>::new(80, |(), jobs| async move { jobs.iter().map(|_| ()).collect() });
            let runner = || Runner { batches: batches.clone(), is_over: false };
            let mut gone = Box::pin(batches.join(&(), Nosy(batches.clone())));
            // Queued behind a batch that is under way, until its client hangs up.
            batches.queue().is_under_way = true;
            assert!((&mut gone).now_or_never().is_none());
            drop(gone);
            assert!(batches.next().is_some_and(|(jobs, _)| jobs.is_empty()));
            let mut left = Box::pin(batches.join(&(), Nosy(batches.clone())));
            assert!((&mut left).now_or_never().is_none());
            drop(runner());
            assert!(left.now_or_never().is_some_and(|outcome| outcome.is_err()));
            told.send(()).expect("the test waits");
        });
        done.recv_timeout(Duration::from_secs(10)).expect("no deadlock");
    }
}
