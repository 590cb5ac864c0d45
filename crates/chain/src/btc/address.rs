//! Addresses: text to locking script and back.
//!
//! Decides whether text is an address of the network asked for, and says what is wrong with it. Never
//! corrects, never guesses the network.

use core::fmt;

use super::{
    bech32,
    hash::hash160,
    key::PublicKey,
    network::Network,
    script::{Script, Template},
};
use crate::base58::{self, Alphabet, Base58Error};

/// Why text is no address of the network.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// More characters than any address has.
    #[error("address has {got} bytes of text, want at most {max}")]
    Length {
        /// Bytes of text.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// A character outside the Base58 alphabet.
    #[error("character {found:?} at {at} is not one of Base58, which leaves out 0, O, I and l")]
    Base58Character {
        /// The character.
        found: char,
        /// Its position, from 1.
        at: usize,
    },
    /// A character outside the Bech32 alphabet.
    #[error("character {found:?} at {at} is not one of Bech32, which leaves out 1, b, i and o")]
    Bech32Character {
        /// The character.
        found: char,
        /// Its position, from 1.
        at: usize,
    },
    /// Capitals and small letters in one Bech32 text.
    #[error("capital at {at} among small letters, a Bech32 address has one case")]
    MixedCase {
        /// The first capital's position, from 1.
        at: usize,
    },
    /// A Base58 checksum that is not the payload's.
    #[error("checksum is {found:02x?}, want {want:02x?}: at least one character is wrong")]
    Base58Checksum {
        /// At the end of the text.
        found: [u8; 4],
        /// Of the payload.
        want: [u8; 4],
    },
    /// A Bech32 checksum that is not the text's.
    #[error("checksum does not match: {}", places(at))]
    Bech32Checksum {
        /// Positions of the wrong characters, from 1, where one or two explain it; else empty.
        at: Vec<usize>,
    },
    /// The checksum that belongs to other witness versions (BIP 350).
    #[error("witness version {version} is written with the {found} checksum, want {want}")]
    Variant {
        /// The witness version.
        version: u8,
        /// The checksum found.
        found: &'static str,
        /// The checksum wanted.
        want: &'static str,
    },
    /// A witness version above 16.
    #[error("witness version is {found}, want at most 16")]
    WitnessVersion {
        /// The version.
        found: u8,
    },
    /// A witness program of a length that its version does not have.
    #[error("witness version {version} has a program of {got} bytes, want {want}")]
    Program {
        /// The witness version.
        version: u8,
        /// Bytes of the program.
        got: usize,
        /// What it may have.
        want: &'static str,
    },
    /// Bits left over that are not zero, or too many of them (BIP 173).
    #[error("padding after the witness program is not zero bits fewer than five")]
    Padding,
    /// A payload of the wrong length.
    #[error("address holds {got} bytes or letters, want {want}")]
    Payload {
        /// How many.
        got: usize,
        /// What it should be.
        want: &'static str,
    },
    /// A version byte that no network of the family has.
    #[error("version byte {found} belongs to no network known here")]
    Version {
        /// The byte.
        found: u8,
    },
    /// The address of another network.
    #[error("address belongs to {}, want {want}", names(found))]
    Network {
        /// Networks that it belongs to.
        found: Vec<Network>,
        /// The network asked for.
        want: Network,
    },
    /// An address inside Litecoin's extension block, to which no script pays.
    #[error("address is inside Litecoin's extension block, which payments here do not reach")]
    Mweb,
}

fn places(at: &[usize]) -> String {
    match at {
        [] => "at least three characters are wrong or missing".to_owned(),
        [one] => format!("character {one} is wrong"),
        many => {
            let many: Vec<String> = many.iter().map(usize::to_string).collect();
            format!("characters {} are wrong", many.join(" and "))
        }
    }
}

fn names(networks: &[Network]) -> String {
    networks.iter().map(|network| network.name()).collect::<Vec<_>>().join(", ")
}

/// What an address pays to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Payload {
    P2pkh([u8; 20]),
    P2sh([u8; 20]),
    Witness { version: u8, program: [u8; 40], length: usize },
}

/// An address of one network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    network: Network,
    payload: Payload,
}

