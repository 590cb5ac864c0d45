//! Partially signed transactions (BIP 174, version 0), as far as proofs of funds need them.
//!
//! Decides what is malformed and says where; keys that no proof needs are passed over, a key that stands twice is refused.
//! Signs nothing and verifies nothing.

use std::collections::BTreeSet;

use super::{
    network::Network,
    read::{DecodeError, Reader},
    script::Script,
    tx::{Tx, TxOut},
    write,
};

/// Longest that is read, in bytes: the previous transactions of some hundred inputs fit.
pub const PSBT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most keys of one map.
const KEYS_MAX: usize = 1000;
/// Most items of a witness.
const ITEMS_MAX: usize = 100;
const MAGIC: [u8; 5] = *b"psbt\xff";

const GLOBAL_TX: u8 = 0x00;
/// `PSBT_GLOBAL_GENERIC_SIGNED_MESSAGE` (BIP 322).
const GLOBAL_MESSAGE: u8 = 0x09;
const GLOBAL_VERSION: u8 = 0xfb;
const IN_NON_WITNESS_UTXO: u8 = 0x00;
const IN_WITNESS_UTXO: u8 = 0x01;
const IN_FINAL_SCRIPT_SIG: u8 = 0x07;
const IN_FINAL_WITNESS: u8 = 0x08;
/// `PSBT_IN_POR_COMMITMENT` (BIP 127).
const IN_COMMITMENT: u8 = 0x09;

/// What is known of one input.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Input {
    /// The whole transaction that it spends from.
    pub prev: Option<Tx>,
    /// The output that it spends.
    pub utxo: Option<TxOut>,
    /// Its unlocking script, once it has one.
    pub script_sig: Option<Script>,
    /// Its witness, once it has one.
    pub witness: Option<Vec<Vec<u8>>>,
    /// The text to which a proof of reserves commits, on its first input.
    pub commitment: Option<Vec<u8>>,
}

/// A transaction on its way to its signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Psbt {
    /// The transaction without signatures.
    pub tx: Tx,
    /// The text that is signed, for forms of BIP 322.
    pub message: Option<Vec<u8>>,
    /// As many as the transaction has.
    pub inputs: Vec<Input>,
}

/// Why bytes are no such transaction. Offsets count bytes from the start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PsbtError {
    /// Too long.
    #[error("it has {got} bytes, want at most {max}", max = PSBT_BYTES_MAX)]
    Length {
        /// Bytes.
        got: usize,
    },
    /// Another beginning.
    #[error("it starts with {found:02x?}, want psbt and ff")]
    Magic {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// Malformed.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A malformed value.
    #[error("{what} at offset {at} is malformed")]
    Value {
        /// Which.
        what: &'static str,
        /// Where it starts.
        at: usize,
        /// What is wrong with it, with offsets from its start.
        #[source]
        source: DecodeError,
    },
    /// A key twice in one map.
    #[error("the key at offset {at} stands twice in its map")]
    Repeated {
        /// Where the second stands.
        at: usize,
    },
    /// Key data where there may be none.
    #[error("the key of {what} at offset {at} has {found} bytes, want 1")]
    Key {
        /// Which.
        what: &'static str,
        /// Where it stands.
        at: usize,
        /// Its length.
        found: usize,
    },
    /// Too many keys.
    #[error("the map at offset {at} has more than {max} keys", max = KEYS_MAX)]
    Keys {
        /// Where the map starts.
        at: usize,
    },
    /// No transaction in it.
    #[error("it has no unsigned transaction; version 2 is not read")]
    NoTransaction,
    /// Another version.
    #[error("it is of version {found}, want 0")]
    Version {
        /// The version.
        found: u32,
    },
    /// An unsigned transaction with signatures in it.
    #[error("the unsigned transaction has an unlocking script or witness at input {input}")]
    Signed {
        /// Which input.
        input: usize,
    },
}

/// A key's first byte, the rest of the key, the value and where each starts.
struct Entry<'a> {
    kind: u8,
    key: &'a [u8],
    key_at: usize,
    value: &'a [u8],
    value_at: usize,
}

