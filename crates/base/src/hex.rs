//! Hexadecimal text, with errors that name the character.

/// Text that is not hexadecimal, or not of the wanted length.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HexError {
    /// A character that is no hexadecimal digit.
    #[error("character {found:?} at {at} is not a hexadecimal digit")]
    Digit {
        /// The character.
        found: char,
        /// Its position, from 1.
        at: usize,
    },
    /// Half a byte at the end.
    #[error("{got} hexadecimal digits, want an even number")]
    Odd {
        /// How many digits there are.
        got: usize,
    },
    /// Not the length that the place asks for.
    #[error("{got} bytes of hexadecimal, want {want}")]
    Length {
        /// Bytes found.
        got: usize,
        /// Bytes wanted.
        want: usize,
    },
}

/// Lower-case hexadecimal.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes of hexadecimal text in either case.
///
/// # Errors
/// The first character that is no digit, or an odd number of digits.
pub fn decode(text: &str) -> Result<Vec<u8>, HexError> {
    let mut nibbles = Vec::with_capacity(text.len());
    for (at, found) in (1..).zip(text.chars()) {
        let value = found.to_digit(16).and_then(|value| u8::try_from(value).ok());
        nibbles.push(value.ok_or(HexError::Digit { found, at })?);
    }
    let (pairs, rest) = nibbles.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(HexError::Odd { got: nibbles.len() });
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Exactly `N` bytes of hexadecimal text.
///
/// # Errors
/// As [`decode`], or another length.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let bytes = decode(text)?;
    let got = bytes.len();
    bytes.try_into().map_err(|_| HexError::Length { got, want: N })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_named() {
        assert_eq!(encode(&[0, 0xab, 0xff]), "00abff");
        assert_eq!(decode("00ABff"), Ok(vec![0, 0xab, 0xff]));
        assert_eq!(decode("0g"), Err(HexError::Digit { found: 'g', at: 2 }));
        assert_eq!(decode("abc"), Err(HexError::Odd { got: 3 }));
        assert_eq!(decode_array::<2>("00"), Err(HexError::Length { got: 1, want: 2 }));
    }
}
