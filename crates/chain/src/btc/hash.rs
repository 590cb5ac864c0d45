//! The family's hash functions and the digests that carry a meaning.
//!
//! Decides byte order: digests are kept as hashed and shown reversed, as is custom there.

use core::{fmt, str::FromStr};

use kuraban_base::hex::{self, HexError};
use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256};

macro_rules! reversed_digests {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest whose bytes these are, in the order in which they were hashed out.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes, in the order in which they were hashed out.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut bytes = self.0;
                bytes.reverse();
                f.write_str(&hex::encode(&bytes))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                let mut bytes: [u8; 32] = hex::decode_array(text)?;
                bytes.reverse();
                Ok(Self(bytes))
            }
        }
    )*};
}

reversed_digests! {
    /// The double SHA-256 of a block's header.
    BlockHash;
    /// The root of the tree over a block's transaction ids.
    MerkleRoot;
    /// A transaction id that covers the witness too (BIP 141).
    Wtxid;
}

impl BlockHash {
    /// What stands as previous block in the first block of a chain.
    pub const ZERO: Self = Self([0; 32]);
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 twice.
pub(crate) fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// SHA-256 twice over two halves: a node of a block's Merkle tree.
#[must_use]
pub fn sha256d_pair(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let once = Sha256::new().chain_update(left).chain_update(right).finalize();
    Sha256::digest(once).into()
}

/// RIPEMD-160 of SHA-256, the hash that names keys and redeem scripts.
#[must_use]
pub fn hash160(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(bytes)).into()
}

/// The tagged hash of BIP 340: SHA-256 prefixed with the tag's digest, twice.
pub(crate) fn tagged(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let tag = Sha256::digest(tag.as_bytes());
    let mut hasher = Sha256::new().chain_update(tag).chain_update(tag);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_hashes_to_its_name() {
        // Bitcoin's genesis header; its hash is known to everyone.
        let header = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e\
                      67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
        let hash = BlockHash::from_bytes(sha256d(&hex::decode(header).unwrap()));
        let want = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
        assert_eq!(hash.to_string(), want);
        assert_eq!(want.parse(), Ok(hash));
        assert_eq!(format!("{hash:?}"), format!("BlockHash({want})"));
    }

    #[test]
    fn pairs_hash_as_their_concatenation() {
        assert_eq!(sha256d_pair(&[1; 32], &[2; 32]), sha256d(&[[1; 32], [2; 32]].concat()));
    }
}
