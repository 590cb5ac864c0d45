//! The embedded node's side of the P2P protocol.
//!
//! Decides what a peer gets for what it asks: the part of the protocol that a watcher, a writer or a real
//! node syncing from here needs. Transactions are announced by txid; addresses, filters and compact blocks are
//! not spoken.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use kuraban_base::Txid;
use kuraban_chain::btc::{
    Block, BlockHash, Mweb, Tx,
    p2p::{
        Frame, FrameError, INVENTORY_MAX, Inventory, InventoryKind, Message, PROTOCOL_VERSION, PeerAddress,
        Services, Version,
    },
};

use super::world::{Peer, PeerNumber, World};

/// Frames that wait for one peer.
const FRAMES_MAX: usize = 1_024;
/// Transactions fetched after one announcement.
const FETCH_MAX: usize = 1_000;
const READ_BYTES: usize = 65_536;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// A peer that takes nothing for so long is cut off.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// Lets peers in until the listener fails.
pub(super) fn serve(world: &Arc<World>, listener: &TcpListener) -> anyhow::Result<()> {
    loop {
        let (socket, _) = listener.accept().context("cannot accept peers")?;
        let world = Arc::clone(world);
        // A peer whose threads cannot be started finds its connection closed.
        drop(thread::Builder::new().name("peer".to_owned()).spawn(move || attend(&world, &socket)));
    }
}

/// Why a peer is not attended any more; nobody is told.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error("socket failed")]
    Socket(#[from] io::Error),
    #[error("bytes are no frame")]
    Frame(#[from] FrameError),
    #[error("peer left, was late, or one too many")]
    Left,
}

fn attend(world: &World, socket: &TcpStream) {
    // What became of one peer is that peer's business.
    drop(speak(world, socket));
    drop(socket.shutdown(Shutdown::Both));
}

fn speak(world: &World, socket: &TcpStream) -> Result<(), Gone> {
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(WRITE_WITHIN))?;
    socket.set_read_timeout(Some(HANDSHAKE_WITHIN))?;
    let mut wire = Wire { socket, world, bytes: Vec::new(), done: 0 };
    let theirs = wire.introduce()?;
    socket.set_read_timeout(None)?;
    let (frames, queue) = mpsc::sync_channel(FRAMES_MAX);
    let out = socket.try_clone()?;
    thread::Builder::new().name("peer-out".to_owned()).spawn(move || write_all(out, &queue))?;
    let peer = Peer {
        frames: frames.clone(),
        socket: socket.try_clone()?,
        relay: theirs.relay,
        by_header: false,
        has: None,
    };
    let number = world.join(peer).ok_or(Gone::Left)?;
    let gone = wire.answer(number, &frames);
    world.leave(number);
    gone
}

fn write_all(mut socket: TcpStream, queue: &Receiver<Vec<u8>>) {
    for frame in queue {
        if socket.write_all(&frame).is_err() {
            drop(socket.shutdown(Shutdown::Both));
            return;
        }
    }
}

/// One peer's socket as a stream of messages.
struct Wire<'a> {
    socket: &'a TcpStream,
    world: &'a World,
    bytes: Vec<u8>,
    done: usize,
}

