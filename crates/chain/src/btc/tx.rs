//! Transactions of the family: decoding, encoding, ids, sizes, fee.
//!
//! Decides whether bytes are one well-formed transaction, by the rules of Bitcoin Core's `CheckTransaction`
//! that need no chain, BIP 144, and Litecoin's extension flag (LIP 3). Never looks at scripts or signatures.

use core::{fmt, str::FromStr};
use std::collections::BTreeMap;

use kuraban_base::{Txid, hex::HexError};

use super::{
    hash::{Wtxid, sha256d},
    network::Network,
    read::{DecodeError, RESERVE_MAX, Reader},
    script::Script,
    write,
};

/// Most weight units a block, and so a transaction, may have (BIP 141).
pub const WEIGHT_MAX: usize = 4_000_000;
/// Largest encoding of a transaction without extension data: every byte weighs at least one unit.
pub const TX_BYTES_MAX: usize = WEIGHT_MAX;
/// Sequence numbers up to this one signal that the transaction may be replaced (BIP 125).
pub const RBF_SEQUENCE_MAX: u32 = 0xffff_fffd;

const INPUT_BYTES_MIN: usize = 41;
const OUTPUT_BYTES_MIN: usize = 9;
const FLAG_WITNESS: u8 = 1;
const FLAG_MWEB: u8 = 8;

/// Names one output of one transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OutPoint {
    /// The transaction.
    pub txid: Txid,
    /// The output's position in it.
    pub vout: u32,
}

impl OutPoint {
    /// What a coinbase claims to spend.
    pub const NULL: Self = Self { txid: Txid::from_bytes([0; 32]), vout: u32::MAX };

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.txid.as_bytes());
        out.extend_from_slice(&self.vout.to_le_bytes());
    }
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.vout)
    }
}

/// Text that is not `txid:vout`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutPointError {
    /// No colon.
    #[error("outpoint has no colon, want txid:vout")]
    Colon,
    /// The part before it.
    #[error("transaction id of the outpoint is malformed")]
    Txid(#[source] HexError),
    /// The part after it.
    #[error("output number {found:?} is not a plain decimal from 0 to 4294967295")]
    Vout {
        /// What stood in its place, at most 16 characters of it.
        found: String,
    },
}

impl FromStr for OutPoint {
    type Err = OutPointError;

    fn from_str(text: &str) -> Result<Self, OutPointError> {
        let (txid, number) = text.split_once(':').ok_or(OutPointError::Colon)?;
        let txid = txid.parse().map_err(OutPointError::Txid)?;
        let plain = number == "0" || !number.starts_with(['0', '+']);
        let vout = number.parse().ok().filter(|_| plain);
        let vout = vout.ok_or_else(|| OutPointError::Vout { found: number.chars().take(16).collect() })?;
        Ok(Self { txid, vout })
    }
}

/// An input: the output it spends and what it shows for it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TxIn {
    /// The output spent.
    pub prev: OutPoint,
    /// The unlocking script; for a coinbase, free bytes.
    pub script_sig: Script,
    /// Relative lock time and replacement signal (BIP 68, BIP 125).
    pub sequence: u32,
    /// The witness stack, empty where there is none.
    pub witness: Vec<Vec<u8>>,
}

/// An output: how much, and to whom.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TxOut {
    /// Base units: satoshi or litoshi.
    pub value_sat: u64,
    /// The locking script.
    pub script: Script,
}

impl TxOut {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value_sat.to_le_bytes());
        write::bytes(out, self.script.as_bytes());
    }
}

/// What a transaction has to do with Litecoin's extension block (LIP 3).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mweb {
    /// Nothing.
    #[default]
    None,
    /// It is the block's integrating transaction: the flag is set and carries nothing.
    HogEx,
    /// It carries a transaction of the extension block, as on its way to a miner. Kept as bytes; what it
    /// moves is not decoded.
    Carried(Vec<u8>),
}

