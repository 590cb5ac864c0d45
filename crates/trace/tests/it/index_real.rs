//! Real blocks in an index, counted by the `bitcoin` crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use bitcoin::hashes::Hash as _;
use kuraban_base::Height;
use kuraban_chain::btc::{Network, OutPoint};
use kuraban_trace::{
    graph::{Fate, Graph as _, OutputNum, TxNum},
    index::{
        Index, Prepared, Start, Writer,
        build::{self, Begin, COMMIT_BYTES, Pace},
        source::Source,
    },
};

use crate::index_chain::unspent_in;

/// The folder of real blocks, if it is there.
fn folder(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("KURABAN_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("data").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}

/// Whole blocks of the main network and the test network, with the network of each.
fn blocks() -> Vec<(Network, Vec<u8>)> {
    let Some(folder) = folder("btc_blocks") else { return Vec::new() };
    let mut found = Vec::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("undo") || name.contains("100k") {
            continue;
        }
        let network = if name.contains("TESTNET") { Network::BtcTest } else { Network::BtcMain };
        let bytes = std::fs::read(&path).unwrap();
        let bytes = kuraban_base::hex::decode(String::from_utf8_lossy(&bytes).trim()).unwrap_or(bytes);
        found.push((network, bytes));
    }
    assert!(found.len() > 8, "{} blocks", found.len());
    found
}

#[test]
fn an_index_of_a_real_block_counts_what_the_peer_crate_counts() {
    for (network, bytes) in blocks() {
        let theirs: bitcoin::Block = bitcoin::consensus::deserialize(&bytes).unwrap();
        let block = Prepared::read(network, bytes).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let start = Start { height: Height::new(100), before: block.header().prev };
        let mut writer = Writer::create(folder.path(), network, start).unwrap();
        writer.append(&block).unwrap();
        writer.close().unwrap();
        let index = Index::open(folder.path()).unwrap();
        assert_eq!(index.tip().unwrap().hash, block.hash());
        assert_eq!(index.tip().unwrap().height, Height::new(100));
        compare(&index, &theirs);
    }
}

/// Compares an index of one block with what the peer crate reads in it.
fn compare(index: &Index, theirs: &bitcoin::Block) {
    let counts = index.counts();
    let txs = u64::try_from(theirs.txdata.len()).unwrap();
    assert_eq!(counts.transactions, txs);
    let inputs: usize = theirs.txdata[1..].iter().map(|tx| tx.input.len()).sum();
    assert_eq!(counts.inputs, u64::try_from(inputs).unwrap());
    let spendable =
        |script: &bitcoin::Script| !script.as_bytes().starts_with(&[0x6a]) && script.len() <= 10_000;
    let scripts: BTreeSet<&bitcoin::Script> = theirs
        .txdata
        .iter()
        .flat_map(|tx| tx.output.iter().map(|output| output.script_pubkey.as_script()))
        .filter(|script| spendable(script))
        .collect();
    assert_eq!(counts.addresses, u64::try_from(scripts.len()).unwrap());
    let mut spenders = BTreeMap::new();
    for (tx, number) in theirs.txdata.iter().zip(0..) {
        for input in &tx.input {
            spenders.insert(input.previous_output, number);
        }
    }
    let mut output = 0;
    for (tx, number) in theirs.txdata.iter().zip(0..) {
        let txid = tx.compute_txid();
        let ours = TxNum::new(number);
        assert_eq!(index.txid(ours).as_bytes(), txid.as_byte_array());
        assert_eq!(index.find(&index.txid(ours)), Some(ours));
        assert_eq!(index.height(ours), Height::new(100));
        let outside = usize::try_from(index.outside_inputs(ours)).unwrap();
        let inside = index.inputs(ours).count();
        assert_eq!(outside + inside, if number == 0 { 0 } else { tx.input.len() });
        for (paid, vout) in tx.output.iter().zip(0..) {
            let at = OutputNum::new(output);
            assert_eq!(index.value(at), paid.value.to_sat());
            assert_eq!(index.creator(at), ours);
            let spender = spenders.get(&bitcoin::OutPoint { txid, vout });
            assert_eq!(index.spender(at), spender.copied().map(TxNum::new));
            let address = index.address(at);
            assert_eq!(address.is_some(), spendable(&paid.script_pubkey));
            if let Some(address) = address {
                assert_eq!(index.script(address).as_bytes(), paid.script_pubkey.as_bytes());
                assert_eq!(index.find_script(&index.script(address)), Some(address));
            }
            output += 1;
        }
        assert_eq!(index.outputs(ours).end, output);
    }
    assert_eq!(counts.outputs, output);
}

#[test]
fn a_litecoin_block_with_an_extension_has_its_ids_and_its_shielded_balance() {
    let Some(folder) = folder("altcoin_blocks") else { return };
    let check = |height: u32, shielded: bool| {
        let path = folder.join(format!("electrumx_litecoin_mainnet_{height}.json"));
        let theirs: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("block.hex");
        std::fs::write(&file, theirs["block"].as_str().unwrap()).unwrap();
        let source = Source::scan(Network::LtcMain, &[file], |_, _| {}).unwrap();
        let pace = Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} };
        let out = files.path().join("index");
        let (index, _) = build::build(&out, &source, Begin::Partial(None), pace).unwrap();
        let tip = index.tip().unwrap();
        assert_eq!(
            (tip.height.blocks(), tip.hash.to_string()),
            (height, theirs["hash"].as_str().unwrap().into())
        );
        let txids: Vec<&str> =
            theirs["tx"].as_array().unwrap().iter().map(|txid| txid.as_str().unwrap()).collect();
        let ours: Vec<String> =
            (0..index.tx_count()).map(|tx| index.txid(TxNum::new(tx)).to_string()).collect();
        assert_eq!(ours, txids);
        // The HogEx is the last transaction, and its first output the extension block's balance.
        let last = index.outputs(TxNum::new(index.tx_count() - 1)).start;
        assert_eq!(index.fate(OutputNum::new(last)) == Fate::Shielded, shielded, "height {height}");
        let others = (0..last).filter(|output| index.fate(OutputNum::new(*output)) == Fate::Shielded).count();
        assert_eq!(others > 0, shielded, "peg-ins at height {height}: {others}");
    };
    check(2_265_985, true);
    check(900_000, false);
}

