//! Statements that machines sign: receipts, leases, permits, trips. Each kind has its own domain prefix, so
//! no statement can be passed off as one of another kind.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use kuraban_base::{
    Instant, MachineId,
    cbor::{CborError, Fields, Value},
};

/// A public Ed25519 key by which a machine's statements are verified.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StatementKey(VerifyingKey);

impl StatementKey {
    /// The key whose 32 bytes these are (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// A machine's secret key for statements. Zeroised on drop by `ed25519-dalek`.
pub struct StatementSecret(SigningKey);

impl core::fmt::Debug for StatementSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("StatementSecret(<redacted>)")
    }
}

impl StatementSecret {
    /// The secret made from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> StatementKey {
        StatementKey(self.0.verifying_key())
    }
}

/// What a machine can state.
pub trait Statement: Sized {
    /// Domain prefix, unique per kind and version.
    const DOMAIN: &'static str;

    /// The machine that states it.
    fn by(&self) -> &MachineId;

    /// The statement as a map.
    fn to_value(&self) -> Value;

    /// The statement of a map.
    ///
    /// # Errors
    /// A missing, unknown or malformed field.
    fn from_value(value: Value) -> Result<Self, CborError>;
}

/// A statement with a signature that nobody has checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed<T> {
    /// What is claimed.
    claim: T,
    signature: [u8; 64],
}

/// A statement whose signature holds. Only [`Signed::verify`] makes one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// What was stated.
    pub const fn claim(&self) -> &T {
        &self.0
    }

    /// What was stated, by value.
    pub fn into_claim(self) -> T {
        self.0
    }
}

/// A signature that does not hold, or a key that is not on the roster.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StatementError {
    /// Signed with another key or over other words.
    #[error("the statement's signature is not by {by}")]
    Signature {
        /// Who claims to have signed.
        by: MachineId,
    },
    /// The roster has no such machine in that role.
    #[error("{by} is not a machine that may state this")]
    Stranger {
        /// Who claims to have signed.
        by: MachineId,
    },
}

fn message<T: Statement>(claim: &T) -> Vec<u8> {
    let mut message = T::DOMAIN.as_bytes().to_vec();
    message.push(0);
    message.extend(claim.to_value().encode());
    message
}

impl<T: Statement> Signed<T> {
    /// Signs `claim`.
    #[must_use]
    pub fn sign(claim: T, secret: &StatementSecret) -> Self {
        let signature = secret.0.sign(&message(&claim)).to_bytes();
        Self { claim, signature }
    }

    /// What is claimed, unverified: to find the key, to show, never to act on.
    pub const fn claim_unverified(&self) -> &T {
        &self.claim
    }

    /// The statement, if `key` signed it.
    ///
    /// # Errors
    /// The signature does not hold (strictly, RFC 8032 §5.1.7).
    pub fn verify(self, key: &StatementKey) -> Result<Verified<T>, StatementError> {
        let signature = Signature::from_bytes(&self.signature);
        match key.0.verify_strict(&message(&self.claim), &signature) {
            Ok(()) => Ok(Verified(self.claim)),
            Err(_) => Err(StatementError::Signature { by: self.claim.by().clone() }),
        }
    }

    /// Statement and signature as a map.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::map([("claim", self.claim.to_value()), ("signature", Value::bytes(self.signature))])
    }

    /// Statement and signature of a map.
    ///
    /// # Errors
    /// A missing, unknown or malformed field.
    pub fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of(T::DOMAIN, value)?;
        let signed =
            Self { claim: T::from_value(fields.value("claim")?)?, signature: fields.array("signature")? };
        fields.end()?;
        Ok(signed)
    }
}

pub(crate) fn instant(fields: &mut Fields, field: &str) -> Result<Instant, CborError> {
    fields.uint(field).map(Instant::from_ms)
}
