//! Decimal numbers as people write them: amounts in whole coins, rates, shares. Decides what is a number; never rounds one that
//! has more decimals than its unit.

use core::{fmt, str::FromStr};

use kuraban_base::Amount;

/// Decimals of a rate.
pub(crate) const RATE_PLACES: u8 = 12;
/// Decimals of a share.
pub(crate) const SHARE_PLACES: u8 = 6;
/// Longest number that is read, in characters.
const LENGTH_MAX: usize = 60;

/// Text that is no number of the wanted kind.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecimalError {
    /// Nothing stood in its place.
    #[error("is empty, want a number such as 12.5")]
    Empty,
    /// Below zero.
    #[error("{found} is negative, want zero or more")]
    Negative {
        /// What was written.
        found: String,
    },
    /// Something else than digits and one point.
    #[error(
        "{found:?} has {character:?} at character {at}, want digits with at most one point, without signs, blanks or separators"
    )]
    Character {
        /// What was written, shortened.
        found: String,
        /// What stood there.
        character: char,
        /// Where, from 1.
        at: usize,
    },
    /// A point without a digit on both sides.
    #[error("{found:?} lacks a digit before or after its point")]
    Point {
        /// What was written.
        found: String,
    },
    /// Smaller parts than the unit has.
    #[error("{found} has {places} decimals, want at most {max}")]
    Places {
        /// What was written.
        found: String,
        /// Its decimals.
        places: usize,
        /// Those of its unit.
        max: u8,
    },
    /// More than is counted.
    #[error("{found} is too large")]
    Large {
        /// What was written, shortened.
        found: String,
    },
}

/// The base units of a number of whole coins with `decimals` decimals; zeros behind the last of them are allowed.
///
/// # Errors
/// Text that is no decimal number, is negative, or has more decimals or digits than the unit.
pub fn units(text: &str, decimals: u8) -> Result<Amount, DecimalError> {
    let found = || text.chars().take(LENGTH_MAX).collect::<String>();
    if text.is_empty() {
        return Err(DecimalError::Empty);
    }
    if text.len() > LENGTH_MAX {
        return Err(DecimalError::Large { found: found() });
    }
    let mut pointed = false;
    for (at, character) in (1..).zip(text.chars()) {
        let point = character == '.' && !pointed;
        pointed |= point;
        if character == '-' && at == 1 && text.len() > 1 {
            return Err(DecimalError::Negative { found: found() });
        }
        if !(character.is_ascii_digit() || point) {
            return Err(DecimalError::Character { found: found(), character, at });
        }
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || part.is_empty() {
        return Err(DecimalError::Point { found: found() });
    }
    let part = part.trim_end_matches('0');
    let missing = usize::from(decimals).checked_sub(part.len()).ok_or_else(|| DecimalError::Places {
        found: found(),
        places: part.len(),
        max: decimals,
    })?;
    let digits = whole.bytes().chain(part.bytes()).chain(core::iter::repeat_n(b'0', missing));
    let add = |sum: u128, digit: u8| sum.checked_mul(10)?.checked_add(u128::from(digit.checked_sub(b'0')?));
    let mut digits = digits;
    let units = digits.try_fold(0_u128, add);
    units.map(Amount::new).ok_or_else(|| DecimalError::Large { found: found() })
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident, $places:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u128);

        impl $name {
            /// The number times ten to the power of its places.
            pub(crate) const fn mantissa(self) -> u128 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = DecimalError;

            fn from_str(text: &str) -> Result<Self, DecimalError> {
                units(text, $places).map(|units| Self(units.units()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Amount::new(self.0).to_coins($places).fmt(f)
            }
        }
    )*};
}

fixed! {
    /// What one whole coin is worth in whole units of a currency, with up to twelve decimals.
    Rate, RATE_PLACES;
    /// A part of a whole, or a multiple, with up to six decimals: `0.6`.
    Share, SHARE_PLACES;
}

impl Rate {
    /// One for one: what the currency itself is worth.
    pub const ONE: Self = Self(1_000_000_000_000);

    /// The rate of this many parts of 10⁻¹².
    #[must_use]
    pub const fn from_parts(parts: u128) -> Self {
        Self(parts)
    }
}

impl Rate {
    /// Halfway between two, rounded once to so many decimals.
    #[must_use]
    pub fn midpoint(self, other: Self, places: u8, rounding: crate::Rounding) -> Option<Self> {
        // Half of the sum: ten times five, so that nothing is lost before it is rounded.
        let tenths = self.0.checked_add(other.0)?.checked_mul(5)?;
        crate::exact::to_places(tenths, RATE_PLACES.checked_add(1)?, places, rounding).map(Self)
    }
}

impl Share {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const ONE: Self = Self(1_000_000);

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, decimals: u8, want: Result<u128, &str>) {
        let found = units(text, decimals).map(Amount::units).map_err(|error| error.to_string());
        assert_eq!(found, want.map_err(str::to_owned));
    }

    #[test]
    fn coins_are_read_to_the_last_unit_and_no_further() {
        check("0", 8, Ok(0));
        check("4502.9", 8, Ok(450_290_000_000));
        check("0.00000001", 8, Ok(1));
        check("0.000000010", 8, Ok(1));
        check("1.", 8, Err("\"1.\" lacks a digit before or after its point"));
        check(".5", 8, Err("\".5\" lacks a digit before or after its point"));
        check("0.000000001", 8, Err("0.000000001 has 9 decimals, want at most 8"));
        check("5.5", 0, Err("5.5 has 1 decimals, want at most 0"));
        check("5.0", 0, Ok(5));
        check("", 0, Err("is empty, want a number such as 12.5"));
        check("-1", 0, Err("-1 is negative, want zero or more"));
        let strange = |text: &str, character: char, at| {
            format!(
                "{text:?} has {character:?} at character {at}, want digits with at most one point, without signs, blanks or separators"
            )
        };
        for (text, character, at) in [
            ("1,000", ',', 2),
            ("1.2.3", '.', 4),
            ("1e5", 'e', 2),
            (" 1", ' ', 1),
            ("１", '１', 1),
            ("+1", '+', 1),
            ("-", '-', 1),
            ("NaN", 'N', 1),
        ] {
            check(text, 8, Err(&strange(text, character, at)));
        }
    }

    #[test]
    fn numbers_end_at_what_is_counted() {
        check("340282366920938463463374607431768211455", 0, Ok(u128::MAX));
        check(
            "340282366920938463463374607431768211456",
            0,
            Err("340282366920938463463374607431768211456 is too large"),
        );
        check("3402823669209384634633746074317682114.55", 2, Ok(u128::MAX));
        check(&"0".repeat(60), 0, Ok(0));
        check(&"0".repeat(61), 0, Err(&format!("{} is too large", "0".repeat(60))));
    }

    #[test]
    fn rates_and_shares_are_shown_as_they_were_written() {
        for text in ["88.549", "712565", "0.000000000001", "749318.83"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("1".parse(), Ok(Rate::ONE));
        assert_eq!("0.6".parse::<Share>().unwrap().plus("0.4".parse().unwrap()), Some(Share::ONE));
        assert!("0.0000001".parse::<Share>().is_err());
    }
}
