//! What is still to be spent, in the order in which it will be.
//!
//! Decides the order alone. Keys never fall behind the last one taken, so nothing has to be sorted: arrivals wait in
//! buckets of keys, and only the bucket whose turn it is knows them key by key.

use core::mem;
use std::collections::VecDeque;

use super::part::Parts;

/// Keys that share their upper bits wait together until their turn comes.
const NEAR_BITS: u32 = 10;
/// Keys of a bucket.
const NEAR: usize = 1 << NEAR_BITS;

/// Tainted units on their way into a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Arrival {
    /// When that transaction is processed.
    pub key: u64,
    /// Where they come from: the number of an output, or of the transaction that pays them as a fee.
    pub source: u64,
    /// All units of the source; kept here because looking it up again is a miss of the cache.
    pub value_sat: u64,
    /// Least transactions between here and where the walk began; only backwards.
    pub hops: u32,
    /// The units.
    pub parts: Parts,
}

/// Arrivals by key.
#[derive(Debug, Default)]
pub(super) struct Queue {
    near: Near,
    near_bucket: u64,
    far: Far,
    /// Places of the near ones that were taken last, in the order of their sources.
    taken: Vec<usize>,
}

impl Queue {
    /// Adds an arrival whose key is not below any that was taken.
    #[inline]
    pub(super) fn push(&mut self, arrival: Arrival) {
        let bucket = arrival.key >> NEAR_BITS;
        if bucket <= self.near_bucket {
            self.near.push(arrival);
        } else {
            self.far.push(bucket, arrival);
        }
    }

    /// The least key, unless it is greater than `before`: then what is taken at `before` may still push earlier ones.
    pub(super) fn next_key(&mut self, before: u64) -> Option<u64> {
        if self.near.waiting == 0 {
            let (bucket, arrivals) = self.far.pop_first(before >> NEAR_BITS)?;
            self.taken.clear();
            self.near_bucket = bucket;
            self.near.refill(arrivals);
        }
        let first = self.near.first()?;
        Some(self.near_bucket << NEAR_BITS | first).filter(|key| *key <= before)
    }

    /// Takes all arrivals with this key, perhaps none.
    pub(super) fn take(&mut self, key: u64) {
        for place in self.taken.drain(..) {
            self.near.drop_parts(place);
        }
        if key >> NEAR_BITS == self.near_bucket {
            let Self { near, taken, .. } = self;
            near.take(place(key), taken);
            taken.sort_unstable_by_key(|place| near.source(*place));
        }
    }

    /// What was taken last, in the order of sources.
    pub(super) fn taken(&self) -> impl ExactSizeIterator<Item = &Arrival> {
        self.taken.iter().map(|place| self.near.at(*place))
    }

    /// What was taken last and comes from this source.
    #[inline]
    pub(super) fn taken_from(&self, source: u64) -> Option<&Arrival> {
        let at = self.taken.binary_search_by_key(&source, |place| self.near.source(*place)).ok()?;
        self.taken.get(at).map(|place| self.near.at(*place))
    }
}

/// Arrivals by bucket. A chain has few buckets, so that each has a place, filled or not.
#[derive(Debug, Default)]
struct Far {
    /// The bucket of the first place.
    first: u64,
    buckets: VecDeque<Vec<Arrival>>,
}

impl Far {
    #[inline]
    fn push(&mut self, bucket: u64, arrival: Arrival) {
        let at = bucket.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| self.buckets.get_mut(at)) {
            Some(arrivals) => arrivals.push(arrival),
            None => self.place(bucket).push(arrival),
        }
    }

    /// Makes a place for a bucket that has none.
    #[cold]
    fn place(&mut self, bucket: u64) -> &mut Vec<Arrival> {
        if self.buckets.is_empty() {
            self.first = bucket;
        }
        while bucket < self.first {
            self.first -= 1;
            self.buckets.push_front(Vec::new());
        }
        let at = usize::try_from(bucket - self.first).unwrap_or(usize::MAX);
        if at >= self.buckets.len() {
            self.buckets.resize_with(at.saturating_add(1), Vec::new);
        }
        #[expect(clippy::expect_used, reason = "the places were just made")]
        self.buckets.get_mut(at).expect("the places were just made")
    }

    /// The first bucket that something waits in, unless it is greater than `last`.
    fn pop_first(&mut self, last: u64) -> Option<(u64, Vec<Arrival>)> {
        while self.buckets.front()?.is_empty() {
            self.buckets.pop_front();
            self.first = self.first.saturating_add(1);
        }
        let bucket = self.first;
        let arrivals = if bucket <= last { self.buckets.pop_front() } else { None }?;
        self.first = bucket.saturating_add(1);
        Some((bucket, arrivals))
    }
}

/// Arrivals of one bucket: for each key a chain of those that have it. What is taken stays where it is, as it is large.
#[derive(Debug)]
struct Near {
    /// Where each key's chain begins in `arrivals`, counted from 1; 0 where nothing has the key.
    heads: Box<[usize; NEAR]>,
    /// A bit for each key that something has.
    filled: [u64; NEAR / 64],
    /// Nothing before this word of `filled` is waiting or will be.
    word: usize,
    arrivals: Vec<Arrival>,
    /// The next of each arrival's chain, counted as in `heads`.
    nexts: Vec<usize>,
    waiting: usize,
}

impl Default for Near {
    fn default() -> Self {
        let (heads, filled) = (Box::new([0; NEAR]), [0; NEAR / 64]);
        Self { heads, filled, word: 0, arrivals: Vec::new(), nexts: Vec::new(), waiting: 0 }
    }
}

