//! One connection from its first byte to its last.
//!
//! Decides whether the peer is a node that can be used and when it has gone silent.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io::{self, Write as _},
    net::{Shutdown, TcpStream, ToSocketAddrs as _},
    sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use kuraban_chain::btc::{
    Network,
    p2p::{Message, PROTOCOL_VERSION, PeerAddress, Services, Version},
};

use super::{
    Arrived, Closed, Event, Line, PEER_VERSION_MIN, REQUESTS_MAX, Ready, Settings, State, sorted,
    wire::{Read, Wire},
};

/// Longest wait for bytes before the clock is looked at.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(250);
/// Shortest; a socket takes no time-out of zero.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(1);
/// The number of the ping that ends the introduction; no later ping has it.
const FIRST_PING: u64 = u64::MAX;
/// Most messages that a node may send before it answers that ping.
const EARLY_MAX: usize = 256;

/// Speaks to the node until the connection ends, and says why it did.
pub(super) fn run(settings: &Settings, line: &Line, deliver: impl FnMut(Arrived) -> bool) -> Closed {
    match open(settings, line, deliver) {
        Ok(never) => match never {},
        Err(closed) => closed,
    }
}

/// A connection has no good end.
enum Never {}

fn open(settings: &Settings, line: &Line, mut deliver: impl FnMut(Arrived) -> bool) -> Result<Never, Closed> {
    let network = settings.network;
    let socket = connect(settings)?;
    let copy = || socket.try_clone().map_err(Closed::Socket);
    let peer = socket.peer_addr().map_err(Closed::Socket)?;
    line.turn(State::Opening(copy()?))?;
    let mut wire = Wire::new(copy()?, network);
    let (theirs, early) = introduce(settings, &socket, &mut wire)?;
    let Version { version, services, user_agent, start_height, .. } = theirs;
    let (frames, queue) = mpsc::sync_channel(REQUESTS_MAX);
    line.turn(State::Up { socket: copy()?, frames: frames.clone() })?;
    let start = Instant::now();
    let writer = {
        let (socket, pings) = (copy()?, Pings { start, every: settings.ping_every });
        let write = move || write_all(socket, network, &queue, &pings);
        thread::Builder::new().name("node-p2p-out".to_owned()).spawn(write).map_err(Closed::Socket)?
    };
    let event = Event::Ready(Ready { peer, version, services, user_agent, start_height });
    let ended = if deliver(Arrived { at: start, event }) {
        listen(settings, &mut wire, early, &frames, start, deliver)
    } else {
        Err(Closed::ByUs)
    };
    // The writer ends when its queue or its socket does; both do here.
    let down = line.down();
    drop(frames);
    drop(socket.shutdown(Shutdown::Both));
    drop(writer.join());
    down.and(ended)
}

