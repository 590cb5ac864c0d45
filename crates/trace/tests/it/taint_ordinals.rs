//! FIFO beside the sat flow of the ordinals specification: every unit is numbered when it is mined, and numbers move
//! in ranges through the whole chain. Dense where the engine is sparse, numbers where the engine has marks.

use std::collections::{BTreeMap, HashMap};

use kuraban_base::Height;
use kuraban_chain::btc::{Network, OutPoint};
use kuraban_trace::{
    graph::{Graph, Memory, Node},
    taint::{BackTerms, Case, Method, Reversed, Terms, origins, outpoint, seed, trace},
};
use proptest::prelude::*;

use crate::taint_random::{Block, graph, outpoints, plan};

/// Numbers from the first to before the second.
type Range = (u128, u128);

/// Where every numbered unit is.
#[derive(Default)]
pub(crate) struct Sats {
    next: u128,
    is_first: bool,
    /// By outpoint and by which of the transactions with that id made it.
    unspent: BTreeMap<OutPoint, Vec<Range>>,
    /// What each output had when it was made; the last one's where an id repeats.
    born: HashMap<OutPoint, Vec<Range>>,
    /// Not claimed, or overwritten.
    lost: Vec<Range>,
    /// In outputs that nobody can spend.
    dead: Vec<Range>,
}

fn take(from: &mut Vec<Range>, mut amount: u128) -> Vec<Range> {
    let mut taken = Vec::new();
    while amount > 0 {
        let (start, end) = from.remove(0);
        let size = (end - start).min(amount);
        taken.push((start, start + size));
        if start + size < end {
            from.insert(0, (start + size, end));
        }
        amount -= size;
    }
    taken
}

impl Sats {
    /// Numbers fresh units for an output that comes from before the blocks at hand.
    pub(crate) fn grant(&mut self, outpoint: OutPoint, value_sat: u64) {
        let range = (self.next, self.next + u128::from(value_sat));
        self.next = range.1;
        self.unspent.insert(outpoint, vec![range]);
        self.born.insert(outpoint, vec![range]);
    }

    pub(crate) fn block(&mut self, network: Network, height: Height, nodes: &[Node]) {
        self.is_first = network == Network::BtcMain && height == Height::new(0);
        let subsidy = u128::from(network.subsidy_sat(height));
        let mut reward = vec![(self.next, self.next + subsidy)];
        self.next += subsidy;
        for node in &nodes[1..] {
            let mut units = Vec::new();
            for input in &node.inputs {
                units.extend(self.unspent.remove(input).expect("unspent"));
            }
            self.give(node, &mut units);
            reward.extend(units);
        }
        self.give(&nodes[0], &mut reward);
        self.lost.extend(reward);
    }

    fn give(&mut self, node: &Node, units: &mut Vec<Range>) {
        for (vout, output) in (0..).zip(&node.outputs) {
            let at = OutPoint { txid: node.txid, vout };
            let own = take(units, u128::from(output.value_sat));
            self.born.insert(at, own.clone());
            // Nobody can spend what a chain's first block makes.
            if output.script.is_unspendable() || self.is_first {
                self.dead.extend(own);
            } else {
                self.lost.extend(self.unspent.insert(at, own).unwrap_or_default());
            }
        }
    }

    /// The places within an output of the units that are also in `stolen`, merged.
    fn marked(ranges: &[Range], stolen: &[Range]) -> Vec<(u64, u64)> {
        let mut marks: Vec<(u128, u128)> = Vec::new();
        let mut before = 0;
        for (start, end) in ranges {
            let mut hits: Vec<Range> = stolen
                .iter()
                .map(|(from, to)| (*start.max(from), *end.min(to)))
                .filter(|(from, to)| from < to)
                .collect();
            hits.sort_unstable();
            for (from, to) in hits {
                let (at, length) = (before + from - start, to - from);
                match marks.last_mut() {
                    Some((last, size)) if *last + *size == at => *size += length,
                    _ => marks.push((at, length)),
                }
            }
            before += end - start;
        }
        let narrow = |wide: u128| u64::try_from(wide).unwrap();
        marks.into_iter().map(|(at, length)| (narrow(at), narrow(length))).collect()
    }
}

/// The engine's FIFO answer for one seed must be where the numbers are.
pub(crate) fn check_seed(graph: &Memory, sats: &Sats, stolen: OutPoint) {
    let terms = Terms { follow_fees: true, ..Terms::new(Method::Fifo) };
    let seeds = vec![seed(graph, stolen).unwrap()];
    let found = trace(graph, &[Case { seeds }], &terms).unwrap();
    let numbers = &sats.born[&stolen];
    let ours: BTreeMap<OutPoint, Vec<(u64, u64)>> = found
        .unspent
        .iter()
        .map(|tainted| {
            let parts = tainted.parts.iter().map(|part| (part.start_sat, part.amount_sat));
            (outpoint(graph, tainted.output), parts.collect())
        })
        .collect();
    let theirs: BTreeMap<OutPoint, Vec<(u64, u64)>> = sats
        .unspent
        .iter()
        .map(|(at, ranges)| (*at, Sats::marked(ranges, numbers)))
        .filter(|(_, marks)| !marks.is_empty())
        .collect();
    assert_eq!(ours, theirs, "{stolen}");
    let gone: Vec<Range> = sats.lost.iter().chain(&sats.dead).copied().collect();
    let gone: u64 =
        gone.iter().flat_map(|range| Sats::marked(&[*range], numbers)).map(|(_, length)| length).sum();
    let totals = found.cases[0].totals;
    assert_eq!(totals.burned_sat, Some(u128::from(gone)), "{stolen}");
    assert_eq!(totals.fees_sat, Some(0));
    assert_eq!(totals.stolen_sat, u128::from(graph.value(seed(graph, stolen).unwrap())));
}

/// The blocks whose subsidies an output's units are from, by their numbers, must be those that the walk backwards finds.
fn check_origins(graph: &Memory, chain: &[Block], sats: &Sats, at: OutPoint) {
    let terms = BackTerms { method: Reversed::Fifo, hops_max: None, since: None };
    let found = origins(graph, seed(graph, at).unwrap(), &terms).unwrap();
    let ours: BTreeMap<Height, u64> =
        found.minted.iter().map(|minted| (graph.height(minted.coinbase), minted.amount_sat)).collect();
    assert_eq!(found.sources, []);
    let mut first = 0;
    let mut theirs = BTreeMap::new();
    for block in chain {
        let own = (first, first + u128::from(Network::BtcRegtest.subsidy_sat(block.height)));
        first = own.1;
        let marks = Sats::marked(&sats.born[&at], &[own]);
        let sum: u64 = marks.iter().map(|(_, length)| length).sum();
        theirs.extend((sum > 0).then_some((block.height, sum)));
    }
    assert_eq!(ours, theirs, "{at}");
}

fn sats(chain: &[Block]) -> Sats {
    let mut sats = Sats::default();
    for block in chain {
        sats.block(Network::BtcRegtest, block.height, &block.nodes);
    }
    sats
}

/// Subsidies of 50 coins, of 149 units, of 18, and of nothing.
const STARTS: &[u32] = &[0, 3_750, 4_200, 4_940, 5_000];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fifo_is_the_sat_flow(plan in plan(STARTS, 14)) {
        let chain = plan.chain();
        let (graph, sats) = (graph(&chain), sats(&chain));
        // Of two outputs with one name the graph finds the last, as a spender would.
        for (at, _) in outpoints(&chain) {
            check_seed(&graph, &sats, at);
            check_origins(&graph, &chain, &sats, at);
        }
    }
}
