//! The metrics of an instance, for Prometheus.

use std::collections::BTreeMap;
use std::ops::Add;
use std::sync::PoisonError;
use std::time::Duration;

use super::exposition::{Exposition, Metric};
use super::{Instance, Jobs, Parts, Queue, Worker};
use crate::db::{Db, Usage};
use crate::inventory::{self, Summary};
use crate::values::clock::Clock;
use crate::values::phone::Kind;
use crate::web::codes::Code;
use crate::web::traffic::{BUCKETS, CLASSES, KINDS, METHODS, Sale, Traffic};

/// How long the database may take to count the stock.
const TIMEOUT: Duration = Duration::from_secs(1);

/// All metrics. Those of the stock are left out if the database does not answer in time.
pub async fn page(instance: &Instance, db: &Db, clock: &Clock) -> String {
    let stock = tokio::time::timeout(TIMEOUT, inventory::summary(db)).await.ok().and_then(Result::ok);
    let mut page = Exposition::default();
    let up = i32::from(stock.is_some());
    page.gauge("numberbank_database_up", "Whether the database answered just now.").sample(&[], up);
    write_stock(&mut page, &stock.unwrap_or_default());
    write_clock(&mut page, clock);
    let workers = instance.workers();
    if let Some(parts) = instance.parts.get() {
        write_requests(&mut page, parts, &workers);
        write_latency(&mut page, parts, &workers);
        write_verifications(&mut page, parts);
        write_answer_memory(&mut page, parts);
        write_replica(&mut page, parts);
    }
    write_purchases(&mut page, &workers);
    write_connections(&mut page, &workers);
    write_batches(&mut page, &instance.queues());
    write_jobs(&mut page, *instance.jobs.lock().unwrap_or_else(PoisonError::into_inner));
    page.into_text()
}

/// The sum of a counter over all workers.
fn total(workers: &[Worker], count: impl Fn(&Traffic) -> u64) -> u64 {
    workers.iter().map(|worker| count(&worker.traffic)).sum()
}

/// The indices and the labels of each pair of a route and a method.
fn routes(parts: &Parts) -> impl Iterator<Item = (usize, usize, [(&str, &str); 2])> {
    parts.routes.iter().enumerate().flat_map(|(route, path)| {
        let methods = METHODS.iter().enumerate();
        methods.map(move |(method, name)| (route, method, [("route", path.as_str()), ("method", name)]))
    })
}

fn write_requests(page: &mut Exposition, parts: &Parts, workers: &[Worker]) {
    let mut metric = page.counter("numberbank_requests_total", "Requests by route, method and status of the answer.");
    for (route, method, [path, name]) in routes(parts) {
        for status in 100..600 {
            let answers = total(workers, |traffic| traffic.with_status(route, method, status));
            if answers > 0 {
                metric.sample(&[path, name, ("status", &status.to_string())], answers);
            }
        }
    }
}

fn write_latency(page: &mut Exposition, parts: &Parts, workers: &[Worker]) {
    let help = "How long requests took, from the head of the request to that of the answer, by class of status.";
    let mut metric = page.histogram("numberbank_request_duration_seconds", help);
    for (route, method, [path, name]) in routes(parts) {
        for (class, status) in CLASSES.iter().enumerate() {
            let took: Duration = workers.iter().map(|worker| worker.traffic.took(route, method, class)).sum();
            let bucket = |index| total(workers, |traffic| traffic.in_bucket(route, method, class, index));
            write_histogram(&mut metric, [path, name, ("status", status)], bucket, took);
        }
    }
}

/// Writes the samples of a histogram, if anything was counted.
fn write_histogram(metric: &mut Metric<'_>, labels: [(&str, &str); 3], bucket: impl Fn(usize) -> u64, took: Duration) {
    let counts: Vec<_> = (0..BUCKETS.len()).map(bucket).collect();
    let [path, name, status] = labels;
    let mut sum = 0;
    if counts.iter().all(|count| *count == 0) {
        return;
    }
    for ((_, most), count) in BUCKETS.iter().zip(counts) {
        sum += count;
        metric.part("_bucket", &[path, name, status, ("le", most)], sum);
    }
    metric.part("_sum", &labels, took.as_secs_f64());
    metric.part("_count", &labels, sum);
}

fn write_purchases(page: &mut Exposition, workers: &[Worker]) {
    let sales = |kind: Kind, sale| total(workers, |traffic| traffic.sales(kind, sale));
    let mut made = page.counter("numberbank_purchases_total", "Purchases made, and answered again by their key.");
    for kind in KINDS {
        for (outcome, sale) in [("made", Sale::Made), ("replayed", Sale::Replayed)] {
            made.sample(&[("kind", &kind.to_string()), ("outcome", outcome)], sales(kind, sale));
        }
    }
    let mut refused = page.counter("numberbank_purchases_refused_total", "Purchases refused, by error code.");
    for (kind, code) in KINDS.iter().flat_map(|kind| Code::ALL.iter().map(move |code| (*kind, *code))) {
        let count = sales(kind, Sale::Refused(code));
        if count > 0 {
            refused.sample(&[("kind", &kind.to_string()), ("code", &code.number().to_string())], count);
        }
    }
}

