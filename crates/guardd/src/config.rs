//! The parts of configuration that the roles share: where the charter's files stand, which machines and nodes there are.
//!
//! Decides whether files hold together. Unknown keys are errors and nothing that guards money has a default. Paths are
//! relative to the folder of the configuration file.

use core::{fmt::Display, str::FromStr};
use std::{
    collections::BTreeSet,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use kuraban_base::{Amount, Height, MachineId};
use kuraban_chain::btc::Network;
use kuraban_node::{
    p2p,
    rpc::{Auth, Rpc},
};
use kuraban_vault::{Charter, Policy, PolicyError, Role, Roster, RosterError, Vault, VaultError};
use kuraban_watch::chain;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{own::OwnKeyError, secrets::SecretError};

/// Largest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest text of a problem that repeats the line it is in.
const SHOWN_BYTES_MAX: usize = 2_048;
/// How long a node may take to answer a call.
const RPC_WITHIN: Duration = Duration::from_secs(10);

/// A configuration under which a role must not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{} cannot be read", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not TOML of the wanted shape.
    #[error("{} is not as docs/configuration.md describes: {problem}", file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// A field whose value is not allowed.
    #[error("{place}: {problem}")]
    Field {
        /// Table and name.
        place: String,
        /// What is wrong, what was expected.
        problem: String,
    },
    /// The roster does not hold together.
    #[error("roster {}", file.display())]
    Roster {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: RosterError,
    },
    /// The policy does not hold together, or not with roster and vaults.
    #[error("policy {}", file.display())]
    Policy {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: PolicyError,
    },
    /// A vault does not hold together.
    #[error("vault {}", file.display())]
    Vault {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: VaultError,
    },
    /// A secret cannot be had.
    #[error("a secret cannot be had")]
    Secret(#[from] SecretError),
    /// An own key cannot be used.
    #[error("an own key cannot be used")]
    OwnKey(#[from] OwnKeyError),
}

impl ConfigError {
    /// A field that is not allowed.
    #[must_use]
    pub fn field(place: &str, problem: impl Display) -> Self {
        Self::Field { place: place.to_owned(), problem: problem.to_string() }
    }
}

/// Reads a text file.
///
/// # Errors
/// It cannot be read, or has more than 4 MiB.
pub fn text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::File { file: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        let problem = format!("{bytes} bytes, want at most {FILE_BYTES_MAX}");
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, problem)));
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// Reads a TOML file.
///
/// # Errors
/// It cannot be read, or is not of the shape.
pub fn toml<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    toml::from_str(&text(path)?)
        .map_err(|error| ConfigError::Toml { file: path.to_owned(), problem: shown(&error) })
}

/// What is wrong, with the line if it is short: a log must not grow by a whole file.
fn shown(error: &toml::de::Error) -> String {
    let whole = error.to_string();
    if whole.len() <= SHOWN_BYTES_MAX {
        return whole.trim_end().to_owned();
    }
    let at = error.span().map_or(0, |span| span.start);
    format!("at byte {at} of a long line: {}", error.message())
}

/// The folder to which the paths of a configuration file are relative.
#[must_use]
pub fn folder(config: &Path) -> &Path {
    config.parent().unwrap_or(Path::new(""))
}

/// Table `[charter]`: this machine's own copy of roster, policy and vaults.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharterFiles {
    /// Who is who.
    pub roster: PathBuf,
    /// What may move.
    pub policy: PathBuf,
    /// The vaults, one file each.
    pub vaults: Vec<PathBuf>,
}

impl CharterFiles {
    /// Reads the files and binds them together.
    ///
    /// # Errors
    /// One cannot be read or does not hold together.
    pub fn load(&self, folder: &Path) -> Result<Charter, ConfigError> {
        let file = folder.join(&self.roster);
        let roster =
            Roster::from_toml(&text(&file)?).map_err(|source| ConfigError::Roster { file, source })?;
        let mut vaults = Vec::new();
        for path in &self.vaults {
            let file = folder.join(path);
            let vault = Vault::from_toml(&text(&file)?);
            vaults.push(vault.map_err(|source| ConfigError::Vault { file, source })?);
        }
        let file = folder.join(&self.policy);
        let policy = Policy::from_toml(&text(&file)?);
        let charter = policy.and_then(|policy| Charter::new(roster, policy, vaults));
        charter.map_err(|source| ConfigError::Policy { file, source })
    }
}

/// Reads a roster file.
///
/// # Errors
/// It cannot be read or does not hold together.
pub fn roster(path: &Path) -> Result<Roster, ConfigError> {
    let file = path.to_owned();
    Roster::from_toml(&text(path)?).map_err(|source| ConfigError::Roster { file, source })
}

/// The value of a field that is one word.
///
/// # Errors
/// It is malformed.
pub fn parse<T: FromStr<Err: Display>>(field: &str, word: &str) -> Result<T, ConfigError> {
    word.parse().map_err(|problem| ConfigError::field(field, format_args!("{word:?}: {problem}")))
}

/// A machine of the roster: its name, where it listens, the key that it shows.
pub type Peer = (MachineId, SocketAddr, [u8; 32]);

