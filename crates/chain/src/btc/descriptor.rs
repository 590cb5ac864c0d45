//! Descriptors: the scripts of a vault from its public keys, and the unlocking data from its signatures.
//!
//! Decides which scripts belong to a vault. Text is `miniscript`'s to parse; only the forms whose spends
//! [`verify`](super::verify) can check are taken. Holds no secret.

use core::fmt;

use bitcoin::NetworkKind;
use bitcoin::bip32::{ChildNumber, Xpub};
use miniscript::descriptor::{
    Descriptor as Parsed, DescriptorPublicKey, ShInner, SinglePubKey, Wildcard, WshInner, XKeyNetwork,
};
use miniscript::{ScriptContext, Terminal};

use super::{
    key::{CURVE, EcdsaSignature, PublicKey},
    network::Network,
    script::Script,
    write,
};

/// Longest text that is looked at.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Bytes of a signature in a witness, its type included: S in its lower half, R of any size.
const SIGNATURE_BYTES_MAX: usize = 72;
/// Largest redeem script that can be spent (`MAX_SCRIPT_ELEMENT_SIZE`).
const REDEEM_BYTES_MAX: usize = 520;

/// Which of a descriptor's two chains of scripts (BIP 389, `<0;1>`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Branch {
    /// Where others pay to: the first path.
    Receive,
    /// Where the vault's own change goes: the second path.
    Change,
}

impl Branch {
    /// Both, in their order.
    pub const BOTH: [Self; 2] = [Self::Receive, Self::Change];

    /// Its number in the path.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Receive => 0,
            Self::Change => 1,
        }
    }
}

/// Why text is no descriptor of a vault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DescriptorError {
    /// Too long.
    #[error("descriptor has {got} bytes, want at most {TEXT_BYTES_MAX}")]
    Long {
        /// Its length.
        got: usize,
    },
    /// Not a descriptor, or its checksum is wrong.
    #[error("descriptor is malformed: {reason}")]
    Malformed {
        /// What the parser found.
        reason: String,
    },
    /// A descriptor of another form.
    #[error("descriptor is {found}, want pkh, wpkh or multi or sortedmulti in sh, wsh or sh(wsh)")]
    Form {
        /// What it is.
        found: &'static str,
    },
    /// A redeem script that could never be spent.
    #[error("redeem script would have {got} bytes, want at most 520")]
    RedeemScript {
        /// Its length.
        got: usize,
    },
    /// Paths that do not give exactly two branches, or a range without branches.
    #[error("descriptor has {paths} paths and its keys are {}, want <0;1>/* or fixed keys", range_word(*ranged))]
    Branches {
        /// Paths found.
        paths: usize,
        /// Whether a key has a wildcard.
        ranged: bool,
    },
    /// A hardened step, which public keys cannot take.
    #[error("key {position} derives by a hardened step, which needs the private key")]
    Hardened {
        /// Position of the key, from 0.
        position: usize,
    },
    /// Extended keys of the wrong kind of network.
    #[error("extended keys are not all of the kind that {want} uses")]
    Network {
        /// The network asked for.
        want: Network,
    },
    /// One key twice.
    #[error("key {key} stands there twice")]
    Repeated {
        /// The key as derived at index 0.
        key: PublicKey,
    },
    /// An index that no key has.
    #[error("index {index} is beyond the last, 2147483647")]
    Index {
        /// The index.
        index: u32,
    },
}

fn range_word(ranged: bool) -> &'static str {
    if ranged { "ranged" } else { "fixed" }
}

/// Why signatures do not make an input spendable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SatisfyError {
    /// Too few signatures by the script's keys.
    #[error("{have} signatures by keys of the script, want {need}")]
    Missing {
        /// Signatures that count.
        have: usize,
        /// Signatures needed.
        need: usize,
    },
    /// No such script.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Form {
    Pkh,
    Wpkh,
    ShWpkh,
    Sh,
    Wsh,
    ShWsh,
}

/// One key of one branch, derived as far as is the same for every index.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Source {
    Fixed(PublicKey),
    Ranged(Box<Xpub>),
}

