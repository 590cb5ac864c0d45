//! The signer's secret: derives child keys and signs digests.
//!
//! Decides nothing: whoever holds a digest here has already decided. Nonces are RFC 6979's, S is low; no
//! randomness is read. Secrets are wiped when dropped, are not cloned, and print as `<redacted>`.

use core::fmt;

use bitcoin::{
    NetworkKind,
    bip32::{ChainCode, ChildNumber, Fingerprint, Xpub},
    hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha512},
    secp256k1::{self, Message, Scalar, SecretKey},
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    descriptor::{Branch, network_kind},
    hash::hash160,
    key::{CURVE, EcdsaSignature, PublicKey},
    network::Network,
    sighash::{EcdsaSighash, Sighash},
};
use crate::base58::{self, Alphabet};

/// First index of hardened children (BIP 32).
const HARDENED: u32 = 0x8000_0000;
const MAIN_VERSION: [u8; 4] = [0x04, 0x88, 0xad, 0xe4];
const TEST_VERSION: [u8; 4] = [0x04, 0x35, 0x83, 0x94];

/// Why there is no such key. Never shows a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum XPrivError {
    /// Not Base58 with a right checksum.
    #[error("extended private key is not well-formed Base58")]
    Text(#[source] Base58Error),
    /// Another length than 78 bytes.
    #[error("extended private key has {got} bytes, want 78")]
    Length {
        /// Its length.
        got: usize,
    },
    /// Version bytes of something else: an extended public key, or one of the other kind of network.
    #[error("version is {found:02x?}, want {want:02x?} for {network}")]
    Version {
        /// Found.
        found: [u8; 4],
        /// Wanted.
        want: [u8; 4],
        /// The network asked for.
        network: Network,
    },
    /// A key outside the curve's range, or a malformed one.
    #[error("extended private key holds no valid key")]
    Key,
    /// A seed of a length that BIP 32 does not allow.
    #[error("seed has {got} bytes, want 16 to 64")]
    Seed {
        /// Its length.
        got: usize,
    },
    /// A path that is not `48'/0'/0'/2'` or like it.
    #[error("path step {found:?} is not a number up to 2147483647, with ' where hardened")]
    Path {
        /// The step, at most 16 characters of it.
        found: String,
    },
    /// A child beyond the last depth or index.
    #[error("no child at {index} below depth {depth}")]
    Child {
        /// Its index.
        index: u32,
        /// Depth of its parent.
        depth: u8,
    },
}

/// What is wrong with the text of a secret: the kind of fault and its place, no character of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Base58Error {
    /// A character outside the alphabet.
    #[error("character {at} is not one of Base58")]
    Character {
        /// Its position, from 1.
        at: usize,
    },
    /// A wrong checksum.
    #[error("checksum does not match")]
    Checksum,
    /// Too short or too long.
    #[error("length is wrong")]
    Length,
}

/// An extended private key (BIP 32).
pub struct XPriv {
    kind: NetworkKind,
    depth: u8,
    parent: [u8; 4],
    number: u32,
    chain: Zeroizing<[u8; 32]>,
    secret: Zeroizing<[u8; 32]>,
    public: secp256k1::PublicKey,
}

impl XPriv {
    /// The key that the text (`xprv…`, `tprv…`) is.
    ///
    /// # Errors
    /// What is wrong, without a character of the text.
    pub fn parse(network: Network, text: &str) -> Result<Self, XPrivError> {
        let bytes = base58::decode_check(Alphabet::Bitcoin, text);
        let bytes = Zeroizing::new(bytes.map_err(|error| XPrivError::Text(error.into()))?);
        let got = bytes.len();
        let fields: &[u8; 78] = bytes.as_slice().try_into().map_err(|_| XPrivError::Length { got })?;
        let mut rest = fields.as_slice();
        let found = next(&mut rest)?;
        let kind = network_kind(network);
        let want = version(kind);
        if found != want {
            return Err(XPrivError::Version { found, want, network });
        }
        let [depth] = next(&mut rest)?;
        let parent: [u8; 4] = next(&mut rest)?;
        let number = u32::from_be_bytes(next(&mut rest)?);
        if depth == 0 && (parent != [0; 4] || number != 0) {
            return Err(XPrivError::Key);
        }
        let chain = Zeroizing::new(next(&mut rest)?);
        let [0] = next(&mut rest)? else { return Err(XPrivError::Key) };
        let secret = Zeroizing::new(next(&mut rest)?);
        let public = public_of(&secret)?;
        Ok(Self { kind, depth, parent, number, chain, secret, public })
    }

