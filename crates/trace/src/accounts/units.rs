//! Amounts of up to 256 bits: what tokens of account chains need.
//!
//! Decides arithmetic alone, checked everywhere. Never a float, and never a product that wraps.

use core::{fmt, str::FromStr};

use ruint::aliases::{U256, U512};

/// Decimal digits of 2²⁵⁶ − 1.
const DIGITS_MAX: usize = 78;

/// A number of base units of one asset, at most 2²⁵⁶ − 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Units(U256);

/// Text that is no amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("want a decimal number from 0 to 2^256 - 1 without sign, blanks or leading zeros")]
pub struct UnitsError;

impl Units {
    /// No units.
    pub const ZERO: Self = Self(U256::ZERO);
    /// The most that there can be: 2²⁵⁶ − 1.
    pub const MAX: Self = Self(U256::MAX);

    /// The number that `bytes` write, the most significant first; at most 32 of them.
    #[must_use]
    pub fn from_be_bytes(bytes: &[u8]) -> Option<Self> {
        U256::try_from_be_slice(bytes).map(Self)
    }

    /// This many.
    #[must_use]
    pub fn from_u128(units: u128) -> Self {
        Self(U256::from(units))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum, or `None` beyond 2²⁵⁶ − 1.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub fn less(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// What exceeds `other`: the difference, or zero.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The product, or `None` beyond 2²⁵⁶ − 1.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        self.0.checked_mul(other.0).map(Self)
    }

    /// The quotient, rounded down; `None` by zero.
    #[must_use]
    pub fn over(self, other: Self) -> Option<Self> {
        self.0.checked_div(other.0).map(Self)
    }

    /// These units' share of `tainted` units out of `balance`, where what stays is the other destination: rounded down,
    /// and the unit left over goes to the larger remainder, to these units where both are equal.
    #[must_use]
    pub(super) fn share(self, tainted: Self, balance: Self) -> Self {
        let product: U512 = self.0.widening_mul(tainted.0);
        let whole = U512::from(balance.0);
        let (Some(quotient), Some(left)) = (product.checked_div(whole), product.checked_rem(whole)) else {
            return Self::ZERO;
        };
        let up = !left.is_zero() && left >= whole.saturating_sub(left);
        // Not more than the product over the greater factor, so it fits.
        let share = quotient.saturating_add(U512::from(up));
        Self(U256::saturating_from(share))
    }

    /// The sum of all, or `None` beyond 2²⁵⁶ − 1.
    pub fn sum(units: impl IntoIterator<Item = Self>) -> Option<Self> {
        units.into_iter().try_fold(Self::ZERO, Self::plus)
    }
}

impl From<u64> for Units {
    fn from(units: u64) -> Self {
        Self(U256::from(units))
    }
}

impl TryFrom<Units> for u128 {
    type Error = UnitsError;

    fn try_from(units: Units) -> Result<Self, UnitsError> {
        Self::try_from(units.0).map_err(|_| UnitsError)
    }
}

impl TryFrom<Units> for u64 {
    type Error = UnitsError;

    fn try_from(units: Units) -> Result<Self, UnitsError> {
        Self::try_from(units.0).map_err(|_| UnitsError)
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Units {
    type Err = UnitsError;

    fn from_str(text: &str) -> Result<Self, UnitsError> {
        let plain = !text.is_empty()
            && text.len() <= DIGITS_MAX
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'));
        if !plain {
            return Err(UnitsError);
        }
        U256::from_str_radix(text, 10).map(Self).map_err(|_| UnitsError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: &str = "115792089237316195423570985008687907853269984665640564039457584007913129639935";

    #[test]
    fn amounts_are_plain_decimals_up_to_256_bits() {
        let check = |text: &str, want: Option<&str>| {
            let parsed: Option<Units> = text.parse().ok();
            assert_eq!(parsed.map(|units| units.to_string()).as_deref(), want, "{text}");
        };
        check("0", Some("0"));
        check("10", Some("10"));
        check(MAX, Some(MAX));
        check("115792089237316195423570985008687907853269984665640564039457584007913129639936", None);
        check("1000000000000000000000000000000000000000000000000000000000000000000000000000000", None);
        for wrong in ["", "00", "01", "-1", "+1", "1.0", "1e3", " 1", "0x1", "１"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_share_is_rounded_to_the_larger_remainder_and_never_wraps() {
        let check = |x: u64, tainted: u64, balance: u64, want: u64| {
            let share = Units::from(x).share(Units::from(tainted), Units::from(balance));
            assert_eq!(share, Units::from(want), "{x} of {balance}, {tainted} tainted");
        };
        check(1, 1, 2, 1); // halves: the transfer has the unit
        check(1, 1, 3, 0);
        check(2, 1, 3, 1);
        check(5, 0, 9, 0);
        check(9, 4, 9, 4);
        check(0, 4, 9, 0);
        assert_eq!(Units::MAX.share(Units::MAX, Units::MAX), Units::MAX);
        assert_eq!(Units::from(1).share(Units::MAX, Units::MAX), Units::from(1));
    }

    proptest::proptest! {
        #[test]
        fn a_share_is_the_quotient_rounded_half_up(a: u64, b: u64, c: u64) {
            // Two bits fewer, so that twice the product fits 128 bits.
            let [a, b, c] = [a, b, c].map(|number| number >> 2);
            let balance = a.max(b).max(c).max(1);
            let want = (2 * u128::from(a) * u128::from(b) / u128::from(balance)).div_ceil(2);
            let share = Units::from(a).share(Units::from(b), Units::from(balance));
            proptest::prop_assert_eq!(share.to_string(), want.to_string());
        }

        #[test]
        fn two_shares_are_the_whole_also_where_products_outgrow_256_bits(a: [u8; 32], b: [u8; 32], c: [u8; 32]) {
            let mut sorted = [a, b, c].map(|bytes| Units::from_be_bytes(&bytes).unwrap());
            sorted.sort();
            let [x, tainted, balance] = sorted;
            let sum = x.share(tainted, balance).plus(balance.less(x).unwrap().share(tainted, balance)).unwrap();
            // Random numbers of this size leave no equal remainders.
            proptest::prop_assert_eq!(sum, tainted);
            proptest::prop_assert!(x.share(tainted, balance) <= x);
        }
    }
}
