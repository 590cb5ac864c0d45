//! Digests that signatures of the family are made over: legacy, BIP 143, BIP 341.
//!
//! Decides which bytes a signature covers; never whether it should be made. Unknown types are refused, and
//! so is the legacy digest that covers nothing (SINGLE without its output).

use sha2::{Digest as _, Sha256};

use super::{
    hash::{sha256, sha256d, tagged},
    script::Script,
    tx::{Tx, TxIn, TxOut},
    write,
};

/// A digest to sign. Made only here, from a transaction; [`from_bytes`](Sighash::from_bytes) is for vectors
/// and for protocols with digests of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sighash([u8; 32]);

impl Sighash {
    /// The digest whose bytes these are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Why there is no digest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SighashError {
    /// A type byte that no rule names.
    #[error("signature type 0x{found:02x} is not known")]
    Kind {
        /// The byte.
        found: u8,
    },
    /// No such input.
    #[error("input {index} does not exist, the transaction has {inputs}")]
    Input {
        /// The position asked for.
        index: usize,
        /// Inputs there are.
        inputs: usize,
    },
    /// Not one spent output for each input.
    #[error("{got} spent outputs were given, the transaction has {want} inputs")]
    Prevouts {
        /// Outputs given.
        got: usize,
        /// Inputs there are.
        want: usize,
    },
    /// SINGLE names the output beside the input, and there is none: the legacy digest would be the number
    /// one, which is good for any transaction.
    #[error("input {index} has no output beside it, which its signature type needs")]
    Single {
        /// The input.
        index: usize,
    },
    /// A script whose digest depends on where it is executed.
    #[error("script holds OP_CODESEPARATOR or cannot be read to its end")]
    CodeSeparator,
    /// An annex that does not start with 0x50 (BIP 341).
    #[error("annex starts with {found:02x?}, want 0x50")]
    Annex {
        /// Its first byte.
        found: Option<u8>,
    },
}

/// What an ECDSA signature covers, by its type byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EcdsaSighash {
    /// All inputs, all outputs.
    All,
    /// All inputs, no output.
    None,
    /// All inputs, the output beside this one.
    Single,
    /// This input, all outputs.
    AllAnyoneCanPay,
    /// This input, no output.
    NoneAnyoneCanPay,
    /// This input, the output beside it.
    SingleAnyoneCanPay,
}

impl EcdsaSighash {
    /// Every type.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::None,
        Self::Single,
        Self::AllAnyoneCanPay,
        Self::NoneAnyoneCanPay,
        Self::SingleAnyoneCanPay,
    ];

    /// The type of this byte.
    ///
    /// # Errors
    /// Any byte but the six that have a meaning.
    pub const fn parse(byte: u8) -> Result<Self, SighashError> {
        match byte {
            0x01 => Ok(Self::All),
            0x02 => Ok(Self::None),
            0x03 => Ok(Self::Single),
            0x81 => Ok(Self::AllAnyoneCanPay),
            0x82 => Ok(Self::NoneAnyoneCanPay),
            0x83 => Ok(Self::SingleAnyoneCanPay),
            found => Err(SighashError::Kind { found }),
        }
    }

    /// Its byte.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::All => 0x01,
            Self::None => 0x02,
            Self::Single => 0x03,
            Self::AllAnyoneCanPay => 0x81,
            Self::NoneAnyoneCanPay => 0x82,
            Self::SingleAnyoneCanPay => 0x83,
        }
    }

    const fn scope(self) -> Scope {
        match self {
            Self::All => Scope { outputs: Outputs::All, anyone: false },
            Self::None => Scope { outputs: Outputs::None, anyone: false },
            Self::Single => Scope { outputs: Outputs::Single, anyone: false },
            Self::AllAnyoneCanPay => Scope { outputs: Outputs::All, anyone: true },
            Self::NoneAnyoneCanPay => Scope { outputs: Outputs::None, anyone: true },
            Self::SingleAnyoneCanPay => Scope { outputs: Outputs::Single, anyone: true },
        }
    }
}

/// What a taproot signature covers (BIP 341).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TaprootSighash {
    /// All inputs, all outputs; spelled by leaving the type byte out.
    Default,
    /// As written in the type byte.
    Typed(EcdsaSighash),
}

impl TaprootSighash {
    /// The type of this byte, as it is in the digest: 0 for the default.
    ///
    /// # Errors
    /// As [`EcdsaSighash::parse`].
    pub fn parse(byte: u8) -> Result<Self, SighashError> {
        if byte == 0 { Ok(Self::Default) } else { EcdsaSighash::parse(byte).map(Self::Typed) }
    }

