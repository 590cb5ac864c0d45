//! The role `screen`: says what is known of addresses, to programs that ask one by one, by thousands, or without naming them.
//!
//! Only carries: what a tag says and whether it can be used is decided by [`kuraban_trace::tags`]. It holds no key and
//! moves nothing.

mod appeals;
mod ask;
mod body;
mod bulk;
mod config;
mod desk;
mod feed;
mod hits;
mod onward;
mod operator;
mod private;
mod refusal;
mod route;
mod serve;
mod sources;

use std::{convert::Infallible, io, path::Path, sync::Arc, thread};

use kuraban_trace::tags::StoreError;

use crate::{
    config::ConfigError,
    http::{Bound, HttpError},
};
use appeals::Appeals;
pub use appeals::KeptError;
use config::{AppealsAt, Config};
use desk::Desk;
pub use feed::FeedError;
use feed::Follower;
pub(crate) use feed::{Shelf, ShelfError};
use sources::Sources;

/// Why a screening service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// The configuration does not hold together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A store cannot be used.
    #[error("a store cannot be used")]
    Store(#[from] StoreError),
    /// The address cannot be served.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The feed's copy cannot be used.
    #[error("the feed cannot be followed")]
    Feed(#[from] FeedError),
    /// Appeals cannot be kept.
    #[error("appeals cannot be kept")]
    Appeals(#[from] KeptError),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl ScreenError {
    /// The exit status: 2 for what the operator gave, 3 for what the system did.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Store(_) | Self::Feed(_) | Self::Appeals(_) => 2,
            Self::Http(_) | Self::Thread(_) => 3,
        }
    }
}

/// Makes the folders of the feed's copy and of appeals; stores are made by `kuraban tags import`.
///
/// # Errors
/// The configuration does not hold together, or the folder cannot be made.
pub fn init(config: &Path) -> Result<String, ScreenError> {
    let Config { stores, feed, appeals, .. } = Config::read(config)?;
    let mut text = format!("{} stores are named; the configuration is good\n", stores.len());
    if let Some(feed) = feed {
        Shelf::create(&feed.folder).map_err(FeedError::from)?;
        text += &format!("{} is ready for the feed\n", feed.folder.display());
    }
    if let Some(appeals) = appeals {
        Appeals::create(&appeals.folder)?;
        text += &format!("{} is ready for appeals\n", appeals.folder.display());
    }
    Ok(text)
}

/// Runs the service until it is killed.
///
/// # Errors
/// The configuration does not hold together, a store cannot be used, or the address cannot be listened on.
pub fn run(config: &Path) -> Result<Infallible, ScreenError> {
    let Config { listen, threads, stores, feed, appeals } = Config::read(config)?;
    let mut sources = Sources::open(&stores)?;
    let follower = feed.map(Follower::open).transpose()?;
    if let Some(follower) = &follower {
        sources = sources.with_live(Arc::new(follower.live()));
    }
    let bound = Bound::bind(listen)?;
    let appeals = appeals.map(received).transpose()?;
    let desk = Arc::new(Desk::new(sources, appeals));
    let watching = Arc::clone(&desk);
    thread::Builder::new()
        .name("stores".to_owned())
        .spawn(move || sources::watch(&stores, &watching))
        .map_err(ScreenError::Thread)?;
    if let Some(follower) = follower {
        let desk = Arc::clone(&desk);
        let follow = move || follower.follow(&desk);
        thread::Builder::new().name("feed".to_owned()).spawn(follow).map_err(ScreenError::Thread)?;
    }
    let (address, tags) = (bound.address(), desk.now().tags());
    tracing::info!(role = "screen", http = %address, tags, "started");
    Ok(serve::serve(bound, &desk, threads)?)
}

/// Appeals that may be taken, and shown to the operator.
fn received(at: AppealsAt) -> Result<Arc<Appeals>, ScreenError> {
    let appeals = Arc::new(Appeals::open(&at.folder)?);
    let (bound, shown) = (Bound::bind(at.operator)?, Arc::clone(&appeals));
    let run = move || operator::serve(bound, shown);
    thread::Builder::new().name("operator".to_owned()).spawn(run).map_err(ScreenError::Thread)?;
    Ok(appeals)
}
