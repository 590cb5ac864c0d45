//! Proof of work: whether a header's hash meets the target that it states.
//!
//! Decides one header alone. Whether the stated target is the one the chain demands is the caller's
//! question; without the feature `pow-scrypt`, Litecoin's work cannot be judged and is refused.

use super::{block::Header, network::Network};

/// Why a header has no valid proof of work.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PowError {
    /// Compact bits that mean a number below zero, zero, or one beyond 256 bits.
    #[error("target bits 0x{bits:08x} are {what}")]
    Bits {
        /// The bits.
        bits: u32,
        /// What they are.
        what: &'static str,
    },
    /// A target easier than the network ever allows.
    #[error("target bits 0x{bits:08x} are easier than {network} allows")]
    Easy {
        /// The bits.
        bits: u32,
        /// The network.
        network: Network,
    },
    /// A hash above the target.
    #[error("header hash is above the target of bits 0x{bits:08x}")]
    Above {
        /// The bits.
        bits: u32,
    },
    /// This program was built without the network's hash function.
    #[error("proof of work of {network} cannot be judged by this program")]
    NotBuilt {
        /// The network.
        network: Network,
    },
}

/// A target: a hash at or below it proves the work. Big endian, so that it compares as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target([u8; 32]);

/// Hashes that a header took on average.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Work(u128);

impl Work {
    /// The number, or 2¹²⁸ − 1 for all above.
    #[must_use]
    pub const fn hashes(self) -> u128 {
        self.0
    }

    /// The sum, or `None` beyond 2¹²⁸ − 1.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl Target {
    /// The target that the compact bits mean (Bitcoin Core, `arith_uint256::SetCompact`).
    ///
    /// # Errors
    /// A number below zero, zero, or one beyond 256 bits.
    pub fn from_bits(bits: u32) -> Result<Self, PowError> {
        let [size, a, b, c] = bits.to_be_bytes();
        let (sign, a) = (a & 0x80 != 0, a & 0x7f);
        let mut target = [0; 32];
        // Byte k of the three weighs 256^(size − 1 − k).
        for (from_top, byte) in (1_u8..).zip([a, b, c]) {
            let Some(weight) = size.checked_sub(from_top) else { continue };
            let place = 31_usize.checked_sub(usize::from(weight)).and_then(|place| target.get_mut(place));
            match place {
                Some(place) => *place = byte,
                None if byte != 0 => return Err(PowError::Bits { bits, what: "beyond 256 bits" }),
                None => {}
            }
        }
        if target == [0; 32] {
            return Err(PowError::Bits { bits, what: "zero" });
        }
        if sign {
            return Err(PowError::Bits { bits, what: "below zero" });
        }
        Ok(Self(target))
    }

    /// The easiest target that the network allows (`powLimit`).
    #[must_use]
    pub const fn limit(network: Network) -> Self {
        let mut target = [0xff; 32];
        let [a, b, c, d, ..] = &mut target;
        [*a, *b, *c, *d] = match network {
            Network::BtcMain | Network::BtcTest => [0, 0, 0, 0],
            Network::BtcSignet => {
                let mut exact = [0; 32];
                let [_, _, w, x, y, ..] = &mut exact;
                [*w, *x, *y] = [0x03, 0x77, 0xae];
                return Self(exact);
            }
            Network::BtcRegtest | Network::LtcRegtest => [0x7f, 0xff, 0xff, 0xff],
            Network::LtcMain | Network::LtcTest => [0, 0, 0x0f, 0xff],
        };
        Self(target)
    }

    /// Its bytes, big endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Hashes that meeting it takes on average: 2²⁵⁶ ÷ (target + 1).
    #[must_use]
    pub fn work(&self) -> Work {
        let bytes = bitcoin::pow::Target::from_be_bytes(self.0).to_work().to_be_bytes();
        match bytes.split_last_chunk::<16>() {
            Some((high, low)) if high.iter().all(|byte| *byte == 0) => Work(u128::from_be_bytes(*low)),
            Some(_) | None => Work(u128::MAX),
        }
    }
}

/// The work in a header.
///
/// # Errors
/// None, or not enough for the target it states.
pub fn judge(network: Network, header: &Header) -> Result<Work, PowError> {
    let bits = header.bits;
    let target = Target::from_bits(bits)?;
    if target > Target::limit(network) {
        return Err(PowError::Easy { bits, network });
    }
    let mut hash = work_hash(network, header)?;
    hash.reverse();
    if hash > target.0 {
        return Err(PowError::Above { bits });
    }
    Ok(target.work())
}

/// The hash that proves work, little endian as it was hashed out.
fn work_hash(network: Network, header: &Header) -> Result<[u8; 32], PowError> {
    match network {
        Network::BtcMain | Network::BtcTest | Network::BtcSignet | Network::BtcRegtest => {
            Ok(*header.hash().as_bytes())
        }
        Network::LtcMain | Network::LtcTest | Network::LtcRegtest => scrypt_hash(network, header),
    }
}