impl<'a> Entry<'a> {
    /// The value of a key that has no data.
    fn plain(&self, what: &'static str) -> Result<&'a [u8], PsbtError> {
        if self.key.len() == 1 {
            return Ok(self.value);
        }
        Err(PsbtError::Key { what, at: self.key_at, found: self.key.len() })
    }

    fn wrong(&self, what: &'static str) -> impl FnOnce(DecodeError) -> PsbtError + use<> {
        let at = self.value_at;
        move |source| PsbtError::Value { what, at, source }
    }
}

impl Psbt {
    /// What these bytes are, all of them.
    ///
    /// # Errors
    /// What is malformed, and at which offset.
    pub fn decode(network: Network, bytes: &[u8]) -> Result<Self, PsbtError> {
        if bytes.len() > PSBT_BYTES_MAX {
            return Err(PsbtError::Length { got: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        if reader.take("magic", MAGIC.len())? != MAGIC {
            return Err(PsbtError::Magic { found: bytes.iter().take(MAGIC.len()).copied().collect() });
        }
        let (tx, message) = global(network, &mut reader)?;
        let inputs = tx.inputs.iter().map(|_| input(network, &mut reader)).collect::<Result<_, _>>()?;
        for _ in &tx.outputs {
            map(&mut reader, |_| Ok(()))?;
        }
        reader.finish("partially signed transaction")?;
        Ok(Self { tx, message, inputs })
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put(&mut out, GLOBAL_TX, Some(&self.tx.encode_stripped()));
        put(&mut out, GLOBAL_MESSAGE, self.message.as_deref());
        out.push(0);
        for input in &self.inputs {
            put(&mut out, IN_NON_WITNESS_UTXO, input.prev.as_ref().map(Tx::encode).as_deref());
            put(&mut out, IN_WITNESS_UTXO, input.utxo.as_ref().map(output_bytes).as_deref());
            put(&mut out, IN_FINAL_SCRIPT_SIG, input.script_sig.as_ref().map(Script::as_bytes));
            put(&mut out, IN_FINAL_WITNESS, input.witness.as_deref().map(stack_bytes).as_deref());
            put(&mut out, IN_COMMITMENT, input.commitment.as_deref());
            out.push(0);
        }
        out.extend(self.tx.outputs.iter().map(|_| 0));
        out
    }

    /// The transaction with what its inputs have of signatures.
    #[must_use]
    pub fn signed(&self) -> Tx {
        let mut tx = self.tx.clone();
        for (input, known) in tx.inputs.iter_mut().zip(&self.inputs) {
            input.script_sig = known.script_sig.clone().unwrap_or_default();
            input.witness = known.witness.clone().unwrap_or_default();
        }
        tx
    }
}

/// Reads one map, up to its end, each key once.
fn map<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&Entry<'a>) -> Result<(), PsbtError>,
) -> Result<(), PsbtError> {
    let start = reader.offset();
    let mut seen = BTreeSet::new();
    loop {
        let key_at = reader.offset();
        let key = reader.bytes("key")?;
        let Some(kind) = key.first().copied() else { return Ok(()) };
        if seen.len() >= KEYS_MAX {
            return Err(PsbtError::Keys { at: start });
        }
        if !seen.insert(key) {
            return Err(PsbtError::Repeated { at: key_at });
        }
        let value = reader.bytes("value")?;
        let value_at = reader.offset().saturating_sub(value.len());
        each(&Entry { kind, key, key_at, value, value_at })?;
    }
}

fn global(network: Network, reader: &mut Reader<'_>) -> Result<(Tx, Option<Vec<u8>>), PsbtError> {
    let (mut tx, mut message) = (None, None);
    map(reader, |entry| {
        match entry.kind {
            GLOBAL_TX => {
                let what = "unsigned transaction";
                tx = Some(Tx::decode(network, entry.plain(what)?).map_err(entry.wrong(what))?);
            }
            GLOBAL_MESSAGE => message = Some(entry.plain("message")?.to_vec()),
            GLOBAL_VERSION => {
                let version = u32_of(entry.plain("version")?).map_err(entry.wrong("version"))?;
                if version != 0 {
                    return Err(PsbtError::Version { found: version });
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let tx = tx.ok_or(PsbtError::NoTransaction)?;
    match tx.inputs.iter().position(|input| !input.script_sig.is_empty() || !input.witness.is_empty()) {
        Some(input) => Err(PsbtError::Signed { input }),
        None => Ok((tx, message)),
    }
}

fn input(network: Network, reader: &mut Reader<'_>) -> Result<Input, PsbtError> {
    let mut input = Input::default();
    map(reader, |entry| {
        match entry.kind {
            IN_NON_WITNESS_UTXO => {
                let what = "previous transaction";
                input.prev = Some(Tx::decode(network, entry.plain(what)?).map_err(entry.wrong(what))?);
            }
            IN_WITNESS_UTXO => {
                let what = "spent output";
                input.utxo = Some(output(network, entry.plain(what)?).map_err(entry.wrong(what))?);
            }
            IN_FINAL_SCRIPT_SIG => {
                input.script_sig = Some(Script::new(entry.plain("unlocking script")?.to_vec()));
            }
            IN_FINAL_WITNESS => {
                input.witness = Some(stack(entry.plain("witness")?).map_err(entry.wrong("witness"))?);
            }
            IN_COMMITMENT => input.commitment = Some(entry.plain("commitment")?.to_vec()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(input)
}

fn u32_of(bytes: &[u8]) -> Result<u32, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = reader.u32("version")?;
    reader.finish("version")?;
    Ok(value)
}

fn output(network: Network, bytes: &[u8]) -> Result<TxOut, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value_sat = reader.u64("output value")?;
    let max = network.money_sat_max();
    if value_sat > max {
        return Err(DecodeError::Value { output: 0, at: 0, value_sat, max });
    }
    let script = Script::new(reader.bytes("locking script")?.to_vec());
    reader.finish("spent output")?;
    Ok(TxOut { value_sat, script })
}

fn output_bytes(output: &TxOut) -> Vec<u8> {
    let mut out = output.value_sat.to_le_bytes().to_vec();
    write::bytes(&mut out, output.script.as_bytes());
    out
}

/// A witness behind the number of its items.
pub(super) fn stack(bytes: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let count = reader.count("witness items", 1, ITEMS_MAX)?;
    let items =
        (0..count).map(|_| reader.bytes("witness item").map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
    reader.finish("witness")?;
    Ok(items)
}

fn stack_bytes(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    write::compact_size(&mut out, items.len());
    items.iter().for_each(|item| write::bytes(&mut out, item));
    out
}

fn put(out: &mut Vec<u8>, kind: u8, value: Option<&[u8]>) {
    if let Some(value) = value {
        write::bytes(out, &[kind]);
        write::bytes(out, value);
    }
}