    /// Its byte in the digest.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Typed(kind) => kind.to_byte(),
        }
    }

    const fn scope(self) -> Scope {
        match self {
            Self::Default => EcdsaSighash::All.scope(),
            Self::Typed(kind) => kind.scope(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outputs {
    All,
    None,
    Single,
}

#[derive(Clone, Copy)]
struct Scope {
    outputs: Outputs,
    anyone: bool,
}

/// Which of a taproot output's spending paths a signature is for (BIP 341, BIP 342).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaprootPath {
    /// The output key itself.
    Key,
    /// A script of the tree.
    Script {
        /// The hash of its leaf.
        leaf_hash: [u8; 32],
        /// Position of the last OP_CODESEPARATOR executed, 2³² − 1 for none.
        code_separator: u32,
    },
}

/// The digests of one transaction: what all its inputs share is hashed once.
#[derive(Clone, Debug)]
pub struct Digests<'a> {
    tx: &'a Tx,
    prevouts: &'a [TxOut],
    /// SHA-256 over all outpoints, sequence numbers and outputs; BIP 143 hashes each once more.
    outpoints: [u8; 32],
    sequences: [u8; 32],
    outputs: [u8; 32],
    /// SHA-256 over the amounts and over the scripts of all spent outputs (BIP 341).
    amounts: [u8; 32],
    scripts: [u8; 32],
}

impl<'a> Digests<'a> {
    /// For `tx`, which spends `prevouts` in the order of its inputs.
    ///
    /// # Errors
    /// Not one spent output for each input.
    pub fn new(tx: &'a Tx, prevouts: &'a [TxOut]) -> Result<Self, SighashError> {
        if prevouts.len() != tx.inputs.len() {
            return Err(SighashError::Prevouts { got: prevouts.len(), want: tx.inputs.len() });
        }
        let mut outpoints = Vec::new();
        let mut sequences = Sha256::new();
        for input in &tx.inputs {
            input.prev.write(&mut outpoints);
            sequences.update(input.sequence.to_le_bytes());
        }
        let mut outputs = Vec::new();
        for output in &tx.outputs {
            output.write(&mut outputs);
        }
        let mut amounts = Sha256::new();
        let mut scripts = Vec::new();
        for prevout in prevouts {
            amounts.update(prevout.value_sat.to_le_bytes());
            write::bytes(&mut scripts, prevout.script.as_bytes());
        }
        Ok(Self {
            tx,
            prevouts,
            amounts: amounts.finalize().into(),
            scripts: sha256(&scripts),
            outpoints: sha256(&outpoints),
            sequences: sequences.finalize().into(),
            outputs: sha256(&outputs),
        })
    }

    /// The transaction.
    #[must_use]
    pub const fn tx(&self) -> &'a Tx {
        self.tx
    }

    /// The input at `index` and the output that it spends.
    ///
    /// # Errors
    /// No such input.
    pub fn input(&self, index: usize) -> Result<(&'a TxIn, &'a TxOut), SighashError> {
        let pair = self.tx.inputs.get(index).zip(self.prevouts.get(index));
        pair.ok_or(SighashError::Input { index, inputs: self.tx.inputs.len() })
    }

    /// The digest for P2PKH, P2SH and bare scripts. `script_code` is the script executed: the locking script
    /// or, for P2SH, the redeem script.
    ///
    /// # Errors
    /// No such input, SINGLE without its output, OP_CODESEPARATOR in the script.
    pub fn legacy(
        &self,
        index: usize,
        script_code: &Script,
        kind: EcdsaSighash,
    ) -> Result<Sighash, SighashError> {
        self.input(index)?;
        if script_code.has_code_separator() {
            return Err(SighashError::CodeSeparator);
        }
        let scope = kind.scope();
        let mut out = Vec::new();
        out.extend_from_slice(&self.tx.version.to_le_bytes());
        self.legacy_inputs(&mut out, index, script_code, scope);
        match scope.outputs {
            Outputs::All => {
                write::compact_size(&mut out, self.tx.outputs.len());
                self.tx.outputs.iter().for_each(|output| output.write(&mut out));
            }
            Outputs::None => write::compact_size(&mut out, 0),
            Outputs::Single => {
                let beside = self.beside(index)?;
                write::compact_size(&mut out, index.saturating_add(1));
                let blank = TxOut { value_sat: u64::MAX, script: Script::default() };
                (0..index).for_each(|_| blank.write(&mut out));
                beside.write(&mut out);
            }
        }
        out.extend_from_slice(&self.tx.lock_time.to_le_bytes());
        out.extend_from_slice(&u32::from(kind.to_byte()).to_le_bytes());
        Ok(Sighash(sha256d(&out)))
    }

    fn legacy_inputs(&self, out: &mut Vec<u8>, index: usize, script_code: &Script, scope: Scope) {
        let count = if scope.anyone { 1 } else { self.tx.inputs.len() };
        write::compact_size(out, count);
        for (position, input) in self.tx.inputs.iter().enumerate() {
            let own = position == index;
            if scope.anyone && !own {
                continue;
            }
            input.prev.write(out);
            write::bytes(out, if own { script_code.as_bytes() } else { &[] });
            // Who leaves outputs open leaves the other inputs' sequence numbers open too.
            let sequence = if own || scope.outputs == Outputs::All { input.sequence } else { 0 };
            out.extend_from_slice(&sequence.to_le_bytes());
        }
    }

    /// The digest for witness version 0 (BIP 143). `script_code` is the witness script or, for P2WPKH, the
    /// P2PKH script of the same hash.
    ///
    /// # Errors
    /// No such input, OP_CODESEPARATOR in the script.
    pub fn witness_v0(
        &self,
        index: usize,
        script_code: &Script,
        kind: EcdsaSighash,
    ) -> Result<Sighash, SighashError> {
        let (input, prevout) = self.input(index)?;
        if script_code.has_code_separator() {
            return Err(SighashError::CodeSeparator);
        }
        let scope = kind.scope();
        let zero = [0; 32];
        let all_sequences = !scope.anyone && scope.outputs == Outputs::All;
        let outpoints = if scope.anyone { zero } else { sha256(&self.outpoints) };
        let sequences = if all_sequences { sha256(&self.sequences) } else { zero };
        let outputs = match scope.outputs {
            Outputs::All => sha256(&self.outputs),
            Outputs::None => zero,
            // Here, unlike in the legacy digest, a missing output is defined: it counts as none.
            Outputs::Single => self.beside(index).map_or(zero, |output| sha256d(&encoded(output))),
        };
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&self.tx.version.to_le_bytes());
        out.extend_from_slice(&outpoints);
        out.extend_from_slice(&sequences);
        input.prev.write(&mut out);
        write::bytes(&mut out, script_code.as_bytes());
        out.extend_from_slice(&prevout.value_sat.to_le_bytes());
        out.extend_from_slice(&input.sequence.to_le_bytes());
        out.extend_from_slice(&outputs);
        out.extend_from_slice(&self.tx.lock_time.to_le_bytes());
        out.extend_from_slice(&u32::from(kind.to_byte()).to_le_bytes());
        Ok(Sighash(sha256d(&out)))
    }

    /// The digest for witness version 1 (BIP 341 "common signature message", BIP 342 extension).
    ///
    /// # Errors
    /// No such input, SINGLE without its output, an annex that is none.
    pub fn taproot(
        &self,
        index: usize,
        kind: TaprootSighash,
        annex: Option<&[u8]>,
        path: TaprootPath,
    ) -> Result<Sighash, SighashError> {
        let (input, prevout) = self.input(index)?;
        let scope = kind.scope();
        let mut out = Vec::with_capacity(256);
        // The epoch.
        out.push(0);
        out.push(kind.to_byte());
        out.extend_from_slice(&self.tx.version.to_le_bytes());
        out.extend_from_slice(&self.tx.lock_time.to_le_bytes());
        if !scope.anyone {
            out.extend_from_slice(&self.outpoints);
            out.extend_from_slice(&self.amounts);
            out.extend_from_slice(&self.scripts);
            out.extend_from_slice(&self.sequences);
        }
        if scope.outputs == Outputs::All {
            out.extend_from_slice(&self.outputs);
        }
        let extension = u8::from(path != TaprootPath::Key);
        out.push(extension << 1 | u8::from(annex.is_some()));
        if scope.anyone {
            input.prev.write(&mut out);
            prevout.write(&mut out);
            out.extend_from_slice(&input.sequence.to_le_bytes());
        } else {
            out.extend_from_slice(&u32::try_from(index).unwrap_or(u32::MAX).to_le_bytes());
        }
        if let Some(annex) = annex {
            out.extend_from_slice(&annex_hash(annex)?);
        }
        if scope.outputs == Outputs::Single {
            out.extend_from_slice(&sha256(&encoded(self.beside(index)?)));
        }
        if let TaprootPath::Script { leaf_hash, code_separator } = path {
            out.extend_from_slice(&leaf_hash);
            // The key version of BIP 342.
            out.push(0);
            out.extend_from_slice(&code_separator.to_le_bytes());
        }
        Ok(Sighash(tagged("TapSighash", &[&out])))
    }

    fn beside(&self, index: usize) -> Result<&'a TxOut, SighashError> {
        self.tx.outputs.get(index).ok_or(SighashError::Single { index })
    }
}