    /// The master key of a seed, which must be random: 16 to 64 bytes.
    ///
    /// # Errors
    /// Another length, or the one seed in 2¹²⁷ without a key.
    pub fn from_seed(network: Network, seed: &[u8]) -> Result<Self, XPrivError> {
        if !(16..=64).contains(&seed.len()) {
            return Err(XPrivError::Seed { got: seed.len() });
        }
        let (secret, chain) = hmac_halves(b"Bitcoin seed", &[seed]);
        let public = public_of(&secret)?;
        Ok(Self { kind: network_kind(network), depth: 0, parent: [0; 4], number: 0, chain, secret, public })
    }

    /// The key below at a path such as `48'/0'/0'/2'`; itself for an empty one.
    ///
    /// # Errors
    /// A malformed step, or too many.
    pub fn derive(&self, path: &str) -> Result<Self, XPrivError> {
        let steps = path.split('/').filter(|_| !path.is_empty());
        steps.map(parse_step).try_fold(self.duplicate(), |key, step| key.step(step?))
    }

    /// The key that signs for the script at `index` of `branch`.
    ///
    /// # Errors
    /// An index above 2³¹ − 1.
    pub fn child(&self, branch: Branch, index: u32) -> Result<ChildKey, XPrivError> {
        if index >= HARDENED {
            return Err(XPrivError::Child { index, depth: self.depth });
        }
        let mut leaf = self.step(branch.number())?.step(index)?;
        let secret = core::mem::replace(&mut leaf.secret, Zeroizing::new([0; 32]));
        Ok(ChildKey { secret, public: PublicKey::from_point(leaf.public) })
    }

    /// Its public half as text (`xpub…`, `tpub…`), for the descriptor.
    #[must_use]
    pub fn xpub(&self) -> String {
        let xpub = Xpub {
            network: self.kind,
            depth: self.depth,
            parent_fingerprint: Fingerprint::from(self.parent),
            child_number: ChildNumber::from(self.number),
            public_key: self.public,
            chain_code: ChainCode::from(*self.chain),
        };
        xpub.to_string()
    }

    /// Itself as text (`xprv…`, `tprv…`), for the file that the signer keeps it in.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(78));
        bytes.extend_from_slice(&version(self.kind));
        bytes.push(self.depth);
        bytes.extend_from_slice(&self.parent);
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(self.chain.as_slice());
        bytes.push(0);
        bytes.extend_from_slice(self.secret.as_slice());
        Zeroizing::new(base58::encode_check(Alphabet::Bitcoin, &bytes))
    }

    /// The first four bytes of the hash of its public key, as descriptors name key origins.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = hash160(&self.public.serialize());
        [a, b, c, d]
    }

    fn duplicate(&self) -> Self {
        Self {
            kind: self.kind,
            depth: self.depth,
            parent: self.parent,
            number: self.number,
            chain: Zeroizing::new(*self.chain),
            secret: Zeroizing::new(*self.secret),
            public: self.public,
        }
    }

    /// The child at `index` (BIP 32, "Private parent key → private child key").
    fn step(&self, index: u32) -> Result<Self, XPrivError> {
        let beyond = || XPrivError::Child { index, depth: self.depth };
        let depth = self.depth.checked_add(1).ok_or_else(beyond)?;
        let number = index.to_be_bytes();
        let (tweak, chain) = if index >= HARDENED {
            hmac_halves(self.chain.as_slice(), &[&[0], self.secret.as_slice(), &number])
        } else {
            hmac_halves(self.chain.as_slice(), &[&self.public.serialize(), &number])
        };
        let scalar = Scalar::from_be_bytes(*tweak).map_err(|_| beyond())?;
        let parent = SecretKey::from_slice(self.secret.as_slice()).map_err(|_| XPrivError::Key)?;
        let mut child = parent.add_tweak(&scalar).map_err(|_| beyond())?;
        let secret = Zeroizing::new(child.secret_bytes());
        child.non_secure_erase();
        let public = public_of(&secret)?;
        Ok(Self { kind: self.kind, depth, parent: self.fingerprint(), number: index, chain, secret, public })
    }
}

