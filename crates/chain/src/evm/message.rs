//! Messages signed by the key of an address (EIP-191, version 0x45: `personal_sign`).
//!
//! Decides whose key signed a text. Nothing that is signed so is a transaction: those begin with another byte than the 0x19 that
//! stands before a message.

use core::str::FromStr;

use bitcoin::secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use kuraban_base::hex;

use super::{Address, keccak256};
use crate::btc::key::CURVE;

/// Bytes of a signature: r, s, v.
const BYTES: usize = 65;

/// Why a signature is none, or not of any key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// Not 65 bytes in hexadecimal after `0x`.
    #[error("signature is not 0x and {BYTES} bytes in hexadecimal (r, s, v)")]
    Form,
    /// A last byte that no signer writes.
    #[error("signature ends in {found}, want v of 27 or 28, or 0 or 1")]
    Recovery {
        /// The byte.
        found: u8,
    },
    /// Numbers that are no r and s, or of no point.
    #[error("signature is of no key: r or s is not in range, or no point has r")]
    Numbers,
    /// The higher one of the two values that s may have (EIP-2).
    #[error("signature has the higher s of two: everybody could have written it so")]
    High,
}

/// A signature from which its key follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature(RecoverableSignature);

impl Signature {
    /// The signature of r, s and v.
    ///
    /// # Errors
    /// A v other than 27, 28, 0 and 1, an r or s out of range, a high s.
    pub fn from_bytes(bytes: &[u8; BYTES]) -> Result<Self, SignatureError> {
        let [numbers @ .., v] = bytes;
        let id = match v {
            0 | 27 => 0,
            1 | 28 => 1,
            found => return Err(SignatureError::Recovery { found: *found }),
        };
        let id = RecoveryId::from_i32(id).map_err(|_| SignatureError::Numbers)?;
        let signature =
            RecoverableSignature::from_compact(numbers, id).map_err(|_| SignatureError::Numbers)?;
        let mut low = signature.to_standard();
        low.normalize_s();
        if low == signature.to_standard() { Ok(Self(signature)) } else { Err(SignatureError::High) }
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let digits = text.strip_prefix("0x").ok_or(SignatureError::Form)?;
        Self::from_bytes(&hex::decode_array(digits).map_err(|_| SignatureError::Form)?)
    }
}

/// Whose key signed the text. Every signature is of some address over every text: the caller compares.
///
/// # Errors
/// A signature that is of no key.
pub fn recover(text: &[u8], signature: &Signature) -> Result<Address, SignatureError> {
    let head = format!("\u{19}Ethereum Signed Message:\n{}", text.len());
    let message = Message::from_digest(keccak256(&[head.as_bytes(), text].concat()));
    let key = CURVE.recover_ecdsa(&message, &signature.0).map_err(|_| SignatureError::Numbers)?;
    Ok(Address::of_key(&key))
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::SecretKey;
    use proptest::prelude::*;

    use super::*;

    /// What ethers.js 6.17.0 signed (`Wallet.signMessage`) with the key of bytes 01: address, then texts and signatures.
    const ADDRESS: &str = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1";
    const EMPTY: &str = "0x008f5fb3ee6d29e767bfb729dc8764c5178f4e8a872450f6a33f62442f9ecd883c3d1dc059a5a809bde6ed6299b99b3d5c4f0ed46d79ba01658ad7b7ef8f61151c";
    /// Over 100 times `é`, which are 200 bytes.
    const LONG: &str = "0x9529bb59ff8d4b807f8a42799356e45b49f232000aabe0639f41843e3dc411a86f65b89c495111af966273b2efe0ee030f2302df84ed1214f0771447ec2748401c";

    fn whose(text: &str, signature: &str) -> String {
        let signature = signature.parse::<Signature>();
        let found = signature.and_then(|signature| recover(text.as_bytes(), &signature));
        found.map_or_else(|error| error.to_string(), |found| found.to_string())
    }

    #[test]
    fn signatures_of_a_peer_are_its_addresses() {
        assert_eq!(whose("", EMPTY), ADDRESS);
        assert_eq!(whose(&"é".repeat(100), LONG), ADDRESS);
        assert_ne!(whose(&"é".repeat(99), LONG), ADDRESS);
        // As hardware writes v.
        assert_eq!(whose("", &format!("{}01", &EMPTY[..130])), ADDRESS);
        assert_ne!(whose("", &format!("{}1b", &EMPTY[..130])), ADDRESS);
    }

    #[test]
    fn other_spellings_are_refused() {
        let check =
            |text: &str, want: SignatureError| assert_eq!(text.parse::<Signature>(), Err(want), "{text}");
        for length in 0..EMPTY.len() {
            check(&EMPTY[..length], SignatureError::Form);
        }
        check(&format!("{EMPTY}00"), SignatureError::Form);
        check(&EMPTY.replace("0x", ""), SignatureError::Form);
        for v in (0..=255).filter(|v| ![0, 1, 27, 28].contains(v)) {
            check(&format!("{}{v:02x}", &EMPTY[..130]), SignatureError::Recovery { found: v });
        }
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let (r, s) = (&EMPTY[2..66], &EMPTY[66..130]);
        check(&format!("0x{order}{s}1b"), SignatureError::Numbers);
        check(&format!("0x{r}{order}1b"), SignatureError::Numbers);
        // Half of the order is the last s; it and one more.
        let half = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";
        assert!(format!("0x{r}{half}1b").parse::<Signature>().is_ok());
        check(&format!("0x{r}{}1b", half.replace("20a0", "20a1")), SignatureError::High);
        let none = format!("0x{}{s}1b", "0".repeat(64)).parse::<Signature>();
        assert!(none.is_err() || recover(b"", &none.unwrap()) == Err(SignatureError::Numbers));
    }

    proptest! {
        #[test]
        fn the_signer_is_found_and_no_other(secret in 1_u8..=255, text: Vec<u8>, at in 0_usize..200) {
            let secret = SecretKey::from_slice(&[secret; 32]);
            prop_assume!(secret.is_ok());
            let secret = secret.unwrap();
            let head = format!("\u{19}Ethereum Signed Message:\n{}", text.len());
            let digest = Message::from_digest(keccak256(&[head.as_bytes(), &text].concat()));
            let (id, numbers) = CURVE.sign_ecdsa_recoverable(&digest, &secret).serialize_compact();
            let v = u8::try_from(id.to_i32()).unwrap() + 27;
            let bytes: [u8; BYTES] = [&numbers[..], &[v]].concat().try_into().unwrap();
            let address = Address::of_key(&secret.public_key(&CURVE));
            let signature = Signature::from_bytes(&bytes).unwrap();
            prop_assert_eq!(recover(&text, &signature), Ok(address));
            let mut other = text.clone();
            if let Some(byte) = other.get_mut(at) { *byte ^= 1 } else { other.push(0) }
            prop_assert_ne!(recover(&other, &signature), Ok(address));
        }
    }
}
