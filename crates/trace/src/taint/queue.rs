//! What is still to be spent, in the order in which it will be.
//!
//! Decides the order alone. Keys never fall behind the last one taken, so only the near ones need a heap.

use core::{cmp::Ordering, iter};
use std::collections::{BTreeMap, BinaryHeap};

use super::part::Parts;

/// Keys that share their upper bits wait together, unsorted, until their turn comes.
const NEAR_BITS: u32 = 12;

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

/// The earliest key, then the earliest source, is the greatest: `BinaryHeap` gives the greatest first.
impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.key, other.source).cmp(&(self.key, self.source))
    }
}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Arrivals by key.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The near ones, the first to leave last.
    near: Vec<Arrival>,
    /// Those that came after the near ones were put in order.
    fresh: BinaryHeap<Arrival>,
    near_bucket: u64,
    far: BTreeMap<u64, Vec<Arrival>>,
}

impl Queue {
    /// Adds an arrival whose key is not below any that was taken.
    pub(super) fn push(&mut self, arrival: Arrival) {
        let bucket = arrival.key >> NEAR_BITS;
        if bucket <= self.near_bucket {
            self.fresh.push(arrival);
        } else {
            self.far.entry(bucket).or_default().push(arrival);
        }
    }

    /// The least key.
    pub(super) fn next_key(&mut self) -> Option<u64> {
        if self.near.is_empty() && self.fresh.is_empty() {
            let (bucket, mut arrivals) = self.far.pop_first()?;
            self.near_bucket = bucket;
            arrivals.sort_unstable();
            self.near = arrivals;
        }
        let keys = self.near.last().into_iter().chain(self.fresh.peek());
        keys.map(|arrival| arrival.key).min()
    }

    /// Moves all arrivals with this key into `arrivals`, which is empty, in the order of their sources.
    pub(super) fn take(&mut self, key: u64, arrivals: &mut Vec<Arrival>) {
        arrivals.extend(iter::from_fn(|| self.near.pop_if(|arrival| arrival.key == key)));
        let ordered = arrivals.len();
        while self.fresh.peek().is_some_and(|arrival| arrival.key == key) {
            arrivals.extend(self.fresh.pop());
        }
        if ordered > 0 && arrivals.len() > ordered {
            arrivals.sort_unstable_by_key(|arrival| arrival.source);
        }
    }
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
        let mut taken = Vec::new();
        let mut seen = Vec::new();
        while let Some(key) = queue.next_key() {
            taken.clear();
            queue.take(key, &mut taken);
            if key == width && seen.len() == 3 {
                queue.push(arrival(width, 8));
                queue.push(arrival(2 * width, 8));
            }
            if key == last {
                queue.push(arrival(last + 1, 9));
                queue.push(arrival(last + 1, 2));
            }
            seen.extend(taken.iter().map(|arrival| (arrival.key, arrival.source)));
        }
        let early = [(3, 4), (3, 9), (width - 1, 2), (width, 7), (width, 8), (2 * width, 8)];
        let late = [(last, 1), (last + 1, 2), (last + 1, 6), (last + 1, 9), (last + 3, 0), (last + 3, 1)];
        let want = [early.as_slice(), &late].concat();
        assert_eq!(seen, want);
    }
}
