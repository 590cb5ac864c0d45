//! Reads the machine's own copies of roster, policy and vaults, and its secrets, and makes sure that they belong
//! together. What does not fit is refused before anything is started.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use kuraban_base::{MachineId, VaultId, hex};
use kuraban_chain::btc::{Branch, DescriptorError, XPriv};
use kuraban_link::Identity;
use kuraban_proof::Cosigner;
use kuraban_vault::{
    Charter, Machine, Policy, PolicyError, Role, Roster, RosterError, Vault, VaultError, signer::Secrets,
    statement::StatementSecret,
};

use crate::{
    Failure,
    config::{Config, text_of},
    secret,
    store::Binding,
};

/// Files that are each well-formed, or not even that, and do not fit together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CharterError {
    /// The roster is malformed.
    #[error("{}", path.display())]
    Roster {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: RosterError,
    },
    /// The policy is malformed.
    #[error("{}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: PolicyError,
    },
    /// A vault is malformed.
    #[error("{}", path.display())]
    Vault {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: VaultError,
    },
    /// The policy does not fit the vaults or the roster.
    #[error("the policy does not fit vaults and roster")]
    Together(#[source] PolicyError),
    /// The roster has no such signer.
    #[error("the roster has no signer {machine}")]
    NotASigner {
        /// This machine's name.
        machine: MachineId,
    },
    /// A secret whose public half is not the one on the roster.
    #[error("{}: its public half is {own}, the roster has {roster} as {what} of {machine}", path.display())]
    OtherKey {
        /// The secret's file.
        path: PathBuf,
        /// The key's place on the roster.
        what: &'static str,
        /// This machine's name.
        machine: MachineId,
        /// The public half of the secret.
        own: String,
        /// The key on the roster.
        roster: String,
    },
    /// A key to a vault of which this machine has no file.
    #[error("the configuration has a key to vault {vault}, but no file of that vault on that chain")]
    UnknownVault {
        /// The vault.
        vault: VaultId,
    },
    /// A key that does not stand in the vault's descriptor.
    #[error("{}: its key {xpub} is none of those in the descriptor of vault {vault}", path.display())]
    NotInDescriptor {
        /// The secret's file.
        path: PathBuf,
        /// The vault.
        vault: VaultId,
        /// The public half at the configured path.
        xpub: String,
    },
    /// A descriptor without a first script.
    #[error("vault {vault} has no first script")]
    Descriptor {
        /// The vault.
        vault: VaultId,
        /// What is wrong.
        #[source]
        source: DescriptorError,
    },
}

/// Everything a signer is made from.
#[derive(Debug)]
pub(crate) struct Setup {
    /// This machine's name.
    pub(crate) machine: MachineId,
    /// Roster, policy and vaults.
    pub(crate) charter: Arc<Charter>,
    /// The key for links.
    pub(crate) identity: Identity,
    /// The other secrets.
    pub(crate) secrets: Secrets,
}

impl Setup {
    /// Reads all files that the configuration names.
    ///
    /// # Errors
    /// One cannot be read, is malformed, or does not fit the others.
    pub(crate) fn read(config: &Config) -> Result<Self, Failure> {
        let charter = charter(config)?;
        let machine =
            charter.roster().machine(&config.machine).filter(|machine| machine.role == Role::Signer);
        let stranger = || CharterError::NotASigner { machine: config.machine.clone() };
        let own = Own { id: &config.machine, machine: machine.ok_or_else(stranger)? };
        let paths = &config.secrets;
        let identity = Identity::from_seed(&*secret::seed(&paths.tls)?);
        own.matches(&paths.tls, "tls", &identity.public(), Some(own.machine.tls))?;
        let statement = StatementSecret::from_seed(&*secret::seed(&paths.statement)?);
        let listed = own.machine.statement.map(|key| *key.as_bytes());
        own.matches(&paths.statement, "statement", statement.public().as_bytes(), listed)?;
        let listed = own.machine.witness.as_ref().ok_or_else(stranger)?;
        let cosigner = Cosigner::from_seed(listed.name().clone(), &*secret::seed(&paths.witness)?);
        own.matches(&paths.witness, "witness", cosigner.verifier().public(), Some(*listed.public()))?;
        let secrets = Secrets { statement, cosigner, coins: coins(config, &charter)? };
        Ok(Self { machine: config.machine.clone(), charter: Arc::new(charter), identity, secrets })
    }

    /// What the store is bound to.
    pub(crate) fn binding(&self) -> Binding {
        Binding {
            machine: self.machine.clone(),
            roster: self.charter.roster().hash(),
            policy: self.charter.policy().hash(),
        }
    }

    /// Who may connect: the writer and the watchers, by their keys for links.
    pub(crate) fn peers(&self) -> BTreeMap<[u8; 32], (MachineId, Role)> {
        let roster = self.charter.roster();
        let of_role =
            |role| roster.machines(role).map(move |(id, machine)| (machine.tls, (id.clone(), role)));
        of_role(Role::Writer).chain(of_role(Role::Watcher)).collect()
    }
}

/// This machine's line on the roster.
struct Own<'a> {
    id: &'a MachineId,
    machine: &'a Machine,
}

impl Own<'_> {
    fn matches(
        &self,
        path: &Path,
        what: &'static str,
        own: &[u8; 32],
        listed: Option<[u8; 32]>,
    ) -> Result<(), CharterError> {
        if listed == Some(*own) {
            return Ok(());
        }
        Err(CharterError::OtherKey {
            path: path.to_owned(),
            what,
            machine: self.id.clone(),
            own: hex::encode(own),
            roster: listed.map_or_else(|| "none".to_owned(), |key| hex::encode(&key)),
        })
    }
}

fn charter(config: &Config) -> Result<Charter, Failure> {
    let path = || config.roster.clone();
    let roster = Roster::from_toml(&text_of(&config.roster)?)
        .map_err(|source| CharterError::Roster { path: path(), source })?;
    let path = || config.policy.clone();
    let policy = Policy::from_toml(&text_of(&config.policy)?)
        .map_err(|source| CharterError::Policy { path: path(), source })?;
    let mut vaults = Vec::with_capacity(config.vaults.len());
    for path in &config.vaults {
        let vault = Vault::from_toml(&text_of(path)?);
        vaults.push(vault.map_err(|source| CharterError::Vault { path: path.clone(), source })?);
    }
    Ok(Charter::new(roster, policy, vaults).map_err(CharterError::Together)?)
}

fn coins(config: &Config, charter: &Charter) -> Result<BTreeMap<VaultId, XPriv>, Failure> {
    let mut coins = BTreeMap::new();
    for coin in &config.coins {
        let vault = charter.vault(&coin.vault).map(|(vault, _)| vault);
        let vault = vault.filter(|vault| vault.network == coin.network);
        let vault = vault.ok_or_else(|| CharterError::UnknownVault { vault: coin.vault.clone() })?;
        let key = secret::coin(coin)?.key;
        let descriptor = |source| CharterError::Descriptor { vault: vault.id.clone(), source };
        let listed = vault.descriptor.keys_at(Branch::Receive, 0).map_err(descriptor)?;
        if !key.child(Branch::Receive, 0).is_ok_and(|child| listed.contains(&child.public())) {
            let (path, xpub) = (coin.secret.clone(), key.xpub());
            return Err(CharterError::NotInDescriptor { path, vault: vault.id.clone(), xpub }.into());
        }
        coins.insert(coin.vault.clone(), key);
    }
    Ok(coins)
}
