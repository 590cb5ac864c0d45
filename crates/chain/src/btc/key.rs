//! Public keys and signatures in the spellings that scripts and witnesses use.
//!
//! Decides whether bytes are a point on the curve, or a strict signature. Curve arithmetic is
//! libsecp256k1's. Holds no secret.

use core::{fmt, str::FromStr};
use std::sync::LazyLock;

use bitcoin::secp256k1::{self, All, Message, Secp256k1, ecdsa};
use kuraban_base::hex::{self, HexError};

use super::{
    hash::hash160,
    sighash::{EcdsaSighash, Sighash, SighashError},
};

/// The curve's tables; no randomness goes in, as this crate reads none.
pub(crate) static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// Bytes that are no key or no signature.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Not 33 bytes starting with 02 or 03, nor 65 starting with 04.
    #[error("public key has {got} bytes starting with 0x{first:02x}, want 33 with 02 or 03, or 65 with 04")]
    Form {
        /// Its length.
        got: usize,
        /// Its first byte, 0 where there is none.
        first: u8,
    },
    /// A point that is not on the curve.
    #[error("public key is not on the curve")]
    Point,
    /// Text that is not hexadecimal.
    #[error("public key is not hexadecimal")]
    Hex(#[source] HexError),
    /// Nothing where a signature belongs.
    #[error("signature is empty")]
    Empty,
    /// Not the strict encoding of BIP 66.
    #[error("signature of {got} bytes is not strict DER")]
    Der {
        /// Its length without the type byte.
        got: usize,
    },
    /// A taproot signature that is not 64 or 65 bytes.
    #[error("taproot signature has {got} bytes, want 64 or 65")]
    SchnorrLength {
        /// Its length.
        got: usize,
    },
    /// A signature with an unknown type byte.
    #[error(transparent)]
    Kind(#[from] SighashError),
}

/// A public key as it was spelled: compressed or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    point: secp256k1::PublicKey,
    compressed: bool,
}

impl PublicKey {
    /// The key that these 33 or 65 bytes are. The hybrid form is refused, as relay has long refused it.
    ///
    /// # Errors
    /// Another form, or a point off the curve.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let compressed = match (bytes.first(), bytes.len()) {
            (Some(2 | 3), 33) => true,
            (Some(4), 65) => false,
            (first, got) => return Err(KeyError::Form { got, first: first.copied().unwrap_or(0) }),
        };
        let point = secp256k1::PublicKey::from_slice(bytes).map_err(|_| KeyError::Point)?;
        Ok(Self { point, compressed })
    }

    pub(crate) const fn from_point(point: secp256k1::PublicKey) -> Self {
        Self { point, compressed: true }
    }

    pub(crate) const fn from_peer(key: bitcoin::PublicKey) -> Self {
        Self { point: key.inner, compressed: key.compressed }
    }

    /// Its bytes, spelled as they were.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        if self.compressed {
            self.point.serialize().to_vec()
        } else {
            self.point.serialize_uncompressed().to_vec()
        }
    }

    /// RIPEMD-160 of SHA-256 of its bytes.
    #[must_use]
    pub fn hash160(self) -> [u8; 20] {
        hash160(&self.to_bytes())
    }

    /// Whether it is spelled in 33 bytes.
    #[must_use]
    pub const fn is_compressed(self) -> bool {
        self.compressed
    }

    /// Whether `signature` over `digest` is this key's. Both values of S count, as in consensus.
    #[must_use]
    pub fn verifies(self, digest: &Sighash, signature: &EcdsaSignature) -> bool {
        let message = Message::from_digest(*digest.as_bytes());
        let mut low = signature.signature;
        low.normalize_s();
        CURVE.verify_ecdsa(&message, &low, &self.point).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(&hex::decode(text).map_err(KeyError::Hex)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The x coordinate of a public key with even y (BIP 340).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XOnlyKey([u8; 32]);

impl XOnlyKey {
    /// The key whose x coordinate this is.
    ///
    /// # Errors
    /// No point on the curve has it.
    pub fn parse(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        secp256k1::XOnlyPublicKey::from_slice(bytes).map_err(|_| KeyError::Point)?;
        Ok(Self(*bytes))
    }

    /// The x coordinate.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` over `digest` is this key's (BIP 340).
    #[must_use]
    pub fn verifies(&self, digest: &Sighash, signature: &[u8; 64]) -> bool {
        let Ok(key) = secp256k1::XOnlyPublicKey::from_slice(&self.0) else { return false };
        let Ok(signature) = secp256k1::schnorr::Signature::from_slice(signature) else { return false };
        CURVE.verify_schnorr(&signature, &Message::from_digest(*digest.as_bytes()), &key).is_ok()
    }
}

impl fmt::Display for XOnlyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for XOnlyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XOnlyKey({self})")
    }
}

