//! The blocks of a node, as an index is filled from: over P2P, or by calls. Asks for the headers that the index does not
//! have, then for the blocks one after the other. Decides nothing about them.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use kuraban_base::Height;
use kuraban_chain::btc::{BlockHash, Header, Network};
use kuraban_node::{
    fetch::{Fetch, FetchError},
    p2p::{BLOCKS_MAX, Settings},
    rpc::{Auth, Rpc, RpcError},
};
use kuraban_trace::{
    graph::Graph as _,
    index::{
        BlockError, Index, Prepared,
        source::{Blocks, Entry, SourceError},
    },
};

/// How long a node may take for one thing that it is asked for.
const WITHIN: Duration = Duration::from_secs(30);
/// How far the node's chain may be from the index's before the search for their last common block is given up.
const FORK_DEPTH_MAX: u32 = 100_000;

/// Where a node is.
#[derive(Args)]
#[group(multiple = true)]
pub(super) struct Place {
    /// Take the blocks from a node over P2P
    #[arg(long, value_name = "HOST:PORT", group = "from")]
    node: Option<String>,
    /// Take the blocks from a node by calls (RPC)
    #[arg(long, value_name = "HOST:PORT", group = "from", requires = "cookie")]
    rpc: Option<String>,
    /// The node's cookie, or a file with user:password
    #[arg(long, value_name = "FILE", requires = "rpc")]
    cookie: Option<PathBuf>,
}

/// Why a node's chain cannot be followed.
#[derive(Debug, thiserror::Error)]
enum NodeError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("its chain has no block in common with the last {FORK_DEPTH_MAX} of the index")]
    Foreign,
    #[error("its chain changed while it was read: run the command again")]
    Changed,
    #[error("block {block} is not among those that were listed")]
    Place { block: usize },
    #[error("block {hash}: it sent another one")]
    Other { hash: BlockHash },
    #[error("block {hash} is not there: it keeps the latest blocks only, or is not yet up to date")]
    NotThere { hash: BlockHash },
    #[error("block {hash}")]
    Block { hash: BlockHash, source: Box<BlockError> },
}

/// A node with the headers that it has and the index has not.
pub(super) struct NodeBlocks {
    network: Network,
    name: String,
    entries: Vec<Entry>,
    hashes: Vec<BlockHash>,
    way: Way,
}

enum Way {
    P2p(Mutex<Fetch>),
    Rpc(Rpc),
}

impl Place {
    /// Whether blocks are to come from a node.
    pub(super) const fn is_given(&self) -> bool {
        self.node.is_some() || self.rpc.is_some()
    }

    /// The node's blocks from those on that the index does not have. Headers can take a while: `seen` is told how many
    /// there are.
    pub(super) fn blocks(
        &self,
        network: Network,
        index: Option<&Index>,
        seen: &mut dyn FnMut(u64),
    ) -> Result<NodeBlocks, SourceError> {
        let name = self.node.as_ref().or(self.rpc.as_ref()).cloned().unwrap_or_default();
        let failed = |error: NodeError| SourceError::Node { node: name.clone(), source: Box::new(error) };
        let (headers, way) = match (&self.node, &self.rpc, &self.cookie) {
            (Some(node), _, _) => over_p2p(network, node, index).map_err(failed)?,
            (None, Some(rpc), Some(cookie)) => {
                let auth = Auth { file: cookie.clone() };
                let rpc = Rpc::new(network, rpc, auth, WITHIN);
                (by_calls(&rpc, index, seen).map_err(failed)?, Way::Rpc(rpc))
            }
            // The command line asks for a cookie with the calls.
            (None, _, _) => {
                (Vec::new(), Way::Rpc(Rpc::new(network, "", Auth { file: PathBuf::new() }, WITHIN)))
            }
        };
        let hashes: Vec<BlockHash> = headers.iter().map(Header::hash).collect();
        let entry = |(header, hash): (Header, &BlockHash)| Entry { header, hash: *hash, bytes: 0 };
        let entries = headers.into_iter().zip(&hashes).map(entry).collect();
        Ok(NodeBlocks { network, name, entries, hashes, way })
    }
}

fn over_p2p(network: Network, node: &str, index: Option<&Index>) -> Result<(Vec<Header>, Way), NodeError> {
    // Nobody waits here for a transaction within milliseconds.
    let settings =
        Settings { ping_every: Duration::from_secs(1), ..Settings::near(network, node.to_owned()) };
    let mut fetch = Fetch::start(settings, WITHIN)?;
    let have = index.map(Index::locator).unwrap_or_default();
    let headers = fetch.headers_beyond(network, &have)?;
    Ok((headers, Way::P2p(Mutex::new(fetch))))
}

fn by_calls(rpc: &Rpc, index: Option<&Index>, seen: &mut dyn FnMut(u64)) -> Result<Vec<Header>, NodeError> {
    let first = match index.and_then(|index| index.tip().map(|tip| (index, tip))) {
        Some((index, tip)) => common(rpc, index, tip.height)?.next(),
        None => Some(Height::new(0)),
    };
    let best = rpc.best_height()?;
    let mut headers: Vec<Header> = Vec::new();
    let mut height = first;
    while let Some(at) = height.filter(|at| *at <= best) {
        let hash = rpc.block_hash(at)?.ok_or(NodeError::Changed)?;
        let header = rpc.block_header(hash)?.ok_or(NodeError::Changed)?;
        if headers.last().is_some_and(|last| header.prev != last.hash()) || header.hash() != hash {
            return Err(NodeError::Changed);
        }
        headers.push(header);
        seen(u64::try_from(headers.len()).unwrap_or(u64::MAX));
        height = at.next();
    }
    Ok(headers)
}

/// The last block that the index and the node's chain have in common.
fn common(rpc: &Rpc, index: &Index, tip: Height) -> Result<Height, NodeError> {
    let heights = (0..=tip.blocks()).rev().take(usize::try_from(FORK_DEPTH_MAX).unwrap_or(usize::MAX));
    for height in heights.map(Height::new) {
        let Some(header) = index.header(height) else { break };
        if rpc.block_hash(height)? == Some(header.hash()) {
            return Ok(height);
        }
    }
    Err(NodeError::Foreign)
}

impl NodeBlocks {
    fn bytes(&self, place: usize) -> Result<(BlockHash, Vec<u8>), NodeError> {
        let hash = *self.hashes.get(place).ok_or(NodeError::Place { block: place })?;
        let bytes = match &self.way {
            Way::P2p(fetch) => {
                let ahead = self.hashes.iter().skip(place).take(BLOCKS_MAX).copied();
                // A thread that panicked left a connection, which is whole or closed.
                let mut fetch = fetch.lock().unwrap_or_else(PoisonError::into_inner);
                fetch.block(&ahead.collect::<Vec<_>>())?.encode()
            }
            Way::Rpc(rpc) => rpc.block_bytes(hash)?.ok_or(NodeError::NotThere { hash })?,
        };
        Ok((hash, bytes))
    }
}

impl Blocks for NodeBlocks {
    fn network(&self) -> Network {
        self.network
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read(&self, place: usize) -> Result<Prepared, SourceError> {
        let read = || {
            let (hash, bytes) = self.bytes(place)?;
            let block = Prepared::read(self.network, bytes);
            let block = block.map_err(|source| NodeError::Block { hash, source: Box::new(source) })?;
            if block.hash() == hash { Ok(block) } else { Err(NodeError::Other { hash }) }
        };
        read().map_err(|error| SourceError::Node { node: self.name.clone(), source: Box::new(error) })
    }
}