/// What unlocks an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Satisfaction {
    /// The unlocking script.
    pub script_sig: Script,
    /// The witness stack.
    pub witness: Vec<Vec<u8>>,
}

/// A vault's scripts.
#[derive(Clone, PartialEq, Eq)]
pub struct Descriptor {
    network: Network,
    text: String,
    form: Form,
    need: usize,
    sorted: bool,
    receive: Vec<Source>,
    change: Vec<Source>,
}

impl Descriptor {
    /// The descriptor of `network` that the text is. A checksum after `#` is checked where there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(network: Network, text: &str) -> Result<Self, DescriptorError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(DescriptorError::Long { got: text.len() });
        }
        let malformed = |error: &dyn fmt::Display| DescriptorError::Malformed { reason: error.to_string() };
        let parsed: Parsed<DescriptorPublicKey> = text.parse().map_err(|error| malformed(&error))?;
        parsed.sanity_check().map_err(|error| malformed(&error))?;
        check_network(network, &parsed)?;
        let ranged = parsed.has_wildcard();
        let text = parsed.to_string();
        let branches = parsed.into_single_descriptors().map_err(|error| malformed(&error))?;
        let (receive, change) = match (branches.as_slice(), ranged) {
            ([fixed], false) => (fixed, fixed),
            ([receive, change], true) => (receive, change),
            (other, ranged) => return Err(DescriptorError::Branches { paths: other.len(), ranged }),
        };
        let (form, need, sorted) = shape(receive)?;
        let descriptor =
            Self { network, text, form, need, sorted, receive: sources(receive)?, change: sources(change)? };
        descriptor.checked()
    }

    /// Itself, if its scripts at index 0 can be spent and name no key twice.
    fn checked(self) -> Result<Self, DescriptorError> {
        for branch in Branch::BOTH {
            let mut keys = self.keys_at(branch, 0)?;
            keys.sort_unstable();
            if let Some([key, _]) = keys.array_windows().find(|[a, b]| a == b) {
                return Err(DescriptorError::Repeated { key: *key });
            }
            let got = self.multi_script(branch, 0)?.len();
            if self.form == Form::Sh && got > REDEEM_BYTES_MAX {
                return Err(DescriptorError::RedeemScript { got });
            }
        }
        Ok(self)
    }

    /// The network that it is of.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// Signatures needed.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.need
    }

    /// Keys that may sign.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.receive.len()
    }

    /// Whether each index has a script of its own; else there is one script for all.
    #[must_use]
    pub fn is_ranged(&self) -> bool {
        self.receive.iter().any(|source| matches!(source, Source::Ranged(_)))
    }

    /// Whether its inputs have witnesses.
    #[must_use]
    pub const fn is_witness(&self) -> bool {
        match self.form {
            Form::Pkh | Form::Sh => false,
            Form::Wpkh | Form::ShWpkh | Form::Wsh | Form::ShWsh => true,
        }
    }

    /// The keys of one script, in the order of the descriptor's text.
    ///
    /// # Errors
    /// An index above 2³¹ − 1.
    pub fn keys_at(&self, branch: Branch, index: u32) -> Result<Vec<PublicKey>, DescriptorError> {
        let child = ChildNumber::from_normal_idx(index).map_err(|_| DescriptorError::Index { index })?;
        let derive = |source: &Source| match source {
            Source::Fixed(key) => Ok(*key),
            Source::Ranged(parent) => parent
                .ckd_pub(&CURVE, child)
                .map(|key| PublicKey::from_point(key.public_key))
                .map_err(|_| DescriptorError::Index { index }),
        };
        self.sources(branch).iter().map(derive).collect()
    }

    /// The locking script.
    ///
    /// # Errors
    /// An index above 2³¹ − 1.
    pub fn script_at(&self, branch: Branch, index: u32) -> Result<Script, DescriptorError> {
        let inner = self.inner_script(branch, index)?;
        Ok(match self.form {
            Form::Pkh | Form::Wpkh => inner,
            Form::ShWpkh | Form::Sh => Script::p2sh_of(&inner),
            Form::Wsh => Script::p2wsh_of(&inner),
            Form::ShWsh => Script::p2sh_of(&Script::p2wsh_of(&inner)),
        })
    }

    /// The script that the digest to sign is made over: witness script, redeem script, or the P2PKH script of
    /// the key.
    ///
    /// # Errors
    /// An index above 2³¹ − 1.
    pub fn script_code_at(&self, branch: Branch, index: u32) -> Result<Script, DescriptorError> {
        match self.form {
            Form::Wpkh | Form::ShWpkh => {
                let keys = self.keys_at(branch, index)?;
                Ok(keys.first().map(|key| Script::p2pkh(&key.hash160())).unwrap_or_default())
            }
            Form::Pkh | Form::Sh | Form::Wsh | Form::ShWsh => self.inner_script(branch, index),
        }
    }

    /// The witness script, where there is one.
    ///
    /// # Errors
    /// An index above 2³¹ − 1.
    pub fn witness_script_at(&self, branch: Branch, index: u32) -> Result<Option<Script>, DescriptorError> {
        match self.form {
            Form::Wsh | Form::ShWsh => self.inner_script(branch, index).map(Some),
            Form::Pkh | Form::Wpkh | Form::ShWpkh | Form::Sh => Ok(None),
        }
    }

    /// Where the script stands, looking at indexes from 0 to `index_max` of both branches, the lowest index
    /// first. Costs one derivation for each key and index: whoever asks often keeps a map of scripts.
    #[must_use]
    pub fn find(&self, script: &Script, index_max: u32) -> Option<(Branch, u32)> {
        let last = if self.is_ranged() { index_max } else { 0 };
        let places = (0..=last).flat_map(|index| Branch::BOTH.map(|branch| (branch, index)));
        places.into_iter().find(|(branch, index)| {
            self.script_at(*branch, *index).is_ok_and(|candidate| candidate == *script)
        })
    }

    /// Unlocking data from signatures by public key; those by strangers are passed over, and of several by
    /// one key the first counts. Whether the signatures hold is [`verify`](super::verify)'s to say.
    ///
    /// # Errors
    /// Too few signatures.
    pub fn satisfy(
        &self,
        branch: Branch,
        index: u32,
        signatures: &[(PublicKey, EcdsaSignature)],
    ) -> Result<Satisfaction, SatisfyError> {
        let keys = self.ordered_keys_at(branch, index)?;
        let by = |key: &PublicKey| signatures.iter().find(|(signer, _)| signer == key);
        let found = keys.iter().filter_map(by).map(|(_, signature)| signature.to_bytes());
        let found: Vec<Vec<u8>> = found.take(self.need).collect();
        if found.len() < self.need {
            return Err(SatisfyError::Missing { have: found.len(), need: self.need });
        }
        let inner = self.inner_script(branch, index)?;
        let stack: Vec<Vec<u8>> = match self.form {
            Form::Pkh | Form::Wpkh | Form::ShWpkh => {
                found.into_iter().chain(keys.iter().map(|key| key.to_bytes())).collect()
            }
            // CHECKMULTISIG takes one item more than it uses (BIP 147: empty).
            Form::Sh | Form::Wsh | Form::ShWsh => {
                core::iter::once(Vec::new()).chain(found).chain([inner.as_bytes().to_vec()]).collect()
            }
        };
        Ok(match self.form {
            Form::Pkh | Form::Sh => Satisfaction { script_sig: push_all(&stack), witness: Vec::new() },
            Form::Wpkh | Form::Wsh => Satisfaction { script_sig: Script::default(), witness: stack },
            Form::ShWpkh => Satisfaction { script_sig: push_all(&[inner.into_bytes()]), witness: stack },
            Form::ShWsh => {
                let program = Script::p2wsh_of(&inner).into_bytes();
                Satisfaction { script_sig: push_all(&[program]), witness: stack }
            }
        })
    }

    /// Most weight units that an input spending one of its scripts can have: outpoint, unlocking script,
    /// sequence number and witness, with signatures whose S is low.
    #[must_use]
    pub fn input_weight_max(&self) -> usize {
        let key_bytes = |source: &Source| match source {
            Source::Fixed(key) if !key.is_compressed() => 65,
            Source::Fixed(_) | Source::Ranged(_) => 33,
        };
        let keys: Vec<usize> = self.receive.iter().map(key_bytes).collect();
        let first_key = keys.first().copied().unwrap_or(33);
        // A number, the keys behind their length, a number, the opcode.
        let number_bytes = |count: usize| if count > 16 { 2_usize } else { 1 };
        let numbers = number_bytes(self.need).saturating_add(number_bytes(keys.len()));
        let script = keys
            .iter()
            .fold(numbers.saturating_add(1), |sum, key| sum.saturating_add(*key).saturating_add(1));
        let signatures = self.need.saturating_mul(SIGNATURE_BYTES_MAX.saturating_add(1));
        let items = self.need.saturating_add(2);
        let single = signatures.saturating_add(first_key).saturating_add(1);
        let multi = |script: usize| signatures.saturating_add(script).saturating_add(1);
        let (script_sig, witness) = match self.form {
            Form::Pkh => (single, 1),
            Form::Wpkh => (0, single.saturating_add(1)),
            Form::ShWpkh => (23, single.saturating_add(1)),
            Form::Sh => (multi(pushed_len(script)), 1),
            Form::Wsh => (0, multi(write::bytes_len(script)).saturating_add(write::compact_size_len(items))),
            Form::ShWsh => {
                (35, multi(write::bytes_len(script)).saturating_add(write::compact_size_len(items)))
            }
        };
        // An input without a witness counts one byte too, in a transaction where another has one.
        write::bytes_len(script_sig).saturating_add(40).saturating_mul(4).saturating_add(witness)
    }

    fn sources(&self, branch: Branch) -> &[Source] {
        match branch {
            Branch::Receive => &self.receive,
            Branch::Change => &self.change,
        }
    }

    /// The keys in the order of the script.
    fn ordered_keys_at(&self, branch: Branch, index: u32) -> Result<Vec<PublicKey>, DescriptorError> {
        let mut keys = self.keys_at(branch, index)?;
        if self.sorted {
            // BIP 67: by the bytes of their spelling.
            keys.sort_by_key(|key| key.to_bytes());
        }
        Ok(keys)
    }

    /// The script beneath all hashes of scripts.
    fn inner_script(&self, branch: Branch, index: u32) -> Result<Script, DescriptorError> {
        let hash = || self.keys_at(branch, index).map(|keys| keys.first().map(|key| key.hash160()));
        match self.form {
            Form::Pkh => Ok(hash()?.map(|hash| Script::p2pkh(&hash)).unwrap_or_default()),
            Form::Wpkh | Form::ShWpkh => {
                Ok(hash()?.and_then(|hash| Script::witness(0, &hash)).unwrap_or_default())
            }
            Form::Sh | Form::Wsh | Form::ShWsh => self.multi_script(branch, index),
        }
    }

    fn multi_script(&self, branch: Branch, index: u32) -> Result<Script, DescriptorError> {
        let keys: Vec<Vec<u8>> =
            self.ordered_keys_at(branch, index)?.iter().map(|key| key.to_bytes()).collect();
        Ok(Script::multisig(self.need, &keys))
    }
}

