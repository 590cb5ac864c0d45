//! The writer's configuration: TOML as written, and what it means once everything in it was found to hold together.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use kuraban_base::{MachineId, hex};
use kuraban_link::Identity;
use kuraban_proof::NoteSigner;
use kuraban_vault::{Charter, Role};
use serde::Deserialize;

use super::peers::Callee;
use crate::{
    config::{self, CharterFiles, ConfigError, Node, RawNode, RawPeer},
    secrets,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    machine: String,
    retention_days: u32,
    charter: CharterFiles,
    secrets: RawSecrets,
    store: RawStore,
    http: RawHttp,
    #[serde(default)]
    peer: Vec<RawPeer>,
    #[serde(default)]
    node: Vec<RawNode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    tls: PathBuf,
    log: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    listen: String,
}

/// A writer's configuration that holds together.
#[derive(Debug)]
pub(super) struct Config {
    /// This machine.
    pub(super) me: MachineId,
    /// Its own copy of roster, policy and vaults.
    pub(super) charter: Arc<Charter>,
    /// How long bodies are kept, in days; stands in the log's first entry.
    pub(super) retention_days: u32,
    /// Its key on links.
    pub(super) identity: Arc<Identity>,
    /// The store's file.
    pub(super) store: PathBuf,
    /// Where people and services reach it. Reading is not authenticated: an address inside.
    pub(super) listen: SocketAddr,
    /// Every signer and watcher of the roster.
    pub(super) peers: Vec<(Role, Callee)>,
    /// One node for each network that has a vault.
    pub(super) nodes: Vec<Node>,
}

impl Config {
    /// Reads the configuration and all that it names, and the log's key.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, or parts that do not fit together.
    pub(super) fn load(path: &Path) -> Result<(Self, NoteSigner), ConfigError> {
        let raw: RawConfig = config::toml(path)?;
        let folder = config::folder(path);
        let charter = raw.charter.load(folder)?;
        let me: MachineId = raw.machine.parse().map_err(|problem| ConfigError::field("machine", problem))?;
        let seed = secrets::seed(&folder.join(&raw.secrets.tls))?;
        let identity = Identity::from_seed(&seed);
        let origin = charter.roster().log().name().clone();
        let seed = secrets::seed(&folder.join(&raw.secrets.log))?;
        let log = NoteSigner::from_seed(origin, &seed);
        let own = charter.roster().machine(&me).filter(|machine| machine.role == Role::Writer);
        match own {
            None => return Err(ConfigError::field("machine", format!("{me} is no writer on the roster"))),
            Some(own) if own.tls != identity.public() => {
                let (found, want) = (hex::encode(&identity.public()), hex::encode(&own.tls));
                let problem = format!("is the key {found}, the roster has {want} for {me}");
                return Err(ConfigError::field("secrets.tls", problem));
            }
            Some(_) => {}
        }
        if log.verifier() != charter.roster().log() {
            let (found, want) = (log.verifier(), charter.roster().log());
            let problem = format!("is the key {found}, the roster has {want}");
            return Err(ConfigError::field("secrets.log", problem));
        }
        if raw.retention_days == 0 {
            return Err(ConfigError::field("retention_days", "is 0, want at least 1"));
        }
        let listen = raw.http.listen.parse();
        let listen = listen.map_err(|problem| {
            ConfigError::field("http.listen", format!("{:?}: {problem}", raw.http.listen))
        })?;
        let nodes = config::nodes(&raw.node, &charter, folder)?;
        for node in &nodes {
            if node.rpc.is_none() && node.fee_rate.is_none() {
                let place = format!("node of {}", node.chain.network);
                return Err(ConfigError::field(&place, "has neither rpc nor fee_rate, want at least one"));
            }
        }
        let config = Self {
            peers: peers(&raw.peer, &charter)?,
            me,
            charter: Arc::new(charter),
            retention_days: raw.retention_days,
            identity: Arc::new(identity),
            store: folder.join(&raw.store.file),
            listen,
            nodes,
        };
        Ok((config, log))
    }
}

/// Every machine that co-signs stands once in the configuration, and no other.
fn peers(raw: &[RawPeer], charter: &Charter) -> Result<Vec<(Role, Callee)>, ConfigError> {
    let mut found: BTreeMap<MachineId, SocketAddr> = BTreeMap::new();
    for peer in raw {
        let (machine, address) = peer.parse()?;
        if found.insert(machine.clone(), address).is_some() {
            return Err(ConfigError::field(&format!("peer {machine}"), "stands there twice"));
        }
    }
    let mut peers = Vec::new();
    for (id, machine) in charter.roster().witnesses() {
        let address = found.remove(id).ok_or_else(|| {
            ConfigError::field(&format!("peer {id}"), "is missing; the roster has it as a witness")
        })?;
        peers.push((machine.role, Callee { id: id.clone(), address, key: machine.tls }));
    }
    match found.keys().next() {
        None => Ok(peers),
        Some(stranger) => {
            let place = format!("peer {stranger}");
            Err(ConfigError::field(&place, "is no signer or watcher on the roster"))
        }
    }
}
