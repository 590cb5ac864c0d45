//! The index of a real node's block files beside what the node itself says is unspent, through reorganisations.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use kuraban_base::{Height, hex};
use kuraban_chain::btc::{OutPoint, Script, TxOut};
use kuraban_node::rpc::Sent;
use kuraban_trace::{
    graph::{Fate, Graph as _, OutputNum, TxNum},
    index::Index,
};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    conformance::{Node, Vault},
    daemon::{Daemon, Kind, free_ports},
    run::run,
};

/// User and password of calls that the client of the writer has no words for, as the node wants to know them.
const AUTH: &str = "unspent:00112233445566778899aabbccddeeff$f8b944261408a92080ab8d4e80d6ce36b8acb256bba247763cdbd18151080e07";
/// `unspent:unspent`.
const BASIC: &str = "Basic dW5zcGVudDp1bnNwZW50";

fn ask(port: u16, method: &str, params: &Value) -> Value {
    let body = json!({ "id": 1, "method": method, "params": params }).to_string();
    let url = format!("http://127.0.0.1:{port}/");
    let answer = minreq::post(url).with_header("authorization", BASIC).with_body(body).send().unwrap();
    let answer: Value = serde_json::from_str(answer.as_str().unwrap()).unwrap();
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer["result"].clone()
}

type Unspent = BTreeMap<(String, u64), (String, String)>;

/// Coins with eight places, as the node writes amounts.
fn coins(sat: u64) -> String {
    format!("{}.{:08}", sat / 100_000_000, sat % 100_000_000)
}

/// What the index says is unspent and can be spent.
fn ours(index: &Index) -> Unspent {
    let mut unspent = Unspent::new();
    for tx in (0..index.tx_count()).map(TxNum::new) {
        for (output, vout) in index.outputs(tx).map(OutputNum::new).zip(0..) {
            if index.spender(output).is_none() && index.fate(output) == Fate::Spendable {
                let script = index.script(index.address(output).unwrap());
                let value = (hex::encode(script.as_bytes()), coins(index.value(output)));
                unspent.insert((index.txid(tx).to_string(), vout), value);
            }
        }
    }
    unspent
}

/// What the node finds for every script that the index knows.
fn theirs(port: u16, index: &Index) -> Unspent {
    let scripts: BTreeSet<String> = (0..index.counts().addresses)
        .map(|address| {
            let script = index.script(kuraban_trace::graph::AddressNum::new(address));
            format!("raw({})", hex::encode(script.as_bytes()))
        })
        .collect();
    let found = ask(port, "scantxoutset", &json!(["start", scripts]));
    assert_eq!(found["success"], true);
    let one = |output: &Value| {
        let text = |name: &str| output[name].as_str().unwrap().to_owned();
        // Eight places, whatever the number prints like.
        let amount = output["amount"].as_f64().map(|amount| format!("{amount:.8}")).unwrap();
        ((text("txid"), output["vout"].as_u64().unwrap()), (text("scriptPubKey"), amount))
    };
    found["unspents"].as_array().unwrap().iter().map(one).collect()
}

fn index(blocks: &Path, out: &Path, kind: Kind) -> (Index, Value) {
    build(&["--blocks", blocks.to_str().unwrap()], out, kind)
}

fn build(from: &[&str], out: &Path, kind: Kind) -> (Index, Value) {
    let chain = match kind {
        Kind::Litecoind => "ltc",
        Kind::Bitcoind => "btc",
    };
    let command = ["index", "build", "--json", "--chain", chain, "--network", "regtest"];
    let ran = run(command.iter().chain(from).chain(&["--out", out.to_str().unwrap()]).copied());
    assert_eq!(ran.status, 0, "{}", ran.err);
    (Index::open(out).unwrap(), ran.json())
}

/// All that an index holds, apart from where it lies.
fn held(said: &Value) -> Value {
    let names = ["first_height", "blocks", "transactions", "inputs", "outputs", "addresses", "bytes", "tip"];
    names.iter().map(|name| said[name].clone()).collect()
}

fn compare(node: &Node, port: u16, index: &Index) {
    let tip = index.tip().unwrap();
    assert_eq!(tip.hash, node.rpc.best_hash().unwrap());
    assert_eq!(tip.height, node.rpc.best_height().unwrap());
    let ours = ours(index);
    let all = ask(port, "gettxoutsetinfo", &json!([]));
    assert_eq!(all["txouts"].as_u64().unwrap(), u64::try_from(ours.len()).unwrap());
    assert_eq!(theirs(port, index), ours);
}

/// Payments that spend each other, some in one block, to scripts of every kind and to nobody.
fn payments(node: &Node, vault: &Vault) {
    let mut coin = vault.funded(node);
    for round in 0..6_u8 {
        for step in 0..4_u8 {
            let value_sat = coin.1.value_sat - 200_000;
            let odd = [
                Script::p2pkh(&[round; 20]),
                Script::p2sh(&[step; 20]),
                Script::witness(1, &[round; 32]).unwrap(),
                Script::new(vec![0x6a, 2, round, step]),
            ];
            let mut outputs = vec![vault.pays(value_sat)];
            let paid = |script: &Script| TxOut {
                value_sat: if script.is_unspendable() { 0 } else { 20_000 },
                script: script.clone(),
            };
            outputs.extend(odd.iter().skip(usize::from(step)).map(paid));
            let tx = vault.spend(&[coin], outputs, 0);
            assert_eq!(node.rpc.send(&tx).unwrap(), Sent::Pooled);
            coin = (OutPoint { txid: tx.txid(), vout: 0 }, tx.outputs[0].clone(), 9);
        }
        node.mine(1, &vault.script(u32::from(round)));
    }
}