/// The text with its checksum.
impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Descriptor({}, {})", self.network, self.text)
    }
}

fn check_network(network: Network, parsed: &Parsed<DescriptorPublicKey>) -> Result<(), DescriptorError> {
    let want = network_kind(network);
    match parsed.xkey_network() {
        XKeyNetwork::NoXKeys => Ok(()),
        XKeyNetwork::Single(found) if found == want => Ok(()),
        XKeyNetwork::Single(_) | XKeyNetwork::Mixed => Err(DescriptorError::Network { want: network }),
    }
}

/// Which version bytes extended keys of the network have: Litecoin Core uses Bitcoin's.
pub(crate) const fn network_kind(network: Network) -> NetworkKind {
    match network {
        Network::BtcMain | Network::LtcMain => NetworkKind::Main,
        Network::BtcTest
        | Network::BtcSignet
        | Network::BtcRegtest
        | Network::LtcTest
        | Network::LtcRegtest => NetworkKind::Test,
    }
}

/// Form, signatures needed, and whether keys are sorted.
fn shape(parsed: &Parsed<DescriptorPublicKey>) -> Result<(Form, usize, bool), DescriptorError> {
    let wsh = |inner: &WshInner<DescriptorPublicKey>, form| match inner {
        WshInner::SortedMulti(keys) => Ok((form, keys.k(), true)),
        WshInner::Ms(script) => {
            let need =
                multi_need(&script.node).ok_or(DescriptorError::Form { found: "wsh of another script" })?;
            Ok((form, need, false))
        }
    };
    match parsed {
        Parsed::Pkh(_) => Ok((Form::Pkh, 1, false)),
        Parsed::Wpkh(_) => Ok((Form::Wpkh, 1, false)),
        Parsed::Wsh(inner) => wsh(inner.as_inner(), Form::Wsh),
        Parsed::Sh(inner) => match inner.as_inner() {
            ShInner::Wsh(inner) => wsh(inner.as_inner(), Form::ShWsh),
            ShInner::Wpkh(_) => Ok((Form::ShWpkh, 1, false)),
            ShInner::SortedMulti(keys) => Ok((Form::Sh, keys.k(), true)),
            ShInner::Ms(script) => {
                let need = multi_need(&script.node)
                    .ok_or(DescriptorError::Form { found: "sh of another script" })?;
                Ok((Form::Sh, need, false))
            }
        },
        Parsed::Bare(_) => Err(DescriptorError::Form { found: "bare" }),
        Parsed::Tr(_) => Err(DescriptorError::Form { found: "tr" }),
    }
}

