//! Chains for the tests of the index, files of them, and what a plain model says about them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kuraban_base::Txid;
use kuraban_chain::btc::{
    Block, BlockHash, Header, MerkleRoot, Mweb, Network, OutPoint, Script, Tx, TxIn, TxOut, pow,
};
use kuraban_sim::{
    chain::Regtest,
    economy::{Economy, Shape},
};
use kuraban_trace::{
    graph::{AddressNum, Fate, Graph as _, OutputNum, TxNum},
    index::{Coin, Index, Prepared, Start, Writer},
};

pub(crate) const SMALL: Shape = Shape { regtest: Regtest::Btc, block_txs: 30, ..Shape::BTC };

/// So many blocks of an economy.
pub(crate) fn chain(shape: Shape, seed: u64, blocks: usize) -> Vec<Block> {
    let mut economy = Economy::new(shape, seed);
    (0..blocks).map(|_| economy.next_block(Vec::new(), 0).unwrap()).collect()
}

/// A block of the given transactions after another, with work in it.
pub(crate) fn block_after(network: Network, prev: BlockHash, time_s: u32, txs: Vec<Tx>) -> Block {
    let header = Header {
        version: 0x2000_0000,
        prev,
        merkle_root: MerkleRoot::from_bytes([0; 32]),
        time_s,
        bits: 0x207f_ffff,
        nonce: 0,
    };
    let mut block = Block { header, txs, extension: None };
    block.header.merkle_root = block.merkle().root;
    while pow::judge(network, &block.header).is_err() {
        block.header.nonce += 1;
    }
    block
}

/// A coinbase that is told from others by its mark alone.
pub(crate) fn coinbase(mark: u8, value_sat: u64) -> Tx {
    let prev = OutPoint::NULL;
    let script_sig = Script::new(vec![1, mark]);
    let input = TxIn { prev, script_sig, sequence: u32::MAX, witness: Vec::new() };
    let output = TxOut { value_sat, script: Script::p2pkh(&[mark; 20]) };
    Tx { version: 1, inputs: vec![input], outputs: vec![output], lock_time: 0, mweb: Mweb::None }
}

/// A transaction that spends outpoints.
pub(crate) fn spend(prevs: &[OutPoint], outputs: Vec<TxOut>) -> Tx {
    let input = |prev: &OutPoint| TxIn {
        prev: *prev,
        script_sig: Script::default(),
        sequence: u32::MAX,
        witness: Vec::new(),
    };
    let inputs = prevs.iter().map(input).collect();
    Tx { version: 1, inputs, outputs, lock_time: 0, mweb: Mweb::None }
}

pub(crate) fn prepared(network: Network, block: &Block) -> Prepared {
    Prepared::read(network, block.encode()).unwrap()
}

/// An index of a whole chain.
pub(crate) fn index_of(folder: &Path, network: Network, blocks: &[Block]) -> Index {
    let mut writer = Writer::create(folder, network, Start::GENESIS).unwrap();
    for block in blocks {
        writer.append(&prepared(network, block)).unwrap();
    }
    writer.close().unwrap();
    Index::open(folder).unwrap()
}

/// Blocks as a node keeps them: magic, length, block; zeros after the last; all under a key.
pub(crate) fn write_records(path: &Path, network: Network, blocks: &[Vec<u8>], zeros: usize, key: [u8; 8]) {
    let mut bytes = Vec::new();
    for block in blocks {
        bytes.extend_from_slice(&network.magic());
        bytes.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(block);
    }
    for (byte, key) in bytes.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    // Reserved and not written: zeros that no key has touched.
    bytes.resize(bytes.len() + zeros, 0);
    std::fs::write(path, bytes).unwrap();
}

/// Every file of a folder with its bytes.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().into(), std::fs::read(&path).unwrap())).collect()
}

/// Unspent outputs: by outpoint, value and script.
pub(crate) type Unspent = BTreeMap<OutPoint, (u64, Script)>;

/// What is unspent after a chain, without the first block's and without what nobody can spend, by a map of outpoints.
pub(crate) fn unspent_of(blocks: &[Block]) -> Unspent {
    let mut unspent = Unspent::new();
    for (block, height) in blocks.iter().zip(0..) {
        for tx in &block.txs {
            if !tx.is_coinbase() {
                for input in &tx.inputs {
                    unspent.remove(&input.prev).expect("spends what is there");
                }
            }
            for (outpoint, output) in tx.outpoints() {
                if height > 0 && !output.script.is_unspendable() {
                    unspent.insert(outpoint, (output.value_sat, output.script.clone()));
                }
            }
        }
    }
    unspent
}

