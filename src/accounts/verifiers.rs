//! Threads that verify tokens by argon2, which takes each of them tens of milliseconds and 19 MiB, and the fair line
//! of those that wait for them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::line::Line;
use super::throttle::Failures;
use super::token;
use crate::kernel::deadline::LONGEST_REQUEST;
use crate::kernel::error::{Error, Result};
use crate::kernel::sid::AccountSid;

/// How long a request waits for its token to be verified: half a second of its time is left for its work.
const PATIENCE: Duration = LONGEST_REQUEST.saturating_sub(Duration::from_millis(500));

pub struct Verifiers {
    line: Arc<Line<Waiting>>,
    failures: Arc<Failures>,
    running: Arc<AtomicUsize>,
    refused: AtomicU64,
}

/// How busy the verifiers are.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Verifications that run.
    pub running: usize,
    /// Verifications that wait for one that runs.
    pub waiting: usize,
    /// Requests that found no room or waited in vain, since the start.
    pub refused: u64,
}

/// What is to be verified.
pub struct Task {
    pub token: String,
    pub hash: String,
    /// Whether somebody chose the token: then it may be guessed, and the wrong ones of an address have an end.
    pub chosen: bool,
    /// An address, or what stands for it.
    pub address: IpAddr,
    pub account: AccountSid,
}

struct Waiting {
    task: Task,
    outcome: oneshot::Sender<Result<bool>>,
}

impl Verifiers {
    /// Starts so many threads, for whom so many tokens may wait. The threads stay until this is dropped: a few that
    /// keep their memory for the next token, where a pool of many would keep that of each of its threads.
    pub fn start(at_once: usize, waiting: usize, failures: &Arc<Failures>) -> Self {
        // The line is passed through by those, too, that find a thread at leisure.
        let (line, running) = (Arc::new(Line::new(waiting + at_once)), Arc::<AtomicUsize>::default());
        for _ in 0..at_once {
            let (line, running, failures) = (Arc::clone(&line), Arc::clone(&running), Arc::clone(failures));
            thread::spawn(move || work(&line, &running, &failures));
        }
        Self { line, failures: Arc::clone(failures), running, refused: AtomicU64::new(0) }
    }

    /// Whether a token is the one that was hashed. A wrong one is counted against the address, also where its client
    /// has hung up meanwhile.
    ///
    /// # Errors
    /// 20429 when the address was wrong too often, when the line is full, or when the turn does not come in time.
    pub async fn verify(&self, task: Task) -> Result<bool> {
        may_try(&task, &self.failures)?;
        let (outcome, told) = oneshot::channel();
        let _ticket = self.line.join(task.address, task.account, Waiting { task, outcome });
        timeout(PATIENCE, told).await.ok().and_then(Result::ok).unwrap_or_else(|| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Err(Error::too_many("Too many credentials wait to be verified", Duration::from_secs(1)))
        })
    }

    pub fn load(&self) -> Load {
        let (running, refused) = (self.running.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        Load { running, waiting: self.line.len(), refused }
    }
}

impl Drop for Verifiers {
    fn drop(&mut self) {
        self.line.close();
    }
}

fn work(line: &Line<Waiting>, running: &AtomicUsize, failures: &Failures) {
    let mut memory = token::Memory::default();
    while let Some(Waiting { task, outcome: teller }) = line.next() {
        running.fetch_add(1, Ordering::Relaxed);
        let outcome = judge(&task, failures, &mut memory);
        running.fetch_sub(1, Ordering::Relaxed);
        // Nobody may be listening.
        let _ = teller.send(outcome);
    }
}

/// A token of 128 random bits is not found by guessing: there is no need to keep anybody from trying.
fn may_try(task: &Task, failures: &Failures) -> Result<()> {
    if task.chosen { failures.check(task.address) } else { Ok(()) }
}

fn judge(task: &Task, failures: &Failures, memory: &mut token::Memory) -> Result<bool> {
    // Others from this address may have been wrong while this one waited.
    may_try(task, failures)?;
    let right = token::verify(&task.token, &task.hash, memory);
    if !right {
        failures.count(task.address)?;
    }
    Ok(right)
}
