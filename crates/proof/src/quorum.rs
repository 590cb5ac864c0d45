//! The witness quorum: q of w pinned witnesses, so many that two forks can't both find one.
//!
//! With at most f witnesses that cosign anything, two quorums share at least 2q − w witnesses; 2q > w + f makes
//! one of them honest, and an honest witness never cosigns two heads that do not extend each other.

use kuraban_base::Instant;

use crate::{
    checkpoint::SignedCheckpoint,
    note::{KeyKind, KeyName, VerifierKey},
};

/// How many of the witnesses must cosign, and how many may be hostile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threshold {
    /// q: cosignatures that are enough.
    pub needed: usize,
    /// f: witnesses that may cosign anything.
    pub faulty: usize,
}

/// A quorum that would not protect.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ThresholdError {
    /// More cosignatures than witnesses.
    #[error("{needed} cosignatures of {witnesses} witnesses can never be had")]
    Unreachable {
        /// q.
        needed: usize,
        /// w.
        witnesses: usize,
    },
    /// Two forks could both find a quorum.
    #[error("{needed} of {witnesses} witnesses with {faulty} faulty lets two forks pass, want 2q > w + f")]
    Forkable {
        /// q.
        needed: usize,
        /// w.
        witnesses: usize,
        /// f.
        faulty: usize,
    },
    /// A key that makes no cosignatures.
    #[error("key {name} is not a cosignature key (type 0x04)")]
    Kind {
        /// The key's name.
        name: KeyName,
    },
    /// One witness twice: it would count twice.
    #[error("witness {name} has the name or the key of another one")]
    Twice {
        /// The key's name.
        name: KeyName,
    },
}

/// A checkpoint without enough cosignatures.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("checkpoint has {} of {want} cosignatures, missing are {}", .got.len(), names(.missing))]
pub struct QuorumError {
    /// Whose cosignatures it has.
    pub got: Vec<KeyName>,
    /// Whose it lacks.
    pub missing: Vec<KeyName>,
    /// How many are enough.
    pub want: usize,
}

fn names(names: &[KeyName]) -> String {
    names.iter().map(KeyName::as_str).collect::<Vec<_>>().join(", ")
}

/// Enough witnesses have cosigned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witnessed {
    /// Whose cosignatures count, in the order in which they are pinned.
    pub names: Vec<KeyName>,
    /// The median of their clocks, the lower one of two; each with its latest cosignature.
    pub median: Instant,
}

/// Pinned witnesses and how many of them are enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WitnessQuorum {
    witnesses: Vec<VerifierKey>,
    threshold: Threshold,
}

impl WitnessQuorum {
    /// A quorum that no two forks can both find.
    ///
    /// # Errors
    /// q > w, 2q ≤ w + f, a key of another type, or a witness that stands twice.
    pub fn new(witnesses: Vec<VerifierKey>, threshold: Threshold) -> Result<Self, ThresholdError> {
        let Threshold { needed, faulty } = threshold;
        let count = witnesses.len();
        if needed > count {
            return Err(ThresholdError::Unreachable { needed, witnesses: count });
        }
        if needed.saturating_mul(2) <= count.saturating_add(faulty) {
            return Err(ThresholdError::Forkable { needed, witnesses: count, faulty });
        }
        for (at, key) in witnesses.iter().enumerate() {
            if key.kind() != KeyKind::Cosignature {
                return Err(ThresholdError::Kind { name: key.name().clone() });
            }
            let same = |other: &VerifierKey| other.name() == key.name() || other.public() == key.public();
            if witnesses.iter().take(at).any(same) {
                return Err(ThresholdError::Twice { name: key.name().clone() });
            }
        }
        Ok(Self { witnesses, threshold })
    }

    /// The pinned witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// q and f.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Whether enough pinned witnesses cosigned. Open the checkpoint with [`witnesses`](Self::witnesses).
    ///
    /// # Errors
    /// Too few did; says which are missing.
    pub fn met(&self, checkpoint: &SignedCheckpoint) -> Result<Witnessed, QuorumError> {
        self.met_since(checkpoint, Instant::from_ms(0))
    }

    /// As [`met`](Self::met), where only cosignatures made at `since` or later count, by their witnesses' clocks.
    ///
    /// # Errors
    /// Too few cosigned since then; says which are missing.
    pub fn met_since(&self, checkpoint: &SignedCheckpoint, since: Instant) -> Result<Witnessed, QuorumError> {
        let (mut names, mut missing, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for witness in &self.witnesses {
            let by_it = checkpoint.cosignatures().iter().filter(|cosignature| cosignature.key == *witness);
            match by_it.map(|cosignature| cosignature.at).max().filter(|at| *at >= since) {
                Some(at) => {
                    names.push(witness.name().clone());
                    times.push(at);
                }
                None => missing.push(witness.name().clone()),
            }
        }
        times.sort_unstable();
        let median = times.get(times.len().saturating_sub(1) / 2).copied();
        match median {
            Some(median) if names.len() >= self.threshold.needed => Ok(Witnessed { names, median }),
            Some(_) | None => Err(QuorumError { got: names, missing, want: self.threshold.needed }),
        }
    }
}
