//! The networks of the family and the figures in which they differ.
//!
//! Decides nothing: a table. Sources: Bitcoin Core and Litecoin Core, `chainparams.cpp`.

use core::{fmt, str::FromStr};

use kuraban_base::{Asset, Height};

use super::hash::BlockHash;

/// A network of the family. Closed: a new one needs its row in every table here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Network {
    /// Bitcoin's main network.
    BtcMain,
    /// Bitcoin's test network, version 3.
    BtcTest,
    /// Bitcoin's default signet (BIP 325).
    BtcSignet,
    /// Bitcoin's regression test network.
    BtcRegtest,
    /// Litecoin's main network.
    LtcMain,
    /// Litecoin's test network, version 4.
    LtcTest,
    /// Litecoin's regression test network.
    LtcRegtest,
}

/// Most satoshi that can ever exist on Bitcoin (`MAX_MONEY`).
pub const BTC_MONEY_SAT_MAX: u64 = 2_100_000_000_000_000;
/// Most litoshi that can ever exist on Litecoin (`MAX_MONEY`).
pub const LTC_MONEY_SAT_MAX: u64 = 8_400_000_000_000_000;
/// New coins of a network's first block.
const FIRST_SUBSIDY_SAT: u64 = 5_000_000_000;

impl Network {
    /// Every network, in the order in which tables show them.
    pub const ALL: [Self; 7] = [
        Self::BtcMain,
        Self::BtcTest,
        Self::BtcSignet,
        Self::BtcRegtest,
        Self::LtcMain,
        Self::LtcTest,
        Self::LtcRegtest,
    ];

    /// The asset that moves on it.
    #[must_use]
    pub const fn asset(self) -> Asset {
        match self {
            Self::BtcMain | Self::BtcTest | Self::BtcSignet | Self::BtcRegtest => Asset::Btc,
            Self::LtcMain | Self::LtcTest | Self::LtcRegtest => Asset::Ltc,
        }
    }

    /// The name used in configuration and output, such as `bitcoin-main`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BtcMain => "bitcoin-main",
            Self::BtcTest => "bitcoin-test",
            Self::BtcSignet => "bitcoin-signet",
            Self::BtcRegtest => "bitcoin-regtest",
            Self::LtcMain => "litecoin-main",
            Self::LtcTest => "litecoin-test",
            Self::LtcRegtest => "litecoin-regtest",
        }
    }

    /// Whether its coins are the asset itself. Those of test networks are worth nothing.
    #[must_use]
    pub const fn is_main(self) -> bool {
        match self {
            Self::BtcMain | Self::LtcMain => true,
            Self::BtcTest | Self::BtcSignet | Self::BtcRegtest | Self::LtcTest | Self::LtcRegtest => false,
        }
    }

    /// The hash of its first block.
    #[must_use]
    #[rustfmt::skip]
    pub const fn genesis_hash(self) -> BlockHash {
        BlockHash::from_bytes(match self {
            Self::BtcMain => shown(b"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
            Self::BtcTest => shown(b"000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
            Self::BtcSignet => shown(b"00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
            Self::BtcRegtest => shown(b"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
            Self::LtcMain => shown(b"12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"),
            Self::LtcTest => shown(b"4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0"),
            Self::LtcRegtest => shown(b"530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9"),
        })
    }

    /// The four bytes that open every message between its nodes.
    #[must_use]
    pub const fn magic(self) -> [u8; 4] {
        match self {
            Self::BtcMain => [0xf9, 0xbe, 0xb4, 0xd9],
            Self::BtcTest => [0x0b, 0x11, 0x09, 0x07],
            Self::BtcSignet => [0x0a, 0x03, 0xcf, 0x40],
            Self::BtcRegtest | Self::LtcRegtest => [0xfa, 0xbf, 0xb5, 0xda],
            Self::LtcMain => [0xfb, 0xc0, 0xb6, 0xdb],
            Self::LtcTest => [0xfd, 0xd2, 0xc8, 0xf1],
        }
    }

    /// The TCP port on which its nodes listen for each other.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::BtcMain => 8333,
            Self::BtcTest => 18333,
            Self::BtcSignet => 38333,
            Self::BtcRegtest => 18444,
            Self::LtcMain => 9333,
            Self::LtcTest => 19335,
            Self::LtcRegtest => 19444,
        }
    }

    /// The version byte of pay-to-public-key-hash addresses.
    #[must_use]
    pub const fn p2pkh_prefix(self) -> u8 {
        match self {
            Self::BtcMain => 0,
            Self::LtcMain => 48,
            Self::BtcTest | Self::BtcSignet | Self::BtcRegtest | Self::LtcTest | Self::LtcRegtest => 111,
        }
    }

    /// The version byte that pay-to-script-hash addresses are written with.
    #[must_use]
    pub const fn p2sh_prefix(self) -> u8 {
        match self {
            Self::BtcMain => 5,
            Self::BtcTest | Self::BtcSignet | Self::BtcRegtest => 196,
            Self::LtcMain => 50,
            Self::LtcTest | Self::LtcRegtest => 58,
        }
    }

    /// The older version byte of pay-to-script-hash addresses, still read where there is one: Litecoin
    /// shared Bitcoin's first.
    #[must_use]
    pub const fn p2sh_prefix_old(self) -> Option<u8> {
        match self {
            Self::BtcMain | Self::BtcTest | Self::BtcSignet | Self::BtcRegtest => None,
            Self::LtcMain => Some(5),
            Self::LtcTest | Self::LtcRegtest => Some(196),
        }
    }

    /// The human-readable part of its segregated-witness addresses (BIP 173).
    #[must_use]
    pub const fn hrp(self) -> &'static str {
        match self {
            Self::BtcMain => "bc",
            Self::BtcTest | Self::BtcSignet => "tb",
            Self::BtcRegtest => "bcrt",
            Self::LtcMain => "ltc",
            Self::LtcTest => "tltc",
            Self::LtcRegtest => "rltc",
        }
    }

    /// The human-readable part of addresses inside Litecoin's extension blocks, which are known only to be
    /// refused by name.
    #[must_use]
    pub const fn hrp_mweb(self) -> Option<&'static str> {
        match self {
            Self::BtcMain | Self::BtcTest | Self::BtcSignet | Self::BtcRegtest => None,
            Self::LtcMain => Some("ltcmweb"),
            Self::LtcTest | Self::LtcRegtest => Some("tmweb"),
        }
    }

    /// Most base units that an output, and all outputs of a transaction together, may hold.
    #[must_use]
    pub const fn money_sat_max(self) -> u64 {
        match self.asset() {
            Asset::Btc => BTC_MONEY_SAT_MAX,
            Asset::Ltc => LTC_MONEY_SAT_MAX,
        }
    }

    /// Blocks from one halving of the subsidy to the next.
    #[must_use]
    pub const fn halving_blocks(self) -> u32 {
        match self {
            Self::BtcMain | Self::BtcTest | Self::BtcSignet => 210_000,
            Self::LtcMain | Self::LtcTest => 840_000,
            Self::BtcRegtest | Self::LtcRegtest => 150,
        }
    }

    /// New coins that the block at `height` may make (`GetBlockSubsidy`), in base units. Its coinbase may claim less.
    #[must_use]
    pub fn subsidy_sat(self, height: Height) -> u64 {
        let halvings = height.blocks().checked_div(self.halving_blocks());
        halvings.and_then(|halvings| FIRST_SUBSIDY_SAT.checked_shr(halvings)).unwrap_or(0)
    }

    /// Whether its transactions and blocks can carry Litecoin's extension blocks (LIP 2 to 4).
    #[must_use]
    pub const fn has_mweb(self) -> bool {
        match self.asset() {
            Asset::Btc => false,
            Asset::Ltc => true,
        }
    }
}