/// A transaction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tx {
    /// Format version.
    pub version: i32,
    /// Inputs; never empty when decoded.
    pub inputs: Vec<TxIn>,
    /// Outputs; never empty when decoded.
    pub outputs: Vec<TxOut>,
    /// Earliest height or time (BIP 65, BIP 113).
    pub lock_time: u32,
    /// Litecoin's extension block.
    pub mweb: Mweb,
}

/// Where a transaction stands: in a block nothing tells where carried extension data would end, and
/// consensus allows none there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Alone,
    Block,
}

impl Tx {
    /// The transaction that these bytes are, all of them.
    ///
    /// # Errors
    /// What is malformed, and at which offset.
    pub fn decode(network: Network, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let tx = Self::read(&mut reader, network, Place::Alone)?;
        reader.finish("transaction")?;
        Ok(tx)
    }

    pub(crate) fn read(reader: &mut Reader<'_>, network: Network, place: Place) -> Result<Self, DecodeError> {
        let start = reader.offset();
        let version = reader.i32("transaction version")?;
        let flags = read_flags(reader, network)?;
        let inputs_at = reader.offset();
        let mut inputs = read_inputs(reader)?;
        let outputs_at = reader.offset();
        let outputs = read_outputs(reader, network)?;
        if flags & FLAG_WITNESS != 0 {
            read_witnesses(reader, &mut inputs)?;
        }
        let mweb = if flags & FLAG_MWEB == 0 { Mweb::None } else { read_mweb(reader, place)? };
        let lock_time = reader.u32("lock time")?;
        let in_extension = matches!(mweb, Mweb::Carried(_)) && inputs.is_empty() && outputs.is_empty();
        if in_extension {
            return Err(DecodeError::MwebOnly { at: start });
        }
        if inputs.is_empty() {
            return Err(DecodeError::Empty { what: "inputs", at: inputs_at });
        }
        if outputs.is_empty() {
            return Err(DecodeError::Empty { what: "outputs", at: outputs_at });
        }
        check_inputs(&inputs)?;
        let tx = Self { version, inputs, outputs, lock_time, mweb };
        let weight = tx.weight();
        if weight > WEIGHT_MAX {
            return Err(oversized("transaction weight", start, weight, WEIGHT_MAX));
        }
        Ok(tx)
    }

