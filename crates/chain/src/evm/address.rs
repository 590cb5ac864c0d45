//! Addresses: 20 bytes, in hexadecimal with a checksum in its capitals (EIP-55).
//!
//! Decides whether text is one. Never corrects.

use core::fmt;

use kuraban_base::hex;

use super::keccak256;

/// Digits of an address.
const DIGITS: usize = 40;

/// Why text is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// It does not begin with `0x`.
    #[error("it is without 0x, of {got} bytes of text, want 0x and 20 bytes in hexadecimal")]
    Prefix {
        /// Bytes of text.
        got: usize,
    },
    /// Too few or too many digits.
    #[error("it has {got} characters after 0x, want {DIGITS}: 20 bytes in hexadecimal")]
    Length {
        /// How many.
        got: usize,
    },
    /// A character that is no digit.
    #[error("character {found:?} at {at} is not hexadecimal")]
    Digit {
        /// The character.
        found: char,
        /// Its place in the whole text, from 1.
        at: usize,
    },
    /// Capitals that are not the checksum's. Where one digit is wrong, about every other letter is in the wrong case.
    #[error(
        "checksum does not match (EIP-55): character {found:?} at {at} would be {want:?}; a character is wrong"
    )]
    Checksum {
        /// The first character in the wrong case.
        found: char,
        /// What it would be.
        want: char,
        /// Its place in the whole text, from 1.
        at: usize,
    },
}

/// An address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

impl Address {
    /// The address of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The address of a public key: the end of the hash of its two coordinates.
    pub(super) fn of_key(key: &bitcoin::secp256k1::PublicKey) -> Self {
        let [_, point @ ..] = key.serialize_uncompressed();
        let mut bytes = [0; 20];
        for (to, from) in bytes.iter_mut().zip(keccak256(&point).into_iter().skip(12)) {
            *to = from;
        }
        Self(bytes)
    }

    /// The address that a text is. Letters of one case have no checksum; of both, it must hold.
    ///
    /// # Errors
    /// What is wrong with it, and with which character.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix("0x").ok_or(AddressError::Prefix { got: text.len() })?;
        let places = (3..).zip(digits.chars());
        if let Some((at, found)) = places.clone().find(|(_, found)| !found.is_ascii_hexdigit()) {
            return Err(AddressError::Digit { found, at });
        }
        let bytes = hex::decode_array::<20>(digits);
        let address = Self(bytes.map_err(|_| AddressError::Length { got: digits.len() })?);
        let has = |case: fn(&char) -> bool| digits.chars().any(|digit| case(&digit));
        if has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) {
            let wanted = address.to_string();
            let mut both = places.zip(wanted.chars().skip(2));
            if let Some(((at, found), want)) = both.find(|((_, found), want)| found != want) {
                return Err(AddressError::Checksum { found, want, at });
            }
        }
        Ok(address)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// It in small letters, as nodes write it.
    #[must_use]
    pub fn small(&self) -> String {
        format!("0x{}", hex::encode(&self.0))
    }
}

impl fmt::Display for Address {
    /// With its checksum: a letter is a capital where the digit of the text's hash is 8 or more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = hex::encode(&self.0);
        let hash = hex::encode(&keccak256(small.as_bytes()));
        f.write_str("0x")?;
        for (digit, hash) in small.chars().zip(hash.chars()) {
            let digit = if hash >= '8' { digit.to_ascii_uppercase() } else { digit };
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, want: &str) {
        let found = Address::parse(text).map_or_else(|error| error.to_string(), |found| found.to_string());
        assert_eq!(found, want, "{text}");
    }

    #[test]
    fn published_addresses_have_their_checksums() {
        // EIP-55, "Test Cases": all capitals, all small letters, and both.
        let rows = [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x27b1fdb04752bbc536007a920d24acb045561c26",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ];
        for text in rows {
            check(text, text);
            check(&text.to_ascii_lowercase(), text);
        }
    }

    #[test]
    fn messages_say_which_character_is_wrong() {
        let checksum = "checksum does not match (EIP-55): character";
        check(
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            &format!("{checksum} 'D' at 42 would be 'd'; a character is wrong"),
        );
        check(
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            &format!("{checksum} 'A' at 4 would be 'a'; a character is wrong"),
        );
        let bare = "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        check(bare, "it is without 0x, of 40 bytes of text, want 0x and 20 bytes in hexadecimal");
        check(
            &format!("0X{bare}"),
            "it is without 0x, of 42 bytes of text, want 0x and 20 bytes in hexadecimal",
        );
        check("0x5aAeg", "character 'g' at 7 is not hexadecimal");
        check(&format!("0x{bare}0"), "it has 41 characters after 0x, want 40: 20 bytes in hexadecimal");
        check(
            &format!("0x{}", "0".repeat(39)),
            "it has 39 characters after 0x, want 40: 20 bytes in hexadecimal",
        );
    }

    proptest! {
        #[test]
        fn text_comes_back(bytes: [u8; 20]) {
            let address = Address::from_bytes(bytes);
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
            prop_assert_eq!(Address::parse(&address.small()), Ok(address));
        }
    }
}
