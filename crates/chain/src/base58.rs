//! Base58 with a checksum, as addresses use it, in the alphabets that there are.
//!
//! Decides whether text is well-formed and its checksum right; never what the payload means.

use crate::btc::hash::sha256d;

/// Which characters stand for the digits 0 to 57.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alphabet {
    /// The BTC family's, and that of all who took it over.
    Bitcoin,
    /// The XRP Ledger's: the same characters in another order.
    Ripple,
}

impl Alphabet {
    const fn digits(self) -> &'static [u8; 58] {
        match self {
            Self::Bitcoin => b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
            Self::Ripple => b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz",
        }
    }

    const fn zero(self) -> u8 {
        match self {
            Self::Bitcoin => b'1',
            Self::Ripple => b'r',
        }
    }
}

/// Why text is not Base58 with a checksum.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Base58Error {
    /// More characters than are looked at.
    #[error("it has {got} bytes of text, want at most {TEXT_MAX}")]
    Length {
        /// Bytes of text.
        got: usize,
    },
    /// A character outside of the alphabet.
    #[error("character {found:?} at {at} is not one of Base58, which leaves out 0, O, I and l")]
    Character {
        /// The character.
        found: char,
        /// Its position, from 1.
        at: usize,
    },
    /// Fewer bytes than a checksum has.
    #[error("it has {got} bytes, want a payload and a checksum of 4")]
    Short {
        /// Bytes.
        got: usize,
    },
    /// A checksum that is not the payload's.
    #[error("checksum is {found:02x?}, want {want:02x?}: at least one character is wrong")]
    Checksum {
        /// At the end of the text.
        found: [u8; 4],
        /// Of the payload.
        want: [u8; 4],
    },
}

/// Longest text that is looked at: no address has more characters.
pub(crate) const TEXT_MAX: usize = 112;

/// The payload of `text`, whose last four bytes were the checksum of the rest.
///
/// # Errors
/// A text that is too long, a character outside of the alphabet, or a checksum that is not the payload's.
pub fn decode_check(alphabet: Alphabet, text: &str) -> Result<Vec<u8>, Base58Error> {
    if text.len() > TEXT_MAX {
        return Err(Base58Error::Length { got: text.len() });
    }
    let bytes = decode(alphabet, text)?;
    let Some((payload, found)) = bytes.split_last_chunk::<4>() else {
        return Err(Base58Error::Short { got: bytes.len() });
    };
    let [a, b, c, d, ..] = sha256d(payload);
    let want = [a, b, c, d];
    if *found != want {
        return Err(Base58Error::Checksum { found: *found, want });
    }
    Ok(payload.to_vec())
}

/// The text of `payload` with its checksum.
#[must_use]
pub fn encode_check(alphabet: Alphabet, payload: &[u8]) -> String {
    let digest = sha256d(payload);
    let bytes: Vec<u8> = payload.iter().chain(digest.iter().take(4)).copied().collect();
    encode(alphabet, &bytes)
}

fn decode(alphabet: Alphabet, text: &str) -> Result<Vec<u8>, Base58Error> {
    let (digits, zero) = (alphabet.digits(), alphabet.zero());
    // Little endian while it grows.
    let mut number: Vec<u8> = Vec::with_capacity(text.len());
    for (at, found) in (1..).zip(text.chars()) {
        let digit = digits.iter().position(|c| char::from(*c) == found);
        let digit = digit.and_then(|digit| u32::try_from(digit).ok());
        let mut carry = digit.ok_or(Base58Error::Character { found, at })?;
        for byte in &mut number {
            carry = u32::from(*byte).saturating_mul(58).saturating_add(carry);
            *byte = low_byte(carry);
            carry >>= 8;
        }
        if carry > 0 {
            number.push(low_byte(carry));
        }
    }
    let zeros = text.bytes().take_while(|c| *c == zero).count();
    Ok(core::iter::repeat_n(0, zeros).chain(number.into_iter().rev()).collect())
}

fn encode(alphabet: Alphabet, bytes: &[u8]) -> String {
    // Little endian while it grows.
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry = (u32::from(*digit) << 8).saturating_add(carry);
            *digit = low_byte(carry % 58);
            carry /= 58;
        }
        while carry > 0 {
            digits.push(low_byte(carry % 58));
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let zero = char::from(alphabet.zero());
    let digit = |digit: u8| alphabet.digits().get(usize::from(digit)).copied().map_or(zero, char::from);
    core::iter::repeat_n(zero, zeros).chain(digits.into_iter().rev().map(digit)).collect()
}

fn low_byte(number: u32) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_BITCOIN: Alphabet = Alphabet::Bitcoin;

    #[test]
    fn text_agrees_with_the_peer_crate() {
        for length in 0..60_u8 {
            for lead in [0, 1, 2] {
                let payload: Vec<u8> =
                    (0..length).map(|i| if i < lead { 0 } else { i.wrapping_mul(37) }).collect();
                let text = encode_check(OF_BITCOIN, &payload);
                assert_eq!(text, bitcoin::base58::encode_check(&payload));
                assert_eq!(decode_check(OF_BITCOIN, &text), Ok(payload.clone()));
                // The alphabets hold the same characters: the peer's text in the other one's letters.
                let place = |c: u8| OF_BITCOIN.digits().iter().position(|digit| *digit == c).unwrap();
                let other: String =
                    text.bytes().map(|c| char::from(Alphabet::Ripple.digits()[place(c)])).collect();
                assert_eq!(encode_check(Alphabet::Ripple, &payload), other);
                assert_eq!(decode_check(Alphabet::Ripple, &other), Ok(payload));
            }
        }
    }

    #[test]
    fn errors_name_the_place() {
        let check = |text: &str, want: Base58Error| assert_eq!(decode_check(OF_BITCOIN, text), Err(want));
        check("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM0P", Base58Error::Character { found: '0', at: 33 });
        let error = decode_check(OF_BITCOIN, "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7Q").unwrap_err();
        assert!(matches!(error, Base58Error::Checksum { .. }));
        check("", Base58Error::Short { got: 0 });
        check("111", Base58Error::Short { got: 3 });
        check(&"1".repeat(113), Base58Error::Length { got: 113 });
        assert!(decode_check(OF_BITCOIN, &"1".repeat(112)).is_err());
    }
}
