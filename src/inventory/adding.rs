//! Adds single numbers and ranges to the stock.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Refused, analyze_if_many, begin_additions, store};
use crate::db::Db;
use crate::db::transact::commit;
use crate::error::Denied;
use crate::values::clock::Clock;
use crate::values::phone::{NotAPhoneNumber, PhoneNumber, Reason};

/// The outcome of an addition.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Added {
    pub added: u64,
    pub already_known: u64,
    pub rejected: u64,
    /// The first [`MOST_REJECTIONS`] rejected numbers or ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected_numbers: Vec<Rejection>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected_by_reason: Vec<Counted>,
}

/// A number that cannot be added, or a range of these, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rejection {
    /// `4152110000`, or `4152110000-4152119999`.
    pub numbers: String,
    pub reason: String,
}

/// The most rejected numbers or ranges that are listed.
pub const MOST_REJECTIONS: usize = 20;

/// The number of rejections for one reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Counted {
    pub reason: &'static str,
    pub count: u64,
}

impl Counted {
    /// The most frequent first.
    pub(super) fn of(counts: &BTreeMap<&'static str, u64>) -> Vec<Self> {
        let mut all: Vec<_> = counts.iter().map(|(reason, count)| Self { reason, count: *count }).collect();
        all.sort_by_key(|counted| Reverse(counted.count));
        all
    }

    /// A text, as in `3 not ten digits, 1 N11 exchange`.
    pub fn message(all: &[Self]) -> String {
        let texts: Vec<_> = all.iter().map(|Self { reason, count }| format!("{count} {reason}")).collect();
        texts.join(", ")
    }
}

/// The most numbers that one command adds.
pub const MOST_AT_ONCE: i64 = 10_000_000;

/// The most numbers that one statement adds. A transaction ends as soon as it has added so many: until its commit, a purchase walks
/// past its numbers where no others are for sale.
const BATCH: i64 = 50_000;

/// Adds all possible numbers of the ranges, in several transactions if they are many. Numbers in stock stay as they are.
/// `progress` is told what stands after each.
///
/// # Errors
/// [`Refused::TooMany`], and if this machine's clock is wrong. What was added by then stays so.
pub async fn add(
    db: &Db,
    clock: &Clock,
    ranges: &[RangeInclusive<i64>],
    mut progress: impl FnMut(&Added),
) -> Result<Added, Denied<Refused>> {
    let wanted: i64 = ranges.iter().map(|range| range.end() - range.start() + 1).sum();
    if wanted > MOST_AT_ONCE {
        return Err(Refused::TooMany(wanted).into());
    }
    clock.trusted()?;
    let (now, mut result, mut rejected) = (clock.now(), Added::default(), BTreeMap::new());
    let (mut open, mut pending) = (None, 0);
    for part in ranges.iter().flat_map(parts) {
        let asked = (part.end() - part.start() + 1).unsigned_abs();
        match PhoneNumber::for_stock(*part.start()) {
            Ok(first) => {
                let transaction = match &mut open {
                    Some(transaction) => transaction,
                    none => none.insert(begin_additions(db).await?),
                };
                let added = store::add_range(transaction, first.kind(), &part, now).await?;
                result.added += added;
                result.already_known += asked - added;
                pending += asked;
            }
            Err(NotAPhoneNumber { reason, .. }) => {
                result.rejected += asked;
                *rejected.entry(reason.name()).or_default() += asked;
                if result.rejected_numbers.len() < MOST_REJECTIONS {
                    result.rejected_numbers.push(Rejection::of(&part, reason));
                }
            }
        }
        if let Some(transaction) = open.take_if(|_| pending >= BATCH.unsigned_abs()) {
            commit(transaction).await?;
            pending = 0;
            progress(&result);
        }
    }
    if let Some(transaction) = open {
        commit(transaction).await?;
    }
    result.rejected_by_reason = Counted::of(&rejected);
    progress(&result);
    analyze_if_many(db, result.added).await;
    Ok(result)
}

impl Rejection {
    fn of(part: &RangeInclusive<i64>, reason: Reason) -> Self {
        let (first, last) = (part.start(), part.end());
        let numbers = if first == last { format!("{first:010}") } else { format!("{first:010}-{last:010}") };
        Self { numbers, reason: reason.name().to_owned() }
    }
}

/// Splits a range into parts whose numbers are all possible, or all impossible for one reason.
fn parts(range: &RangeInclusive<i64>) -> impl Iterator<Item = RangeInclusive<i64>> {
    let (mut next, end) = (*range.start(), *range.end());
    std::iter::from_fn(move || {
        let start = next;
        let end_of_part = part_end(start);
        // Parts that are not added may have any length.
        let longest = if PhoneNumber::for_stock(start).is_ok() { BATCH } else { MOST_AT_ONCE };
        next = end_of_part.min(start + longest).min(end + 1);
        (start <= end).then_some(start..=next - 1)
    })
}

/// The end of the part that begins at `number`. In an area code, the first two million numbers have an exchange that
/// begins with 0 or 1; in each later million, one exchange is N11.
const fn part_end(number: i64) -> i64 {
    const EXCHANGE: i64 = 10_000;
    let within = number % 10_000_000;
    let exchange = within / EXCHANGE;
    let next = match (exchange, exchange % 100) {
        (..200, _) => 200,
        (_, ..11) => exchange / 100 * 100 + 11,
        (_, 11) => exchange + 1,
        (900.., _) => 1000,
        _ => (exchange / 100 + 1) * 100 + 11,
    };
    number - within + next * EXCHANGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_range_and_never_mix_possible_and_impossible_numbers() {
        let range = 4_151_900_000..=4_172_120_000;
        let parts: Vec<_> = parts(&range).collect();
        assert_eq!(parts.first().map(|part| *part.start()), Some(*range.start()));
        assert_eq!(parts.last().map(|part| *part.end()), Some(*range.end()));
        assert!(parts.windows(2).all(|pair| pair[0].end() + 1 == *pair[1].start()));
        for part in parts {
            let reason = |number: i64| PhoneNumber::for_stock(number).map(drop).map_err(|error| error.reason);
            let (first, last) = (*part.start(), *part.end());
            for number in [first, first + (last - first) / 3, first + (last - first) / 2, last] {
                assert_eq!(reason(first), reason(number), "{part:?}");
            }
            assert!(reason(first).is_err() || last - first < BATCH, "{part:?}");
        }
    }
}
