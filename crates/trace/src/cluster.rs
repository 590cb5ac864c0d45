//! Which addresses one holder controls: those whose coins one transaction spends, and change where rules for it are chosen.
//!
//! Decides by stated heuristics, each of which can be switched off; says which transactions join two addresses. Never
//! says who the holder is, and joins nothing over a transaction that looks like a CoinJoin.

mod change;
mod coinjoin;
mod forest;
mod why;

use core::{num::NonZeroUsize, ops::Range};
use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

pub use change::Change;
pub use coinjoin::looks_like_coinjoin;
use forest::Forest;
pub use why::{Joint, why};

use crate::{
    graph::{AddressNum, Graph, OutputNum, TxNum},
    index::Corrupted,
};

/// Transactions that a thread takes at a time: what is read for them fits the caches near it.
const CHUNK: u64 = 4_096;

/// What makes addresses one holder's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How an output must look to count as change; nothing where co-spending alone counts. All chosen ones must hold, and
    /// for exactly one output of a transaction.
    pub change: Vec<Change>,
    /// Change joins no two clusters that both have more addresses than this: one wrong guess between two services would
    /// make them one for ever. Co-spending is not guarded, it proves control.
    pub collapse_max: u64,
}

impl Default for Rules {
    /// Co-spending alone.
    fn default() -> Self {
        Self { change: Vec::new(), collapse_max: 1000 }
    }
}

/// The clusters of a graph at one tip. A cluster's number is that of its first address.
#[derive(Debug)]
pub struct Clusters {
    forest: Forest,
    refused: u64,
}

impl Clusters {
    /// Clusters all addresses of a graph. The result depends on graph and rules alone, not on the number of threads.
    ///
    /// `progress` is told how many more transactions were read.
    ///
    /// # Errors
    /// A file of the graph is corrupted.
    pub fn of<G: Graph + Sync>(
        graph: &G,
        rules: &Rules,
        threads: NonZeroUsize,
        progress: &(impl Fn(u64) + Sync),
    ) -> Result<Self, Corrupted> {
        let forest = Forest::new(graph.address_count());
        let chunks = Chunks::of(graph.tx_count());
        let work = || {
            let mut groups = Groups::default();
            for txs in &chunks {
                let count = txs.end.saturating_sub(txs.start);
                groups.read(graph, txs);
                groups.join(&forest);
                progress(count);
            }
        };
        let work = || graph.reading(work);
        shared(threads, work).into_iter().fold(Ok(()), Result::and)?;
        let change = || if rules.change.is_empty() { 0 } else { change::join(graph, rules, &forest) };
        let refused = graph.reading(change)?;
        Ok(Self { forest, refused })
    }

    /// Clusters addresses that somebody has gathered: `members` of groups that belong together side by side, and in `ends`
    /// where each group ends, ascending. What is beyond `members` is in no group.
    ///
    /// # Panics
    /// A member is not below `addresses`.
    #[must_use]
    pub fn joined(addresses: u64, members: &[AddressNum], ends: &[usize], threads: NonZeroUsize) -> Self {
        let forest = Forest::new(addresses);
        let chunks = Chunks::of(u64::try_from(ends.len()).unwrap_or(u64::MAX));
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        let work = || {
            let mut groups = Groups::default();
            for chunk in &chunks {
                let before = at(chunk.start).checked_sub(1).and_then(|last| ends.get(last));
                let mut begin = before.copied().unwrap_or(0);
                groups.clear();
                for end in ends.get(at(chunk.start)..at(chunk.end)).unwrap_or_default() {
                    groups.add(members.get(begin..*end).unwrap_or_default());
                    begin = *end;
                }
                groups.join(&forest);
            }
        };
        drop(shared(threads, work));
        Self { forest, refused: 0 }
    }

    /// Takes up the transactions from number `from` on, which a graph had no sooner. The same as clustering anew where
    /// co-spending alone counts: unions do not depend on their order. Change does, so there this is not offered.
    ///
    /// # Errors
    /// A file of the graph is corrupted.
    pub fn extended<G: Graph>(self, graph: &G, from: TxNum) -> Result<Self, Corrupted> {
        let forest = self.forest.grown(graph.address_count());
        let mut groups = Groups::default();
        graph.reading(|| groups.read(graph, from.number()..graph.tx_count()))?;
        groups.join(&forest);
        Ok(Self { forest, refused: self.refused })
    }

    /// The cluster of an address: its first address.
    #[must_use]
    pub fn cluster(&self, address: AddressNum) -> AddressNum {
        AddressNum::new(self.forest.root(address.number()))
    }

    /// The cluster of every address, in order: faster than one by one.
    #[must_use]
    pub fn all(&self) -> Vec<AddressNum> {
        self.forest.roots().into_iter().map(AddressNum::new).collect()
    }

