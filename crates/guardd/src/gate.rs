//! The role `gate`: answers gateways from the watchers' permits. Keeps nothing on disk; closed at its start, and closed
//! again when the watchers are silent for two seconds.
//!
//! Only carries: what is open is decided by [`kuraban_vault::permit::Gate`].

mod answer;
mod config;
mod passages;
mod stream;

use std::{convert::Infallible, io, path::Path, sync::Arc, thread};

use crate::{
    config::ConfigError,
    http::{Bound, HttpError},
};
use config::Config;
use passages::Passages;

/// Threads that answer.
const THREADS: usize = 2;

/// Why a gate does not run.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The configuration does not hold together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be served.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl GateError {
    /// The exit status: 2 for what the operator gave, 3 for what the system did.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Http(_) | Self::Thread(_) => 3,
        }
    }
}

/// A gate keeps nothing, so there is nothing to create; the configuration is checked.
///
/// # Errors
/// The configuration does not hold together.
pub fn init(config: &Path) -> Result<String, GateError> {
    let config = Config::read(config)?;
    Ok(format!(
        "nothing to create: gate {} keeps nothing on disk; its configuration is good\n",
        config.machine
    ))
}

/// Runs the gate until it is killed.
///
/// # Errors
/// The configuration does not hold together, or the address cannot be listened on.
pub fn run(config: &Path) -> Result<Infallible, GateError> {
    let Config { machine, listen, roster, identity, watchers } = Config::read(config)?;
    let bound = Bound::bind(listen)?;
    let names = watchers.iter().map(|watcher| watcher.machine.clone()).collect();
    let (passages, identity) = (Arc::new(Passages::new(roster, names)), Arc::new(identity));
    for watcher in watchers {
        let (passages, identity) = (Arc::clone(&passages), Arc::clone(&identity));
        thread::Builder::new()
            .name(format!("from-{}", watcher.machine))
            .spawn(move || stream::follow(&watcher, &identity, &passages))
            .map_err(GateError::Thread)?;
    }
    let address = bound.address();
    tracing::info!(role = "gate", %machine, http = %address, "started");
    Ok(bound.serve(answer::router(passages), THREADS)?)
}
