//! Headers and blocks of one node over P2P, one after the other, for a caller that waits for them.
//!
//! Decides what to ask for next and when to give up. Whether a block is a good one, and which branch counts, the caller
//! decides; only that headers follow each other is seen to here.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use kuraban_base::Txid;
use kuraban_chain::btc::{Block, BlockHash, Header, Network, p2p::HEADERS_MAX};

use crate::p2p::{Arrived, BLOCKS_MAX, Client, Closed, Event, Request, RequestError, Settings};

/// Most headers that are taken from a node: two centuries of Bitcoin's.
pub const HEADERS_ALL_MAX: usize = 10_000_000;

/// Most things the node said that wait for the caller while something is fetched; the oldest are forgotten.
pub const BACKLOG_MAX: usize = 4_096;

/// Why a node does not hand over what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No thread for the connection.
    #[error("no thread could be started")]
    Thread(#[source] io::Error),
    /// The first connection could not be made: nobody is there, or somebody else.
    #[error("no connection")]
    NoConnection(#[source] Box<Closed>),
    /// The connection was lost, and did not come back in time.
    #[error("connection is lost for {} s", within.as_secs())]
    Lost {
        /// The time there was.
        within: Duration,
    },
    /// Nothing of what was asked for came in time.
    #[error("no {what} within {} s", within.as_secs())]
    Silent {
        /// What was waited for.
        what: &'static str,
        /// The time there was.
        within: Duration,
    },
    /// The node does not have a block of its own chain: it has thrown it away, or never had it.
    #[error("node does not have block {block}: it keeps the latest blocks only, or is not yet up to date")]
    NotThere {
        /// Which.
        block: BlockHash,
    },
    /// Not even the first block of the chain is there.
    #[error(
        "it does not hand over {network}'s first block, {block}: is it a node of that network, with all blocks?"
    )]
    Genesis {
        /// The chain.
        network: Network,
        /// The block.
        block: BlockHash,
    },
    /// Headers that do not follow those before.
    #[error("header {found} follows {prev}, want one that follows {want}")]
    Unlinked {
        /// The header.
        found: BlockHash,
        /// What it follows.
        prev: BlockHash,
        /// What it should follow.
        want: BlockHash,
    },
    /// More headers than any chain has.
    #[error("node has more than {HEADERS_ALL_MAX} headers")]
    Endless,
}

/// A node that is asked for headers and blocks.
#[derive(Debug)]
pub struct Fetch {
    client: Client,
    events: Receiver<Arrived>,
    within: Duration,
    ready: bool,
    /// Whether a connection ever stood.
    met: bool,
    asked: BTreeSet<BlockHash>,
    here: BTreeMap<BlockHash, Block>,
    /// What came while something else was waited for.
    backlog: VecDeque<Event>,
}

