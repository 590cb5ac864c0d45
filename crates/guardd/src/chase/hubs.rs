//! The hubs of the cases that are followed, counted in the index once for each case.
//!
//! Decides when a count holds no longer: when blocks that it rests on have left the chain.

use std::collections::BTreeMap;

use kuraban_base::{CaseId, Height};
use kuraban_chain::btc::OutPoint;
use kuraban_trace::{
    graph::{AddressNum, Graph as _, TxNum},
    index::{Corrupted, Index},
    live::{Hubs, Threshold},
};

/// By case.
#[derive(Default)]
pub(super) struct CaseHubs {
    of: BTreeMap<CaseId, Hubs>,
    /// The first output that no count rests on.
    before: u64,
}

impl CaseHubs {
    /// What the engine is answered from.
    pub(super) const fn of(&self) -> &BTreeMap<CaseId, Hubs> {
        &self.of
    }

    /// The hubs of one case.
    pub(super) fn addresses(&self, case: &CaseId) -> impl Iterator<Item = AddressNum> + '_ {
        self.of.get(case).into_iter().flat_map(Hubs::addresses)
    }

    /// Counts for these cases, with their thresholds and seeds, in one pass.
    pub(super) fn count(
        &mut self,
        index: &Index,
        cases: &[(CaseId, u32, &[OutPoint])],
    ) -> Result<(), Corrupted> {
        if cases.is_empty() {
            return Ok(());
        }
        let begun = std::time::Instant::now();
        let threshold =
            |(_, least, seeds): &(CaseId, u32, &[OutPoint])| Threshold::of_case(index, *least, seeds);
        let thresholds: Vec<Threshold> = cases.iter().map(threshold).collect::<Result<_, _>>()?;
        let counted = Hubs::count(index, &thresholds)?;
        let hubs = counted.iter().map(|hubs| hubs.addresses().count()).max().unwrap_or(0);
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(cases = cases.len(), hubs, ms, "hubs-counted");
        let before = thresholds.iter().map(|threshold| threshold.before.number());
        self.before = before.fold(self.before, Ord::max);
        self.of.extend(cases.iter().map(|(case, _, _)| case.clone()).zip(counted));
        Ok(())
    }

    /// Whether every count rests on blocks up to this one, which is in the index.
    pub(super) fn holds_at(&self, index: &Index, fork: Height) -> bool {
        let next = fork.next().and_then(|next| index.block(next));
        next.is_none_or(|txs| self.before <= index.outputs(TxNum::new(txs.start)).start)
    }
}
