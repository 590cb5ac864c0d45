//! Real blocks, where the folder with them is at hand: the environment variable `KURABAN_SHARED` names it, or it
//! stands beside the repository.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{Block, BlockHash, Network, OutPoint, Reader, Script, TxOut};
use kuraban_trace::{
    graph::{Graph, Memory, Node},
    taint::{Case, Method, Terms, seed, trace},
};

use crate::taint_ordinals::{Sats, check_seed};

fn real_data_folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("KURABAN_SHARED").map_or(beside, PathBuf::from).join("data/btc_blocks");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no real data at {}", folder.display());
    None
}

#[test]
fn fifo_is_the_sat_flow_from_genesis_on() {
    let Some(folder) = real_data_folder() else { return };
    let bytes = fs::read(folder.join("bitcoinj_first-100k-blocks.dat")).unwrap();
    let mut reader = Reader::new(&bytes);
    let mut graph = Memory::new(Network::BtcMain);
    let mut sats = Sats::default();
    let mut seeds = Vec::new();
    for height in (0..).map(Height::new) {
        if reader.rest().is_empty() {
            break;
        }
        assert_eq!(reader.array::<4>("magic"), Ok(Network::BtcMain.magic()));
        let length = usize::try_from(reader.u32("length").unwrap()).unwrap();
        let block = Block::decode(Network::BtcMain, reader.take("block", length).unwrap()).unwrap();
        let nodes: Vec<Node> = block.txs.iter().map(Node::from).collect();
        seeds.extend(nodes.iter().map(|node| OutPoint { txid: node.txid, vout: 0 }));
        graph.push(height, &block).unwrap();
        sats.block(Network::BtcMain, height, &nodes);
    }
    assert!(seeds.len() > 100, "{} transactions", seeds.len());
    for seed in seeds {
        check_seed(&graph, &sats, seed);
    }
}

/// A block with the outputs it spends, and the nodes that make them.
struct Undone {
    block: Block,
    height: Height,
    earlier: Vec<Node>,
}

fn undone(folder: &Path, name: &str, network: Network, height: u32) -> Undone {
    let block = Block::decode(network, &fs::read(folder.join(format!("{name}.raw"))).unwrap()).unwrap();
    let bytes = fs::read(folder.join(format!("{name}-undo.raw"))).unwrap();
    let mut reader = Reader::new(&bytes);
    let own: HashSet<Txid> = block.txs.iter().map(|tx| tx.txid()).collect();
    let mut spent: BTreeMap<Txid, BTreeMap<u32, TxOut>> = BTreeMap::new();
    for input in block.txs.iter().skip(1).flat_map(|tx| &tx.inputs) {
        let value_sat = reader.u64("value").unwrap();
        let script = Script::new(reader.bytes("script").unwrap().to_vec());
        if !own.contains(&input.prev.txid) {
            spent.entry(input.prev.txid).or_default().insert(input.prev.vout, TxOut { value_sat, script });
        }
    }
    assert!(reader.rest().is_empty());
    let node = |(txid, outputs): (&Txid, &BTreeMap<u32, TxOut>)| {
        let last = *outputs.keys().last().unwrap();
        let none = TxOut { value_sat: 0, script: Script::default() };
        let outputs = (0..=last).map(|vout| outputs.get(&vout).unwrap_or(&none).clone()).collect();
        Node { txid: *txid, inputs: Vec::new(), outputs }
    };
    Undone { earlier: spent.iter().map(node).collect(), block, height: Height::new(height) }
}

const UNDONE: [(&str, Network, u32); 4] = [
    ("bcoin_block300025", Network::BtcMain, 300_025),
    ("bcoin_TESTNET_block1087400", Network::BtcTest, 1_087_400),
    ("bcoin_TESTNET_block928816", Network::BtcTest, 928_816),
    ("bcoin_TESTNET_block928831", Network::BtcTest, 928_831),
];

impl Undone {
    fn graph(&self, network: Network) -> Memory {
        let mut graph = Memory::new(network);
        let before = Height::new(self.height.blocks() - 1);
        graph.push_nodes(before, BlockHash::from_bytes([0; 32]), &self.earlier).unwrap();
        graph.push(self.height, &self.block).unwrap();
        graph
    }

    fn spent(&self) -> impl Iterator<Item = (OutPoint, &TxOut)> {
        self.earlier.iter().flat_map(|node| {
            let outputs = (0..).zip(&node.outputs).filter(|(_, output)| output.value_sat > 0);
            outputs.map(|(vout, output)| (OutPoint { txid: node.txid, vout }, output))
        })
    }
}

#[test]
fn fifo_is_the_sat_flow_in_blocks_with_their_previous_outputs() {
    let Some(folder) = real_data_folder() else { return };
    for (name, network, height) in UNDONE {
        let undone = undone(&folder, name, network, height);
        let graph = undone.graph(network);
        let mut sats = Sats::default();
        for (at, output) in undone.spent() {
            sats.grant(at, output.value_sat);
        }
        let nodes: Vec<Node> = undone.block.txs.iter().map(Node::from).collect();
        sats.block(network, undone.height, &nodes);
        let step = undone.spent().count().div_ceil(40);
        for (at, _) in undone.spent().step_by(step) {
            check_seed(&graph, &sats, at);
        }
    }
}

#[test]
fn every_method_balances_on_real_blocks() {
    let Some(folder) = real_data_folder() else { return };
    for (name, network, height) in UNDONE {
        let undone = undone(&folder, name, network, height);
        let graph = undone.graph(network);
        // Two thefts in turn, of every third output that is spent.
        let seeds: Vec<_> = undone.spent().step_by(3).map(|(at, _)| seed(&graph, at).unwrap()).collect();
        let half = |rest| Case { seeds: seeds.iter().copied().skip(rest).step_by(2).collect() };
        let cases = [half(0), half(1)];
        let stolen: u64 = seeds.iter().map(|seed| graph.value(*seed)).sum();
        for method in Method::ALL {
            for follow_fees in [false, true] {
                let found = trace(&graph, &cases, &Terms { follow_fees, ..Terms::new(method) }).unwrap();
                assert_eq!(found.totals().stolen_sat, u128::from(stolen), "{name} {method}");
                found.totals().balance().unwrap();
                let fees = found.totals().fees_sat;
                assert_eq!(
                    fees.is_some_and(|fees| fees > 0),
                    method.conserves() && !follow_fees,
                    "{name} {method}"
                );
                for tainted in found.unspent {
                    assert!(tainted.tainted_sat() <= tainted.value_sat);
                }
            }
        }
    }
}
