//! The role `watch`: follows each network's chain on its own node connections and the log as a witness, raises alarms,
//! trips signers, and signs permits and leases. Trusted to stop, never to move.
//!
//! Only carries: what is theft and what is open is decided by [`kuraban_watch::Watcher`]. Whatever it decides is on
//! disk before anybody hears of it, so the process may be killed at any moment.

mod config;
mod driver;
mod page;
mod peers;
mod signers;
mod store;

use std::{
    convert::Infallible,
    io,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use kuraban_link::{Limits, LinkError, Listener};
use kuraban_watch::watcher::{RestoreError, Settings, SettingsError, Watcher};

use crate::{
    bridge::Bridge,
    clock::Monotonic,
    config::ConfigError,
    http::{Bound, HttpError},
};
use config::Config;
use driver::{Driver, Input};
use page::Gauges;
use store::{Store, StoreError};

/// What waits for the one thread that decides; whoever brings more waits.
const INPUTS_MAX: usize = 1_024;
/// What the listener allows: a writer holds a connection for requests and one for alarms, a gate holds one, and each
/// may come back before its old one is known to be gone.
const LIMITS: Limits =
    Limits { handshakes_max: 64, per_peer_max: 4, handshake_time_max: Duration::from_secs(5) };
/// The longest pause between two attempts to reach a node.
const NODE_RETRY_MAX: Duration = Duration::from_secs(1);

/// Why a watcher does not run.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The configuration does not hold together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its parts contradict each other.
    #[error("the configuration does not hold together")]
    Settings(#[source] Box<SettingsError>),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored does not hold together.
    #[error("the store does not hold together at change {number}")]
    Restore {
        /// Which change.
        number: u64,
        /// What is wrong.
        #[source]
        source: Box<RestoreError>,
    },
    /// The address for machines cannot be listened on.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The address for operators cannot be listened on.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// All that could bring something are gone.
    #[error("every thread that brings something has ended")]
    Alone,
}

impl WatchError {
    /// The exit status: 2 for what the operator gave, 3 for what the system did.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Settings(_) => 2,
            Self::Store(problem) => problem.status(),
            Self::Restore { .. }
            | Self::Link(_)
            | Self::Http(_)
            | Self::Thread(_)
            | Self::Random(_)
            | Self::Alone => 3,
        }
    }
}

/// Creates the store. One that is there is left alone, and that is an error.
///
/// # Errors
/// The configuration does not hold together, or the store cannot be created.
pub fn init(config: &Path) -> Result<String, WatchError> {
    let config = Config::read(config)?;
    let (machine, path) = (config.machine.clone(), config.store.display().to_string());
    let (store, binding) = (config.store.clone(), config.binding());
    // Everything is checked before anything is created.
    watcher(config, Monotonic::start())?;
    Store::create(&store, &binding)?;
    Ok(format!("created {path} for {machine}\n"))
}

/// Runs the watcher until it is killed.
///
/// # Errors
/// The configuration does not hold together, the store cannot be used, or an address cannot be listened on.
pub fn run(config: &Path) -> Result<Infallible, WatchError> {
    let config = Config::read(config)?;
    let clock = Monotonic::start();
    let (wiring, path, binding) = (Wiring::of(&config), config.store.clone(), config.binding());
    let (machine, listen, http) = (config.machine.clone(), config.listen, config.http);
    let (mut watcher, identity, peers) = watcher(config, clock)?;
    let (store, rows) = Store::open(&path, &binding)?;
    let mut restored = 0_u64;
    rows.replay(|number, change| {
        restored = restored.saturating_add(1);
        let restored = watcher.restore(change);
        restored.map_err(|source| WatchError::Restore { number, source: Box::new(source) })
    })?;
    let identity = Arc::new(identity);
    let allowed = peers.keys().copied().collect();
    let listener = Listener::bind(listen, &identity, allowed, LIMITS)?;
    let page = http.map(Bound::bind).transpose()?;
    let (inputs, waiting) = mpsc::sync_channel(INPUTS_MAX);
    let gauges = Arc::new(Gauges::new(wiring.nodes.iter().map(|node| node.network)));
    tracing::info!(
        role = "watch", %machine, link = %listener.addr(),
        http = page.as_ref().map(|page| page.address().to_string()), changes = restored, "started"
    );
    if let Some(page) = page {
        let gauges = Arc::clone(&gauges);
        spawn("http", move || page::serve(page, gauges))?;
    }
    let mut driver = Driver::new(watcher, store, clock, gauges);
    for node in wiring.nodes {
        let (network, inputs) = (node.network, inputs.clone());
        let deliver = move |at, from| inputs.send(Input::Node(network, at, from)).is_ok();
        driver.node(network, Bridge::start(node, deliver).map_err(WatchError::Thread)?);
    }
    for signer in wiring.signers {
        let (identity, inputs, name) = (Arc::clone(&identity), inputs.clone(), signer.0.clone());
        let (trips, waiting) = mpsc::sync_channel(signers::TRIPS_MAX);
        driver.signer(name.clone(), trips);
        spawn(&format!("to-{name}"), move || signers::follow(&signer, &identity, &waiting, &inputs))?;
    }
    spawn("links", move || peers::accept(&listener, &Arc::new(peers), &inputs))?;
    driver.run(&waiting)
}

/// What is connected to, taken out of the configuration before the watcher takes the rest.
struct Wiring {
    nodes: Vec<kuraban_node::p2p::Settings>,
    signers: Vec<crate::config::Peer>,
}

impl Wiring {
    fn of(config: &Config) -> Self {
        let node = |node: &crate::config::Node| {
            let mut p2p = node.p2p.clone();
            // A node that does not answer has stalled; a new connection must not take longer to find out.
            let stall = Duration::from_millis(node.chain.stall_ms);
            p2p.handshake_within = p2p.handshake_within.min(stall);
            p2p.silent_within = p2p.silent_within.min(stall);
            p2p.retry_after_max = NODE_RETRY_MAX;
            p2p
        };
        Self { nodes: config.nodes.iter().map(node).collect(), signers: config.signers.clone() }
    }
}

fn watcher(
    config: Config,
    clock: Monotonic,
) -> Result<(Watcher, kuraban_link::Identity, peers::Peers), WatchError> {
    let peers = peers::allowed(config.charter.roster());
    let chains = config.nodes.iter().map(|node| node.chain.clone()).collect();
    let settings = Settings { chains, log_wait_ms: config.log_wait_ms };
    let watcher = Watcher::new(config.machine, config.charter, config.secrets, &settings, driver::now(clock))
        .map_err(|problem| WatchError::Settings(Box::new(problem)))?;
    Ok((watcher, config.identity, peers))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), WatchError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(WatchError::Thread)
}
