//! Transactions that wait for a block, and the taint that comes to them.
//!
//! Decides which of them exclude each other and which descend from which. Every transaction is kept, tainted or not, so
//! that it does not matter in which order they come, and a replacement is seen whoever announces it.

use std::collections::BTreeSet;

use kuraban_base::Txid;
use kuraban_chain::btc::{OutPoint, Script, TxOut};

use super::{
    held::{Held, outpoint},
    keyed::{Map, Set},
};
use crate::graph::Node;

/// Most transactions that are kept.
pub const POOL_TXS_MAX: usize = 500_000;

/// A transaction that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Waiting {
    pub txid: Txid,
    pub inputs: Box<[OutPoint]>,
    pub outputs: Outputs,
    /// What its inputs are worth, once somebody had to ask.
    pub values: Option<Box<[u64]>>,
    /// Whether an output has taint.
    pub tainted: bool,
}

impl Waiting {
    pub(super) fn of(node: &Node) -> Self {
        let (inputs, outputs) = (node.inputs.as_slice().into(), Outputs::of(&node.outputs));
        Self { txid: node.txid, inputs, outputs, values: None, tainted: false }
    }

    pub(super) fn outpoints(&self) -> impl Iterator<Item = OutPoint> + '_ {
        (0..self.outputs.count).map(|vout| outpoint(self.txid, vout))
    }
}

/// Outputs in one piece: value and length of the script (8 and 4 bytes), and the script, one after the other. Most
/// transactions that wait are clean and never looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Outputs {
    count: u32,
    bytes: Box<[u8]>,
}

impl Outputs {
    pub(super) fn of(outputs: &[TxOut]) -> Self {
        let length = outputs.iter().map(|output| output.script.as_bytes().len().saturating_add(12)).sum();
        let mut bytes = Vec::with_capacity(length);
        for output in outputs {
            let script = output.script.as_bytes();
            bytes.extend(output.value_sat.to_le_bytes());
            bytes.extend(u32::try_from(script.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(script);
        }
        Self { count: u32::try_from(outputs.len()).unwrap_or(u32::MAX), bytes: bytes.into() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = TxOut> + '_ {
        let mut rest = &*self.bytes;
        core::iter::from_fn(move || {
            let (value, after) = rest.split_first_chunk()?;
            let (length, after) = after.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (script, after) = after.split_at_checked(length)?;
            rest = after;
            Some(TxOut { value_sat: u64::from_le_bytes(*value), script: Script::new(script.to_vec()) })
        })
    }

    /// An output's value; nothing where there is no such output.
    pub(super) fn value_sat(&self, vout: u32) -> Option<u64> {
        self.iter().nth(usize::try_from(vout).ok()?).map(|output| output.value_sat)
    }
}

/// What became of a transaction that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pooled {
    /// It waits now.
    New,
    /// It waited already.
    Known,
    /// It was not kept: a coinbase, which never waits, or one more than [`POOL_TXS_MAX`].
    Refused,
}

/// Transactions that wait.
#[derive(Default, Debug)]
pub(super) struct Pool {
    pub txs: Map<Txid, Waiting>,
    /// Which of them spends an output; also of some that are gone, see [`Pool::spender`].
    spends: Map<OutPoint, Txid>,
    /// Their tainted outputs.
    pub made: Map<OutPoint, Held>,
    /// Those whose taint must be looked at (again).
    pub stale: BTreeSet<Txid>,
    /// Those that were taken away and still have memory and what they spend noted: a block takes thousands at once, and
    /// clearing up after them takes longer than everything else. It is done while new ones come.
    gone: Vec<Waiting>,
}

impl Pool {
    /// Lets a transaction wait; others that spend the same outputs are in the way and must be gone.
    pub(super) fn put(&mut self, waiting: Waiting) {
        for input in &waiting.inputs {
            self.spends.insert(*input, waiting.txid);
        }
        self.stale.insert(waiting.txid);
        self.txs.insert(waiting.txid, waiting);
        self.clear_up(2);
    }

    /// Clears up after some of those that are gone.
    fn clear_up(&mut self, most: usize) {
        let kept = self.gone.len().saturating_sub(most);
        for waiting in self.gone.drain(kept..) {
            // It may have come again, and then wait still.
            if self.txs.contains_key(&waiting.txid) {
                continue;
            }
            for input in &waiting.inputs {
                if self.spends.get(input) == Some(&waiting.txid) {
                    self.spends.remove(input);
                }
            }
        }
    }

    /// The one that spends an output.
    fn spender(&self, output: &OutPoint) -> Option<Txid> {
        self.spends.get(output).filter(|txid| self.txs.contains_key(*txid)).copied()
    }

    /// Those that spend one of these outputs.
    pub(super) fn spenders<'a>(&self, inputs: impl IntoIterator<Item = &'a OutPoint>) -> BTreeSet<Txid> {
        if self.txs.is_empty() {
            return BTreeSet::new();
        }
        inputs.into_iter().filter_map(|input| self.spender(input)).collect()
    }

    /// Takes one away and leaves those that descend from it; gives its tainted outputs, or nothing if it does not wait.
    pub(super) fn take(&mut self, txid: &Txid) -> Option<Vec<(OutPoint, Held)>> {
        let waiting = self.txs.remove(txid)?;
        if !self.stale.is_empty() {
            self.stale.remove(txid);
        }
        let made = if waiting.tainted {
            waiting.outpoints().filter_map(|output| self.made.remove_entry(&output)).collect()
        } else {
            Vec::new()
        };
        self.gone.push(waiting);
        Some(made)
    }

    /// Takes one away with everything that descends from it; gives their tainted outputs.
    pub(super) fn drop_with_descendants(&mut self, txid: &Txid) -> Vec<(OutPoint, Held)> {
        let mut gone = Set::default();
        let mut next = vec![*txid];
        while let Some(txid) = next.pop() {
            if let Some(waiting) = self.txs.get(&txid).filter(|_| gone.insert(txid)) {
                next.extend(waiting.outpoints().filter_map(|output| self.spender(&output)));
            }
        }
        gone.iter().filter_map(|txid| self.take(txid)).flatten().collect()
    }

    /// Notes that what these outputs have has changed.
    pub(super) fn stir<'a>(&mut self, outputs: impl IntoIterator<Item = &'a OutPoint>) {
        if self.txs.is_empty() {
            return;
        }
        let children: Vec<Txid> = outputs.into_iter().filter_map(|output| self.spender(output)).collect();
        self.stale.extend(children);
    }

    /// One that must be looked at, and nothing that it descends from must be looked at before it.
    pub(super) fn next_stale(&self) -> Option<Txid> {
        let mut txid = *self.stale.first()?;
        // Ids commit to what they spend, so this ends; the bound is for ids that somebody made up.
        for _ in 0..self.stale.len() {
            let inputs = self.txs.get(&txid).map(|waiting| &*waiting.inputs).unwrap_or_default();
            match inputs.iter().map(|input| input.txid).find(|parent| self.stale.contains(parent)) {
                Some(parent) => txid = parent,
                None => break,
            }
        }
        Some(txid)
    }
}
