//! The writer's core: one thread that owns the coordinator and the store, and does what the coordinator says in the
//! order in which it says it, the disk first.
//!
//! Decides nothing. Where the disk or the random source fails, it ends: what is not on disk has not been answered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvError, SyncSender},
    },
    time::Instant,
};

use kuraban_base::MachineId;
use kuraban_chain::btc::{Network, Tx};
use kuraban_proof::Entry;
use kuraban_vault::coordinator::{Coordinator, Effect, Event, Reply, Token};
use tokio::sync::{oneshot, watch};

use super::{
    chains::{Brought, Chains},
    desk::{Input, Look},
    figures::{Figure, Figures},
    peers::Job,
    store::{Group, StoreError, StoreWriter},
};
use crate::{bridge::Bridge, clock};

/// Most inputs that are taken up before the disk is waited for. Keeps a group of entries well under what one message to
/// a witness may hold.
const GROUP_INPUTS_MAX: usize = 256;

/// Why the core has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum CoreError {
    /// The disk failed.
    #[error("the disk failed, so nothing more is answered")]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// A part has ended without which the writer must not go on.
    #[error("{0} has ended")]
    Part(&'static str),
    /// Nobody is there to say anything any more.
    #[error("all threads of the writer have ended")]
    Silence(#[from] RecvError),
}

/// What the core speaks through, and where it tells how far it is.
pub(super) struct Outlets {
    /// Connections to nodes.
    pub(super) bridges: BTreeMap<Network, Arc<Bridge>>,
    /// Calls to nodes.
    pub(super) calls: BTreeMap<Network, SyncSender<Tx>>,
    /// Entries on disk.
    pub(super) size: watch::Sender<u64>,
    /// Figures.
    pub(super) figures: Arc<Figures>,
}

/// The core's state.
pub(super) struct Core {
    coordinator: Coordinator,
    store: StoreWriter,
    chains: Chains,
    outlets: Outlets,
    links: BTreeMap<MachineId, SyncSender<Job>>,
    replies: BTreeMap<Token, oneshot::Sender<Reply>>,
    tokens: u64,
    looks: Vec<Look>,
    blocks: Vec<Vec<u8>>,
    witnessed: Option<Vec<u8>>,
    random: Random,
}

/// Random bytes from the system. A failure is kept, and nothing made since may leave.
#[derive(Default)]
struct Random(Option<getrandom::Error>);

impl Random {
    fn fresh(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        if let Err(problem) = getrandom::getrandom(&mut bytes) {
            self.0 = Some(problem);
        }
        bytes
    }
}

impl Core {
    /// A core that goes on where its log ends.
    pub(super) fn new(
        coordinator: Coordinator,
        store: StoreWriter,
        chains: Chains,
        outlets: Outlets,
    ) -> Self {
        let size = coordinator.head().size;
        outlets.size.send_replace(size);
        outlets.figures.set(Figure::LogSize, "", size);
        Self {
            coordinator,
            store,
            chains,
            outlets,
            links: BTreeMap::new(),
            replies: BTreeMap::new(),
            tokens: 0,
            looks: Vec::new(),
            blocks: Vec::new(),
            witnessed: None,
            random: Random::default(),
        }
    }

    /// Runs until something fails that must not.
    ///
    /// # Errors
    /// Always: there is no good end.
    pub(super) fn run(mut self, inputs: &Receiver<Input>) -> Result<core::convert::Infallible, CoreError> {
        for event in self.chains.recent() {
            self.step(event);
        }
        loop {
            self.take(inputs.recv()?)?;
            for input in inputs.try_iter().take(GROUP_INPUTS_MAX) {
                self.take(input)?;
            }
            self.close()?;
        }
    }

    fn take(&mut self, input: Input) -> Result<(), CoreError> {
        match input {
            Input::Event(event) => self.step(event),
            Input::Ask(ask, reply) => {
                self.tokens = self.tokens.saturating_add(1);
                let token = Token(self.tokens);
                self.replies.insert(token, reply);
                self.step(Event::Ask(token, ask));
            }
            Input::Look(look) => self.looks.push(look),
            Input::Joined(id, jobs) => {
                self.outlets.figures.set(Figure::Link, id.as_str(), 1);
                self.links.insert(id.clone(), jobs);
                self.step(Event::Joined(id));
            }
            Input::Lost(id) => {
                self.outlets.figures.set(Figure::Link, id.as_str(), 0);
                self.links.remove(&id);
                self.step(Event::Lost(id));
            }
            Input::Chain(network, fact) => {
                let Brought { events, row } = self.chains.take(self.coordinator.fold(), network, fact);
                self.blocks.extend(row);
                for event in events {
                    self.step(event);
                }
            }
            Input::FeeRate(network, rate) => self.step(Event::FeeRate(network, rate)),
            Input::Tick => self.step(Event::Tick),
            Input::Fatal(part) => return Err(CoreError::Part(part)),
        }
        Ok(())
    }

    fn step(&mut self, event: Event) {
        let random = &mut self.random;
        self.coordinator.step(clock::wall(), event, &mut || random.fresh());
    }

    /// Closes a group: everything on disk, then out.
    fn close(&mut self) -> Result<(), CoreError> {
        let random = &mut self.random;
        let effects = self.coordinator.flush(clock::wall(), &mut || random.fresh());
        if let Some(problem) = self.random.0.take() {
            return Err(CoreError::Random(problem));
        }
        for effect in effects {
            self.execute(effect)?;
        }
        if self.witnessed.is_some() || !self.blocks.is_empty() {
            self.store.keep(self.witnessed.take().as_deref(), &self.blocks)?;
            self.blocks.clear();
        }
        // Whoever looks sees nothing that is not on disk.
        for look in self.looks.drain(..) {
            look(&self.coordinator);
        }
        Ok(())
    }

    fn execute(&mut self, effect: Effect) -> Result<(), CoreError> {
        match effect {
            Effect::Persist { from, entries, checkpoint } => {
                let begun = Instant::now();
                self.store.append(&Group { from, entries: &entries, checkpoint: &checkpoint })?;
                let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                let figures = &self.outlets.figures;
                figures.add(Figure::PersistMicros, "", micros);
                figures.add(Figure::Groups, "", 1);
                for entry in entries.iter().filter_map(|logged| Entry::decode(&logged.entry).ok()) {
                    figures.add(Figure::Entries, entry.kind.as_str(), 1);
                }
                let size = self.store.size();
                figures.set(Figure::LogSize, "", size);
                self.outlets.size.send_replace(size);
            }
            Effect::Publish { size, checkpoint } => {
                self.outlets.figures.set(Figure::WitnessedSize, "", size);
                self.witnessed = Some(checkpoint);
            }
            Effect::Send(to, request) => self.job(&to, Job::Ask(request)),
            Effect::SendEntries { to, from, until } => self.job(&to, Job::Entries { from, until }),
            Effect::Broadcast(network, bytes) => self.broadcast(network, &bytes),
            Effect::Reply(token, reply) => {
                if let Some(waiting) = self.replies.remove(&token) {
                    // Whoever asked may have gone away; what was said is in the log.
                    drop(waiting.send(reply));
                }
            }
        }
        Ok(())
    }

    /// A job for a link that broke meanwhile is lost, and the coordinator is told of the break.
    fn job(&self, to: &MachineId, job: Job) {
        let sent = self.links.get(to).map(|link| link.try_send(job));
        if !matches!(sent, Some(Ok(()))) {
            tracing::debug!(peer = %to, "request-lost");
        }
    }

    fn broadcast(&self, network: Network, bytes: &[u8]) {
        let tx = match Tx::decode(network, bytes) {
            Ok(tx) => tx,
            Err(problem) => return tracing::error!(%network, %problem, "own-transaction-malformed"),
        };
        self.outlets.figures.add(Figure::Broadcasts, &network.to_string(), 1);
        tracing::info!(%network, txid = %tx.txid(), "broadcast");
        if let Some(calls) = self.outlets.calls.get(&network)
            && calls.try_send(tx.clone()).is_err()
        {
            tracing::warn!(%network, txid = %tx.txid(), "broadcast-delayed");
        }
        if let Some(bridge) = self.outlets.bridges.get(&network) {
            bridge.broadcast(tx);
        }
    }
}
