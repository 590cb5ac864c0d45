//! Decimal numbers and base64 as the C2SP formats write them: one spelling each, anything else is refused.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kuraban_base::TreeHash;

use crate::tree::SIZE_MAX;

/// A tree size or index: decimal digits without leading zeroes, at most [`SIZE_MAX`].
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = if canonical && digits { text.parse().ok()? } else { return None };
    (number <= SIZE_MAX).then_some(number)
}

/// RFC 4648 §4 with padding; one spelling per value.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of canonical base64.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A tree hash in base64.
pub(crate) fn hash(text: &str) -> Option<TreeHash> {
    from_base64(text)?.try_into().ok().map(TreeHash::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        let check = |text: &str, want: Option<u64>| assert_eq!(decimal(text), want, "{text:?}");
        check("0", Some(0));
        check("10", Some(10));
        check("9223372036854775807", Some(SIZE_MAX));
        check("9223372036854775808", None);
        check("99999999999999999999", None);
        for bad in ["", "00", "01", "+1", "-0", " 1", "1 ", "1a", "１"] {
            check(bad, None);
        }
    }

    #[test]
    fn base64_has_one_spelling() {
        let check =
            |text: &str, want: Option<&[u8]>| assert_eq!(from_base64(text).as_deref(), want, "{text:?}");
        check("AA==", Some(&[0]));
        for bad in ["AA", "AB==", "AA==\n", " AA==", "A-==", "AA==AA=="] {
            check(bad, None);
        }
    }
}
