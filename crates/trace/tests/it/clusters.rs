//! Clusters: row by row on small graphs, and on random ones beside sets that are relabelled one union at a time.

use core::num::NonZeroUsize;

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};
use kuraban_trace::{
    cluster::{Change, Clusters, Rules, looks_like_coinjoin, why},
    graph::{AddressNum, Graph, Memory, Node, OutputNum, TxNum},
};
use proptest::prelude::*;

use crate::taint_random as random;

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn clustered(graph: &Memory, rules: &Rules) -> Clusters {
    Clusters::of(graph, rules, threads(1), &|_| {}).unwrap()
}

fn script(owner: u8) -> Script {
    Script::p2pkh(&[owner; 20])
}

fn id(number: u8) -> Txid {
    Txid::from_bytes([number; 32])
}

/// What a transaction spends, as row and output, and whom it pays how much.
type Row = (Vec<(u8, u32)>, Vec<(u8, u64)>);

/// A chain of two blocks: the first pays these owners; then each row spends outputs of rows before (0 is the first
/// block) and pays owners.
struct Small {
    paid: Vec<(u8, u64)>,
    rows: Vec<Row>,
}

impl Small {
    fn graph(&self) -> Memory {
        let outputs = |paid: &[(u8, u64)]| {
            paid.iter()
                .map(|(owner, value_sat)| TxOut { value_sat: *value_sat, script: script(*owner) })
                .collect()
        };
        let coinbase = Node { txid: id(0), inputs: Vec::new(), outputs: outputs(&self.paid) };
        let spend = |(number, (spent, paid)): (u8, &Row)| {
            let inputs = spent.iter().map(|(row, vout)| OutPoint { txid: id(*row), vout: *vout }).collect();
            Node { txid: id(number), inputs, outputs: outputs(paid) }
        };
        let mut nodes = vec![Node { txid: id(255), inputs: Vec::new(), outputs: Vec::new() }];
        nodes.extend((1..).zip(&self.rows).map(spend));
        let mut graph = Memory::new(Network::BtcRegtest);
        graph.push_nodes(Height::new(0), BlockHash::from_bytes([0; 32]), &[coinbase]).unwrap();
        graph.push_nodes(Height::new(1), BlockHash::from_bytes([1; 32]), &nodes).unwrap();
        graph
    }
}

fn owner(graph: &Memory, owner: u8) -> AddressNum {
    graph.address_of(&script(owner)).unwrap()
}

