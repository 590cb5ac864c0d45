//! Which transfers are seeds. Decides that each is met once; never what it means.

use std::collections::{BTreeSet, HashMap};

use super::{
    outcome::{Seed, TraceError},
    transfer::Transfer,
};

/// Seeds that a list is looked through for.
#[derive(Debug)]
pub(super) struct Seeds {
    /// Those that were not met yet, each with its cases in the order in which they were given.
    open: HashMap<(String, u32), Vec<String>>,
    /// Transactions of seeds, and whether they were met.
    txs: HashMap<String, bool>,
}

impl Seeds {
    /// # Errors
    /// No seed, or one of a case twice.
    pub(super) fn new(seeds: &[Seed]) -> Result<Self, TraceError> {
        if seeds.is_empty() {
            return Err(TraceError::NoSeed);
        }
        let (mut all, mut open, mut txs) = (BTreeSet::new(), HashMap::new(), HashMap::new());
        for seed in seeds {
            let Seed { tx, index, case } = seed;
            if !all.insert(seed) {
                return Err(TraceError::SeedTwice { tx: tx.clone(), index: *index });
            }
            open.entry((tx.clone(), *index)).or_insert_with(Vec::new).push(case.clone());
            txs.insert(tx.clone(), false);
        }
        Ok(Self { open, txs })
    }

    /// The same where no transfer may be the seed of two cases.
    ///
    /// # Errors
    /// As [`Self::new`]; a seed of two cases.
    pub(super) fn of_one_case_each(seeds: &[Seed]) -> Result<Self, TraceError> {
        let all = Self::new(seeds)?;
        let twice = all.open.iter().filter(|(_, cases)| cases.len() > 1).map(|(place, _)| place).min();
        match twice.cloned() {
            Some((tx, index)) => Err(TraceError::SeedTwice { tx, index }),
            None => Ok(all),
        }
    }

    /// The cases that a transfer is a seed of.
    pub(super) fn met(&mut self, transfer: &Transfer) -> Vec<String> {
        let Some(met) = self.txs.get_mut(&transfer.tx) else { return Vec::new() };
        *met = true;
        self.open.remove(&(transfer.tx.clone(), transfer.index)).unwrap_or_default()
    }

    /// Sees that none is left.
    ///
    /// # Errors
    /// A seed that no transfer was.
    pub(super) fn all_met(&self) -> Result<(), TraceError> {
        let Some((tx, index)) = self.open.keys().min().cloned() else { return Ok(()) };
        let why = if self.txs.get(&tx) == Some(&true) {
            "the transaction has no such transfer"
        } else {
            "there is no such transaction up to the last block that counts"
        };
        Err(TraceError::NoSuchSeed { tx, index, why })
    }
}
