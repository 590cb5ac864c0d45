//! A graph in memory, from blocks or from parts of blocks: for tests, examples and proofs that are checked without an
//! index.
//!
//! Decides which output an input spends, by its outpoint. Never checks signatures, work or amounts.

use core::ops::Range;
use std::collections::HashMap;

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{Block, BlockHash, Network, OutPoint, Script, Tx, TxOut};

use super::{AddressNum, Fate, Graph, OutputNum, Tip, TxNum};

/// What a graph needs of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its id, taken as given.
    pub txid: Txid,
    /// What it spends; nothing for a coinbase.
    pub inputs: Vec<OutPoint>,
    /// What it makes.
    pub outputs: Vec<TxOut>,
}

impl From<&Tx> for Node {
    fn from(tx: &Tx) -> Self {
        let inputs = if tx.is_coinbase() { &[] } else { tx.inputs.as_slice() };
        Self {
            txid: tx.txid(),
            inputs: inputs.iter().map(|input| input.prev).collect(),
            outputs: tx.outputs.clone(),
        }
    }
}

/// A payment in [`Memory::of_payments`]: what it spends, by payment and output, and the values that it makes.
pub type Payment<'a> = (&'a [(usize, u32)], &'a [u64]);

/// Why a block could not be added. Nothing of it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MemoryError {
    /// Blocks come by ascending height.
    #[error("block at height {found} comes after the one at height {tip}")]
    Height {
        /// Its height.
        found: Height,
        /// The height of the block before.
        tip: Height,
    },
    /// An input spends what is not there, or is spent already.
    #[error("{txid} spends {outpoint}, which is not among the unspent outputs")]
    Missing {
        /// The transaction.
        txid: Txid,
        /// What it spends.
        outpoint: OutPoint,
    },
    /// An output's number does not fit 32 bits.
    #[error("{txid} has more outputs than can be named")]
    Outputs {
        /// The transaction.
        txid: Txid,
    },
}

/// A transaction's row.
#[derive(Clone, Debug)]
struct TxRow {
    txid: Txid,
    inputs: Vec<OutputNum>,
    outputs: Range<u64>,
}

/// An output's row.
#[derive(Clone, Copy, Debug)]
struct OutputRow {
    creator: TxNum,
    spender: Option<TxNum>,
    value_sat: u64,
    fate: Fate,
    address: Option<AddressNum>,
}

/// A graph in memory. Heights may have gaps, so that it can hold only the blocks that matter.
#[derive(Clone, Debug)]
pub struct Memory {
    network: Network,
    txs: Vec<TxRow>,
    outputs: Vec<OutputRow>,
    scripts: Vec<Script>,
    /// Height, hash and first transaction.
    blocks: Vec<(Height, BlockHash, u64)>,
    by_txid: HashMap<Txid, TxNum>,
    by_script: HashMap<Script, AddressNum>,
    unspent: HashMap<OutPoint, OutputNum>,
}

