//! Maps by transaction id. Ids are hashes already, so a few multiplications spread them; the key is this process's own, so that
//! nobody can make ids that fall into one place.

use core::hash::{BuildHasher, Hasher};
use std::{
    collections::{HashMap, HashSet},
    hash::RandomState,
};

/// A map by transaction id or outpoint.
pub(crate) type Map<K, V> = HashMap<K, V, Keyed>;
/// A set of them.
pub(crate) type Set<K> = HashSet<K, Keyed>;

/// Two random numbers, the second odd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed(u64, u64);

impl Default for Keyed {
    fn default() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(0_u8), random.hash_one(1_u8) | 1)
    }
}

impl BuildHasher for Keyed {
    type Hasher = Mix;

    fn build_hasher(&self) -> Mix {
        Mix { state: self.0, factor: self.1 }
    }
}

/// A hash that grows word by word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    state: u64,
    factor: u64,
}

impl Mix {
    #[inline]
    const fn take(&mut self, word: u64) {
        let mixed = (self.state ^ word).wrapping_mul(self.factor);
        self.state = mixed ^ (mixed >> 32);
    }

    /// Two words by one multiplication, whose halves are joined.
    #[inline]
    fn take_pair(&mut self, one: u64, other: u64) {
        let (low, high) = (self.state ^ one).carrying_mul(self.factor ^ other, 0);
        self.state = low ^ high;
    }
}

impl Hasher for Mix {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let (pairs, single) = words.as_chunks::<2>();
        pairs
            .iter()
            .for_each(|[one, other]| self.take_pair(u64::from_le_bytes(*one), u64::from_le_bytes(*other)));
        single.iter().for_each(|word| self.take(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.take(u64::from(*byte)));
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.take(u64::from(number));
    }

    /// The length of an id, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        let mut last = *self;
        last.take(0);
        last.state
    }
}

#[cfg(test)]
mod tests {
    use kuraban_base::Txid;
    use kuraban_chain::btc::OutPoint;

    use super::*;

    #[test]
    fn outpoints_that_differ_in_little_are_spread_over_all_places() {
        let keyed = Keyed::default();
        let mut low = [0_u32; 256];
        let mut high = [0_u32; 128];
        for number in 0..25_600_u32 {
            let mut bytes = [0; 32];
            bytes[usize::try_from(number % 32).unwrap()] = u8::try_from(number / 32 % 256).unwrap();
            let outpoint = OutPoint { txid: Txid::from_bytes(bytes), vout: number / 8_192 };
            let hash = keyed.hash_one(outpoint);
            low[usize::try_from(hash % 256).unwrap()] += 1;
            high[usize::try_from(hash >> 57).unwrap()] += 1;
        }
        // Of 25,600 a hundred are expected in each place of 256, two hundred in each of 128; ten deviations are allowed.
        assert!(low.iter().all(|count| (0..=230).contains(count)), "{low:?}");
        assert!(high.iter().all(|count| (40..=380).contains(count)), "{high:?}");
    }
}
