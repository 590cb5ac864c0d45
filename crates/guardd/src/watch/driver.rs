//! The one thread that decides: takes what came, steps the watcher, has its changes on disk, and sends what it says.
//!
//! Nothing here waits for a peer: whoever does not take what is sent is parted with.

use core::convert::Infallible;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use kuraban_base::MachineId;
use kuraban_chain::btc::Network;
use kuraban_vault::{
    Role,
    breaker::Trip,
    signer::Clock,
    statement::Signed,
    wire::{Request, Response},
};
use kuraban_watch::{
    Change, Connection, Effect, Event, Step, Watcher,
    chain::{FromNode, Status},
};

use super::{WatchError, page::Gauges, store::Store};
use crate::{
    bridge::Bridge,
    clock::{self, Monotonic},
};

/// How often the watcher hears that time passed.
const TICK: Duration = Duration::from_millis(50);

/// What reaches the thread.
#[derive(Debug)]
pub(super) enum Input {
    /// A connection stands; its answers go here.
    Joined(Connection, SyncSender<Box<Response>>),
    /// It asks something.
    Asked(Connection, Role, Box<Request>),
    /// It ended.
    Gone(Connection),
    /// A node says something; its last byte arrived at this instant.
    Node(Network, Instant, FromNode),
    /// A connection to this signer stands.
    Signer(MachineId),
}

/// The clocks now.
pub(super) fn now(clock: Monotonic) -> Clock {
    Clock { wall: clock::wall(), monotonic_ms: clock.ms() }
}

/// The watcher with everything that it speaks to.
pub(super) struct Driver {
    watcher: Watcher,
    store: Store,
    clock: Monotonic,
    gauges: Arc<Gauges>,
    peers: BTreeMap<Connection, SyncSender<Box<Response>>>,
    signers: BTreeMap<MachineId, SyncSender<Signed<Trip>>>,
    nodes: BTreeMap<Network, Bridge>,
    statuses: BTreeMap<Network, Status>,
}

/// When something was decided, on both clocks.
#[derive(Clone, Copy)]
struct Moment {
    wall_us: u64,
    at: Instant,
}

impl Moment {
    fn now() -> Self {
        Self { wall_us: clock::wall_us(), at: Instant::now() }
    }

    /// The wall clock's microseconds at an earlier instant.
    fn before(self, earlier: Instant) -> u64 {
        let ago = self.at.saturating_duration_since(earlier).as_micros();
        self.wall_us.saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
    }
}

impl Driver {
    pub(super) fn new(watcher: Watcher, store: Store, clock: Monotonic, gauges: Arc<Gauges>) -> Self {
        Self {
            watcher,
            store,
            clock,
            gauges,
            peers: BTreeMap::new(),
            signers: BTreeMap::new(),
            nodes: BTreeMap::new(),
            statuses: BTreeMap::new(),
        }
    }

    /// Adds the node of a network.
    pub(super) fn node(&mut self, network: Network, bridge: Bridge) {
        self.nodes.insert(network, bridge);
    }

    /// Adds a signer to be tripped.
    pub(super) fn signer(&mut self, signer: MachineId, trips: SyncSender<Signed<Trip>>) {
        self.signers.insert(signer, trips);
    }

