//! Random chains: valid amounts, under-claimed subsidies, repeated coinbase ids, data outputs, fees.

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};
use kuraban_trace::graph::{Memory, Node};
use proptest::prelude::*;

/// A block of a random chain.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub height: Height,
    pub nodes: Vec<Node>,
}

/// Choices from which a chain follows.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    start: u32,
    blocks: Vec<BlockPlan>,
}

#[derive(Clone, Debug)]
struct BlockPlan {
    /// Weights of the coinbase's outputs; the last part is not claimed.
    claims: Vec<u8>,
    claims_all: bool,
    /// Whether the coinbase repeats the id of the one before.
    repeats: bool,
    txs: Vec<TxPlan>,
}

#[derive(Clone, Debug)]
struct TxPlan {
    inputs: Vec<u16>,
    /// Weights of the outputs; the last part is the fee.
    outputs: Vec<u8>,
    pays_fee: bool,
    /// Output that gets a script that nobody can spend.
    data: Option<u8>,
}

/// Chains that begin at one of these heights, which decides how large the subsidy is.
pub(crate) fn plan(starts: &'static [u32], blocks: usize) -> impl Strategy<Value = Plan> {
    let tx = (
        prop::collection::vec(any::<u16>(), 1..4),
        prop::collection::vec(0..6_u8, 2..6),
        prop::bool::weighted(0.7),
        prop::option::weighted(0.1, any::<u8>()),
    );
    let tx = tx.prop_map(|(inputs, outputs, pays_fee, data)| TxPlan { inputs, outputs, pays_fee, data });
    let block = (
        prop::collection::vec(0..6_u8, 2..5),
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.15),
        prop::collection::vec(tx, 0..5),
    );
    let block =
        block.prop_map(|(claims, claims_all, repeats, txs)| BlockPlan { claims, claims_all, repeats, txs });
    (prop::sample::select(starts), prop::collection::vec(block, 2..blocks))
        .prop_map(|(start, blocks)| Plan { start, blocks })
}

/// `whole` in proportion to the weights, what is left over to the last.
fn split(whole: u64, weights: &[u8]) -> Vec<u64> {
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let share = |weight: &u8| {
        u64::try_from(u128::from(whole) * u128::from(*weight) / u128::from(sum.max(1))).unwrap()
    };
    let mut shares: Vec<u64> = weights.iter().map(share).collect();
    let rest = whole - shares.iter().sum::<u64>();
    *shares.last_mut().unwrap() += rest;
    shares
}

/// A script by its number; every seventeenth or so shares an owner.
fn script(number: usize) -> Script {
    Script::p2pkh(&[u8::try_from(number % 5).unwrap(); 20])
}

fn outputs(values: &[u64], data: Option<u8>) -> Vec<TxOut> {
    let data = data.map(|data| usize::from(data) % values.len().max(1));
    let make = |(at, value_sat): (usize, &u64)| {
        let script = if data == Some(at) { Script::new(vec![0x6a]) } else { script(at) };
        TxOut { value_sat: *value_sat, script }
    };
    values.iter().enumerate().map(make).collect()
}

fn txid(number: u64) -> Txid {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Txid::from_bytes(bytes)
}

impl Plan {
    /// The chain, on Bitcoin's regression test network.
    pub(crate) fn chain(&self) -> Vec<Block> {
        let mut unspent: Vec<(OutPoint, TxOut)> = Vec::new();
        let mut chain = Vec::new();
        let mut made = 0;
        let mut last_coinbase: Option<Node> = None;
        for (height, plan) in (self.start..).zip(&self.blocks) {
            let height = Height::new(height);
            let mut nodes = Vec::new();
            let mut fees = 0;
            for tx in &plan.txs {
                let Some((node, fee)) = spend(tx, &mut unspent, txid(made + 1)) else { continue };
                made += 1;
                fees += fee;
                let fresh = (0..).zip(&node.outputs);
                let fresh = fresh.map(|(vout, output)| (OutPoint { txid: node.txid, vout }, output.clone()));
                unspent.extend(fresh.filter(|(_, output)| !output.script.is_unspendable()));
                nodes.push(node);
            }
            made += 1;
            let reward = Network::BtcRegtest.subsidy_sat(height) + fees;
            let fits =
                |node: &Node| node.outputs.iter().map(|output| output.value_sat).sum::<u64>() <= reward;
            // A coinbase cannot be spent in its own block, so neither can one whose place it takes.
            let spent = |id: Txid| nodes.iter().flat_map(|node| &node.inputs).any(|input| input.txid == id);
            let may_repeat = |node: &Node| plan.repeats && fits(node) && !spent(node.txid);
            let repeated = last_coinbase.filter(may_repeat);
            let node = repeated.unwrap_or_else(|| {
                let mut values = split(reward, &plan.claims);
                if !plan.claims_all {
                    values.pop();
                }
                Node { txid: txid(made), inputs: Vec::new(), outputs: outputs(&values, None) }
            });
            let id = node.txid;
            last_coinbase = Some(node.clone());
            // The outputs of the coinbase whose id is repeated are gone.
            unspent.retain(|(outpoint, _)| outpoint.txid != id);
            let fresh = (0..).zip(&node.outputs);
            unspent.extend(fresh.map(|(vout, output)| (OutPoint { txid: id, vout }, output.clone())));
            nodes.insert(0, node);
            chain.push(Block { height, nodes });
        }
        chain
    }
}

fn spend(plan: &TxPlan, unspent: &mut Vec<(OutPoint, TxOut)>, txid: Txid) -> Option<(Node, u64)> {
    let mut inputs = Vec::new();
    let mut whole = 0;
    for pick in &plan.inputs {
        if unspent.is_empty() {
            break;
        }
        let (outpoint, output) = unspent.remove(usize::from(*pick) % unspent.len());
        whole += output.value_sat;
        inputs.push(outpoint);
    }
    if inputs.is_empty() {
        return None;
    }
    let mut values = split(whole, &plan.outputs);
    let fee = if plan.pays_fee { values.pop().unwrap() } else { 0 };
    Some((Node { txid, inputs, outputs: outputs(&values, plan.data) }, fee))
}

/// The graph of a chain.
pub(crate) fn graph(chain: &[Block]) -> Memory {
    let mut graph = Memory::new(Network::BtcRegtest);
    for block in chain {
        let hash = BlockHash::from_bytes([1; 32]);
        graph.push_nodes(block.height, hash, &block.nodes).expect("a valid chain");
    }
    graph
}

/// Every output of a chain, in chain order, with its height.
pub(crate) fn outpoints(chain: &[Block]) -> Vec<(OutPoint, Height)> {
    let mut all = Vec::new();
    for block in chain {
        for node in &block.nodes {
            let own = (0..).zip(&node.outputs);
            all.extend(own.map(|(vout, _)| (OutPoint { txid: node.txid, vout }, block.height)));
        }
    }
    all
}
