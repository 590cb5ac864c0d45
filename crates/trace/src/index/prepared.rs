//! A block made ready for the index: decoded without copying, its ids and scripts hashed, judged by itself.
//!
//! Decides what needs no other block: whether the bytes are one well-formed block by the rules of
//! [`kuraban_chain::btc::Block::decode`], whether its transactions are those that its header names, and whether there
//! is work in it. Never looks at witnesses or signatures. That no output is spent twice is the index's to see.

use core::ops::Range;

use kuraban_base::Height;
use kuraban_chain::btc::{
    Block, BlockHash, DecodeError, Header, MerkleError, Network, Reader,
    block::{BTC_BLOCK_BYTES_MAX, HEADER_BYTES, LTC_BLOCK_BYTES_MAX, merkle},
    pow::{self, PowError},
    tx::WEIGHT_MAX,
};
use sha2::{Digest as _, Sha256};

use super::{
    column::wide,
    scripts::{self, Short},
};

const TX_BYTES_MIN: usize = 60;
const INPUT_BYTES_MIN: usize = 41;
const OUTPUT_BYTES_MIN: usize = 9;
const FLAG_WITNESS: u8 = 1;
const FLAG_MWEB: u8 = 8;

/// Why bytes are no block that could be appended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BlockError {
    /// They are not well formed.
    #[error("block cannot be decoded")]
    Decode(#[from] DecodeError),
    /// Its transactions are not those that its header names.
    #[error("block {hash} does not hold what its header names")]
    Merkle {
        /// The block.
        hash: BlockHash,
        /// What differs.
        #[source]
        source: MerkleError,
    },
    /// There is no work in it.
    #[error("block {hash} has no proof of work")]
    Work {
        /// The block.
        hash: BlockHash,
        /// What is missing.
        #[source]
        source: PowError,
    },
    /// Its first transaction is no coinbase.
    #[error("block {hash} does not begin with a coinbase")]
    Coinbase {
        /// The block.
        hash: BlockHash,
    },
}

/// A transaction: its id, and where its inputs and outputs end among those of the block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) txid: [u8; 32],
    pub(super) inputs_end: usize,
    pub(super) outputs_end: usize,
    pub(super) lock_time: u32,
}

/// What an input spends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub(super) txid: [u8; 32],
    pub(super) vout: u32,
}

/// What an output pays: its value, and its script in short form if it can be spent.
#[derive(Clone, Debug)]
pub(super) struct Paid {
    pub(super) value: u64,
    pub(super) script: Option<Kept>,
}

/// Where the short form of a script lies in the block's bytes, and its hash.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) tag: u8,
    pub(super) range: Range<usize>,
    pub(super) hash: u64,
}

/// A block that was decoded and found to be whole, with work in it.
#[derive(Clone, Debug)]
pub struct Prepared {
    bytes: Vec<u8>,
    network: Network,
    header: Header,
    hash: BlockHash,
    parts: Vec<Part>,
    /// Without those of the coinbase.
    inputs: Vec<Spent>,
    outputs: Vec<Paid>,
}

impl Prepared {
    /// The block that these bytes are, all of them.
    ///
    /// # Errors
    /// What is malformed or missing in it.
    pub fn read(network: Network, bytes: Vec<u8>) -> Result<Self, BlockError> {
        let limit = if network.has_mweb() { LTC_BLOCK_BYTES_MAX } else { BTC_BLOCK_BYTES_MAX };
        if bytes.len() > limit {
            let (found, limit) = (wide(bytes.len()), wide(limit));
            return Err(DecodeError::Oversized { what: "block", at: 0, found, limit }.into());
        }
        let mut reader = Reader::new(&bytes);
        let header = Header::decode(reader.take("header", HEADER_BYTES)?)?;
        let hash = header.hash();
        // Before anything costly: what has no work in it is not looked at.
        pow::judge(network, &header).map_err(|source| BlockError::Work { hash, source })?;
        let mut body = Body::new(network, &bytes, reader);
        body.read()?;
        body.reader.clone().finish("block")?;
        if body.parts.first().is_none_or(|part| part.inputs_end > 0) {
            return Err(BlockError::Coinbase { hash });
        }
        let Body { parts, inputs, outputs, .. } = body;
        let found = merkle(parts.iter().map(|part| part.txid).collect());
        let want = header.merkle_root;
        let wrong = |source| BlockError::Merkle { hash, source };
        if found.root != want {
            return Err(wrong(MerkleError::Root { found: found.root, want }));
        }
        if found.duplicated {
            return Err(wrong(MerkleError::Duplicated { root: found.root }));
        }
        Ok(Self { header, hash, network, parts, inputs, outputs, bytes })
    }