    /// How many addresses there are.
    #[must_use]
    pub const fn addresses(&self) -> u64 {
        self.forest.len()
    }

    /// How many clusters there are; an address that was never joined is one.
    #[must_use]
    pub fn count(&self) -> u64 {
        let roots = (0..self.forest.len()).filter(|address| self.forest.root(*address) == *address);
        roots.fold(0, |count, _| count.saturating_add(1))
    }

    /// Change that would have joined two clusters above the bound, and did not.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// The addresses of the cluster that `address` is in, in order.
    pub fn members(&self, address: AddressNum) -> impl Iterator<Item = AddressNum> + '_ {
        let cluster = self.forest.root(address.number());
        (0..self.forest.len()).filter(move |other| self.forest.root(*other) == cluster).map(AddressNum::new)
    }

    /// The clusters with the most addresses, the greatest first, ties by number.
    #[must_use]
    pub fn largest(&self, most: usize) -> Vec<(AddressNum, u64)> {
        let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
        for address in 0..self.forest.len() {
            let root = self.forest.root(address);
            // A cluster of one has no entry; most are.
            if root != address {
                let size = sizes.entry(root).or_insert(1);
                *size = size.saturating_add(1);
            }
        }
        let mut sizes: Vec<(AddressNum, u64)> =
            sizes.into_iter().map(|(root, size)| (AddressNum::new(root), size)).collect();
        sizes.sort_by_key(|(root, size)| (core::cmp::Reverse(*size), *root));
        sizes.truncate(most);
        sizes
    }
}

/// Places that threads take in turns, some at a time.
struct Chunks {
    next: AtomicU64,
    count: u64,
}

impl Chunks {
    const fn of(count: u64) -> Self {
        Self { next: AtomicU64::new(0), count }
    }
}

impl Iterator for &Chunks {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let begin = self.next.fetch_add(CHUNK, Ordering::Relaxed);
        (begin < self.count).then(|| begin..self.count.min(begin.saturating_add(CHUNK)))
    }
}

/// Works in so many threads, this one among them; what came of it in each.
fn shared<T: Send>(threads: NonZeroUsize, work: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads.get()).map(|_| scope.spawn(&work)).collect();
        let own = work();
        let done = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        core::iter::once(own).chain(done).collect()
    })
}

/// The addresses whose coins a transaction spends together, unless it looks like a CoinJoin: in input order, repeated as
/// often as they occur.
fn co_spent<G: Graph>(graph: &G, tx: TxNum) -> Option<impl Iterator<Item = AddressNum> + '_> {
    let mut inputs = graph.inputs(tx);
    let (first, second) = (inputs.next(), inputs.next());
    // One input joins nothing, and most transactions have one.
    if first.is_none() || second.is_none() || looks_like_coinjoin(graph, tx) {
        return None;
    }
    Some(graph.inputs(tx).filter_map(|output| graph.address(output)))
}

/// The addresses of some transactions, which belong together in groups. They are read first and joined then: reads do not
/// wait for each other, joins do.
#[derive(Debug, Default)]
struct Groups {
    spent: Vec<OutputNum>,
    /// Where the inputs of each transaction end, before those are left out that join nothing.
    input_ends: Vec<usize>,
    members: Vec<Option<u64>>,
    ends: Vec<usize>,
}

impl Groups {
    fn clear(&mut self) {
        self.spent.clear();
        self.input_ends.clear();
        self.members.clear();
        self.ends.clear();
    }

    /// Adds a group that is known; one address joins nothing.
    fn add(&mut self, members: &[AddressNum]) {
        if members.len() > 1 {
            self.members.extend(members.iter().map(|one| Some(one.number())));
            self.ends.push(self.members.len());
        }
    }

    /// Takes up what each transaction joins, in place of what there was.
    fn read<G: Graph>(&mut self, graph: &G, txs: Range<u64>) {
        self.clear();
        let Self { spent, input_ends, members, ends } = self;
        graph.inputs_of(txs.clone(), spent, input_ends);
        let (mut begin, mut kept) = (0, 0_usize);
        for (tx, end) in txs.map(TxNum::new).zip(input_ends) {
            let inputs = begin..*end;
            begin = *end;
            // One input joins nothing, and most transactions have one.
            if inputs.len() > 1 && !looks_like_coinjoin(graph, tx) {
                let count = inputs.len();
                spent.copy_within(inputs, kept);
                kept = kept.saturating_add(count);
                ends.push(kept);
            }
        }
        spent.truncate(kept);
        // Owners lie far apart. In a loop of nothing else the processor waits for many at a time.
        members.extend(spent.iter().map(|output| graph.address(*output).map(AddressNum::number)));
    }

    fn join(&mut self, forest: &Forest) {
        forest.unite_groups(&mut self.members, &self.ends);
    }
}
