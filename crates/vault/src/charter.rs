//! A machine's own copy of roster, policy and vaults. Nobody else's word changes it.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Digest, GroupId, PersonId, VaultId};

use crate::{
    approval::{Approval, ApprovalError},
    payout::DigestContext,
    policy::{Approvals, Policy, PolicyError, VaultPolicy},
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

/// How far one group is with an order to loosen the breaker or to let a signer resume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderNeed {
    /// Whose signatures are asked for.
    pub group: GroupId,
    /// Who of it signed.
    pub signed: BTreeSet<PersonId>,
    /// How many different people of it must.
    pub want: u16,
}

impl OrderNeed {
    /// Whether enough signed.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.signed.len() >= usize::from(self.want)
    }
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

    /// What the policy's `reset` asks of an order with this digest, and who signed it under `namespace`. The order is given when
    /// every need is met. A person who signs twice counts once.
    ///
    /// # Errors
    /// A signature that does not hold, is under another namespace, or by a key that is nobody's.
    pub fn order_needs(
        &self,
        namespace: &'static str,
        digest: Digest,
        approvals: &[Approval],
    ) -> Result<Vec<OrderNeed>, ApprovalError> {
        let verify = |approval: &Approval| approval.verify(&self.roster, namespace, digest.as_bytes());
        let people = approvals.iter().map(verify).collect::<Result<BTreeSet<_>, _>>()?;
        let need = |asked: &Approvals| {
            let members = self.roster.members(&asked.group);
            let signed = members.map(|members| members.intersection(&people).cloned().collect());
            OrderNeed { group: asked.group.clone(), signed: signed.unwrap_or_default(), want: asked.count }
        };
        Ok(self.policy.reset().iter().map(need).collect())
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
