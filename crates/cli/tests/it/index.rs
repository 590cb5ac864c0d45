//! `kuraban index` as people run it: on a made-up chain, ended in the middle, on damaged files.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use kuraban_chain::btc::{Block, Network};
use kuraban_sim::{
    chain::Regtest,
    economy::{Economy, Shape},
};
use serde_json::Value;
use tempfile::tempdir;

use crate::run::{Ran, kuraban, run};

fn chain(block_txs: u32, blocks: usize) -> Vec<Block> {
    let shape = Shape { regtest: Regtest::Ltc, block_txs, ..Shape::BTC };
    let mut economy = Economy::new(shape, 77);
    (0..blocks).map(|_| economy.next_block(Vec::new(), 0).unwrap()).collect()
}

/// Writes blocks as a node does.
fn keep(path: &Path, blocks: &[Block]) {
    let mut bytes = Vec::new();
    for block in blocks.iter().map(Block::encode) {
        bytes.extend_from_slice(&Network::LtcRegtest.magic());
        bytes.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&block);
    }
    fs::write(path, bytes).unwrap();
}

fn build_args<'a>(blocks: &'a Path, out: &'a Path) -> Vec<&'a str> {
    let (blocks, out) = (blocks.to_str().unwrap(), out.to_str().unwrap());
    vec!["index", "build", "--chain", "ltc", "--commit-mib", "1", "--blocks", blocks, "--out", out, "--json"]
}

