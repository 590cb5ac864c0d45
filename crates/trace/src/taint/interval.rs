//! How many stolen units an output holds at least and at most, when nobody knows who is who in a mix.
//!
//! Outside of mixes taint is handed on by haircut. In a mix every interpretation counts ([`mix::bounds`]); where it is too large
//! for that, only what holds for every transaction ([`mix::flow_bounds`]). What comes out is a pair of bounds for each output, and
//! haircut's own answer always lies within them. Decides nothing about who owns what.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Height;

use super::{
    flow::{check_inside, limit},
    mix::{self, Bounds, Input},
    share::Shares,
    terms::{Case, Stops, TaintError, outpoint},
};
use crate::{
    cluster::looks_like_coinjoin,
    graph::{Fate, Graph, OutputNum, Tip, TxNum},
};

/// Bounds for one output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The output.
    pub output: OutputNum,
    /// All its units.
    pub value_sat: u64,
    /// How many of them are stolen.
    pub bounds: Bounds,
}

/// A mix that stolen units went into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mix {
    /// The transaction.
    pub tx: TxNum,
    /// Whether all its interpretations were looked through.
    pub is_exact: bool,
}

/// Bounds for everything that stolen units may be in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intervals {
    /// The last block of the graph.
    pub tip: Tip,
    /// Unspent outputs, in chain order.
    pub unspent: Vec<Held>,
    /// Outputs at stops, in chain order.
    pub stopped: Vec<Held>,
    /// Mixes, in chain order.
    pub mixes: Vec<Mix>,
}

impl Intervals {
    /// The units whose place is certain: Σ of the fewest over the outputs.
    #[must_use]
    pub fn certain_sat(&self) -> u128 {
        let held = self.unspent.iter().chain(&self.stopped);
        held.fold(0, |sum, held| sum.saturating_add(u128::from(held.bounds.least_sat)))
    }
}

/// Follows the units of one case through the graph, up to a block or to the tip.
///
/// # Errors
/// Seeds or an end that the graph does not have; a graph that contradicts itself.
pub fn intervals<G: Graph>(
    graph: &G,
    case: &Case,
    until: Option<Height>,
    stops: &Stops,
) -> Result<Intervals, TaintError> {
    graph.reading(|| walked(graph, case, until, stops))?
}

fn walked<G: Graph>(
    graph: &G,
    case: &Case,
    until: Option<Height>,
    stops: &Stops,
) -> Result<Intervals, TaintError> {
    let tip = graph.tip().ok_or(TaintError::Empty)?;
    let limit = limit(graph, tip, until)?;
    let seeds: BTreeSet<OutputNum> = case.seeds.iter().copied().collect();
    if seeds.is_empty() {
        return Err(TaintError::NoSeed);
    }
    let found = Intervals { tip, unspent: Vec::new(), stopped: Vec::new(), mixes: Vec::new() };
    let mut walk =
        Walk { graph, limit, stops, seeds, waiting: BTreeMap::new(), shares: Shares::default(), found };
    for seed in walk.seeds.clone() {
        let tx = graph.creator(seed);
        if tx.number() >= limit {
            let (height, until) = (graph.height(tx), until.unwrap_or(tip.height));
            return Err(TaintError::SeedAfter { outpoint: outpoint(graph, seed), height, until });
        }
        let value_sat = graph.value(seed);
        walk.settle(Held {
            output: seed,
            value_sat,
            bounds: Bounds { least_sat: value_sat, most_sat: value_sat },
        });
    }
    while let Some((tx, arrived)) = walk.waiting.pop_first() {
        walk.pass(tx, &arrived)?;
    }
    walk.found.unspent.sort_unstable_by_key(|held| held.output);
    walk.found.stopped.sort_unstable_by_key(|held| held.output);
    Ok(walk.found)
}

