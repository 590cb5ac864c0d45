//! The reader's own roster, policy and vaults, from files. Whoever judges or approves does it from these and from
//! nobody else's word.

use std::path::{Path, PathBuf};

use clap::Args;
use kuraban_vault::{Charter, Policy, Roster, Vault};

use crate::{
    fail::{Failure, OrFail as _},
    input::{FILE_MAX, text},
};

/// Where roster, policy and vaults stand.
#[derive(Args)]
pub(crate) struct Files {
    /// The roster (TOML), your own copy
    #[arg(long, value_name = "R.toml")]
    roster: PathBuf,
    /// The policy (TOML), your own copy
    #[arg(long, value_name = "P.toml")]
    policy: PathBuf,
    /// The vaults (TOML), your own copies
    #[arg(long, required = true, num_args = 1.., value_name = "V.toml")]
    vault: Vec<PathBuf>,
}

impl Files {
    /// Reads them and checks them against each other.
    pub(crate) fn read(&self) -> Result<Charter, Failure> {
        let vaults = self.vault.iter().map(|path| vault(path)).collect::<Result<_, _>>()?;
        charter(&self.roster, &self.policy, vaults)
    }
}

/// Reads a vault.
pub(crate) fn vault(path: &Path) -> Result<Vault, Failure> {
    Vault::from_toml(&text(path, FILE_MAX)?).or_input(path.display())
}

/// Reads roster and policy and binds them to the vaults.
pub(crate) fn charter(roster: &Path, policy: &Path, vaults: Vec<Vault>) -> Result<Charter, Failure> {
    let roster = Roster::from_toml(&text(roster, FILE_MAX)?).or_input(roster.display())?;
    let own = Policy::from_toml(&text(policy, FILE_MAX)?).or_input(policy.display())?;
    Charter::new(roster, own, vaults).or_input(policy.display())
}
