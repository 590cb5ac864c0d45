//! A machine's own copy of roster, policy and vaults. Nobody else's word changes it.

use std::collections::BTreeMap;

use kuraban_base::VaultId;

use crate::{
    payout::DigestContext,
    policy::{Policy, PolicyError, VaultPolicy},
    roster::Roster,
    vault::Vault,
};

/// Roster, policy and vaults, checked against each other.
#[derive(Clone, Debug)]
pub struct Charter {
    roster: Roster,
    policy: Policy,
    vaults: BTreeMap<VaultId, (Vault, VaultPolicy)>,
}

impl Charter {
    /// Binds the policy to the vaults.
    ///
    /// # Errors
    /// A vault without limits or named twice, an address of another chain, a group that the roster does not have.
    pub fn new(roster: Roster, policy: Policy, vaults: Vec<Vault>) -> Result<Self, PolicyError> {
        let mut bound = BTreeMap::new();
        for vault in vaults {
            let place = format!("vault {}", vault.id);
            let part = policy.of(&vault, &roster)?;
            if bound.insert(vault.id.clone(), (vault, part)).is_some() {
                return Err(PolicyError::Field { place, problem: "stands there twice".to_owned() });
            }
        }
        Ok(Self { roster, policy, vaults: bound })
    }

    /// The roster.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A vault with its part of the policy.
    #[must_use]
    pub fn vault(&self, id: &VaultId) -> Option<(&Vault, &VaultPolicy)> {
        self.vaults.get(id).map(|(vault, policy)| (vault, policy))
    }

    /// All vaults.
    pub fn vaults(&self) -> impl Iterator<Item = (&Vault, &VaultPolicy)> {
        self.vaults.values().map(|(vault, policy)| (vault, policy))
    }

    /// What payout digests are bound to.
    #[must_use]
    pub fn context(&self) -> DigestContext {
        DigestContext {
            origin: self.roster.origin().to_owned(),
            roster: self.roster.hash(),
            policy: self.policy.hash(),
        }
    }
}