fn multi_need<Context: ScriptContext>(node: &Terminal<DescriptorPublicKey, Context>) -> Option<usize> {
    if let Terminal::Multi(keys) = node { Some(keys.k()) } else { None }
}

fn sources(branch: &Parsed<DescriptorPublicKey>) -> Result<Vec<Source>, DescriptorError> {
    branch.iter_pk().enumerate().map(|(position, key)| source(position, &key)).collect()
}

fn source(position: usize, key: &DescriptorPublicKey) -> Result<Source, DescriptorError> {
    match key {
        DescriptorPublicKey::Single(single) => match single.key {
            SinglePubKey::FullKey(key) => Ok(Source::Fixed(PublicKey::from_peer(key))),
            SinglePubKey::XOnly(_) => Err(DescriptorError::Form { found: "over an x-only key" }),
        },
        DescriptorPublicKey::XPub(key) => {
            let hardened = |_| DescriptorError::Hardened { position };
            let parent = key.xkey.derive_pub(&CURVE, &key.derivation_path).map_err(hardened)?;
            match key.wildcard {
                Wildcard::None => Ok(Source::Fixed(PublicKey::from_point(parent.public_key))),
                Wildcard::Unhardened => Ok(Source::Ranged(Box::new(parent))),
                Wildcard::Hardened => Err(DescriptorError::Hardened { position }),
            }
        }
        DescriptorPublicKey::MultiXPub(key) => {
            Err(DescriptorError::Branches { paths: key.derivation_paths.paths().len(), ranged: true })
        }
    }
}

/// A script that pushes each item, in the shortest spelling for the lengths that occur here.
fn push_all(items: &[Vec<u8>]) -> Script {
    let mut out = Vec::new();
    for item in items {
        push(&mut out, item);
    }
    Script::new(out)
}

fn push(out: &mut Vec<u8>, item: &[u8]) {
    match (u8::try_from(item.len()), u16::try_from(item.len())) {
        (Ok(length @ 0..=75), _) => out.push(length),
        (Ok(length), _) => out.extend_from_slice(&[0x4c, length]),
        (Err(_), Ok(length)) => {
            out.push(0x4d);
            out.extend_from_slice(&length.to_le_bytes());
        }
        // Redeem scripts are at most 520 bytes and everything else is shorter.
        (Err(_), Err(_)) => return,
    }
    out.extend_from_slice(item);
}

fn pushed_len(length: usize) -> usize {
    let prefix = match length {
        0..=75 => 1,
        76..=255 => 2,
        _ => 3,
    };
    length.saturating_add(prefix)
}

#[cfg(test)]
mod tests;
