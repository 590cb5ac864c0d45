//! The words everyone speaks: amounts, assets, heights, instants, typed ids and digests, and the one
//! deterministic CBOR encoding that every digest and log entry is computed over.
//!
//! Decides nothing, does no I/O, reads no clock and no randomness.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod amount;
mod asset;
pub mod cbor;
mod digest;
pub mod hex;
mod id;
mod time;

pub use amount::Amount;
pub use asset::{Asset, AssetError};
pub use digest::{Digest, PayoutDigest, PolicyHash, RosterHash, TreeHash, Txid};
pub use id::{CaseId, GroupId, IdError, MachineId, PayoutId, PersonId, VaultId};
pub use time::{Height, Instant};
