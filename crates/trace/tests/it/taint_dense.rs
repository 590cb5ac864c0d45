//! Every method beside a reference that moves units one by one through every transaction, without a queue, segments
//! or division.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use kuraban_base::Height;
use kuraban_chain::btc::{Network, OutPoint, TxOut};
use kuraban_trace::{
    graph::Node,
    taint::{Case, Method, Stops, Terms, outpoint, seed, trace},
};
use proptest::prelude::*;

use crate::taint_random::{Block, graph, outpoints, plan};

/// A unit: clean, or of the theft with this number.
type Unit = Option<usize>;

/// What becomes of a theft's units, by count.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Ends {
    stolen: u128,
    fees: u128,
    burned: u128,
    stopped: u128,
    dust: u128,
}

struct Dense {
    method: Method,
    follow_fees: bool,
    dust: usize,
    stop_script: Option<usize>,
    cases: Vec<BTreeSet<OutPoint>>,
    unspent: HashMap<OutPoint, Vec<Unit>>,
    /// Coinbase outputs, by block, whose place a later one takes.
    voided: HashSet<(OutPoint, Height)>,
    height: Height,
    ends: Vec<Ends>,
}

/// Which outputs lose their place to later ones with the same name.
fn voided(chain: &[Block]) -> HashSet<(OutPoint, Height)> {
    let mut unspent: HashMap<OutPoint, Height> = HashMap::new();
    let mut voided = HashSet::new();
    for block in chain {
        for input in block.nodes.iter().flat_map(|node| &node.inputs) {
            unspent.remove(input);
        }
        for node in &block.nodes {
            for (vout, _) in (0..).zip(&node.outputs) {
                let at = OutPoint { txid: node.txid, vout };
                voided.extend(unspent.insert(at, block.height).map(|height| (at, height)));
            }
        }
        for input in block.nodes.iter().flat_map(|node| &node.inputs) {
            unspent.remove(input);
        }
    }
    voided
}

impl Dense {
    fn block(&mut self, height: Height, nodes: &[Node]) {
        self.height = height;
        let subsidy = usize::try_from(Network::BtcRegtest.subsidy_sat(height)).unwrap();
        let mut reward: Vec<Unit> = vec![None; subsidy];
        for node in &nodes[1..] {
            let units = node.inputs.iter().flat_map(|input| self.unspent.remove(input).unwrap()).collect();
            let mut fee = self.spend(units, node);
            if !self.follow_fees {
                self.end(&fee, |ends| &mut ends.fees);
                fee.fill(None);
            }
            reward.extend(fee);
        }
        let unclaimed = self.spend(reward, &nodes[0]);
        self.end(&unclaimed, |ends| &mut ends.burned);
    }

    /// Gives the units to the node's outputs; gives back what they leave over.
    fn spend(&mut self, units: Vec<Unit>, node: &Node) -> Vec<Unit> {
        let sizes: Vec<usize> =
            node.outputs.iter().map(|output| usize::try_from(output.value_sat).unwrap()).collect();
        let mut rooms = rooms(self.method, units, &sizes, self.cases.len());
        let rest = rooms.pop().unwrap();
        for ((vout, output), mut units) in (0..).zip(&node.outputs).zip(rooms) {
            let at = OutPoint { txid: node.txid, vout };
            self.claim(at, &mut units);
            self.settle(at, output, units);
        }
        rest
    }

    fn claim(&mut self, at: OutPoint, units: &mut [Unit]) {
        for case in 0..self.cases.len() {
            if self.cases[case].contains(&at) {
                let clean: Vec<&mut Unit> = units.iter_mut().filter(|unit| unit.is_none()).collect();
                self.ends[case].stolen += u128::try_from(clean.len()).unwrap();
                clean.into_iter().for_each(|unit| *unit = Some(case));
            }
        }
    }

    fn settle(&mut self, at: OutPoint, output: &TxOut, mut units: Vec<Unit>) {
        if output.script.is_unspendable() || self.voided.contains(&(at, self.height)) {
            self.end(&units, |ends| &mut ends.burned);
            return;
        }
        if self.stop_script.is_some_and(|number| output.script == stop(number)) {
            self.end(&units, |ends| &mut ends.stopped);
            units.fill(None);
        }
        for case in 0..self.cases.len() {
            let own = units.iter().filter(|unit| **unit == Some(case)).count();
            if own > 0 && own < self.dust {
                self.ends[case].dust += u128::try_from(own).unwrap();
                units.iter_mut().filter(|unit| **unit == Some(case)).for_each(|unit| *unit = None);
            }
        }
        self.unspent.insert(at, units);
    }

