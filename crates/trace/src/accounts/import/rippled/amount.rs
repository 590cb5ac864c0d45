//! Amounts of issued currencies as base units.
//!
//! They are decimal fractions of 15 significant digits (XRPL, "Token precision"). Their base unit here is 10⁻¹⁵; what is finer
//! is cut off each balance, so that what balances say is still what moved.

use serde::Deserialize;
use serde_json::Value;

use super::super::{super::units::Units, ImportProblem};

/// Decimal places of the base unit.
const PLACES: i64 = 15;
/// Digits of 2²⁵⁶.
const DIGITS_MAX: i64 = 78;
/// Longest text of an amount; the ledger's have about 24 characters.
const TEXT_MAX: usize = 64;

#[derive(Deserialize)]
pub(super) struct RawAmount {
    pub(super) currency: String,
    pub(super) issuer: String,
    pub(super) value: String,
}

/// An amount that may be owed in either direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owed {
    pub(super) negative: bool,
    /// Nothing where there are more than 2²⁵⁶ − 1 base units.
    pub(super) units: Option<Units>,
}

impl Owed {
    const ZERO: Self = Self { negative: false, units: Some(Units::ZERO) };

    /// What is owed in the direction of the sign, and in the other.
    pub(super) fn sides(self) -> [Option<Units>; 2] {
        let none = Some(Units::ZERO);
        if self.negative { [none, self.units] } else { [self.units, none] }
    }
}

/// What a field holds of an issued currency; nothing where it is not there.
pub(super) fn owed(what: &'static str, value: Option<&Value>) -> Result<Owed, ImportProblem> {
    let Some(value) = value else { return Ok(Owed::ZERO) };
    decimal(what, &raw(what, value)?.value)
}

pub(super) fn raw(what: &'static str, value: &Value) -> Result<RawAmount, ImportProblem> {
    let wrong = |_| ImportProblem::field(what, &value.to_string(), "currency, issuer and value");
    serde_json::from_value(value.clone()).map_err(wrong)
}

/// The name of an issued currency in a list.
pub(super) fn asset(currency: &str, issuer: &str) -> Result<String, ImportProblem> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let fits = (1..=40).contains(&currency.len()) && currency.bytes().all(plain);
    if !fits {
        return Err(ImportProblem::field("currency", currency, "three characters or 40 hexadecimal digits"));
    }
    Ok(format!("{currency}.{}", super::plain("issuer", issuer)?))
}

/// A decimal with a sign, a point and an exponent, each of which may be missing.
fn decimal(what: &'static str, text: &str) -> Result<Owed, ImportProblem> {
    let wrong = || ImportProblem::field(what, text, "a decimal number, with an exponent or without");
    if text.len() > TEXT_MAX {
        return Err(wrong());
    }
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().map_err(|_| wrong())?),
        None => (rest, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Owed::ZERO);
    }
    // Neither a text's length nor an exponent of 16 bits comes near the ends of 64.
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    let shift = i64::from(exponent) - length(part) + PLACES;
    let places = length(digits) + shift;
    if places > DIGITS_MAX {
        return Ok(Owed { negative, units: None });
    }
    let kept = usize::try_from(places).unwrap_or(0);
    let mut text: String = digits.chars().chain(core::iter::repeat('0')).take(kept).collect();
    if text.is_empty() {
        text.push('0');
    }
    // At most 78 digits: what does not parse is too large.
    Ok(Owed { negative, units: text.parse().ok() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_base_units_and_what_is_finer_is_cut() {
        let check = |text: &str, want: Option<&str>| {
            let owed = decimal("value", text).unwrap();
            let shown = owed.units.map(|units| format!("{}{units}", if owed.negative { "-" } else { "" }));
            assert_eq!(shown.as_deref(), want, "{text}");
        };
        check("0", Some("0"));
        check("-0.0", Some("0"));
        check("1", Some("1000000000000000"));
        check("-10.5", Some("-10500000000000000"));
        check("0.000000000000001", Some("1"));
        check("0.0000000000000019", Some("1"));
        check("0.0000000000000009", Some("0"));
        check("1000000000000000e-96", Some("0"));
        check("1234567890123456e-15", Some("1234567890123456"));
        check("12e3", Some("12000000000000000000"));
        check("1E+2", Some("100000000000000000"));
        // 2^256 - 1 and one more, as 10^-15.
        let max = "115792089237316195423570985008687907853269984665640564039457.584007913129639935";
        assert!(max.len() > TEXT_MAX && decimal("value", max).is_err());
        check("1e62", Some(&format!("1{}", "0".repeat(77))));
        check("2e62", None);
        check("9999999999999999e80", None);
        check("1e32767", None);
        check("1e-32768", Some("0"));
        check("0e32767", Some("0"));
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", "-", ".5", "1e", "e5", "1e99999", "+1", "1.2.3", "0x1", "１", "1 ", "NaN", "1e1e1"]
        {
            assert!(decimal("value", text).is_err(), "{text}");
        }
    }
}