    /// Its encoding with witnesses and extension data (BIP 144, LIP 3).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.write(&mut out, Parts::All);
        out
    }

    /// Its encoding without witnesses and extension data: what the txid is taken over.
    #[must_use]
    pub fn encode_stripped(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size_stripped());
        self.write(&mut out, Parts::Stripped);
        out
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, parts: Parts) {
        let witness = parts != Parts::Stripped && self.has_witness();
        let mweb = parts == Parts::All && self.mweb != Mweb::None;
        out.extend_from_slice(&self.version.to_le_bytes());
        match (witness, mweb) {
            (false, false) => {}
            (true, false) => out.extend_from_slice(&[0, FLAG_WITNESS]),
            (false, true) => out.extend_from_slice(&[0, FLAG_MWEB]),
            (true, true) => out.extend_from_slice(&[0, FLAG_WITNESS | FLAG_MWEB]),
        }
        write::compact_size(out, self.inputs.len());
        for input in &self.inputs {
            input.prev.write(out);
            write::bytes(out, input.script_sig.as_bytes());
            out.extend_from_slice(&input.sequence.to_le_bytes());
        }
        write::compact_size(out, self.outputs.len());
        for output in &self.outputs {
            output.write(out);
        }
        if witness {
            for input in &self.inputs {
                write::compact_size(out, input.witness.len());
                for item in &input.witness {
                    write::bytes(out, item);
                }
            }
        }
        match &self.mweb {
            Mweb::HogEx if mweb => out.push(0),
            Mweb::Carried(bytes) if mweb => {
                out.push(1);
                out.extend_from_slice(bytes);
            }
            Mweb::None | Mweb::HogEx | Mweb::Carried(_) => {}
        }
        out.extend_from_slice(&self.lock_time.to_le_bytes());
    }

    /// Its id: does not cover the witness, so a legacy input's signature can still change it.
    #[must_use]
    pub fn txid(&self) -> Txid {
        Txid::from_bytes(sha256d(&self.encode_stripped()))
    }

    /// Its id with the witness (BIP 141); never covers extension data.
    #[must_use]
    pub fn wtxid(&self) -> Wtxid {
        let mut out = Vec::with_capacity(self.size());
        self.write(&mut out, Parts::Witness);
        Wtxid::from_bytes(sha256d(&out))
    }

    /// Whether any input has a witness.
    #[must_use]
    pub fn has_witness(&self) -> bool {
        self.inputs.iter().any(|input| !input.witness.is_empty())
    }

    /// Whether it creates a block's new coins.
    #[must_use]
    pub fn is_coinbase(&self) -> bool {
        matches!(self.inputs.as_slice(), [input] if input.prev == OutPoint::NULL)
    }

    /// Bytes of [`encode`](Self::encode).
    #[must_use]
    pub fn size(&self) -> usize {
        let flag = if self.has_witness() || self.mweb == Mweb::None { 0 } else { 2 };
        let mweb = match &self.mweb {
            Mweb::None => 0,
            Mweb::HogEx => 1,
            Mweb::Carried(bytes) => bytes.len().saturating_add(1),
        };
        self.size_stripped().saturating_add(self.witness_bytes()).saturating_add(flag).saturating_add(mweb)
    }

    /// Bytes of [`encode_stripped`](Self::encode_stripped).
    #[must_use]
    pub fn size_stripped(&self) -> usize {
        let inputs =
            self.inputs.iter().map(|input| write::bytes_len(input.script_sig.len()).saturating_add(40));
        let outputs =
            self.outputs.iter().map(|output| write::bytes_len(output.script.len()).saturating_add(8));
        let counts = write::compact_size_len(self.inputs.len())
            .saturating_add(write::compact_size_len(self.outputs.len()));
        inputs.chain(outputs).fold(counts.saturating_add(8), usize::saturating_add)
    }

    /// Bytes of marker, flag and witnesses; none where no input has a witness.
    fn witness_bytes(&self) -> usize {
        if !self.has_witness() {
            return 0;
        }
        let stack = |input: &TxIn| {
            let items = input.witness.iter().map(|item| write::bytes_len(item.len()));
            items.fold(write::compact_size_len(input.witness.len()), usize::saturating_add)
        };
        self.inputs.iter().map(stack).fold(2, usize::saturating_add)
    }

    /// Weight units: four for each byte, one for each byte of the witness (BIP 141). Does not count what
    /// carried extension data adds.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.size_stripped().saturating_mul(4).saturating_add(self.witness_bytes())
    }

    /// Virtual bytes: a quarter of the weight, rounded up (BIP 141).
    #[must_use]
    pub fn vsize(&self) -> usize {
        self.weight().div_ceil(4)
    }

    /// Whether it says of itself that it may be replaced (BIP 125, without its ancestors' signals).
    #[must_use]
    pub fn signals_rbf(&self) -> bool {
        self.inputs.iter().any(|input| input.sequence <= RBF_SEQUENCE_MAX)
    }

    /// Every output with its outpoint.
    pub fn outpoints(&self) -> impl Iterator<Item = (OutPoint, &TxOut)> {
        let txid = self.txid();
        (0_u32..).zip(&self.outputs).map(move |(vout, output)| (OutPoint { txid, vout }, output))
    }

    /// Σ of its outputs; cannot wrap for a decoded transaction, and stays at the top for another.
    #[must_use]
    pub fn output_sum_sat(&self) -> u64 {
        self.outputs.iter().fold(0, |sum: u64, output| sum.saturating_add(output.value_sat))
    }

    /// The outputs that its inputs spend, in their order, taken from the whole previous transactions, whose
    /// ids are computed here: nobody's word is taken for an amount.
    ///
    /// # Errors
    /// The first input whose transaction is missing or has no such output.
    pub fn prevouts(&self, previous: &[Self]) -> Result<Vec<TxOut>, FeeError> {
        let previous: BTreeMap<Txid, &Self> = previous.iter().map(|tx| (tx.txid(), tx)).collect();
        let spent = |input: &TxIn| {
            let outpoint = input.prev;
            let tx = previous.get(&outpoint.txid).ok_or(FeeError::Missing { outpoint })?;
            let output = usize::try_from(outpoint.vout).ok().and_then(|vout| tx.outputs.get(vout));
            output.cloned().ok_or(FeeError::Vout { outpoint, outputs: tx.outputs.len() })
        };
        self.inputs.iter().map(spent).collect()
    }

    /// Its fee in base units, given the outputs it spends in the order of its inputs.
    ///
    /// # Errors
    /// A wrong number of outputs, or less coming in than going out.
    pub fn fee(&self, prevouts: &[TxOut]) -> Result<u64, FeeError> {
        if prevouts.len() != self.inputs.len() {
            return Err(FeeError::Count { got: prevouts.len(), want: self.inputs.len() });
        }
        let inputs = prevouts.iter().try_fold(0_u64, |sum, output| sum.checked_add(output.value_sat));
        let inputs = inputs.ok_or(FeeError::Sum)?;
        let outputs = self.outputs.iter().try_fold(0_u64, |sum, output| sum.checked_add(output.value_sat));
        let outputs = outputs.ok_or(FeeError::Sum)?;
        inputs.checked_sub(outputs).ok_or(FeeError::Negative { inputs_sat: inputs, outputs_sat: outputs })
    }
}