#[cfg(feature = "pow-scrypt")]
fn scrypt_hash(network: Network, header: &Header) -> Result<[u8; 32], PowError> {
    // N = 2^10, r = 1, p = 1; the header is password and salt (Litecoin Core, `crypto/scrypt.cpp`).
    let not_built = |_| PowError::NotBuilt { network };
    let params = scrypt::Params::new(10, 1, 1, 32).map_err(not_built)?;
    let bytes = header.encode();
    let mut hash = [0; 32];
    scrypt::scrypt(&bytes, &bytes, &params, &mut hash).map_err(|_| PowError::NotBuilt { network })?;
    Ok(hash)
}

#[cfg(not(feature = "pow-scrypt"))]
fn scrypt_hash(network: Network, _: &Header) -> Result<[u8; 32], PowError> {
    Err(PowError::NotBuilt { network })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_bits_agree_with_the_peer_crate_or_are_refused() {
        for bits in
            [0x1d00_ffff, 0x1b04_864c, 0x207f_ffff, 0x1e0f_fff0, 0x1704_ed7f, 0x0300_0001, 0x2000_0001]
        {
            let theirs = bitcoin::pow::Target::from_compact(bitcoin::CompactTarget::from_consensus(bits));
            assert_eq!(Target::from_bits(bits).map(|target| target.0), Ok(theirs.to_be_bytes()), "{bits:#x}");
        }
        let check = |bits, what| assert_eq!(Target::from_bits(bits), Err(PowError::Bits { bits, what }));
        check(0, "zero");
        check(0x2000_0000, "zero");
        check(0x1d80_0000, "zero");
        check(0x0100_ffff, "zero");
        check(0x1d80_ffff, "below zero");
        check(0x2101_0000, "beyond 256 bits");
        check(0x2300_0001, "beyond 256 bits");
        check(0xff12_3456, "beyond 256 bits");
        assert!(Target::from_bits(0x2200_0001).is_ok());
        assert!(Target::from_bits(0x2100_ffff).is_ok());
    }

    #[test]
    fn limits_and_work_agree_with_the_peer_crate() {
        let check = |network, theirs: bitcoin::Network| {
            let limit = bitcoin::consensus::Params::new(theirs).max_attainable_target;
            // The peer's has the precision of compact bits.
            assert_eq!(Target::limit(network).0[..3], limit.to_be_bytes()[..3], "{network}");
            assert!(Target::limit(network).0 >= limit.to_be_bytes(), "{network}");
        };
        check(Network::BtcMain, bitcoin::Network::Bitcoin);
        check(Network::BtcTest, bitcoin::Network::Testnet);
        check(Network::BtcSignet, bitcoin::Network::Signet);
        check(Network::BtcRegtest, bitcoin::Network::Regtest);
        assert_eq!(Target::from_bits(0x1e03_77ae), Ok(Target::limit(Network::BtcSignet)));
        // The genesis block's well-known work.
        assert_eq!(Target::from_bits(0x1d00_ffff).unwrap().work().hashes(), 0x1_0001_0001);
        assert_eq!(Target::from_bits(0x207f_ffff).unwrap().work().hashes(), 2);
        assert_eq!(Target::from_bits(0x0100_7f01), Err(PowError::Bits { bits: 0x0100_7f01, what: "zero" }));
        assert_eq!(Target::from_bits(0x0300_0001).unwrap().work().hashes(), u128::MAX);
    }

    #[test]
    fn genesis_headers_have_their_work() {
        let genesis = |nonce| Header {
            version: 1,
            prev: super::super::hash::BlockHash::ZERO,
            merkle_root: "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b".parse().unwrap(),
            time_s: 1_231_006_505,
            bits: 0x1d00_ffff,
            nonce,
        };
        assert_eq!(genesis(2_083_236_893).hash(), Network::BtcMain.genesis_hash());
        assert!(judge(Network::BtcMain, &genesis(2_083_236_893)).is_ok());
        assert_eq!(
            judge(Network::BtcMain, &genesis(2_083_236_894)),
            Err(PowError::Above { bits: 0x1d00_ffff })
        );
        let easy = Header { bits: 0x207f_ffff, ..genesis(0) };
        let network = Network::BtcMain;
        assert_eq!(judge(network, &easy), Err(PowError::Easy { bits: 0x207f_ffff, network }));
    }

    #[test]
    fn litecoins_work_is_scrypts_or_is_refused() {
        let header = Header {
            version: 1,
            prev: super::super::hash::BlockHash::ZERO,
            merkle_root: "97ddfbbae6be97fd6cdf3e7ca13232a3afff2353e29badfab7f73011edd4ced9".parse().unwrap(),
            time_s: 1_317_972_665,
            bits: 0x1e0f_fff0,
            nonce: 2_084_524_493,
        };
        let network = Network::LtcMain;
        assert_eq!(header.hash(), network.genesis_hash());
        let other = Header { nonce: 0, ..header };
        if cfg!(feature = "pow-scrypt") {
            assert!(judge(network, &header).is_ok());
            assert_eq!(judge(network, &other), Err(PowError::Above { bits: 0x1e0f_fff0 }));
        } else {
            assert_eq!(judge(network, &header), Err(PowError::NotBuilt { network }));
        }
    }
}