/// What an index says is unspent.
pub(crate) fn unspent_in(index: &Index) -> Unspent {
    compare_scans(index);
    let mut unspent = Unspent::new();
    for tx in 0..index.tx_count() {
        let txid = index.txid(TxNum::new(tx));
        for (output, vout) in index.outputs(TxNum::new(tx)).zip(0..) {
            let output = OutputNum::new(output);
            if index.spender(output).is_none() && index.fate(output) == Fate::Spendable {
                let script = index.script(index.address(output).unwrap());
                unspent.insert(OutPoint { txid, vout }, (index.value(output), script));
            }
        }
    }
    unspent
}

/// Compares what an index gives in one go with what it answers one by one.
pub(crate) fn compare_scans(index: &Index) {
    let outputs = (0..index.counts().outputs).map(OutputNum::new).map(|output| Coin {
        value_sat: index.value(output),
        address: index.address(output),
        spender: index.spender(output),
    });
    assert!(index.all_outputs().eq(outputs), "outputs differ");
    let inputs = (0..index.tx_count()).map(TxNum::new).flat_map(|tx| index.inputs(tx));
    assert!(index.all_inputs().eq(inputs), "inputs differ");
    let count = index.tx_count();
    for txs in [0..count, count / 3..count / 2, count.saturating_sub(1)..count, count..count] {
        // Something stands there already, and stays.
        let (mut spent, mut ends) = (vec![OutputNum::new(7)], vec![1]);
        index.inputs_of(txs.clone(), &mut spent, &mut ends);
        let (mut want, mut want_ends) = (vec![OutputNum::new(7)], vec![1]);
        for tx in txs.map(TxNum::new) {
            want.extend(index.inputs(tx));
            want_ends.push(want.len());
        }
        assert_eq!((spent, ends), (want, want_ends), "inputs side by side differ");
    }
}

/// Compares everything that an index answers with the blocks themselves.
pub(crate) fn compare(index: &Index, blocks: &[Block]) {
    let mut outputs: BTreeMap<OutPoint, u64> = BTreeMap::new();
    let mut spenders: BTreeMap<u64, u64> = BTreeMap::new();
    let mut addresses: BTreeMap<Script, u64> = BTreeMap::new();
    let mut tx_number = 0;
    for (block, height) in blocks.iter().zip(0_u32..) {
        let first = tx_number;
        for tx in &block.txs {
            let ours = TxNum::new(tx_number);
            let txid: Txid = tx.txid();
            assert_eq!(index.txid(ours), txid);
            assert_eq!(index.height(ours).blocks(), height);
            let spent: Vec<u64> = if tx.is_coinbase() {
                Vec::new()
            } else {
                tx.inputs.iter().map(|input| outputs[&input.prev]).collect()
            };
            spenders.extend(spent.iter().map(|output| (*output, tx_number)));
            assert_eq!(index.inputs(ours).map(OutputNum::number).collect::<Vec<_>>(), spent);
            let mut range = index.outputs(ours);
            for (outpoint, output) in tx.outpoints() {
                let number = range.next().unwrap();
                outputs.insert(outpoint, number);
                assert_eq!(index.value(OutputNum::new(number)), output.value_sat);
                assert_eq!(index.creator(OutputNum::new(number)), ours);
                if output.script.is_unspendable() {
                    assert_eq!(index.address(OutputNum::new(number)), None);
                } else {
                    let next = u64::try_from(addresses.len()).unwrap();
                    let address = *addresses.entry(output.script.clone()).or_insert(next);
                    if height > 0 {
                        assert_eq!(index.address(OutputNum::new(number)), Some(AddressNum::new(address)));
                    }
                    assert_eq!(index.find_script(&output.script), Some(AddressNum::new(address)));
                }
            }
            assert_eq!(range.next(), None);
            tx_number += 1;
        }
        assert_eq!(index.block(index.height(TxNum::new(first))), Some(first..tx_number));
    }
    assert_eq!(index.tx_count(), tx_number);
    for output in outputs.values() {
        let spender = index.spender(OutputNum::new(*output)).map(TxNum::number);
        assert_eq!(spender, spenders.get(output).copied());
    }
    compare_scans(index);
    let counts = index.counts();
    assert_eq!(counts.blocks, u64::try_from(blocks.len()).unwrap());
    assert_eq!(counts.inputs, u64::try_from(spenders.len()).unwrap());
    assert_eq!(counts.addresses, u64::try_from(addresses.len()).unwrap());
    assert_eq!(index.tip().unwrap().hash, blocks.last().unwrap().hash());
}
