//! The counters of one worker, which need neither locks nor allocations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::codes::Code;
use crate::values::phone::Kind;

/// The methods that are counted apart. The last stands for all others.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"];

/// The upper limit of each bucket, in microseconds and in seconds.
pub const BUCKETS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (u64::MAX, "+Inf"),
];

/// The HTTP statuses, from 100 on.
const STATUSES: usize = 500;

/// Answers are timed by class of status. Buckets for each status would be too many; without classes, many quick
/// refusals would hide slow answers. No request ends with 1xx.
pub const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The kinds of number, in the order of `Traffic::sales`.
pub const KINDS: [Kind; 2] = [Kind::Local, Kind::TollFree];

/// The outcome of a purchase, as its handler notes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sale {
    Made,
    /// The idempotency key was known: its first answer was repeated.
    Replayed,
    Refused(Code),
}

/// The counters of one worker.
pub struct Traffic {
    /// The names of the routes, by their indices. The last stands for every other path, so that no client can make up
    /// names.
    routes: Arc<[String]>,
    /// The counters of each route and method.
    answers: Vec<Answers>,
    sales: [Sales; KINDS.len()],
}

/// The answers of one route and method.
struct Answers {
    statuses: [AtomicU64; STATUSES],
    classes: [Times; CLASSES.len()],
}

/// The times of answers.
struct Times {
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
}

struct Sales {
    made: AtomicU64,
    replayed: AtomicU64,
    refused: [AtomicU64; Code::ALL.len()],
}

/// A duration in whole microseconds.
pub fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

const fn zeros<const N: usize>() -> [AtomicU64; N] {
    [const { AtomicU64::new(0) }; N]
}

fn count(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn value(counter: Option<&AtomicU64>) -> u64 {
    counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
}

impl Traffic {
    /// Makes counters for these routes.
    pub fn new(routes: Arc<[String]>) -> Self {
        let times = |_| Times { buckets: zeros(), micros: AtomicU64::new(0) };
        let answers = || Answers { statuses: zeros(), classes: std::array::from_fn(times) };
        let sales = || Sales { made: AtomicU64::new(0), replayed: AtomicU64::new(0), refused: zeros() };
        Self {
            answers: std::iter::repeat_with(answers).take(routes.len() * METHODS.len()).collect(),
            sales: std::array::from_fn(|_| sales()),
            routes,
        }
    }

    /// The name of a route. `None` gives the last one, which stands for unknown paths.
    pub fn route(&self, index: Option<usize>) -> &str {
        self.routes.get(self.index(index)).map_or("", String::as_str)
    }

    fn index(&self, route: Option<usize>) -> usize {
        route.unwrap_or(self.routes.len().saturating_sub(1))
    }

    /// Counts an answer, by the indices of its route and method.
    pub fn answered(&self, route: Option<usize>, method: usize, status: u16, took: Duration) {
        let Some(answers) = self.answers(self.index(route), method) else { return };
        count(answers.statuses.get(usize::from(status).wrapping_sub(100)));
        if let Some(times) = answers.classes.get(usize::from(status / 100).wrapping_sub(2)) {
            times.add(micros(took));
        }
    }

    /// Counts a purchase.
    pub fn sold(&self, kind: Kind, sale: Sale) {
        count(self.sale(kind, sale));
    }

    /// The number of answers with this status.
    pub fn with_status(&self, route: usize, method: usize, status: u16) -> u64 {
        value(self.answers(route, method).and_then(|answers| answers.statuses.get(usize::from(status) - 100)))
    }

    /// The number of answers of a class in this bucket alone.
    pub fn in_bucket(&self, route: usize, method: usize, class: usize, bucket: usize) -> u64 {
        value(self.times(route, method, class).and_then(|times| times.buckets.get(bucket)))
    }

    /// The sum of the times of all answers of a class.
    pub fn took(&self, route: usize, method: usize, class: usize) -> Duration {
        Duration::from_micros(value(self.times(route, method, class).map(|times| &times.micros)))
    }

    /// The number of purchases of a kind with this outcome.
    pub fn sales(&self, kind: Kind, sale: Sale) -> u64 {
        value(self.sale(kind, sale))
    }

    fn answers(&self, route: usize, method: usize) -> Option<&Answers> {
        self.answers.get(route * METHODS.len() + method)
    }

    fn times(&self, route: usize, method: usize, class: usize) -> Option<&Times> {
        self.answers(route, method)?.classes.get(class)
    }

    fn sale(&self, kind: Kind, sale: Sale) -> Option<&AtomicU64> {
        let sales = self.sales.get(KINDS.iter().position(|other| *other == kind)?)?;
        match sale {
            Sale::Made => Some(&sales.made),
            Sale::Replayed => Some(&sales.replayed),
            Sale::Refused(code) => sales.refused.get(Code::ALL.iter().position(|other| *other == code)?),
        }
    }
}

impl Times {
    fn add(&self, micros: u64) {
        count(self.buckets.get(BUCKETS.partition_point(|(most, _)| *most < micros)));
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_the_smallest_bucket_that_holds_it() {
        let traffic = Traffic::new([String::new()].into());
        for (micros, bucket) in [(0, 0), (500, 0), (501, 1), (1_000_000, 10), (1_000_001, 11), (u64::MAX, 11)] {
            let before = traffic.in_bucket(0, 0, 0, bucket);
            traffic.answered(Some(0), 0, 200, Duration::from_micros(micros));
            assert_eq!(traffic.in_bucket(0, 0, 0, bucket), before + 1, "{micros}");
        }
        assert_eq!(traffic.with_status(0, 0, 200), 6);
    }

    #[test]
    fn each_class_of_statuses_is_timed_by_itself() {
        let traffic = Traffic::new([String::new()].into());
        for (status, millis) in [(200, 1), (299, 2), (304, 4), (401, 8), (404, 16), (503, 32)] {
            traffic.answered(Some(0), 0, status, Duration::from_millis(millis));
        }
        let took = [0, 1, 2, 3].map(|class| traffic.took(0, 0, class).as_millis());
        let counts = [0, 1, 2, 3].map(|class| (0..BUCKETS.len()).map(|at| traffic.in_bucket(0, 0, class, at)).sum());
        assert_eq!((took, counts), ([3, 4, 24, 32], [2, 1, 2, 1_u64]));
    }

    #[test]
    fn what_is_not_known_is_not_counted_and_breaks_nothing() {
        let traffic = Traffic::new([String::new()].into());
        traffic.answered(Some(7), 0, 200, Duration::ZERO);
        for status in [0, 99, 101, 600, u16::MAX] {
            traffic.answered(Some(0), 0, status, Duration::ZERO);
        }
        assert_eq!((traffic.with_status(0, 0, 200), traffic.with_status(0, 0, 101)), (0, 1));
        assert!((0..CLASSES.len()).all(|class| traffic.in_bucket(0, 0, class, 0) == 0));
    }
}
