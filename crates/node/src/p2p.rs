//! A connection to one node over the P2P protocol, kept up by a thread of its own.
//!
//! Decides when a connection is dead and when to try again. Never asks for anything by itself: the caller
//! says what to fetch, and judges what comes. One connection ends with one [`Event::Closed`]; the next one
//! starts with [`Event::Ready`], after which everything still wanted must be asked for again.

mod session;
mod wire;

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use kuraban_base::Txid;
use kuraban_chain::btc::{
    Block, BlockHash, DecodeError, Header, Network, Tx,
    p2p::{
        Command, FrameError, INVENTORY_MAX, Inventory, InventoryKind, LOCATOR_MAX, Locator, Message,
        PROTOCOL_VERSION, Reject, Services,
    },
};

/// Events that wait for the caller; a node that sends more is read no further until there is room.
pub const EVENTS_MAX: usize = 256;
/// Requests that wait for the node to take them.
pub const REQUESTS_MAX: usize = 1_024;
/// Most blocks asked for in one request; nodes send no more than this many at once
/// (`MAX_BLOCKS_IN_TRANSIT_PER_PEER`).
pub const BLOCKS_MAX: usize = 16;
/// Most transactions asked for in one request.
pub const TXS_MAX: usize = 1_000;
/// Oldest protocol that is spoken to: the first with `sendheaders` (BIP 130).
pub const PEER_VERSION_MIN: i32 = 70_012;

/// How one node is spoken to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Its network.
    pub network: Network,
    /// `host:port`; a name is resolved anew for each connection.
    pub address: String,
    /// How we introduce ourselves, such as `/kuraban:0.1/`.
    pub user_agent: String,
    /// Time for the connection to stand.
    pub connect_within: Duration,
    /// Time for both sides to introduce themselves.
    pub handshake_within: Duration,
    /// How often the node is pinged. A node sleeps up to 100 ms between looks at its queues unless a message
    /// wakes it, so a watcher pings every few milliseconds to hear of transactions at once.
    pub ping_every: Duration,
    /// How often [`Event::Alive`] is told, at most.
    pub alive_every: Duration,
    /// A connection on which the node says nothing for so long is closed; it is pinged, so it has to answer.
    pub silent_within: Duration,
    /// Pause before the first new attempt; it doubles with each attempt that fails.
    pub retry_after: Duration,
    /// The longest pause.
    pub retry_after_max: Duration,
}

impl Settings {
    /// Settings for a node at `address` on the same machine or network.
    #[must_use]
    pub fn near(network: Network, address: String) -> Self {
        Self {
            network,
            address,
            user_agent: concat!("/kuraban:", env!("CARGO_PKG_VERSION"), "/").to_owned(),
            connect_within: Duration::from_secs(5),
            handshake_within: Duration::from_secs(10),
            ping_every: Duration::from_millis(5),
            alive_every: Duration::from_millis(500),
            silent_within: Duration::from_secs(10),
            retry_after: Duration::from_millis(50),
            retry_after_max: Duration::from_secs(5),
        }
    }
}

/// What a node said, and when it arrived here on the monotonic clock.
#[derive(Debug)]
pub struct Arrived {
    /// When its last byte was read.
    pub at: Instant,
    /// What it is.
    pub event: Event,
}

