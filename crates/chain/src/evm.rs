//! Ethereum and the chains that are like it, as far as reserves need them: addresses, messages signed by their keys, headers of
//! blocks, and proofs of an account's balance against a block's state.
//!
//! Decides what bytes say and whether a signature or a proof holds. Contracts that sign (EIP-1271) and the short form of
//! signatures (EIP-2098) are not read.

mod address;
mod header;
mod message;
mod rlp;
mod state;

pub use address::{Address, AddressError};
pub use header::{Header, Later};
pub use message::{Signature, SignatureError, recover};
pub use rlp::RlpError;
pub use state::{Holding, NODE_BYTES_MAX, NODES_MAX, StateError, holding};

use sha3::{Digest as _, Keccak256};

/// Keccak-256, which is not SHA3-256.
pub(crate) fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}