    /// The block's name.
    #[must_use]
    pub const fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Its header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The height that its coinbase states (BIP 34): a claim, and the first blocks of a chain state none.
    #[must_use]
    pub fn stated_height(&self) -> Option<Height> {
        Block::decode(self.network, &self.bytes).ok()?.stated_height()
    }

    /// Its network.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn inputs(&self) -> &[Spent] {
        &self.inputs
    }

    pub(super) fn outputs(&self) -> &[Paid] {
        &self.outputs
    }

    pub(super) fn short<'a>(&'a self, kept: &Kept) -> Short<'a> {
        Short { tag: kept.tag, rest: self.bytes.get(kept.range.clone()).unwrap_or_default() }
    }
}

/// How long the block is that bytes begin with.
pub(super) fn length(network: Network, bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.take("header", HEADER_BYTES)?;
    let mut body = Body::new(network, bytes, reader);
    body.read()?;
    Ok(body.reader.offset())
}

/// A block's transactions while they are read.
struct Body<'a> {
    bytes: &'a [u8],
    reader: Reader<'a>,
    network: Network,
    parts: Vec<Part>,
    inputs: Vec<Spent>,
    outputs: Vec<Paid>,
}

/// Where the parts of a transaction begin, as offsets in the block.
struct Marks {
    start: usize,
    inputs: usize,
    outputs_end: usize,
    witness: Range<usize>,
    lock_time: usize,
}

impl<'a> Body<'a> {
    const fn new(network: Network, bytes: &'a [u8], reader: Reader<'a>) -> Self {
        Self { bytes, reader, network, parts: Vec::new(), inputs: Vec::new(), outputs: Vec::new() }
    }

    fn read(&mut self) -> Result<(), DecodeError> {
        let at = self.reader.offset();
        let count = self.reader.count("number of transactions", TX_BYTES_MIN, WEIGHT_MAX / TX_BYTES_MIN)?;
        if count == 0 {
            let (what, want) = ("number of transactions", "a coinbase at least");
            return Err(DecodeError::Unexpected { what, at, found: 0, want });
        }
        self.parts.reserve(count);
        self.inputs.reserve(count * 2);
        self.outputs.reserve(count * 2);
        let mut integrated = false;
        for place in 0..count {
            integrated = self.read_tx(place)? && count >= 2;
        }
        if integrated { self.read_extension() } else { Ok(()) }
    }

    /// Reads a transaction; whether it is a HogEx.
    fn read_tx(&mut self, place: usize) -> Result<bool, DecodeError> {
        let start = self.reader.offset();
        self.reader.take("transaction version", 4)?;
        let flags = read_flags(&mut self.reader, self.network)?;
        let inputs = self.reader.offset();
        let count = self.read_inputs(place)?;
        self.read_outputs()?;
        let outputs_end = self.reader.offset();
        if flags & FLAG_WITNESS != 0 {
            read_witnesses(&mut self.reader, count)?;
        }
        let witness = outputs_end..self.reader.offset();
        if flags & FLAG_MWEB != 0 {
            let at = self.reader.offset();
            match self.reader.u8("extension data")? {
                0 => {}
                found => return Err(DecodeError::Mweb { at, found, want: "0, as blocks carry none" }),
            }
        }
        let lock_time = self.reader.offset();
        let locked = u32::from_le_bytes(self.reader.array("lock time")?);
        let txid = self.txid(&Marks { start, inputs, outputs_end, witness, lock_time })?;
        self.parts.push(Part {
            txid,
            inputs_end: self.inputs.len(),
            outputs_end: self.outputs.len(),
            lock_time: locked,
        });
        Ok(flags & FLAG_MWEB != 0)
    }

