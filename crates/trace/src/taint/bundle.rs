//! Proof bundles: everything that a trace rests on, in one file that is checked without an index.
//!
//! Decides whether transactions are in the blocks whose work is shown, and rebuilds the part of the graph that matters.
//! That the unspent outputs are unspent no bundle can show: only a whole chain can.

mod wire;

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{
    Block, BlockHash, Header, MerkleRoot, Network, OutPoint, Tx,
    hash::sha256d_pair,
    pow::{self, PowError},
};

use super::{
    flow::trace_path,
    terms::{Case, Method, TaintError, Terms, Trace},
};
use crate::graph::{Graph, Memory, MemoryError, Node, OutputNum, TxNum};

pub use wire::{BUNDLE_BYTES_MAX, WireError};

/// Most transactions that a bundle holds: on the path, and before it.
pub const TXS_MAX: usize = 100_000;
/// A tree over the transactions of a block has no more levels.
const LEVELS_MAX: usize = 24;
/// A transaction of this size can be taken for a node of the tree.
const NODE_BYTES: usize = 64;

/// What was asked, in words that need no index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// The last block that counts.
    pub until: Option<Height>,
    /// The dust threshold.
    pub dust_sat: u64,
    /// The seeds.
    pub seeds: Vec<OutPoint>,
    /// Stops, as they were given.
    pub stops: Vec<String>,
}

/// A transaction with the proof that a block holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// The block's height.
    pub height: Height,
    /// The transaction's place in it.
    pub place: u32,
    /// The neighbours on the way to the tree's root, the leaf's first.
    pub branch: Vec<[u8; 32]>,
    /// The transaction, without witnesses.
    pub tx: Tx,
}

/// A trace with all that it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle {
    /// The chain.
    pub network: Network,
    /// What was asked.
    pub question: Question,
    /// The height of the first header.
    pub first: Height,
    /// Headers from the first block on the path to the last of the chain, without a gap.
    pub headers: Vec<Header>,
    /// The seeds' transactions and those that tainted units came into, in chain order.
    pub path: Vec<Proven>,
    /// Other transactions whose outputs these spend: they prove the amounts.
    pub previous: Vec<Tx>,
    /// The answer, as the command prints it.
    pub answer: Vec<u8>,
}

/// Why a bundle could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GatherError<E: core::error::Error + 'static> {
    /// There is no trace.
    #[error(transparent)]
    Taint(#[from] TaintError),
    /// Fees in a coinbase rest on every transaction of their block.
    #[error("a bundle cannot follow fees; trace without it")]
    Fees,
    /// More than a bundle holds.
    #[error("the trace rests on {found} transactions, a bundle holds at most {TXS_MAX}")]
    Large {
        /// How many.
        found: usize,
    },
    /// A block could not be had.
    #[error("block at height {height} could not be read")]
    Block {
        /// Its height.
        height: Height,
        /// Why.
        #[source]
        source: E,
    },
    /// Another block than the one in the index.
    #[error("block {found} was given for height {height}, the index has another")]
    Other {
        /// The height.
        height: Height,
        /// The block given.
        found: BlockHash,
    },
}

/// Why a bundle proves nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// No headers.
    #[error("bundle has no headers")]
    Empty,
    /// A header that does not follow the one before.
    #[error("header at height {height} does not follow the one before it")]
    Link {
        /// Its height.
        height: Height,
    },
    /// A header without work.
    #[error("header at height {height} has no proof of work")]
    Work {
        /// Its height.
        height: Height,
        /// What is missing.
        #[source]
        source: PowError,
    },
    /// Transactions out of order, or in a block without a header.
    #[error("{txid} is at height {height}, place {place}, which is out of order or has no header")]
    Order {
        /// The transaction.
        txid: Txid,
        /// Its block's height.
        height: Height,
        /// Its place.
        place: u32,
    },
    /// A branch that leads to another root.
    #[error("{txid} is not in the block at height {height}")]
    Branch {
        /// The transaction.
        txid: Txid,
        /// The height.
        height: Height,
    },
    /// Inputs whose transactions are missing, or are spent twice.
    #[error("transactions do not fit each other")]
    Graph(#[from] MemoryError),
}

/// A trace, and what its bundle must hold: the transactions that it rests on.
#[derive(Debug)]
pub struct Rests {
    /// The trace.
    pub trace: Trace,
    path: BTreeSet<TxNum>,
    previous: BTreeSet<TxNum>,
}

