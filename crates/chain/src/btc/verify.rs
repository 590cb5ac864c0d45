//! Checks the signatures of an input against the output that it spends.
//!
//! Decides, for the standard templates alone, whether the keys that the output names signed this
//! transaction, and which ones. It executes no scripts: what no template covers is `Unsupported`, never
//! good. Lock times, amounts and whether the output exists are the caller's questions.

use super::{
    hash::{hash160, sha256},
    key::{EcdsaSignature, KeyError, PublicKey, XOnlyKey},
    script::{Script, Template},
    sighash::{Digests, SighashError, TaprootPath, TaprootSighash},
    tx::{Tx, TxIn, TxOut},
};

/// How an output was spent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// By the locking script itself.
    Bare,
    /// By a redeem script (BIP 16).
    P2sh,
    /// By a witness program (BIP 141).
    Witness,
    /// By a witness program behind a redeem script (BIP 141).
    P2shWitness,
}

/// What the key or keys had to satisfy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Lock {
    /// One public key, written out.
    Key,
    /// One public key, by its hash.
    KeyHash,
    /// `need` of these keys, in this order.
    Multisig {
        /// Signatures needed.
        need: usize,
        /// All keys.
        keys: Vec<PublicKey>,
    },
    /// A taproot output key.
    Taproot,
}

/// A key that signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Signer {
    /// With ECDSA.
    Ecdsa {
        /// The key.
        key: PublicKey,
        /// What it signed.
        kind: super::sighash::EcdsaSighash,
    },
    /// With a signature of BIP 340.
    Schnorr {
        /// The output key.
        key: XOnlyKey,
        /// What it signed.
        kind: TaprootSighash,
    },
}

impl Signer {
    /// Whether the signature covers every input and every output.
    #[must_use]
    pub const fn covers_all(&self) -> bool {
        match self {
            Self::Ecdsa { kind, .. } => matches!(kind, super::sighash::EcdsaSighash::All),
            Self::Schnorr { kind, .. } => matches!(
                kind,
                TaprootSighash::Default | TaprootSighash::Typed(super::sighash::EcdsaSighash::All)
            ),
        }
    }
}

/// An input whose signatures hold. Only [`verify_input`] and [`Verifier`] make one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spend {
    form: Form,
    lock: Lock,
    signers: Vec<Signer>,
}

impl Spend {
    /// How the output was spent.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// What had to be satisfied.
    #[must_use]
    pub const fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Who signed, in the order of the keys.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// The ECDSA keys that signed.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> {
        self.signers.iter().filter_map(|signer| match signer {
            Signer::Ecdsa { key, .. } => Some(*key),
            Signer::Schnorr { .. } => None,
        })
    }
}

/// Why an input's signatures do not hold, or cannot be judged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// A script or witness that no template covers.
    #[error("{what} is not supported")]
    Unsupported {
        /// What was found.
        what: &'static str,
    },
    /// The script shown is not the one whose hash the output names.
    #[error("{what} does not have the hash that the output names")]
    Hash {
        /// What was shown.
        what: &'static str,
    },
    /// Another number of stack items than the template needs.
    #[error("{got} items were shown, want {want}")]
    Items {
        /// Items shown.
        got: usize,
        /// Items wanted.
        want: usize,
    },
    /// The unlocking script of a witness program is not exactly what BIP 141 demands.
    #[error("unlocking script of a witness program is not {want}")]
    ScriptSig {
        /// What it must be.
        want: &'static str,
    },
    /// A witness on an output that is no witness program (BIP 141).
    #[error("witness on an output that is no witness program")]
    UnexpectedWitness,
    /// The item below the signatures of CHECKMULTISIG, which must be empty (BIP 147).
    #[error("item below the signatures is not empty")]
    Dummy,
    /// A malformed key.
    #[error("public key {position} is malformed")]
    Key {
        /// Its position in the script.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A malformed signature.
    #[error("signature {position} is malformed")]
    Signature {
        /// Its position among those shown.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A well-formed signature that no key it may belong to has made over this transaction.
    #[error("signature {position} is no remaining key's over this transaction")]
    Forged {
        /// Its position among those shown.
        position: usize,
    },
    /// There is no digest to check against.
    #[error("there is no digest to check against")]
    Digest(#[from] SighashError),
}

/// Checks one input. For several inputs of one transaction a [`Verifier`] does less hashing.
///
/// # Errors
/// What is wrong with the signatures, or that the output's script is not supported.
pub fn verify_input(tx: &Tx, index: usize, prevouts: &[TxOut]) -> Result<Spend, VerifyError> {
    Verifier::new(tx, prevouts)?.input(index)
}

/// Checks the inputs of one transaction.
#[derive(Clone, Debug)]
pub struct Verifier<'a> {
    digests: Digests<'a>,
}

/// Where ECDSA signatures are executed, which decides their digest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Legacy,
    V0,
}

