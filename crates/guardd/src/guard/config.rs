//! The writer's configuration: TOML as written, and what it means once everything in it was found to hold together.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use kuraban_base::MachineId;
use kuraban_link::Identity;
use kuraban_proof::NoteSigner;
use kuraban_vault::{Charter, Role, Roster};
use serde::Deserialize;

use super::peers::Callee;
use crate::{
    config::{self, CharterFiles, ConfigError, Node, RawNode, RawPeer},
    own::Own,
    secrets,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    machine: String,
    listen: String,
    store: PathBuf,
    retention_days: u32,
    roster: PathBuf,
    policy: PathBuf,
    vaults: Vec<PathBuf>,
    secrets: RawSecrets,
    #[serde(default)]
    signer: Vec<RawPeer>,
    #[serde(default)]
    watcher: Vec<RawPeer>,
    #[serde(default)]
    node: Vec<RawNode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    tls: PathBuf,
    log: PathBuf,
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
    /// Every signer of the roster.
    pub(super) signers: Vec<Callee>,
    /// Every watcher of the roster.
    pub(super) watchers: Vec<Callee>,
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
        let files = CharterFiles { roster: raw.roster, policy: raw.policy, vaults: raw.vaults };
        let charter = files.load(folder)?;
        let roster = charter.roster();
        let me: MachineId = config::parse("machine", &raw.machine)?;
        let own = Own { roster, machine: &me, role: Role::Writer };
        let identity = own.identity(&folder.join(&raw.secrets.tls))?;
        let log = log_key(roster, &folder.join(&raw.secrets.log))?;
        if raw.retention_days == 0 {
            return Err(ConfigError::field("retention_days", "is 0, want at least 1"));
        }
        let signers = peers("signer", &raw.signer, roster, Role::Signer)?;
        let watchers = peers("watcher", &raw.watcher, roster, Role::Watcher)?;
        let nodes = config::nodes(&raw.node, &charter, folder)?;
        for node in &nodes {
            if node.rpc.is_none() && node.fee_rate.is_none() {
                let place = format!("node of {}", node.chain.network);
                return Err(ConfigError::field(&place, "has neither rpc nor fee_rate, want at least one"));
            }
        }
        let config = Self {
            me,
            retention_days: raw.retention_days,
            identity: Arc::new(identity),
            store: folder.join(&raw.store),
            listen: config::parse("listen", &raw.listen)?,
            signers,
            watchers,
            nodes,
            charter: Arc::new(charter),
        };
        Ok((config, log))
    }
}

/// The log's key, if it is the one that the roster names.
fn log_key(roster: &Roster, file: &Path) -> Result<NoteSigner, ConfigError> {
    let log = NoteSigner::from_seed(roster.log().name().clone(), &*secrets::seed(file)?);
    if log.verifier() == roster.log() {
        return Ok(log);
    }
    let problem = format!("is the key {}, the roster has {}", log.verifier(), roster.log());
    Err(ConfigError::field("secrets.log", problem))
}

/// Every machine of the role stands once in the configuration, and no other.
fn peers(table: &str, raw: &[RawPeer], roster: &Roster, role: Role) -> Result<Vec<Callee>, ConfigError> {
    let peers = config::peers(table, raw, roster, role)?;
    if let Some((missing, _)) =
        roster.machines(role).find(|(id, _)| peers.iter().all(|(own, _, _)| own != *id))
    {
        return Err(ConfigError::field(table, format!("{missing} is on the roster and missing here")));
    }
    Ok(peers.into_iter().map(|(id, address, key)| Callee { id, address, key }).collect())
}
