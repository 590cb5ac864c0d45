//! Which assets books count, and in what units. Decides nothing about chains: a token of any chain has a code and decimals.

use core::{fmt, str::FromStr};

/// Most decimals that an asset has: those of Ether.
pub const DECIMALS_MAX: u8 = 18;
/// Most assets in one table.
const ASSETS_MAX: usize = 10_000;
/// Longest code, in bytes.
const CODE_MAX: usize = 16;

/// Assets whose decimals their chains fix, and currencies by ISO 4217.
const WELL_KNOWN: &[(&str, u8)] = &[
    ("BTC", 8),
    ("BCH", 8),
    ("LTC", 8),
    ("MONA", 8),
    ("ETH", 18),
    ("XRP", 6),
    ("XEM", 6),
    ("JPY", 0),
    ("USD", 2),
];

/// What an asset is called in the books: `BTC`, `JPY`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code(String);

/// Text that is no code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{found:?} is no code of an asset, want 1 to {CODE_MAX} of A-Z 0-9 . -")]
pub struct CodeError {
    /// What stood there, shortened.
    found: String,
}

impl Code {
    /// The code as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let fits = (1..=CODE_MAX).contains(&text.len());
        let may = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if fits && text.bytes().all(may) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CodeError { found: text.chars().take(40).collect() })
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An asset's place in a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AssetNum(u16);

impl AssetNum {
    /// Its place, from 0.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// The assets that one set of books knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assets(Vec<(Code, u8)>);

/// Why a table does not take an asset.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssetsError {
    /// No name.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Smaller parts than amounts can have.
    #[error("{code} has {found} decimals, want at most {DECIMALS_MAX}")]
    Decimals {
        /// The asset.
        code: Code,
        /// What was given.
        found: u8,
    },
    /// Known with other decimals.
    #[error("{code} has {known} decimals, not {found}: leave it out or correct it")]
    Differs {
        /// The asset.
        code: Code,
        /// What the table says.
        known: u8,
        /// What was given.
        found: u8,
    },
    /// More than a table holds.
    #[error("more than {ASSETS_MAX} assets")]
    Many,
}

impl Default for Assets {
    /// The well-known ones alone.
    fn default() -> Self {
        let known = WELL_KNOWN.iter().map(|(code, decimals)| (Code((*code).to_owned()), *decimals));
        Self(known.collect())
    }
}

impl Assets {
    /// Adds an asset; one that is known already must have the same decimals.
    ///
    /// # Errors
    /// Text that is no code, decimals that it cannot have, a full table.
    pub fn add(&mut self, code: &str, decimals: u8) -> Result<AssetNum, AssetsError> {
        let code: Code = code.parse()?;
        if decimals > DECIMALS_MAX {
            return Err(AssetsError::Decimals { code, found: decimals });
        }
        if let Some(num) = self.find(code.as_str()) {
            let known = self.decimals(num);
            let same = known == decimals;
            return if same { Ok(num) } else { Err(AssetsError::Differs { code, known, found: decimals }) };
        }
        let num = u16::try_from(self.0.len()).ok().filter(|num| usize::from(*num) < ASSETS_MAX);
        let num = AssetNum(num.ok_or(AssetsError::Many)?);
        self.0.push((code, decimals));
        Ok(num)
    }

    /// The asset of this code.
    #[must_use]
    pub fn find(&self, code: &str) -> Option<AssetNum> {
        let place = self.0.iter().position(|(known, _)| known.as_str() == code)?;
        u16::try_from(place).ok().map(AssetNum)
    }

    /// What an asset of this table is called.
    #[must_use]
    pub fn code(&self, num: AssetNum) -> &str {
        self.0.get(num.place()).map_or("", |(code, _)| code.as_str())
    }

    /// How many decimals a whole coin of it has.
    #[must_use]
    pub fn decimals(&self, num: AssetNum) -> u8 {
        self.0.get(num.place()).map_or(0, |(_, decimals)| *decimals)
    }

    /// All codes, in the table's order.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(code, _)| code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_short_and_of_capitals() {
        let long = "A".repeat(16);
        for good in ["BTC", "USD-T.E", "1INCH", long.as_str()] {
            assert_eq!(good.parse::<Code>().unwrap().as_str(), good);
        }
        let longer = "A".repeat(17);
        for bad in ["", "btc", "B C", "ＢＴＣ", longer.as_str()] {
            assert!(bad.parse::<Code>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_asset_has_the_decimals_that_it_was_given_once() {
        let mut assets = Assets::default();
        let xem = assets.find("XEM").unwrap();
        assert_eq!((assets.code(xem), assets.decimals(xem)), ("XEM", 6));
        assert_eq!(assets.add("XEM", 6), Ok(xem));
        let problem = assets.add("XEM", 8).unwrap_err().to_string();
        assert_eq!(problem, "XEM has 6 decimals, not 8: leave it out or correct it");
        let qash = assets.add("QASH", 6).unwrap();
        assert_eq!((assets.find("QASH"), assets.code(qash)), (Some(qash), "QASH"));
        assert!(assets.add("DEEP", 18).is_ok());
        assert!(matches!(assets.add("DEEPER", 19), Err(AssetsError::Decimals { found: 19, .. })));
        assert_eq!(assets.find("NONE"), None);
    }

    #[test]
    fn a_table_holds_ten_thousand() {
        let mut assets = Assets::default();
        let beside = assets.codes().count();
        for number in beside..ASSETS_MAX {
            assets.add(&format!("T{number}"), 0).unwrap();
        }
        assert_eq!(assets.add("MORE", 0), Err(AssetsError::Many));
        assert!(assets.add("T9999", 0).is_ok());
    }
}
