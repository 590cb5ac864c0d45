//! Amounts as nodes write them: coins with up to eight decimals.
//!
//! Decides which digits are an amount. Exact: no float is made.

/// Decimals of a coin, in both currencies.
const DECIMALS: usize = 8;

/// Base units of a JSON number such as `0.00012345`; none where it is below zero, has more decimals than a
/// coin, an exponent, or does not fit.
#[must_use]
pub fn sat(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<DECIMALS$}").parse().ok()?;
    whole.checked_mul(100_000_000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_from_their_digits() {
        let check = |text: &str, want| assert_eq!(sat(text), want, "{text}");
        check("0.00012345", Some(12_345));
        check("50.00000000", Some(5_000_000_000));
        check("1", Some(100_000_000));
        check("0.1", Some(10_000_000));
        // Not exact as a binary fraction.
        check("0.29", Some(29_000_000));
        check("20999999.97690000", Some(2_099_999_997_690_000));
        check("184467440737.09551615", Some(u64::MAX));
        check("184467440737.09551616", None);
        check("0.000000001", None);
        check("1e-5", None);
        check("-1", None);
        check("1.", None);
        check(".5", None);
        check("", None);
        check("null", None);
        check("\"1\"", None);
        check("+1", None);
    }
}
