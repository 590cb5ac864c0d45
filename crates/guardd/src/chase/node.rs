//! The node's blocks as an index takes them, over the one connection that also brings what waits for a block.

use std::sync::{Mutex, PoisonError};

use kuraban_chain::btc::{BlockHash, Header, Network};
use kuraban_node::{fetch::Fetch, p2p::BLOCKS_MAX};
use kuraban_trace::index::{
    Index, Prepared,
    source::{Blocks, Entry, SourceError},
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
        let have = index.map(Index::locator).unwrap_or_default();
        let headers = fetch.headers_beyond(network, &have);
        let headers = headers.map_err(|error| failed(name, error))?;
        let entry = |header: Header| Entry { header, hash: header.hash(), bytes: 0 };
        let entries = headers.into_iter().map(entry).collect();
        Ok(Self { network, name, entries, fetch: Mutex::new(fetch) })
    }
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