/// How much of a transaction to write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    Stripped,
    Witness,
    All,
}

/// Why a fee could not be computed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FeeError {
    /// Not one spent output for each input.
    #[error("{got} spent outputs were given, the transaction has {want} inputs")]
    Count {
        /// Outputs given.
        got: usize,
        /// Inputs there are.
        want: usize,
    },
    /// A previous transaction was not given.
    #[error("the transaction of {outpoint} was not given")]
    Missing {
        /// What is spent.
        outpoint: OutPoint,
    },
    /// A previous transaction has no such output.
    #[error("{outpoint} does not exist, that transaction has {outputs} outputs")]
    Vout {
        /// What is spent.
        outpoint: OutPoint,
        /// Outputs there are.
        outputs: usize,
    },
    /// A sum beyond 64 bits.
    #[error("values do not fit 64 bits together")]
    Sum,
    /// More goes out than comes in.
    #[error("outputs are worth {outputs_sat}, inputs only {inputs_sat}")]
    Negative {
        /// Σ of inputs.
        inputs_sat: u64,
        /// Σ of outputs.
        outputs_sat: u64,
    },
}

/// The flag byte of the extended form, or 0 for the plain form. An empty input list is the extended form's
/// marker (BIP 144).
fn read_flags(reader: &mut Reader<'_>, network: Network) -> Result<u8, DecodeError> {
    let [0, flags, ..] = reader.rest() else { return Ok(0) };
    let (flags, at) = (*flags, reader.offset().saturating_add(1));
    let known = if network.has_mweb() { FLAG_WITNESS | FLAG_MWEB } else { FLAG_WITNESS };
    if flags == 0 {
        // No inputs and no outputs in the plain form.
        return Err(DecodeError::Empty { what: "inputs", at: reader.offset() });
    }
    if flags & !known != 0 {
        return Err(DecodeError::Flag { at, found: flags });
    }
    reader.take("transaction flag", 2)?;
    Ok(flags)
}

fn read_inputs(reader: &mut Reader<'_>) -> Result<Vec<TxIn>, DecodeError> {
    let count = reader.count("number of inputs", INPUT_BYTES_MIN, TX_BYTES_MAX / INPUT_BYTES_MIN)?;
    let mut inputs = Vec::with_capacity(count);
    for _ in 0..count {
        let txid = Txid::from_bytes(reader.array("previous transaction id")?);
        let vout = reader.u32("previous output number")?;
        let script_sig = Script::new(reader.bytes("unlocking script")?.to_vec());
        let sequence = reader.u32("sequence number")?;
        inputs.push(TxIn { prev: OutPoint { txid, vout }, script_sig, sequence, witness: Vec::new() });
    }
    Ok(inputs)
}

