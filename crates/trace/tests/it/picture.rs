//! A picture beside the trace that it draws: every unit of every method is in it once, whatever is folded or left out.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_trace::{
    accounts::Rule,
    graph::{Graph, Memory, OutputNum, Payment},
    picture::{FLOWS_MAX, Face, Flow, Item, Picture, Placed, Scene, Tree, View, trace_picture},
    taint::{Case, CaseNum, End, Method, Terms, Totals, Trace},
};
use proptest::prelude::*;

use crate::taint_random::{graph as built, plan};

/// Whether a method at a place drops a flow as dust.
fn is_dust(flow: &Flow, place: usize) -> bool {
    flow.dust >> place & 1 == 1
}

/// The totals of a method as its picture has them.
fn totals(picture: &Picture, place: usize) -> Totals {
    let sum = |is: &dyn Fn(&Flow) -> bool| -> u128 {
        let own = picture.flows.iter().filter(|flow| is(flow));
        own.map(|flow| flow.amounts.of(place)).sum()
    };
    let ends = |end: End| sum(&|flow| flow.end == end && !is_dust(flow, place));
    let nodes = |of: &dyn Fn(usize) -> u128| (0..picture.nodes.len()).map(of).sum::<u128>();
    let unclaimed = nodes(&|node| picture.nodes[node].unclaimed.of(place));
    let conserves = picture.methods[place].conserves();
    Totals {
        stolen_sat: 0,
        unspent_sat: ends(End::Unspent),
        fees_sat: conserves.then(|| nodes(&|node| picture.nodes[node].fees.of(place))),
        burned_sat: conserves.then(|| ends(End::Burned) + unclaimed),
        stopped_sat: ends(End::Stopped),
        dust_sat: sum(&|flow| is_dust(flow, place)),
        shielded_sat: ends(End::Shielded),
    }
}

fn check_whole(graph: &Memory, case: &Case, terms: &Terms) -> (Vec<Trace>, Picture) {
    let (traces, picture) =
        trace_picture(graph, core::slice::from_ref(case), terms, &Method::ALL, FLOWS_MAX, |_, _| {}).unwrap();
    for (place, found) in traces.iter().enumerate() {
        let want = Totals { stolen_sat: 0, ..found.totals() };
        assert_eq!(totals(&picture, place), want, "{} {terms:?}", found.terms.method);
        let unspent: BTreeMap<OutputNum, u128> =
            found.unspent.iter().map(|tainted| (tainted.output, tainted.tainted_sat().into())).collect();
        let ends = picture.flows.iter().filter(|flow| flow.end == End::Unspent && !is_dust(flow, place));
        let drawn = ends.filter_map(|flow| Some((flow.output?, flow.amounts.of(place))));
        assert_eq!(drawn.filter(|(_, sat)| *sat > 0).collect::<BTreeMap<_, _>>(), unspent);
    }
    (traces, picture)
}

/// What comes into a transaction leaves it, by every method that conserves units.
fn check_nodes(picture: &Picture) {
    for (place, method) in picture.methods.iter().enumerate().filter(|(_, method)| method.conserves()) {
        for (at, node) in picture.nodes.iter().enumerate().skip(1) {
            let came: u128 = picture
                .flows
                .iter()
                .filter(|flow| flow.to == Some(at) && !is_dust(flow, place))
                .map(|flow| flow.amounts.of(place))
                .sum();
            let left = picture.flows.iter().filter(|flow| flow.from == at);
            // A seed of this transaction holds units that did not come in.
            if left.clone().any(|flow| flow.seed) {
                continue;
            }
            let left: u128 = left.map(|flow| flow.amounts.of(place)).sum();
            assert_eq!(came, left + node.fees.of(place) + node.unclaimed.of(place), "{method} at {at}");
        }
    }
}

fn check_layers(graph: &Memory, picture: &Picture) {
    for flow in &picture.flows {
        if let Some(to) = flow.to {
            assert!(picture.nodes[flow.from].layer < picture.nodes[to].layer, "{flow:?}");
        }
    }
    let mut heights: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for node in &picture.nodes[1..] {
        heights.entry(node.layer).or_default().push(graph.height(node.tx.unwrap()).blocks());
        assert!(picture.nodes[node.parent].layer < node.layer);
    }
    let layers: Vec<Vec<u32>> = heights.into_values().collect();
    assert!(layers.windows(2).all(|pair| pair[0].iter().max() <= pair[1].iter().min()), "{layers:?}");
}

