//! The XRP Ledger, as far as reserves need it: addresses, public keys, and texts signed by them as the ledger's wallets sign.
//!
//! Decides what text says and whether a signature holds. Which keys an account has is the ledger's to say: its own unless it
//! turned that off, a regular key, or a list of signers, who sign no text here.

use core::{fmt, str::FromStr};

use bitcoin::secp256k1::{self, Message, ecdsa};
use ed25519_dalek::VerifyingKey;
use kuraban_base::hex;
use sha2::{Digest as _, Sha512};

use crate::{
    base58::{self, Alphabet, Base58Error},
    btc::{hash::hash160, key::CURVE},
};

/// What stands before an account's 20 bytes.
const ACCOUNT_VERSION: u8 = 0;
/// What stands before the 32 bytes of an Ed25519 key.
const ED25519_PREFIX: u8 = 0xed;
/// Longest signature in DER.
const DER_BYTES_MAX: usize = 72;

/// Why text is no address, key or signature, or why a signature does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum XrpError {
    /// Not Base58 with a right checksum.
    #[error("address is not well-formed")]
    Address(#[from] Base58Error),
    /// Another kind of thing in Base58, or an X-address.
    #[error("it is no classic address: {got} bytes, the first {first}, want 21 and {ACCOUNT_VERSION}")]
    Payload {
        /// Bytes without the checksum.
        got: usize,
        /// The first of them, 0 where there is none.
        first: u8,
    },
    /// Not 33 bytes that are a key.
    #[error("public key is not 33 bytes in hexadecimal that start with 02, 03 or ED and are on the curve")]
    Key,
    /// A key for which anybody can sign.
    #[error("public key is of small order: anybody can sign for it")]
    Weak,
    /// Not a signature of the key's kind.
    #[error("signature is not {want} in hexadecimal")]
    Signature {
        /// What it should be.
        want: &'static str,
    },
    /// The higher one of the two values that s may have.
    #[error("signature has the higher s of two: everybody could have written it so")]
    High,
    /// It is not the key's over this text.
    #[error("signature is not by this key over this text")]
    Other,
}

/// An account's address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address([u8; 20]);

impl Address {
    /// Its account's id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl FromStr for Address {
    type Err = XrpError;

    fn from_str(text: &str) -> Result<Self, XrpError> {
        let payload = base58::decode_check(Alphabet::Ripple, text)?;
        let account = match payload.split_first() {
            Some((&ACCOUNT_VERSION, account)) => account.try_into().ok(),
            Some(_) | None => None,
        };
        let first = payload.first().copied().unwrap_or(0);
        account.map(Self).ok_or(XrpError::Payload { got: payload.len(), first })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58::encode_check(Alphabet::Ripple, &[&[ACCOUNT_VERSION][..], &self.0].concat()))
    }
}

/// A public key, of either curve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    bytes: [u8; 33],
    point: Point,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Point {
    Secp256k1(secp256k1::PublicKey),
    Ed25519(VerifyingKey),
}

impl PublicKey {
    /// The key that these bytes are.
    ///
    /// # Errors
    /// None, or one for which anybody can sign.
    pub fn from_bytes(bytes: [u8; 33]) -> Result<Self, XrpError> {
        let [first, rest @ ..] = &bytes;
        let point = match *first {
            ED25519_PREFIX => {
                let key = VerifyingKey::from_bytes(rest).map_err(|_| XrpError::Key)?;
                if key.is_weak() {
                    return Err(XrpError::Weak);
                }
                Point::Ed25519(key)
            }
            2 | 3 => Point::Secp256k1(secp256k1::PublicKey::from_slice(&bytes).map_err(|_| XrpError::Key)?),
            _ => return Err(XrpError::Key),
        };
        Ok(Self { bytes, point })
    }

    /// The account whose own key it is: RIPEMD-160 of SHA-256.
    #[must_use]
    pub fn address(&self) -> Address {
        Address(hash160(&self.bytes))
    }

    /// Checks that the key has signed a text, as `sign` of ripple-keypairs does: ECDSA in DER over the first half of the
    /// text's SHA-512, or Ed25519 over the text.
    ///
    /// # Errors
    /// A signature of another form, with a high s, or of another key or text.
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> Result<(), XrpError> {
        match &self.point {
            Point::Secp256k1(key) => {
                let form = || XrpError::Signature { want: "one in strict DER" };
                let held = ecdsa::Signature::from_der(signature).map_err(|_| form())?;
                if signature.len() > DER_BYTES_MAX || *held.serialize_der() != *signature {
                    return Err(form());
                }
                let mut low = held;
                low.normalize_s();
                if low != held {
                    return Err(XrpError::High);
                }
                let digest = Message::from_digest(sha512_half(text));
                CURVE.verify_ecdsa(&digest, &held, key).map_err(|_| XrpError::Other)
            }
            Point::Ed25519(key) => {
                let bytes: [u8; 64] =
                    signature.try_into().map_err(|_| XrpError::Signature { want: "64 bytes" })?;
                let held = ed25519_dalek::Signature::from_bytes(&bytes);
                key.verify_strict(text, &held).map_err(|_| XrpError::Other)
            }
        }
    }
}

