//! What cannot be traced, and rows that the references do not reach: poison, stops, shielded pools, the greatest values.

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};
use kuraban_trace::{
    graph::{Graph as _, Memory, MemoryError, Node, OutputNum, Payment},
    taint::{Case, CaseNum, Method, Stops, TaintError, Terms, Trace, seed, trace},
};

fn case(seeds: &[u64]) -> Case {
    Case { seeds: seeds.iter().copied().map(OutputNum::new).collect() }
}

fn unspent(found: &Trace) -> Vec<(u64, u64)> {
    found.unspent.iter().map(|tainted| (tainted.output.number(), tainted.tainted_sat())).collect()
}

/// A theft of output 0, mixed twice.
const MIXED: &[Payment<'_>] =
    &[(&[], &[10]), (&[], &[30]), (&[(0, 0), (1, 0)], &[15, 0, 20]), (&[(2, 0)], &[14]), (&[(2, 2)], &[20])];

#[test]
fn poison_marks_everything_that_taint_touches_and_counts_nothing() {
    let graph = Memory::of_payments(MIXED).unwrap();
    let found =
        trace(&graph, &[case(&[0])], &Terms { follow_fees: true, ..Terms::new(Method::Poison) }).unwrap();
    // Outputs 2, 3, 4 of the mix: the one without value has nothing to taint.
    assert_eq!(unspent(&found), [(5, 14), (6, 20)]);
    let totals = found.totals();
    assert_eq!((totals.stolen_sat, totals.fees_sat, totals.burned_sat), (10, None, None));
    assert_eq!(totals.unspent_sat, 34);
    assert_eq!(found.transactions_touched, 3);
}

#[test]
fn under_poison_an_output_belongs_to_every_case_that_reaches_it() {
    let graph = Memory::of_payments(MIXED).unwrap();
    let cases = [case(&[1]), case(&[0, 4])];
    let found = trace(&graph, &cases, &Terms::new(Method::Poison)).unwrap();
    // The case of output 0 comes first in the chain, whatever the order in which they are given.
    assert_eq!(found.cases.iter().map(|case| case.asked).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(unspent(&found), [(5, 14), (6, 20)]);
    for place in [0, 1] {
        assert!(found.unspent.iter().all(|tainted| tainted.of(CaseNum::new(place)) == tainted.value_sat));
    }
    // The seed at output 4 was tainted wholly by its own case already.
    assert_eq!(found.cases[0].totals.stolen_sat, 10);
    assert_eq!(found.overlaps[0].amount_sat, 20);
}

#[test]
fn a_seed_counts_only_what_had_not_arrived() {
    let graph = Memory::of_payments(MIXED).unwrap();
    let check = |method, want| {
        let found = trace(&graph, &[case(&[0, 2])], &Terms::new(method)).unwrap();
        assert_eq!(found.totals().stolen_sat, want, "{method}");
    };
    // Of the 15 units of output 2 so many had arrived.
    check(Method::Fifo, 10 + 15 - 10);
    check(Method::Lifo, 10 + 15);
    check(Method::Haircut, 10 + 15 - 4);
    check(Method::Tiho, 10 + 15);
    check(Method::DirtyFirst, 10 + 15 - 10);
    check(Method::CleanFirst, 10 + 15);
    check(Method::Poison, 10);
}

#[test]
fn a_stop_holds_what_arrives_and_lists_the_deposit() {
    let graph = Memory::of_payments(MIXED).unwrap();
    let outputs = [OutputNum::new(2)].into();
    let terms = Terms { stops: Stops { outputs, ..Stops::default() }, ..Terms::new(Method::Fifo) };
    let found = trace(&graph, &[case(&[0])], &terms).unwrap();
    assert_eq!(unspent(&found), []);
    assert_eq!(found.totals().stopped_sat, 10);
    assert_eq!((found.stopped[0].output, found.stopped[0].tainted_sat()), (OutputNum::new(2), 10));
    assert_eq!(found.transactions_touched, 1);
}

#[test]
fn dust_is_what_is_less_than_the_threshold() {
    let graph = Memory::of_payments(MIXED).unwrap();
    let check = |dust_sat, want| {
        let found = trace(&graph, &[case(&[0])], &Terms { dust_sat, ..Terms::new(Method::Haircut) }).unwrap();
        assert_eq!((found.totals().dust_sat, found.totals().unspent_sat), want, "{dust_sat}");
    };
    // Of 10 units 4 go to the output of 15, 5 to that of 20, 1 to the fee; 4/15 of 14 leave 1 more in a fee at most.
    check(0, (0, 9));
    check(4, (0, 9));
    check(5, (4, 5));
    check(6, (9, 0));
    check(11, (10, 0));
}

#[test]
fn what_enters_an_extension_block_is_shielded() {
    let mut graph = Memory::new(Network::LtcRegtest);
    let id = |byte| Txid::from_bytes([byte; 32]);
    let output = |value_sat, script: Script| TxOut { value_sat, script };
    let peg_in = Script::witness(9, &[7; 32]).unwrap();
    let theft = Node { txid: id(1), inputs: Vec::new(), outputs: vec![output(9, Script::default())] };
    let enters = Node {
        txid: id(2),
        inputs: vec![OutPoint { txid: id(1), vout: 0 }],
        outputs: vec![output(5, peg_in), output(3, Script::new(vec![0x6a]))],
    };
    graph.push_nodes(Height::new(5), BlockHash::ZERO, &[theft, enters]).unwrap();
    for method in Method::ALL.into_iter().filter(|method| method.conserves()) {
        let totals = trace(&graph, &[case(&[0])], &Terms::new(method)).unwrap().totals();
        assert_eq!(
            (totals.shielded_sat, totals.burned_sat, totals.fees_sat),
            (5, Some(3), Some(1)),
            "{method}"
        );
    }
}

#[test]
fn the_greatest_values_are_traced_and_beyond_them_is_an_error() {
    let half = u64::MAX / 2;
    let graph = Memory::of_payments(&[
        (&[], &[half, half, 1]),
        (&[], &[1]),
        (&[(0, 0), (0, 1), (0, 2)], &[half, 1, half]),
        (&[(2, 0), (2, 1), (2, 2), (1, 0)], &[1]),
    ])
    .unwrap();
    let until = |blocks| Some(Height::new(blocks));
    for method in Method::ALL {
        let terms = Terms { until: until(2), ..Terms::new(method) };
        let found = trace(&graph, &[case(&[0, 2])], &terms).unwrap();
        assert_eq!(found.totals().stolen_sat, u128::from(half) + 1);
        let error = trace(&graph, &[case(&[0])], &Terms::new(method)).unwrap_err();
        assert_eq!(error, TaintError::Sum { txid: graph.txid(kuraban_trace::graph::TxNum::new(3)) });
    }
}

#[test]
fn what_cannot_be_traced_is_said() {
    let graph = Memory::of_payments(MIXED).unwrap();
    let check = |cases: &[Case], until, want: &str| {
        let terms = Terms { until, ..Terms::new(Method::Fifo) };
        assert_eq!(trace(&graph, cases, &terms).unwrap_err().to_string(), want);
    };
    check(&[], None, "there is no seed to start from");
    check(&[case(&[])], None, "there is no seed to start from");
    check(&[case(&[0])], Some(Height::new(5)), "asked until height 5, the index ends at 4");
    let late = "seed 0000000000000000000000000000000000000000000000000300000000000000:0 stands at height 3, after the \
                last block that counts, 2";
    check(&[case(&[0, 5])], Some(Height::new(2)), late);
    let spends_more = Memory::of_payments(&[(&[], &[4]), (&[(0, 0)], &[5])]).unwrap();
    let error = trace(&spends_more, &[case(&[0])], &Terms::new(Method::Fifo)).unwrap_err();
    assert!(error.to_string().ends_with("takes in 4 base units and gives out more"), "{error}");
    let empty = Memory::new(Network::BtcMain);
    assert_eq!(trace(&empty, &[case(&[0])], &Terms::new(Method::Fifo)), Err(TaintError::Empty));
}

#[test]
fn a_seed_that_is_not_there_is_said() {
    let graph = Memory::of_payments(MIXED).unwrap();
    let known = graph.txid(kuraban_trace::graph::TxNum::new(2));
    let check = |txid, vout, want: Result<u64, &str>| {
        let found = seed(&graph, OutPoint { txid, vout });
        let found = found.map(OutputNum::number).map_err(|error| error.to_string());
        assert_eq!(found, want.map_err(str::to_owned));
    };
    check(known, 0, Ok(2));
    check(known, 2, Ok(4));
    check(known, 3, Err(&format!("{known}:3 never existed, that transaction has 3 outputs")));
    check(known, u32::MAX, Err(&format!("{known}:4294967295 never existed, that transaction has 3 outputs")));
    let unknown = Txid::from_bytes([9; 32]);
    check(unknown, 0, Err(&format!("transaction {unknown} is not in the index")));
}

#[test]
fn a_block_that_spends_what_is_not_there_changes_nothing() {
    let mut graph = Memory::of_payments(MIXED).unwrap();
    let before = graph.clone();
    let gone = OutPoint { txid: graph.txid(kuraban_trace::graph::TxNum::new(0)), vout: 0 };
    let txid = Txid::from_bytes([8; 32]);
    let node = |inputs| Node { txid, inputs, outputs: Vec::new() };
    let mut push = |height, nodes: &[Node]| graph.push_nodes(Height::new(height), BlockHash::ZERO, nodes);
    assert_eq!(push(9, &[node(vec![gone])]), Err(MemoryError::Missing { txid, outpoint: gone }));
    assert_eq!(push(4, &[]), Err(MemoryError::Height { found: Height::new(4), tip: Height::new(4) }));
    assert_eq!((graph.tx_count(), graph.tip()), (before.tx_count(), before.tip()));
}
