//! A screening service's configuration: where it listens, and which stores it answers from.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::config::{self, ConfigError};

/// Most threads that answer.
const THREADS_MAX: usize = 64;
/// Most stores.
const STORES_MAX: usize = 16;
/// Longest name of a store, in bytes.
const NAME_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    listen: String,
    threads: usize,
    #[serde(default)]
    store: Vec<RawStore>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    name: String,
    folder: PathBuf,
}

/// A store as it is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StoreAt {
    pub(super) name: String,
    pub(super) folder: PathBuf,
}

/// What a screening service is set up with.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) listen: SocketAddr,
    pub(super) threads: usize,
    pub(super) stores: Vec<StoreAt>,
}

impl Config {
    /// Reads it.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::toml(path)?;
        let folder = config::folder(path);
        let listen = config::parse("listen", &raw.listen)?;
        if !(1..=THREADS_MAX).contains(&raw.threads) {
            let problem = format!("{}, want 1 to {THREADS_MAX}, such as the number of cores", raw.threads);
            return Err(ConfigError::field("threads", problem));
        }
        if !(1..=STORES_MAX).contains(&raw.store.len()) {
            let problem = format!("{} of them, want 1 to {STORES_MAX} tables [[store]]", raw.store.len());
            return Err(ConfigError::field("store", problem));
        }
        let mut names = BTreeSet::new();
        let store = |RawStore { name, folder: at }: RawStore| {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            if !plain || !(1..=NAME_BYTES_MAX).contains(&name.len()) || name == FEED {
                let problem =
                    format!("{name:?}, want 1 to {NAME_BYTES_MAX} of a-z A-Z 0-9 . - _, and not `{FEED}`");
                return Err(ConfigError::field("store.name", problem));
            }
            if !names.insert(name.clone()) {
                return Err(ConfigError::field("store.name", format_args!("{name} stands there twice")));
            }
            Ok(StoreAt { name, folder: folder.join(at) })
        };
        let stores = raw.store.into_iter().map(store).collect::<Result<_, _>>()?;
        Ok(Self { listen, threads: raw.threads, stores })
    }
}

/// Under which name hits of the feed come.
pub(super) const FEED: &str = "feed";