impl Near {
    /// Takes up another bucket. Nothing waits in this one: its chains and bits are empty.
    fn refill(&mut self, arrivals: Vec<Arrival>) {
        self.word = 0;
        self.nexts.clear();
        self.arrivals = arrivals;
        for at in 0..self.arrivals.len() {
            let key = self.at(at).key;
            self.chain(key);
        }
    }

    #[inline]
    fn push(&mut self, arrival: Arrival) {
        let key = arrival.key;
        self.arrivals.push(arrival);
        self.chain(key);
    }

    /// Puts the first arrival that is in no chain into that of its key.
    #[inline]
    fn chain(&mut self, key: u64) {
        let place = place(key);
        if let (Some(head), Some(filled)) = (self.heads.get_mut(place), self.filled.get_mut(place / 64)) {
            self.nexts.push(*head);
            *head = self.nexts.len();
            *filled |= 1 << (place % 64);
            self.waiting = self.waiting.saturating_add(1);
        }
    }

    /// The least key's place that something waits at.
    #[inline]
    fn first(&self) -> Option<u64> {
        let mut words = self.filled.iter().enumerate().skip(self.word);
        let (word, bits) = words.find(|(_, bits)| **bits != 0)?;
        let word = u64::try_from(word).ok()?;
        Some(word * 64 + u64::from(bits.trailing_zeros()))
    }

    /// Empties a key's chain into `taken`.
    #[inline]
    fn take(&mut self, place: usize, taken: &mut Vec<usize>) {
        if let (Some(head), Some(filled)) = (self.heads.get_mut(place), self.filled.get_mut(place / 64)) {
            *filled &= !(1 << (place % 64));
            self.word = place / 64;
            let mut next = mem::take(head);
            while let Some(at) = next.checked_sub(1) {
                taken.push(at);
                next = self.nexts.get(at).copied().unwrap_or_default();
            }
            self.waiting = self.waiting.saturating_sub(taken.len());
        }
    }

    #[inline]
    fn at(&self, at: usize) -> &Arrival {
        #[expect(clippy::expect_used, reason = "places are those of arrivals that were pushed")]
        self.arrivals.get(at).expect("places are those of arrivals that were pushed")
    }

    #[inline]
    fn source(&self, at: usize) -> u64 {
        self.at(at).source
    }

    /// Frees what can be much.
    #[inline]
    fn drop_parts(&mut self, at: usize) {
        if let Some(arrival) = self.arrivals.get_mut(at) {
            arrival.parts = Parts::default();
        }
    }
}

/// A key's place in its bucket.
#[inline]
fn place(key: u64) -> usize {
    let lower = key & ((1 << NEAR_BITS) - 1);
    usize::try_from(lower).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taint::part::{CaseNum, Part};

    #[test]
    fn arrivals_leave_by_key_and_source_whenever_they_came() {
        let parts = Parts::from(&[Part { case: CaseNum::new(0), start_sat: 0, amount_sat: 1 }][..]);
        let arrival = |key, source| Arrival { key, source, value_sat: 1, hops: 0, parts: parts.clone() };
        let mut queue = Queue::default();
        let width = 1 << NEAR_BITS;
        let last = 5 * width;
        let given = [
            (last + 3, 1),
            (last, 1),
            (3, 9),
            (last + 3, 0),
            (width, 7),
            (width - 1, 2),
            (3, 4),
            (last + 1, 6),
        ];
        for (key, source) in given {
            queue.push(arrival(key, source));
        }
        let mut seen = Vec::new();
        while let Some(key) = queue.next_key(u64::MAX) {
            queue.take(key);
            seen.extend(queue.taken().map(|arrival| (arrival.key, arrival.source)));
            let sources: Vec<_> = queue.taken().map(|arrival| arrival.source).collect();
            assert!(sources.iter().all(|source| queue.taken_from(*source).is_some()));
            assert_eq!(queue.taken_from(99), None);
            if key == width && seen.len() == 4 {
                queue.push(arrival(width, 8));
                queue.push(arrival(2 * width, 8));
            }
            if key == last {
                queue.push(arrival(last + 1, 9));
                queue.push(arrival(last + 1, 2));
            }
        }
        let early = [(3, 4), (3, 9), (width - 1, 2), (width, 7), (width, 8), (2 * width, 8)];
        let late = [(last, 1), (last + 1, 2), (last + 1, 6), (last + 1, 9), (last + 3, 0), (last + 3, 1)];
        let want = [early.as_slice(), &late].concat();
        assert_eq!(seen, want);
    }

    #[test]
    fn buckets_open_at_their_turn_and_not_before_a_seed() {
        let mut queue = Queue::default();
        let push = |queue: &mut Queue, key| {
            queue.push(Arrival { key, source: key, value_sat: 1, hops: 0, parts: Parts::default() });
        };
        let width = 1 << NEAR_BITS;
        // The first far bucket is not the least one: places come before it.
        push(&mut queue, 9 * width);
        push(&mut queue, 4 * width + 1);
        // A seed in bucket 2 is processed first, and pays into bucket 3.
        assert_eq!(queue.next_key(2 * width), None);
        queue.take(2 * width);
        assert_eq!(queue.taken().len(), 0);
        push(&mut queue, 3 * width);
        assert_eq!(queue.next_key(4 * width), Some(3 * width));
        queue.take(3 * width);
        // In the seed's own bucket: earlier than what waits there, and pays in between.
        assert_eq!(queue.next_key(4 * width), None);
        queue.take(4 * width);
        push(&mut queue, 4 * width);
        assert_eq!(queue.next_key(u64::MAX), Some(4 * width));
        queue.take(4 * width);
        for want in [4 * width + 1, 9 * width] {
            assert_eq!(queue.next_key(u64::MAX), Some(want));
            queue.take(want);
            assert_eq!(queue.taken().len(), 1);
        }
        assert_eq!(queue.next_key(u64::MAX), None);
    }
}
