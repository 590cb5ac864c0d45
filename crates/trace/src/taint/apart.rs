//! Several cases, each followed as if it were the only one.
//!
//! Decides how their answers stand beside each other; what each of them is, the walk decides.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    flow::trace_path,
    part::{CaseNum, Part, Parts},
    terms::{Case, TaintError, Tainted, Terms, Trace, Traced},
};
use crate::graph::{Graph, OutputNum, TxNum};

/// Follows each case as if it were the only one, where [`super::trace`] leaves a unit with the earliest that claims it.
///
/// The answer has the same shape. A unit that several cases claim counts in each of them, so that every case balances,
/// no case depends on another, and there are no overlaps; the parts of one output can add up to more than its value.
///
/// `seen` is told of a case's place and each transaction that its units come into, as [`trace_path`] does.
///
/// # Errors
/// As [`super::trace`].
pub fn trace_apart<G: Graph>(
    graph: &G,
    cases: &[Case],
    terms: &Terms,
    mut seen: impl FnMut(usize, TxNum),
) -> Result<Trace, TaintError> {
    let mut touched = BTreeSet::new();
    let mut alone = Vec::with_capacity(cases.len());
    for (asked, case) in cases.iter().enumerate() {
        let found = trace_path(graph, core::slice::from_ref(case), terms, |tx: TxNum| {
            seen(asked, tx);
            touched.insert(tx);
        });
        alone.push((asked, found.map_err(|error| numbered(error, asked))?));
    }
    alone.sort_by_key(|(_, trace)| trace.cases.first().and_then(|case| case.seeds.first()).copied());
    let Some((_, first)) = alone.first() else { return Err(TaintError::NoSeed) };
    let tip = first.tip;
    let (mut planned, mut unspent, mut stopped) = (Vec::new(), Together::default(), Together::default());
    for (place, (asked, trace)) in alone.iter().enumerate() {
        let place = u32::try_from(place).map_err(|_| TaintError::Cases { found: cases.len() })?;
        planned.extend(trace.cases.iter().map(|case| Traced { asked: *asked, ..case.clone() }));
        unspent.add(CaseNum::new(place), &trace.unspent);
        stopped.add(CaseNum::new(place), &trace.stopped);
    }
    Ok(Trace {
        terms: terms.clone(),
        tip,
        cases: planned,
        unspent: unspent.in_chain_order(),
        stopped: stopped.in_chain_order(),
        overlaps: Vec::new(),
        transactions_touched: u64::try_from(touched.len()).unwrap_or(u64::MAX),
    })
}

/// A case's place among those that were asked for, where the walk knew of one alone.
fn numbered(error: TaintError, asked: usize) -> TaintError {
    match error {
        TaintError::Unbalanced { source, .. } => TaintError::Unbalanced { case: asked, source },
        TaintError::Empty
        | TaintError::UnknownTx { .. }
        | TaintError::NoOutput { .. }
        | TaintError::NoSeed
        | TaintError::Cases { .. }
        | TaintError::Until { .. }
        | TaintError::SeedAfter { .. }
        | TaintError::Sum { .. }
        | TaintError::Outside { .. }
        | TaintError::Overspent { .. }
        | TaintError::Contradiction { .. }
        | TaintError::Corrupted(_) => error,
    }
}

/// Outputs with what each case has in them.
#[derive(Default)]
struct Together(BTreeMap<OutputNum, (u64, Vec<Part>)>);

impl Together {
    fn add(&mut self, case: CaseNum, found: &[Tainted]) {
        for tainted in found {
            let (_, parts) = self.0.entry(tainted.output).or_insert((tainted.value_sat, Vec::new()));
            parts.extend(tainted.parts.iter().map(|part| Part { case, ..*part }));
        }
    }

    fn in_chain_order(self) -> Vec<Tainted> {
        let whole = |(output, (value_sat, mut parts)): (OutputNum, (u64, Vec<Part>))| {
            parts.sort_by_key(|part| (part.start_sat, part.case));
            Tainted { output, value_sat, parts: Parts::from(&*parts) }
        };
        self.0.into_iter().map(whole).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::{Memory, Payment},
        taint::{Method, trace},
    };

    /// Five units of the first theft and five clean ones become an output of ten, the second theft's.
    fn graph() -> Memory {
        let payments: [Payment<'_>; 4] =
            [(&[], &[5]), (&[], &[5]), (&[(0, 0), (1, 0)], &[10]), (&[(2, 0)], &[6, 3])];
        Memory::of_payments(&payments).unwrap()
    }

    fn case(seed: u64) -> Case {
        Case { seeds: vec![OutputNum::new(seed)] }
    }

    #[test]
    fn each_case_has_what_it_has_alone_whatever_order_they_are_given_in() {
        let graph = graph();
        for method in Method::ALL {
            let terms = Terms::new(method);
            for cases in [[case(0), case(2)], [case(2), case(0)]] {
                let found = trace_apart(&graph, &cases, &terms, |_, _| {}).unwrap();
                assert_eq!((found.cases.len(), found.overlaps.len()), (2, 0));
                for (place, traced) in (0..).zip(&found.cases) {
                    let alone = trace(&graph, &cases[traced.asked..=traced.asked], &terms).unwrap();
                    assert_eq!(traced.totals, alone.cases[0].totals, "{method} {place}");
                    assert_eq!(traced.seeds, alone.cases[0].seeds);
                    let of = |tainted: &Tainted, place| (tainted.output, tainted.of(CaseNum::new(place)));
                    let both: Vec<_> = found.unspent.iter().map(|tainted| of(tainted, place)).collect();
                    let both: Vec<_> = both.into_iter().filter(|(_, sat)| *sat > 0).collect();
                    let alone: Vec<_> = alone.unspent.iter().map(|tainted| of(tainted, 0)).collect();
                    assert_eq!(both, alone, "{method} {place}");
                }
            }
        }
    }

    #[test]
    fn units_that_two_cases_claim_count_in_each_and_no_output_has_more_than_its_value() {
        let (graph, cases) = (graph(), [case(0), case(2)]);
        let terms = Terms::new(Method::Fifo);
        let apart = trace_apart(&graph, &cases, &terms, |_, _| {}).unwrap();
        assert_eq!(apart.cases[1].totals.stolen_sat, 10);
        assert_eq!(trace(&graph, &cases, &terms).unwrap().cases[1].totals.stolen_sat, 5);
        let first = &apart.unspent[0];
        assert_eq!((first.of(CaseNum::new(0)), first.of(CaseNum::new(1))), (5, 6));
        assert_eq!(first.tainted_sat(), 6);
        assert_eq!(trace_apart(&graph, &[], &terms, |_, _| {}), Err(TaintError::NoSeed));
    }
}
