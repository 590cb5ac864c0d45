//! How far a trace has come, for whoever looks. Walks go through the chain in its order, so that a transaction's place
//! says how much is behind.

use indicatif::ProgressBar;
use kuraban_base::Height;
use kuraban_trace::{
    graph::{Graph as _, TxNum},
    index::Index,
};

use crate::say::Say;

/// Of so many transactions one moves the bar.
const STRIDE: u32 = 256;

/// A bar over several walks.
pub(super) struct Walks {
    bar: ProgressBar,
    /// Transactions up to the last block that counts.
    length: u64,
    /// Walks that are done.
    before: u64,
    seen: u32,
}

impl Walks {
    pub(super) fn new(say: &Say, index: &Index, until: Option<Height>) -> Self {
        let end = until.and_then(|until| index.block(until)).map(|block| block.end);
        let length = end.unwrap_or_else(|| index.tx_count());
        Self { bar: say.progress(length), length, before: 0, seen: 0 }
    }

    /// The walk at this place is at a transaction.
    pub(super) fn at(&mut self, walk: usize, tx: TxNum) {
        self.seen = self.seen.wrapping_add(1);
        if self.seen % STRIDE == 1 {
            let walk = u64::try_from(walk).unwrap_or(u64::MAX).saturating_add(self.before);
            let behind = walk.saturating_mul(self.length);
            self.bar.set_position(behind.saturating_add(tx.number()));
        }
    }

    /// So many walks follow, after those that are done.
    pub(super) fn expect(&mut self, walks: usize) {
        let walks = u64::try_from(walks).unwrap_or(u64::MAX);
        self.bar.set_length(self.before.saturating_add(walks).saturating_mul(self.length));
    }

    /// These are done.
    pub(super) const fn done(&mut self, walks: u64) {
        self.before = self.before.saturating_add(walks);
    }
}

impl Drop for Walks {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
