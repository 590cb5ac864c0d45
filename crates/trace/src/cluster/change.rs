//! Change: the output by which a spender pays himself back.
//!
//! Heuristics with known errors, so none is on unless it is asked for. All that are chosen must hold for exactly one output.

use super::{Rules, forest::Forest, looks_like_coinjoin};
use crate::graph::{AddressNum, Graph, OutputNum, TxNum};

/// Outputs that a transaction with change may have; payments to many are left alone (GraphSense takes 2 to 10).
const OUTPUTS: core::ops::RangeInclusive<u64> = 2..=10;

/// How change looks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Change {
    /// The address is also spent from in this transaction, so that nothing is guessed (GraphSense gives confidence 100).
    Direct,
    /// The address appears here for the first time (BlockSci's client change; Meiklejohn et al. 2013).
    Fresh,
    /// The value is below every input's: otherwise that input would not have been needed (BlockSci's optimal change).
    Optimal,
    /// The value is no multiple of 1000 base units: people pay round amounts (GraphSense, confidence 50 together with
    /// `Fresh` and `Optimal`).
    Uneven,
}

impl Change {
    /// Every heuristic.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Fresh, Self::Optimal, Self::Uneven];

    /// Its name on command lines and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fresh => "fresh",
            Self::Optimal => "optimal",
            Self::Uneven => "uneven",
        }
    }
}

/// What the heuristics see of a transaction.
struct Spending {
    owners: Vec<AddressNum>,
    value_min: u64,
    /// The first address number that was new in this transaction.
    fresh_from: u64,
}

/// Joins change to its spender in chain order, one transaction after the other, because the guard looks at sizes. Returns
/// how often the guard refused.
pub(super) fn join<G: Graph>(graph: &G, rules: &Rules, forest: &Forest) -> u64 {
    let mut sizes = sizes(forest);
    let (mut refused, mut fresh_from) = (0_u64, 0_u64);
    for tx in (0..graph.tx_count()).map(TxNum::new) {
        let outputs = graph.outputs(tx);
        let addresses = outputs.filter_map(|output| graph.address(OutputNum::new(output)));
        let fresh_end = addresses.map(|address| address.number().saturating_add(1)).max();
        let fresh_end = fresh_end.unwrap_or(0).max(fresh_from);
        if let Some((owner, change)) = change(graph, tx, &rules.change, fresh_from) {
            let (one, other) = (forest.root(owner.number()), forest.root(change.number()));
            let size = |root: u64| usize::try_from(root).ok().and_then(|root| sizes.get(root)).copied();
            let (of_one, of_other) = (size(one).unwrap_or(1), size(other).unwrap_or(1));
            if one != other && of_one.min(of_other) > rules.collapse_max {
                refused = refused.saturating_add(1);
            } else if forest.unite(one, other)
                && let Some(size) = usize::try_from(one.min(other)).ok().and_then(|root| sizes.get_mut(root))
            {
                *size = of_one.saturating_add(of_other);
            }
        }
        fresh_from = fresh_end;
    }
    refused
}

fn sizes(forest: &Forest) -> Vec<u64> {
    let mut sizes = vec![0_u64; usize::try_from(forest.len()).unwrap_or(usize::MAX)];
    for address in 0..forest.len() {
        let root = usize::try_from(forest.root(address)).ok();
        if let Some(size) = root.and_then(|root| sizes.get_mut(root)) {
            *size = size.saturating_add(1);
        }
    }
    sizes
}

/// A transaction's spender and its change, where the rules single one output out.
fn change<G: Graph>(
    graph: &G,
    tx: TxNum,
    rules: &[Change],
    fresh_from: u64,
) -> Option<(AddressNum, AddressNum)> {
    let outputs = graph.outputs(tx);
    if !OUTPUTS.contains(&outputs.end.saturating_sub(outputs.start)) || looks_like_coinjoin(graph, tx) {
        return None;
    }
    let value_min = graph.inputs(tx).map(|output| graph.value(output)).min()?;
    let owners: Vec<AddressNum> = graph.inputs(tx).filter_map(|output| graph.address(output)).collect();
    let owner = *owners.first()?;
    let spending = Spending { owners, value_min, fresh_from };
    let mut found = outputs.map(OutputNum::new).filter_map(|output| {
        let address = graph.address(output)?;
        let value = graph.value(output);
        rules.iter().all(|rule| rule.holds(&spending, address, value)).then_some(address)
    });
    match (found.next(), found.next()) {
        (Some(change), None) => Some((owner, change)),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

impl Change {
    fn holds(self, spending: &Spending, address: AddressNum, value: u64) -> bool {
        match self {
            Self::Direct => spending.owners.contains(&address),
            Self::Fresh => address.number() >= spending.fresh_from,
            Self::Optimal => value < spending.value_min,
            Self::Uneven => !value.is_multiple_of(1000),
        }
    }
}
