//! Whether a transaction looks like a CoinJoin, so that what it spends need not belong together.
//!
//! The quick filter that GraphSense applies before clustering (graphsense-lib, `ingest/utxo.py`), after BlockSci: it needs
//! counts and values only. It errs towards "CoinJoin": a cluster that is too small misleads less than one too large.

use crate::graph::{Graph, TxNum};

/// Values that wallets put into many outputs for reasons of their own: dust limits of old nodes.
const DUST_SAT: [u64; 2] = [546, 2730];

/// Whether the filter takes a transaction for a CoinJoin: with p = ⌊(outputs + 1)/2⌋, at least p inputs and p different
/// input addresses, and the commonest output value (of several the lowest) exactly p times and not a dust limit.
#[must_use]
pub fn looks_like_coinjoin<G: Graph>(graph: &G, tx: TxNum) -> bool {
    let outputs = graph.outputs(tx);
    let output_count = outputs.end.saturating_sub(outputs.start);
    if output_count < 3 {
        return false;
    }
    let participants = usize::try_from(output_count.div_ceil(2)).unwrap_or(usize::MAX);
    let mut inputs = graph.inputs(tx);
    if inputs.by_ref().take(participants.max(2)).count() < participants.max(2) {
        return false;
    }
    let mut values: Vec<u64> =
        outputs.map(|output| graph.value(crate::graph::OutputNum::new(output))).collect();
    values.sort_unstable();
    let runs = values.chunk_by(|one, next| one == next).map(|run| (run.len(), run.first()));
    // Of runs of the same length the first, which has the lowest value.
    let commonest = runs.fold((0, None), |most, run| if run.0 > most.0 { run } else { most });
    let (count, Some(value)) = commonest else { return false };
    if count != participants || DUST_SAT.contains(value) {
        return false;
    }
    let mut addresses: Vec<_> = graph.inputs(tx).filter_map(|output| graph.address(output)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.len() >= participants
}