/// Traces one case and notes what the answer rests on.
///
/// # Errors
/// There is no trace, or it rests on more than a bundle can hold.
pub fn rests<G: Graph, E: core::error::Error>(
    graph: &G,
    case: &Case,
    terms: &Terms,
) -> Result<Rests, GatherError<E>> {
    if terms.follow_fees {
        return Err(GatherError::Fees);
    }
    let mut path: BTreeSet<TxNum> = case.seeds.iter().map(|seed| graph.creator(*seed)).collect();
    let trace = trace_path(graph, core::slice::from_ref(case), terms, |tx| {
        path.insert(tx);
    })?;
    let creator = |output: OutputNum| graph.creator(output);
    let spent = path.iter().flat_map(|tx| graph.inputs(*tx).map(creator));
    let previous: BTreeSet<TxNum> = spent.filter(|tx| !path.contains(tx)).collect();
    let found = path.len().saturating_add(previous.len());
    if found > TXS_MAX {
        return Err(GatherError::Large { found });
    }
    Ok(Rests { trace, path, previous })
}

impl Bundle {
    /// Gathers a bundle. `header` and `block` give a height's header and whole block, each block once and in ascending
    /// order.
    ///
    /// # Errors
    /// A block that cannot be read or is another than the graph's.
    pub fn gather<G: Graph, E: core::error::Error>(
        graph: &G,
        question: Question,
        rests: &Rests,
        answer: Vec<u8>,
        header: impl Fn(Height) -> Option<Header>,
        mut block: impl FnMut(Height) -> Result<Block, E>,
    ) -> Result<Self, GatherError<E>> {
        let mut wanted: BTreeMap<Height, Vec<TxNum>> = BTreeMap::new();
        for tx in rests.path.union(&rests.previous) {
            wanted.entry(graph.height(*tx)).or_default().push(*tx);
        }
        let (mut path, mut previous) = (Vec::new(), Vec::new());
        for (height, txs) in wanted {
            let whole = block(height).map_err(|source| GatherError::Block { height, source })?;
            if header(height).is_none_or(|known| known.hash() != whole.hash()) {
                return Err(GatherError::Other { height, found: whole.hash() });
            }
            let start = graph.block(height).map_or(0, |block| block.start);
            let ids: Vec<[u8; 32]> = whole.txs.iter().map(|tx| *tx.txid().as_bytes()).collect();
            for number in txs {
                let place = number.number().saturating_sub(start);
                let Some(tx) = usize::try_from(place).ok().and_then(|at| whole.txs.get(at)) else { continue };
                if rests.path.contains(&number) {
                    let place = u32::try_from(place).unwrap_or(u32::MAX);
                    path.push(Proven { height, place, branch: branch(ids.clone(), place), tx: stripped(tx) });
                } else {
                    previous.push(stripped(tx));
                }
            }
        }
        let first = path.first().map_or(rests.trace.tip.height, |proven| proven.height);
        let headers =
            (first.blocks()..=rests.trace.tip.height.blocks()).filter_map(|at| header(Height::new(at)));
        Ok(Self {
            network: graph.network(),
            question,
            first,
            headers: headers.collect(),
            path,
            previous,
            answer,
        })
    }

    /// Checks work, links and branches, and rebuilds the part of the graph that the trace rests on.
    ///
    /// # Errors
    /// The first thing that proves nothing.
    pub fn graph(&self) -> Result<Memory, ProofError> {
        self.check_headers()?;
        let mut graph = Memory::new(self.network);
        if !self.previous.is_empty() {
            // Only their amounts matter, which their ids prove wherever they stand.
            let nodes: Vec<Node> =
                self.previous.iter().map(|tx| Node { inputs: Vec::new(), ..Node::from(tx) }).collect();
            let before = Height::new(self.first.blocks().saturating_sub(1));
            graph.push_nodes(before, BlockHash::ZERO, &nodes)?;
        }
        let mut last = None;
        for proven in &self.path {
            self.check_place(proven, last)?;
            last = Some((proven.height, proven.place));
        }
        for block in self.path.chunk_by(|one, next| one.height == next.height) {
            let Some(height) = block.first().map(|proven| proven.height) else { continue };
            let nodes: Vec<Node> = block.iter().map(|proven| Node::from(&proven.tx)).collect();
            let hash = self.header(height).map_or(BlockHash::ZERO, Header::hash);
            graph.push_nodes(height, hash, &nodes)?;
        }
        let tip =
            Height::new(self.first.blocks().saturating_add(count(self.headers.len())).saturating_sub(1));
        if last.is_none_or(|(height, _)| height < tip) {
            let hash = self.header(tip).map_or(BlockHash::ZERO, Header::hash);
            graph.push_nodes(tip, hash, &[])?;
        }
        Ok(graph)
    }

