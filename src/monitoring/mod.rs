//! The health and the metrics of a running instance.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use chrono::{DateTime, Utc};

use crate::accounts::gate::Gate;
use crate::db::Db;
use crate::db::replica::Watch;
use crate::web::answer_memory::AnswerMemory;
use crate::web::traffic::Traffic;

mod exposition;
pub mod health;
pub mod http;
mod metrics;
mod store;

/// What operators can see of a running instance.
#[derive(Default)]
pub struct Instance {
    parts: OnceLock<Parts>,
    workers: Mutex<Vec<Worker>>,
    queues: Mutex<Vec<Queue>>,
    jobs: Mutex<Option<Jobs>>,
    stopping: AtomicBool,
    last_write: health::LastWrite,
}

/// The state of the jobs, over all instances.
#[derive(Clone, Copy, Debug)]
pub struct Jobs {
    pub last_done: Option<DateTime<Utc>>,
    pub overdue: bool,
}

/// What all workers share.
struct Parts {
    /// The names of the routes, in the order of their indices.
    routes: Arc<[String]>,
    gate: Arc<Gate>,
    answer_memory: Arc<AnswerMemory>,
    /// `None` if there is no replica.
    watch: Option<Arc<Watch>>,
}

/// A worker. It has its own counters, so that counting needs no lock.
struct Worker {
    traffic: Arc<Traffic>,
    primary: Db,
    replica: Option<Db>,
}

/// A queue of requests that wait for a batch.
struct Queue {
    work: &'static str,
    waiting: Box<dyn Fn() -> usize + Send>,
}

impl Instance {
    /// Sets what the workers share. Call it before they start.
    pub fn starts(
        &self,
        routes: Arc<[String]>,
        gate: Arc<Gate>,
        answer_memory: Arc<AnswerMemory>,
        watch: Option<Arc<Watch>>,
    ) {
        // Fails only at a second call, and an instance starts once.
        let _ = self.parts.set(Parts { routes, gate, answer_memory, watch });
    }

    /// Adds a worker with its pools; returns its counters.
    pub fn worker(&self, primary: &Db, replica: Option<&Db>) -> Arc<Traffic> {
        let routes = self.parts.get().map_or_else(|| Arc::new([]) as _, |parts| Arc::clone(&parts.routes));
        let traffic = Arc::new(Traffic::new(routes));
        let (primary, replica) = (primary.clone(), replica.cloned());
        self.workers().push(Worker { traffic: Arc::clone(&traffic), primary, replica });
        traffic
    }

    /// Adds a queue. `waiting` returns how many requests wait in it, so that monitoring need not know the queue's type.
    pub fn queue<Q: Clone + Send + 'static>(&self, work: &'static str, queue: &Q, waiting: fn(&Q) -> usize) {
        let queue = queue.clone();
        self.queues().push(Queue { work, waiting: Box::new(move || waiting(&queue)) });
    }

    /// Sets the state of the jobs.
    pub fn jobs(&self, jobs: Jobs) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = Some(jobs);
    }

    /// Marks the instance as stopping: from now on it is not ready for new requests.
    pub fn stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
