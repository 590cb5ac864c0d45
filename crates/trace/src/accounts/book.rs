//! A trace transfer by transfer: one ledger and one track.
//!
//! Decides nothing beside them. Never reads a list: whoever feeds it has the order right.

use super::{
    ledger::Ledger,
    outcome::{BookError, Outcome, Seed, Terms, TraceError},
    seeds::Seeds,
    track::{Moved, Track},
    transfer::{Header, Transfer},
};

/// Follows stolen units through transfers that come one by one.
#[derive(Debug)]
pub struct Book {
    header: Header,
    seeds: Seeds,
    ledger: Ledger,
    track: Track,
}

impl Book {
    /// An empty book.
    ///
    /// # Errors
    /// No seed, or one twice.
    pub fn new(header: Header, terms: Terms, seeds: &[Seed]) -> Result<Self, TraceError> {
        let seeds = Seeds::of_one_case_each(seeds)?;
        let ledger = Ledger::new(header.opening);
        Ok(Self { header, seeds, ledger, track: Track::new(terms) })
    }

    /// Applies the next transfer.
    ///
    /// # Errors
    /// What the accounts' state does not allow. The book cannot be used after that.
    pub fn apply(&mut self, transfer: &Transfer) -> Result<(), BookError> {
        let step = self.ledger.step(transfer)?;
        let seed = self.seeds.met(transfer).pop();
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
        self.seeds.all_met()?;
        self.track.outcome(self.header, &self.ledger).map_err(TraceError::Unbalanced)
    }
}