impl<'a> Verifier<'a> {
    /// For `tx`, which spends `prevouts` in the order of its inputs.
    ///
    /// # Errors
    /// Not one spent output for each input.
    pub fn new(tx: &'a Tx, prevouts: &'a [TxOut]) -> Result<Self, SighashError> {
        Digests::new(tx, prevouts).map(|digests| Self { digests })
    }

    /// Checks the input at `index`.
    ///
    /// # Errors
    /// As [`verify_input`].
    pub fn input(&self, index: usize) -> Result<Spend, VerifyError> {
        let (input, prevout) = self.digests.input(index)?;
        match prevout.script.template() {
            Template::P2sh(hash) => self.p2sh(index, input, hash),
            template @ (Template::P2wpkh(_) | Template::P2wsh(_) | Template::P2tr(_)) => {
                if !input.script_sig.is_empty() {
                    return Err(VerifyError::ScriptSig { want: "empty" });
                }
                self.witness(index, &template, &input.witness, Form::Witness)
            }
            Template::P2pkh(_) | Template::P2pk(_) | Template::Multisig { .. } => {
                let stack = legacy_stack(input)?;
                self.script(index, &prevout.script, &stack, Version::Legacy, Form::Bare)
            }
            Template::OpReturn => Err(unsupported("spend of a data output")),
            Template::Witness { .. } => Err(unsupported("witness program of this version or length")),
            Template::NonStandard => Err(unsupported("locking script of no known template")),
        }
    }

    fn p2sh(&self, index: usize, input: &TxIn, hash: &[u8; 20]) -> Result<Spend, VerifyError> {
        let mut stack = input.script_sig.pushes().ok_or(unsupported("unlocking script with operations"))?;
        let redeem = Script::new(stack.pop().ok_or(VerifyError::Items { got: 0, want: 1 })?);
        if hash160(redeem.as_bytes()) != *hash {
            return Err(VerifyError::Hash { what: "redeem script" });
        }
        match redeem.template() {
            template @ (Template::P2wpkh(_) | Template::P2wsh(_)) => {
                // The one push, in its one spelling: both programs are shorter than 76 bytes.
                let length = u8::try_from(redeem.len()).unwrap_or(u8::MAX);
                if input.script_sig.as_bytes().strip_prefix(&[length]) != Some(redeem.as_bytes()) {
                    return Err(VerifyError::ScriptSig { want: "one push of the program" });
                }
                self.witness(index, &template, &input.witness, Form::P2shWitness)
            }
            Template::P2pkh(_) | Template::P2pk(_) | Template::Multisig { .. } => {
                if !input.witness.is_empty() {
                    return Err(VerifyError::UnexpectedWitness);
                }
                self.script(index, &redeem, &stack, Version::Legacy, Form::P2sh)
            }
            Template::P2sh(_)
            | Template::P2tr(_)
            | Template::OpReturn
            | Template::Witness { .. }
            | Template::NonStandard => Err(unsupported("redeem script of no known template")),
        }
    }

    fn witness(
        &self,
        index: usize,
        program: &Template<'_>,
        stack: &[Vec<u8>],
        form: Form,
    ) -> Result<Spend, VerifyError> {
        match program {
            Template::P2wpkh(hash) => self.script(index, &Script::p2pkh(hash), stack, Version::V0, form),
            Template::P2wsh(hash) => {
                let (script, stack) = stack.split_last().ok_or(VerifyError::Items { got: 0, want: 1 })?;
                if sha256(script) != **hash {
                    return Err(VerifyError::Hash { what: "witness script" });
                }
                self.script(index, &Script::new(script.clone()), stack, Version::V0, form)
            }
            Template::P2tr(key) => self.taproot_key(index, key, stack, form),
            Template::P2pkh(_)
            | Template::P2sh(_)
            | Template::P2pk(_)
            | Template::Multisig { .. }
            | Template::OpReturn
            | Template::Witness { .. }
            | Template::NonStandard => Err(unsupported("witness program of this version or length")),
        }
    }