fn read_outputs(reader: &mut Reader<'_>, network: Network) -> Result<Vec<TxOut>, DecodeError> {
    let max = network.money_sat_max();
    let count = reader.count("number of outputs", OUTPUT_BYTES_MIN, TX_BYTES_MAX / OUTPUT_BYTES_MIN)?;
    let mut outputs = Vec::with_capacity(count);
    let mut sum_sat = 0_u64;
    for output in 0..count {
        let at = reader.offset();
        let value_sat = reader.u64("output value")?;
        if value_sat > max {
            return Err(DecodeError::Value { output, at, value_sat, max });
        }
        sum_sat = sum_sat.saturating_add(value_sat);
        if sum_sat > max {
            return Err(DecodeError::ValueSum { output, sum_sat, max });
        }
        let script = Script::new(reader.bytes("locking script")?.to_vec());
        outputs.push(TxOut { value_sat, script });
    }
    Ok(outputs)
}

fn read_witnesses(reader: &mut Reader<'_>, inputs: &mut [TxIn]) -> Result<(), DecodeError> {
    let at = reader.offset();
    for input in inputs.iter_mut() {
        let count = reader.count("number of witness items", 1, TX_BYTES_MAX)?;
        // An empty item takes one byte here and more in memory.
        input.witness.reserve(count.min(RESERVE_MAX));
        for _ in 0..count {
            input.witness.push(reader.bytes("witness item")?.to_vec());
        }
    }
    if inputs.iter().all(|input| input.witness.is_empty()) {
        return Err(DecodeError::SuperfluousWitness { at });
    }
    Ok(())
}

fn read_mweb(reader: &mut Reader<'_>, place: Place) -> Result<Mweb, DecodeError> {
    let at = reader.offset();
    match (reader.u8("extension data")?, place) {
        (0, _) => Ok(Mweb::HogEx),
        (1, Place::Alone) => {
            // Alone, the carried transaction is everything up to the four bytes of the lock time.
            let length = reader.rest().len().saturating_sub(4);
            if length > TX_BYTES_MAX {
                return Err(oversized("extension data", at, length, TX_BYTES_MAX));
            }
            Ok(Mweb::Carried(reader.take("extension data", length.max(1))?.to_vec()))
        }
        (found, Place::Alone) => Err(DecodeError::Mweb { at, found, want: "0 or 1" }),
        (found, Place::Block) => Err(DecodeError::Mweb { at, found, want: "0, as blocks carry none" }),
    }
}

/// The rules on inputs that need no chain (Bitcoin Core, `consensus/tx_check.cpp`).
fn check_inputs(inputs: &[TxIn]) -> Result<(), DecodeError> {
    if let [input] = inputs {
        let found = input.script_sig.len();
        return if input.prev == OutPoint::NULL && !(2..=100).contains(&found) {
            Err(DecodeError::CoinbaseScript { found })
        } else {
            Ok(())
        };
    }
    if let Some(input) = inputs.iter().position(|input| input.prev == OutPoint::NULL) {
        return Err(DecodeError::NullOutpoint { input });
    }
    let mut spent: Vec<OutPoint> = inputs.iter().map(|input| input.prev).collect();
    spent.sort_unstable();
    match spent.array_windows().find(|[a, b]| a == b) {
        Some([outpoint, _]) => Err(DecodeError::DuplicateInput { outpoint: *outpoint }),
        None => Ok(()),
    }
}

fn oversized(what: &'static str, at: usize, found: usize, limit: usize) -> DecodeError {
    let wide = |number| u64::try_from(number).unwrap_or(u64::MAX);
    DecodeError::Oversized { what, at, found: wide(found), limit: wide(limit) }
}

#[cfg(test)]
mod tests;
