//! The only source of chance for what clients see: the Sids of their numbers, and where a search begins.

use std::sync::{Arc, Mutex, PoisonError};

use blake2::{Blake2s256, Digest};
use chrono::{DateTime, Utc};

use super::sid::random_bits;

/// A chance. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Chance {
    /// The operating system's.
    #[default]
    System,
    /// That of a world: the same draws on every run.
    Seeded(Arc<Mutex<Draws>>),
}

/// A seeded chance, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    pub seed: i64,
    /// Which start of the world it is: a later one draws nothing that an earlier one has drawn.
    pub start: i32,
    /// How often it was drawn from since that start.
    pub drawn: i64,
}

impl Chance {
    /// Comes before every `pick`, and is the only one that no number has.
    pub const FIRST_PICK: i32 = i32::MIN + 1;

    pub fn seeded(draws: Draws) -> Self {
        Self::Seeded(Arc::new(Mutex::new(draws)))
    }

    /// 128 bits.
    pub fn bits(&self) -> u128 {
        match self {
            Self::System => random_bits(),
            Self::Seeded(draws) => draws.lock().unwrap_or_else(PoisonError::into_inner).next(),
        }
    }

    /// 128 bits in the order of time, as in a UUID of version 7: 48 bits of milliseconds, then 80 random ones. Rows that are
    /// made one after another are neighbours in an index then, instead of each in a page of its own. A seeded chance draws
    /// what it always drew.
    pub fn bits_at(&self, moment: DateTime<Utc>) -> u128 {
        match self {
            Self::System => u128::from(moment.timestamp_millis().max(0).cast_unsigned()) << 80 | random_bits() >> 48,
            Self::Seeded(_) => self.bits(),
        }
    }

    /// Where a search in the queue of numbers begins: a seeded one at its beginning, so that the order of the queue is
    /// that of the sales.
    pub fn pick(&self) -> i32 {
        match self {
            // 31 random bits.
            Self::System => (random_bits() >> 97) as i32,
            Self::Seeded(_) => Self::FIRST_PICK,
        }
    }

    /// Where a search in a list begins, as a part of 2⁶⁴.
    pub fn part(&self) -> u64 {
        match self {
            Self::System => random_bits() as u64,
            Self::Seeded(_) => 0,
        }
    }

    /// How far a seeded chance has come.
    pub fn draws(&self) -> Option<Draws> {
        match self {
            Self::System => None,
            Self::Seeded(draws) => Some(*draws.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Goes on from an earlier moment of a seeded chance.
    pub fn go_back(&self, to: Draws) {
        if let Self::Seeded(draws) = self {
            *draws.lock().unwrap_or_else(PoisonError::into_inner) = to;
        }
    }
}

impl Draws {
    fn next(&mut self) -> u128 {
        let digest = Blake2s256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.start.to_be_bytes())
            .chain_update(self.drawn.to_be_bytes())
            .finalize();
        self.drawn += 1;
        digest.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const DRAWS: Draws = Draws { seed: 42, start: 1, drawn: 0 };

    #[test]
    fn a_seeded_chance_draws_the_same_again_and_another_one_does_not() {
        let drawn = |draws| {
            let chance = Chance::seeded(draws);
            [chance.bits(), chance.bits(), chance.bits()]
        };
        let first = drawn(DRAWS);
        assert_eq!(first, drawn(DRAWS));
        let all = [first, drawn(Draws { seed: 43, ..DRAWS }), drawn(Draws { start: 2, ..DRAWS })].concat();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn a_seeded_chance_goes_back_and_on_from_there() {
        let chance = Chance::seeded(DRAWS);
        chance.bits();
        let then = chance.draws().expect("it is seeded");
        let next = chance.bits();
        chance.clone().go_back(then);
        assert_eq!((chance.bits(), chance.pick(), chance.part()), (next, Chance::FIRST_PICK, 0));
    }

    #[test]
    fn the_system_s_chance_begins_within_the_queue_and_has_no_way_back() {
        let chance = Chance::default();
        assert!((0..100).all(|_| chance.pick() >= 0) && chance.bits() != chance.bits());
        chance.go_back(DRAWS);
        assert_eq!(chance.draws(), None);
    }

    #[test]
    fn later_bits_come_after_earlier_ones_and_those_of_one_moment_differ() {
        let (chance, moment) = (Chance::default(), DateTime::from_timestamp_millis(1_764_255_600_000).expect("a time"));
        let drawn = [0, 0, 1, 2, 1_000_000].map(|later| chance.bits_at(moment + TimeDelta::milliseconds(later)));
        assert!(drawn[1..].is_sorted() && drawn[0] != drawn[1] && drawn[0] < drawn[2], "{drawn:x?}");
        assert_eq!(drawn[2] >> 80, 1_764_255_600_001);
        assert_eq!(Chance::seeded(DRAWS).bits_at(moment), Chance::seeded(DRAWS).bits());
    }
}
