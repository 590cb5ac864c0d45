//! The same trace over an index on disk and over the graph in memory.

use kuraban_base::Height;
use kuraban_chain::btc::Network;
use kuraban_sim::economy::{Economy, Shape};
use kuraban_trace::{
    graph::{Graph as _, Memory, OutputNum},
    index::{Index, Prepared, Start, Writer},
    taint::{Case, Method, Terms, trace},
};

#[test]
fn an_index_and_the_graph_in_memory_give_one_answer() {
    let network = Network::BtcRegtest;
    let mut economy = Economy::new(Shape { block_txs: 12, ..Shape::BTC }, 7);
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), network, Start::GENESIS).unwrap();
    let mut memory = Memory::new(network);
    for height in (0..220).map(Height::new) {
        let block = economy.next_block(Vec::new(), 0).unwrap();
        writer.append(&Prepared::read(network, block.encode()).unwrap()).unwrap();
        memory.push(height, &block).unwrap();
    }
    writer.close().unwrap();
    let index = Index::open(folder.path()).unwrap();
    assert_eq!(index.tip(), memory.tip());
    let outputs = index.outputs(kuraban_trace::graph::TxNum::new(index.tx_count() - 1)).end;
    // Spent outputs from the middle on, the chain's first output among the seeds.
    let spent = (outputs / 3..outputs / 2).map(OutputNum::new).filter(|at| index.spender(*at).is_some());
    let seeds: Vec<OutputNum> = core::iter::once(OutputNum::new(0)).chain(spent.step_by(15)).collect();
    let cases = [
        Case { seeds: seeds.iter().copied().step_by(2).collect() },
        Case { seeds: seeds.iter().copied().skip(1).step_by(2).collect() },
    ];
    for method in Method::ALL {
        for follow_fees in [false, true] {
            let terms = Terms { follow_fees, until: Some(Height::new(215)), ..Terms::new(method) };
            let (ours, theirs) = (trace(&index, &cases, &terms), trace(&memory, &cases, &terms));
            let found = ours.unwrap();
            assert!(found.transactions_touched > 50, "{} transactions", found.transactions_touched);
            assert_eq!(Ok(found), theirs, "{method}");
        }
    }
}