/// What a node said, or what became of the connection.
#[derive(Debug)]
pub enum Event {
    /// A connection stands and both sides have introduced themselves. What reaches the node's mempool from
    /// now on is announced; what was there before is to be asked for.
    Ready(Ready),
    /// Headers, asked for or announced; none where the node has none beyond the locator.
    Headers(Vec<Header>),
    /// A block.
    Block(Box<Block>),
    /// A transaction, with its witness where it was asked for here.
    Tx(Box<Tx>),
    /// Transactions that the node has.
    InvTx(Vec<Txid>),
    /// Blocks that the node has; it announces by header where it knows that we have the one before.
    InvBlock(Vec<BlockHash>),
    /// What was asked for and is not there.
    NotFound {
        /// Transactions.
        txs: Vec<Txid>,
        /// Blocks.
        blocks: Vec<BlockHash>,
    },
    /// The node answers. Told at most every [`Settings::alive_every`].
    Alive {
        /// How long the last answer took.
        round_trip: Duration,
    },
    /// The node refused something (BIP 61; old nodes only).
    Rejected(Reject),
    /// A message that could not be decoded. The connection goes on; whoever waits for what was in it waits
    /// in vain.
    Unreadable {
        /// What it was to be.
        command: Command,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The connection ended, or could not be made. Another attempt follows by itself.
    Closed(Closed),
}

/// Who is at the other end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Where it is.
    pub peer: SocketAddr,
    /// The protocol version that it speaks.
    pub version: i32,
    /// What it offers.
    pub services: Services,
    /// Its software.
    pub user_agent: String,
    /// The height of its best block, as it says.
    pub start_height: i32,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// It could not be made.
    #[error("no connection to {address}")]
    Connect {
        /// Where to.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket failed.
    #[error("connection failed")]
    Socket(#[source] io::Error),
    /// The node closed it.
    #[error("node closed the connection")]
    ByNode,
    /// No introduction in time.
    #[error("node did not introduce itself within {} ms", within.as_millis())]
    Handshake {
        /// The time it had.
        within: Duration,
    },
    /// Something else where the introduction was to come.
    #[error("node sent {found} before it had introduced itself")]
    Order {
        /// What it sent.
        found: Command,
    },
    /// Too old.
    #[error("node speaks protocol {found}, want at least {PEER_VERSION_MIN}")]
    Old {
        /// Its protocol version.
        found: i32,
    },
    /// A node without whole blocks or witnesses.
    #[error("node offers services {found:#x}, want recent blocks with witnesses")]
    Services {
        /// What it offers.
        found: u64,
    },
    /// Bytes that are no frame.
    #[error("node sent bytes that are no frame")]
    Frame(#[source] FrameError),
    /// An introduction that could not be decoded.
    #[error("introduction of the node is malformed")]
    Introduction(#[source] DecodeError),
    /// Nothing came, not even answers to pings.
    #[error("node said nothing for {} ms", within.as_millis())]
    Silent {
        /// The time it had.
        within: Duration,
    },
    /// The node asks for answers and takes none.
    #[error("node takes none of {REQUESTS_MAX} waiting messages")]
    Stuck,
    /// [`Client::hang_up`] was called, or [`Client`] or the receiver of its events dropped.
    #[error("this side closed the connection")]
    ByUs,
}

/// What to tell a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Headers after the first block of `have` that is on the node's chain.
    Headers {
        /// Blocks that we have, the newest first; at most [`LOCATOR_MAX`].
        have: Vec<BlockHash>,
        /// The last one wanted; zero for as many as fit.
        stop: BlockHash,
    },
    /// Blocks with witnesses, at most [`BLOCKS_MAX`].
    Blocks(Vec<BlockHash>),
    /// Transactions with witnesses, at most [`TXS_MAX`].
    Txs(Vec<Txid>),
    /// Everything in the mempool. A node that did not permit us this closes the connection.
    Mempool,
    /// A transaction for the node and everyone. A node that refuses it says nothing.
    Broadcast(Box<Tx>),
}

/// Why a request was not passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// No connection stands; everything wanted is to be asked for at the next [`Event::Ready`].
    #[error("no connection stands")]
    NotReady,
    /// Too many requests wait.
    #[error("{REQUESTS_MAX} requests wait for the node already")]
    Full,
    /// Too many things in one request.
    #[error("request names {got} things, limit {limit}")]
    TooMany {
        /// Things named.
        got: usize,
        /// The limit.
        limit: usize,
    },
}

impl Request {
    fn message(self, network: Network) -> Result<Message, RequestError> {
        let within = |got: usize, limit: usize| match got {
            got if got > limit => Err(RequestError::TooMany { got, limit }),
            _ => Ok(()),
        };
        Ok(match self {
            Self::Headers { have, stop } => {
                within(have.len(), LOCATOR_MAX)?;
                let version = PROTOCOL_VERSION.unsigned_abs();
                Message::GetHeaders(Locator { version, have, stop })
            }
            Self::Blocks(hashes) => {
                within(hashes.len(), BLOCKS_MAX)?;
                let kind = InventoryKind::whole_block(network);
                Message::GetData(
                    hashes.iter().map(|hash| Inventory { kind, hash: *hash.as_bytes() }).collect(),
                )
            }
            Self::Txs(txids) => {
                within(txids.len(), TXS_MAX)?;
                let kind = InventoryKind::whole_tx(network);
                Message::GetData(
                    txids.iter().map(|txid| Inventory { kind, hash: *txid.as_bytes() }).collect(),
                )
            }
            Self::Mempool => Message::Mempool,
            Self::Broadcast(tx) => Message::Tx(tx),
        })
    }
}

/// A node that is spoken to. Dropping it ends the connection and its threads.
#[derive(Debug)]
pub struct Client {
    network: Network,
    line: Arc<Line>,
    /// Dropped to end the pause between two attempts.
    running: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The connection that stands, if one does.
#[derive(Debug, Default)]
struct Line(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Between connections.
    #[default]
    Down,
    /// Connected, not yet introduced.
    Opening(TcpStream),
    /// Introduced.
    Up { socket: TcpStream, frames: SyncSender<Vec<u8>> },
    /// For good.
    Ended,
}

impl Line {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Nothing in here panics half way through a change: a poisoned state is a whole one.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `next` in place, unless the client was dropped.
    fn turn(&self, next: State) -> Result<(), Closed> {
        self.with(|state| match state {
            State::Ended => Err(Closed::ByUs),
            State::Down | State::Opening(_) | State::Up { .. } => {
                *state = next;
                Ok(())
            }
        })
    }

    /// Takes the connection down, unless this side did that before.
    fn down(&self) -> Result<(), Closed> {
        self.with(|state| match state {
            State::Ended | State::Down => Err(Closed::ByUs),
            State::Opening(_) | State::Up { .. } => {
                *state = State::Down;
                Ok(())
            }
        })
    }
}

impl Client {
    /// Connects to the node of `settings` and stays connected. Events come through the receiver; when it is
    /// dropped, the connection ends.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(settings: Settings) -> io::Result<(Self, Receiver<Arrived>)> {
        let (events, receiver) = mpsc::sync_channel(EVENTS_MAX);
        let client = Self::start_with(settings, move |arrived| events.send(arrived).is_ok())?;
        Ok((client, receiver))
    }

    /// As [`start`](Self::start), with `deliver` called for each event in turn on the connection's thread.
    /// It may block, which leaves the node waiting; when it answers `false`, the connection ends.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start_with(
        settings: Settings,
        deliver: impl FnMut(Arrived) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let line = Arc::new(Line::default());
        let (running, stop) = mpsc::sync_channel(0);
        let network = settings.network;
        let thread = thread::Builder::new().name("node-p2p".to_owned()).spawn({
            let line = Arc::clone(&line);
            move || keep_up(&settings, &line, &stop, deliver)
        })?;
        Ok(Self { network, line, running: Some(running), thread: Some(thread) })
    }

    /// Passes a request on to the node, without waiting.
    ///
    /// # Errors
    /// No connection stands, too much waits, or too much was asked for.
    pub fn tell(&self, request: Request) -> Result<(), RequestError> {
        let frame = request.message(self.network)?.encode(self.network);
        self.line.with(|state| match state {
            State::Up { frames, .. } => frames.try_send(frame).map_err(|error| match error {
                TrySendError::Full(_) => RequestError::Full,
                TrySendError::Disconnected(_) => RequestError::NotReady,
            }),
            State::Down | State::Opening(_) | State::Ended => Err(RequestError::NotReady),
        })
    }

    /// Ends the connection that stands, as for a node that was caught lying. Another attempt follows by
    /// itself, after the shortest pause.
    pub fn hang_up(&self) {
        self.line.with(|state| match state {
            State::Up { socket, .. } => {
                // The reader sees the end and tells; a socket that is closed already needs no second closing.
                drop(socket.shutdown(Shutdown::Both));
                *state = State::Down;
            }
            State::Down | State::Opening(_) | State::Ended => {}
        });
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let last = self.line.with(|state| core::mem::replace(state, State::Ended));
        match last {
            // A socket that is closed already needs no second closing.
            State::Opening(socket) | State::Up { socket, .. } => drop(socket.shutdown(Shutdown::Both)),
            State::Down | State::Ended => {}
        }
        drop(self.running.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A panic of that thread has been reported where it happened.
            drop(thread.join());
        }
    }
}

fn keep_up(settings: &Settings, line: &Line, stop: &Receiver<()>, mut deliver: impl FnMut(Arrived) -> bool) {
    let mut pause = settings.retry_after;
    loop {
        let mut ready = false;
        let mut open = true;
        let closed = session::run(settings, line, |arrived| {
            ready |= matches!(arrived.event, Event::Ready(_));
            open &= deliver(arrived);
            open
        });
        if line.turn(State::Down).is_err() || !open {
            return;
        }
        if !deliver(Arrived { at: Instant::now(), event: Event::Closed(closed) }) {
            return;
        }
        pause = if ready { settings.retry_after } else { pause };
        match stop.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        pause = pause.saturating_mul(2).min(settings.retry_after_max);
    }
}

/// The names in an inventory, apart by what they name. Kinds that were not asked for are passed over.
fn sorted(entries: &[Inventory]) -> (Vec<Txid>, Vec<BlockHash>) {
    debug_assert!(entries.len() <= INVENTORY_MAX, "the codec lets no longer inventory through");
    let (mut txs, mut blocks) = (Vec::new(), Vec::new());
    for Inventory { kind, hash } in entries {
        match kind {
            InventoryKind::Tx | InventoryKind::WitnessTx | InventoryKind::MwebTx => {
                txs.push(Txid::from_bytes(*hash));
            }
            InventoryKind::Block | InventoryKind::WitnessBlock | InventoryKind::MwebBlock => {
                blocks.push(BlockHash::from_bytes(*hash));
            }
            InventoryKind::Wtx | InventoryKind::Other(_) => {}
        }
    }
    (txs, blocks)
}