/// An ECDSA signature with its type, as scripts and witnesses hold it: strict DER, then one byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EcdsaSignature {
    pub(crate) signature: ecdsa::Signature,
    /// What it signs.
    pub kind: EcdsaSighash,
}

impl EcdsaSignature {
    /// The signature that these bytes are: strict DER (BIP 66) and a type byte.
    ///
    /// # Errors
    /// Another encoding, or an unknown type.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let (kind, der) = bytes.split_last().ok_or(KeyError::Empty)?;
        let kind = EcdsaSighash::parse(*kind)?;
        let malformed = || KeyError::Der { got: der.len() };
        let signature = ecdsa::Signature::from_der(der).map_err(|_| malformed())?;
        // The parser beneath takes some spellings that BIP 66 does not: only what it writes itself is strict.
        if *signature.serialize_der() != *der {
            return Err(malformed());
        }
        Ok(Self { signature, kind })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.signature.serialize_der().to_vec();
        bytes.push(self.kind.to_byte());
        bytes
    }

    /// Whether S is in the lower half of its range, as relay demands (BIP 146).
    #[must_use]
    pub fn is_low_s(self) -> bool {
        let mut low = self.signature;
        low.normalize_s();
        low == self.signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_signatures_have_one_spelling() {
        let x = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let y = "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        let check = |text: String, want: Result<bool, KeyError>| {
            assert_eq!(text.parse().map(PublicKey::is_compressed), want, "{text}");
        };
        check(format!("02{x}"), Ok(true));
        check(format!("03{x}"), Ok(true));
        check(format!("04{x}{y}"), Ok(false));
        check(format!("06{x}{y}"), Err(KeyError::Form { got: 65, first: 6 }));
        check(format!("04{x}"), Err(KeyError::Form { got: 33, first: 4 }));
        check(format!("02{x}00"), Err(KeyError::Form { got: 34, first: 2 }));
        check(String::new(), Err(KeyError::Form { got: 0, first: 0 }));
        check(format!("04{x}{x}"), Err(KeyError::Point));
        check(format!("02{}", "ff".repeat(32)), Err(KeyError::Point));
        assert!(XOnlyKey::parse(&[0xff; 32]).is_err());
        assert_eq!(XOnlyKey::parse(&hex::decode_array(x).unwrap()).map(|key| key.to_string()), Ok(x.into()));
    }

    #[test]
    fn signatures_are_strict_der() {
        let half = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";
        let good = format!("3044 0220 {half} 0220 {half} 01");
        let check = |text: &str, want: Result<(), &str>| {
            let bytes = hex::decode(&text.replace(' ', "")).unwrap();
            let got = EcdsaSignature::parse(&bytes).map(|signature| {
                assert_eq!(signature.to_bytes(), bytes);
            });
            assert_eq!(got.map_err(|error| error.to_string()), want.map_err(str::to_owned), "{text}");
        };
        check(&good, Ok(()));
        check("", Err("signature is empty"));
        check(&good.replace(" 01", " 00"), Err("signature type 0x00 is not known"));
        check(&good.replace("3044", "3045"), Err("signature of 70 bytes is not strict DER"));
        check(&format!("3044 0220 {half} 0220 {half} 00 01"), Err("signature of 71 bytes is not strict DER"));
        check(&format!("3045 022100 {half} 0220 {half} 01"), Err("signature of 71 bytes is not strict DER"));
        check(&format!("308144 0220 {half} 0220 {half} 01"), Err("signature of 71 bytes is not strict DER"));
        let negative = half.replacen("7f", "ff", 1);
        check(
            &format!("3044 0220 {negative} 0220 {half} 01"),
            Err("signature of 70 bytes is not strict DER"),
        );
    }
}
