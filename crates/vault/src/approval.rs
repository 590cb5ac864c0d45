//! Approvals: a person's SSHSIG over the payout digest (OpenSSH PROTOCOL.sshsig), under the namespace of what it
//! means. `ssh-keygen -Y sign -n kuraban-payout` over the 32 digest bytes makes the same.

use kuraban_base::{
    PersonId,
    cbor::{CborError, Value, invalid},
};
use ssh_key::SshSig;

use crate::roster::Roster;

/// Namespace of approvals of payouts.
pub const APPROVE: &str = "kuraban-payout";
/// Namespace of requests of payouts.
pub const REQUEST: &str = "kuraban-request";
/// Namespace of orders to loosen the breaker.
pub const RESET: &str = "kuraban-reset";
/// Namespace of orders that let a signer resume whose disk was set back.
pub const RESUME: &str = "kuraban-resume";
/// Namespace of the roots of liabilities that somebody publishes.
pub const LIABILITIES: &str = "kuraban-liabilities";
/// Namespace of everything else that somebody publishes.
pub const PUBLISH: &str = "kuraban-publish";

/// Longest armoured signature that is read, in bytes; an Ed25519 one has about 300.
const PEM_MAX: usize = 2048;

/// A signature by somebody's SSH key that nobody has checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    pem: String,
    key: [u8; 32],
}

/// A signature that is not an approval of what it is said to approve.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApprovalError {
    /// Not an armoured SSHSIG by an Ed25519 key.
    #[error("not an SSH signature by an Ed25519 key: {problem}")]
    Malformed {
        /// What was found.
        problem: String,
    },
    /// The key belongs to nobody on the roster.
    #[error("key {key} belongs to nobody on the roster")]
    UnknownKey {
        /// The key, in hexadecimal.
        key: String,
    },
    /// The signature is for another purpose.
    #[error("signed under namespace {found:?}, want {want:?}")]
    Namespace {
        /// The namespace found.
        found: String,
        /// The namespace wanted.
        want: &'static str,
    },
    /// The signature is over something else: another payout, another roster or policy.
    #[error("{person}'s signature is not over this digest")]
    OtherDigest {
        /// Whose key it is.
        person: PersonId,
    },
}

impl Approval {
    /// Reads an armoured SSH signature.
    ///
    /// # Errors
    /// Not armour, longer than 2,048 bytes, or not by an Ed25519 key.
    pub fn parse(pem: &str) -> Result<Self, ApprovalError> {
        let malformed = |problem: String| ApprovalError::Malformed { problem };
        if pem.len() > PEM_MAX {
            return Err(malformed(format!("{} bytes, want at most {PEM_MAX}", pem.len())));
        }
        let signature = SshSig::from_pem(pem).map_err(|problem| malformed(problem.to_string()))?;
        match signature.public_key().ed25519() {
            Some(key) => Ok(Self { pem: pem.to_owned(), key: key.0 }),
            None => Err(malformed(format!("by a key of type {}", signature.public_key().algorithm()))),
        }
    }

    /// The armoured text.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key that claims to have signed.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Who signed `digest` under `namespace`.
    ///
    /// # Errors
    /// A stranger's key, another namespace, or a signature over something else.
    pub fn verify(
        &self,
        roster: &Roster,
        namespace: &'static str,
        digest: &[u8; 32],
    ) -> Result<PersonId, ApprovalError> {
        let stranger = || ApprovalError::UnknownKey { key: kuraban_base::hex::encode(&self.key) };
        let person = roster.holder(&self.key).ok_or_else(stranger)?;
        let keys = roster.keys_of(person).unwrap_or_default();
        let own = keys.iter().find(|own| own.as_bytes() == &self.key).ok_or_else(stranger)?;
        let signature = SshSig::from_pem(&self.pem)
            .map_err(|problem| ApprovalError::Malformed { problem: problem.to_string() })?;
        if signature.namespace() != namespace {
            let found = signature.namespace().chars().take(64).collect();
            return Err(ApprovalError::Namespace { found, want: namespace });
        }
        match own.key.verify(namespace, digest, &signature) {
            Ok(()) => Ok(person.clone()),
            Err(_) => Err(ApprovalError::OtherDigest { person: person.clone() }),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        Value::text(&self.pem)
    }

    pub(crate) fn from_value(field: &str, value: &Value) -> Result<Self, CborError> {
        let Value::Text(pem) = value else { return Err(invalid(field, "want an armoured SSH signature")) };
        Self::parse(pem).map_err(|problem| invalid(field, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_up_to_its_bound() {
        let problem = |len: usize| Approval::parse(&"-".repeat(len)).unwrap_err().to_string();
        assert!(!problem(PEM_MAX).contains("want at most"), "{}", problem(PEM_MAX));
        assert!(problem(PEM_MAX + 1).contains("2049 bytes, want at most 2048"), "{}", problem(PEM_MAX + 1));
    }
}