    fn header(&self, height: Height) -> Option<&Header> {
        let at = height.blocks().checked_sub(self.first.blocks())?;
        self.headers.get(usize::try_from(at).ok()?)
    }

    fn check_headers(&self) -> Result<(), ProofError> {
        if self.headers.is_empty() {
            return Err(ProofError::Empty);
        }
        let mut before: Option<BlockHash> = None;
        for (at, header) in (self.first.blocks()..).zip(&self.headers) {
            let height = Height::new(at);
            if before.is_some_and(|before| before != header.prev) {
                return Err(ProofError::Link { height });
            }
            pow::judge(self.network, header).map_err(|source| ProofError::Work { height, source })?;
            before = Some(header.hash());
        }
        Ok(())
    }

    fn check_place(&self, proven: &Proven, last: Option<(Height, u32)>) -> Result<(), ProofError> {
        let Proven { height, place, branch, tx } = proven;
        let (txid, height, place) = (tx.txid(), *height, *place);
        let header = self.header(height).filter(|_| last.is_none_or(|last| last < (height, place)));
        let header = header.ok_or(ProofError::Order { txid, height, place })?;
        let fits = branch.len() <= LEVELS_MAX && tx.size_stripped() != NODE_BYTES;
        if !fits || root(*txid.as_bytes(), place, branch) != Some(header.merkle_root) {
            return Err(ProofError::Branch { txid, height });
        }
        Ok(())
    }
}

/// The neighbours of a leaf on the way to the root; an odd node is its own neighbour.
fn branch(mut level: Vec<[u8; 32]>, place: u32) -> Vec<[u8; 32]> {
    let mut branch = Vec::new();
    let mut at = usize::try_from(place).unwrap_or(usize::MAX);
    while level.len() > 1 {
        branch.extend(level.get(at ^ 1).or_else(|| level.get(at)).copied());
        at >>= 1;
        level = level
            .chunks(2)
            .filter_map(|pair| {
                let left = pair.first()?;
                Some(sha256d_pair(left, pair.get(1).unwrap_or(left)))
            })
            .collect();
    }
    branch
}

/// The root that a branch leads to; nothing where the branch is too short for the place.
fn root(leaf: [u8; 32], place: u32, branch: &[[u8; 32]]) -> Option<MerkleRoot> {
    let mut at = place;
    let mut node = leaf;
    for neighbour in branch {
        node = if at & 1 == 0 { sha256d_pair(&node, neighbour) } else { sha256d_pair(neighbour, &node) };
        at >>= 1;
    }
    (at == 0).then(|| MerkleRoot::from_bytes(node))
}

/// Without witnesses and extension data: what the id is taken over.
fn stripped(tx: &Tx) -> Tx {
    let mut tx = tx.clone();
    for input in &mut tx.inputs {
        input.witness.clear();
    }
    tx.mweb = kuraban_chain::btc::Mweb::None;
    tx
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use kuraban_chain::btc::block::merkle;

    use super::*;

    #[test]
    fn every_leaf_of_every_tree_has_a_branch_to_the_root_and_to_no_other() {
        for leaves in 1..40_u8 {
            let level: Vec<[u8; 32]> = (0..leaves).map(|byte| [byte; 32]).collect();
            let want = merkle(level.clone()).root;
            for (place, leaf) in (0..).zip(&level) {
                let branch = branch(level.clone(), place);
                assert_eq!(root(*leaf, place, &branch), Some(want), "{place} of {leaves}");
                assert_ne!(root([99; 32], place, &branch), Some(want), "{place} of {leaves}");
                let beyond = place | 1 << branch.len();
                assert_eq!(root(*leaf, beyond, &branch), None, "{place} of {leaves}");
                let neighbour = place ^ 1;
                let same = level.get(usize::try_from(neighbour).unwrap()).is_none();
                assert!(leaves == 1 || same || root(*leaf, neighbour, &branch) != Some(want));
            }
        }
    }
}