    fn read_inputs(&mut self, place: usize) -> Result<usize, DecodeError> {
        let at = self.reader.offset();
        let count = self.reader.count("number of inputs", INPUT_BYTES_MIN, WEIGHT_MAX / INPUT_BYTES_MIN)?;
        if count == 0 {
            return Err(DecodeError::Empty { what: "inputs", at });
        }
        for input in 0..count {
            let txid = self.reader.array("previous transaction id")?;
            let vout = self.reader.u32("previous output number")?;
            let script = self.reader.bytes("unlocking script")?;
            self.reader.take("sequence number", 4)?;
            let is_null = vout == u32::MAX && txid == [0; 32];
            match (is_null, place, count) {
                (true, 0, 1) if (2..=100).contains(&script.len()) => {}
                (true, 0, 1) => return Err(DecodeError::CoinbaseScript { found: script.len() }),
                (true, _, _) => return Err(DecodeError::NullOutpoint { input }),
                (false, _, _) => self.inputs.push(Spent { txid, vout }),
            }
        }
        Ok(count)
    }

    fn read_outputs(&mut self) -> Result<(), DecodeError> {
        let max = self.network.money_sat_max();
        let at = self.reader.offset();
        let count =
            self.reader.count("number of outputs", OUTPUT_BYTES_MIN, WEIGHT_MAX / OUTPUT_BYTES_MIN)?;
        if count == 0 {
            return Err(DecodeError::Empty { what: "outputs", at });
        }
        let mut sum_sat = 0_u64;
        for output in 0..count {
            let at = self.reader.offset();
            let value = self.reader.u64("output value")?;
            if value > max {
                return Err(DecodeError::Value { output, at, value_sat: value, max });
            }
            sum_sat = sum_sat.saturating_add(value);
            if sum_sat > max {
                return Err(DecodeError::ValueSum { output, sum_sat, max });
            }
            let script = self.reader.bytes("locking script")?;
            let start = self.reader.offset() - script.len();
            let kept = scripts::shorten(script).map(|(tag, range)| {
                let rest = script.get(range.clone()).unwrap_or_default();
                let range = start + range.start..start + range.end;
                Kept { tag, range, hash: Short { tag, rest }.hash() }
            });
            self.outputs.push(Paid { value, script: kept });
        }
        Ok(())
    }

    /// The double SHA-256 of a transaction without witnesses, once its weight is known to be allowed.
    fn txid(&self, marks: &Marks) -> Result<[u8; 32], DecodeError> {
        let stripped = marks.outputs_end - marks.inputs + 8;
        // Marker and flag belong to the witness (BIP 141).
        let witness = if marks.witness.is_empty() { 0 } else { marks.witness.len() + 2 };
        let weight = stripped * 4 + witness;
        if weight > WEIGHT_MAX {
            let (what, at, found, limit) =
                ("transaction weight", marks.start, wide(weight), wide(WEIGHT_MAX));
            return Err(DecodeError::Oversized { what, at, found, limit });
        }
        let part = |range: Range<usize>| self.bytes.get(range).unwrap_or_default();
        let whole = marks.lock_time + 4 - marks.start == stripped;
        let once = if whole {
            Sha256::digest(part(marks.start..marks.lock_time + 4))
        } else {
            let hasher = Sha256::new().chain_update(part(marks.start..marks.start + 4));
            let hasher = hasher.chain_update(part(marks.inputs..marks.outputs_end));
            hasher.chain_update(part(marks.lock_time..marks.lock_time + 4)).finalize()
        };
        Ok(Sha256::digest(once).into())
    }

    fn read_extension(&mut self) -> Result<(), DecodeError> {
        let at = self.reader.offset();
        match self.reader.rest() {
            rest @ [1, _, ..] => self.reader.take("extension block", rest.len()).map(drop),
            [found, ..] if *found != 1 => Err(DecodeError::Mweb { at, found: *found, want: "1" }),
            rest => Err(DecodeError::Truncated { what: "extension block", at, want: 2, left: rest.len() }),
        }
    }
}

