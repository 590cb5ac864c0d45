//! Exact sums of money, and the places where they are rounded. Decides how; who bears the difference is decided by a scheme.

use core::fmt;

use kuraban_base::Amount;
use ruint::aliases::{U256, U512};
use serde::{Deserialize, Serialize};

use crate::decimal::{RATE_PLACES, Rate, SHARE_PLACES, Share};

/// Decimals of an exact sum: those of the smallest unit of any asset, of a rate and of a share together.
const PLACES: u8 = crate::asset::DECIMALS_MAX + RATE_PLACES + SHARE_PLACES;

/// How a number between two units becomes one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// To the nearer; a half goes up.
    HalfUp,
    /// To the nearer; a half goes to the even one.
    HalfEven,
    /// To the lower.
    Down,
    /// To the higher.
    Up,
}

impl Rounding {
    /// Whether `whole` and a remainder of `part` in `of` go up.
    fn goes_up(self, odd: bool, part: U256, of: U256) -> bool {
        let rest = of.saturating_sub(part);
        match self {
            Self::Down => false,
            Self::Up => !part.is_zero(),
            Self::HalfUp => !part.is_zero() && part >= rest,
            Self::HalfEven => part > rest || (part == rest && odd),
        }
    }
}

/// A sum of money or coins that is not rounded: a whole number of 10⁻³⁶ of a whole unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Exact(U256);

impl Exact {
    /// Nothing.
    pub const ZERO: Self = Self(U256::ZERO);

    /// `units` with `decimals` decimals each, in whole units.
    #[must_use]
    pub fn of(units: Amount, decimals: u8) -> Option<Self> {
        U256::from(units.units()).checked_mul(ten_to(PLACES.checked_sub(decimals)?)?).map(Self)
    }