impl FromStr for PublicKey {
    type Err = XrpError;

    fn from_str(text: &str) -> Result<Self, XrpError> {
        Self::from_bytes(hex::decode_array(text).map_err(|_| XrpError::Key)?)
    }
}

impl fmt::Display for PublicKey {
    /// In capitals, as the ledger's tools write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.bytes).to_ascii_uppercase())
    }
}

/// What a ledger's hash is the hash of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerHeader {
    /// Its number.
    pub index: u32,
    /// All XRP that there is, in drops.
    pub drops: u64,
    /// The ledger before.
    pub parent: [u8; 32],
    /// The root of its transactions.
    pub transactions: [u8; 32],
    /// The root of its state.
    pub accounts: [u8; 32],
    /// When the ledger before was closed, in seconds since 2000.
    pub parent_close_time: u32,
    /// When it was closed.
    pub close_time: u32,
    /// Seconds to which that is rounded.
    pub close_resolution: u8,
    /// How its close was agreed on.
    pub close_flags: u8,
}

impl LedgerHeader {
    /// The ledger's hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let fields: [&[u8]; 10] = [
            b"LWR\0",
            &self.index.to_be_bytes(),
            &self.drops.to_be_bytes(),
            &self.parent,
            &self.transactions,
            &self.accounts,
            &self.parent_close_time.to_be_bytes(),
            &self.close_time.to_be_bytes(),
            &[self.close_resolution],
            &[self.close_flags],
        ];
        sha512_half(&fields.concat())
    }
}