    fn end(&mut self, units: &[Unit], place: impl Fn(&mut Ends) -> &mut u128) {
        for case in units.iter().flatten() {
            *place(&mut self.ends[*case]) += 1;
        }
    }
}

fn stop(number: usize) -> kuraban_chain::btc::Script {
    kuraban_chain::btc::Script::p2pkh(&[u8::try_from(number).unwrap(); 20])
}

/// The units of each output, and last those left over.
fn rooms(method: Method, mut units: Vec<Unit>, sizes: &[usize], cases: usize) -> Vec<Vec<Unit>> {
    let mut sizes = sizes.to_vec();
    sizes.push(units.len() - sizes.iter().sum::<usize>());
    match method {
        Method::Fifo => {}
        Method::Lifo => units.reverse(),
        Method::Poison | Method::Haircut | Method::Tiho | Method::DirtyFirst | Method::CleanFirst => {
            return counted(method, &units, &sizes, cases);
        }
    }
    sizes.iter().map(|size| units.drain(..*size).collect()).collect()
}

/// For the methods that know amounts only: one theft after the other takes places that are still clean.
fn counted(method: Method, units: &[Unit], sizes: &[usize], cases: usize) -> Vec<Vec<Unit>> {
    let mut rooms: Vec<Vec<Unit>> = sizes.iter().map(|size| vec![None; *size]).collect();
    for case in 0..cases {
        let amount = units.iter().filter(|unit| **unit == Some(case)).count();
        let free: Vec<usize> =
            rooms.iter().map(|room| room.iter().filter(|unit| unit.is_none()).count()).collect();
        let outputs = rooms.len() - 1;
        let mut order: Vec<usize> = (0..rooms.len()).collect();
        match method {
            Method::Haircut => order = proportional(&free, amount),
            Method::Tiho => order[..outputs].sort_by(|one, other| free[*other].cmp(&free[*one])),
            Method::CleanFirst => order.reverse(),
            Method::DirtyFirst | Method::Fifo | Method::Lifo | Method::Poison => {}
        }
        let places = if method == Method::Haircut {
            order
        } else {
            order.iter().flat_map(|room| core::iter::repeat_n(*room, free[*room])).collect()
        };
        for room in places.into_iter().take(amount) {
            *rooms[room].iter_mut().find(|unit| unit.is_none()).unwrap() = Some(case);
        }
    }
    rooms
}

/// Hands out one unit after the other, first as long as a room is owed a whole unit, then to whoever is owed most: by
/// cross-multiplication, without division.
pub(crate) fn proportional(free: &[usize], amount: usize) -> Vec<usize> {
    let whole: usize = free.iter().sum();
    let mut given = vec![0; free.len()];
    let mut places = Vec::new();
    for _ in 0..amount {
        let signed = |count: usize| i128::try_from(count).unwrap();
        let owed = |room: usize| signed(free[room] * amount) - signed(given[room] * whole);
        let sure = (0..free.len()).find(|room| owed(*room) >= signed(whole));
        let next = sure.unwrap_or_else(|| (0..free.len()).rev().max_by_key(|room| owed(*room)).unwrap());
        given[next] += 1;
        places.push(next);
    }
    places
}

/// What is compared.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    ends: Vec<Ends>,
    /// Units by output and theft; under FIFO and LIFO by place.
    unspent: BTreeMap<OutPoint, Vec<(usize, usize)>>,
}

fn listed(method: Method, units: &[Unit], cases: usize) -> Vec<(usize, usize)> {
    if method.has_order() {
        return units.iter().enumerate().filter_map(|(at, unit)| unit.map(|case| (at, case))).collect();
    }
    let own = |case| units.iter().filter(|unit| **unit == Some(case)).count();
    (0..cases).map(|case| (own(case), case)).filter(|(own, _)| *own > 0).collect()
}

/// Terms of a comparison.
#[derive(Clone, Debug)]
struct Ask {
    follow_fees: bool,
    dust: u8,
    stop: Option<u8>,
    /// Blocks left out at the end.
    early: u8,
    picks: Vec<Vec<u16>>,
}

fn ask() -> impl Strategy<Value = Ask> {
    let picks = prop::collection::vec(prop::collection::vec(any::<u16>(), 1..4), 1..4);
    (any::<bool>(), 0..4_u8, prop::option::weighted(0.4, 0..5_u8), 0..3_u8, picks)
        .prop_map(|(follow_fees, dust, stop, early, picks)| Ask { follow_fees, dust, stop, early, picks })
}