    /// What `share` of `units` with `decimals` decimals is worth at `rate`.
    #[must_use]
    pub fn worth(units: Amount, decimals: u8, rate: Rate, share: Share) -> Option<Self> {
        let places = decimals.checked_add(RATE_PLACES)?.checked_add(SHARE_PLACES)?;
        let product = U256::from(units.units())
            .checked_mul(U256::from(rate.mantissa()))?
            .checked_mul(U256::from(share.mantissa()))?;
        product.checked_mul(ten_to(PLACES.checked_sub(places)?)?).map(Self)
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// What is left, or `None` below zero.
    #[must_use]
    pub fn less(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The sum of all.
    pub fn sum(sums: impl IntoIterator<Item = Self>) -> Option<Self> {
        sums.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// This much money for that many coins, as a rate with `places` decimals, rounded once: what a volume-weighted average is.
    /// `None` for no coins, and for more decimals than a rate has.
    #[must_use]
    pub fn per(self, coins: Self, places: u8, rounding: Rounding) -> Option<Rate> {
        let scaled: U512 = self.0.widening_mul(ten_to(places)?);
        let of = U512::from(coins.0);
        let quotient = scaled.checked_div(of)?;
        let rest = U256::checked_from_limbs_slice(scaled.checked_rem(of)?.as_limbs())?;
        let up = rounding.goes_up(quotient.bit(0), rest, coins.0);
        let rounded = u128::try_from(quotient.checked_add(U512::from(up))?).ok()?;
        let missing = u128::try_from(ten_to(RATE_PLACES.checked_sub(places)?)?).ok()?;
        rounded.checked_mul(missing).map(Rate::from_parts)
    }

    /// In units with `decimals` decimals, rounded; and the fraction of a unit above the lower one, in 10⁻³⁶ of a whole.
    #[must_use]
    pub fn round(self, decimals: u8, rounding: Rounding) -> Option<(Amount, u128)> {
        let unit = ten_to(PLACES.checked_sub(decimals)?)?;
        let (whole, part) = self.0.div_rem(unit);
        let up = rounding.goes_up(whole.bit(0), part, unit);
        let units = u128::try_from(whole.checked_add(U256::from(up))?).ok()?;
        Some((Amount::new(units), u128::try_from(part).ok()?))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let places = usize::from(PLACES);
        let padded = format!("{digits:0>width$}", width = places.saturating_add(1));
        let (whole, part) = padded.split_at(padded.len().saturating_sub(places));
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.fmt(f) } else { write!(f, "{whole}.{part}") }
    }
}

/// `amount` times `part` over `whole`, rounded; and the remainder of the division. `None` by zero, or above 2¹²⁸ − 1.
pub(crate) fn portion(
    amount: Amount,
    part: Amount,
    whole: Amount,
    rounding: Rounding,
) -> Option<(Amount, u128)> {
    let product = U256::from(amount.units()).checked_mul(U256::from(part.units()))?;
    let of = U256::from(whole.units());
    let (quotient, rest) = (product.checked_div(of)?, product.checked_rem(of)?);
    let up = rounding.goes_up(quotient.bit(0), rest, of);
    let units = u128::try_from(quotient.checked_add(U256::from(up))?).ok()?;
    Some((Amount::new(units), u128::try_from(rest).ok()?))
}

/// A number with `from` decimals, rounded to `to` of them, as a number with the decimals of a rate. `None` for more decimals than a rate has.
pub(crate) fn to_places(number: u128, from: u8, to: u8, rounding: Rounding) -> Option<u128> {
    let unit = ten_to(from.checked_sub(to)?)?;
    let (whole, part) = U256::from(number).div_rem(unit);
    let up = rounding.goes_up(whole.bit(0), part, unit);
    let rounded = whole.checked_add(U256::from(up))?.checked_mul(ten_to(RATE_PLACES.checked_sub(to)?)?)?;
    u128::try_from(rounded).ok()
}

fn ten_to(power: u8) -> Option<U256> {
    U256::from(10).checked_pow(U256::from(power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units;

    #[track_caller]
    fn check(coins: &str, decimals: u8, at: &str, share: &str, want: [u128; 4], exact: &str) {
        let held = units(coins, decimals).unwrap();
        let worth = Exact::worth(held, decimals, at.parse().unwrap(), share.parse().unwrap()).unwrap();
        let all = [Rounding::HalfUp, Rounding::HalfEven, Rounding::Down, Rounding::Up];
        assert_eq!(all.map(|rounding| worth.round(0, rounding).unwrap().0.units()), want);
        assert_eq!(worth.to_string(), exact);
    }

    #[test]
    fn money_is_rounded_where_and_as_it_is_said() {
        check("523000000", 6, "88.549", "1", [46_311_127_000; 4], "46311127000");
        check(
            "526300010",
            6,
            "88.549",
            "1",
            [46_603_339_585, 46_603_339_585, 46_603_339_585, 46_603_339_586],
            "46603339585.49",
        );
        check(
            "5966.1",
            8,
            "712565",
            "1",
            [4_251_234_047, 4_251_234_046, 4_251_234_046, 4_251_234_047],
            "4251234046.5",
        );
        check("1", 0, "0.5", "1", [1, 0, 0, 1], "0.5");
        check("3", 0, "0.5", "1", [2, 2, 1, 2], "1.5");
        check("1", 0, "0.499999999999", "1", [0, 0, 0, 1], "0.499999999999");
        check("1", 0, "0.500000000001", "1", [1, 1, 0, 1], "0.500000000001");
        check("0", 18, "749318.83", "0.21", [0; 4], "0");
        check(
            "0.000000000000000001",
            18,
            "0.000000000001",
            "0.000001",
            [0, 0, 0, 1],
            "0.000000000000000000000000000000000001",
        );
    }

    #[test]
    fn what_is_beyond_counting_is_said_and_never_wraps() {
        let all = Amount::new(u128::MAX);
        assert_eq!(Exact::worth(all, 0, Rate::from_parts(u128::MAX), Share::ONE), None);
        assert_eq!(Exact::of(all, 19 + 18), None);
        let most = Exact(U256::MAX);
        assert_eq!((most.plus(most), Exact::ZERO.less(most)), (None, None));
        assert_eq!(most.round(0, Rounding::Down), None);
    }

    #[test]
    fn money_over_coins_is_a_rate() {
        let of = |text: &str| Exact::of(units(text, 12).unwrap(), 12).unwrap();
        let rate = |money, coins, places, rounding| {
            of(money).per(of(coins), places, rounding).map(|rate| rate.to_string())
        };
        assert_eq!(rate("46311127000", "523000000", 3, Rounding::HalfUp).as_deref(), Some("88.549"));
        assert_eq!(rate("2", "3", 12, Rounding::HalfUp).as_deref(), Some("0.666666666667"));
        assert_eq!(rate("2", "3", 12, Rounding::Down).as_deref(), Some("0.666666666666"));
        // Just below the half: rounded to twelve decimals first, it would go up.
        assert_eq!(rate("0.499999999999", "0.999999999999", 0, Rounding::HalfUp).as_deref(), Some("0"));
        assert_eq!(rate("1499999999999", "1000000000000", 0, Rounding::HalfUp).as_deref(), Some("1"));
        assert_eq!(rate("0", "3", 0, Rounding::Up).as_deref(), Some("0"));
        assert_eq!(rate("1", "0", 0, Rounding::Up), None);
        assert_eq!(rate("1", "1", 13, Rounding::Up), None);
    }

    #[test]
    fn a_portion_is_exact_and_has_a_remainder() {
        let portion = |amount, part, whole, rounding| {
            portion(Amount::new(amount), Amount::new(part), Amount::new(whole), rounding)
                .map(|(amount, rest)| (amount.units(), rest))
        };
        assert_eq!(portion(10, 1, 3, Rounding::Down), Some((3, 1)));
        assert_eq!(portion(10, 1, 4, Rounding::HalfUp), Some((3, 2)));
        assert_eq!(portion(10, 1, 4, Rounding::HalfEven), Some((2, 2)));
        assert_eq!(portion(u128::MAX, u128::MAX, u128::MAX, Rounding::Down), Some((u128::MAX, 0)));
        assert_eq!(portion(1, 1, 0, Rounding::Down), None);
        assert_eq!(portion(u128::MAX, 2, 1, Rounding::Down), None);
    }
}