/// Sums the connections of all workers, by database.
fn usages(workers: &[Worker]) -> Vec<(&'static str, Usage)> {
    let primary = workers.iter().map(|worker| worker.primary.usage()).reduce(Usage::add);
    let replica = workers.iter().filter_map(|worker| worker.replica.as_ref()).map(Db::usage).reduce(Usage::add);
    let named = primary.map(|usage| ("primary", usage)).into_iter();
    named.chain(replica.map(|usage| ("replica", usage))).collect()
}

fn write_connections(page: &mut Exposition, workers: &[Worker]) {
    let usages = usages(workers);
    let mut open = page.gauge("numberbank_connections", "Connections to PostgreSQL of the threads that serve.");
    for (database, usage) in &usages {
        open.sample(&[("database", database), ("state", "in_use")], usage.in_use);
        open.sample(&[("database", database), ("state", "at_hand")], usage.idle);
    }
    let mut waiting = page.gauge("numberbank_connections_waiting", "Statements that wait for a connection.");
    for (database, usage) in &usages {
        waiting.sample(&[("database", database)], usage.waiting);
    }
}

fn write_batches(page: &mut Exposition, queues: &[Queue]) {
    let mut sums = BTreeMap::new();
    for queue in queues {
        *sums.entry(queue.work).or_insert(0) += (queue.waiting)();
    }
    let mut metric = page.gauge("numberbank_batches_waiting", "Requests that wait for the batch under way.");
    for (work, waiting) in sums {
        metric.sample(&[("work", work)], waiting);
    }
}

fn write_jobs(page: &mut Exposition, jobs: Option<Jobs>) {
    let Some(Jobs { last_done, overdue }) = jobs else { return };
    let help = "Whether no instance has finished the jobs for two intervals.";
    page.gauge("numberbank_jobs_overdue", help).sample(&[], i32::from(overdue));
    if let Some(at) = last_done {
        let help = "When the jobs were done last, by any instance, in seconds since 1970.";
        page.gauge("numberbank_jobs_last_done_seconds", help).sample(&[], at.timestamp());
    }
}

fn write_replica(page: &mut Exposition, parts: &Parts) {
    if let Some(watch) = &parts.watch {
        let help = "Whether lists and single numbers are read from the replica.";
        page.gauge("numberbank_replica_fresh", help).sample(&[], i32::from(watch.is_fresh()));
    }
}

fn write_verifications(page: &mut Exposition, parts: &Parts) {
    let load = parts.gate.load();
    let mut now = page.gauge("numberbank_verifications", "Tokens that argon2 verifies, or that wait for it.");
    now.sample(&[("state", "running")], load.running);
    now.sample(&[("state", "waiting")], load.waiting);
    let help = "Requests whose token waited for argon2 in vain.";
    page.counter("numberbank_verifications_refused_total", help).sample(&[], load.refused);
}

/// Writes nothing before the clocks are first compared.
fn write_clock(page: &mut Exposition, clock: &Clock) {
    if let Some(offset) = clock.offset() {
        let help = "How far this machine's clock is ahead of the database's; less than 0 where it is behind.";
        page.gauge("numberbank_clock_offset_seconds", help).sample(&[], offset.ahead.as_seconds_f64());
    }
}

fn write_answer_memory(page: &mut Exposition, parts: &Parts) {
    let usage = parts.answer_memory.usage();
    let help = "Memory of lists that are made or not taken yet.";
    page.gauge("numberbank_answer_bytes", help).sample(&[], usage.bytes);
    let help = "Lists refused because an account's share of the memory for them, or all of it, was taken.";
    let mut refused = page.counter("numberbank_answers_refused_total", help);
    refused.sample(&[("limit", "account")], usage.refused_by_account);
    refused.sample(&[("limit", "all")], usage.refused_by_all);
}

fn write_stock(page: &mut Exposition, stock: &[Summary]) {
    let mut metric = page.gauge("numberbank_stock", "Numbers by kind and state; available ones are what is left.");
    // If the database did not answer, `stock` is empty. Zeros would be wrong then, so nothing is written.
    for kind in KINDS.iter().filter(|_| !stock.is_empty()) {
        let sum = |count: fn(&Summary) -> i64| stock.iter().filter(|row| row.kind == *kind).map(count).sum::<i64>();
        for (state, count) in [
            ("available", sum(|row| row.available)),
            ("in_use", sum(|row| row.in_use)),
            ("quarantined", sum(|row| row.quarantined)),
            ("withdrawn", sum(|row| row.withdrawn)),
            ("retired", sum(|row| row.retired)),
        ] {
            metric.sample(&[("kind", &kind.to_string()), ("state", state)], count);
        }
    }
}
