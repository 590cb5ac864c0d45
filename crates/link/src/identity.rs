//! A machine's own key on links. Decides nothing; keeps the secret half to itself.

use core::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use rustls::{
    SignatureAlgorithm, SignatureScheme,
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer, alg_id},
    sign::{self, CertifiedKey, public_key_to_spki},
};

/// A machine's Ed25519 key pair for links, and for nothing else. Zeroised by `ed25519-dalek` when the last connection
/// that needs it is gone.
pub struct Identity {
    key: Arc<SigningKey>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(<redacted>)")
    }
}

impl Identity {
    /// The identity made from 32 random bytes (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: Arc::new(SigningKey::from_bytes(seed)) }
    }

    /// The public half, which peers pin.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The key in the form in which the handshake shows it and signs with it.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        let shown = CertificateDer::from(spki(&self.public()).to_vec());
        Arc::new(CertifiedKey::new(vec![shown], Arc::new(Key(Arc::clone(&self.key)))))
    }
}

/// The SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 §4): its one DER form, so keys are compared as bytes.
pub(crate) fn spki(public: &[u8; 32]) -> SubjectPublicKeyInfoDer<'static> {
    public_key_to_spki(&alg_id::ED25519, public)
}

/// The key of an Ed25519 SubjectPublicKeyInfo; nothing for any other bytes.
pub(crate) fn key_of(shown: &[u8]) -> Option<[u8; 32]> {
    let (_, key) = shown.split_last_chunk::<32>()?;
    (spki(key).as_ref() == shown).then_some(*key)
}

/// The secret key as the TLS library asks for it. Ours rather than the library's own, which does not zeroise.
struct Key(Arc<SigningKey>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(<redacted>)")
    }
}

impl sign::SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn sign::Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| -> Box<dyn sign::Signer> { Box::new(Key(Arc::clone(&self.0))) })
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(spki(&self.0.verifying_key().to_bytes()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl sign::Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

#[cfg(test)]
mod tests {
    use kuraban_base::hex;

    use super::*;

    #[test]
    fn the_public_half_is_that_of_rfc_8032() {
        // RFC 8032 §7.1, test 1.
        let seed =
            hex::decode_array("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = hex::encode(&Identity::from_seed(&seed).public());
        assert_eq!(public, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    }

    #[test]
    fn a_shown_key_has_one_form() {
        // RFC 8410 §10.1.
        let text = "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let shown = hex::decode(text).unwrap();
        let key = key_of(&shown).unwrap();
        assert_eq!(spki(&key).as_ref(), shown);
        for at in 0..12 {
            let mut other = shown.clone();
            other[at] ^= 1;
            assert_eq!(key_of(&other), None, "byte {at} changed");
        }
        for end in 0..shown.len() {
            assert_eq!(key_of(&shown[..end]), None, "cut at {end}");
        }
        assert_eq!(key_of(&[shown, vec![0]].concat()), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let identity = Identity::from_seed(&[7; 32]);
        assert_eq!(format!("{identity:?}"), "Identity(<redacted>)");
        assert!(!format!("{:?}", identity.certified()).contains("7, 7"));
    }
}
