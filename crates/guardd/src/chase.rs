//! The role `chase`: follows one chain with a connection of its own, keeps its index, follows the cases that are given to it
//! with every block and every transaction that waits for one, and tells a signed feed.
//!
//! Only carries: where stolen units are is decided by [`kuraban_trace`]. It holds the feed's key and no other.

mod cases;
mod config;
mod driver;
mod hubs;
mod node;
mod page;

use std::{
    convert::Infallible,
    io,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use kuraban_node::{
    fetch::{Fetch, FetchError},
    p2p::Settings,
};
use kuraban_proof::{CheckpointError, Resource, SignedCheckpoint, TreeHead};
use kuraban_trace::{
    feed::{AppendError, Feed, Replica, ResumeError, UpdateError},
    index::{
        Corrupted, FileError, OpenError, Start, Writer,
        build::{self, COMMIT_BYTES, FillError, Pace},
        reading,
    },
    live::Stops,
    tags::{Store, StoreError},
};

use crate::{
    config::ConfigError,
    http::{Bound, HttpError},
    screen::{Shelf, ShelfError},
};
use config::Config;
use driver::Driver;
use node::NodeBlocks;
use page::{Page, Status};

/// How long the node may take for one thing that it is asked for.
const WITHIN: Duration = Duration::from_secs(30);

/// Why a chase does not run.
#[derive(Debug, thiserror::Error)]
pub enum ChaseError {
    /// The configuration does not hold together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store of tags cannot be used.
    #[error("the store of tags cannot be used")]
    Store(#[from] StoreError),
    /// The address cannot be served.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The node cannot be spoken to.
    #[error("node {node}")]
    Node {
        /// Where.
        node: String,
        /// Why.
        #[source]
        source: Box<FetchError>,
    },
    /// The index cannot be opened.
    #[error("the index cannot be opened")]
    Index(#[source] Box<OpenError>),
    /// The index cannot be brought to the node's chain.
    #[error("the index cannot be brought to the node's chain")]
    Fill(#[source] Box<FillError>),
    /// A file of the index is corrupted.
    #[error("the index cannot be read")]
    Corrupted(#[from] Corrupted),
    /// A file of the index cannot be written.
    #[error("the index cannot be written")]
    Write(#[from] FileError),
    /// A file of the feed cannot be read or written.
    #[error("the feed's folder")]
    Shelf(#[from] ShelfError),
    /// There is no feed in the folder.
    #[error("there is no feed in {folder}: run init first")]
    NoFeed {
        /// Where.
        folder: String,
    },
    /// What is in the feed's folder is not the feed.
    #[error("the feed's folder does not hold this feed")]
    Replica(#[source] Box<UpdateError<ShelfError>>),
    /// The feed cannot be taken up where it ended.
    #[error("the feed cannot be taken up where it ended")]
    Resume(#[source] Box<ResumeError<ShelfError>>),
    /// Entries that do not fit the feed.
    #[error("what is to be told does not fit the feed")]
    Append(#[from] AppendError),
    /// A checkpoint that cannot be signed.
    #[error("the feed's head cannot be signed")]
    Sign(#[from] CheckpointError),
}

impl ChaseError {
    /// The exit status: 2 for what the operator gave, 3 for what the system did.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Store(_)
            | Self::NoFeed { .. }
            | Self::Replica(_)
            | Self::Resume(_)
            | Self::Corrupted(_) => 2,
            Self::Http(_)
            | Self::Thread(_)
            | Self::Node { .. }
            | Self::Index(_)
            | Self::Fill(_)
            | Self::Write(_)
            | Self::Shelf(_)
            | Self::Append(_)
            | Self::Sign(_) => 3,
        }
    }
}

/// Makes an empty index and a feed without entries, and says by which key readers verify it. What is there already stays.
///
/// # Errors
/// The configuration does not hold together, or a folder cannot be made.
pub fn init(config: &Path) -> Result<String, ChaseError> {
    let config = Config::read(config)?;
    let made = Writer::create(&config.index, config.network, Start::GENESIS);
    made.map_err(|error| ChaseError::Index(Box::new(error)))?.close()?;
    Shelf::create(&config.feed)?;
    let shelf = Shelf::open(&config.feed)?;
    if shelf.checkpoint()?.is_none() {
        let empty = SignedCheckpoint::sign(&config.signer, TreeHead::empty())?;
        shelf.put_checkpoint(&empty.to_string())?;
    }
    Ok(format!(
        "index {} and feed {} are ready; readers verify the feed by\n{}\n",
        config.index.display(),
        config.feed.display(),
        config.signer.verifier()
    ))
}

/// Runs the role until it is killed. It serves what it has while it catches up.
///
/// # Errors
/// The configuration does not hold together, the node is not there, or a file cannot be used.
pub fn run(config: &Path) -> Result<Infallible, ChaseError> {
    let config = Config::read(config)?;
    let bound = Bound::bind(config.listen)?;
    let address = bound.address();
    let shelf = Shelf::open(&config.feed)?;
    let feed = feed(&config, &shelf)?;
    let page = Arc::new(Page { status: Mutex::new(Status::default()), shelf });
    let served = Arc::clone(&page);
    thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || page::serve(bound, served))
        .map_err(ChaseError::Thread)?;
    tracing::info!(role = "chase", network = %config.network, http = %address, "started");

    let store = config.store.as_deref().map(Store::open).transpose()?;
    let mut stops = Stops::new();
    for (script, place) in &config.stops {
        stops = stops.with(script.clone(), place.clone());
    }
    if let Some(store) = &store {
        stops = stops.with_tags(store, config.network);
    }
    let settings = Settings::near(config.network, config.node.clone());
    let node = |source| ChaseError::Node { node: config.node.clone(), source: Box::new(source) };
    let mut fetch = Fetch::start(settings, WITHIN).map_err(node)?;
    reading(|| {
        let writer = caught_up(&config, &mut fetch)?;
        Driver::new(&config, &stops, page, writer, fetch, feed)?.run()
    })?
}

/// The index, brought to the node's chain, which reads blocks ahead while that takes long.
fn caught_up(config: &Config, fetch: &mut Fetch) -> Result<Writer, ChaseError> {
    let mut told = 0_u64;
    let mut progress = |progress: build::Progress| {
        let per_mille = progress.blocks.saturating_mul(1_000).checked_div(progress.blocks_of).unwrap_or(0);
        if per_mille >= told.saturating_add(10) {
            told = per_mille;
            tracing::info!(height = progress.height.blocks(), per_mille, "catching-up");
        }
    };
    let pace = Pace { commit_bytes: COMMIT_BYTES, progress: &mut progress };
    let (network, node) = (config.network, &config.node);
    let followed =
        build::follow(&config.index, network, |index| NodeBlocks::new(network, node, fetch, index), pace);
    let (index, outcome) = followed.map_err(|error| ChaseError::Fill(Box::new(error)))?;
    tracing::info!(appended = outcome.appended, taken_off = outcome.taken_off, "caught-up");
    drop(index);
    Writer::open(&config.index).map_err(|error| ChaseError::Index(Box::new(error)))
}

/// The feed, where its last checkpoint ends.
fn feed(config: &Config, shelf: &Shelf) -> Result<Feed, ChaseError> {
    let folder = || config.feed.display().to_string();
    let checkpoint = shelf.checkpoint()?.ok_or_else(|| ChaseError::NoFeed { folder: folder() })?;
    let read = |resource: Resource| shelf.read(resource);
    let mut replica = Replica::new(config.signer.verifier().clone());
    let updated = replica.update(&checkpoint, read, |_, _| {});
    updated.map_err(|error| ChaseError::Replica(Box::new(error)))?;
    Feed::resume(replica, read).map_err(|error| ChaseError::Resume(Box::new(error)))
}
