//! One transaction or one block, worked out beside the state: nothing has changed when an answer fails to come.
//!
//! Decides which transactions are looked at: those that spend what is held, and those with seeds.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Txid;
use kuraban_chain::btc::{OutPoint, TxOut};

use super::{
    Connected, Live, StepError,
    flow::{Entering, Flow, Making, Overspent, Settling, add, output},
    held::{CasePlace, Held, Ofs, outpoint},
    keyed::{Map, Set},
    pool::Waiting,
    source::Source,
};
use crate::{
    graph::Node,
    taint::{Part, Parts, Totals},
};

/// What each method of a case has of some units.
pub(super) type Taints = Vec<Vec<Part>>;
/// Totals of cases, by method.
pub(super) type AllTotals = BTreeMap<CasePlace, Vec<Totals>>;

/// What a transaction makes of what comes into it.
pub(super) struct Outcome {
    /// By output.
    pub made: BTreeMap<u32, Ofs>,
    /// What each case leaves over.
    pub rest: Vec<(CasePlace, Taints)>,
}

/// A transaction that is looked at.
#[derive(Clone, Copy)]
pub(super) struct Looked<'a> {
    pub txid: Txid,
    pub outputs: &'a [TxOut],
    /// Whether the chain's rules let nobody spend its outputs.
    pub void: bool,
}

impl Live {
    /// Whether a transaction must be looked at.
    pub(super) fn concerns<'a>(
        &self,
        txid: &Txid,
        inputs: impl IntoIterator<Item = &'a OutPoint>,
        nearer: &Map<OutPoint, Held>,
    ) -> bool {
        let held = |input| nearer.get(input).or_else(|| self.held.get(input)).is_some_and(Held::goes_on);
        let near = !nearer.is_empty() || !self.held.is_empty();
        (near && inputs.into_iter().any(held)) || (!self.seeds.is_empty() && self.seeds.contains_key(txid))
    }

    /// Seeds of a transaction, with their cases.
    fn seeds_of(&self, txid: &Txid) -> &[(CasePlace, u32)] {
        self.seeds.get(txid).map(Vec::as_slice).unwrap_or_default()
    }

    /// The cases that outputs or seeds bring into a transaction.
    pub(super) fn cases_in<'a>(
        &self,
        txid: &Txid,
        held: impl IntoIterator<Item = &'a Held>,
    ) -> BTreeSet<CasePlace> {
        let followed = held.into_iter().flat_map(|held| held.of.iter()).filter(|of| of.stop.is_none());
        let seeds = self.seeds_of(txid).iter().map(|(case, _)| *case);
        followed.map(|of| of.case).chain(seeds).collect()
    }

    /// Lets what comes into a transaction land, case by case; `entering` gives a case's inputs.
    pub(super) fn work<'e, S: Source>(
        &self,
        looked: Looked<'_>,
        cases: BTreeSet<CasePlace>,
        entering: impl Fn(CasePlace) -> Vec<Entering<'e>>,
        (flow, totals): (&mut Flow, &mut AllTotals),
        source: &mut S,
    ) -> Result<Outcome, StepError<S::Error>> {
        let mut outcome = Outcome { made: BTreeMap::new(), rest: Vec::new() };
        for case in cases {
            let Some(followed) = self.open_case(case) else { continue };
            let rules = &followed.opened.rules;
            let entering = entering(case);
            let seeds = self.seeds_of(&looked.txid).iter().filter(|(of, _)| *of == case);
            let seeds: Vec<u32> = seeds.map(|(_, vout)| *vout).collect();
            let making = Making { txid: looked.txid, outputs: looked.outputs, seeds: &seeds };
            let went = flow.through(rules, &entering, making)?;
            let totals = totals.entry(case).or_insert_with(|| followed.totals.clone());
            for (totals, stolen) in totals.iter_mut().zip(&went.stolen) {
                totals.stolen_sat = totals.stolen_sat.saturating_add(u128::from(*stolen));
            }
            let settling =
                Settling { network: self.network, case, opened: &followed.opened, void: looked.void };
            for (vout, taints) in went.outputs {
                let Some(output) = output(looked.outputs, vout) else { continue };
                let of = settling.settle(output, taints, totals, source).map_err(StepError::Source)?;
                if let Some(of) = of {
                    outcome.made.entry(vout).or_default().push(of);
                }
            }
            outcome.rest.push((case, went.rest));
        }
        Ok(outcome)
    }
}

/// What comes into a transaction of a case, from inputs of which some are held.
pub(super) fn entering<'a>(values: &[u64], held: &[Option<&'a Held>], case: CasePlace) -> Vec<Entering<'a>> {
    let taints = held.iter().map(|held| held.and_then(|held| held.followed(case)));
    values.iter().zip(taints).map(|(value_sat, taints)| Entering { value_sat: *value_sat, taints }).collect()
}

