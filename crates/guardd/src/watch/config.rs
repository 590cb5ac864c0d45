//! A watcher's configuration: its charter, its keys, its nodes, and the signers that it trips.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use kuraban_base::MachineId;
use kuraban_link::Identity;
use kuraban_vault::{Charter, Role};
use kuraban_watch::watcher::Secrets;
use serde::Deserialize;

use super::store::Binding;
use crate::{
    config::{self, CharterFiles, ConfigError, Node, Peer, RawNode, RawPeer},
    own::Own,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    machine: String,
    listen: String,
    http: Option<String>,
    store: PathBuf,
    roster: PathBuf,
    policy: PathBuf,
    vaults: Vec<PathBuf>,
    log_wait_ms: Option<u64>,
    secrets: RawSecrets,
    #[serde(default)]
    node: Vec<RawNode>,
    #[serde(default)]
    signer: Vec<RawPeer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    tls: PathBuf,
    witness: PathBuf,
    statement: PathBuf,
}

/// What a watcher is set up with.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) machine: MachineId,
    /// Where writer and gates connect.
    pub(super) listen: SocketAddr,
    /// Where operators' programs ask.
    pub(super) http: Option<SocketAddr>,
    pub(super) store: PathBuf,
    pub(super) charter: Arc<Charter>,
    pub(super) identity: Identity,
    pub(super) secrets: Secrets,
    pub(super) nodes: Vec<Node>,
    pub(super) signers: Vec<Peer>,
    pub(super) log_wait_ms: u64,
}

impl Config {
    /// Reads it, with everything that it names.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::toml(path)?;
        let folder = config::folder(path);
        let machine: MachineId = config::parse("machine", &raw.machine)?;
        let files = CharterFiles { roster: raw.roster, policy: raw.policy, vaults: raw.vaults };
        let charter = Arc::new(files.load(folder)?);
        let roster = charter.roster();
        let own = Own { roster, machine: &machine, role: Role::Watcher };
        let identity = own.identity(&folder.join(&raw.secrets.tls))?;
        let secrets = Secrets {
            statement: own.statement(&folder.join(&raw.secrets.statement))?,
            cosigner: own.cosigner(&folder.join(&raw.secrets.witness))?,
        };
        let signers = config::peers("signer", &raw.signer, roster, Role::Signer)?;
        let reached = |name: &MachineId| signers.iter().any(|(signer, ..)| signer == name);
        if let Some((missing, _)) = roster.machines(Role::Signer).find(|(name, _)| !reached(name)) {
            let problem = format!("{missing} has no address here, and a trip must reach every signer");
            return Err(ConfigError::field("signer", problem));
        }
        let alone = roster.machines(Role::Watcher).count() == 1;
        let log_wait_ms = match raw.log_wait_ms {
            Some(wait_ms) => wait_ms,
            None if alone => 0,
            None => {
                let problem =
                    "is missing, and with several watchers a spend may have to wait for its entries";
                return Err(ConfigError::field("log_wait_ms", problem));
            }
        };
        Ok(Self {
            listen: config::parse("listen", &raw.listen)?,
            http: raw.http.map(|http| config::parse("http", &http)).transpose()?,
            store: folder.join(raw.store),
            nodes: config::nodes(&raw.node, &charter, folder)?,
            machine,
            charter,
            identity,
            secrets,
            signers,
            log_wait_ms,
        })
    }

    /// What the store belongs to.
    pub(super) fn binding(&self) -> Binding {
        let (roster, policy) = (self.charter.roster().hash(), self.charter.policy().hash());
        Binding { machine: self.machine.clone(), roster, policy }
    }
}
