//! Thirty-two-byte digests, one type per meaning.

use core::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::hex::{self, HexError};

macro_rules! digests {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest whose bytes these are.
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

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

macro_rules! shown_in_order {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                hex::decode_array(text).map(Self)
            }
        }
    )*};
}

digests! {
    /// A SHA-256 digest without a narrower meaning.
    Digest;
    /// What approvers sign: names one payout in one log on one chain.
    PayoutDigest;
    /// Names one version of the roster.
    RosterHash;
    /// Names one version of the policy.
    PolicyHash;
    /// A node of the log's Merkle tree (RFC 6962 §2.1).
    TreeHash;
    /// A transaction id of the BTC family; shown in reverse byte order, as is custom there.
    Txid;
}

shown_in_order!(Digest PayoutDigest RosterHash PolicyHash TreeHash);

impl Digest {
    /// SHA-256 over the parts, one after the other.
    #[must_use]
    pub fn sha256(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0;
        bytes.reverse();
        f.write_str(&hex::encode(&bytes))
    }
}

impl FromStr for Txid {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let mut bytes: [u8; 32] = hex::decode_array(text)?;
        bytes.reverse();
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_parts_is_that_of_the_whole() {
        // FIPS 180-4 example "abc".
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::sha256(&[b"a", b"bc"]).to_string(), want);
    }

    #[test]
    fn transaction_ids_are_shown_reversed() {
        let text = "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7";
        let txid: Txid = text.parse().unwrap();
        assert_eq!(txid.as_bytes()[31], 0x97);
        assert_eq!(txid.to_string(), text);
    }
}
