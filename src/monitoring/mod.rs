//! Monitoring: what operators see of a running instance, whether it is well and what it does.

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

/// A running instance, as far as operators may look into it.
#[derive(Default)]
pub struct Instance {
    parts: OnceLock<Parts>,
    workers: Mutex<Vec<Worker>>,
    queues: Mutex<Vec<Queue>>,
    jobs: Mutex<Option<Jobs>>,
    stopping: AtomicBool,
    last_write: health::LastWrite,
}

/// How the jobs are doing, on all instances together.
#[derive(Clone, Copy, Debug)]
pub struct Jobs {
    pub last_done: Option<DateTime<Utc>>,
    pub overdue: bool,
}

/// What all threads share.
struct Parts {
    /// The names of the routes, in the order of their indices.
    routes: Arc<[String]>,
    gate: Arc<Gate>,
    rooms: Arc<AnswerMemory>,
    /// Where there is a replica.
    watch: Option<Arc<Watch>>,
}

/// A thread that serves: it counts on its own, so that counting keeps nobody waiting.
struct Worker {
    traffic: Arc<Traffic>,
    primary: Db,
    replica: Option<Db>,
}

/// Where work waits to be done together with other work of its kind.
struct Queue {
    work: &'static str,
    waiting: Box<dyn Fn() -> usize + Send>,
}

impl Instance {
    /// Tells what the threads share, before there are any.
    pub fn starts(&self, routes: Arc<[String]>, gate: Arc<Gate>, rooms: Arc<AnswerMemory>, watch: Option<Arc<Watch>>) {
        // An instance starts once.
        let _ = self.parts.set(Parts { routes, gate, rooms, watch });
    }

    /// The counters of one more thread that serves, with these connections.
    pub fn worker(&self, primary: &Db, replica: Option<&Db>) -> Arc<Traffic> {
        let routes = self.parts.get().map_or_else(|| Arc::new([]) as _, |parts| Arc::clone(&parts.routes));
        let traffic = Arc::new(Traffic::new(routes));
        let (primary, replica) = (primary.clone(), replica.cloned());
        self.workers().push(Worker { traffic: Arc::clone(&traffic), primary, replica });
        traffic
    }

    /// One more queue of some work; `waiting` tells how much waits there. What the work is, monitoring need not know.
    pub fn queue<Q: Clone + Send + 'static>(&self, work: &'static str, queue: &Q, waiting: fn(&Q) -> usize) {
        let queue = queue.clone();
        self.queues().push(Queue { work, waiting: Box::new(move || waiting(&queue)) });
    }

    /// How the jobs are doing now.
    pub fn jobs(&self, jobs: Jobs) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = Some(jobs);
    }

    /// From now on it finishes what is in flight, and wants nothing new.
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