fn unspent_outputs_agree(kind: Kind) {
    let folder = tempdir().unwrap();
    let [port, _, _] = free_ports();
    let node_folder = folder.path().join("node");
    std::fs::create_dir(&node_folder).unwrap();
    let blocks = node_folder.join("regtest").join("blocks");
    let more = [
        format!("-blocksdir={}", node_folder.display()),
        format!("-rpcbind=127.0.0.1:{port}"),
        format!("-rpcauth={AUTH}"),
    ];
    let Some(daemon) = Daemon::start(kind, &more) else {
        println!("skipped: {} is not installed", kind.name());
        return;
    };
    let node = daemon.node();
    let vault = Vault::new(node.network);
    payments(&node, &vault);
    let out = folder.path().join("index");
    let (first, _) = index(&blocks, &out, kind);
    assert_eq!(first.counts().inputs, 24, "{:?}", first.counts());
    compare(&node, port, &first);
    drop(first);
    // The same over P2P and by calls, from a node that gives its blocks out one by one.
    let (cookie, calls) = (daemon.cookie(), format!("127.0.0.1:{port}"));
    let ways = [vec!["--node", &*node.p2p], vec!["--rpc", &calls, "--cookie", cookie.to_str().unwrap()]];
    let folders = ["p2p", "rpc"].map(|name| folder.path().join(name));
    for (way, out) in ways.iter().zip(&folders) {
        let (followed, said) = build(way, out, kind);
        compare(&node, port, &followed);
        assert_eq!(said["appended"], said["blocks"]);
    }
    // Three blocks leave the chain and four others come; what was confirmed is confirmed again or not.
    let height = node.rpc.best_height().unwrap().blocks();
    let gone = node.rpc.block_hash(Height::new(height - 2)).unwrap().unwrap();
    node.rpc.invalidate(gone).unwrap();
    node.mine(4, &vault.script(7));
    let (second, said) = index(&blocks, &out, kind);
    assert_eq!((&said["taken_off"], &said["appended"]), (&Value::from(3), &Value::from(4)));
    compare(&node, port, &second);
    drop(second);
    for (way, out) in ways.iter().zip(&folders) {
        let add = ["index", "add", "--json", "--index", out.to_str().unwrap()];
        let ran = run(add.iter().chain(way).copied());
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert_eq!(held(&ran.json()), held(&said), "{way:?}");
        assert_eq!((&ran.json()["taken_off"], &ran.json()["appended"]), (&Value::from(3), &Value::from(4)));
        compare(&node, port, &Index::open(out).unwrap());
        // Again, when there is nothing new.
        let ran = run(add.iter().chain(way).copied());
        assert_eq!((ran.status, &ran.json()["appended"]), (0, &Value::from(0)), "{}", ran.err);
    }
    // And a new index of the same files, which now hold both branches.
    let (fresh, said) = index(&blocks, &folder.path().join("fresh"), kind);
    assert_eq!(said["left_aside"], 3);
    compare(&node, port, &fresh);
}

#[test]
fn unspent_outputs_are_those_of_litecoind() {
    unspent_outputs_agree(Kind::Litecoind);
}

#[test]
fn unspent_outputs_are_those_of_bitcoind() {
    unspent_outputs_agree(Kind::Bitcoind);
}

#[test]
fn a_node_that_gives_no_blocks_is_named_with_the_reason() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("index");
    let [nobody, ..] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "a:b").unwrap();
    let check = |status: i32, from: &[&str], want: &[&str]| {
        let command = ["index", "build", "--chain", "btc"];
        let ran = run(command.iter().chain(from).chain(&["--out", out.to_str().unwrap()]).copied());
        assert_eq!(ran.status, status, "{}", ran.err);
        assert!(want.iter().all(|want| ran.err.contains(want)), "{} lacks {want:?}", ran.err);
        assert!(!out.exists(), "{from:?}");
    };
    let rpc = ["--rpc", &nobody, "--cookie", secret.to_str().unwrap()];
    check(3, &["--node", &nobody], &[&nobody, "no connection", "refused"]);
    check(3, &rpc, &["has mode", "chmod 600"]);
    check(2, &["--rpc", &nobody], &["--cookie"]);
    check(2, &[], &["--blocks", "--node", "--rpc"]);
    check(2, &["--node", &nobody, "--partial"], &["--partial"]);
    check(2, &["--node", &nobody, "--blocks", "x"], &["--blocks"]);
    // Another network's node hangs up at our first message.
    if let Some(daemon) = Daemon::start(Kind::Litecoind, &[]) {
        let p2p = daemon.node().p2p;
        check(3, &["--network", "test", "--node", &p2p], &[&p2p, "no connection", "closed"]);
    }
}
