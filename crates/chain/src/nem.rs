//! NEM (NIS1), as far as reserves need it: addresses, public keys, and texts signed by them.
//!
//! Decides what text says and whether a signature holds. NEM's signatures are Ed25519 as it was before RFC 8032 named its hash:
//! with Keccak-512 in the place of SHA-512.

use core::{fmt, str::FromStr};

use ed25519_dalek::{VerifyingKey, hazmat::raw_verify};
use kuraban_base::hex;
use ripemd::Ripemd160;
use sha3::{Digest as _, Keccak512};

use crate::evm::keccak256;

/// Characters of an address.
const CHARACTERS: usize = 40;
/// Bytes of an address: network, hash, checksum.
const BYTES: usize = 25;
/// Characters between hyphens, where there are any.
const GROUP: usize = 6;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why text is no address, key or signature, or why a signature does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NemError {
    /// Too few or too many characters, or hyphens elsewhere than after every sixth.
    #[error("address has {got} characters, want {CHARACTERS}, with a hyphen after every sixth or with none")]
    Length {
        /// How many, hyphens apart.
        got: usize,
    },
    /// A character outside of Base 32.
    #[error("character {found:?} at {at} is not one of A to Z and 2 to 7")]
    Character {
        /// The character.
        found: char,
        /// Its place, from 1.
        at: usize,
    },
    /// A checksum that is not the address's.
    #[error("checksum does not match: at least one character is wrong")]
    Checksum,
    /// The address of another network.
    #[error("address is of network 0x{found:02x}, want 0x{want:02x}")]
    Network {
        /// The network's byte.
        found: u8,
        /// What it should be.
        want: u8,
    },
    /// Not 32 bytes that are a key.
    #[error("public key is not 32 bytes in hexadecimal that are on the curve")]
    Key,
    /// A key for which anybody can sign.
    #[error("public key is of small order: anybody can sign for it")]
    Weak,
    /// Not 64 bytes.
    #[error("signature is not 64 bytes in hexadecimal")]
    Signature,
    /// It is not the key's over this text.
    #[error("signature is not by this key over this text")]
    Other,
}

/// An address of whatever network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address([u8; BYTES]);

impl Address {
    /// The address of a key's bytes on a network: RIPEMD-160 of Keccak-256, with the network before it and four bytes of a
    /// Keccak-256 after it.
    #[must_use]
    pub fn of_key(network: u8, key: &[u8; 32]) -> Self {
        let mut bytes = [0; BYTES];
        let hash = Ripemd160::digest(keccak256(key));
        for (to, from) in bytes.iter_mut().zip([network].into_iter().chain(hash)) {
            *to = from;
        }
        let checksum = checksum(&bytes);
        for (to, from) in bytes.iter_mut().skip(21).zip(checksum) {
            *to = from;
        }
        Self(bytes)
    }

    /// Its network's byte.
    #[must_use]
    pub const fn network(&self) -> u8 {
        let [network, ..] = self.0;
        network
    }

    /// The address that a text is, if it is of this network.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(network: u8, text: &str) -> Result<Self, NemError> {
        let address: Self = text.parse()?;
        match address.network() {
            found if found == network => Ok(address),
            found => Err(NemError::Network { found, want: network }),
        }
    }
}

/// The checksum of the first 21 bytes.
fn checksum(bytes: &[u8; BYTES]) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak256(bytes.get(..21).unwrap_or_default());
    [a, b, c, d]
}

impl FromStr for Address {
    type Err = NemError;

    fn from_str(text: &str) -> Result<Self, NemError> {
        let groups: Vec<&str> = text.split('-').collect();
        let (last, whole) = groups.split_last().map_or(("", [].as_slice()), |(last, whole)| (*last, whole));
        let got = text.chars().filter(|c| *c != '-').count();
        let apart = groups.len() == 1 || whole.iter().all(|group| group.len() == GROUP) && last.len() == 4;
        if got != CHARACTERS || !apart {
            return Err(NemError::Length { got });
        }
        let (mut bytes, mut held, mut bits) = (Vec::with_capacity(BYTES), 0_u16, 0_u32);
        for (at, found) in (1..).zip(text.chars()).filter(|(_, found)| *found != '-') {
            let digit = ALPHABET.iter().position(|digit| char::from(*digit) == found);
            let digit = digit.and_then(|digit| u16::try_from(digit).ok());
            held = held << 5 | digit.ok_or(NemError::Character { found, at })?;
            bits = bits.saturating_add(5);
            if bits >= 8 {
                bits = bits.saturating_sub(8);
                let [_, byte] = (held >> bits).to_be_bytes();
                bytes.push(byte);
                held &= 0xff;
            }
        }
        let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| NemError::Length { got })?;
        let [.., a, b, c, d] = bytes;
        if checksum(&bytes) == [a, b, c, d] { Ok(Self(bytes)) } else { Err(NemError::Checksum) }
    }
}

impl fmt::Display for Address {
    /// In capitals without hyphens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut held, mut bits) = (0_u16, 0_u32);
        for byte in self.0 {
            held = held << 8 | u16::from(byte);
            bits = bits.saturating_add(8);
            while bits >= 5 {
                bits = bits.saturating_sub(5);
                let digit = ALPHABET.get(usize::from(held >> bits & 31)).copied().unwrap_or(b'A');
                write!(f, "{}", char::from(digit))?;
            }
            held &= 0x1f;
        }
        Ok(())
    }
}