fn connect(settings: &Settings) -> Result<TcpStream, Closed> {
    let failed = |source| Closed::Connect { address: settings.address.clone(), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "name has no address");
    for address in settings.address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&address, settings.connect_within) {
            Ok(socket) => {
                let look_every = settings.silent_within.min(settings.handshake_within) / 4;
                let look_every = look_every.clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
                socket.set_nodelay(true).map_err(failed)?;
                socket.set_read_timeout(Some(look_every)).map_err(failed)?;
                socket.set_write_timeout(Some(settings.silent_within)).map_err(failed)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// What came before the connection was of use, to be handed on once it is.
type Early = Vec<(Instant, Read)>;

/// Both sides say who they are and agree; blocks are to be announced by header. Ends with an answered ping:
/// only then is it certain that the node has read our agreement and announces from now on whatever is new.
fn introduce(settings: &Settings, socket: &TcpStream, wire: &mut Wire) -> Result<(Version, Early), Closed> {
    let network = settings.network;
    let within = settings.handshake_within;
    let start = Instant::now();
    let (mut theirs, mut agreed, mut early) = (None, false, Early::new());
    send(socket, network, &Message::Version(Box::new(ours(settings))))?;
    loop {
        let (at, read) = wire.next()?;
        theirs = match (read, theirs) {
            (Read::Nothing, theirs) => theirs,
            (Read::Message(Message::Version(version)), None) => {
                let version = usable(*version)?;
                send(socket, network, &Message::Verack)?;
                Some(version)
            }
            (Read::Message(message), None) => return Err(Closed::Order { found: message.command() }),
            (Read::Unreadable { error, .. }, None) => return Err(Closed::Introduction(error)),
            (Read::Message(Message::Verack), Some(version)) if !agreed => {
                agreed = true;
                send(socket, network, &Message::SendHeaders)?;
                send(socket, network, &Message::Ping(FIRST_PING))?;
                Some(version)
            }
            (Read::Message(Message::Ping(number)), Some(version)) => {
                send(socket, network, &Message::Pong(number))?;
                Some(version)
            }
            (Read::Message(Message::Pong(FIRST_PING)), Some(version)) if agreed => {
                return Ok((version, early));
            }
            // How a node would like to be spoken to (`wtxidrelay`, `sendaddrv2`) comes before it agrees.
            (read, Some(version)) => {
                if agreed {
                    early.push((at, read));
                }
                Some(version)
            }
        };
        if start.elapsed() > within || early.len() > EARLY_MAX {
            return Err(Closed::Handshake { within });
        }
    }
}

fn ours(settings: &Settings) -> Version {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Version {
        version: PROTOCOL_VERSION,
        // We serve nothing, so that nobody asks.
        services: Services::default(),
        time_s: i64::try_from(clock.as_secs()).unwrap_or(i64::MAX),
        receiver: PeerAddress::NOWHERE,
        sender: PeerAddress::NOWHERE,
        // Only tells a node that it does not speak to itself; the hasher's random key is random enough.
        nonce: RandomState::new().build_hasher().finish(),
        user_agent: settings.user_agent.clone(),
        start_height: 0,
        relay: true,
    }
}

fn usable(version: Version) -> Result<Version, Closed> {
    let services = version.services;
    let blocks = services.has(Services::NETWORK) || services.has(Services::NETWORK_LIMITED);
    if version.version < PEER_VERSION_MIN {
        return Err(Closed::Old { found: version.version });
    }
    if !blocks || !services.has(Services::WITNESS) {
        return Err(Closed::Services { found: services.0 });
    }
    Ok(version)
}

fn send(mut socket: &TcpStream, network: Network, message: &Message) -> Result<(), Closed> {
    socket.write_all(&message.encode(network)).map_err(Closed::Socket)
}

/// When pings go out. A ping's number is the time at which it went out, so that nothing has to be kept.
struct Pings {
    start: Instant,
    every: Duration,
}

fn write_all(mut socket: TcpStream, network: Network, queue: &Receiver<Vec<u8>>, pings: &Pings) {
    let mut due = Instant::now();
    loop {
        let frame = match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(frame) => frame,
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                due = now.checked_add(pings.every).unwrap_or(now);
                Message::Ping(micros(now.saturating_duration_since(pings.start))).encode(network)
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if socket.write_all(&frame).is_err() {
            // The reader sees the end and tells.
            drop(socket.shutdown(Shutdown::Both));
            return;
        }
    }
}

fn listen(
    settings: &Settings,
    wire: &mut Wire,
    early: Early,
    frames: &SyncSender<Vec<u8>>,
    start: Instant,
    mut deliver: impl FnMut(Arrived) -> bool,
) -> Result<Never, Closed> {
    let mut early = early.into_iter();
    let mut heard = Instant::now();
    let mut told: Option<Instant> = None;
    loop {
        let (at, read) = early.next().map_or_else(|| wire.next(), Ok)?;
        let mut hand_on = |event| if deliver(Arrived { at, event }) { Ok(()) } else { Err(Closed::ByUs) };
        match read {
            Read::Nothing => {
                let within = settings.silent_within;
                if heard.elapsed() > within {
                    return Err(Closed::Silent { within });
                }
                continue;
            }
            Read::Unreadable { command, error } => hand_on(Event::Unreadable { command, error })?,
            Read::Message(Message::Ping(number)) => {
                let pong = Message::Pong(number).encode(settings.network);
                frames.try_send(pong).map_err(|error| match error {
                    TrySendError::Full(_) => Closed::Stuck,
                    TrySendError::Disconnected(_) => Closed::ByNode,
                })?;
            }
            Read::Message(Message::Pong(number)) => {
                if told.is_none_or(|told| at.saturating_duration_since(told) >= settings.alive_every) {
                    told = Some(at);
                    let sent = Duration::from_micros(number);
                    let round_trip = at.saturating_duration_since(start).saturating_sub(sent);
                    hand_on(Event::Alive { round_trip })?;
                }
            }
            Read::Message(message) => events(message).into_iter().try_for_each(hand_on)?,
        }
        // Taken after the event was handed on: the time that the caller took is not the node's silence.
        heard = Instant::now();
    }
}

/// What a message means to the caller; nothing, for those that only matter between nodes.
fn events(message: Message) -> Vec<Event> {
    match message {
        Message::Headers(headers) => vec![Event::Headers(headers)],
        Message::Block(block) => vec![Event::Block(block)],
        Message::Tx(tx) => vec![Event::Tx(tx)],
        Message::Inv(entries) => {
            let (txs, blocks) = sorted(&entries);
            let txs = (!txs.is_empty()).then_some(Event::InvTx(txs));
            let blocks = (!blocks.is_empty()).then_some(Event::InvBlock(blocks));
            txs.into_iter().chain(blocks).collect()
        }
        Message::NotFound(entries) => {
            let (txs, blocks) = sorted(&entries);
            vec![Event::NotFound { txs, blocks }]
        }
        Message::Reject(reject) => vec![Event::Rejected(reject)],
        Message::Version(_)
        | Message::Verack
        | Message::Ping(_)
        | Message::Pong(_)
        | Message::GetData(_)
        | Message::GetHeaders(_)
        | Message::GetBlocks(_)
        | Message::GetAddr
        | Message::Mempool
        | Message::SendHeaders
        | Message::WtxidRelay
        | Message::FeeFilter(_)
        | Message::Unknown { .. } => Vec::new(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
