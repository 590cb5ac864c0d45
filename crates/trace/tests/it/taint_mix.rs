//! Mixes beside every way to take them apart, one by one, and intervals beside haircut's own answer.

use std::collections::BTreeMap;

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};
use kuraban_trace::{
    graph::{Graph as _, Memory, Node, OutputNum, TxNum},
    taint::{
        Case, Method, Stops, Terms,
        interval::{Held, intervals},
        mix::{Bounds, Input, bounds, flow_bounds, interpretations},
        trace,
    },
};
use proptest::prelude::*;

use crate::taint_random::plan;

/// Every interpretation: of each input and each output the number of its block.
fn all_ways(inputs: &[u64], outputs: &[u64]) -> Vec<(Vec<usize>, Vec<usize>)> {
    fn grow(ways: Vec<Vec<usize>>, left: usize, most: impl Fn(&[usize]) -> usize + Copy) -> Vec<Vec<usize>> {
        if left == 0 {
            return ways;
        }
        let longer = |way: Vec<usize>| {
            (0..most(&way)).map(move |block| way.iter().copied().chain([block]).collect::<Vec<usize>>())
        };
        grow(ways.into_iter().flat_map(longer).collect(), left - 1, most)
    }
    // Blocks are numbered by their first inputs, so that none is counted twice.
    let next = |way: &[usize]| way.iter().max().map_or(1, |max| max + 2);
    let mut found = Vec::new();
    for ins in grow(vec![Vec::new()], inputs.len(), next) {
        let blocks = ins.iter().max().unwrap() + 1;
        for outs in grow(vec![Vec::new()], outputs.len(), move |_: &[usize]| blocks) {
            let sum = |block: usize, places: &[usize], values: &[u64]| -> u64 {
                places.iter().zip(values).filter(|(place, _)| **place == block).map(|(_, value)| value).sum()
            };
            let pays = |block: usize| {
                outs.contains(&block) && sum(block, &outs, outputs) <= sum(block, &ins, inputs)
            };
            if (0..blocks).all(pays) {
                found.push((ins.clone(), outs));
            }
        }
    }
    found
}

/// The fewest and the most units over all interpretations, by fractions over a common whole.
fn one_by_one(inputs: &[Input], outputs: &[u64]) -> Vec<Bounds> {
    let values: Vec<u64> = inputs.iter().map(|input| input.value_sat).collect();
    let mut found: BTreeMap<usize, Bounds> = BTreeMap::new();
    for (ins, outs) in all_ways(&values, outputs) {
        for (output, block) in outs.iter().enumerate() {
            let own = || inputs.iter().zip(&ins).filter(|(_, place)| *place == block).map(|(input, _)| input);
            let whole: u64 = own().map(|input| input.value_sat).sum();
            let (least, most): (u64, u64) =
                (own().map(|input| input.least_sat).sum(), own().map(|input| input.most_sat).sum());
            // Of nothing there is no taint.
            let whole = whole.max(1);
            let (low, high) = (outputs[output] * least / whole, (outputs[output] * most).div_ceil(whole));
            let bounds = found.entry(output).or_insert(Bounds { least_sat: low, most_sat: high });
            bounds.least_sat = bounds.least_sat.min(low);
            bounds.most_sat = bounds.most_sat.max(high);
        }
    }
    found.into_values().collect()
}