    /// Runs for ever.
    ///
    /// # Errors
    /// The store or the system failed; nothing can be decided any more.
    pub(super) fn run(mut self, inputs: &Receiver<Input>) -> Result<Infallible, WatchError> {
        let mut due = Instant::now();
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                self.step(None, Event::Tick)?;
                due = Instant::now().checked_add(TICK).unwrap_or(due);
                continue;
            }
            match inputs.recv_timeout(wait) {
                Ok(input) => self.take(input)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(WatchError::Alone),
            }
        }
    }

    fn take(&mut self, input: Input) -> Result<(), WatchError> {
        match input {
            Input::Joined(connection, answers) => {
                self.peers.insert(connection, answers);
                Ok(())
            }
            Input::Asked(from, role, request) => {
                let mut fresh = [0; 32];
                getrandom::getrandom(&mut fresh).map_err(WatchError::Random)?;
                self.step(None, Event::Request { from, role, fresh, request })
            }
            Input::Gone(connection) => {
                self.peers.remove(&connection);
                self.step(None, Event::Gone(connection))
            }
            Input::Node(network, at, from) => self.step(Some(at), Event::Node(network, from)),
            Input::Signer(signer) => self.step(None, Event::Signer(signer)),
        }
    }

    /// One step: on disk first, then to whom it concerns, and to the operator last.
    fn step(&mut self, arrived: Option<Instant>, event: Event) -> Result<(), WatchError> {
        let concerned = concerned(&event);
        let Step { persist, effects } = self.watcher.step(now(self.clock), event);
        let raised = Moment::now();
        self.store.append(&persist)?;
        let parted: Vec<Connection> = effects.into_iter().filter_map(|effect| self.send(effect)).collect();
        for change in &persist {
            tell(change, arrived, raised);
        }
        self.tell_statuses(concerned);
        for connection in parted {
            self.take(Input::Gone(connection))?;
        }
        Ok(())
    }

    /// Sends; returns the connection that does not take what is sent to it.
    fn send(&self, effect: Effect) -> Option<Connection> {
        match effect {
            Effect::Answer { to, response } => {
                if let Response::Refused(refused) = &*response {
                    let (code, detail) = (refused.code.as_str(), refused.detail.as_str());
                    tracing::warn!(connection = to.0, code, detail, "request-refused");
                }
                let sent = self.peers.get(&to)?.try_send(response);
                return sent.is_err().then_some(to);
            }
            Effect::Trip { signer, trip } => {
                // A trip for which there is no room is one of those that are sent again when the signer is back.
                let put_off = |trips: &SyncSender<_>| trips.try_send(trip).is_err();
                if self.signers.get(&signer).is_some_and(put_off) {
                    tracing::warn!(%signer, "trip-put-off");
                }
            }
            Effect::Node { network, message } => {
                if let Some(bridge) = self.nodes.get(&network) {
                    bridge.tell(message);
                }
            }
        }
        None
    }

    fn tell_statuses(&mut self, concerned: Concerned) {
        let networks: Vec<Network> = match concerned {
            Concerned::Nobody => return,
            Concerned::One(network) => vec![network],
            Concerned::All => {
                self.gauges.set(&self.watcher);
                self.nodes.keys().copied().collect()
            }
        };
        for network in networks {
            let Some((chain, _)) = self.watcher.network(network) else { continue };
            let status = chain.status();
            let before = self.statuses.insert(network, status);
            if before == Some(status) {
                continue;
            }
            let tip = chain.tip();
            let (height, hash) = (tip.height.blocks(), tip.hash);
            match status {
                Status::Following => tracing::info!(%network, height, %hash, "caught-up"),
                Status::Syncing if before.is_none() => {
                    tracing::info!(%network, height, %hash, "catching-up");
                }
                Status::Syncing => tracing::warn!(%network, height, %hash, "behind"),
                Status::Stalled(why) => tracing::error!(%network, height, %hash, %why, "stalled"),
            }
        }
    }
}

/// Whose status an event may change.
#[derive(Clone, Copy)]
enum Concerned {
    Nobody,
    One(Network),
    All,
}

const fn concerned(event: &Event) -> Concerned {
    match event {
        Event::Node(network, _) => Concerned::One(*network),
        Event::Tick => Concerned::All,
        Event::Request { .. } | Event::Gone(_) | Event::Signer(_) => Concerned::Nobody,
    }
}

fn tell(change: &Change, arrived: Option<Instant>, raised: Moment) {
    match change {
        Change::Alarm(alarm) => {
            let claim = alarm.0.claim_unverified();
            // Where time passing raised it, nothing arrived.
            let arrived_us = arrived.map(|arrived| raised.before(arrived));
            let (rule, subject, detail) =
                (claim.rule.as_str(), claim.subject.as_str(), claim.detail.as_str());
            let (raised_us, tripped) = (raised.wall_us, alarm.1.is_some());
            tracing::error!(rule, subject, arrived_us, raised_us, tripped, detail, "alarm");
        }
        Change::Disconnected { network, hash } => tracing::warn!(%network, %hash, "block-undone"),
        Change::Whole => tracing::info!("log-whole"),
        Change::Anew { network } => tracing::warn!(%network, "following-anew"),
        Change::Entries { .. } | Change::Cosigned(_) | Change::Connected { .. } => {}
    }
}
