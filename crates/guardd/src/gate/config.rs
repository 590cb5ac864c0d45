//! A gate's configuration: its name, where it listens, and whose permits it takes.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use kuraban_base::MachineId;
use kuraban_link::Identity;
use kuraban_vault::{Role, Roster};
use serde::Deserialize;

use crate::{
    config::{self, ConfigError, RawPeer},
    own::Own,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    machine: String,
    listen: String,
    roster: PathBuf,
    secrets: RawSecrets,
    #[serde(default)]
    watcher: Vec<RawPeer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    tls: PathBuf,
}

/// A watcher whose permits are taken.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) machine: MachineId,
    pub(super) address: SocketAddr,
    /// The key that it shows.
    pub(super) tls: [u8; 32],
}

/// What a gate is set up with.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) machine: MachineId,
    pub(super) listen: SocketAddr,
    pub(super) roster: Roster,
    pub(super) identity: Identity,
    pub(super) watchers: Vec<Watcher>,
}

impl Config {
    /// Reads it, with everything that it names.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::toml(path)?;
        let folder = config::folder(path);
        let machine = config::parse("machine", &raw.machine)?;
        let listen = config::parse("listen", &raw.listen)?;
        let roster = config::roster(&folder.join(&raw.roster))?;
        let own = Own { roster: &roster, machine: &machine, role: Role::Gate };
        let identity = own.identity(&folder.join(&raw.secrets.tls))?;
        let peers = config::peers("watcher", &raw.watcher, &roster, Role::Watcher)?;
        if peers.is_empty() {
            let problem = "there is none, and a gate without one never opens: want at least one [[watcher]]";
            return Err(ConfigError::field("watcher", problem));
        }
        let watchers =
            peers.into_iter().map(|(machine, address, tls)| Watcher { machine, address, tls }).collect();
        Ok(Self { machine, listen, roster, identity, watchers })
    }
}