    /// `script` executed with `stack`, by its template.
    fn script(
        &self,
        index: usize,
        script: &Script,
        stack: &[Vec<u8>],
        version: Version,
        form: Form,
    ) -> Result<Spend, VerifyError> {
        let check = Check { digests: &self.digests, index, script, version };
        match script.template() {
            Template::P2pkh(hash) => {
                let [signature, key] = exactly(stack)?;
                if hash160(key) != *hash {
                    return Err(VerifyError::Hash { what: "public key" });
                }
                let signers = check.in_order(1, &[key], &[signature.as_slice()])?.1;
                Ok(Spend { form, lock: Lock::KeyHash, signers })
            }
            Template::P2pk(key) => {
                let [signature] = exactly(stack)?;
                let signers = check.in_order(1, &[key], &[signature.as_slice()])?.1;
                Ok(Spend { form, lock: Lock::Key, signers })
            }
            Template::Multisig { need, keys } => {
                let (got, want) = (stack.len(), need.saturating_add(1));
                let Some((dummy, signatures)) = stack.split_first().filter(|_| got == want) else {
                    return Err(VerifyError::Items { got, want });
                };
                if !dummy.is_empty() {
                    return Err(VerifyError::Dummy);
                }
                let signatures: Vec<&[u8]> = signatures.iter().map(Vec::as_slice).collect();
                let (keys, signers) = check.in_order(need, &keys, &signatures)?;
                Ok(Spend { form, lock: Lock::Multisig { need, keys }, signers })
            }
            Template::P2sh(_)
            | Template::P2wpkh(_)
            | Template::P2wsh(_)
            | Template::P2tr(_)
            | Template::OpReturn
            | Template::Witness { .. }
            | Template::NonStandard => Err(unsupported("script of no known template")),
        }
    }

    fn taproot_key(
        &self,
        index: usize,
        key: &[u8; 32],
        stack: &[Vec<u8>],
        form: Form,
    ) -> Result<Spend, VerifyError> {
        let (annex, stack) = match stack {
            [rest @ .., annex] if !rest.is_empty() && annex.first() == Some(&0x50) => {
                (Some(annex.as_slice()), rest)
            }
            stack => (None, stack),
        };
        let [signature] = stack else {
            return Err(if stack.is_empty() {
                VerifyError::Items { got: 0, want: 1 }
            } else {
                unsupported("taproot script path")
            });
        };
        let malformed = |source| VerifyError::Signature { position: 0, source };
        let (bytes, kind) = match signature.as_slice().split_first_chunk::<64>() {
            Some((bytes, [])) => (bytes, TaprootSighash::Default),
            Some((bytes, [kind])) if *kind != 0 => {
                (bytes, TaprootSighash::parse(*kind).map_err(|error| malformed(error.into()))?)
            }
            _ => return Err(malformed(KeyError::SchnorrLength { got: signature.len() })),
        };
        let key = XOnlyKey::parse(key).map_err(|source| VerifyError::Key { position: 0, source })?;
        let digest = self.digests.taproot(index, kind, annex, TaprootPath::Key)?;
        if !key.verifies(&digest, bytes) {
            return Err(VerifyError::Forged { position: 0 });
        }
        Ok(Spend { form, lock: Lock::Taproot, signers: vec![Signer::Schnorr { key, kind }] })
    }
}

/// One script's ECDSA signatures.
struct Check<'a> {
    digests: &'a Digests<'a>,
    index: usize,
    script: &'a Script,
    version: Version,
}

impl Check<'_> {
    /// Matches `need` signatures with keys, both in script order, as CHECKMULTISIG does. Keys that no
    /// signature reaches must be well-formed too: a script of ours has no others.
    fn in_order(
        &self,
        need: usize,
        keys: &[&[u8]],
        signatures: &[&[u8]],
    ) -> Result<(Vec<PublicKey>, Vec<Signer>), VerifyError> {
        let parse_key = |(position, bytes): (usize, &&[u8])| {
            PublicKey::parse(bytes).map_err(|source| VerifyError::Key { position, source })
        };
        let keys: Vec<PublicKey> = keys.iter().enumerate().map(parse_key).collect::<Result<_, _>>()?;
        let mut untried = keys.iter();
        let mut signers = Vec::with_capacity(need);
        for (position, bytes) in signatures.iter().enumerate() {
            let signature =
                EcdsaSignature::parse(bytes).map_err(|source| VerifyError::Signature { position, source })?;
            let kind = signature.kind;
            let digest = match self.version {
                Version::Legacy => self.digests.legacy(self.index, self.script, kind)?,
                Version::V0 => self.digests.witness_v0(self.index, self.script, kind)?,
            };
            let key = untried.find(|key| key.verifies(&digest, &signature));
            signers.push(Signer::Ecdsa { key: *key.ok_or(VerifyError::Forged { position })?, kind });
        }
        if signers.len() != need {
            return Err(VerifyError::Items { got: signers.len(), want: need });
        }
        Ok((keys, signers))
    }
}

fn legacy_stack(input: &TxIn) -> Result<Vec<Vec<u8>>, VerifyError> {
    if !input.witness.is_empty() {
        return Err(VerifyError::UnexpectedWitness);
    }
    input.script_sig.pushes().ok_or(unsupported("unlocking script with operations"))
}

fn exactly<const N: usize>(stack: &[Vec<u8>]) -> Result<&[Vec<u8>; N], VerifyError> {
    stack.try_into().map_err(|_| VerifyError::Items { got: stack.len(), want: N })
}

const fn unsupported(what: &'static str) -> VerifyError {
    VerifyError::Unsupported { what }
}