/// The first 32 bytes of SHA-512.
fn sha512_half(bytes: &[u8]) -> [u8; 32] {
    let (mut half, whole) = ([0; 32], Sha512::digest(bytes));
    for (to, from) in half.iter_mut().zip(whole) {
        *to = from;
    }
    half
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_addresses_are_read() {
        // xrpl.org, "Base58 Encodings" and "Addresses": special addresses and a key with its account.
        let check = |text: &str, bytes: [u8; 20]| {
            assert_eq!(text.parse::<Address>().unwrap().as_bytes(), &bytes);
            assert_eq!(Address(bytes).to_string(), text);
        };
        check("rrrrrrrrrrrrrrrrrrrrrhoLvTp", [0; 20]);
        let mut one = [0; 20];
        one[19] = 1;
        check("rrrrrrrrrrrrrrrrrrrrBZbvji", one);
        let key = "ED9434799226374926EDA3B54B1B461B4ABF7237962EAE18528FEA67595397FA32";
        let key: PublicKey = key.parse().unwrap();
        assert_eq!(key.address().to_string(), "rDTXLQ7ZKZVKz33zJbHjgVShjsBnqMBhmN");
        let master = "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh";
        assert_eq!(master.parse::<Address>().unwrap().to_string(), master);
    }

    #[test]
    fn what_is_no_address_is_named() {
        let check = |text: &str, want: &str| {
            let error = anyhow_text(&text.parse::<Address>().unwrap_err());
            assert!(error.contains(want), "{text}: {error}");
        };
        check("rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTa", "at least one character is wrong");
        check("rHb9CJAWyB4rj91VRWn96DkukG4bwdtyT0", "'0' at 34");
        check("", "it has 0 bytes");
        // A seed.
        check("sp5fV4UGhZhfCvcDRuY3dyyh5PjHf", "it is no classic address: 17 bytes, the first 33");
        let long = base58::encode_check(Alphabet::Ripple, &[0; 22]);
        check(&long, "22 bytes, the first 0, want 21");
    }

    fn anyhow_text(error: &XrpError) -> String {
        let cause = core::error::Error::source(error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    }

    #[test]
    fn keys_of_other_forms_are_refused() {
        let check = |text: &str, want: XrpError| assert_eq!(text.parse::<PublicKey>(), Err(want), "{text}");
        let point = "5A7FA22521397BE0FFE9CD7C35DDE0FB0C8EA96E48FF84E0C6309D0D4D70D9EA";
        assert!(format!("03{point}").parse::<PublicKey>().is_ok());
        check(&format!("04{point}"), XrpError::Key);
        check(&format!("03{point}00"), XrpError::Key);
        check(&point[2..], XrpError::Key);
        check(&format!("02{}", "FF".repeat(32)), XrpError::Key);
        // The neutral point.
        check(&format!("ED01{}", "00".repeat(31)), XrpError::Weak);
    }

    #[test]
    fn a_ledger_has_its_hash() {
        // Ledger 38,129 of the main network, as rippled shows it.
        let array = |text: &str| hex::decode_array::<32>(text).unwrap();
        let ledger = LedgerHeader {
            index: 38_129,
            drops: 99_999_999_999_996_310,
            parent: array("3401E5B2E5D3A53EB0891088A5F2D9364BBB6CE5B37A337D2C0660DAF9C4175E"),
            transactions: array("DB83BF807416C5B3499A73130F843CF615AB8E797D79FE7D330ADF1BFA93951A"),
            accounts: array("2C23D15B6B549123FB351E4B5CDE81C564318EB845449CD43C3EA7953C4DB452"),
            parent_close_time: 410_424_200,
            close_time: 410_424_200,
            close_resolution: 10,
            close_flags: 0,
        };
        let hash = array("E6DB7365949BF9814D76BCC730B01818EB9136A89DB224F3F9F5AAE4569D758E");
        assert_eq!(ledger.hash(), hash);
        assert_ne!(LedgerHeader { close_flags: 1, ..ledger }.hash(), hash);
    }

    #[test]
    fn a_signature_has_one_spelling() {
        // A number whose first bit is set needs a zero before it, or it is negative; other numbers have none.
        let key = "038AFFACA9B0DD89ABC97E519F187AEA000054F4BDDA96B83E59B8EBAD5A8E72FD";
        let key: PublicKey = key.parse().unwrap();
        let (r, s) = ("CD".repeat(32), "65".repeat(32));
        let check = |head: &str, middle: &str, tail: &str, want: XrpError| {
            let bytes = hex::decode(&format!("{head}{r}{middle}{s}{tail}")).unwrap();
            assert_eq!(key.verify(b"", &bytes), Err(want), "{head}{middle}{tail}");
        };
        let form = || XrpError::Signature { want: "one in strict DER" };
        check("3045022100", "0220", "", XrpError::Other);
        check("30440220", "0220", "", form());
        check("3046022100", "022100", "", form());
        check("3045022100", "0220", "00", form());
        check("308145022100", "0220", "", form());
    }

    proptest! {
        #[test]
        fn addresses_come_back(bytes: [u8; 20]) {
            prop_assert_eq!(Address(bytes).to_string().parse(), Ok(Address(bytes)));
        }

        #[test]
        fn the_key_that_signed_verifies_its_text_alone(seed: [u8; 32], text: Vec<u8>, bit in 0_usize..500) {
            use ed25519_dalek::Signer as _;
            let own = ed25519_dalek::SigningKey::from_bytes(&seed);
            let bytes = [&[ED25519_PREFIX][..], own.verifying_key().as_bytes()].concat();
            let edwards = (PublicKey::from_bytes(bytes.try_into().unwrap()).unwrap(), own.sign(&text).to_bytes().to_vec());
            let secret = secp256k1::SecretKey::from_slice(&seed);
            prop_assume!(secret.is_ok());
            let secret = secret.unwrap();
            let key = PublicKey::from_bytes(secret.public_key(&CURVE).serialize()).unwrap();
            let signature = CURVE.sign_ecdsa(&Message::from_digest(sha512_half(&text)), &secret);
            for (key, signature) in [edwards, (key, signature.serialize_der().to_vec())] {
                prop_assert_eq!(key.verify(&text, &signature), Ok(()));
                let mut other = text.clone();
                other.push(0);
                prop_assert_eq!(key.verify(&other, &signature), Err(XrpError::Other));
                let mut broken = signature.clone();
                let at = bit / 8 % broken.len();
                broken[at] ^= 1 << (bit % 8);
                prop_assert!(key.verify(&text, &broken).is_err());
                for length in 0..signature.len() {
                    prop_assert!(key.verify(&text, &signature[..length]).is_err());
                }
            }
        }

        #[test]
        fn a_high_s_is_refused(seed in 1_u8..=255, text: Vec<u8>) {
            let secret = secp256k1::SecretKey::from_slice(&[seed; 32]);
            prop_assume!(secret.is_ok());
            let secret = secret.unwrap();
            let key = PublicKey::from_bytes(secret.public_key(&CURVE).serialize()).unwrap();
            let low = CURVE.sign_ecdsa(&Message::from_digest(sha512_half(&text)), &secret);
            let mut numbers = low.serialize_compact();
            let s = secp256k1::SecretKey::from_slice(&numbers[32..]).unwrap().negate();
            numbers[32..].copy_from_slice(&s.secret_bytes());
            let high = ecdsa::Signature::from_compact(&numbers).unwrap();
            prop_assert_eq!(key.verify(&text, &high.serialize_der()), Err(XrpError::High));
        }
    }
}
