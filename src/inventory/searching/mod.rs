//! Searching the numbers on sale. Nothing is reserved: of two who find the same number, the first one can buy it.
//!
//! Every search is bounded, for every input: it has two statements at most, which look at [`WALKED`] numbers and at
//! [`MOST_RANGES`] ranges. So one that asks for rare digits may miss some: a search promises no completeness.

use crate::db::Db;
use crate::db::replica::Source;
use crate::error::Result;
use crate::values::chance::Chance;
use crate::values::phone::{AreaCode, Kind, PhoneNumber};

mod pattern;
mod store;

pub use pattern::{NotAPattern, Pattern};

/// A search finds this many numbers at most.
pub const MOST: u32 = 30;

/// A walk along the queue looks at this many numbers at most. They are all over the table, so that it takes some 10 ms with
/// 2,000,000 numbers in stock.
const WALKED: i64 = 3000;

/// A pattern is looked up in this many ranges at most, which takes as long. Enough for all numbers with six digits
/// that may be anywhere in the number.
const MOST_RANGES: usize = 4000;

/// A look into ranges reads this many numbers at most: all of an exchange.
const LOOKED_UP: i64 = 10_000;

/// Of this many numbers that match, the first in the queue are shown: so those who search for the same find different
/// ones first.
const ENOUGH: i64 = 1000;

/// Which numbers are searched.
#[derive(Debug)]
pub struct Search<'a> {
    pub kind: Kind,
    /// Three digits. They need not be an area code.
    pub area_code: Option<i16>,
    /// A state as two letters, in any case.
    pub state: Option<&'a str>,
    pub pattern: Option<Pattern>,
    /// How many numbers are wanted.
    pub most: u32,
}

impl Search<'_> {
    /// Whether numbers with this area code can match.
    fn fits(&self, code: AreaCode) -> bool {
        let is_there = |state: &str| code.state().is_some_and(|own| own.eq_ignore_ascii_case(state));
        self.area_code.is_none_or(|wanted| wanted == code.as_smallint())
            && self.state.is_none_or(is_there)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_possible_in(code))
    }
}

/// Numbers on sale, from a place in the queue of buyers on that chance chooses. A pattern that few ranges hold is looked up in them.
/// For any other, the walk along the queue finds what is frequent, and all of a small stock; and what it does not find is
/// looked up in some of the ranges.
///
/// # Errors
/// If the database is out of reach.
pub async fn search(source: Source<'_>, chance: &Chance, search: &Search<'_>) -> Result<Vec<PhoneNumber>> {
    let place = Place { pick: chance.pick(), part: chance.part() };
    let mut codes: Vec<_> = AreaCode::all(search.kind).filter(|code| search.fits(*code)).collect();
    place.turn(&mut codes);
    let ranges = search.pattern.as_ref().map(|pattern| pattern.ranges(&codes, MOST_RANGES)).unwrap_or_default();
    if codes.is_empty() || ranges.are_all && ranges.list.is_empty() {
        return Ok(Vec::new());
    }
    let (db, most) = (&source.db().admitted().await?, search.most.min(MOST));
    let mut found = if ranges.are_all { Vec::new() } else { walk(db, search, &codes, place, most).await? };
    let missing = most as usize - found.len();
    if missing > 0 && !ranges.list.is_empty() {
        let mut more = store::within(db, &place.turn_ranges(ranges.list), place.pick, most.into()).await?;
        more.retain(|number| !found.contains(number));
        found.extend(more.into_iter().take(missing));
    }
    Ok(found)
}

/// Walks along the queue, and takes what matches.
async fn walk(db: &Db, search: &Search<'_>, codes: &[AreaCode], place: Place, most: u32) -> Result<Vec<PhoneNumber>> {
    let like = search.pattern.as_ref().map_or_else(|| "%".to_owned(), Pattern::like);
    if codes.len() == AreaCode::all(search.kind).len() {
        return Ok(store::of_kind(db, search.kind, &like, place.pick, most.into()).await?);
    }
    // Without a pattern every number matches: some of each area code.
    let of_each = if search.pattern.is_none() { MOST.into() } else { WALKED };
    Ok(store::of_areas(db, codes, of_each, &like, place.pick, most.into()).await?)
}

/// Where a search begins.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// In the queue of buyers.
    pick: i32,
    /// In a list, as a part of 2⁶⁴.
    part: u64,
}

impl Place {
    /// The same part of a list of this length.
    fn of(self, length: usize) -> usize {
        ((u128::from(self.part) * length as u128) >> 64) as usize
    }

    fn turn<T>(self, list: &mut [T]) {
        let place = self.of(list.len());
        list.rotate_left(place);
    }

    /// Begins with the numbers after a random one of these, and goes on from the first one.
    fn turn_ranges(self, mut ranges: Vec<[i64; 2]>) -> Vec<[i64; 2]> {
        let width = |[low, high]: &[i64; 2]| (high - low + 1) as usize;
        let mut before = self.of(ranges.iter().map(width).sum());
        let Some(index) = ranges.iter().position(|range| {
            let is_here = before < width(range);
            before -= if is_here { 0 } else { width(range) };
            is_here
        }) else {
            return ranges;
        };
        ranges.rotate_left(index);
        let [low, high] = ranges[0];
        let middle = low + before as i64;
        ranges[0] = [middle, high];
        ranges.extend((low < middle).then_some([low, middle - 1]));
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_turned_and_none_is_lost() {
        let ranges = vec![[10, 19], [30, 30], [50, 54]];
        let all = |ranges: &[[i64; 2]]| ranges.iter().flat_map(|[low, high]| *low..=*high).collect::<Vec<_>>();
        let whole = all(&ranges);
        let mut firsts = Vec::new();
        for nth in 0..16_u64 {
            // In the middle of the part of each number.
            let place = Place { pick: 0, part: u64::MAX / 32 * (2 * nth + 1) };
            let mut turned = all(&place.turn_ranges(ranges.clone()));
            firsts.push(turned[0]);
            turned.sort_unstable();
            assert_eq!(turned, whole);
        }
        assert_eq!(firsts, whole);
    }
}
