//! Base58 with a checksum, as addresses use it.
//!
//! Decides whether text is well-formed and its checksum right; never what the payload means.

use super::{address::AddressError, hash::sha256d};

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Longest text that is looked at: no address has more characters.
const TEXT_MAX: usize = 112;

/// The payload of `text`, whose last four bytes were the checksum of the rest.
pub(crate) fn decode_check(text: &str) -> Result<Vec<u8>, AddressError> {
    if text.len() > TEXT_MAX {
        return Err(AddressError::Length { got: text.len(), max: TEXT_MAX });
    }
    let bytes = decode(text)?;
    let Some((payload, found)) = bytes.split_last_chunk::<4>() else {
        return Err(AddressError::Payload {
            got: bytes.len(),
            want: "a version byte, 20 bytes and a checksum",
        });
    };
    let [a, b, c, d, ..] = sha256d(payload);
    let want = [a, b, c, d];
    if *found != want {
        return Err(AddressError::Base58Checksum { found: *found, want });
    }
    Ok(payload.to_vec())
}

/// The text of `payload` with its checksum.
pub(crate) fn encode_check(payload: &[u8]) -> String {
    let digest = sha256d(payload);
    let bytes: Vec<u8> = payload.iter().chain(digest.iter().take(4)).copied().collect();
    encode(&bytes)
}

fn decode(text: &str) -> Result<Vec<u8>, AddressError> {
    // Little endian while it grows.
    let mut number: Vec<u8> = Vec::with_capacity(text.len());
    for (at, found) in (1..).zip(text.chars()) {
        let digit = ALPHABET.iter().position(|c| char::from(*c) == found);
        let digit = digit.and_then(|digit| u32::try_from(digit).ok());
        let mut carry = digit.ok_or(AddressError::Base58Character { found, at })?;
        for byte in &mut number {
            carry = u32::from(*byte).saturating_mul(58).saturating_add(carry);
            *byte = low_byte(carry);
            carry >>= 8;
        }
        if carry > 0 {
            number.push(low_byte(carry));
        }
    }
    let zeros = text.bytes().take_while(|c| *c == b'1').count();
    Ok(core::iter::repeat_n(0, zeros).chain(number.into_iter().rev()).collect())
}

fn encode(bytes: &[u8]) -> String {
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
    let digit = |digit: u8| ALPHABET.get(usize::from(digit)).copied().map_or('1', char::from);
    core::iter::repeat_n('1', zeros).chain(digits.into_iter().rev().map(digit)).collect()
}

fn low_byte(number: u32) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_agrees_with_the_peer_crate() {
        for length in 0..60_u8 {
            for lead in [0, 1, 2] {
                let payload: Vec<u8> =
                    (0..length).map(|i| if i < lead { 0 } else { i.wrapping_mul(37) }).collect();
                let text = encode_check(&payload);
                assert_eq!(text, bitcoin::base58::encode_check(&payload));
                assert_eq!(decode_check(&text), Ok(payload));
            }
        }
    }

    #[test]
    fn errors_name_the_place() {
        let error = decode_check("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM0P").unwrap_err();
        assert_eq!(error, AddressError::Base58Character { found: '0', at: 33 });
        let error = decode_check("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7Q").unwrap_err();
        assert!(matches!(error, AddressError::Base58Checksum { .. }));
        assert!(matches!(decode_check(""), Err(AddressError::Payload { got: 0, .. })));
        assert!(matches!(decode_check(&"1".repeat(113)), Err(AddressError::Length { got: 113, .. })));
    }
}
