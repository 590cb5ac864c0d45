//! The BTC family: Bitcoin and Litecoin.
//!
//! Decoding, digests and addresses are written here and compared with `bitcoin` in tests; curve arithmetic
//! is libsecp256k1's and descriptors are `miniscript`'s. Never guesses: what no rule here covers is an error.

pub mod address;
mod bech32;
pub mod block;
pub mod descriptor;
pub mod funds;
pub mod hash;
pub mod key;
pub mod message;
pub mod network;
pub mod p2p;
pub mod pow;
pub mod psbt;
pub mod read;
pub mod script;
pub mod sighash;
pub mod sign;
pub mod tx;
pub mod verify;
mod write;

pub use address::{Address, AddressError};
pub use block::{Block, Header, Merkle, MerkleError};
pub use descriptor::{Branch, Descriptor, DescriptorError};
pub use funds::{Funds, FundsError, ProofForm};
pub use hash::{BlockHash, MerkleRoot, Wtxid};
pub use key::{EcdsaSignature, KeyError, PublicKey, XOnlyKey};
pub use network::Network;
pub use read::{DecodeError, Reader};
pub use script::{Script, ScriptKind};
pub use sighash::{Digests, EcdsaSighash, Sighash, SighashError, TaprootSighash};
pub use sign::{ChildKey, XPriv};
pub use tx::{FeeError, Mweb, OutPoint, Tx, TxIn, TxOut};
pub use verify::{Spend, VerifyError, verify_input};

/// A transaction id; the family shares the one of `kuraban-base`.
pub use kuraban_base::Txid;