impl fmt::Debug for XPriv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XPriv(<redacted>)")
    }
}

/// The private key of one script.
pub struct ChildKey {
    secret: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl ChildKey {
    /// The key of these 32 bytes.
    ///
    /// # Errors
    /// Zero, or not below the order of the curve.
    pub fn from_bytes(secret: Zeroizing<[u8; 32]>) -> Result<Self, XPrivError> {
        let public = PublicKey::from_point(public_of(&secret)?);
        Ok(Self { secret, public })
    }

    /// Its public key, compressed.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Its signature over `digest`: nonce by RFC 6979 with SHA-256, S in the lower half.
    ///
    /// # Errors
    /// Never for a key that was made here; the curve library says so in its types.
    pub fn sign(&self, digest: &Sighash, kind: EcdsaSighash) -> Result<EcdsaSignature, XPrivError> {
        let mut secret = SecretKey::from_slice(self.secret.as_slice()).map_err(|_| XPrivError::Key)?;
        let signature = CURVE.sign_ecdsa(&Message::from_digest(*digest.as_bytes()), &secret);
        secret.non_secure_erase();
        Ok(EcdsaSignature { signature, kind })
    }
}

impl fmt::Debug for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildKey(<redacted>, {})", self.public)
    }
}

impl From<base58::Base58Error> for Base58Error {
    /// Leaves out what the error shows of the text.
    fn from(error: base58::Base58Error) -> Self {
        match error {
            base58::Base58Error::Character { at, .. } => Self::Character { at },
            base58::Base58Error::Checksum { .. } => Self::Checksum,
            base58::Base58Error::Length { .. } | base58::Base58Error::Short { .. } => Self::Length,
        }
    }
}

const fn version(kind: NetworkKind) -> [u8; 4] {
    match kind {
        NetworkKind::Main => MAIN_VERSION,
        NetworkKind::Test => TEST_VERSION,
    }
}

fn parse_step(text: &str) -> Result<u32, XPrivError> {
    let (digits, hardened) = match text.strip_suffix(['\'', 'h']) {
        Some(digits) => (digits, HARDENED),
        None => (text, 0),
    };
    let plain = digits.bytes().all(|c| c.is_ascii_digit());
    let number = digits.parse::<u32>().ok().filter(|number| plain && *number < HARDENED);
    let number = number.ok_or_else(|| XPrivError::Path { found: text.chars().take(16).collect() })?;
    Ok(number | hardened)
}

fn next<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], XPrivError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(XPrivError::Key)?;
    *rest = tail;
    Ok(*head)
}

fn public_of(secret: &[u8; 32]) -> Result<secp256k1::PublicKey, XPrivError> {
    let mut secret = SecretKey::from_slice(secret).map_err(|_| XPrivError::Key)?;
    let public = secp256k1::PublicKey::from_secret_key(&CURVE, &secret);
    secret.non_secure_erase();
    Ok(public)
}

/// HMAC-SHA512, cut in two.
fn hmac_halves(key: &[u8], parts: &[&[u8]]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let mut engine = HmacEngine::<sha512::Hash>::new(key);
    for part in parts {
        engine.input(part);
    }
    let mut whole = Hmac::<sha512::Hash>::from_engine(engine).to_byte_array();
    let (left, right) = whole.split_at(32);
    let mut halves = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    halves.0.copy_from_slice(left);
    halves.1.copy_from_slice(right);
    whole.zeroize();
    halves
}

#[cfg(test)]
mod tests;
