//! A trace transfer by transfer: one ledger and one track.
//!
//! Decides which transfers are seeds. Never reads a list: whoever feeds it has the order right.

use std::collections::HashMap;

use super::{
    ledger::Ledger,
    outcome::{BookError, Outcome, Seed, Terms, TraceError},
    track::{Moved, Track},
    transfer::{Header, Transfer},
};

/// Follows stolen units through transfers that come one by one.
#[derive(Debug)]
pub struct Book {
    header: Header,
    open_seeds: HashMap<(String, u32), String>,
    /// Transactions of seeds, and whether they were met.
    seed_txs: HashMap<String, bool>,
    ledger: Ledger,
    track: Track,
}

impl Book {
    /// An empty book.
    ///
    /// # Errors
    /// No seed, or one twice.
    pub fn new(header: Header, terms: Terms, seeds: &[Seed]) -> Result<Self, TraceError> {
        if seeds.is_empty() {
            return Err(TraceError::NoSeed);
        }
        let (mut open_seeds, mut seed_txs) = (HashMap::new(), HashMap::new());
        for Seed { tx, index, case } in seeds {
            if open_seeds.insert((tx.clone(), *index), case.clone()).is_some() {
                return Err(TraceError::SeedTwice { tx: tx.clone(), index: *index });
            }
            seed_txs.insert(tx.clone(), false);
        }
        let ledger = Ledger::new(header.opening);
        Ok(Self { header, open_seeds, seed_txs, ledger, track: Track::new(terms) })
    }

    /// Applies the next transfer.
    ///
    /// # Errors
    /// What the accounts' state does not allow. The book cannot be used after that.
    pub fn apply(&mut self, transfer: &Transfer) -> Result<(), BookError> {
        let step = self.ledger.step(transfer)?;
        let seed = match self.seed_txs.get_mut(&transfer.tx) {
            Some(met) => {
                *met = true;
                self.open_seeds.remove(&(transfer.tx.clone(), transfer.index))
            }
            None => None,
        };
        self.track.follow(step, seed.as_deref())
    }

    /// What the last transfer did with tainted units.
    #[must_use]
    pub const fn moved(&self) -> &Moved {
        self.track.moved()
    }

    /// The answer, once every transfer is in.
    ///
    /// # Errors
    /// Seeds that no transfer was; units that do not add up.
    pub fn finish(self) -> Result<Outcome, TraceError> {
        if let Some((tx, index)) = self.open_seeds.keys().min().cloned() {
            let why = if self.seed_txs.get(&tx) == Some(&true) {
                "the transaction has no such transfer"
            } else {
                "there is no such transaction up to the last block that counts"
            };
            return Err(TraceError::NoSuchSeed { tx, index, why });
        }
        self.track.outcome(self.header, &self.ledger).map_err(TraceError::Unbalanced)
    }
}