/// Of what is looked at nothing lies on anything else, every link leads from box to box, and what is folded is counted.
fn check_scene(picture: &Picture) -> Scene {
    let tree = Tree::of(picture);
    let view = View::first(picture, &tree);
    let scene = Scene::of(picture, &tree, &view);
    let faces: BTreeSet<Face> = scene.boxes.iter().map(|at| at.face).collect();
    assert_eq!(faces.len(), scene.boxes.len());
    for link in &scene.links {
        assert!(faces.contains(&link.from) && faces.contains(&link.to), "{link:?}");
    }
    for (at, one) in scene.boxes.iter().enumerate() {
        assert!(
            one.x >= 0
                && one.y >= 0
                && one.x + one.width <= scene.width
                && one.y + one.height <= scene.height
        );
        for other in &scene.boxes[at + 1..] {
            let beside = one.x + one.width <= other.x || other.x + other.width <= one.x;
            let over = one.y + one.height <= other.y || other.y + other.height <= one.y;
            assert!(beside || over, "{one:?} {other:?}");
        }
    }
    // No line that passes through a column lies on a box of it.
    for (left, right, y) in scene.links.iter().flat_map(|link| &link.vias) {
        let on =
            |at: &&Placed| at.x < *right && *left < at.x + at.width && at.y <= *y && *y <= at.y + at.height;
        assert_eq!(scene.boxes.iter().find(on), None, "{left} {right} {y}");
    }
    let is_end = |flow: &&Flow| flow.to.is_none() && !matches!(flow.end, End::Spent(_));
    let all = u64::try_from(picture.flows.iter().filter(is_end).count()).unwrap();
    let mut ends = 0;
    let mut nodes = 0;
    for at in &scene.boxes {
        match at.face {
            Face::Node(node) => nodes += u64::from(node > 0),
            Face::End(_) => ends += 1,
            Face::Folded(node) => {
                let folded = tree.folded(node, view.shown(node));
                ends += folded.ends;
                nodes += folded.nodes;
            }
        }
    }
    assert_eq!((ends, nodes), (all, u64::try_from(picture.nodes.len()).unwrap() - 1));
    scene
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_unit_is_drawn_once(plan in plan(&[3_750, 4_200, 4_350], 14), seed in any::<prop::sample::Index>(), stop in any::<prop::sample::Index>(), dust_sat in prop::sample::select(&[0_u64, 40_000_000][..]), follow_fees in any::<bool>()) {
        let graph = built(&plan.chain());
        let outputs = graph.outputs(kuraban_trace::graph::TxNum::new(graph.tx_count() - 1)).end;
        let pick = |index: prop::sample::Index| OutputNum::new(u64::try_from(index.index(usize::try_from(outputs).unwrap())).unwrap());
        let case = Case { seeds: vec![pick(seed), pick(stop)] };
        let mut terms = Terms { dust_sat, follow_fees, ..Terms::new(Method::Fifo) };
        terms.stops.outputs.insert(pick(stop));
        let (_, picture) = check_whole(&graph, &case, &terms);
        check_nodes(&picture);
        check_layers(&graph, &picture);
        check_scene(&picture);
    }
}

/// One payment of many outputs, each of which is spent.
fn fan(wide: u64) -> Memory {
    let amounts: Vec<u64> = (0..wide).map(|at| 1_000 + at).collect();
    let whole: u64 = amounts.iter().sum();
    let parts: Vec<[u64; 2]> = amounts.iter().map(|amount| [amount - 300, 300]).collect();
    let inputs: Vec<[(usize, u32); 1]> = (0..wide).map(|at| [(1, u32::try_from(at).unwrap())]).collect();
    let mut payments: Vec<Payment<'_>> = vec![(&[], core::slice::from_ref(&whole)), (&[(0, 0)], &amounts)];
    payments.extend(inputs.iter().zip(&parts).map(|(inputs, parts)| (&inputs[..], &parts[..])));
    Memory::of_payments(&payments).unwrap()
}

#[test]
fn a_wide_fan_is_folded_and_its_counts_and_amounts_are_kept() {
    let graph = fan(5_000);
    let case = Case { seeds: vec![OutputNum::new(0)] };
    let (traces, picture) = check_whole(&graph, &case, &Terms::new(Method::Fifo));
    check_layers(&graph, &picture);
    let scene = check_scene(&picture);
    assert!(scene.boxes.len() < 300 && scene.links.len() < 300, "{}", scene.boxes.len());
    // All that flows out of the split is on its links, folded or not.
    let place = picture.methods.iter().position(|method| *method == Rule::Of(Method::Fifo)).unwrap();
    let leaving = scene.links.iter().filter(|link| link.from == Face::Node(1));
    let units: u128 =
        leaving.flat_map(|link| &link.flows).map(|flow| picture.flows[*flow].amounts.of(place)).sum();
    assert_eq!(units, traces[place].totals().stolen_sat);
    let tree = Tree::of(&picture);
    assert_eq!(tree.items(1).len(), 5_000);
    assert_eq!(tree.size(0).ends, 10_000);
    // The heaviest first: later outputs are larger.
    assert_eq!(tree.items(1)[0], Item::Node(picture.nodes.len() - 1));
}