impl Wire<'_> {
    /// The next message that can be decoded; others are passed over.
    fn next(&mut self) -> Result<Message, Gone> {
        let network = self.world.network();
        loop {
            let rest = self.bytes.get(self.done..).unwrap_or_default();
            if let Some(frame) = Frame::split(network, rest)? {
                self.done = self.done.saturating_add(frame.length);
                if let Ok(message) = frame.message(network) {
                    return Ok(message);
                }
                continue;
            }
            self.bytes.drain(..self.done.min(self.bytes.len()));
            self.done = 0;
            let held = self.bytes.len();
            self.bytes.resize(held.saturating_add(READ_BYTES), 0);
            let read = self.socket.read(self.bytes.get_mut(held..).unwrap_or_default());
            self.bytes.truncate(held.saturating_add(read.as_ref().map_or(0, |count| *count)));
            match read {
                Ok(0) => return Err(Gone::Left),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn say(&mut self, message: &Message) -> Result<(), Gone> {
        Ok(self.socket.write_all(&message.encode(self.world.network()))?)
    }

    /// As the side that was connected to: they speak first.
    fn introduce(&mut self) -> Result<Version, Gone> {
        let start = Instant::now();
        let Message::Version(theirs) = self.next()? else { return Err(Gone::Left) };
        let ours = ours(self.world);
        self.say(&Message::Version(Box::new(ours)))?;
        self.say(&Message::Verack)?;
        while self.next()? != Message::Verack {
            if start.elapsed() > HANDSHAKE_WITHIN {
                return Err(Gone::Left);
            }
        }
        Ok(*theirs)
    }

    fn answer(&mut self, number: PeerNumber, frames: &SyncSender<Vec<u8>>) -> Result<(), Gone> {
        let network = self.world.network();
        // Waits while the peer does not read: it gets no more than it takes.
        let say = |message: &Message| frames.send(message.encode(network)).map_err(|_| Gone::Left);
        loop {
            match self.next()? {
                Message::Ping(nonce) => say(&Message::Pong(nonce))?,
                Message::SendHeaders => self.world.by_header(number),
                Message::GetHeaders(locator) => self.world.headers(number, &locator),
                Message::GetData(wanted) => {
                    let mut missing = Vec::new();
                    for entry in wanted {
                        match self.find(entry) {
                            Some(found) => say(&found)?,
                            None => missing.push(entry),
                        }
                    }
                    if !missing.is_empty() {
                        say(&Message::NotFound(missing))?;
                    }
                }
                Message::Mempool => {
                    let txids: Vec<Txid> = self.world.chain().mempool().map(|(txid, _)| *txid).collect();
                    for some in txids.chunks(INVENTORY_MAX) {
                        say(&Message::Inv(some.iter().map(|txid| named(InventoryKind::Tx, txid)).collect()))?;
                    }
                }
                Message::Inv(entries) => {
                    let wanted = self.unknown(&entries);
                    if !wanted.is_empty() {
                        say(&Message::GetData(wanted))?;
                    }
                }
                // A node says nothing to a transaction that it does not take.
                Message::Tx(tx) => drop(self.world.submit(&tx, Some(number))),
                Message::Version(_)
                | Message::Verack
                | Message::Pong(_)
                | Message::NotFound(_)
                | Message::Block(_)
                | Message::Headers(_)
                | Message::GetBlocks(_)
                | Message::GetAddr
                | Message::WtxidRelay
                | Message::FeeFilter(_)
                | Message::Reject(_)
                | Message::Unknown { .. } => {}
            }
        }
    }

    fn find(&self, Inventory { kind, hash }: Inventory) -> Option<Message> {
        let tx = || self.world.chain().tx(&Txid::from_bytes(hash)).map(|found| found.tx);
        let block = || self.world.chain().block(BlockHash::from_bytes(hash)).map(Arc::clone);
        match kind {
            InventoryKind::WitnessTx | InventoryKind::MwebTx => {
                tx().map(|tx| Message::Tx(Box::new(Tx::clone(&tx))))
            }
            InventoryKind::Tx => tx().map(|tx| Message::Tx(Box::new(stripped(&tx)))),
            InventoryKind::WitnessBlock | InventoryKind::MwebBlock => {
                block().map(|block| Message::Block(Box::new(Block::clone(&block))))
            }
            InventoryKind::Block => block().map(|block| {
                let txs = block.txs.iter().map(stripped).collect();
                Message::Block(Box::new(Block { header: block.header, txs, extension: None }))
            }),
            InventoryKind::Wtx | InventoryKind::Other(_) => None,
        }
    }

    /// What was announced and is not here, as a request.
    fn unknown(&self, entries: &[Inventory]) -> Vec<Inventory> {
        let chain = self.world.chain();
        let new = |entry: &&Inventory| {
            entry.kind == InventoryKind::Tx && chain.tx(&Txid::from_bytes(entry.hash)).is_none()
        };
        let whole = |entry: &Inventory| Inventory { kind: InventoryKind::WitnessTx, hash: entry.hash };
        entries.iter().filter(new).take(FETCH_MAX).map(whole).collect()
    }
}

fn ours(world: &World) -> Version {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (height, _) = world.chain().tip();
    Version {
        version: PROTOCOL_VERSION,
        services: Services::NETWORK.with(Services::WITNESS).with(Services::NETWORK_LIMITED),
        time_s: i64::try_from(clock.as_secs()).unwrap_or(i64::MAX),
        receiver: PeerAddress::NOWHERE,
        sender: PeerAddress::NOWHERE,
        // Only tells a node that it does not speak to itself; the hasher's random key is random enough.
        nonce: RandomState::new().build_hasher().finish(),
        user_agent: concat!("/kuraban-embedded:", env!("CARGO_PKG_VERSION"), "/").to_owned(),
        start_height: i32::try_from(height.blocks()).unwrap_or(i32::MAX),
        relay: true,
    }
}

const fn named(kind: InventoryKind, txid: &Txid) -> Inventory {
    Inventory { kind, hash: *txid.as_bytes() }
}

/// Without what peers that ask for the plain kind do not know.
fn stripped(tx: &Tx) -> Tx {
    let mut tx = tx.clone();
    tx.mweb = Mweb::None;
    tx.inputs.iter_mut().for_each(|input| input.witness.clear());
    tx
}