/// A public key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key that these bytes are.
    ///
    /// # Errors
    /// None, or one for which anybody can sign.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, NemError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| NemError::Key)?;
        if key.is_weak() { Err(NemError::Weak) } else { Ok(Self(key)) }
    }

    /// Its address on a network.
    #[must_use]
    pub fn address(&self, network: u8) -> Address {
        Address::of_key(network, self.0.as_bytes())
    }

    /// Checks that the key has signed a text.
    ///
    /// # Errors
    /// A signature of another length, or of another key or text.
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> Result<(), NemError> {
        let bytes: [u8; 64] = signature.try_into().map_err(|_| NemError::Signature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&bytes);
        raw_verify::<Keccak512>(&self.0, text, &signature).map_err(|_| NemError::Other)
    }
}

impl FromStr for PublicKey {
    type Err = NemError;

    fn from_str(text: &str) -> Result<Self, NemError> {
        Self::from_bytes(&hex::decode_array(text).map_err(|_| NemError::Key)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
    use proptest::prelude::*;

    use super::*;

    const MAIN: u8 = 0x68;
    /// Of the key beside it, by nem-sdk 1.6.11.
    const ADDRESS: &str = "NDD2CT6LQLIYQ56KIXI3ENTM6EK3D44P5JFXJ4R4";
    const KEY: &str = "c5f54ba980fcbb657dbaaa42700539b207873e134d2375efeab5f1ab52f87844";

    #[test]
    fn addresses_follow_from_keys_and_come_back() {
        let key: PublicKey = KEY.parse().unwrap();
        assert_eq!(key.address(MAIN).to_string(), ADDRESS);
        assert_eq!(key.address(0x98).to_string(), "TDD2CT6LQLIYQ56KIXI3ENTM6EK3D44P5KZPFMK2");
        assert_eq!(Address::parse(MAIN, ADDRESS), Ok(key.address(MAIN)));
        let hyphens = "NDD2CT-6LQLIY-Q56KIX-I3ENTM-6EK3D4-4P5JFX-J4R4";
        assert_eq!(Address::parse(MAIN, hyphens), Ok(key.address(MAIN)));
    }

    #[test]
    fn what_is_no_address_is_named() {
        let check = |text: &str, want: NemError| assert_eq!(Address::parse(MAIN, text), Err(want), "{text}");
        check("", NemError::Length { got: 0 });
        check(&ADDRESS[1..], NemError::Length { got: 39 });
        check(&format!("{ADDRESS}A"), NemError::Length { got: 41 });
        check("NDD2C-T6LQLIY-Q56KIX-I3ENTM-6EK3D4-4P5JFX-J4R4", NemError::Length { got: 40 });
        check("NDD2CT6LQLIY-Q56KIX-I3ENTM-6EK3D4-4P5JFX-J4R4", NemError::Length { got: 40 });
        check(&ADDRESS.replace("R4", "R8"), NemError::Character { found: '8', at: 40 });
        check(&ADDRESS.replace("R4", "r4"), NemError::Character { found: 'r', at: 39 });
        check(&ADDRESS.replace("R4", "R5"), NemError::Checksum);
        let test = "TDD2CT6LQLIYQ56KIXI3ENTM6EK3D44P5KZPFMK2";
        check(test, NemError::Network { found: 0x98, want: MAIN });
    }

    #[test]
    fn keys_of_other_forms_are_refused() {
        let check = |text: &str, want: NemError| assert_eq!(text.parse::<PublicKey>(), Err(want), "{text}");
        check(&KEY[1..], NemError::Key);
        check(&format!("{KEY}00"), NemError::Key);
        check(&format!("02{}", "00".repeat(31)), NemError::Key);
        check(&format!("01{}", "00".repeat(31)), NemError::Weak);
    }

    proptest! {
        #[test]
        fn addresses_of_keys_come_back(network: u8, key: [u8; 32], at in 0_usize..40) {
            let address = Address::of_key(network, &key);
            let text = address.to_string();
            prop_assert_eq!(Address::parse(network, &text), Ok(address));
            let digit = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut other = text;
            other.replace_range(at..=at, digit);
            prop_assert!(other.parse::<Address>().is_err());
        }

        #[test]
        fn the_key_that_signed_verifies_its_text_alone(secret: [u8; 64], text: Vec<u8>, bit in 0_usize..512) {
            let secret = ExpandedSecretKey::from_bytes(&secret);
            let public = VerifyingKey::from(&secret);
            let signature = raw_sign::<Keccak512>(&secret, &text, &public).to_bytes();
            let key = PublicKey::from_bytes(public.as_bytes()).unwrap();
            prop_assert_eq!(key.verify(&text, &signature), Ok(()));
            let mut other = text.clone();
            other.push(0);
            prop_assert_eq!(key.verify(&other, &signature), Err(NemError::Other));
            let mut broken = signature;
            broken[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(key.verify(&text, &broken), Err(NemError::Other));
            for length in 0..64 {
                prop_assert_eq!(key.verify(&text, &signature[..length]), Err(NemError::Signature));
            }
        }
    }
}