/// What a block changes.
#[derive(Default)]
pub(super) struct Worked {
    /// Tainted outputs that are there after it.
    pub made: Map<OutPoint, Held>,
    /// Held ones that it spends or whose place it takes.
    pub gone: Set<OutPoint>,
    /// The new totals of the cases that it touches.
    pub totals: AllTotals,
    /// The transactions that taint came into.
    pub touched: Vec<Waiting>,
}

/// A block that is being worked out.
pub(super) struct Step<'a, S> {
    live: &'a Live,
    block: &'a Connected<'a>,
    source: &'a mut S,
    flow: &'a mut Flow,
    /// Tainted fees of cases that follow them, by the transaction's place in the block.
    fees: BTreeMap<CasePlace, BTreeMap<usize, Box<[Parts]>>>,
    /// The block's transactions by id, once somebody had to ask.
    places: Option<Map<Txid, usize>>,
    pub done: Worked,
}

impl<'a, S: Source> Step<'a, S> {
    pub(super) fn new(
        live: &'a Live,
        block: &'a Connected<'a>,
        source: &'a mut S,
        flow: &'a mut Flow,
    ) -> Self {
        let done = Worked::default();
        Self { live, block, source, flow, fees: BTreeMap::new(), places: None, done }
    }

    pub(super) fn run(&mut self) -> Result<(), StepError<S::Error>> {
        let nodes = self.block.nodes;
        // Look-ups among all that is held come first: what they wait for does not wait for each other.
        let none = Map::default();
        let concerns = |node: &Node| self.live.concerns(&node.txid, &node.inputs, &none);
        let concerned: Vec<bool> = nodes.iter().map(concerns).collect();
        let spending =
            nodes.iter().zip(concerned).enumerate().filter(|(_, (node, _))| !node.inputs.is_empty());
        for (place, (node, concerned)) in spending {
            let made = |input| self.done.made.get(input).is_some_and(Held::goes_on);
            if concerned || (!self.done.made.is_empty() && node.inputs.iter().any(made)) {
                self.spend(place, node)?;
            }
        }
        // A coinbase is worked out last: fees come into it, and nothing in its block can spend it.
        nodes.iter().filter(|node| node.inputs.is_empty()).try_for_each(|node| self.coinbase(node))
    }

    /// A tainted output as the block's transactions so far leave it, whether spent or not.
    fn near(&self, output: &OutPoint) -> Option<&Held> {
        self.done.made.get(output).or_else(|| self.live.held.get(output))
    }