fn encoded(output: &TxOut) -> Vec<u8> {
    let mut out = Vec::new();
    output.write(&mut out);
    out
}

fn annex_hash(annex: &[u8]) -> Result<[u8; 32], SighashError> {
    match annex.first() {
        Some(0x50) => {
            let mut out = Vec::new();
            write::bytes(&mut out, annex);
            Ok(sha256(&out))
        }
        found => Err(SighashError::Annex { found: found.copied() }),
    }
}

/// The hash of a script as a leaf of a taproot tree (BIP 341).
#[must_use]
pub fn leaf_hash(leaf_version: u8, script: &Script) -> [u8; 32] {
    let mut out = vec![leaf_version];
    write::bytes(&mut out, script.as_bytes());
    tagged("TapLeaf", &[&out])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_types_are_read() {
        for byte in 0..=u8::MAX {
            let known = [1, 2, 3, 0x81, 0x82, 0x83].contains(&byte);
            assert_eq!(EcdsaSighash::parse(byte).is_ok(), known, "{byte:#x}");
            assert_eq!(TaprootSighash::parse(byte).is_ok(), known || byte == 0, "{byte:#x}");
        }
        for kind in EcdsaSighash::ALL {
            assert_eq!(EcdsaSighash::parse(kind.to_byte()), Ok(kind));
        }
    }
}