#[test]
fn the_first_blocks_of_bitcoin_have_the_unspent_outputs_that_the_peer_crate_leaves() {
    let Some(folder) = folder("btc_blocks") else { return };
    let file = folder.join("bitcoinj_first-100k-blocks.dat");
    let bytes = std::fs::read(&file).unwrap();
    let mut theirs: BTreeMap<bitcoin::OutPoint, bitcoin::TxOut> = BTreeMap::new();
    let (mut rest, mut blocks, mut hash) = (&bytes[..], 0, None);
    while let Some((record, after)) = rest.split_first_chunk::<8>() {
        let length = usize::try_from(u32::from_le_bytes(record[4..].try_into().unwrap())).unwrap();
        let block: bitcoin::Block = bitcoin::consensus::deserialize(&after[..length]).unwrap();
        for tx in &block.txdata {
            for input in tx.input.iter().filter(|_| !tx.is_coinbase()) {
                theirs.remove(&input.previous_output).unwrap();
            }
            // The first block's output cannot be spent.
            let outputs = tx.output.iter().zip(0..).filter(|_| blocks > 0);
            let txid = tx.compute_txid();
            theirs.extend(outputs.map(|(output, vout)| (bitcoin::OutPoint { txid, vout }, output.clone())));
        }
        (rest, blocks, hash) = (&after[length..], blocks + 1, Some(block.block_hash()));
    }
    let source = Source::scan(Network::BtcMain, &[file], |_, _| {}).unwrap();
    let pace = Pace { commit_bytes: COMMIT_BYTES, progress: &mut |_| {} };
    let out = tempfile::tempdir().unwrap();
    let (index, outcome) = build::build(out.path(), &source, Begin::Genesis, pace).unwrap();
    assert_eq!((outcome.appended, outcome.aside), (blocks, 0));
    assert!(blocks > 400, "{blocks} blocks");
    assert_eq!(index.tip().unwrap().hash.as_bytes(), hash.unwrap().as_byte_array());
    let ours = unspent_in(&index);
    assert_eq!(ours.len(), theirs.len());
    for (outpoint, output) in &theirs {
        let txid = kuraban_base::Txid::from_bytes(outpoint.txid.to_byte_array());
        let (value_sat, script) = &ours[&OutPoint { txid, vout: outpoint.vout }];
        assert_eq!(*value_sat, output.value.to_sat());
        assert_eq!(script.as_bytes(), output.script_pubkey.as_bytes());
    }
}
