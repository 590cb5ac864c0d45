//! Role guard: the writer. Takes payouts over HTTP, logs them, has them signed, hands them to the node, sees them
//! confirmed.
//!
//! Trusted with nothing, and decides nothing: the coordinator says what to do and this does it, the disk first. Killed
//! at any moment it goes on where its log ends; there is no other way for it to stop.

mod chains;
mod config;
mod core;
mod desk;
mod figures;
mod http;
mod nodes;
mod peers;
pub mod store;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread,
    time::Duration,
};

use kuraban_base::TreeHash;
use kuraban_chain::btc::Network;
use kuraban_proof::NoteSigner;
use kuraban_vault::{
    coordinator::{Coordinator, Effect, RestoreError},
    fold::FoldError,
};
use kuraban_watch::chain::{Chain, SettingsError};
use tokio::sync::watch;

use self::{
    chains::Chains,
    config::Config,
    core::{Core, CoreError, Outlets},
    desk::{Desk, INPUTS_MAX, Input},
    figures::Figures,
    nodes::Essential,
    store::{Group, StoreError, StoreWriter},
};
use crate::{
    clock::{self, Monotonic},
    config::ConfigError,
    http::{Bound, HttpError},
};

/// How often the coordinator is told the time.
const TICK: Duration = Duration::from_millis(100);
/// Entries that are taken up at once at a restart, and their bytes.
const RESTORE_ENTRIES: usize = 4096;
const RESTORE_BYTES: usize = 64 * 1024 * 1024;

