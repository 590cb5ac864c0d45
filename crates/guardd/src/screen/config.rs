//! A screening service's configuration: where it listens, and which stores it answers from.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::feed;
use crate::config::{self, ConfigError};

/// Most threads that answer.
const THREADS_MAX: usize = 64;
/// Most stores.
const STORES_MAX: usize = 16;
/// Shortest and longest pause between two questions to a feed.
const POLL_MS_MIN: u64 = 50;
const POLL_MS_MAX: u64 = 3_600_000;
/// Longest name of a store, in bytes.
const NAME_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    listen: String,
    threads: usize,
    #[serde(default)]
    store: Vec<RawStore>,
    feed: Option<RawFeed>,
    appeals: Option<RawAppeals>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAppeals {
    folder: PathBuf,
    operator: String,
}

/// Where appeals are kept and shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct AppealsAt {
    pub(super) folder: PathBuf,
    /// Where the operator reads them.
    pub(super) operator: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFeed {
    url: String,
    vkey: String,
    folder: PathBuf,
    poll_ms: u64,
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
    pub(super) feed: Option<feed::Settings>,
    pub(super) appeals: Option<AppealsAt>,
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
        let fewest = usize::from(raw.feed.is_none());
        if !(fewest..=STORES_MAX).contains(&raw.store.len()) {
            let problem = format!(
                "{} of them, want 1 to {STORES_MAX} tables [[store]], or none and a [feed]",
                raw.store.len()
            );
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
        let feed = raw.feed.map(|raw| raw.parse(folder)).transpose()?;
        let appeals = raw.appeals.map(|raw| {
            let operator = config::parse("appeals.operator", &raw.operator)?;
            Ok::<_, ConfigError>(AppealsAt { folder: folder.join(raw.folder), operator })
        });
        Ok(Self { listen, threads: raw.threads, stores, feed, appeals: appeals.transpose()? })
    }
}

impl RawFeed {
    fn parse(self, folder: &Path) -> Result<feed::Settings, ConfigError> {
        let host = self.url.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if host.is_none() || self.url.contains(['?', '#', ' ']) {
            let problem =
                format!("{:?}, want http://host[:port]/path; a proxy beside this may end TLS", self.url);
            return Err(ConfigError::field("feed.url", problem));
        }
        if !(POLL_MS_MIN..=POLL_MS_MAX).contains(&self.poll_ms) {
            let problem = format!("{}, want {POLL_MS_MIN} to {POLL_MS_MAX}", self.poll_ms);
            return Err(ConfigError::field("feed.poll_ms", problem));
        }
        Ok(feed::Settings {
            url: self.url,
            key: config::parse("feed.vkey", &self.vkey)?,
            folder: folder.join(self.folder),
            poll: Duration::from_millis(self.poll_ms),
        })
    }
}

/// Under which name hits of the feed come.
pub(super) const FEED: &str = "feed";
