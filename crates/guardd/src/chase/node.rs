//! The node's blocks as an index takes them, over the one connection that also brings what waits for a block.

use std::sync::{Mutex, PoisonError};

use kuraban_chain::btc::{BlockHash, Header, Network};
use kuraban_node::{
    fetch::{Fetch, FetchError},
    p2p::BLOCKS_MAX,
};
use kuraban_trace::{
    graph::Graph as _,
    index::{
        Index, Prepared,
        source::{Blocks, Entry, SourceError},
    },
};

/// What the node has and the index has not.
pub(super) struct NodeBlocks<'a> {
    network: Network,
    name: &'a str,
    entries: Vec<Entry>,
    fetch: Mutex<&'a mut Fetch>,
}

/// Why the node's blocks cannot be had.
pub(super) fn failed(name: &str, error: impl core::error::Error + Send + Sync + 'static) -> SourceError {
    SourceError::Node { node: name.to_owned(), source: Box::new(error) }
}

impl<'a> NodeBlocks<'a> {
    /// Asks for the headers that the index does not have.
    pub(super) fn new(
        network: Network,
        name: &'a str,
        fetch: &'a mut Fetch,
        index: Option<&Index>,
    ) -> Result<Self, SourceError> {
        let headers = match index {
            Some(index) if index.tip().is_some() => fetch.headers(&index.locator()),
            Some(_) | None => whole(fetch, network),
        };
        let headers = headers.map_err(|error| failed(name, error))?;
        let entry = |header: Header| Entry { header, hash: header.hash(), bytes: 0 };
        let entries = headers.into_iter().map(entry).collect();
        Ok(Self { network, name, entries, fetch: Mutex::new(fetch) })
    }
}

/// All headers; those that are told begin with the second.
fn whole(fetch: &mut Fetch, network: Network) -> Result<Vec<Header>, FetchError> {
    let genesis = network.genesis_hash();
    let first = fetch.block(&[genesis])?.header;
    let rest = fetch.headers(&[genesis])?;
    Ok([first].into_iter().chain(rest).collect())
}

impl Blocks for NodeBlocks<'_> {
    fn network(&self) -> Network {
        self.network
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read(&self, place: usize) -> Result<Prepared, SourceError> {
        let ahead: Vec<BlockHash> =
            self.entries.iter().skip(place).take(BLOCKS_MAX).map(|entry| entry.hash).collect();
        // A thread that panicked left a connection, which is whole or closed.
        let mut fetch = self.fetch.lock().unwrap_or_else(PoisonError::into_inner);
        let block = fetch.block(&ahead).map_err(|error| failed(self.name, error))?;
        Prepared::read(self.network, block.encode()).map_err(|error| failed(self.name, error))
    }
}