impl Fetch {
    /// Connects to the node of `settings`. It has `within` for each thing that it is asked for.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(settings: Settings, within: Duration) -> Result<Self, FetchError> {
        let (client, events) = Client::start(settings).map_err(FetchError::Thread)?;
        let (asked, here) = (BTreeSet::new(), BTreeMap::new());
        let backlog = VecDeque::new();
        Ok(Self { client, events, within, ready: false, met: false, asked, here, backlog })
    }

    /// All headers of the node's best chain after the first block of `have` that is on it, lowest first. `have` has the newest
    /// block first and the chain's first block last, as locators do (Bitcoin Core, `CChain::GetLocator`).
    ///
    /// # Errors
    /// The node does not answer, or with headers that do not follow each other.
    pub fn headers(&mut self, have: &[BlockHash]) -> Result<Vec<Header>, FetchError> {
        let mut headers: Vec<Header> = Vec::new();
        loop {
            let have: Vec<BlockHash> = match headers.last() {
                Some(last) => vec![last.hash()],
                None => have.to_vec(),
            };
            let more = self.some_headers(&have)?;
            let is_last = more.len() < HEADERS_MAX;
            headers.extend(more);
            if headers.len() > HEADERS_ALL_MAX {
                return Err(FetchError::Endless);
            }
            if is_last {
                return Ok(headers);
            }
        }
    }

    /// All headers of the node's best chain that somebody lacks who has these blocks, in the order of
    /// [`headers`](Self::headers). Whoever has none gets the first of the chain too, which nodes do not tell: it is taken from
    /// the block.
    ///
    /// # Errors
    /// As [`headers`](Self::headers), or the node does not hand over the chain's first block.
    pub fn headers_beyond(
        &mut self,
        network: Network,
        have: &[BlockHash],
    ) -> Result<Vec<Header>, FetchError> {
        if !have.is_empty() {
            return self.headers(have);
        }
        let genesis = network.genesis_hash();
        let first = self.block(&[genesis]).map_err(|error| match error {
            FetchError::Silent { .. } | FetchError::NotThere { .. } => {
                FetchError::Genesis { network, block: genesis }
            }
            error @ (FetchError::Thread(_)
            | FetchError::NoConnection(_)
            | FetchError::Lost { .. }
            | FetchError::Genesis { .. }
            | FetchError::Unlinked { .. }
            | FetchError::Endless) => error,
        })?;
        let mut headers = vec![first.header];
        headers.extend(self.headers(&[genesis])?);
        Ok(headers)
    }

    fn some_headers(&mut self, have: &[BlockHash]) -> Result<Vec<Header>, FetchError> {
        let until = self.until();
        let mut asked = false;
        loop {
            if self.ready && !asked {
                let request = Request::Headers { have: have.to_vec(), stop: BlockHash::from_bytes([0; 32]) };
                asked = self.tell(request);
            }
            match self.next(until, "headers")? {
                Event::Headers(headers) => {
                    let first = headers.first().map(|first| first.prev);
                    // A new block is announced by a header too; it answers nothing unless it follows what we have.
                    if asked && first.is_none_or(|prev| have.contains(&prev)) {
                        linked(&headers)?;
                        return Ok(headers);
                    }
                }
                Event::Closed(_) => asked = false,
                event @ (Event::Tx(_) | Event::InvTx(_)) => self.put_off(event),
                Event::Ready(_)
                | Event::Block(_)
                | Event::InvBlock(_)
                | Event::NotFound { .. }
                | Event::Alive { .. }
                | Event::Rejected(_)
                | Event::Unreadable { .. } => {}
            }
        }
    }

    /// The first of the blocks `wanted`, of which there must be one. Those after it are asked for ahead.
    ///
    /// # Errors
    /// The node does not have it, or does not answer.
    pub fn block(&mut self, wanted: &[BlockHash]) -> Result<Block, FetchError> {
        let zero = BlockHash::from_bytes([0; 32]);
        let first = wanted.first().copied().unwrap_or(zero);
        let until = self.until();
        loop {
            if let Some(block) = self.here.remove(&first) {
                return Ok(block);
            }
            self.ask_ahead(wanted);
            match self.next(until, "block")? {
                Event::Block(block) => {
                    // What was not asked for is not kept.
                    let hash = block.hash();
                    if self.asked.remove(&hash) {
                        self.here.insert(hash, *block);
                    }
                }
                Event::NotFound { blocks, .. } if blocks.contains(&first) => {
                    return Err(FetchError::NotThere { block: first });
                }
                Event::Closed(_) => self.asked.clear(),
                // Another block is announced, perhaps: whoever waits for that hears of it afterwards.
                event @ (Event::Tx(_) | Event::InvTx(_) | Event::Headers(_) | Event::InvBlock(_)) => {
                    self.put_off(event);
                }
                Event::Ready(_)
                | Event::NotFound { .. }
                | Event::Alive { .. }
                | Event::Rejected(_)
                | Event::Unreadable { .. } => {}
            }
        }
    }

    /// What the node says by itself: new transactions and blocks, or that the connection ended or stands again. Nothing if
    /// it says nothing within that time. What came while something was fetched comes first.
    ///
    /// # Errors
    /// The first connection could not be made.
    pub fn listen(&mut self, within: Duration) -> Result<Option<Event>, FetchError> {
        if let Some(event) = self.backlog.pop_front() {
            return Ok(Some(event));
        }
        match self.events.recv_timeout(within) {
            Ok(Arrived { event, .. }) => self.heard(event).map(Some),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// Asks for transactions, which come through [`listen`](Self::listen); at most
    /// [`TXS_MAX`](crate::p2p::TXS_MAX). Gives whether the request was passed on.
    #[must_use]
    pub fn ask_txs(&self, txids: Vec<Txid>) -> bool {
        self.tell(Request::Txs(txids))
    }

    fn put_off(&mut self, event: Event) {
        if self.backlog.len() >= BACKLOG_MAX {
            self.backlog.pop_front();
        }
        self.backlog.push_back(event);
    }

    fn ask_ahead(&mut self, wanted: &[BlockHash]) {
        let missing = |hash: &&BlockHash| !self.asked.contains(hash) && !self.here.contains_key(hash);
        let missing: Vec<BlockHash> = wanted.iter().take(BLOCKS_MAX).filter(missing).copied().collect();
        // Half a window at a time, so that the node always has something to send.
        let room = BLOCKS_MAX.saturating_sub(self.asked.len());
        let due = self.asked.len() <= BLOCKS_MAX / 2;
        let batch: Vec<BlockHash> = missing.into_iter().take(room).collect();
        if self.ready && due && !batch.is_empty() && self.tell(Request::Blocks(batch.clone())) {
            self.asked.extend(batch);
        }
    }

    /// Whether the request was passed on. What was not is asked again when the next event is here.
    fn tell(&self, request: Request) -> bool {
        match self.client.tell(request) {
            Ok(()) => true,
            Err(RequestError::NotReady | RequestError::Full | RequestError::TooMany { .. }) => false,
        }
    }

    fn until(&self) -> Option<Instant> {
        Instant::now().checked_add(self.within)
    }

    fn next(&mut self, until: Option<Instant>, what: &'static str) -> Result<Event, FetchError> {
        let within = self.within;
        let left = until.map_or(within, |until| until.saturating_duration_since(Instant::now()));
        let event = match self.events.recv_timeout(left) {
            Ok(Arrived { event, .. }) => event,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) if self.ready => {
                return Err(FetchError::Silent { what, within });
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(FetchError::Lost { within });
            }
        };
        self.heard(event)
    }

    /// Notes whether a connection stands.
    fn heard(&mut self, event: Event) -> Result<Event, FetchError> {
        match event {
            Event::Ready(_) => (self.ready, self.met) = (true, true),
            Event::Closed(closed) if !self.met => return Err(FetchError::NoConnection(Box::new(closed))),
            Event::Closed(_) => self.ready = false,
            Event::Headers(_)
            | Event::Block(_)
            | Event::Tx(_)
            | Event::InvTx(_)
            | Event::InvBlock(_)
            | Event::NotFound { .. }
            | Event::Alive { .. }
            | Event::Rejected(_)
            | Event::Unreadable { .. } => {}
        }
        Ok(event)
    }
}

fn linked(headers: &[Header]) -> Result<(), FetchError> {
    for pair in headers.windows(2) {
        if let [one, next] = pair
            && next.prev != one.hash()
        {
            return Err(FetchError::Unlinked { found: next.hash(), prev: next.prev, want: one.hash() });
        }
    }
    Ok(())
}