struct Walk<'a, G> {
    graph: &'a G,
    limit: u64,
    stops: &'a Stops,
    seeds: BTreeSet<OutputNum>,
    /// What comes into a transaction, by the transaction.
    waiting: BTreeMap<TxNum, BTreeMap<OutputNum, Bounds>>,
    shares: Shares,
    found: Intervals,
}

impl<G: Graph> Walk<'_, G> {
    fn pass(&mut self, tx: TxNum, arrived: &BTreeMap<OutputNum, Bounds>) -> Result<(), TaintError> {
        let graph = self.graph;
        check_inside(graph, tx)?;
        let clean = Bounds { least_sat: 0, most_sat: 0 };
        let input = |output: OutputNum| {
            let Bounds { least_sat, most_sat } = arrived.get(&output).copied().unwrap_or(clean);
            Input { value_sat: graph.value(output), least_sat, most_sat }
        };
        let inputs: Vec<Input> = graph.inputs(tx).map(input).collect();
        let outputs = graph.outputs(tx).map(OutputNum::new);
        let values: Vec<u64> = outputs.clone().map(|output| graph.value(output)).collect();
        let bounds = if looks_like_coinjoin(graph, tx) {
            let exact = mix::bounds(&inputs, &values);
            self.found.mixes.push(Mix { tx, is_exact: exact.is_some() });
            exact.unwrap_or_else(|| mix::flow_bounds(&inputs, &values))
        } else {
            self.haircut(tx, &inputs, &values)?
        };
        for (output, (value_sat, bounds)) in outputs.zip(values.into_iter().zip(bounds)) {
            // A seed is stolen wholly, whatever comes to it besides.
            if !self.seeds.contains(&output) {
                self.settle(Held { output, value_sat, bounds });
            }
        }
        Ok(())
    }

    fn haircut(&mut self, tx: TxNum, inputs: &[Input], values: &[u64]) -> Result<Vec<Bounds>, TaintError> {
        let too_much = || TaintError::Sum { txid: self.graph.txid(tx) };
        let sum = |of: fn(&Input) -> u64| {
            inputs.iter().try_fold(0_u64, |sum, input| sum.checked_add(of(input))).ok_or_else(too_much)
        };
        let whole = sum(|input| input.value_sat)?;
        let (least, most) = (sum(|input| input.least_sat)?, sum(|input| input.most_sat)?);
        let left = values.iter().try_fold(whole, |left, value| left.checked_sub(*value));
        let overspent = || TaintError::Overspent { txid: self.graph.txid(tx), inputs_sat: whole };
        let left = left.ok_or_else(overspent)?;
        if least == most {
            let rooms: Vec<u64> = values.iter().copied().chain([left]).collect();
            self.shares.split(&rooms, least, whole);
            let point = |share: &u64| Bounds { least_sat: *share, most_sat: *share };
            return Ok(self.shares.by_room().iter().take(values.len()).map(point).collect());
        }
        // The two ends have no common remainders to give out, so they are rounded outwards.
        let (least, most) = (mix::Ratio { of: least, whole }, mix::Ratio { of: most, whole });
        let bounds = |value: &u64| Bounds { least_sat: least.floor(*value), most_sat: most.ceil(*value) };
        Ok(values.iter().map(bounds).collect())
    }

    fn settle(&mut self, held: Held) {
        let graph = self.graph;
        if held.bounds.most_sat == 0 {
            return;
        }
        match graph.fate(held.output) {
            Fate::Spendable => {}
            Fate::Unspendable | Fate::Shielded => return,
        }
        let at_stop = graph.address(held.output).is_some_and(|own| self.stops.addresses.contains(&own));
        if at_stop || self.stops.outputs.contains(&held.output) {
            return self.found.stopped.push(held);
        }
        match graph.spender(held.output).filter(|spender| spender.number() < self.limit) {
            Some(spender) => {
                self.waiting.entry(spender).or_default().insert(held.output, held.bounds);
            }
            None => self.found.unspent.push(held),
        }
    }
}
