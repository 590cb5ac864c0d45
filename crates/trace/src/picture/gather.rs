//! Traces by several methods and keeps every step of every one: the whole of what can be drawn.
//!
//! Decides what a picture has room for: the outputs that weigh most.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Amounts, Flow, LeftOut, Node, Picture, Share, order, weight};
use crate::{
    accounts::Rule,
    graph::{Graph, OutputNum, TxNum},
    taint::{Case, CaseNum, End, Method, Part, Step, TaintError, Terms, Trace, trace_steps},
};

/// Traces cases by each of the methods, on terms that are the same but for it, and lays out what they found. At most
/// `flows_max` outputs are kept, [`super::FLOWS_MAX`] for a report. `seen` is told of the method's place and each transaction
/// that stolen units come into, in the order of processing.
///
/// # Errors
/// There is no trace.
pub fn trace_picture<G: Graph>(
    graph: &G,
    cases: &[Case],
    terms: &Terms,
    methods: &[Method],
    flows_max: usize,
    mut seen: impl FnMut(usize, TxNum),
) -> Result<(Vec<Trace>, Picture), TaintError> {
    let mut gathered = Gathered { shares: (cases.len() > 1).then(BTreeMap::new), ..Gathered::default() };
    let mut traces = Vec::with_capacity(methods.len());
    for (place, method) in methods.iter().enumerate() {
        let terms = Terms { method: *method, ..terms.clone() };
        let found = trace_steps(graph, cases, &terms, |step| {
            if let Step::Into { tx, .. } = step {
                seen(place, tx);
            }
            gathered.take(place, step);
        })?;
        traces.push(found);
    }
    let methods: Vec<Rule> = methods.iter().map(|method| Rule::Of(*method)).collect();
    Ok((traces, gathered.lay_out(graph, cases, &methods, flows_max)))
}

/// What is known of a transaction.
#[derive(Clone, Copy, Default)]
struct Seen {
    order: u64,
    fees: Amounts,
    unclaimed: Amounts,
}

/// What carries units: an output, or a fee on its way to a coinbase.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Carrier {
    Output(OutputNum),
    Fee { from: TxNum, to: TxNum },
}

#[derive(Clone, Copy)]
struct Carried {
    amounts: Amounts,
    dust: u8,
    end: End,
}

#[derive(Default)]
struct Gathered {
    txs: BTreeMap<TxNum, Seen>,
    carried: BTreeMap<Carrier, Carried>,
    /// What each of several cases has of it.
    shares: Option<BTreeMap<(Carrier, CaseNum), Amounts>>,
}

impl Gathered {
    fn take(&mut self, place: usize, step: Step<'_>) {
        match step {
            Step::Into { tx, order } => {
                let seen = self.txs.entry(tx).or_default();
                // Where fees are followed, some methods take a coinbase at the start of its block and others at its end.
                seen.order = seen.order.max(order);
            }
            Step::Output { output, parts, end, .. } => {
                self.carry(place, Carrier::Output(output), parts, end);
            }
            Step::Fee { tx, parts, into: Some(to) } => {
                self.carry(place, Carrier::Fee { from: tx, to }, parts, End::Spent(to));
            }
            Step::Fee { tx, parts, into: None } => {
                self.txs.entry(tx).or_default().fees.add(place, sum(parts));
            }
            Step::Unclaimed { tx, parts } => {
                self.txs.entry(tx).or_default().unclaimed.add(place, sum(parts));
            }
        }
    }

    fn carry(&mut self, place: usize, carrier: Carrier, parts: &[Part], end: End) {
        let fresh = Carried { amounts: Amounts::default(), dust: 0, end };
        let carried = self.carried.entry(carrier).or_insert(fresh);
        carried.amounts.add(place, sum(parts));
        for part in parts {
            if let Some(shares) = &mut self.shares {
                shares.entry((carrier, part.case)).or_default().add(place, part.amount_sat.into());
            }
        }
        if end == End::Dust {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            carried.dust |= 1_u8.checked_shl(place).unwrap_or(0);
        } else {
            carried.end = end;
        }
    }

