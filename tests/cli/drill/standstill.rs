//! How long purchases stood still when something went wrong.

use std::time::{Duration, Instant};

/// What went wrong, and when.
pub struct Event {
    pub kind: &'static str,
    pub begun: Instant,
    /// When another node was the primary.
    pub led: Instant,
    /// When it answered a write.
    pub open: Instant,
    /// When all was in order again.
    pub ended: Instant,
}

impl Event {
    pub fn tell(&self, sales: &[Instant]) -> String {
        let [led, open] = [self.led, self.open].map(|moment| (moment - self.begun).as_secs_f64());
        let (whole, own) = self.standstill(sales);
        let [whole, own] = [whole, own].map(|time| time.as_secs_f64());
        format!(
            "{led:.1} s until another led, {open:.1} s until it took a write; {whole:.1} s without a purchase, {own:.1} s since"
        )
    }

    /// The longest time between two purchases while the event lasted, and how much of it the database took writes.
    fn standstill(&self, sales: &[Instant]) -> (Duration, Duration) {
        let met =
            sales.windows(2).map(|pair| (pair[0], pair[1])).filter(|(from, to)| *to > self.begun && *from < self.ended);
        let longest = met.max_by_key(|(from, to)| *to - *from);
        longest
            .map_or_else(Default::default, |(from, to)| (to - from, to.saturating_duration_since(self.open.max(from))))
    }
}

/// Prints the median and the worst of each kind.
pub fn report(events: &[Event], sales: &[Instant], kinds: &[&'static str]) {
    for kind in kinds {
        let (mut whole, mut own): (Vec<_>, Vec<_>) =
            events.iter().filter(|event| event.kind == *kind).map(|event| event.standstill(sales)).unzip();
        for (what, times) in
            [("without a purchase", &mut whole), ("of that although the database took writes", &mut own)]
        {
            times.sort_unstable();
            let (Some(median), Some(worst)) = (times.get(times.len() / 2), times.last()) else { continue };
            let (count, median, worst) = (times.len(), median.as_secs_f64(), worst.as_secs_f64());
            println!("drill: {count} × {kind}: {what}: median {median:.1} s, worst {worst:.1} s");
        }
    }
}

#[test]
fn a_standstill_is_the_longest_gap_that_meets_the_event() {
    let start = Instant::now();
    let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
    let event = Event { kind: "x", begun: at(20), led: at(50), open: at(52), ended: at(80) };
    let tenths = |sales: &[u64]| {
        let sales: Vec<_> = sales.iter().map(|moment| at(*moment)).collect();
        let (whole, own) = event.standstill(&sales);
        (whole.as_millis() / 100, own.as_millis() / 100)
    };
    assert_eq!(tenths(&[0, 15, 19, 60, 61, 99]), (41, 8));
    assert_eq!(tenths(&[0, 19, 30, 40, 70]), (30, 18));
    assert_eq!(tenths(&[0, 21, 22, 23, 81]), (58, 29), "it may last longer than the event");
    assert_eq!(tenths(&[18, 19, 40, 41, 44]), (21, 0), "before a write");
    assert_eq!(tenths(&[]), (0, 0));
}
