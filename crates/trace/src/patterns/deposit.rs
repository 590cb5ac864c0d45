//! What needs more than one transaction: addresses that an exchange gives its customers, peel chains, tx0 that were used.
//!
//! Decides by what the graph says and by which addresses the caller knows; knows no exchange itself.

use core::hash::Hash;
use std::collections::HashMap;

use super::{Kind, Known, classify, view::View};
use crate::graph::{AddressNum, Graph, OutputNum, TxNum};

/// An address from which nearly everything goes to one service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deposit<S> {
    /// Which service.
    pub service: S,
    /// What the address received and spent, in base units.
    pub spent: u64,
    /// What of it arrived at the service in the same transactions.
    pub forwarded: u64,
}

/// Whether the address that owns these outputs is a deposit address: at least nine tenths of what it spent went to one
/// service at once, and it is not the service's own. `service` names an address's service.
pub fn deposit_address<S: Clone + Eq + Hash>(
    graph: &impl Graph,
    outputs: impl IntoIterator<Item = OutputNum>,
    service: impl Fn(AddressNum) -> Option<S>,
) -> Option<Deposit<S>> {
    let mut spent = 0_u64;
    let mut forwarded: HashMap<S, u64> = HashMap::new();
    for output in outputs {
        let value = graph.value(output);
        let Some(spender) = graph.spender(output) else { continue };
        if graph.address(output).is_some_and(|address| service(address).is_some()) {
            return None;
        }
        spent = spent.saturating_add(value);
        let made = graph.outputs(spender).map(OutputNum::new);
        let mut at: HashMap<S, u128> = HashMap::new();
        let (mut total, mut named) = (0_u128, 0_u128);
        for output in made {
            let worth = u128::from(graph.value(output));
            total = total.saturating_add(worth);
            if let Some(service) = graph.address(output).and_then(&service) {
                *at.entry(service).or_insert(0) += worth;
                named = named.saturating_add(worth);
            }
        }
        // A coin's part of an output is in proportion, as in the haircut; rounding favours no service.
        for (service, worth) in at {
            let share = u128::from(value).saturating_mul(worth).checked_div(total).unwrap_or(0);
            let sum = forwarded.entry(service).or_insert(0);
            *sum = sum.saturating_add(u64::try_from(share).unwrap_or(u64::MAX));
        }
    }
    let (service, forwarded) = forwarded.into_iter().max_by_key(|(_, forwarded)| *forwarded)?;
    let most = u128::from(forwarded).saturating_mul(10) >= u128::from(spent).saturating_mul(9);
    most.then_some(Deposit { service, spent, forwarded })
}

/// The transactions of a peel chain from this one on: each spends one coin and makes two, and the larger one goes on. At
/// most `hops_max` of them; fewer than two are no chain.
#[must_use]
pub fn peel_chain(graph: &impl Graph, from: TxNum, hops_max: usize) -> Vec<TxNum> {
    let mut chain = Vec::new();
    let mut next = Some(from);
    while let Some(tx) = next.filter(|_| chain.len() < hops_max) {
        let outputs = graph.outputs(tx);
        if graph.inputs(tx).count() != 1 || outputs.end.saturating_sub(outputs.start) != 2 {
            break;
        }
        chain.push(tx);
        let larger = outputs.map(OutputNum::new).max_by_key(|output| graph.value(*output));
        next = larger.and_then(|output| graph.spender(output));
    }
    if chain.len() < 2 {
        chain.clear();
    }
    chain
}

/// Whether one of the first twenty equal outputs of a tx0 is spent in a Whirlpool mix: then its confidence is 90.
#[must_use]
pub fn tx0_confirmed(graph: &impl Graph, tx: TxNum, known: Known) -> bool {
    const OUTPUTS_MAX: usize = 20;
    let Ok(view) = View::of_graph(graph, tx) else { return false };
    let Some((premix, _)) = view.mode() else { return false };
    let premixes = graph.outputs(tx).map(OutputNum::new).filter(|output| graph.value(*output) == premix);
    let mixed = |output: OutputNum| {
        let spender = graph.spender(output)?;
        let view = View::of_graph(graph, spender).ok()?;
        classify(&view, known).iter().any(|label| label.kind == Kind::Whirlpool).then_some(())
    };
    premixes.take(OUTPUTS_MAX).any(|output| mixed(output).is_some())
}