/// Why a writer does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The configuration does not hold together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// How a chain is followed contradicts itself.
    #[error("node of {network}")]
    Settings {
        /// Which.
        network: Network,
        /// What is wrong.
        #[source]
        source: SettingsError,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be opened.
    #[error("the log cannot be opened")]
    Open(#[source] FoldError),
    /// The stored log does not hold together.
    #[error("the stored log does not hold together")]
    Restore(#[from] RestoreError),
    /// The stored tiles are of another log than the stored entries.
    #[error("stored tiles have root {tiles}, stored entries lead to {entries}")]
    Apart {
        /// By the tiles.
        tiles: TreeHash,
        /// By the entries.
        entries: TreeHash,
    },
    /// The address for people and services cannot be listened on.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[from] io::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// The core has ended.
    #[error("the writer has stopped")]
    Core(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<CoreError> for GuardError {
    fn from(problem: CoreError) -> Self {
        Self::Core(Box::new(problem))
    }
}

impl GuardError {
    /// The exit status: 2 for what the operator gave, 3 for what the system did.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Settings { .. } => 2,
            Self::Store(problem) => problem.status(),
            Self::Open(_)
            | Self::Restore(_)
            | Self::Apart { .. }
            | Self::Http(_)
            | Self::Thread(_)
            | Self::Random(_)
            | Self::Core(_) => 3,
        }
    }
}

/// Creates the store and opens the log in it. A store that is there is left alone, and that is an error.
///
/// # Errors
/// The configuration does not hold together, or the store cannot be created.
pub fn init(config: &Path) -> Result<String, GuardError> {
    let (config, log) = Config::load(config)?;
    // Everything is checked before anything is created.
    begin(&config, Monotonic::start(), &Arc::default())?;
    let Config { me, charter, retention_days, store, .. } = config;
    let now = clock::wall();
    let mut salt = [0; 32];
    getrandom::getrandom(&mut salt)?;
    let mut coordinator = Coordinator::new(&me, Arc::clone(&charter), log);
    // Opening appends one entry, so one salt is all it takes.
    coordinator.open(now, retention_days, &mut || salt).map_err(GuardError::Open)?;
    for effect in coordinator.flush(now, &mut || salt) {
        if let Effect::Persist { from, entries, checkpoint } = effect {
            let first = Group { from, entries: &entries, checkpoint: &checkpoint };
            StoreWriter::create(&store, &charter, &first)?;
        }
    }
    Ok(format!("created {} with log {}\n", store.display(), charter.roster().origin()))
}

/// Runs the writer until it is killed.
///
/// # Errors
/// The configuration does not hold together, the store cannot be used, an address cannot be listened on, or something
/// fails that must not.
pub fn run(config: &Path) -> Result<Infallible, GuardError> {
    let (config, log) = Config::load(config)?;
    let clock = Monotonic::start();
    let figures = Arc::new(Figures::default());
    let mut store = StoreWriter::open(&config.store, &config.charter)?;
    let coordinator = restored(&config, log, &store)?;
    let (chains, followed) = followed(&config, &mut store, clock, &figures)?;
    let bound = Bound::bind(config.listen)?;
    let (inputs, queue) = mpsc::sync_channel(INPUTS_MAX);
    let (bridges, calls) = start_nodes(&config, followed, clock, &figures, &inputs)?;
    start_peers(&config, &store, &inputs)?;
    start_ticks(&inputs)?;
    let (size, sizes) = watch::channel(0);
    let desk = Desk::new(inputs.clone());
    let office = http::Office { desk, store: store.reader(), sizes, figures: Arc::clone(&figures) };
    tracing::info!(http = %bound.address(), size = store.size(), "started");
    http::start(bound, office, Essential { name: "the HTTP server", inputs })?;
    let core = Core::new(coordinator, store, chains, Outlets { bridges, calls, size, figures });
    Ok(core.run(&queue)?)
}

/// The coordinator as its log says.
fn restored(config: &Config, log: NoteSigner, store: &StoreWriter) -> Result<Coordinator, GuardError> {
    let mut coordinator = Coordinator::new(&config.me, Arc::clone(&config.charter), log);
    let reader = store.reader();
    while coordinator.fold().size() < store.size() {
        let entries = reader.entries(coordinator.fold().size(), RESTORE_ENTRIES, RESTORE_BYTES)?;
        coordinator.restore(&entries)?;
    }
    let (tiles, entries) = (store.head(), coordinator.head());
    if tiles != entries {
        return Err(GuardError::Apart { tiles: tiles.root, entries: entries.root });
    }
    coordinator.resume();
    Ok(coordinator)
}

type Followed = BTreeMap<Network, Chain>;

/// The chains as far as they were followed. Stored blocks that do not fit, such as after another birthday was set, are
/// forgotten and followed again.
fn followed(
    config: &Config,
    store: &mut StoreWriter,
    clock: Monotonic,
    figures: &Arc<Figures>,
) -> Result<(Chains, Followed), GuardError> {
    let (mut chains, mut fresh) = begin(config, clock, figures)?;
    let restored = store.reader().blocks(|row| chains.restore(&mut fresh, row));
    match restored {
        Ok(()) => Ok((chains, fresh)),
        Err(problem) => {
            tracing::warn!(problem = crate::log::told(&problem), "stored-blocks-forgotten");
            store.forget_blocks()?;
            begin(config, clock, figures)
        }
    }
}

/// All chains at their birthdays.
fn begin(
    config: &Config,
    clock: Monotonic,
    figures: &Arc<Figures>,
) -> Result<(Chains, Followed), GuardError> {
    let mut followed = Followed::new();
    for node in &config.nodes {
        let network = node.chain.network;
        let chain = Chain::new(node.chain.clone(), clock.ms());
        followed.insert(network, chain.map_err(|source| GuardError::Settings { network, source })?);
    }
    Ok((Chains::new(followed.keys().copied(), Arc::clone(figures)), followed))
}

type Bridges = BTreeMap<Network, Arc<crate::bridge::Bridge>>;
type Calls = BTreeMap<Network, SyncSender<kuraban_chain::btc::Tx>>;

fn start_nodes(
    config: &Config,
    mut followed: Followed,
    clock: Monotonic,
    figures: &Arc<Figures>,
    inputs: &SyncSender<Input>,
) -> Result<(Bridges, Calls), GuardError> {
    let (mut bridges, mut calls) = (Bridges::new(), Calls::new());
    // Before anything runs that could fill the queue: nobody takes from it yet.
    for node in &config.nodes {
        if let Some(rate) = node.fee_rate {
            // There are far fewer nodes than places in the queue.
            drop(inputs.try_send(Input::FeeRate(node.chain.network, rate)));
        }
    }
    for node in &config.nodes {
        let network = node.chain.network;
        let Some(chain) = followed.remove(&network) else { continue };
        bridges.insert(network, nodes::follow(chain, node.p2p.clone(), clock, inputs.clone())?);
        if let Some(rpc) = &node.rpc {
            let (rpc, figures, inputs) = (rpc.clone(), Arc::clone(figures), inputs.clone());
            calls.insert(network, nodes::call(network, rpc, node.fee_rate, figures, inputs)?);
        }
    }
    Ok((bridges, calls))
}

fn start_peers(config: &Config, store: &StoreWriter, inputs: &SyncSender<Input>) -> io::Result<()> {
    let identity = || Arc::clone(&config.identity);
    for callee in config.signers.iter().chain(&config.watchers) {
        peers::call(callee.clone(), identity(), store.reader(), inputs.clone())?;
    }
    for watcher in &config.watchers {
        peers::subscribe(watcher.clone(), identity(), inputs.clone())?;
    }
    Ok(())
}

fn start_ticks(inputs: &SyncSender<Input>) -> io::Result<()> {
    let essential = Essential { name: "the clock's thread", inputs: inputs.clone() };
    let run = move || {
        while essential.inputs.send(Input::Tick).is_ok() {
            thread::sleep(TICK);
        }
    };
    thread::Builder::new().name("ticks".to_owned()).spawn(run).map(drop)
}
