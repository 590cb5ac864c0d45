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
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use kuraban_chain::btc::Network;
use kuraban_proof::NoteSigner;
use kuraban_vault::{
    Role,
    coordinator::{Coordinator, Effect},
};
use kuraban_watch::chain::Chain;
use tokio::sync::watch;

use self::{
    chains::Chains,
    config::Config,
    core::{Core, Outlets},
    desk::{Desk, INPUTS_MAX, Input},
    figures::Figures,
    nodes::Essential,
    store::{Group, StoreWriter},
};
use crate::clock::{self, Monotonic};

/// How often the coordinator is told the time.
const TICK: Duration = Duration::from_millis(100);
/// Entries that are taken up at once at a restart, and their bytes.
const RESTORE_ENTRIES: usize = 4096;
const RESTORE_BYTES: usize = 64 * 1024 * 1024;

/// Creates the store and opens the log in it.
///
/// # Errors
/// The configuration does not hold together, the store is there already, or the disk fails.
pub fn init(config: &Path) -> anyhow::Result<()> {
    let (Config { me, charter, retention_days, store, .. }, log) = load(config)?;
    let now = clock::wall();
    let mut salt = [0; 32];
    getrandom::getrandom(&mut salt).context("the system gives no random bytes")?;
    let mut coordinator = Coordinator::new(&me, Arc::clone(&charter), log);
    // Opening appends one entry, so one salt is all it takes.
    coordinator.open(now, retention_days, &mut || salt).context("the log cannot be opened")?;
    for effect in coordinator.flush(now, &mut || salt) {
        if let Effect::Persist { from, entries, checkpoint } = effect {
            let first = Group { from, entries: &entries, checkpoint: &checkpoint };
            StoreWriter::create(&store, &charter, &first)?;
            tracing::info!(store = %store.display(), origin = charter.roster().origin(), "the log is opened");
        }
    }
    Ok(())
}

/// Runs the writer.
///
/// # Errors
/// Always, in the end: the configuration does not hold together, the store is damaged, or something fails that must not.
pub fn run(config: &Path) -> anyhow::Result<std::convert::Infallible> {
    let (config, log) = load(config)?;
    let clock = Monotonic::start();
    let figures = Arc::new(Figures::default());
    let mut store = StoreWriter::open(&config.store, &config.charter)?;
    let coordinator = restored(&config, log, &store)?;
    let (chains, followed) = followed(&config, &mut store, clock, &figures)?;
    let listener = TcpListener::bind(config.listen)
        .with_context(|| format!("http.listen {} cannot be listened on", config.listen))?;
    let (inputs, queue) = mpsc::sync_channel(INPUTS_MAX);
    let (bridges, calls) = start_nodes(&config, followed, clock, &figures, &inputs)?;
    start_peers(&config, &store, &inputs)?;
    start_ticks(&inputs)?;
    let (size, sizes) = watch::channel(0);
    let office = http::Office {
        desk: Desk::new(inputs.clone()),
        store: store.reader(),
        sizes,
        figures: Arc::clone(&figures),
    };
    http::start(listener, office, Essential { name: "the HTTP server", inputs })?;
    tracing::info!(listen = %config.listen, size = store.size(), "the writer runs");
    let core = Core::new(coordinator, store, chains, Outlets { bridges, calls, size, figures });
    Ok(core.run(&queue)?)
}

fn load(path: &Path) -> anyhow::Result<(Config, NoteSigner)> {
    Config::load(path).with_context(|| format!("configuration {}", path.display()))
}

/// The coordinator as its log says.
fn restored(config: &Config, log: NoteSigner, store: &StoreWriter) -> anyhow::Result<Coordinator> {
    let mut coordinator = Coordinator::new(&config.me, Arc::clone(&config.charter), log);
    let reader = store.reader();
    while coordinator.fold().size() < store.size() {
        let entries = reader.entries(coordinator.fold().size(), RESTORE_ENTRIES, RESTORE_BYTES)?;
        coordinator.restore(&entries)?;
    }
    let (tiles, entries) = (store.head(), coordinator.head());
    anyhow::ensure!(
        tiles == entries,
        "stored tiles have root {}, entries lead to {}",
        tiles.root,
        entries.root
    );
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
) -> anyhow::Result<(Chains, Followed)> {
    let begin = || -> anyhow::Result<(Chains, Followed)> {
        let mut followed = Followed::new();
        for node in &config.nodes {
            let network = node.chain.network;
            let chain = Chain::new(node.chain.clone(), clock.ms());
            followed.insert(network, chain.with_context(|| format!("node of {network}"))?);
        }
        Ok((Chains::new(followed.keys().copied(), Arc::clone(figures)), followed))
    };
    let (mut chains, mut fresh) = begin()?;
    let restored = store.reader().blocks(|row| chains.restore(&mut fresh, row));
    match restored {
        Ok(()) => Ok((chains, fresh)),
        Err(problem) => {
            let cause = std::error::Error::source(&problem).map(ToString::to_string);
            tracing::warn!(%problem, cause, "stored blocks do not fit; they are followed again from the birthday");
            store.forget_blocks()?;
            begin()
        }
    }
}

type Bridges = BTreeMap<Network, Arc<crate::bridge::Bridge>>;
type Calls = BTreeMap<Network, SyncSender<kuraban_chain::btc::Tx>>;

fn start_nodes(
    config: &Config,
    mut followed: Followed,
    clock: Monotonic,
    figures: &Arc<Figures>,
    inputs: &SyncSender<Input>,
) -> anyhow::Result<(Bridges, Calls)> {
    let (mut bridges, mut calls) = (Bridges::new(), Calls::new());
    // Before anything runs that could fill the queue: nobody takes from it yet.
    for node in &config.nodes {
        if let Some(rate) = node.fee_rate {
            let told = inputs.try_send(Input::FeeRate(node.chain.network, rate));
            anyhow::ensure!(told.is_ok(), "there are more nodes than the core takes");
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

fn start_peers(config: &Config, store: &StoreWriter, inputs: &SyncSender<Input>) -> anyhow::Result<()> {
    for (role, callee) in &config.peers {
        let identity = Arc::clone(&config.identity);
        peers::call(callee.clone(), Arc::clone(&identity), store.reader(), inputs.clone())?;
        if *role == Role::Watcher {
            peers::subscribe(callee.clone(), identity, inputs.clone())?;
        }
    }
    Ok(())
}

fn start_ticks(inputs: &SyncSender<Input>) -> anyhow::Result<()> {
    let essential = Essential { name: "the clock's thread", inputs: inputs.clone() };
    let run = move || {
        while essential.inputs.send(Input::Tick).is_ok() {
            thread::sleep(TICK);
        }
    };
    thread::Builder::new().name("ticks".to_owned()).spawn(run)?;
    Ok(())
}