    fn lay_out<G: Graph>(self, graph: &G, cases: &[Case], methods: &[Rule], flows_max: usize) -> Picture {
        let seeds: BTreeSet<OutputNum> = cases.iter().flat_map(|case| &case.seeds).copied().collect();
        let (kept, mut left_out) = room(self.carried, methods, flows_max);
        let shares =
            self.shares.map(|shares| kept.iter().map(|(carrier, _)| of(&shares, *carrier)).collect());
        let mut txs: Vec<(TxNum, Seen)> = self.txs.into_iter().collect();
        let is_there = used(graph, &kept);
        txs.retain(|(tx, seen)| {
            let there = is_there.contains(tx);
            if !there {
                let fees = &mut left_out.fees;
                (0..methods.len()).for_each(|place| fees.add(place, seen.fees.of(place)));
            }
            there
        });
        txs.sort_by_key(|(tx, seen)| (seen.order, *tx));
        let places: BTreeMap<TxNum, usize> = (1..).zip(&txs).map(|(place, (tx, _))| (*tx, place)).collect();
        let flows: Vec<Flow> = kept
            .into_iter()
            .map(|(carrier, carried)| {
                let Carried { amounts, dust, end } = carried;
                let (output, creator, value_sat) = match carrier {
                    Carrier::Output(output) => {
                        (Some(output), graph.creator(output), u128::from(graph.value(output)))
                    }
                    Carrier::Fee { from, .. } => (None, from, 0_u128),
                };
                let to = spender(end).and_then(|tx| places.get(&tx).copied());
                let seed = output.is_some_and(|output| seeds.contains(&output));
                let from = places.get(&creator).copied().unwrap_or(0);
                Flow { output, from, to, end, seed, value_sat, amounts, dust }
            })
            .collect();
        let theft = (None, Seen::default());
        let nodes = core::iter::once(theft).chain(txs.into_iter().map(|(tx, seen)| (Some(tx), seen)));
        let nodes = nodes.map(|(tx, Seen { fees, unclaimed, .. })| Node {
            tx,
            layer: 0,
            rank: 0,
            parent: 0,
            fees,
            unclaimed,
        });
        let (methods, nodes, shares) = (methods.to_vec(), nodes.collect(), shares.unwrap_or_default());
        let mut picture = Picture { methods, nodes, flows, shares, left_out };
        order::arrange(&mut picture);
        picture
    }
}

/// What each case has of one carrier, the earliest first.
fn of(shares: &BTreeMap<(Carrier, CaseNum), Amounts>, carrier: Carrier) -> Vec<Share> {
    let all = shares.range((carrier, CaseNum::new(0))..=(carrier, CaseNum::new(u32::MAX)));
    all.map(|((_, case), amounts)| Share { case: *case, amounts: *amounts }).collect()
}

/// The transaction that spends it, where one does.
pub(super) const fn spender(end: End) -> Option<TxNum> {
    match end {
        End::Spent(tx) => Some(tx),
        End::Unspent | End::Stopped | End::Dust | End::Burned | End::Shielded => None,
    }
}

/// Keeps what weighs most, in chain order, and counts the rest.
fn room(
    carried: BTreeMap<Carrier, Carried>,
    methods: &[Rule],
    flows_max: usize,
) -> (Vec<(Carrier, Carried)>, LeftOut) {
    let mut all: Vec<(Carrier, Carried)> = carried.into_iter().collect();
    let mut left_out = LeftOut::default();
    if all.len() > flows_max {
        all.sort_by_key(|(carrier, carried)| (Reverse(weight(methods, &carried.amounts)), *carrier));
        for (_, gone) in all.drain(flows_max..) {
            left_out.flows = left_out.flows.saturating_add(1);
            if spender(gone.end).is_none() {
                left_out.ends = left_out.ends.saturating_add(1);
                (0..methods.len()).for_each(|place| left_out.amounts.add(place, gone.amounts.of(place)));
            }
        }
        all.sort_by_key(|(carrier, _)| *carrier);
    }
    (all, left_out)
}

/// Transactions that something kept leaves or feeds.
fn used<G: Graph>(graph: &G, kept: &[(Carrier, Carried)]) -> BTreeSet<TxNum> {
    let ends = kept.iter().flat_map(|(carrier, carried)| {
        let from = match carrier {
            Carrier::Output(output) => graph.creator(*output),
            Carrier::Fee { from, .. } => *from,
        };
        [Some(from), spender(carried.end)]
    });
    ends.flatten().collect()
}

fn sum(parts: &[Part]) -> u128 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.amount_sat.into()))
}