/// The flag byte of the extended form, or 0 for the plain form (BIP 144).
fn read_flags(reader: &mut Reader<'_>, network: Network) -> Result<u8, DecodeError> {
    let [0, flags, ..] = reader.rest() else { return Ok(0) };
    let (flags, at) = (*flags, reader.offset() + 1);
    let known = if network.has_mweb() { FLAG_WITNESS | FLAG_MWEB } else { FLAG_WITNESS };
    if flags == 0 {
        return Err(DecodeError::Empty { what: "inputs", at: reader.offset() });
    }
    if flags & !known != 0 {
        return Err(DecodeError::Flag { at, found: flags });
    }
    reader.take("transaction flag", 2)?;
    Ok(flags)
}

fn read_witnesses(reader: &mut Reader<'_>, inputs: usize) -> Result<(), DecodeError> {
    let at = reader.offset();
    let mut items = 0_usize;
    for _ in 0..inputs {
        let count = reader.count("number of witness items", 1, WEIGHT_MAX)?;
        for _ in 0..count {
            reader.bytes("witness item")?;
        }
        items = items.saturating_add(count);
    }
    if items == 0 { Err(DecodeError::SuperfluousWitness { at }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use kuraban_sim::{
        chain::Regtest,
        economy::{Economy, Shape},
    };
    use proptest::prelude::*;

    use super::*;

    fn read(network: Network, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.take("header", HEADER_BYTES)?;
        let mut body = Body::new(network, bytes, reader);
        body.read()?;
        body.reader.finish("block")
    }

    /// Compares with the decoder that owns what it decodes, which says more of transactions and less of blocks.
    fn compare(network: Network, bytes: &[u8]) {
        let (ours, theirs) = (read(network, bytes), Block::decode(network, bytes));
        match (&ours, &theirs) {
            (Ok(()), Ok(block)) => {
                let mut reader = Reader::new(bytes);
                reader.take("header", HEADER_BYTES).unwrap();
                let mut body = Body::new(network, bytes, reader);
                body.read().unwrap();
                let txids: Vec<[u8; 32]> = body.parts.iter().map(|part| part.txid).collect();
                let want: Vec<[u8; 32]> = block.txs.iter().map(|tx| *tx.txid().as_bytes()).collect();
                assert_eq!(txids, want);
            }
            // Two inputs of one outpoint: the index finds the second one spent.
            (Ok(()), Err(DecodeError::DuplicateInput { .. })) => {}
            // A second coinbase is a transaction like any other for who decodes transactions alone.
            (Err(DecodeError::NullOutpoint { .. } | DecodeError::CoinbaseScript { .. }), _) => {}
            // Of several faults they may name another one first.
            _ => assert_eq!(ours.is_ok(), theirs.is_ok(), "{ours:?} {theirs:?}"),
        }
    }

    static BLOCKS: [LazyLock<Vec<u8>>; 2] =
        [LazyLock::new(|| made(Regtest::Btc)), LazyLock::new(|| made(Regtest::Ltc))];

    fn block(regtest: Regtest) -> Vec<u8> {
        BLOCKS[usize::from(regtest == Regtest::Ltc)].clone()
    }

    fn made(regtest: Regtest) -> Vec<u8> {
        let shape = Shape { regtest, block_txs: 3, reuse_per_mille: 500, open: false };
        let mut economy = Economy::new(shape, 3);
        let blocks = (0..106).map(|_| economy.next_block(Vec::new(), 0).unwrap());
        blocks.last().unwrap().encode()
    }

    proptest! {
        #[test]
        fn borrowed_and_owned_decoding_agree_on_damaged_blocks(
            litecoin in any::<bool>(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let regtest = if litecoin { Regtest::Ltc } else { Regtest::Btc };
            let mut bytes = block(regtest);
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()).max(HEADER_BYTES));
            }
            compare(regtest.network(), &bytes);
        }
    }

    #[test]
    fn borrowed_and_owned_decoding_agree_on_every_changed_byte() {
        for regtest in [Regtest::Btc, Regtest::Ltc] {
            let bytes = block(regtest);
            for at in HEADER_BYTES..bytes.len() {
                for value in [0, 9, 0xfd] {
                    let mut changed = bytes.clone();
                    changed[at] = value;
                    compare(regtest.network(), &changed);
                }
            }
        }
    }
}