impl Address {
    /// The address of `network` that the text is. Blanks around it are not taken away.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(network: Network, text: &str) -> Result<Self, AddressError> {
        let mut hrps = Network::ALL.into_iter().map(Network::hrp);
        if let Some(hrp) = hrps.find(|hrp| starts_with_hrp(text, hrp)) {
            return Self::parse_witness(network, hrp, text);
        }
        if Network::ALL.into_iter().filter_map(Network::hrp_mweb).any(|hrp| starts_with_hrp(text, hrp)) {
            return Err(AddressError::Mweb);
        }
        Self::parse_base58(network, text)
    }

    fn parse_base58(network: Network, text: &str) -> Result<Self, AddressError> {
        let payload = base58::decode_check(Alphabet::Bitcoin, text)?;
        let want = "a version byte and 20 bytes";
        let Some((version, hash)) = payload.split_first() else {
            return Err(AddressError::Payload { got: payload.len(), want });
        };
        let Ok(hash) = <[u8; 20]>::try_from(hash) else {
            return Err(AddressError::Payload { got: payload.len(), want });
        };
        let read = |network: Network| {
            if *version == network.p2pkh_prefix() {
                Some(Payload::P2pkh(hash))
            } else if *version == network.p2sh_prefix() || Some(*version) == network.p2sh_prefix_old() {
                Some(Payload::P2sh(hash))
            } else {
                None
            }
        };
        match read(network) {
            Some(payload) => Ok(Self { network, payload }),
            None => {
                let found: Vec<_> = Network::ALL.into_iter().filter(|other| read(*other).is_some()).collect();
                Err(if found.is_empty() {
                    AddressError::Version { found: *version }
                } else {
                    AddressError::Network { found, want: network }
                })
            }
        }
    }

    fn parse_witness(network: Network, hrp: &str, text: &str) -> Result<Self, AddressError> {
        let (variant, values) = bech32::decode(hrp, text)?;
        let Some((version, values)) = values.split_first() else {
            return Err(AddressError::Payload { got: 0, want: "a witness version" });
        };
        let version = *version;
        if version > 16 {
            return Err(AddressError::WitnessVersion { found: version });
        }
        let want = bech32::Variant::of_version(version);
        if variant != want {
            return Err(AddressError::Variant { version, found: variant.name(), want: want.name() });
        }
        let program = bech32::to_bytes(values).ok_or(AddressError::Padding)?;
        let payload = witness_payload(version, &program)?;
        if hrp != network.hrp() {
            let found = Network::ALL.into_iter().filter(|other| other.hrp() == hrp).collect();
            return Err(AddressError::Network { found, want: network });
        }
        Ok(Self { network, payload })
    }

    /// The address of a locking script, if it has one: P2PKH, P2SH and witness programs have, but for the two
    /// that belong to Litecoin's extension block.
    #[must_use]
    pub fn from_script(network: Network, script: &Script) -> Option<Self> {
        let payload = match script.template() {
            Template::P2pkh(hash) => Payload::P2pkh(*hash),
            Template::P2sh(hash) => Payload::P2sh(*hash),
            Template::P2wpkh(hash) => witness_payload(0, hash).ok()?,
            Template::P2wsh(hash) => witness_payload(0, hash).ok()?,
            Template::P2tr(key) => witness_payload(1, key).ok()?,
            Template::Witness { version: 8 | 9, program } if network.has_mweb() && program.len() == 32 => {
                return None;
            }
            Template::Witness { version, program } => witness_payload(version, program).ok()?,
            Template::P2pk(_) | Template::Multisig { .. } | Template::OpReturn | Template::NonStandard => {
                return None;
            }
        };
        Some(Self { network, payload })
    }

    /// The P2PKH address of a key.
    #[must_use]
    pub fn p2pkh(network: Network, key: PublicKey) -> Self {
        Self { network, payload: Payload::P2pkh(key.hash160()) }
    }

    /// The P2SH address of a redeem script.
    #[must_use]
    pub fn p2sh(network: Network, redeem: &Script) -> Self {
        Self { network, payload: Payload::P2sh(hash160(redeem.as_bytes())) }
    }

    /// The locking script that pays to it.
    #[must_use]
    pub fn script(&self) -> Script {
        match &self.payload {
            Payload::P2pkh(hash) => Script::p2pkh(hash),
            Payload::P2sh(hash) => Script::p2sh(hash),
            Payload::Witness { version, .. } => {
                // `witness_payload` let only versions and lengths through for which there is a script.
                Script::witness(*version, self.program()).unwrap_or_default()
            }
        }
    }

    /// The network that it is of.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    fn program(&self) -> &[u8] {
        match &self.payload {
            Payload::P2pkh(hash) | Payload::P2sh(hash) => hash,
            Payload::Witness { program, length, .. } => program.get(..*length).unwrap_or(program),
        }
    }
}

fn witness_payload(version: u8, bytes: &[u8]) -> Result<Payload, AddressError> {
    let length = bytes.len();
    let want = match (version, length) {
        (0, 20 | 32) | (1..=16, 2..=40) => {
            let mut program = [0; 40];
            for (place, byte) in program.iter_mut().zip(bytes) {
                *place = *byte;
            }
            return Ok(Payload::Witness { version, program, length });
        }
        (0, _) => "20 or 32",
        (_, _) => "2 to 40",
    };
    Err(AddressError::Program { version, got: length, want })
}

/// Whether the text is `hrp` in either case and the separator.
fn starts_with_hrp(text: &str, hrp: &str) -> bool {
    let head = text.as_bytes().get(..hrp.len());
    let separator = text.as_bytes().get(hrp.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(hrp.as_bytes())) && separator == Some(&b'1')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base58 = |version: u8, hash: &[u8; 20]| {
            base58::encode_check(Alphabet::Bitcoin, &[&[version][..], hash].concat())
        };
        let text = match &self.payload {
            Payload::P2pkh(hash) => base58(self.network.p2pkh_prefix(), hash),
            Payload::P2sh(hash) => base58(self.network.p2sh_prefix(), hash),
            Payload::Witness { version, .. } => {
                let values = [&[*version][..], &bech32::to_values(self.program())].concat();
                bech32::encode(bech32::Variant::of_version(*version), self.network.hrp(), &values)
            }
        };
        f.write_str(&text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({}, {self})", self.network)
    }
}

impl From<Base58Error> for AddressError {
    fn from(error: Base58Error) -> Self {
        match error {
            Base58Error::Length { got } => Self::Length { got, max: base58::TEXT_MAX },
            Base58Error::Character { found, at } => Self::Base58Character { found, at },
            Base58Error::Short { got } => {
                Self::Payload { got, want: "a version byte, 20 bytes and a checksum" }
            }
            Base58Error::Checksum { found, want } => Self::Base58Checksum { found, want },
        }
    }
}

#[cfg(test)]
mod tests;