/// Which of the owners 1 to `count` are together.
fn together(graph: &Memory, rules: &Rules, count: u8) -> Vec<Vec<u8>> {
    let clusters = clustered(graph, rules);
    let mut groups: Vec<Vec<u8>> = Vec::new();
    for one in 1..=count {
        let cluster = clusters.cluster(owner(graph, one));
        match groups.iter_mut().find(|group| clusters.cluster(owner(graph, group[0])) == cluster) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

#[test]
fn what_is_spent_together_is_one_holders() {
    let small = Small {
        paid: vec![(1, 10), (2, 10), (3, 10), (4, 10), (5, 10)],
        rows: vec![
            (vec![(0, 0), (0, 1)], vec![(6, 20)]),
            (vec![(0, 2)], vec![(7, 10)]),
            (vec![(0, 3), (1, 0)], vec![(8, 30)]),
        ],
    };
    let graph = small.graph();
    assert_eq!(together(&graph, &Rules::default(), 8), [vec![1, 2], vec![4, 6]]);
    let clusters = clustered(&graph, &Rules::default());
    assert_eq!((clusters.addresses(), clusters.count(), clusters.refused()), (8, 6, 0));
    assert_eq!(clusters.members(owner(&graph, 6)).collect::<Vec<_>>(), [owner(&graph, 4), owner(&graph, 6)]);
    assert_eq!(clusters.largest(1), [(owner(&graph, 1), 2)]);
}

#[test]
fn what_looks_like_a_coinjoin_joins_nothing() {
    // Five owners, whose values decide; each row: how many of them are spent, what is paid, whether it is a CoinJoin.
    #[rustfmt::skip]
    let rows: &[(&str, &[u8], &[u64], bool)] = &[
        ("two pay two equal parts and change", &[1, 2], &[5, 5, 3], true),
        ("two pay two equal parts and change to both", &[1, 2], &[5, 5, 3, 4], true),
        ("two outputs", &[1, 2], &[5, 5], false),
        ("one owner pays two equal parts", &[1, 1], &[5, 5, 3], false),
        ("one input", &[1], &[5, 5, 3], false),
        ("too few equal parts", &[1, 2, 3], &[5, 5, 3, 4, 6], false),
        ("as many as needed of five", &[1, 2, 3], &[5, 5, 5, 4, 6], true),
        ("more equal parts than half", &[1, 2, 3], &[5, 5, 5, 3], true),
        ("nothing but equal parts", &[1, 2, 3], &[5, 5, 5], true),
        ("more equal parts than owners", &[1, 2, 1], &[5, 5, 5], false),
        ("three equal parts of seven", &[1, 2, 3], &[5, 5, 5, 1, 2, 3, 4], true),
        ("three equal parts of eight", &[1, 2, 3, 4], &[5, 5, 5, 1, 2, 3, 4, 6], false),
        ("a round", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[70, 70, 80, 80, 90, 90, 1, 2, 3, 4, 5, 6, 7], true),
        ("a round with one output more", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[70, 70, 80, 80, 90, 90, 1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        ("a round of two values", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[70, 70, 80, 80, 1, 2, 3, 4, 5], false),
        ("a round of nine owners", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9], &[70, 70, 80, 80, 90, 90, 1, 2, 3, 4, 5, 6, 7], false),
        ("a round of nineteen inputs", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[70, 70, 80, 80, 90, 90, 1, 2, 3, 4, 5, 6, 7], false),
        ("the dust limit", &[1, 2], &[546, 546, 3], false),
        ("one above the dust limit", &[1, 2], &[547, 547, 3], true),
        ("the other dust limit", &[1, 2], &[2730, 2730, 3], false),
        ("of two equally common values the lower is dust", &[1, 2], &[546, 546, 600, 600], true),
        ("of two equally common values the lower is none", &[1, 2], &[600, 600, 2730, 2730], true),
    ];
    for (what, spent, paid, want) in rows {
        let inputs: Vec<(u8, u64)> = spent.iter().map(|owner| (*owner, 100_000)).collect();
        let spend = (0..).zip(&inputs).map(|(vout, _)| (0, vout)).collect();
        let paid = (100..).zip(*paid).map(|(owner, value)| (owner, *value)).collect();
        let graph = Small { paid: inputs, rows: vec![(spend, paid)] }.graph();
        let tx = graph.find(&id(1)).unwrap();
        assert_eq!(looks_like_coinjoin(&graph, tx), *want, "{what}");
        let joined = clustered(&graph, &Rules::default()).count() < graph.address_count();
        let several = spent.iter().any(|owner| *owner != spent[0]);
        assert_eq!(joined, several && !want, "{what}");
    }
}

/// What is tried, by which rules, whether both coins are spent, whom that pays, and who is its change.
type ChangeRow = (&'static str, &'static [Change], bool, &'static [(u8, u64)], Option<u8>);

#[test]
fn change_is_the_one_output_that_all_chosen_rules_name() {
    use Change::{Direct, Fresh, Optimal, Uneven};
    // Owner 1 holds 10,000 and 5,000; owner 9 was seen before. What owner 1 pays from the first alone, or from both.
    #[rustfmt::skip]
    let rows: &[ChangeRow] = &[
        ("back to itself", &[Direct], false, &[(9, 4000), (1, 6000)], None),
        ("new beside known", &[Fresh], false, &[(9, 4000), (2, 6000)], Some(2)),
        ("two new", &[Fresh], false, &[(3, 4000), (2, 6000)], None),
        ("none new", &[Fresh], false, &[(9, 4000), (1, 6000)], None),
        ("below the smallest input", &[Optimal], true, &[(3, 10_001), (2, 4999)], Some(2)),
        ("at the smallest input", &[Optimal], true, &[(3, 10_000), (2, 5000)], None),
        ("both below", &[Optimal], true, &[(3, 4000), (2, 4999)], None),
        ("uneven", &[Uneven], false, &[(3, 4000), (2, 5999)], Some(2)),
        ("both uneven", &[Uneven], false, &[(3, 4001), (2, 5999)], None),
        ("new and uneven", &[Fresh, Uneven], false, &[(3, 4000), (2, 5999)], Some(2)),
        ("new, but even", &[Fresh, Uneven], false, &[(9, 3001), (2, 6000)], None),
        ("a single output is a payment", &[Fresh], false, &[(2, 10_000)], None),
        ("ten outputs", &[Uneven], false, &[(2, 1), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000)], Some(2)),
        ("eleven outputs", &[Uneven], false, &[(2, 1), (9, 0), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 1000), (9, 0)], None),
    ];
    for (what, change, both, paid, want) in rows {
        let spent = if *both { vec![(0, 0), (0, 1)] } else { vec![(0, 0)] };
        let paid_first = vec![(1, 10_000), (1, 5000), (9, 10_000)];
        let graph = Small { paid: paid_first, rows: vec![(spent, paid.to_vec())] }.graph();
        let clusters = clustered(&graph, &Rules { change: change.to_vec(), ..Rules::default() });
        let joined = (2..=9).filter(|other| {
            let other = graph.address_of(&script(*other));
            other.is_some_and(|other| clusters.cluster(other) == clusters.cluster(owner(&graph, 1)))
        });
        assert_eq!(joined.collect::<Vec<_>>(), Vec::from_iter(*want), "{what}");
    }
    // In what looks like a CoinJoin nothing is change.
    let small = Small {
        paid: vec![(1, 10_000), (2, 10_000), (3, 10_000)],
        rows: vec![(vec![(0, 0), (0, 1), (0, 2)], vec![(9, 1), (9, 1), (2, 4000)])],
    };
    assert!(looks_like_coinjoin(&small.graph(), TxNum::new(2)));
    let rules = Rules { change: vec![Direct], ..Rules::default() };
    assert!(together(&small.graph(), &rules, 3).is_empty());
}

#[test]
fn change_joins_no_two_clusters_above_the_bound() {
    // Two clusters of two, and change from the one to the other.
    let small = Small {
        paid: vec![(1, 10), (2, 10), (3, 10), (4, 10), (1, 5000), (9, 1)],
        rows: vec![
            (vec![(0, 0), (0, 1)], vec![(9, 20)]),
            (vec![(0, 2), (0, 3)], vec![(9, 20)]),
            (vec![(0, 4)], vec![(9, 3000), (3, 1999)]),
        ],
    };
    let graph = small.graph();
    let rules = |collapse_max| Rules { change: vec![Change::Uneven], collapse_max };
    assert_eq!(together(&graph, &rules(2), 4), [vec![1, 2, 3, 4]]);
    assert_eq!(together(&graph, &rules(1), 4), [vec![1, 2], vec![3, 4]]);
    assert_eq!(clustered(&graph, &rules(2)).refused(), 0);
    assert_eq!(clustered(&graph, &rules(1)).refused(), 1);
}

#[test]
fn why_is_the_fewest_transactions() {
    // 1-2, 2-3, 3-4 one after the other, and 1-5, 5-4 shorter.
    let small = Small {
        paid: [1, 2, 2, 3, 3, 4, 1, 5, 5, 4, 6, 7].map(|owner| (owner, 10)).to_vec(),
        rows: (0..6).map(|pair| (vec![(0, 2 * pair), (0, 2 * pair + 1)], vec![(9, 20)])).collect(),
    };
    let graph = small.graph();
    let clusters = clustered(&graph, &Rules::default());
    let path = |from, to| {
        let path = why(&graph, &clusters, owner(&graph, from), owner(&graph, to)).unwrap()?;
        Some(path.iter().map(|joint| (graph.txid(joint.tx), joint.from, joint.to)).collect::<Vec<_>>())
    };
    let step = |row, from, to| (id(row), owner(&graph, from), owner(&graph, to));
    assert_eq!(path(1, 4), Some(vec![step(4, 1, 5), step(5, 5, 4)]));
    assert_eq!(path(3, 1), Some(vec![step(2, 3, 2), step(1, 2, 1)]));
    assert_eq!(path(1, 1), Some(Vec::new()));
    assert_eq!(path(1, 6), None);
    assert_eq!(path(7, 6), Some(vec![step(6, 7, 6)]));
}

/// Sets by repeated relabelling, from what the graph says of each transaction.
fn relabelled(graph: &Memory) -> Vec<u64> {
    let mut labels: Vec<u64> = (0..graph.address_count()).collect();
    for tx in (0..graph.tx_count()).map(TxNum::new).filter(|tx| !looks_like_coinjoin(graph, *tx)) {
        let owners: Vec<u64> =
            graph.inputs(tx).map(|output| graph.address(output).unwrap().number()).collect();
        for pair in owners.windows(2) {
            let label = |owner: u64| labels[usize::try_from(owner).unwrap()];
            let (low, high) = (label(pair[0]).min(label(pair[1])), label(pair[0]).max(label(pair[1])));
            labels.iter_mut().filter(|label| **label == high).for_each(|label| *label = low);
        }
    }
    labels
}

fn labels(clusters: &Clusters) -> Vec<u64> {
    (0..clusters.addresses()).map(|address| clusters.cluster(AddressNum::new(address)).number()).collect()
}

/// What each transaction joins, side by side.
fn gathered(graph: &Memory) -> (Vec<AddressNum>, Vec<usize>) {
    let (mut members, mut ends) = (Vec::new(), Vec::new());
    for tx in (0..graph.tx_count()).map(TxNum::new).filter(|tx| !looks_like_coinjoin(graph, *tx)) {
        members.extend(graph.inputs(tx).filter_map(|output| graph.address(output)));
        ends.push(members.len());
    }
    (members, ends)
}

#[test]
fn groups_are_joined_wherever_threads_divide_them() {
    // Pairs of neighbours, a group of nothing after each, and one group that joins the first pair and the last.
    let pairs = 9_000_u64;
    let mut members: Vec<AddressNum> = (0..2 * pairs).map(AddressNum::new).collect();
    let mut ends: Vec<usize> = (1..=members.len() / 2).flat_map(|pair| [2 * pair, 2 * pair]).collect();
    members.extend([AddressNum::new(2 * pairs - 1), AddressNum::new(1)]);
    ends.push(members.len());
    // In no group.
    members.push(AddressNum::new(3));
    for count in [1, 3] {
        let found = labels(&Clusters::joined(2 * pairs + 1, &members, &ends, threads(count)));
        let mut want: Vec<u64> = (0..2 * pairs).map(|address| address / 2 * 2).collect();
        want[usize::try_from(2 * pairs).unwrap() - 2..].fill(0);
        want.push(2 * pairs);
        assert_eq!(found, want);
    }
    assert_eq!(labels(&Clusters::joined(2, &[], &[], threads(2))), [0, 1]);
}

proptest! {
    #[test]
    fn threads_and_order_of_growth_change_nothing(plan in random::plan(&[0, 209_999], 12), cut in 0_usize..12) {
        let chain = plan.chain();
        let mut graph = Memory::new(Network::BtcRegtest);
        let mut part: Option<Clusters> = None;
        let mut from = 0;
        for (place, block) in chain.iter().enumerate() {
            if place == cut {
                (part, from) = (Some(clustered(&graph, &Rules::default())), graph.tx_count());
            }
            let hash = BlockHash::from_bytes([u8::try_from(place).unwrap(); 32]);
            graph.push_nodes(block.height, hash, &block.nodes).unwrap();
        }
        let want = relabelled(&graph);
        prop_assert_eq!(labels(&clustered(&graph, &Rules::default())), &want[..]);
        let by_four = Clusters::of(&graph, &Rules::default(), threads(4), &|_| {}).unwrap();
        prop_assert_eq!(labels(&by_four), &want[..]);
        let (members, ends) = gathered(&graph);
        let joined = Clusters::joined(graph.address_count(), &members, &ends, threads(4));
        prop_assert_eq!(labels(&joined), &want[..]);
        let all: Vec<u64> = joined.all().into_iter().map(AddressNum::number).collect();
        prop_assert_eq!(all, &want[..]);
        if let Some(part) = part {
            prop_assert_eq!(labels(&part.extended(&graph, TxNum::new(from)).unwrap()), &want[..]);
        }
    }

    #[test]
    fn every_step_of_a_reason_spends_from_both(plan in random::plan(&[0], 12), a in any::<u8>(), b in any::<u8>()) {
        let mut graph = Memory::new(Network::BtcRegtest);
        for (place, block) in (0..).zip(plan.chain()) {
            graph.push_nodes(block.height, BlockHash::from_bytes([place; 32]), &block.nodes).unwrap();
        }
        prop_assume!(graph.address_count() > 0);
        let pick = |choice: u8| AddressNum::new(u64::from(choice) % graph.address_count());
        let clusters = clustered(&graph, &Rules::default());
        let path = why(&graph, &clusters, pick(a), pick(b)).unwrap();
        prop_assert_eq!(path.is_some(), clusters.cluster(pick(a)) == clusters.cluster(pick(b)));
        let mut at = pick(a);
        for joint in path.iter().flatten() {
            prop_assert_eq!(joint.from, at);
            let spends = |address| graph.inputs(joint.tx).any(|output: OutputNum| graph.address(output) == Some(address));
            prop_assert!(spends(joint.from) && spends(joint.to));
            at = joint.to;
        }
        prop_assert!(path.is_none() || at == pick(b));
    }
}