fn stats(index: &Path) -> Ran {
    run(["index", "stats", "--json", "--index", index.to_str().unwrap()])
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn an_index_is_built_extended_and_described() {
    let blocks = chain(20, 130);
    let folder = tempdir().unwrap();
    let (node, out) = (folder.path().join("blocks"), folder.path().join("index"));
    fs::create_dir(&node).unwrap();
    keep(&node.join("blk00000.dat"), &blocks[..120]);
    let built = run(build_args(&node, &out));
    assert_eq!(built.status, 0, "{}", built.err);
    assert_eq!(built.json()["appended"], 120);
    keep(&node.join("blk00001.dat"), &blocks[120..]);
    let added = run([
        "index",
        "add",
        "--json",
        "--index",
        out.to_str().unwrap(),
        "--blocks",
        node.join("blk00001.dat").to_str().unwrap(),
    ]);
    assert_eq!(added.status, 0, "{}", added.err);
    assert_eq!(added.json()["appended"], 10);
    let stats = stats(&out).json();
    let count = |all: usize| Value::from(u64::try_from(all).unwrap());
    assert_eq!(stats["chain"], "ltc");
    assert_eq!(stats["network"], "litecoin-regtest");
    assert_eq!(stats["blocks"], 130);
    assert_eq!(stats["transactions"], count(blocks.iter().map(|block| block.txs.len()).sum()));
    let inputs = blocks.iter().flat_map(|block| &block.txs[1..]).map(|tx| tx.inputs.len()).sum();
    assert_eq!(stats["inputs"], count(inputs));
    let outputs = blocks.iter().flat_map(|block| &block.txs).map(|tx| tx.outputs.len()).sum();
    assert_eq!(stats["outputs"], count(outputs));
    assert_eq!(stats["tip"]["height"], 129);
    assert_eq!(stats["tip"]["hash"], blocks[129].hash().to_string());
    let bytes: u64 = files(&out)
        .iter()
        .filter(|(name, _)| !["head", "lock", "readers"].contains(&&name[..]) && !name.starts_with("sums"))
        .map(|(_, bytes)| u64::try_from(bytes.len()).unwrap())
        .sum();
    assert_eq!(stats["bytes"], bytes);
    let text = run(["index", "stats", "--index", out.to_str().unwrap()]);
    assert!(text.out.contains("litecoin-regtest 129 "), "{}", text.out);
}

/// Starts a build and ends it once it has committed so many blocks.
fn ended(blocks: &Path, out: &Path, after: u64) -> bool {
    let mut child: Child =
        kuraban().args(build_args(blocks, out)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let ended = loop {
        let head = fs::read_to_string(out.join("head")).unwrap_or_default();
        let committed = head.lines().find_map(|line| line.strip_prefix("column headers "));
        let committed: Option<u64> = committed.and_then(|rest| rest.split(' ').next()?.parse().ok());
        if head.contains("state open") && committed.is_some_and(|committed| committed >= after) {
            break true;
        }
        if child.try_wait().unwrap().is_some() {
            break false;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "build does not go on");
        std::thread::park_timeout(Duration::from_micros(200));
    };
    // SIGKILL: it can do nothing any more.
    drop(child.kill());
    child.wait().unwrap();
    ended && fs::read_to_string(out.join("head")).unwrap().contains("state open")
}

#[test]
fn a_build_that_is_killed_goes_on_where_it_was() {
    let blocks = chain(300, 170);
    let folder = tempdir().unwrap();
    let node = folder.path().join("blocks");
    fs::create_dir(&node).unwrap();
    keep(&node.join("blk00000.dat"), &blocks);
    let (straight, killed) = (folder.path().join("straight"), folder.path().join("killed"));
    let built = run(build_args(&node, &straight));
    assert_eq!((built.status, &built.json()["blocks"]), (0, &Value::from(170)), "{}", built.err);
    let kills = [0, 105, 115, 125, 140].into_iter().filter(|after| ended(&node, &killed, *after)).count();
    assert!(kills >= 3, "{kills} builds were ended in the middle");
    let resumed = run(build_args(&node, &killed));
    assert_eq!(resumed.status, 0, "{}", resumed.err);
    assert!(resumed.json()["appended"].as_u64().unwrap() < 66, "it did not begin again: {}", resumed.out);
    assert_eq!(resumed.json()["blocks"], 170);
    assert!(files(&straight) == files(&killed), "the files are those of a build that nobody ended");
}

#[test]
fn what_is_wrong_has_its_exit_status_and_leaves_nothing() {
    let blocks = chain(5, 12);
    let folder = tempdir().unwrap();
    let file = folder.path().join("blk00000.dat");
    let out = folder.path().join("index");
    keep(&file, &blocks[1..]);
    let check = |ran: &Ran, status: i32, want: &str| {
        assert_eq!(ran.status, status, "{}", ran.err);
        assert!(ran.err.contains(want), "{:?}, want {want:?}", ran.err);
    };
    check(&run(build_args(&file, &out)), 2, "the first block of litecoin-regtest, 530827f3");
    check(
        &run(build_args(&folder.path().join("nowhere"), &out)),
        2,
        "nowhere: could not be read: No such file",
    );
    let wrong = ["index", "build", "--chain", "btc", "--network", "main", "--blocks", file.to_str().unwrap()];
    check(
        &run(wrong.iter().copied().chain(["--out", out.to_str().unwrap()])),
        2,
        "begins with fabfb5da of bitcoin-regtest and litecoin-regtest, expected f9beb4d9 of bitcoin-main",
    );
    assert!(!out.exists());
    check(&stats(&out), 2, "holds no index");
    keep(&file, &blocks);
    check(&run(build_args(&file, &out)), 0, "");
    let verify =
        |more: &[&str]| run(["index", "verify", "--index", out.to_str().unwrap()].iter().chain(more));
    assert_eq!(verify(&["--json"]).json()["ok"], true);
    assert!(verify(&["--lang", "en"]).out.starts_with("verified: every item is as it was noted"));
    let values = out.join("values");
    let mut bytes = fs::read(&values).unwrap();
    bytes[70] ^= 1;
    fs::write(&values, bytes).unwrap();
    check(&verify(&["--json"]), 2, "values: is corrupted");
    // Whatever reads it says the same and nothing else.
    let inputs = out.join("tx-inputs");
    let mut bytes = fs::read(&inputs).unwrap();
    bytes[65] ^= 1;
    fs::write(&inputs, bytes).unwrap();
    let read = run(["cluster", "--json", "--index", out.to_str().unwrap()]);
    check(&read, 2, "tx-inputs: is corrupted");
    assert!(read.json()["error"].as_str().unwrap().contains("build the index again"));
    assert!(!read.err.contains("panicked"), "{}", read.err);
}
