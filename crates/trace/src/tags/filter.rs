//! A filter of keys that can be handed out whole: whoever has it asks of its own customers' addresses without naming them.
//! What is in the set is always found; one of 784,931 that are not is found too.
//!
//! Decides membership, never what is said of a member. A Golomb-coded set with the parameters of BIP 158 (P = 19,
//! M = 784,931) and its coding: numbers ascend, each is written as its distance from the one before it, the quotient by 2^P
//! in unary and the rest in P bits, most significant bit first. Other than there, a number is made of the first eight bytes of
//! a [`Key`], big endian, as they are: keys are hashes already, and ascend in a store, so that a filter is made in one pass.
//!
//! Layout (version 1, little endian): magic and version (8 bytes), number of keys N (u64), then the coded numbers.

use super::store::Key;

/// What a filter begins with; the last byte is the version.
pub const MAGIC: [u8; 8] = *b"KBRNGCS\x01";
/// Bits of a number's rest (BIP 158).
pub const P: u32 = 19;
/// One of so many that are not in the set is found (BIP 158).
pub const M: u64 = 784_931;
const HEAD: usize = 16;

/// Why bytes are no filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// Another file, or of another version.
    #[error("is no filter of version 1")]
    Magic,
    /// Fewer numbers than its head says.
    #[error("is cut: ends after {got} of {want} numbers")]
    Cut {
        /// Numbers there are.
        got: u64,
        /// Numbers there should be.
        want: u64,
    },
}

/// The number of a key in a set of `count`: its place, scaled from 2^64 to count times M.
fn number(key: &Key, count: u64) -> u64 {
    let (first, _) = key.split_first_chunk().unwrap_or((&[0; 8], &[]));
    let range = u128::from(count) * u128::from(M);
    u64::try_from((u128::from(u64::from_be_bytes(*first)) * range) >> 64).unwrap_or(u64::MAX)
}

/// The filter of keys that ascend, each once, of which there are `count`.
#[must_use]
pub fn of_keys<'a>(count: u64, keys: impl Iterator<Item = &'a Key>) -> Vec<u8> {
    let mut bits = Writer { bytes: [MAGIC, count.to_le_bytes()].concat(), pending: 0, filled: 0 };
    let mut last = 0;
    for key in keys {
        let number = number(key, count);
        let distance = number.saturating_sub(last);
        last = number;
        for _ in 0..distance >> P {
            bits.push(1, 1);
        }
        bits.push(0, 1);
        bits.push(distance & ((1 << P) - 1), P);
    }
    bits.end()
}

/// Which of some keys may be in a filter's set, in the order in which they are given.
///
/// # Errors
/// Bytes that are no filter, or are cut.
pub fn matches(filter: &[u8], keys: &[Key]) -> Result<Vec<bool>, FilterError> {
    let head =
        filter.first_chunk::<HEAD>().filter(|head| head.starts_with(&MAGIC)).ok_or(FilterError::Magic)?;
    let (_, count) = head.split_last_chunk().unwrap_or((&[], &[0; 8]));
    let count = u64::from_le_bytes(*count);
    let mut asked: Vec<(u64, usize)> =
        keys.iter().enumerate().map(|(place, key)| (number(key, count), place)).collect();
    asked.sort_unstable();
    let mut asked = asked.into_iter().peekable();
    let mut found = vec![false; keys.len()];
    let mut bits = Reader { bytes: filter.get(HEAD..).unwrap_or_default(), at: 0 };
    let mut last = 0_u64;
    for got in 0..count {
        let distance = bits.distance().ok_or(FilterError::Cut { got, want: count })?;
        last = last.saturating_add(distance);
        while let Some((number, place)) = asked.next_if(|(number, _)| *number <= last) {
            if let Some(found) = found.get_mut(place) {
                *found = number == last;
            }
        }
    }
    Ok(found)
}

struct Writer {
    bytes: Vec<u8>,
    pending: u64,
    filled: u32,
}

impl Writer {
    /// Appends the low `count` bits, at most 32.
    fn push(&mut self, bits: u64, count: u32) {
        self.pending = (self.pending << count) | bits;
        self.filled += count;
        while self.filled >= 8 {
            self.filled -= 8;
            self.bytes.push(u8::try_from((self.pending >> self.filled) & 0xff).unwrap_or(0));
        }
        self.pending &= (1 << self.filled) - 1;
    }

    /// Zeros to the next whole byte.
    fn end(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.push(0, 8 - self.filled);
        }
        self.bytes
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bit(&mut self) -> Option<u64> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = (byte >> (7 - self.at % 8)) & 1;
        self.at += 1;
        Some(u64::from(bit))
    }

    fn distance(&mut self) -> Option<u64> {
        let mut quotient = 0_u64;
        while self.bit()? == 1 {
            quotient += 1;
        }
        let mut rest = 0;
        for _ in 0..P {
            rest = (rest << 1) | self.bit()?;
        }
        Some((quotient << P) | rest)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::bip158::BitStreamReader;
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn key(number: u64) -> Key {
        let hash: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
        *hash.first_chunk().unwrap()
    }

    fn set(numbers: core::ops::Range<u64>) -> Vec<Key> {
        let mut keys: Vec<Key> = numbers.map(key).collect();
        keys.sort_unstable();
        keys
    }

    fn filter(keys: &[Key]) -> Vec<u8> {
        of_keys(u64::try_from(keys.len()).unwrap(), keys.iter())
    }

    #[test]
    fn every_member_is_found_and_hardly_anything_else() {
        for count in [0, 1, 2, 1_000, 50_000] {
            let filter = filter(&set(0..count));
            // Not in the order of keys: the order of questions is the asker's.
            let members: Vec<Key> = (0..count).map(key).collect();
            assert!(matches(&filter, &members).unwrap().iter().all(|found| *found), "{count}");
            let others: Vec<Key> = (1 << 40..(1 << 40) + 200_000).map(key).collect();
            let false_hits = matches(&filter, &others).unwrap().iter().filter(|found| **found).count();
            // 0.25 are expected; 6 or more would come once in 10^7 runs.
            assert!(false_hits < 6, "{false_hits} of 200,000 with {count} members");
        }
    }

    #[test]
    fn the_coding_is_that_of_bip_158() {
        let keys = set(0..5_000);
        let filter = filter(&keys);
        let mut tail = &filter[HEAD..];
        let mut bits = BitStreamReader::new(&mut tail);
        let mut last = 0_u64;
        for key in &keys {
            while bits.read(1).unwrap() == 1 {
                last += 1 << 19;
            }
            last += bits.read(19).unwrap();
            let want = (u128::from(u64::from_be_bytes(*key.first_chunk().unwrap())) * 5_000 * 784_931) >> 64;
            assert_eq!(u128::from(last), want);
        }
        assert!(tail.is_empty());
    }

    #[test]
    fn a_cut_filter_and_another_file_are_refused() {
        let whole = filter(&set(0..20));
        for length in 0..whole.len() {
            let error = matches(&whole[..length], &[key(1)]).unwrap_err();
            assert_eq!(error == FilterError::Magic, length < HEAD, "{length}: {error}");
        }
        let mut other = whole;
        other[7] = 2;
        assert_eq!(matches(&other, &[]), Err(FilterError::Magic));
    }
}
