//! Coin amounts: whole numbers of an asset's base unit, with checked arithmetic only.
//!
//! `u128` holds any real supply of every asset that Kuraban guards; a token whose amount needs more is
//! refused where it is decoded (ADR 0002).

use core::fmt;

/// A number of base units (satoshi, wei, drop, micro-XEM) of one asset.
///
/// There is no `+`: [`plus`](Amount::plus) and [`less`](Amount::less) return `None` where a sum would wrap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Amount(u128);

impl Amount {
    /// No units.
    pub const ZERO: Self = Self(0);

    /// `units` base units.
    #[must_use]
    pub const fn new(units: u128) -> Self {
        Self(units)
    }

    /// The number of base units.
    #[must_use]
    pub const fn units(self) -> u128 {
        self.0
    }

    /// The sum, or `None` beyond 2¹²⁸ − 1.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub fn less(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The sum of all amounts, or `None` beyond 2¹²⁸ − 1.
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// The amount as the 64-bit number that the BTC family's consensus encoding carries.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }

    /// The amount in whole coins, exact: `123456789` satoshi with 8 decimals is `1.23456789`.
    #[must_use]
    pub fn to_coins(self, decimals: u8) -> String {
        let digits = self.0.to_string();
        let places = usize::from(decimals);
        let padded = format!("{digits:0>width$}", width = places.saturating_add(1));
        let (whole, part) = padded.split_at(padded.len().saturating_sub(places));
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
    }
}

impl From<u64> for Amount {
    fn from(units: u64) -> Self {
        Self(u128::from(units))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_bounds() {
        let max = Amount::new(u128::MAX);
        assert_eq!(max.plus(Amount::ZERO), Some(max));
        assert_eq!(max.plus(Amount::new(1)), None);
        assert_eq!(Amount::new(1).less(Amount::new(1)), Some(Amount::ZERO));
        assert_eq!(Amount::ZERO.less(Amount::new(1)), None);
        assert_eq!(Amount::sum([max, Amount::new(1)]), None);
        assert_eq!(Amount::sum([Amount::new(2), Amount::ZERO, Amount::new(3)]), Some(Amount::new(5)));
        assert_eq!(Amount::new(u128::from(u64::MAX)).to_u64(), Some(u64::MAX));
        assert_eq!(Amount::new(u128::from(u64::MAX) + 1).to_u64(), None);
    }

    #[test]
    fn units_are_shown_as_they_are() {
        for (amount, units, shown) in [
            (Amount::ZERO, 0, "0"),
            (Amount::from(7), 7, "7"),
            (Amount::from(u64::MAX), u128::from(u64::MAX), "18446744073709551615"),
            (Amount::new(u128::MAX), u128::MAX, "340282366920938463463374607431768211455"),
        ] {
            assert_eq!((amount.units(), amount.to_string().as_str()), (units, shown));
        }
    }

    #[test]
    fn coins_are_exact() {
        let check =
            |units: u128, decimals, want: &str| assert_eq!(Amount::new(units).to_coins(decimals), want);
        check(0, 8, "0");
        check(1, 8, "0.00000001");
        check(450_290_000_000, 8, "4502.9");
        check(100_000_000, 8, "1");
        check(526_300_010_000_000, 6, "526300010");
        check(7, 0, "7");
    }
}