/// Seeds by pick, without the outputs whose names are not theirs alone, in chain order of each case's first.
fn cases(chain: &[Block], picks: &[Vec<u16>]) -> Vec<Vec<OutPoint>> {
    let all = outpoints(chain);
    let mut seen: HashMap<OutPoint, usize> = HashMap::new();
    for (at, _) in &all {
        *seen.entry(*at).or_default() += 1;
    }
    let single: Vec<OutPoint> = all.iter().map(|(at, _)| *at).filter(|at| seen[at] == 1).collect();
    if single.is_empty() {
        return Vec::new();
    }
    let place = |at: &OutPoint| single.iter().position(|other| other == at);
    let mut cases: Vec<Vec<OutPoint>> = Vec::new();
    for picks in picks {
        let mut case: Vec<OutPoint> =
            picks.iter().map(|pick| single[usize::from(*pick) % single.len()]).collect();
        case.sort_by_key(place);
        cases.push(case);
    }
    cases.sort_by_key(|case| place(&case[0]));
    // Where two begin with one seed, the order in which they are given decides.
    cases.dedup_by_key(|case| case[0]);
    cases
}

fn dense(chain: &[Block], kept: usize, cases: &[Vec<OutPoint>], ask: &Ask, method: Method) -> Outcome {
    let mut dense = Dense {
        method,
        follow_fees: ask.follow_fees,
        dust: usize::from(ask.dust),
        stop_script: ask.stop.map(usize::from),
        cases: cases.iter().map(|case| case.iter().copied().collect()).collect(),
        unspent: HashMap::new(),
        voided: voided(chain),
        height: Height::default(),
        ends: vec![Ends::default(); cases.len()],
    };
    for block in &chain[..kept] {
        dense.block(block.height, &block.nodes);
    }
    let listed = |(at, units): (OutPoint, Vec<Unit>)| (at, listed(method, &units, cases.len()));
    let unspent = dense.unspent.into_iter().map(listed).filter(|(_, units)| !units.is_empty()).collect();
    Outcome { ends: dense.ends, unspent }
}

fn sparse(chain: &[Block], kept: usize, cases: &[Vec<OutPoint>], ask: &Ask, method: Method) -> Outcome {
    let graph = graph(chain);
    let named =
        |case: &Vec<OutPoint>| Case { seeds: case.iter().map(|at| seed(&graph, *at).unwrap()).collect() };
    // Given last first: the engine puts them into chain order itself.
    let given: Vec<Case> = cases.iter().rev().map(named).collect();
    let stop = ask.stop.and_then(|number| graph.address_of(&stop(usize::from(number))));
    let terms = Terms {
        method,
        until: Some(chain[kept - 1].height),
        follow_fees: ask.follow_fees,
        dust_sat: u64::from(ask.dust),
        stops: Stops { addresses: stop.into_iter().collect(), outputs: BTreeSet::new() },
    };
    let found = trace(&graph, &given, &terms).unwrap();
    let ends = found.cases.iter().map(|case| {
        let totals = case.totals;
        totals.balance().unwrap();
        assert_eq!(totals.shielded_sat, 0);
        Ends {
            stolen: totals.stolen_sat,
            fees: totals.fees_sat.unwrap(),
            burned: totals.burned_sat.unwrap(),
            stopped: totals.stopped_sat,
            dust: totals.dust_sat,
        }
    });
    let stopped: u128 = found.stopped.iter().map(|tainted| u128::from(tainted.tainted_sat())).sum();
    assert_eq!(stopped, found.totals().stopped_sat);
    let unspent = found.unspent.iter().map(|tainted| {
        let units = tainted.parts.iter().flat_map(|part| {
            let amount = usize::try_from(part.amount_sat).unwrap();
            let start = usize::try_from(part.start_sat).unwrap();
            let places = if method.has_order() { start..start + amount } else { amount..amount + 1 };
            places.map(|place| (place, part.case.place()))
        });
        (outpoint(&graph, tainted.output), units.collect())
    });
    Outcome { unspent: unspent.collect(), ends: ends.collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn methods_move_units_as_the_reference_does(
        plan in plan(&[3_750, 4_200, 4_350], 12),
        ask in ask(),
    ) {
        let chain = plan.chain();
        let kept = chain.len() - usize::from(ask.early).min(chain.len() - 1);
        let cases = cases(&chain[..kept], &ask.picks);
        prop_assume!(!cases.is_empty());
        // An output whose name is repeated after the end can be named only by its number.
        let all: HashMap<OutPoint, usize> = outpoints(&chain).iter().fold(HashMap::new(), |mut all, (at, _)| {
            *all.entry(*at).or_default() += 1;
            all
        });
        prop_assume!(cases.iter().flatten().all(|at| all[at] == 1));
        for method in Method::ALL.into_iter().filter(|method| method.conserves()) {
            prop_assert_eq!(
                sparse(&chain, kept, &cases, &ask, method),
                dense(&chain, kept, &cases, &ask, method),
                "{}", method
            );
        }
    }
}