    fn looked<'n>(&self, node: &'n Node) -> Looked<'n> {
        let void = self.block.hash == self.live.network.genesis_hash();
        Looked { txid: node.txid, outputs: &node.outputs, void }
    }

    fn spend(&mut self, place: usize, node: &Node) -> Result<(), StepError<S::Error>> {
        let looked = self.looked(node);
        // Seeds alone need no values.
        let tainted = node.inputs.iter().any(|input| self.near(input).is_some_and(Held::goes_on));
        let values = if tainted { self.values(node)? } else { Vec::new() };
        let Self { live, source, flow, done: Worked { made, gone, totals, .. }, .. } = self;
        let near = |input| made.get(input).or_else(|| live.held.get(input));
        let held: Vec<Option<&Held>> = node.inputs.iter().map(near).collect();
        let cases = live.cases_in(&node.txid, held.iter().copied().flatten());
        let entering = |case| entering(&values, &held, case);
        let outcome = live.work(looked, cases, entering, (&mut **flow, totals), *source)?;
        let going = held.iter().map(|held| held.filter(|held| held.goes_on()).map(Held::stays));
        let going: Vec<Option<Option<Held>>> = going.collect();
        for (input, stays) in node.inputs.iter().zip(going) {
            let Some(stays) = stays else { continue };
            if made.remove(input).is_none() {
                gone.insert(*input);
            }
            made.extend(stays.map(|stays| (*input, stays)));
        }
        for (case, rest) in outcome.rest {
            self.leave(place, case, rest);
        }
        self.take_up(node, outcome.made);
        let values = tainted.then(|| values.into());
        self.done.touched.push(Waiting { values, ..Waiting::of(node) });
        Ok(())
    }

    /// Counts a fee, or keeps it for the block's coinbase.
    fn leave(&mut self, place: usize, case: CasePlace, rest: Taints) {
        let Some(followed) = self.live.open_case(case) else { return };
        if rest.iter().all(Vec::is_empty) {
            return;
        }
        if followed.opened.rules.follow_fees {
            let rest = rest.iter().map(|parts| Parts::from(&**parts)).collect();
            self.fees.entry(case).or_default().insert(place, rest);
        } else if let Some(totals) = self.done.totals.get_mut(&case) {
            add(totals, &rest, |totals| totals.fees_sat.as_mut());
        }
    }

    fn take_up(&mut self, node: &Node, made: BTreeMap<u32, Ofs>) {
        for (vout, of) in made {
            let Some(TxOut { value_sat, script }) = output(&node.outputs, vout) else { continue };
            let (script, height) = (script.as_bytes().into(), Some(self.block.height.blocks()));
            let held = Held { value_sat: *value_sat, script, height, of };
            self.done.made.insert(outpoint(node.txid, vout), held);
        }
    }

    fn coinbase(&mut self, node: &Node) -> Result<(), StepError<S::Error>> {
        self.take_place(node);
        let tainted = core::mem::take(&mut self.fees);
        let mut cases = self.live.cases_in(&node.txid, []);
        cases.extend(tainted.keys());
        if cases.is_empty() {
            return Ok(());
        }
        // The implicit inputs are the subsidy, then the fees of the block's transactions in their order.
        let fees = if tainted.is_empty() { Vec::new() } else { self.every_fee()? };
        let subsidy_sat = self.live.network.subsidy_sat(self.block.height);
        let entering = |case| {
            let Some(tainted) = tainted.get(&case) else { return Vec::new() };
            let fees = fees.iter().map(|(place, fee_sat)| Entering {
                value_sat: *fee_sat,
                taints: tainted.get(place).map(|taints| &**taints),
            });
            core::iter::once(Entering { value_sat: subsidy_sat, taints: None }).chain(fees).collect()
        };
        let looked = self.looked(node);
        let scratch = (&mut *self.flow, &mut self.done.totals);
        let outcome = self.live.work(looked, cases, entering, scratch, self.source)?;
        for (case, rest) in outcome.rest {
            if let Some(totals) = self.done.totals.get_mut(&case) {
                add(totals, &rest, |totals| totals.burned_sat.as_mut());
            }
        }
        self.take_up(node, outcome.made);
        Ok(())
    }

    /// A coinbase with the id of an earlier one takes its place (before BIP 34): what was there is burned.
    fn take_place(&mut self, node: &Node) {
        for (vout, _) in (0..).zip(&node.outputs) {
            let output = outpoint(node.txid, vout);
            let Some(held) = self.live.held.get(&output).filter(|_| !self.done.gone.contains(&output)) else {
                continue;
            };
            self.done.gone.insert(output);
            for of in held.of.iter() {
                let Some(followed) = self.live.open_case(of.case) else { continue };
                let totals = self.done.totals.entry(of.case).or_insert_with(|| followed.totals.clone());
                let taints: Taints = of.taints.iter().map(|parts| parts.to_vec()).collect();
                add(totals, &taints, |totals| totals.burned_sat.as_mut());
                if of.stop.is_some() {
                    for (totals, parts) in totals.iter_mut().zip(&taints) {
                        let units = u128::from(super::held::sum(parts));
                        totals.stopped_sat = totals.stopped_sat.saturating_sub(units);
                    }
                }
            }
        }
    }

    /// Every transaction's fee but the coinbase's, with its place in the block.
    fn every_fee(&mut self) -> Result<Vec<(usize, u64)>, StepError<S::Error>> {
        let nodes = self.block.nodes;
        let spending = nodes.iter().enumerate().filter(|(_, node)| !node.inputs.is_empty());
        let mut fees = Vec::with_capacity(nodes.len());
        for (place, node) in spending {
            let values = self.values(node)?;
            let inputs_sat = values.iter().try_fold(0_u64, |sum, value| sum.checked_add(*value));
            let fee_sat = inputs_sat.and_then(|inputs_sat| {
                node.outputs.iter().try_fold(inputs_sat, |left, output| left.checked_sub(output.value_sat))
            });
            let over = || Overspent { txid: node.txid, inputs_sat: inputs_sat.unwrap_or(u64::MAX) };
            fees.push((place, fee_sat.ok_or_else(over)?));
        }
        Ok(fees)
    }

    /// What a transaction's inputs are worth: from what is held, the block itself, transactions that wait, or the source.
    fn values(&mut self, node: &Node) -> Result<Vec<u64>, StepError<S::Error>> {
        node.inputs.iter().map(|input| self.value(input)).collect()
    }

    fn value(&mut self, input: &OutPoint) -> Result<u64, StepError<S::Error>> {
        if let Some(held) = self.near(input) {
            return Ok(held.value_sat);
        }
        let nodes = self.block.nodes;
        let places = self.places.get_or_insert_with(|| {
            nodes.iter().enumerate().map(|(place, node)| (node.txid, place)).collect()
        });
        let here = places.get(&input.txid).and_then(|place| nodes.get(*place));
        let known = here.and_then(|node| output(&node.outputs, input.vout)).map(|output| output.value_sat);
        let waits = || self.live.pool.txs.get(&input.txid)?.outputs.value_sat(input.vout);
        match known.or_else(waits) {
            Some(value_sat) => Ok(value_sat),
            None => self.source.value_sat(input).map_err(StepError::Source),
        }
    }
}
