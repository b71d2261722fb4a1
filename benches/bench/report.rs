//! The figures, for people and as JSON: medians over the pairs, and the median of the pairs' ratios.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use crate::commands::Timed;
use crate::generators::Sample;
use crate::measure::Measurement;

impl Measurement {
    fn median(&self, of: impl Fn(&(Sample, Sample)) -> Option<f64>) -> Option<f64> {
        median(self.pairs.iter().filter_map(of).collect())
    }

    fn rate(&self) -> Option<f64> {
        self.median(|(work, _)| Some(work.rate))
    }

    fn yardstick(&self) -> Option<f64> {
        self.median(|(_, yardstick)| Some(yardstick.rate))
    }

    fn ratio(&self) -> Option<f64> {
        self.median(|(work, yardstick)| Some(work.rate / yardstick.rate))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((lower + upper) / 2.0)
}

fn idle(rows: &[Measurement]) -> Option<f64> {
    median(rows.iter().filter_map(|row| row.idle).collect())
}

fn peak(rows: &[Measurement]) -> Option<f64> {
    rows.iter().filter_map(|row| row.peak).max_by(f64::total_cmp)
}

fn start(rows: &[Measurement]) -> Option<f64> {
    median(rows.iter().map(|row| row.start).collect())
}

/// The limits of all workloads together, in milliseconds and MiB.
const START: f64 = 300.0;
const IDLE: f64 = 64.0;
const PEAK: f64 = 128.0;

/// What misses its target.
fn short(rows: &[Measurement]) -> Vec<&'static str> {
    let is_short = |row: &&Measurement| row.ratio().zip(row.target).is_some_and(|(ratio, target)| ratio < target);
    let mut short: Vec<_> = rows.iter().filter(is_short).map(|row| row.workload.what).collect();
    let most = [(start(rows), START, "start"), (idle(rows), IDLE, "memory when idle"), (peak(rows), PEAK, "memory")];
    short.extend(most.iter().filter(|(value, most, _)| *value > Some(*most)).map(|(_, _, what)| *what));
    short
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Prints a table; the columns that hold words are to the left.
fn print(mut table: Table, words: &[usize]) {
    for (_, column) in table.column_iter_mut().enumerate().filter(|(at, _)| !words.contains(at)) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

/// How long commands took in a large database, and in one of the usual size.
pub fn commands(rows: &[Timed]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["Command", "First row s", "Whole s", "As usual: first row s", "Whole s", "Ratio"]);
    for Timed { command, large, usual } in rows {
        let ratio = large.whole.zip(usual.whole).map(|(large, usual)| large.as_secs_f64() / usual.as_secs_f64());
        let [first, whole, usual_first, usual_whole] =
            [Some(large.first_row), large.whole, Some(usual.first_row), usual.whole]
                .map(|took| figure(took.map(|took| took.as_secs_f64()), 2));
        table.add_row([command.clone(), first, whole, usual_first, usual_whole, figure(ratio, 1)]);
    }
    print(table, &[0]);
}

pub fn table(rows: &[Measurement]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["Work", "/s", "p50 ms", "p99 ms", "Yardstick", "/s", "Ratio", "Target", "MiB"]);
    for row in rows {
        let digits = usize::from(row.rate().is_some_and(|rate| rate < 100.0));
        table.add_row([
            row.workload.what.to_owned(),
            figure(row.rate(), digits),
            figure(row.median(|(work, _)| work.p50), 1),
            figure(row.median(|(work, _)| work.p99), 1),
            row.yardstick_is.to_owned(),
            figure(row.yardstick(), digits),
            figure(row.ratio(), 2),
            figure(row.target, 2),
            figure(row.peak, 0),
        ]);
    }
    print(table, &[0, 4]);
    let [start, idle, peak] = [start(rows), idle(rows), peak(rows)].map(|value| figure(value, 0));
    println!(
        "from start to first answer {start} ms (at most {START}), resident memory idle {idle} MiB (at most {IDLE})"
    );
    println!("and under load {peak} MiB (at most {PEAK})");
    match &short(rows)[..] {
        [] => println!("all targets are met"),
        short => println!("short of its target: {}", short.join(", ")),
    }
}

pub fn json(rows: &[Measurement], postgres: &str, pairs: u32, seconds: u64) -> String {
    let sample = |sample: &Sample| json!({ "rate": sample.rate, "p50_ms": sample.p50, "p99_ms": sample.p99 });
    let workloads = rows.iter().map(|row| {
        let pairs = row.pairs.iter().map(|(work, yardstick)| json!([sample(work), sample(yardstick)]));
        json!({
            "name": row.workload.name,
            "work": row.workload.what,
            "rate": row.rate(),
            "p50_ms": row.median(|(work, _)| work.p50),
            "p99_ms": row.median(|(work, _)| work.p99),
            "yardstick": row.yardstick_is,
            "yardstick_rate": row.yardstick(),
            "ratio": row.ratio(),
            "target": row.target,
            "peak_mib": row.peak,
            "pairs": pairs.collect::<Vec<_>>(),
        })
    });
    let document = json!({
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "postgres": postgres,
        "pairs": pairs,
        "seconds": seconds,
        "start_ms": start(rows),
        "idle_mib": idle(rows),
        "peak_mib": peak(rows),
        "short": short(rows),
        "workloads": workloads.collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}
