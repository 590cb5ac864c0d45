//! How far the methods lie apart: for each output and address the least and the most that any method finds there.
//!
//! Decides nothing new: compares traces. Poison is left out, as it finds more than was stolen.

use std::collections::BTreeMap;

use super::terms::Trace;
use crate::graph::{AddressNum, Graph, OutputNum};

/// The least and the most that any method finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The least; 0 where a method finds nothing.
    pub min_sat: u128,
    /// The most.
    pub max_sat: u128,
}

/// The spans of everything that any method found, unspent or held at a stop.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spread {
    /// By output, in chain order.
    pub outputs: BTreeMap<OutputNum, Span>,
    /// By address.
    pub addresses: BTreeMap<AddressNum, Span>,
}

impl Spread {
    /// Compares traces of the same seeds on the same terms but for the method.
    #[must_use]
    pub fn of<G: Graph>(graph: &G, traces: &[Trace]) -> Self {
        let traces: Vec<&Trace> = traces.iter().filter(|trace| trace.terms.method.conserves()).collect();
        let found = |trace: &&Trace| {
            let tainted = trace.unspent.iter().chain(&trace.stopped);
            tainted.map(|tainted| (tainted.output, u128::from(tainted.tainted_sat()))).collect::<Vec<_>>()
        };
        let by_output: Vec<Vec<(OutputNum, u128)>> = traces.iter().map(found).collect();
        let by_address = by_output.iter().map(|found| {
            let owned = found.iter().filter_map(|(output, sat)| Some((graph.address(*output)?, *sat)));
            owned.collect::<Vec<_>>()
        });
        let addresses = spans(by_address.collect());
        Self { outputs: spans(by_output), addresses }
    }

    /// The units on whose place all methods agree: Σ of the least over the outputs.
    #[must_use]
    pub fn agreed_sat(&self) -> u128 {
        self.outputs.values().fold(0, |sum, span| sum.saturating_add(span.min_sat))
    }
}

/// The spans over several answers, in each of which amounts with one key add up.
fn spans<K: Ord + Copy>(answers: Vec<Vec<(K, u128)>>) -> BTreeMap<K, Span> {
    let methods = answers.len();
    let mut seen: BTreeMap<K, (usize, Span)> = BTreeMap::new();
    for answer in answers {
        let mut sums: BTreeMap<K, u128> = BTreeMap::new();
        for (key, sat) in answer {
            let sum = sums.entry(key).or_default();
            *sum = sum.saturating_add(sat);
        }
        for (key, sat) in sums {
            let (count, span) = seen.entry(key).or_insert((0, Span { min_sat: sat, max_sat: sat }));
            *count = count.saturating_add(1);
            span.min_sat = span.min_sat.min(sat);
            span.max_sat = span.max_sat.max(sat);
        }
    }
    let whole = |(key, (count, span)): (K, (usize, Span))| {
        (key, if count < methods { Span { min_sat: 0, ..span } } else { span })
    };
    seen.into_iter().map(whole).collect()
}
