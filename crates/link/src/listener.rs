//! Accepts links from peers whose keys are pinned. Decides how many may be open; a stranger never gets past the
//! handshake, and a slow one holds up nobody.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use rustls::ServerConfig;

use crate::{connection::Connection, error::LinkError, identity::Identity, pin};

/// How long accepting rests after the system refused a connection, so that a lack of descriptors does not spin.
const REST: Duration = Duration::from_millis(100);

/// What a listener allows at once. The caller decides: nothing here has a default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Handshakes under way, with anybody. One more is turned away.
    pub handshakes_max: usize,
    /// Open connections of one key. One more ends the oldest, so that a peer that came back is not locked out by
    /// connections that it lost without a word.
    pub per_peer_max: usize,
    /// How long a handshake may take in all.
    pub handshake_time_max: Duration,
}

/// A listening socket with a thread that shakes hands. Dropping it closes the socket; open connections stay.
#[derive(Debug)]
pub struct Listener {
    addr: SocketAddr,
    arrived: Receiver<Result<Connection, LinkError>>,
    shared: Arc<Shared>,
}

impl Listener {
    /// Listens on `addr` for peers that hold one of the `allowed` keys.
    ///
    /// # Errors
    /// The address cannot be listened on, or a thread cannot be started.
    pub fn bind(
        addr: SocketAddr,
        identity: &Identity,
        allowed: Vec<[u8; 32]>,
        limits: Limits,
    ) -> Result<Self, LinkError> {
        let own = identity.public();
        let config =
            pin::server(identity, allowed).map_err(|source| LinkError::Tls { peer: addr, source })?;
        let bound = TcpListener::bind(addr).and_then(|tcp| Ok((tcp.local_addr()?, tcp)));
        let (addr, tcp) = bound.map_err(|source| LinkError::Bind { addr, source })?;
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            own,
            limits,
            stopped: AtomicBool::new(false),
            handshakes: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        // Room for every handshake's outcome, so that a listener whose owner is busy loses none that matters.
        let (outcomes, arrived) = sync_channel(limits.handshakes_max.max(1));
        let of_thread = Arc::clone(&shared);
        spawn("link-accept", move || accept_all(&tcp, &of_thread, &outcomes))?;
        Ok(Self { addr, arrived, shared })
    }

    /// Where it listens; the port is the system's choice if 0 was asked for.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for the next peer. The connection has no time limit yet.
    ///
    /// # Errors
    /// Somebody was turned away; the listener goes on. Worth a line in the log, and then the next call. Only after
    /// [`LinkError::Stopped`] nobody comes any more.
    pub fn accept(&self) -> Result<(Connection, [u8; 32]), LinkError> {
        match self.arrived.recv() {
            Ok(outcome) => outcome.map(|connection| {
                let peer = *connection.peer();
                (connection, peer)
            }),
            Err(_) => Err(LinkError::Stopped),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the thread, which then closes the socket. If nobody answers, it is closed already.
        drop(TcpStream::connect_timeout(&self.addr, REST));
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LinkError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|source| LinkError::Io { what: "start a thread", source })
}

#[derive(Debug)]
struct Shared {
    config: Arc<ServerConfig>,
    own: [u8; 32],
    limits: Limits,
    stopped: AtomicBool,
    handshakes: AtomicUsize,
    open: Mutex<Open>,
}

/// Open connections by the peer's key, the oldest first.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_peer: BTreeMap<[u8; 32], VecDeque<(u64, TcpStream)>>,
}

/// A connection's place among those of its key. Dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    peer: [u8; 32],
    number: u64,
}

impl Shared {
    /// A panic while it was held cannot leave the table half changed, so a poisoned lock is as good as any.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(self: &Arc<Self>, peer: [u8; 32], socket: TcpStream) -> Place {
        let mut open = self.open();
        let number = open.next;
        open.next = number.wrapping_add(1);
        let own = open.by_peer.entry(peer).or_default();
        own.push_back((number, socket));
        while own.len() > self.limits.per_peer_max.max(1) {
            if let Some((_, oldest)) = own.pop_front() {
                // Its thread finds the socket closed; a socket that is closed already needs nothing.
                oldest.shutdown(Shutdown::Both).unwrap_or_default();
            }
        }
        Place { shared: Arc::clone(self), peer, number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.shared.open();
        if let Some(own) = open.by_peer.get_mut(&self.peer) {
            own.retain(|(number, _)| *number != self.number);
            if own.is_empty() {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

/// One of the handshakes that may be under way.
struct Slot(Arc<Shared>);

impl Slot {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let more = |count: usize| count.checked_add(1).filter(|count| *count <= shared.limits.handshakes_max);
        shared.handshakes.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::AcqRel);
    }
}

type Outcomes = SyncSender<Result<Connection, LinkError>>;

fn accept_all(tcp: &TcpListener, shared: &Arc<Shared>, outcomes: &Outcomes) {
    loop {
        let accepted = tcp.accept();
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let begun = match accepted {
            Ok((socket, peer)) => begin(socket, peer, shared, outcomes),
            Err(source) => {
                thread::sleep(REST);
                Err(LinkError::Io { what: "accept a connection", source })
            }
        };
        let Err(problem) = begun else { continue };
        // If the owner is behind, the word that somebody was turned away is lost, not the service.
        match outcomes.try_send(Err(problem)) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => return,
        }
    }
}

fn begin(
    socket: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    outcomes: &Outcomes,
) -> Result<(), LinkError> {
    let slot = Slot::take(shared).ok_or(LinkError::Busy { peer, max: shared.limits.handshakes_max })?;
    let outcomes = outcomes.clone();
    spawn("link-handshake", move || {
        let outcome = greet(socket, &slot.0);
        // The slot is held until the owner takes the outcome, so what waits is bounded. If the listener is gone, the
        // connection goes too.
        drop(outcomes.send(outcome));
        drop(slot);
    })
}

fn greet(socket: TcpStream, shared: &Arc<Shared>) -> Result<Connection, LinkError> {
    let limit = shared.limits.handshake_time_max;
    let mut connection = Connection::accept(socket, &shared.config, shared.own, limit)?;
    let place = shared.place(*connection.peer(), connection.socket()?);
    connection.welcome(place, limit)?;
    Ok(connection)
}
