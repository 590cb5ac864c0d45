//! Real blocks and transactions, where the folder with them is at hand: the environment variable
//! `KURABAN_SHARED` names it, or it stands beside the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kuraban_base::{Txid, hex};
use kuraban_chain::btc::{
    Address, Block, EcdsaSighash, KeyError, Mweb, Network, OutPoint, Reader, Script, ScriptKind, Tx, TxIn,
    TxOut, VerifyError,
    block::Commitment,
    pow,
    verify::{Form, Lock, Signer, Verifier},
    verify_input,
};
use serde_json::Value;

/// The data folder, or `None`, which is said.
pub(crate) fn real_data_folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("KURABAN_SHARED").map_or(beside, PathBuf::from).join("data");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no real data at {}", folder.display());
    None
}

pub(crate) fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap()
}

const BTC_BLOCKS: [(&str, Network); 13] = [
    ("bcoin_TESTNET_block1087400.raw", Network::BtcTest),
    ("bcoin_TESTNET_block928816.raw", Network::BtcTest),
    ("bcoin_TESTNET_block928831.raw", Network::BtcTest),
    ("bcoin_block300025.raw", Network::BtcMain),
    ("bcoin_block426884.raw", Network::BtcMain),
    ("bitcoinj_block169482.dat", Network::BtcMain),
    ("bitcoinj_block227835.dat", Network::BtcMain),
    ("bitcoinj_block227836.dat", Network::BtcMain),
    ("bitcoinj_block363703.dat", Network::BtcMain),
    ("electrs_000000000000000002d249a3d89f63ef3fee203adcca7c24008c13fd854513f2.hex_or_raw", Network::BtcMain),
    (
        "rustbitcoin_mainnet_000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae.raw",
        Network::BtcMain,
    ),
    ("electrumx_bitcoin_mainnet_951658.json", Network::BtcMain),
    ("electrumx_litecoin_mainnet_900000.json", Network::LtcMain),
];

fn block_bytes(folder: &Path, name: &str) -> Vec<u8> {
    if name.ends_with(".json") {
        let json = json(folder.join("altcoin_blocks").join(name));
        hex::decode(json["block"].as_str().unwrap()).unwrap()
    } else {
        fs::read(folder.join("btc_blocks").join(name)).unwrap()
    }
}