/// The bytes of a hash as it is shown: hexadecimal in reverse order. Only for the constants above.
const fn shown(text: &[u8; 64]) -> [u8; 32] {
    let (pairs, _) = text.as_chunks::<2>();
    let mut bytes = [0_u8; 32];
    let mut rest: &mut [u8] = &mut bytes;
    let mut pairs: &[[u8; 2]] = pairs;
    while let (Some((last, fewer)), Some(([high, low], more))) = (rest.split_last_mut(), pairs.split_first())
    {
        *last = nibble(*high) << 4 | nibble(*low);
        rest = fewer;
        pairs = more;
    }
    bytes
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'a'..=b'f' => digit.saturating_sub(b'a').saturating_add(10),
        _ => digit.saturating_sub(b'0'),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no network has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("network {found:?} is not known, want one of {}", names())]
pub struct NetworkError {
    /// What stood in its place, at most 32 characters of it.
    pub found: String,
}

fn names() -> String {
    Network::ALL.map(Network::name).join(", ")
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        Self::ALL
            .into_iter()
            .find(|network| network.name() == text)
            .ok_or_else(|| NetworkError { found: text.chars().take(32).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_shown() {
        for network in Network::ALL {
            assert_eq!(network.name().parse(), Ok(network));
            assert_eq!(network.is_main(), network.name().ends_with("-main"));
        }
        let error = "bitcoin".parse::<Network>().unwrap_err().to_string();
        assert!(error.starts_with("network \"bitcoin\" is not known, want one of bitcoin-main, "), "{error}");
    }

    #[test]
    fn the_subsidy_halves_at_the_height_and_not_before() {
        let check = |network: Network, blocks, want| {
            assert_eq!(network.subsidy_sat(Height::new(blocks)), want, "{network} {blocks}");
        };
        check(Network::BtcMain, 0, 5_000_000_000);
        check(Network::BtcMain, 209_999, 5_000_000_000);
        check(Network::BtcMain, 210_000, 2_500_000_000);
        check(Network::BtcMain, 840_000, 312_500_000);
        check(Network::BtcMain, 32 * 210_000, 1);
        check(Network::BtcMain, 33 * 210_000, 0);
        check(Network::BtcMain, 64 * 210_000, 0);
        check(Network::BtcMain, u32::MAX, 0);
        check(Network::LtcMain, 839_999, 5_000_000_000);
        check(Network::LtcMain, 840_000, 2_500_000_000);
        check(Network::BtcRegtest, 150, 2_500_000_000);
        check(Network::LtcRegtest, 149, 5_000_000_000);
        // All that will ever be is just below the most that may be (BIP 42 for the end).
        let all: u64 =
            (0..34).map(|n| 210_000 * Network::BtcMain.subsidy_sat(Height::new(n * 210_000))).sum();
        assert_eq!(all, 2_099_999_997_690_000);
    }

    #[test]
    fn figures_agree_with_the_peer_crate() {
        use bitcoin::{consensus::Params, constants::genesis_block, p2p::Magic};
        let check = |ours: Network, theirs: bitcoin::Network| {
            let genesis = genesis_block(Params::new(theirs));
            assert_eq!(ours.genesis_hash().to_string(), genesis.block_hash().to_string());
            assert_eq!(ours.magic(), Magic::from(theirs).to_bytes());
        };
        check(Network::BtcMain, bitcoin::Network::Bitcoin);
        check(Network::BtcTest, bitcoin::Network::Testnet);
        check(Network::BtcSignet, bitcoin::Network::Signet);
        check(Network::BtcRegtest, bitcoin::Network::Regtest);
        assert_eq!(BTC_MONEY_SAT_MAX, bitcoin::Amount::MAX_MONEY.to_sat());
    }
}
