//! The transaction graph of one chain of the BTC family: what taint, clusters and patterns read.
//!
//! Says which output feeds which transaction, in chain order. Never says what that means.

mod memory;

use core::ops::Range;

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{BlockHash, Network, Script, ScriptKind};

pub use memory::{Memory, MemoryError, Node, Payment};

use crate::index::Corrupted;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u64);

        impl $name {
            /// The thing that stands at this place, counted from 0.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its place, counted from 0.
            #[must_use]
            pub const fn number(self) -> u64 {
                self.0
            }
        }
    };
}

number! {
    /// A transaction by its place in the chain. A transaction has a greater number than all that it spends.
    TxNum
}
number! {
    /// An output by its place in the chain: by transaction, then by index.
    OutputNum
}
number! {
    /// An address (a script that is not unspendable) by its first appearance in an output.
    AddressNum
}

/// The last block of a graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
}

/// Whether an output's units can be followed further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// They can be spent in the open.
    Spendable,
    /// Nobody can spend them: the script begins with `OP_RETURN` or is longer than 10,000 bytes; or no rule lets them
    /// be spent, as those of a chain's first block and of a coinbase that a later one with the same id replaced.
    Unspendable,
    /// They went into a shielded pool (MWEB: a witness program of version 8 or 9).
    Shielded,
}

impl Fate {
    /// What an output's script says of it. A chain's first block and repeated coinbases are not seen by a script.
    #[must_use]
    pub fn of(network: Network, script: &Script) -> Self {
        match script.kind_on(network) {
            ScriptKind::MwebHogAddr | ScriptKind::MwebPegIn => Self::Shielded,
            ScriptKind::P2pk
            | ScriptKind::P2pkh
            | ScriptKind::P2sh
            | ScriptKind::P2wpkh
            | ScriptKind::P2wsh
            | ScriptKind::P2tr
            | ScriptKind::BareMultisig
            | ScriptKind::OpReturn
            | ScriptKind::WitnessUnknown
            | ScriptKind::NonStandard => {
                if script.is_unspendable() {
                    Self::Unspendable
                } else {
                    Self::Spendable
                }
            }
        }
    }
}

/// A chain's transactions, numbered in chain order. Reads do not fail: whoever makes a graph has checked it, or ends what
/// reads it where it is corrupted ([`Graph::reading`]).
///
/// Numbers that the graph did not give itself may make a method panic.
pub trait Graph {
    /// Runs what reads the graph. One that lies in files gives no answer that rests on a corrupted one.
    ///
    /// # Errors
    /// Which file is corrupted.
    fn reading<T>(&self, read: impl FnOnce() -> T) -> Result<T, Corrupted> {
        Ok(read())
    }

    /// The chain.
    fn network(&self) -> Network;

    /// The last block; nothing while there is none.
    fn tip(&self) -> Option<Tip>;

    /// How many transactions there are.
    fn tx_count(&self) -> u64;

    /// A transaction's id.
    fn txid(&self, tx: TxNum) -> Txid;

    /// The transaction with this id; the last one where two have it (BIP-30's coinbases).
    fn find(&self, txid: &Txid) -> Option<TxNum>;

    /// The block that holds a transaction.
    fn height(&self, tx: TxNum) -> Height;

    /// A block's transactions, its coinbase first; nothing where there is no such block.
    fn block(&self, height: Height) -> Option<Range<u64>>;

    /// The outputs that a transaction spends, in input order; none for a coinbase.
    fn inputs(&self, tx: TxNum) -> impl Iterator<Item = OutputNum> + '_;

    /// What `inputs` gives for transactions side by side, appended to `spent`; to `ends`, how long `spent` is after each.
    /// Faster than one by one for whoever reads all of them.
    fn inputs_of(&self, txs: Range<u64>, spent: &mut Vec<OutputNum>, ends: &mut Vec<usize>) {
        for tx in txs.map(TxNum::new) {
            spent.extend(self.inputs(tx));
            ends.push(spent.len());
        }
    }

    /// How many inputs of a transaction spend outputs that are older than the graph, whose values nobody here knows;
    /// `inputs` leaves them out. None where a graph begins with its chain's first block.
    fn outside_inputs(&self, _: TxNum) -> u64 {
        0
    }

    /// The numbers of a transaction's outputs, in output order.
    fn outputs(&self, tx: TxNum) -> Range<u64>;

    /// The transaction that made an output.
    fn creator(&self, output: OutputNum) -> TxNum;

    /// The transaction that spends an output; nothing while it is unspent at the tip.
    fn spender(&self, output: OutputNum) -> Option<TxNum>;

    /// An output's value in base units.
    fn value(&self, output: OutputNum) -> u64;

    /// Whether an output can be followed further.
    fn fate(&self, output: OutputNum) -> Fate;

    /// How many addresses there are.
    fn address_count(&self) -> u64;

    /// Whose an output is; nothing for an unspendable one.
    fn address(&self, output: OutputNum) -> Option<AddressNum>;
}