/// Everything about a block that the `bitcoin` crate can say too.
fn check_block(name: &str, network: Network, bytes: &[u8]) -> Block {
    let block = Block::decode(network, bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(block.encode() == bytes, "{name} encodes to itself");
    let theirs: bitcoin::Block = bitcoin::consensus::encode::deserialize(bytes).unwrap();
    assert_eq!(block.hash().to_string(), theirs.block_hash().to_string(), "{name}");
    assert_eq!(block.txs.len(), theirs.txdata.len(), "{name}");
    for (ours, theirs) in block.txs.iter().zip(&theirs.txdata) {
        let id = ours.txid().to_string();
        assert_eq!(id, theirs.compute_txid().to_string(), "{name}");
        assert_eq!(ours.wtxid().to_string(), theirs.compute_wtxid().to_string(), "{name} {id}");
        assert_eq!(ours.weight(), usize::try_from(theirs.weight().to_wu()).unwrap(), "{name} {id}");
        assert_eq!(ours.size(), theirs.total_size(), "{name} {id}");
        for (ours, theirs) in ours.outputs.iter().zip(&theirs.output) {
            check_script(network, &ours.script, &theirs.script_pubkey);
        }
    }
    let merkle = block.merkle();
    assert_eq!((merkle.root, merkle.duplicated), (block.header.merkle_root, false), "{name}");
    block.matched().unwrap_or_else(|error| panic!("{name}: {error}"));
    block
}

fn check_script(network: Network, ours: &Script, theirs: &bitcoin::Script) {
    let kind = ours.kind();
    let check = |want, got| assert_eq!(kind == want, got, "{ours}");
    check(ScriptKind::P2pkh, theirs.is_p2pkh());
    check(ScriptKind::P2sh, theirs.is_p2sh());
    check(ScriptKind::P2wpkh, theirs.is_p2wpkh());
    check(ScriptKind::P2wsh, theirs.is_p2wsh());
    check(ScriptKind::P2tr, theirs.is_p2tr());
    check(ScriptKind::OpReturn, theirs.is_op_return());
    if kind == ScriptKind::BareMultisig {
        assert!(theirs.is_multisig(), "{ours}");
    }
    let peer = match network {
        Network::BtcMain => bitcoin::Network::Bitcoin,
        Network::BtcTest => bitcoin::Network::Testnet,
        Network::BtcSignet
        | Network::BtcRegtest
        | Network::LtcMain
        | Network::LtcTest
        | Network::LtcRegtest => return,
    };
    let theirs = bitcoin::Address::from_script(theirs, peer).ok().map(|address| address.to_string());
    assert_eq!(Address::from_script(network, ours).map(|address| address.to_string()), theirs, "{ours}");
}

#[test]
fn real_blocks_decode_as_the_peer_crate_decodes_them() {
    let Some(folder) = real_data_folder() else { return };
    for (name, network) in BTC_BLOCKS {
        let bytes = block_bytes(&folder, name);
        let block = check_block(name, network, &bytes);
        if network != Network::LtcMain {
            pow::judge(network, &block.header).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let height = block.stated_height().map(|height| height.blocks().to_string());
        if let Some(height) = height {
            let named = name.contains("block") || name.contains("mainnet_9");
            assert!(!named || name.contains(&height), "{name} states height {height}");
        }
        for length in (0..bytes.len()).step_by(bytes.len() / 40).chain([79, 80, bytes.len() - 1]) {
            assert!(Block::decode(network, &bytes[..length]).is_err(), "{name} cut at {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Block::decode(network, &longer).is_err(), "{name} with a byte more");
    }
}

#[test]
fn real_transactions_cut_anywhere_are_refused() {
    let Some(folder) = real_data_folder() else { return };
    for (name, network) in BTC_BLOCKS {
        let block = Block::decode(network, &block_bytes(&folder, name)).unwrap();
        for tx in block.txs.iter().take(20) {
            let bytes = tx.encode();
            assert_eq!(Tx::decode(network, &bytes).as_ref(), Ok(tx));
            for length in 0..bytes.len() {
                assert!(
                    Tx::decode(network, &bytes[..length]).is_err(),
                    "{name} {} cut at {length}",
                    tx.txid()
                );
            }
        }
    }
}

#[test]
fn the_first_blocks_follow_each_other_from_genesis() {
    let Some(folder) = real_data_folder() else { return };
    let bytes = fs::read(folder.join("btc_blocks/bitcoinj_first-100k-blocks.dat")).unwrap();
    let mut reader = Reader::new(&bytes);
    let mut tip = None;
    let mut count = 0;
    while !reader.rest().is_empty() {
        assert_eq!(reader.array::<4>("magic"), Ok(Network::BtcMain.magic()));
        let length = usize::try_from(reader.u32("length").unwrap()).unwrap();
        let block = check_block("first blocks", Network::BtcMain, reader.take("block", length).unwrap());
        pow::judge(Network::BtcMain, &block.header).unwrap();
        match tip {
            Some(tip) => assert_eq!(block.header.prev, tip),
            None => assert_eq!(block.hash(), Network::BtcMain.genesis_hash()),
        }
        tip = Some(block.hash());
        count += 1;
    }
    assert!(count > 100, "{count} blocks");
}

/// Outputs that a block spends, in the order of its inputs.
fn undo(folder: &Path, name: &str) -> Vec<TxOut> {
    let bytes = fs::read(folder.join("btc_blocks").join(name)).unwrap();
    let mut reader = Reader::new(&bytes);
    let mut outputs = Vec::new();
    while !reader.rest().is_empty() {
        let value_sat = reader.u64("value").unwrap();
        outputs.push(TxOut { value_sat, script: Script::new(reader.bytes("script").unwrap().to_vec()) });
    }
    outputs
}

#[test]
fn signatures_of_real_blocks_hold_or_are_not_supported() {
    let Some(folder) = real_data_folder() else { return };
    // Name, network, inputs whose signatures hold, inputs of no known template, inputs with keys that are
    // none: data written into the places of keys.
    let rows = [
        ("bcoin_block300025", Network::BtcMain, 1424, 0, 3),
        ("bcoin_TESTNET_block1087400", Network::BtcTest, 205, 0, 0),
        ("bcoin_TESTNET_block928816", Network::BtcTest, 8692, 0, 0),
        ("bcoin_TESTNET_block928831", Network::BtcTest, 9984, 0, 0),
    ];
    for (name, network, want_good, want_unsupported, want_keyless) in rows {
        let block = Block::decode(network, &block_bytes(&folder, &format!("{name}.raw"))).unwrap();
        let spent = undo(&folder, &format!("{name}-undo.raw"));
        let mut spent = spent.as_slice();
        let (mut good, mut unsupported, mut keyless) = (0, 0, 0);
        for tx in &block.txs[1..] {
            let (prevouts, rest) = spent.split_at(tx.inputs.len());
            spent = rest;
            let verifier = Verifier::new(tx, prevouts).unwrap();
            tx.fee(prevouts).unwrap_or_else(|error| panic!("{name} {}: {error}", tx.txid()));
            for index in 0..tx.inputs.len() {
                match verifier.input(index) {
                    Ok(_) => good += 1,
                    Err(VerifyError::Unsupported { .. }) => unsupported += 1,
                    Err(VerifyError::Key { .. }) => keyless += 1,
                    Err(error) => panic!("{name} {} input {index}: {error}", tx.txid()),
                }
            }
        }
        assert!(spent.is_empty(), "{name}");
        assert_eq!((good, unsupported, keyless), (want_good, want_unsupported, want_keyless), "{name}");
    }
}

#[test]
fn litecoin_blocks_decode_with_their_extension_block() {
    let Some(folder) = real_data_folder() else { return };
    for (height, extended) in [(900_000, false), (2_265_985, true)] {
        let json = json(folder.join(format!("altcoin_blocks/electrumx_litecoin_mainnet_{height}.json")));
        let bytes = hex::decode(json["block"].as_str().unwrap()).unwrap();
        let block = Block::decode(Network::LtcMain, &bytes).unwrap();
        assert!(block.encode() == bytes);
        assert_eq!(Some(block.hash().to_string().as_str()), json["hash"].as_str());
        assert_eq!(json["size"].as_u64(), u64::try_from(bytes.len()).ok());
        assert_eq!(block.stated_height().map(|height| height.blocks()), Some(height));
        let ids: Vec<String> = block.txs.iter().map(|tx| tx.txid().to_string()).collect();
        let want: Vec<&str> = json["tx"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert_eq!(ids, want);
        block.matched().unwrap();
        let commitment = if extended { Commitment::Holds } else { Commitment::Absent };
        assert_eq!(block.witness_commitment(), commitment);
        assert_eq!(block.extension.is_some(), extended);
        assert_eq!(block.txs.last().map(|tx| tx.mweb == Mweb::HogEx), Some(extended));
        let kind = block.txs.last().unwrap().outputs[0].script.kind_on(Network::LtcMain);
        assert_eq!(kind == ScriptKind::MwebHogAddr, extended);
        // A Bitcoin block has neither the flag nor the extension.
        assert_eq!(Block::decode(Network::BtcMain, &bytes).is_err(), extended);
        match pow::judge(Network::LtcMain, &block.header) {
            Ok(work) => assert!(work.hashes() > 1 << 20),
            Err(error) if cfg!(feature = "pow-scrypt") => panic!("{error}"),
            Err(error) => assert_eq!(error, pow::PowError::NotBuilt { network: Network::LtcMain }),
        }
        for length in (0..bytes.len()).step_by(97).filter(|length| !extended || *length < bytes.len() / 2) {
            assert!(Block::decode(Network::LtcMain, &bytes[..length]).is_err(), "cut at {length}");
        }
    }
}

/// A transaction from an explorer's JSON (Esplora), with the outputs that it spends.
fn esplora(json: &Value) -> (Tx, Vec<TxOut>) {
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let script = |value: &Value| Script::new(hex::decode(value.as_str().unwrap()).unwrap());
    let output = |json: &Value| TxOut {
        value_sat: json["value"].as_u64().unwrap(),
        script: script(&json["scriptpubkey"]),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let input = |json: &Value| TxIn {
        prev: OutPoint { txid: json["txid"].as_str().unwrap().parse().unwrap(), vout: number(&json["vout"]) },
        script_sig: script(&json["scriptsig"]),
        sequence: number(&json["sequence"]),
        witness: list(&json["witness"])
            .iter()
            .map(|item| hex::decode(item.as_str().unwrap()).unwrap())
            .collect(),
    };
    let tx = Tx {
        version: i32::try_from(json["version"].as_i64().unwrap()).unwrap(),
        inputs: list(&json["vin"]).iter().map(input).collect(),
        outputs: list(&json["vout"]).iter().map(output).collect(),
        lock_time: number(&json["locktime"]),
        mweb: Mweb::None,
    };
    (tx, list(&json["vin"]).iter().map(|input| output(&input["prevout"])).collect())
}

#[test]
fn transactions_are_what_an_explorer_says_of_them() {
    let Some(folder) = real_data_folder() else { return };
    let files = [
        "bare-multisig",
        "batch-withdrawal-143",
        "dust-attack-555",
        "joinmarket-coinjoin",
        "op-return-charley",
        "simple-legacy-p2pkh",
        "taproot-op-return",
        "taproot-script-path",
        "wabisabi-coinjoin",
        "whirlpool-coinjoin",
    ];
    let single = files.iter().map(|name| json(folder.join(format!("esplora/{name}.json"))));
    let many = json(folder.join("esplora/satoshi-genesis-txs.json"));
    let (mut good, mut script_path, mut loose) = (0, 0, 0);
    for json in single.chain(many.as_array().unwrap().iter().cloned()) {
        let id = json["txid"].as_str().unwrap();
        let (tx, prevouts) = esplora(&json);
        assert_eq!(tx.txid().to_string(), id);
        let number = |key: &str| json[key].as_u64().and_then(|number| usize::try_from(number).ok());
        assert_eq!((Some(tx.size()), Some(tx.weight())), (number("size"), number("weight")), "{id}");
        assert_eq!(tx.fee(&prevouts).ok(), json["fee"].as_u64(), "{id}");
        assert_eq!(Tx::decode(Network::BtcMain, &tx.encode()).as_ref(), Ok(&tx), "{id}");
        for (output, json) in tx.outputs.iter().zip(json["vout"].as_array().unwrap()) {
            let address =
                Address::from_script(Network::BtcMain, &output.script).map(|address| address.to_string());
            let kind = json["scriptpubkey_type"].as_str().unwrap();
            assert_eq!(address.as_deref(), json["scriptpubkey_address"].as_str(), "{id}");
            assert_eq!(kind_name(output.script.kind()), kind, "{id}");
        }
        let verifier = Verifier::new(&tx, &prevouts).unwrap();
        for index in 0..tx.inputs.len() {
            match verifier.input(index) {
                Ok(_) => good += 1,
                Err(VerifyError::Unsupported { what: "taproot script path" }) => script_path += 1,
                // One transaction of 2012, from before strict encoding was demanded (BIP 66).
                Err(VerifyError::Signature { source: KeyError::Der { .. }, .. }) => loose += 1,
                Err(error) => panic!("{id} input {index}: {error}"),
            }
        }
    }
    assert_eq!((good, script_path, loose), (494, 3, 3));
}

fn kind_name(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::P2pkh => "p2pkh",
        ScriptKind::P2sh => "p2sh",
        ScriptKind::P2wpkh => "v0_p2wpkh",
        ScriptKind::P2wsh => "v0_p2wsh",
        ScriptKind::P2tr => "v1_p2tr",
        ScriptKind::P2pk => "p2pk",
        ScriptKind::BareMultisig => "multisig",
        ScriptKind::OpReturn => "op_return",
        ScriptKind::WitnessUnknown
        | ScriptKind::MwebHogAddr
        | ScriptKind::MwebPegIn
        | ScriptKind::NonStandard => "unknown",
    }
}

/// The theft of 4,502.9 BTC from DMM Bitcoin on 2024-05-31.
#[test]
fn the_dmm_theft_is_signed_by_two_of_its_three_keys() {
    let Some(folder) = real_data_folder() else { return };
    let folder = folder.join("dmm");
    let raw = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        Tx::decode(Network::BtcMain, &hex::decode(text.trim()).unwrap()).unwrap()
    };
    let theft = raw("975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7.hex");
    let funding = raw("c03acb80562302248f8be621e765315345a85cd3856bf49583e97b0428342908.hex");
    let decoded = json(folder.join("975ec405_blockcypher_decoded.json"));
    assert_eq!(Some(theft.txid().to_string().as_str()), decoded["hash"].as_str());
    let prevouts = theft.prevouts(&[funding]).unwrap();
    assert_eq!(theft.fee(&prevouts), Ok(10_000_000));
    let number = |key: &str| usize::try_from(decoded[key].as_u64().unwrap()).unwrap();
    assert_eq!((theft.size(), theft.vsize()), (number("size"), number("vsize")));
    let address =
        |output: &TxOut| Address::from_script(Network::BtcMain, &output.script).unwrap().to_string();
    for (json, (input, prevout)) in
        decoded["inputs"].as_array().unwrap().iter().zip(theft.inputs.iter().zip(&prevouts))
    {
        let txid: Txid = json["prev_hash"].as_str().unwrap().parse().unwrap();
        let vout = u32::try_from(json["output_index"].as_u64().unwrap()).unwrap();
        assert_eq!(input.prev, OutPoint { txid, vout });
        assert_eq!(Some(prevout.value_sat), json["output_value"].as_u64());
        assert_eq!(Some(address(prevout).as_str()), json["addresses"][0].as_str());
        assert_eq!(Some(input.script_sig.to_string().as_str()), json["script"].as_str());
    }
    assert_eq!(address(&theft.outputs[0]), "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P");
    assert_eq!(theft.outputs[0].value_sat, 450_290_000_000);
    let mut signatures = 0;
    let mut keys = None;
    for index in 0..theft.inputs.len() {
        let spend = verify_input(&theft, index, &prevouts).unwrap();
        assert_eq!(spend.form(), Form::P2shWitness);
        let Lock::Multisig { need: 2, keys: all } = spend.lock() else { panic!("want two of three") };
        assert_eq!(all.len(), 3);
        assert!(
            spend
                .signers()
                .iter()
                .all(|signer| matches!(signer, Signer::Ecdsa { kind: EcdsaSighash::All, .. }))
        );
        signatures += spend.signers().len();
        // The same two keys signed every input.
        assert_eq!(
            keys.get_or_insert_with(|| spend.keys().collect::<Vec<_>>()),
            &spend.keys().collect::<Vec<_>>()
        );
    }
    assert_eq!(signatures, 18);
    // The fee is covered by every signature: with one satoshi more going out, none holds.
    let mut other = theft.clone();
    other.outputs[0].value_sat += 1;
    assert!((0..9).all(|index| verify_input(&other, index, &prevouts).is_err()));
}
