//! One transaction: where the units that come into it go, for each case and method, and what becomes of them there.
//!
//! Decides by the rules of [`crate::taint`] alone, and shares their code with the batch trace.

use std::collections::BTreeMap;

use kuraban_base::Txid;
use kuraban_chain::btc::{Network, TxOut};

use super::{
    held::{CasePlace, Of, sum},
    source::Source,
};
use crate::{
    feed::{Opened, Rules},
    graph::Fate,
    taint::{CaseNum, Landed, Part, Parts, Shares, Spend, Totals, claim, land, lengthen},
};

/// Each case is followed as if it were the only one.
const ONLY: CaseNum = CaseNum::new(0);

/// An input, or a fee that a coinbase takes in.
pub(super) struct Entering<'a> {
    pub value_sat: u64,
    /// What it has of the case, for each method; nothing if it is clean.
    pub taints: Option<&'a [Parts]>,
}

/// Values that do not fit: the source of clean values, or the transaction, is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{txid} takes in {inputs_sat} base units and gives out more")]
pub struct Overspent {
    /// The transaction.
    pub txid: Txid,
    /// What its inputs are worth together.
    pub inputs_sat: u64,
}

/// Where one case's units land in one transaction.
pub(super) struct Went {
    /// For each output that got some and each method.
    pub outputs: BTreeMap<u32, Vec<Vec<Part>>>,
    /// What the outputs left over, for each method.
    pub rest: Vec<Vec<Part>>,
    /// What seeds claimed, for each method.
    pub stolen: Vec<u64>,
}

/// A transaction as far as flows need it.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub txid: Txid,
    pub outputs: &'a [TxOut],
    /// Outputs that are seeds of the case.
    pub seeds: &'a [u32],
}

/// Room to work in, kept from one transaction to the next.
#[derive(Debug, Default)]
pub(super) struct Flow {
    spend: Spend,
    shares: Shares,
    landed: Landed,
}

impl Flow {
    /// Lets one case's units go through a transaction. Without tainted inputs only seeds claim theirs.
    pub(super) fn through(
        &mut self,
        rules: &Rules,
        entering: &[Entering<'_>],
        making: Making<'_>,
    ) -> Result<Went, Overspent> {
        let methods = rules.methods.len();
        let none = || vec![Vec::new(); methods];
        let mut went = Went { outputs: BTreeMap::new(), rest: none(), stolen: vec![0; methods] };
        let tainted = entering.iter().any(|input| input.taints.is_some());
        for (place, method) in rules.methods.iter().enumerate() {
            self.landed.clear();
            if tainted {
                self.line_up(*method, place, entering, making)?;
                land(*method, &mut self.spend, &mut self.shares, &mut self.landed);
            }
            for (room, parts) in self.landed.by_room() {
                let slot = match u32::try_from(room) {
                    Ok(vout) if room < making.outputs.len() => {
                        went.outputs.entry(vout).or_insert_with(none).get_mut(place)
                    }
                    Ok(_) | Err(_) => went.rest.get_mut(place),
                };
                if let Some(slot) = slot {
                    *slot = parts.to_vec();
                }
            }
            for vout in making.seeds {
                let value_sat = output(making.outputs, *vout).map_or(0, |output| output.value_sat);
                let slot = went.outputs.entry(*vout).or_insert_with(none).get_mut(place);
                if let (Some(parts), Some(stolen)) = (slot, went.stolen.get_mut(place)) {
                    *stolen = stolen.saturating_add(claim(*method, value_sat, ONLY, parts));
                }
            }
        }
        Ok(went)
    }

    fn line_up(
        &mut self,
        method: crate::taint::Method,
        place: usize,
        entering: &[Entering<'_>],
        making: Making<'_>,
    ) -> Result<(), Overspent> {
        let spend = &mut self.spend;
        spend.line.clear();
        spend.rooms.clear();
        let mut whole_sat = 0_u64;
        for input in entering {
            if let Some(parts) = input.taints.and_then(|taints| taints.get(place)) {
                lengthen(method, &mut spend.line, whole_sat, parts);
            }
            let over = Overspent { txid: making.txid, inputs_sat: whole_sat };
            whole_sat = whole_sat.checked_add(input.value_sat).ok_or(over)?;
        }
        spend.whole_sat = whole_sat;
        spend.rooms.extend(making.outputs.iter().map(|output| output.value_sat));
        let left = spend.rooms.iter().try_fold(whole_sat, |left, value| left.checked_sub(*value));
        spend.rooms.push(left.ok_or(Overspent { txid: making.txid, inputs_sat: whole_sat })?);
        Ok(())
    }
}

pub(super) fn output(outputs: &[TxOut], vout: u32) -> Option<&TxOut> {
    outputs.get(usize::try_from(vout).ok()?)
}

/// Whose units are settled.
pub(super) struct Settling<'a> {
    pub network: Network,
    pub case: CasePlace,
    pub opened: &'a Opened,
    /// Whether the chain's rules let nobody spend the outputs, whatever their scripts say.
    pub void: bool,
}

impl Settling<'_> {
    /// Says what becomes of a case's units in an output: the questions and their order are the batch trace's.
    pub(super) fn settle<S: Source>(
        &self,
        output: &TxOut,
        taints: Vec<Vec<Part>>,
        totals: &mut [Totals],
        source: &mut S,
    ) -> Result<Option<Of>, S::Error> {
        if taints.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        let fate = if self.void { Fate::Unspendable } else { Fate::of(self.network, &output.script) };
        match fate {
            Fate::Spendable => {}
            Fate::Unspendable => {
                self.burn(&taints, totals);
                return Ok(None);
            }
            Fate::Shielded => {
                add(totals, &taints, |totals| Some(&mut totals.shielded_sat));
                return Ok(None);
            }
        }
        let kept = |taints: Vec<Vec<Part>>| taints.iter().map(|parts| Parts::from(&**parts)).collect();
        if let Some(to) = source.stop(&output.script, self.opened)? {
            add(totals, &taints, |totals| Some(&mut totals.stopped_sat));
            return Ok(Some(Of { case: self.case, taints: kept(taints), stop: Some(Box::new(to)) }));
        }
        let taints = self.without_dust(taints, totals);
        let any = taints.iter().any(|parts| !parts.is_empty());
        Ok(any.then(|| Of { case: self.case, taints: kept(taints), stop: None }))
    }

    /// Poison counts nothing burned.
    pub(super) fn burn(&self, taints: &[Vec<Part>], totals: &mut [Totals]) {
        add(totals, taints, |totals| totals.burned_sat.as_mut());
    }

    fn without_dust(&self, mut taints: Vec<Vec<Part>>, totals: &mut [Totals]) -> Vec<Vec<Part>> {
        for (place, parts) in taints.iter_mut().enumerate() {
            let held = sum(parts);
            if u128::from(held) < self.opened.rules.dust_units {
                if let Some(totals) = totals.get_mut(place) {
                    totals.dust_sat = totals.dust_sat.saturating_add(u128::from(held));
                }
                parts.clear();
            }
        }
        taints
    }
}

/// Adds what each method has to a place of its totals.
pub(super) fn add(
    totals: &mut [Totals],
    taints: &[Vec<Part>],
    place: impl Fn(&mut Totals) -> Option<&mut u128>,
) {
    for (totals, parts) in totals.iter_mut().zip(taints) {
        if let Some(units) = place(totals) {
            *units = units.saturating_add(u128::from(sum(parts)));
        }
    }
}
