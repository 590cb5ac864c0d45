//! The assets that Kuraban guards.

use core::{fmt, str::FromStr};

/// An asset whose vaults Kuraban can guard. Closed: a new asset needs a chain family that decodes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Asset {
    /// Bitcoin.
    Btc,
    /// Litecoin.
    Ltc,
}

impl Asset {
    /// Every asset, in the order in which tables show them.
    pub const ALL: [Self; 2] = [Self::Btc, Self::Ltc];

    /// The ticker, as used in policy files, digests and the API.
    #[must_use]
    pub const fn ticker(self) -> &'static str {
        match self {
            Self::Btc => "BTC",
            Self::Ltc => "LTC",
        }
    }

    /// Decimal places between the base unit and one coin.
    #[must_use]
    pub const fn decimals(self) -> u8 {
        match self {
            Self::Btc | Self::Ltc => 8,
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.ticker())
    }
}

/// A ticker that names no asset Kuraban guards.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("asset {found:?} is not known, want one of BTC, LTC")]
pub struct AssetError {
    /// What stood in its place.
    pub found: String,
}

impl FromStr for Asset {
    type Err = AssetError;

    fn from_str(text: &str) -> Result<Self, AssetError> {
        Self::ALL
            .into_iter()
            .find(|asset| asset.ticker() == text)
            .ok_or_else(|| AssetError { found: text.chars().take(16).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickers_round_trip_and_others_are_named() {
        for asset in Asset::ALL {
            assert_eq!(asset.ticker().parse(), Ok(asset));
            // A coin of either is 100,000,000 base units.
            assert_eq!((asset.to_string().as_str(), asset.decimals()), (asset.ticker(), 8));
        }
        let unknown: Result<Asset, _> = "btc".parse();
        assert_eq!(unknown.unwrap_err().to_string(), "asset \"btc\" is not known, want one of BTC, LTC");
    }
}