/// A few inputs, with taint, and outputs that they can pay.
fn transaction() -> impl Strategy<Value = (Vec<Input>, Vec<u64>)> {
    let input = (0..7_u64, 0..=6_u64, 0..=6_u64).prop_map(|(value_sat, one, two)| Input {
        value_sat,
        least_sat: one.min(two).min(value_sat),
        most_sat: one.max(two).min(value_sat),
    });
    let whole = (prop::collection::vec(input, 1..5), prop::collection::vec(0..7_u64, 1..5));
    whole.prop_filter("pays", |(inputs, outputs)| {
        outputs.iter().sum::<u64>() <= inputs.iter().map(|input| input.value_sat).sum()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bounds_and_links_are_those_of_all_interpretations((inputs, outputs) in transaction()) {
        let values: Vec<u64> = inputs.iter().map(|input| input.value_sat).collect();
        prop_assert_eq!(bounds(&inputs, &outputs).unwrap(), one_by_one(&inputs, &outputs));
        let ways = all_ways(&values, &outputs);
        let found = interpretations(&values, &outputs).unwrap();
        prop_assert_eq!(found.count, u128::try_from(ways.len()).unwrap());
        for (input, row) in found.links.iter().enumerate() {
            for (output, link) in row.iter().enumerate() {
                let together = ways.iter().filter(|(ins, outs)| ins[input] == outs[output]).count();
                prop_assert_eq!(*link, u128::try_from(together).unwrap());
            }
        }
        let loose = flow_bounds(&inputs, &outputs);
        for (tight, loose) in bounds(&inputs, &outputs).unwrap().iter().zip(loose) {
            prop_assert!(loose.least_sat <= tight.least_sat && tight.most_sat <= loose.most_sat);
        }
    }

    #[test]
    fn haircut_lies_within_the_intervals(plan in plan(&[0, 150], 9), at in any::<prop::sample::Index>()) {
        let mut graph = Memory::new(Network::BtcRegtest);
        for (block, number) in plan.chain().iter().zip(0_u8..) {
            let hash = BlockHash::from_bytes([number; 32]);
            graph.push_nodes(block.height, hash, &block.nodes).unwrap();
        }
        let count = graph.outputs(TxNum::new(graph.tx_count() - 1)).end;
        prop_assume!(count > 0);
        let seed = OutputNum::new(u64::try_from(at.index(usize::try_from(count).unwrap())).unwrap());
        let case = Case { seeds: vec![seed] };
        let point = trace(&graph, core::slice::from_ref(&case), &Terms::new(Method::Haircut)).unwrap();
        let found = intervals(&graph, &case, None, &Stops::default()).unwrap();
        let by_output: BTreeMap<OutputNum, Bounds> =
            found.unspent.iter().map(|held| (held.output, held.bounds)).collect();
        for tainted in &point.unspent {
            let bounds = by_output[&tainted.output];
            let sat = tainted.tainted_sat();
            prop_assert!((bounds.least_sat..=bounds.most_sat).contains(&sat), "{bounds:?} {sat}");
            if found.mixes.is_empty() {
                prop_assert_eq!(bounds, Bounds { least_sat: sat, most_sat: sat });
            }
        }
        if found.mixes.is_empty() {
            prop_assert_eq!(point.unspent.len(), found.unspent.len());
        }
        prop_assert!(found.certain_sat() <= u128::from(graph.value(seed)));
    }
}

/// What a payment spends, by payment and place, and the values that it makes.
type Payment<'a> = (&'a [(u8, u32)], &'a [u64]);

/// A graph of amounts, each output with an address of its own.
fn graph_of(payments: &[Payment<'_>]) -> Memory {
    let mut graph = Memory::new(Network::BtcRegtest);
    let txid = |payment: u8| Txid::from_bytes([payment; 32]);
    let mut owners = 0_u8;
    let mut output = |value_sat: &u64| {
        owners += 1;
        TxOut { value_sat: *value_sat, script: Script::p2pkh(&[owners; 20]) }
    };
    for ((spends, makes), payment) in payments.iter().zip(0_u8..) {
        let inputs = spends.iter().map(|(earlier, vout)| OutPoint { txid: txid(*earlier), vout: *vout });
        let outputs = makes.iter().map(&mut output).collect();
        let node = Node { txid: txid(payment), inputs: inputs.collect(), outputs };
        graph
            .push_nodes(Height::new(u32::from(payment)), BlockHash::from_bytes([payment; 32]), &[node])
            .unwrap();
    }
    graph
}

#[test]
fn a_coin_goes_through_a_mix_and_on() {
    // A thief's 150 and two other people's coins; three equal outputs, change; then two of the equal ones are spent together.
    let payments: [Payment<'_>; 5] = [
        (&[], &[150]),
        (&[], &[120]),
        (&[], &[100]),
        (&[(0, 0), (1, 0), (2, 0)], &[100, 100, 100, 50, 20]),
        (&[(3, 0), (3, 3)], &[150]),
    ];
    let graph = graph_of(&payments);
    let found = intervals(&graph, &Case { seeds: vec![OutputNum::new(0)] }, None, &Stops::default()).unwrap();
    let held = |output: u64, value_sat: u64, least_sat: u64, most_sat: u64| Held {
        output: OutputNum::new(output),
        value_sat,
        bounds: Bounds { least_sat, most_sat },
    };
    assert!(found.mixes.iter().all(|mix| mix.is_exact) && found.mixes.len() == 1);
    // The change of 20 is the second person's, alone or with the thief: at most 20·150/270, rounded up. The last payment spends the
    // change of 50, which holds 50·150/370 even if all are in one block.
    assert_eq!(
        found.unspent,
        [held(4, 100, 0, 100), held(5, 100, 0, 100), held(7, 20, 0, 12), held(8, 150, 20, 150)]
    );
}