impl Memory {
    /// A graph without blocks.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self {
            network,
            txs: Vec::new(),
            outputs: Vec::new(),
            scripts: Vec::new(),
            blocks: Vec::new(),
            by_txid: HashMap::new(),
            by_script: HashMap::new(),
            unspent: HashMap::new(),
        }
    }

    /// Adds the block at `height`.
    ///
    /// # Errors
    /// A height that is not above the tip, an input that spends nothing known.
    pub fn push(&mut self, height: Height, block: &Block) -> Result<(), MemoryError> {
        let nodes: Vec<Node> = block.txs.iter().map(Node::from).collect();
        self.push_nodes(height, block.hash(), &nodes)
    }

    /// Adds a block, or the part of it that matters, in the order of its transactions.
    ///
    /// # Errors
    /// A height that is not above the tip, an input that spends nothing known.
    pub fn push_nodes(&mut self, height: Height, hash: BlockHash, nodes: &[Node]) -> Result<(), MemoryError> {
        if let Some(tip) = self.tip()
            && tip.height >= height
        {
            return Err(MemoryError::Height { found: height, tip: tip.height });
        }
        self.check(nodes)?;
        self.blocks.push((height, hash, self.tx_count()));
        let first = self.outputs.len();
        for node in nodes {
            self.add(node);
        }
        // No rule lets anybody spend what a chain's first block makes.
        if hash == self.network.genesis_hash() {
            (first..self.outputs.len()).for_each(|output| self.void(OutputNum::new(count(output))));
        }
        Ok(())
    }

    /// A graph of bare amounts, one payment in a block, for examples: each payment spends outputs, named by payment and
    /// place, and makes outputs of these values. One that spends nothing brings its units from nowhere.
    ///
    /// # Errors
    /// A payment that spends what is not there.
    pub fn of_payments(payments: &[Payment<'_>]) -> Result<Self, MemoryError> {
        let mut graph = Self::new(Network::BtcRegtest);
        let txid = |payment: usize| {
            let mut bytes = [0; 32];
            for (byte, known) in bytes.iter_mut().zip(payment.to_be_bytes()) {
                *byte = known;
            }
            Txid::from_bytes(bytes)
        };
        for (height, (payment, (spends, makes))) in (0..).zip(payments.iter().enumerate()) {
            let inputs = spends.iter().map(|(earlier, vout)| OutPoint { txid: txid(*earlier), vout: *vout });
            let outputs =
                makes.iter().map(|value_sat| TxOut { value_sat: *value_sat, script: Script::default() });
            let node = Node { txid: txid(payment), inputs: inputs.collect(), outputs: outputs.collect() };
            graph.push_nodes(Height::new(height), BlockHash::ZERO, &[node])?;
        }
        Ok(graph)
    }

    /// An address's script.
    #[must_use]
    pub fn script(&self, address: AddressNum) -> Option<&Script> {
        self.scripts.get(place(address.number()))
    }

    /// The address of a script, if an output has it.
    #[must_use]
    pub fn address_of(&self, script: &Script) -> Option<AddressNum> {
        self.by_script.get(script).copied()
    }

    /// Whether every input spends an output that is unspent by then.
    fn check(&self, nodes: &[Node]) -> Result<(), MemoryError> {
        let mut changed: HashMap<OutPoint, bool> = HashMap::new();
        for node in nodes {
            let txid = node.txid;
            for outpoint in &node.inputs {
                let there = changed.get(outpoint).copied();
                if !there.unwrap_or_else(|| self.unspent.contains_key(outpoint)) {
                    return Err(MemoryError::Missing { txid, outpoint: *outpoint });
                }
                changed.insert(*outpoint, false);
            }
            if u32::try_from(node.outputs.len()).is_err() {
                return Err(MemoryError::Outputs { txid });
            }
            changed.extend((0..).zip(&node.outputs).map(|(vout, _)| (OutPoint { txid, vout }, true)));
        }
        Ok(())
    }

    fn add(&mut self, node: &Node) {
        let tx = TxNum::new(self.tx_count());
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for outpoint in &node.inputs {
            let Some(output) = self.unspent.remove(outpoint) else { continue };
            if let Some(row) = self.outputs.get_mut(place(output.number())) {
                row.spender = Some(tx);
            }
            inputs.push(output);
        }
        let first = count(self.outputs.len());
        for (vout, output) in (0..).zip(&node.outputs) {
            let number = OutputNum::new(count(self.outputs.len()));
            let row = self.row(tx, output);
            self.outputs.push(row);
            // A coinbase with the id of an earlier one takes its place (before BIP 34).
            if let Some(replaced) = self.unspent.insert(OutPoint { txid: node.txid, vout }, number) {
                self.void(replaced);
            }
        }
        self.txs.push(TxRow { txid: node.txid, inputs, outputs: first..count(self.outputs.len()) });
        self.by_txid.insert(node.txid, tx);
    }

    /// Notes that no rule lets anybody spend an output, whatever its script says.
    fn void(&mut self, output: OutputNum) {
        if let Some(row) = self.outputs.get_mut(place(output.number())) {
            row.fate = Fate::Unspendable;
            row.address = None;
        }
    }

    fn row(&mut self, creator: TxNum, output: &TxOut) -> OutputRow {
        let fate = Fate::of(self.network, &output.script);
        let address = (fate != Fate::Unspendable).then(|| self.number(&output.script));
        OutputRow { creator, spender: None, value_sat: output.value_sat, fate, address }
    }

    fn number(&mut self, script: &Script) -> AddressNum {
        if let Some(known) = self.by_script.get(script) {
            return *known;
        }
        let number = AddressNum::new(count(self.scripts.len()));
        self.scripts.push(script.clone());
        self.by_script.insert(script.clone(), number);
        number
    }

    fn tx(&self, tx: TxNum) -> &TxRow {
        self.txs.get(place(tx.number())).unwrap_or_else(|| unknown("transaction", tx.number()))
    }

    fn output(&self, output: OutputNum) -> &OutputRow {
        self.outputs.get(place(output.number())).unwrap_or_else(|| unknown("output", output.number()))
    }
}

/// A number that this graph did not give; the trait says that it may panic.
#[expect(clippy::panic, reason = "the contract of `Graph`: numbers are the graph's own")]
fn unknown(what: &str, number: u64) -> ! {
    panic!("the graph has no {what} {number}")
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl Graph for Memory {
    fn network(&self) -> Network {
        self.network
    }

    fn tip(&self) -> Option<Tip> {
        self.blocks.last().map(|(height, hash, _)| Tip { height: *height, hash: *hash })
    }

    fn tx_count(&self) -> u64 {
        count(self.txs.len())
    }

    fn address_count(&self) -> u64 {
        count(self.scripts.len())
    }

    fn txid(&self, tx: TxNum) -> Txid {
        self.tx(tx).txid
    }

    fn find(&self, txid: &Txid) -> Option<TxNum> {
        self.by_txid.get(txid).copied()
    }

    fn height(&self, tx: TxNum) -> Height {
        let after = self.blocks.partition_point(|(_, _, first)| *first <= tx.number());
        let block = after.checked_sub(1).and_then(|block| self.blocks.get(block));
        block.map_or_else(|| unknown("transaction", tx.number()), |(height, _, _)| *height)
    }

    fn block(&self, height: Height) -> Option<Range<u64>> {
        let at = self.blocks.binary_search_by_key(&height, |(height, _, _)| *height).ok()?;
        let (_, _, first) = self.blocks.get(at)?;
        let end = self.blocks.get(at.saturating_add(1)).map_or(self.tx_count(), |(_, _, next)| *next);
        Some(*first..end)
    }

    fn inputs(&self, tx: TxNum) -> impl Iterator<Item = OutputNum> + '_ {
        self.tx(tx).inputs.iter().copied()
    }

    fn outputs(&self, tx: TxNum) -> Range<u64> {
        self.tx(tx).outputs.clone()
    }

    fn creator(&self, output: OutputNum) -> TxNum {
        self.output(output).creator
    }

    fn spender(&self, output: OutputNum) -> Option<TxNum> {
        self.output(output).spender
    }

    fn value(&self, output: OutputNum) -> u64 {
        self.output(output).value_sat
    }

    fn fate(&self, output: OutputNum) -> Fate {
        self.output(output).fate
    }

    fn address(&self, output: OutputNum) -> Option<AddressNum> {
        self.output(output).address
    }
}