/// Machines of one role, each with the key that the roster has for it.
///
/// # Errors
/// As [`RawPeer::parse`]; a machine that is not on the roster in this role, or stands there twice.
pub fn peers(table: &str, raw: &[RawPeer], roster: &Roster, role: Role) -> Result<Vec<Peer>, ConfigError> {
    let mut names = BTreeSet::new();
    let peer = |raw: &RawPeer| {
        let (machine, address) = raw.parse()?;
        let entry = roster.machine(&machine).filter(|entry| entry.role == role);
        let tls = entry.map(|entry| entry.tls);
        let tls =
            tls.ok_or_else(|| ConfigError::field(table, format_args!("the roster has no {role} {machine}")))?;
        if !names.insert(machine.clone()) {
            return Err(ConfigError::field(table, format_args!("{machine} stands there twice")));
        }
        Ok((machine, address, tls))
    };
    raw.iter().map(peer).collect()
}

/// One `[[peer]]`: where a machine of the roster listens.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPeer {
    machine: String,
    address: String,
}

impl RawPeer {
    /// The machine and its address.
    ///
    /// # Errors
    /// A malformed name or address.
    pub fn parse(&self) -> Result<(MachineId, SocketAddr), ConfigError> {
        let place = format!("peer {}", self.machine);
        let machine = self.machine.parse().map_err(|problem| ConfigError::field(&place, problem))?;
        let address = self.address.parse();
        let address = address.map_err(|problem| {
            ConfigError::field(&place, format!("address {:?}: {problem}", self.address))
        })?;
        Ok((machine, address))
    }
}

/// One `[[node]]`: a node of one network, and how its chain is followed.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNode {
    network: String,
    p2p: String,
    birthday_height: u32,
    birthday_hash: String,
    poll_ms: u64,
    stall_ms: u64,
    block_ms_max: u64,
    /// `host:port` of the node's RPC, if it shall be used.
    rpc: Option<String>,
    /// The file with `user:password`, such as the node's own cookie.
    rpc_auth: Option<PathBuf>,
    /// Base units per 1,000 virtual bytes while the node has no estimate.
    fee_rate: Option<u64>,
}

/// A node of one network, and how its chain is followed.
#[derive(Clone, Debug)]
pub struct Node {
    /// How its chain is followed.
    pub chain: chain::Settings,
    /// Where it listens for peers, `host:port`.
    pub p2p: p2p::Settings,
    /// Its RPC, if it shall be used.
    pub rpc: Option<Rpc>,
    /// Base units per 1,000 virtual bytes while the node has no estimate.
    pub fee_rate: Option<Amount>,
}

impl RawNode {
    /// The node.
    ///
    /// # Errors
    /// An unknown network, a malformed hash, or RPC without user and password.
    pub fn parse(&self, folder: &Path) -> Result<Node, ConfigError> {
        let place = format!("node of {}", self.network);
        let network: Network = self.network.parse().map_err(|problem| ConfigError::field(&place, problem))?;
        let hash = self.birthday_hash.parse();
        let hash = hash.map_err(|problem| ConfigError::field(&place, format!("birthday_hash: {problem}")))?;
        let rpc = match (&self.rpc, &self.rpc_auth) {
            (None, None) => None,
            (Some(address), Some(file)) => {
                Some(Rpc::new(network, address, Auth { file: folder.join(file) }, RPC_WITHIN))
            }
            (Some(_), None) | (None, Some(_)) => {
                return Err(ConfigError::field(&place, "rpc and rpc_auth go together, want both or neither"));
            }
        };
        let birthday = chain::Position { height: Height::new(self.birthday_height), hash };
        Ok(Node {
            chain: chain::Settings {
                network,
                birthday,
                poll_ms: self.poll_ms,
                stall_ms: self.stall_ms,
                block_ms_max: self.block_ms_max,
            },
            p2p: p2p::Settings::near(network, self.p2p.clone()),
            rpc,
            fee_rate: self.fee_rate.map(Amount::from),
        })
    }
}

/// All nodes; each network that has a vault has exactly one.
///
/// # Errors
/// As [`RawNode::parse`]; a network with two nodes or a vault without one.
pub fn nodes(raw: &[RawNode], charter: &Charter, folder: &Path) -> Result<Vec<Node>, ConfigError> {
    let nodes: Vec<Node> = raw.iter().map(|node| node.parse(folder)).collect::<Result<_, _>>()?;
    let mut networks = BTreeSet::new();
    if let Some(twice) = nodes.iter().find(|node| !networks.insert(node.chain.network)) {
        return Err(ConfigError::field("node", format!("{} stands there twice", twice.chain.network)));
    }
    if let Some((vault, _)) = charter.vaults().find(|(vault, _)| !networks.contains(&vault.network)) {
        let problem = format!("vault {} is on {}, which has none", vault.id, vault.network);
        return Err(ConfigError::field("node", problem));
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_repeats_a_short_line_and_no_long_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("case.toml");
        let check = |content: String, want: &str| {
            fs::write(&file, content).unwrap();
            let error = toml::<CharterFiles>(&file).unwrap_err().to_string();
            assert!(error.contains(want) && error.len() < 4_096, "{} bytes: {error:.200}", error.len());
        };
        check("roster = 5".to_owned(), "roster = 5");
        check(format!("{} = 5", "x".repeat(100)), &"x".repeat(100));
        check(format!("a = 1\n{}", "x".repeat(1_000_000)), "at byte 1000006 of a long line");
    }
}
