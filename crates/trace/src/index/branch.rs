//! Which of the blocks at hand make the chain: the branch with most work.
//!
//! Decides from headers alone, as nodes do: most work, and of equal ones the block that was there first. Never looks
//! into a block.

use std::collections::{BTreeSet, HashMap, hash_map::Entry as MapEntry};

use kuraban_base::Height;
use kuraban_chain::btc::{
    BlockHash, Network,
    pow::{PowError, Target, Work},
};

use super::{Index, column::wide, source::Entry};
use crate::graph::Graph as _;

/// Why no chain can be chosen.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BranchError {
    /// There is no block.
    #[error("no block was found in the files")]
    Nothing,
    /// The first block of the chain is not there.
    #[error(
        "the first block of {network}, {genesis}, is not among the {blocks} blocks{}; name all block files, or say that \
         the index is to be partial",
        other(*found)
    )]
    Genesis {
        /// The chain.
        network: Network,
        /// Its first block.
        genesis: BlockHash,
        /// Blocks at hand.
        blocks: u64,
        /// The chain whose first block is there.
        found: Option<Network>,
    },
    /// A block between others is not there.
    #[error("block {missing} is missing: block {child} follows it, and {blocks} blocks cannot be connected")]
    Missing {
        /// The missing one.
        missing: BlockHash,
        /// One that follows it.
        child: BlockHash,
        /// Blocks that are not connected to the chain.
        blocks: u64,
    },
    /// A header whose target says nothing.
    #[error("block {block} has no target")]
    Target {
        /// The block.
        block: BlockHash,
        /// What is wrong with it.
        #[source]
        source: PowError,
    },
    /// More work than can be counted.
    #[error("the work up to block {block} cannot be counted")]
    Work {
        /// The block.
        block: BlockHash,
    },
}

fn other(found: Option<Network>) -> String {
    found.map_or_else(String::new, |network| format!(", but that of {network} is"))
}

/// What to do to an index so that it holds the chain with most work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The last block to keep; nothing if all stay, or there is none.
    pub keep: Option<Height>,
    /// The blocks to append, by their places among the entries.
    pub append: Vec<usize>,
    /// Blocks that are on other branches.
    pub aside: u64,
    /// Blocks that were found more than once, and those that the index has.
    pub known: u64,
    /// Blocks that follow a block which is not there, and are older than the chain's last.
    pub unconnected: u64,
}

/// A block that the work of a branch is counted from.
#[derive(Clone, Copy)]
struct Link {
    work: Work,
    /// Its place among the entries; nothing for a block of the index.
    entry: Option<usize>,
}

struct Tree<'a> {
    entries: &'a [Entry],
    /// By hash: the first entry with it.
    places: HashMap<BlockHash, usize>,
    children: HashMap<BlockHash, Vec<usize>>,
    links: HashMap<BlockHash, Link>,
}

impl<'a> Tree<'a> {
    fn new(entries: &'a [Entry]) -> Self {
        let mut places = HashMap::with_capacity(entries.len());
        let mut children: HashMap<BlockHash, Vec<usize>> = HashMap::with_capacity(entries.len());
        for (entry, place) in entries.iter().zip(0..) {
            if let MapEntry::Vacant(vacant) = places.entry(entry.hash) {
                vacant.insert(place);
                children.entry(entry.header.prev).or_default().push(place);
            }
        }
        Self { entries, places, children, links: HashMap::new() }
    }

    /// Counts the work of every block that descends from a linked one.
    fn grow(&mut self, root: BlockHash) -> Result<(), BranchError> {
        let mut open = vec![root];
        while let Some(parent) = open.pop() {
            let Some(link) = self.links.get(&parent).copied() else { continue };
            for place in self.children.get(&parent).into_iter().flatten() {
                let Some(entry) = self.entries.get(*place) else { continue };
                if self.links.contains_key(&entry.hash) {
                    continue;
                }
                let work = link.work.plus(work_of(entry)?);
                let work = work.ok_or(BranchError::Work { block: entry.hash })?;
                self.links.insert(entry.hash, Link { work, entry: Some(*place) });
                open.push(entry.hash);
            }
        }
        Ok(())
    }

    /// The entry with most work, the first of equals, if it has more than some work.
    fn best(&self, than: Work) -> Option<usize> {
        let mut best: Option<(Work, usize)> = None;
        for (entry, place) in self.entries.iter().zip(0..) {
            let Some(link) = self.links.get(&entry.hash).filter(|link| link.entry == Some(place)) else {
                continue;
            };
            let more = best.map_or(link.work > than, |(work, _)| link.work > work);
            if more {
                best = Some((link.work, place));
            }
        }
        best.map(|(_, place)| place)
    }

    /// The entries from a linked block of the index, or from a root, up to an entry; and the hash before the first.
    fn path(&self, tip: usize) -> (Vec<usize>, BlockHash) {
        let mut path = Vec::new();
        let mut before = BlockHash::ZERO;
        let mut next = Some(tip);
        while let Some((place, entry)) = next.and_then(|place| Some((place, self.entries.get(place)?))) {
            path.push(place);
            before = entry.header.prev;
            next = self.links.get(&before).and_then(|link| link.entry);
        }
        path.reverse();
        (path, before)
    }

