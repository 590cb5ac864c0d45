//! Whether a transaction looks like a CoinJoin, so that what it spends need not belong together.
//!
//! A quick filter over counts, values and addresses, that errs towards "CoinJoin": a cluster that is too small misleads less
//! than one too large. What GraphSense applies before clustering (graphsense-lib, `ingest/utxo.py`, after BlockSci) wants
//! exactly as many equal outputs as half of all, and so lets every Whirlpool through; this takes more, by the shapes that
//! the mixes have ([`crate::patterns`]). `docs/patterns.md` has what either keeps out.

use crate::graph::{Graph, OutputNum, TxNum};

/// Values that wallets put into many outputs for reasons of their own: dust limits of old nodes.
const DUST_SAT: [u64; 2] = [546, 2730];
/// Equal outputs from which on their number may differ from half of the outputs: in all mixes of three and more.
const EQUAL_MIN: usize = 3;
/// Inputs of a Wasabi 2 round at least, and how many values occur more than once in it.
const WASABI2: (usize, usize) = (20, 3);

/// Whether the filter takes a transaction for a CoinJoin, by its values that are no dust limit:
///
/// - one occurs as often as half of the outputs, rounded up, and no rarer than any other; or, from three times on, as half of
///   them rounded down, or more often; and as many different addresses are spent;
/// - or at least 20 inputs are spent, of ten addresses or more, and at least three values occur more than once, in
///   half of the outputs but one together.
#[must_use]
pub fn looks_like_coinjoin<G: Graph>(graph: &G, tx: TxNum) -> bool {
    let outputs = graph.outputs(tx);
    let output_count = usize::try_from(outputs.end.saturating_sub(outputs.start)).unwrap_or(usize::MAX);
    if output_count < 3 {
        return false;
    }
    // Most transactions spend too few coins, and nothing else is read of them.
    let inputs_min = (output_count / 2).clamp(2, WASABI2.0);
    if graph.inputs(tx).take(inputs_min).count() < inputs_min {
        return false;
    }
    let mut values: Vec<u64> = outputs.map(|output| graph.value(OutputNum::new(output))).collect();
    values.sort_unstable();
    let runs = || {
        let runs = values.chunk_by(|one, next| one == next);
        runs.filter(|run| run.first().is_some_and(|value| !DUST_SAT.contains(value))).map(<[u64]>::len)
    };
    let equal = runs().max().unwrap_or(0);
    let halves = equal == output_count.div_ceil(2) || (equal >= EQUAL_MIN && equal >= output_count / 2);
    let (repeated, kinds) =
        runs().filter(|count| *count > 1).fold((0, 0), |(all, kinds), count| (all + count, kinds + 1));
    let rounds = kinds >= WASABI2.1 && repeated >= output_count.saturating_sub(1) / 2;
    if !(halves || rounds) {
        return false;
    }
    let mut addresses: Vec<_> = graph.inputs(tx).filter_map(|output| graph.address(output)).collect();
    let inputs = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    let owners = addresses.len();
    (halves && owners >= equal.max(2)) || (rounds && inputs >= WASABI2.0 && owners >= WASABI2.0 / 2)
}
