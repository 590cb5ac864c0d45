//! Numbers that look random and follow from a seed.
//!
//! Decides nothing. Not for secrets.

use super::Table;

/// A sequence of numbers: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number that a seed stands for.
pub(super) const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        let number = mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        number
    }

    /// Below a bound; 0 if the bound is.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// Puts things into another order, every one as likely (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            let bound = u64::try_from(last).map_or(u64::MAX, |last| last + 1);
            things.swap(last, usize::try_from(self.below(bound)).unwrap_or(0));
        }
    }

    /// By a table of thousandths.
    pub(super) fn from(&mut self, table: &Table) -> u64 {
        let mut place = self.below(1_000);
        for (share, low, high) in table {
            match place.checked_sub(*share) {
                Some(rest) => place = rest,
                None => return low + self.below(high - low + 1),
            }
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64s() {
        // The reference implementation's first numbers for the seed 1234567.
        let mut random = Random::new(1_234_567);
        let want = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.next(), random.next(), random.next()], want);
    }

    #[test]
    fn tables_are_thousandths() {
        for table in [super::super::INPUTS, super::super::OUTPUTS] {
            assert_eq!(table.iter().map(|(share, _, _)| share).sum::<u64>(), 1_000);
        }
        assert_eq!(super::super::KINDS.iter().map(|(share, _)| share).sum::<u64>(), 1_000);
    }
}