#[test]
fn what_has_no_room_is_counted() {
    let graph = fan(500);
    let case = Case { seeds: vec![OutputNum::new(0)] };
    let terms = Terms::new(Method::Fifo);
    let (traces, whole) =
        trace_picture(&graph, core::slice::from_ref(&case), &terms, &Method::ALL, FLOWS_MAX, |_, _| {})
            .unwrap();
    assert_eq!((whole.flows.len(), whole.left_out.flows), (1_501, 0));
    for room in [1_501, 1_500, 700, 1] {
        let (_, picture) =
            trace_picture(&graph, core::slice::from_ref(&case), &terms, &Method::ALL, room, |_, _| {})
                .unwrap();
        assert_eq!(picture.flows.len(), room);
        assert_eq!(picture.left_out.flows, u64::try_from(1_501 - room).unwrap());
        check_layers(&graph, &picture);
        check_scene(&picture);
        for (place, found) in traces.iter().enumerate() {
            let drawn = totals(&picture, place).unspent_sat + picture.left_out.amounts.of(place);
            assert_eq!(drawn, found.totals().unspent_sat);
        }
    }
}

/// How many pairs of flows between neighbouring layers cross.
fn crossings(picture: &Picture, rank: impl Fn(usize) -> u64) -> usize {
    let links: BTreeSet<(usize, usize)> =
        picture.flows.iter().filter_map(|flow| Some((flow.from, flow.to?))).collect();
    let links: Vec<(usize, usize)> = links.into_iter().collect();
    let crosses = |(at, one): (usize, &(usize, usize))| {
        let others = links[at + 1..].iter();
        others
            .filter(|other| picture.nodes[one.0].layer == picture.nodes[other.0].layer)
            .filter(|other| picture.nodes[one.1].layer == picture.nodes[other.1].layer)
            .filter(|other| {
                let (from, to) = (rank(one.0).cmp(&rank(other.0)), rank(one.1).cmp(&rank(other.1)));
                from.is_ne() && to.is_ne() && from != to
            })
            .count()
    };
    links.iter().enumerate().map(crosses).sum()
}

#[test]
fn sweeps_untangle_what_chain_order_tangles() {
    // Eight outputs are each spent twice over, the later payments in another order than the earlier.
    let hands = [5_u32, 2, 7, 0, 3, 6, 1, 4];
    let first: Vec<[(usize, u32); 1]> = (0..8).map(|at| [(1, at)]).collect();
    let second: Vec<[(usize, u32); 1]> =
        hands.iter().map(|hand| [(2 + usize::try_from(*hand).unwrap(), 0)]).collect();
    let values = [10_u64; 8];
    let mut payments: Vec<Payment<'_>> = vec![(&[], &[80]), (&[(0, 0)], &values)];
    payments.extend(first.iter().chain(&second).map(|inputs| (&inputs[..], &values[..1])));
    let graph = Memory::of_payments(&payments).unwrap();
    let case = Case { seeds: vec![OutputNum::new(0)] };
    let (_, picture) = trace_picture(
        &graph,
        core::slice::from_ref(&case),
        &Terms::new(Method::Fifo),
        &[Method::Fifo],
        FLOWS_MAX,
        |_, _| {},
    )
    .unwrap();
    let by_chain = crossings(&picture, |node| u64::try_from(node).unwrap());
    let by_rank = crossings(&picture, |node| picture.nodes[node].rank);
    assert!(by_chain > 10, "{by_chain}");
    assert_eq!(by_rank, 0);
}

#[test]
fn each_case_has_its_share_of_every_flow() {
    // Two thefts meet, part again, and pay a fee.
    let graph = Memory::of_payments(&[
        (&[], &[60]),
        (&[], &[40]),
        (&[(0, 0), (1, 0)], &[70, 25]),
        (&[(2, 0)], &[69]),
    ])
    .unwrap();
    let cases = [0, 1].map(|seed| Case { seeds: vec![OutputNum::new(seed)] });
    let (traces, picture) =
        trace_picture(&graph, &cases, &Terms::new(Method::Fifo), &Method::ALL, FLOWS_MAX, |_, _| {}).unwrap();
    assert_eq!(picture.shares.len(), picture.flows.len());
    for (place, method) in picture.methods.iter().enumerate().filter(|(_, method)| method.conserves()) {
        for (at, flow) in picture.flows.iter().enumerate() {
            let shared: u128 = picture.shares(at).iter().map(|share| share.amounts.of(place)).sum();
            assert_eq!(shared, flow.amounts.of(place), "{method} {at}");
        }
        for (number, case) in (0_u32..).zip(&traces[place].cases) {
            let own = |at: usize| {
                let share = picture.shares(at).iter().find(|share| share.case == CaseNum::new(number));
                share.map_or(0, |share| share.amounts.of(place))
            };
            let ends = picture.flows.iter().enumerate().filter(|(_, flow)| flow.to.is_none());
            assert_eq!(
                ends.map(|(at, _)| own(at)).sum::<u128>(),
                case.totals.unspent_sat,
                "{method} {number}"
            );
        }
    }
    let (_, alone) =
        trace_picture(&graph, &cases[..1], &Terms::new(Method::Fifo), &Method::ALL, FLOWS_MAX, |_, _| {})
            .unwrap();
    assert!(alone.shares.is_empty() && alone.shares(0).is_empty());
}
