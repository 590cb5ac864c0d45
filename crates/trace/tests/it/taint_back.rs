//! The walk backwards beside the walk forward, and beside a dense reference.

use std::collections::HashMap;

use kuraban_base::Height;
use kuraban_chain::btc::{Network, OutPoint};
use kuraban_trace::{
    graph::{Graph as _, Memory, OutputNum},
    taint::{BackTerms, Case, Method, Reversed, Terms, origins, outpoint, seed, trace},
};
use proptest::prelude::*;

use crate::{
    taint_dense::proportional,
    taint_random::{Block, graph, outpoints, plan},
};

/// What each output of an earlier block, seeded alone, has in `target` by the walk forward.
fn forward(
    graph: &Memory,
    chain: &[Block],
    since: Height,
    target: OutputNum,
    method: Method,
) -> HashMap<OutputNum, u64> {
    let mut found = HashMap::new();
    let terms = Terms { follow_fees: true, ..Terms::new(method) };
    for (at, height) in outpoints(chain) {
        let source = seed(graph, at).unwrap();
        let spent_later = graph.spender(source).is_some_and(|tx| graph.height(tx) >= since);
        if height >= since || !spent_later {
            continue;
        }
        let forward = trace(graph, &[Case { seeds: vec![source] }], &terms).unwrap();
        let here = forward.unspent.iter().find(|tainted| tainted.output == target);
        found.extend(here.map(|tainted| (source, tainted.tainted_sat())));
    }
    found
}

/// Haircut in reverse through every transaction of the chain.
fn dense(chain: &[Block], target: OutPoint, value: usize) -> (HashMap<Height, usize>, usize) {
    let mut amounts: HashMap<OutPoint, usize> = HashMap::from([(target, value)]);
    let values: HashMap<OutPoint, u64> = chain
        .iter()
        .flat_map(|block| &block.nodes)
        .flat_map(|node| {
            let own = (0..).zip(&node.outputs);
            own.map(|(vout, output)| (OutPoint { txid: node.txid, vout }, output.value_sat))
        })
        .collect();
    let size = |at: &OutPoint| usize::try_from(values[at]).unwrap();
    let sum = |node: &kuraban_trace::graph::Node| -> usize {
        node.outputs.iter().map(|output| usize::try_from(output.value_sat).unwrap()).sum()
    };
    let mut minted = HashMap::new();
    for block in chain.iter().rev() {
        let mut taken = |txid| {
            let out: Vec<OutPoint> = amounts.keys().filter(|at| at.txid == txid).copied().collect();
            out.iter().map(|at| amounts.remove(at).unwrap()).sum::<usize>()
        };
        let (coinbase, payments) = block.nodes.split_first().unwrap();
        let subsidy = usize::try_from(Network::BtcRegtest.subsidy_sat(block.height)).unwrap();
        let fees = payments.iter().map(|node| node.inputs.iter().map(&size).sum::<usize>() - sum(node));
        let rewards: Vec<usize> = core::iter::once(subsidy).chain(fees).collect();
        let mut shares = vec![0; rewards.len()];
        proportional(&rewards, taken(coinbase.txid)).into_iter().for_each(|room| shares[room] += 1);
        minted.insert(block.height, shares[0]);
        for (node, fee) in payments.iter().zip(&shares[1..]).rev() {
            let amount = fee + {
                let out: Vec<OutPoint> = amounts.keys().filter(|at| at.txid == node.txid).copied().collect();
                out.iter().map(|at| amounts.remove(at).unwrap()).sum::<usize>()
            };
            let rooms: Vec<usize> = node.inputs.iter().map(&size).collect();
            for room in proportional(&rooms, amount) {
                *amounts.entry(node.inputs[room]).or_default() += 1;
            }
        }
    }
    minted.retain(|_, amount| *amount > 0);
    (minted, amounts.values().sum())
}

fn has_repeats(chain: &[Block]) -> bool {
    let mut all: Vec<OutPoint> = outpoints(chain).into_iter().map(|(at, _)| at).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    all.len() < count
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn backwards_is_forward_turned_round(plan in plan(&[0, 3_750, 4_200], 12), pick in any::<u16>(), back in 0..8_u32) {
        let chain = plan.chain();
        prop_assume!(!has_repeats(&chain));
        let graph = graph(&chain);
        let last = chain.last().unwrap().height;
        let since = Height::new(last.blocks().saturating_sub(back));
        let unspent: Vec<OutputNum> = outpoints(&chain)
            .iter()
            .map(|(at, _)| seed(&graph, *at).unwrap())
            .filter(|at| graph.spender(*at).is_none() && graph.address(*at).is_some())
            .filter(|at| graph.height(graph.creator(*at)) >= since)
            .collect();
        prop_assume!(!unspent.is_empty());
        let target = unspent[usize::from(pick) % unspent.len()];
        for (reversed, method) in [(Reversed::Fifo, Method::Fifo), (Reversed::Lifo, Method::Lifo)] {
            let terms = BackTerms { method: reversed, hops_max: None, since: Some(since) };
            let found = origins(&graph, target, &terms).unwrap();
            prop_assert_eq!(found.total_sat(), graph.value(target));
            let ours: HashMap<OutputNum, u64> =
                found.sources.iter().map(|source| (source.output, source.tainted_sat())).collect();
            prop_assert_eq!(ours, forward(&graph, &chain, since, target, method), "{}", method);
        }
    }

    #[test]
    fn haircut_backwards_is_the_reference(plan in plan(&[3_750, 4_200], 12), hops_max in 0..6_u32) {
        let chain = plan.chain();
        prop_assume!(!has_repeats(&chain));
        let graph = graph(&chain);
        for (at, _) in outpoints(&chain) {
            let target = seed(&graph, at).unwrap();
            prop_assert_eq!(outpoint(&graph, target), at);
            let value = graph.value(target);
            let terms = BackTerms { method: Reversed::Haircut, hops_max: None, since: None };
            let found = origins(&graph, target, &terms).unwrap();
            let height = |coinbase| graph.height(coinbase);
            let ours: HashMap<Height, usize> = found
                .minted
                .iter()
                .map(|minted| (height(minted.coinbase), usize::try_from(minted.amount_sat).unwrap()))
                .collect();
            prop_assert_eq!((ours, 0), dense(&chain, at, usize::try_from(value).unwrap()));
            for method in [Reversed::Haircut, Reversed::Fifo, Reversed::Lifo] {
                let near = BackTerms { method, hops_max: Some(hops_max), since: None };
                prop_assert_eq!(origins(&graph, target, &near).unwrap().total_sat(), value);
            }
        }
    }
}
