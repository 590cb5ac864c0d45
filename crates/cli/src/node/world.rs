//! The chain and everyone who listens to it.
//!
//! Decides who is told what: new transactions go to every peer but the one that brought them, new blocks to
//! all, both at once and in the order in which they came about.

use std::{
    collections::BTreeMap,
    net::{Shutdown, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    time::SystemTime,
};

use kuraban_base::Txid;
use kuraban_chain::btc::{
    BlockHash, Header, Network, Script, Tx,
    p2p::{Inventory, InventoryKind, Locator, Message},
};
use kuraban_sim::chain::{Chain, MineError, Refusal, Reorg, ReorgError};

/// Most peers at once.
pub(super) const PEERS_MAX: usize = 128;

/// Names a peer of this process.
pub(super) type PeerNumber = u64;

/// Someone who is told of news.
pub(super) struct Peer {
    /// Where frames for it wait.
    pub(super) frames: SyncSender<Vec<u8>>,
    /// Closed when it does not keep up.
    pub(super) socket: TcpStream,
    /// Whether it wants to hear of transactions.
    pub(super) relay: bool,
    /// Whether it wants to hear of blocks by header (BIP 130).
    pub(super) by_header: bool,
    /// The best block that it surely has the header of.
    pub(super) has: Option<BlockHash>,
}

#[derive(Default)]
struct Peers {
    all: BTreeMap<PeerNumber, Peer>,
    next: PeerNumber,
}

/// The chain and everyone who listens to it.
pub(super) struct World {
    network: Network,
    chain: Mutex<Chain>,
    peers: Mutex<Peers>,
}

impl World {
    pub(super) fn new(chain: Chain) -> Self {
        let network = chain.regtest().network();
        Self { network, chain: Mutex::new(chain), peers: Mutex::default() }
    }

    pub(super) const fn network(&self) -> Network {
        self.network
    }

    /// The chain as it is. Nothing may wait for a socket while this is held.
    pub(super) fn chain(&self) -> MutexGuard<'_, Chain> {
        locked(&self.chain)
    }

    /// Takes a transaction in and tells everyone but the peer that brought it.
    pub(super) fn submit(&self, tx: &Tx, from: Option<PeerNumber>) -> Result<Txid, Refusal> {
        // The chain stays locked until all are told, so that news keep their order.
        let mut chain = self.chain();
        let txid = chain.submit(tx)?.txid;
        let inv = Message::Inv(vec![Inventory { kind: InventoryKind::Tx, hash: *txid.as_bytes() }]);
        let frame = inv.encode(self.network);
        self.tell(|number, peer| (peer.relay && Some(number) != from).then(|| frame.clone()));
        Ok(txid)
    }

    /// Makes the next block and tells everyone: by header those who wish it and have the one before.
    pub(super) fn mine(&self, pays: Script) -> Result<BlockHash, MineError> {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_s = u32::try_from(clock.as_secs()).unwrap_or(u32::MAX);
        let mut chain = self.chain();
        let (_, before) = chain.tip();
        let hash = chain.mine(now_s, pays)?;
        let header: Vec<Header> = chain.block(hash).map(|block| block.header).into_iter().collect();
        let by_header = Message::Headers(header).encode(self.network);
        let inv = Message::Inv(vec![Inventory { kind: InventoryKind::Block, hash: *hash.as_bytes() }]);
        let by_inv = inv.encode(self.network);
        self.tell(|_, peer| {
            let follows = peer.has.is_some_and(|has| descends(&chain, has, before));
            if !peer.by_header || !follows {
                return Some(by_inv.clone());
            }
            peer.has = Some(hash);
            Some(by_header.clone())
        });
        Ok(hash)
    }

    /// Answers a peer that asks for headers.
    pub(super) fn headers(&self, number: PeerNumber, locator: &Locator) {
        // As in `submit`: a block made meanwhile is announced after this answer.
        let chain = self.chain();
        let headers = chain.headers_after(&locator.have, locator.stop);
        let fork = || locator.have.iter().copied().find(|hash| chain.height_of(*hash).is_some());
        let has = headers.last().map(Header::hash).or_else(fork);
        let frame = Message::Headers(headers).encode(self.network);
        self.tell(|other, peer| {
            (other == number).then(|| {
                peer.has = has;
                frame.clone()
            })
        });
    }

    /// Takes a block away. As with real nodes, nobody is told before another branch grows.
    pub(super) fn invalidate(&self, hash: BlockHash) -> Result<Reorg, ReorgError> {
        self.chain().invalidate(hash)
    }

    /// Lets a peer listen; `None` where there are too many.
    pub(super) fn join(&self, peer: Peer) -> Option<PeerNumber> {
        let mut peers = locked(&self.peers);
        if peers.all.len() >= PEERS_MAX {
            return None;
        }
        let number = peers.next;
        peers.next = number.saturating_add(1);
        peers.all.insert(number, peer);
        Some(number)
    }

    /// From now on this peer hears of blocks by header.
    pub(super) fn by_header(&self, number: PeerNumber) {
        if let Some(peer) = locked(&self.peers).all.get_mut(&number) {
            peer.by_header = true;
        }
    }

    pub(super) fn leave(&self, number: PeerNumber) {
        locked(&self.peers).all.remove(&number);
    }

    /// Queues for each peer what `news` has for it. One that has too much waiting is cut off.
    fn tell(&self, news: impl Fn(PeerNumber, &mut Peer) -> Option<Vec<u8>>) {
        locked(&self.peers).all.retain(|number, peer| {
            let kept = news(*number, peer).is_none_or(|frame| peer.frames.try_send(frame).is_ok());
            if !kept {
                // Its threads see the end and go; a socket that is closed already needs no second closing.
                drop(peer.socket.shutdown(Shutdown::Both));
            }
            kept
        });
    }
}

/// Whether `block` is `before` or stands above it, looking back no further than any reorganisation here goes.
fn descends(chain: &Chain, block: BlockHash, before: BlockHash) -> bool {
    const STEPS_MAX: usize = 1_000;
    let above = |hash: &BlockHash| chain.block(*hash).map(|block| block.header.prev);
    core::iter::successors(Some(block), above).take(STEPS_MAX).any(|hash| hash == before)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The chain does not panic; after a panic elsewhere what it guards is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