    /// The plan for a chosen path.
    fn plan(&self, append: Vec<usize>, keep: Option<Height>, tip_time_s: u32) -> Result<Plan, BranchError> {
        let chosen: BTreeSet<usize> = append.iter().copied().collect();
        let mut plan = Plan { keep, append, aside: 0, known: 0, unconnected: 0 };
        let mut missing = None;
        for (entry, place) in self.entries.iter().zip(0..) {
            match self.links.get(&entry.hash) {
                Some(Link { entry: Some(first), .. }) if *first == place => {
                    plan.aside += u64::from(!chosen.contains(&place));
                }
                Some(_) => plan.known += 1,
                None if self.places.get(&entry.hash) != Some(&place) => plan.known += 1,
                None => {
                    plan.unconnected += 1;
                    // Of a stale branch parts may be missing; a gap in the chain itself leaves younger blocks.
                    if entry.header.time_s > tip_time_s && missing.is_none() {
                        missing = Some(self.gap(place));
                    }
                }
            }
        }
        match missing {
            Some((missing, child)) => Err(BranchError::Missing { missing, child, blocks: plan.unconnected }),
            None => Ok(plan),
        }
    }

    /// The missing block beneath an unconnected one, and the block that follows it.
    fn gap(&self, place: usize) -> (BlockHash, BlockHash) {
        let mut at = place;
        loop {
            let Some(entry) = self.entries.get(at) else { return (BlockHash::ZERO, BlockHash::ZERO) };
            match self.places.get(&entry.header.prev) {
                Some(parent) => at = *parent,
                None => return (entry.header.prev, entry.hash),
            }
        }
    }
}

fn work_of(entry: &Entry) -> Result<Work, BranchError> {
    let target = Target::from_bits(entry.header.bits);
    let target = target.map_err(|source| BranchError::Target { block: entry.hash, source })?;
    Ok(target.work())
}

/// The plan for a new index of a whole chain.
///
/// # Errors
/// Blocks are missing.
pub fn choose(network: Network, entries: &[Entry]) -> Result<Plan, BranchError> {
    let mut tree = Tree::new(entries);
    let genesis = network.genesis_hash();
    let Some(place) = tree.places.get(&genesis).copied() else {
        if entries.is_empty() {
            return Err(BranchError::Nothing);
        }
        let is_there = |network: &Network| tree.places.contains_key(&network.genesis_hash());
        let found = Network::ALL.into_iter().find(is_there);
        return Err(BranchError::Genesis { network, genesis, blocks: wide(entries.len()), found });
    };
    root(&mut tree, place)?;
    finish(&tree, place)
}

/// The plan for a new index that begins anywhere: the branch with most work among those whose first block follows one
/// that is not at hand; and that block.
///
/// # Errors
/// There is no block.
pub fn choose_partial(entries: &[Entry]) -> Result<(Plan, BlockHash), BranchError> {
    let mut tree = Tree::new(entries);
    let roots: Vec<usize> = (0..entries.len())
        .filter(|place| {
            entries.get(*place).is_some_and(|entry| {
                tree.places.get(&entry.hash) == Some(place) && !tree.places.contains_key(&entry.header.prev)
            })
        })
        .collect();
    for place in &roots {
        root(&mut tree, *place)?;
    }
    let plan = finish(&tree, *roots.first().ok_or(BranchError::Nothing)?)?;
    let first = plan.append.first().and_then(|place| entries.get(*place)).ok_or(BranchError::Nothing)?;
    Ok((plan.clone(), first.header.prev))
}

fn root(tree: &mut Tree<'_>, place: usize) -> Result<(), BranchError> {
    if let Some(entry) = tree.entries.get(place) {
        tree.links.insert(entry.hash, Link { work: work_of(entry)?, entry: Some(place) });
        tree.grow(entry.hash)?;
    }
    Ok(())
}

fn finish(tree: &Tree<'_>, root: usize) -> Result<Plan, BranchError> {
    let tip = tree.best(Work::default()).unwrap_or(root);
    let (append, _) = tree.path(tip);
    let tip_time_s = tree.entries.get(tip).map_or(0, |entry| entry.header.time_s);
    tree.plan(append, None, tip_time_s)
}

/// The plan for an index that has blocks: those that lead to more work than it has.
///
/// # Errors
/// Blocks are missing.
pub fn choose_onto(index: &Index, entries: &[Entry]) -> Result<Plan, BranchError> {
    let mut tree = Tree::new(entries);
    let mut heights = HashMap::new();
    let mut work = Work::default();
    let mut hashes = Vec::new();
    let mut tip_time_s = 0;
    for (height, header) in index.headers() {
        let hash = header.hash();
        let target = Target::from_bits(header.bits);
        let own = target.map_err(|source| BranchError::Target { block: hash, source })?.work();
        work = work.plus(own).ok_or(BranchError::Work { block: hash })?;
        tree.links.insert(hash, Link { work, entry: None });
        heights.insert(hash, height);
        hashes.push(hash);
        tip_time_s = header.time_s;
    }
    for hash in hashes {
        tree.grow(hash)?;
    }
    let Some(tip) = tree.best(work) else { return tree.plan(Vec::new(), None, tip_time_s) };
    let (append, before) = tree.path(tip);
    let fork = heights.get(&before).copied();
    let keep = fork.filter(|height| index.tip().is_some_and(|tip| tip.height != *height));
    let tip_time_s = entries.get(tip).map_or(0, |entry| entry.header.time_s);
    tree.plan(append, keep, tip_time_s)
}
