//! `kuraban sim chain` as people run it: what it writes is what it says, the index takes it, and real nodes do.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    daemon::{Daemon, Kind},
    run::{Ran, run},
};

const WITHIN: Duration = Duration::from_secs(120);

fn made(out: &Path, more: &[&str]) -> Ran {
    let out = out.to_str().unwrap();
    run([&["sim", "chain", "--transactions", "3000", "--thefts", "10", "--json", "--out", out], more]
        .concat())
}

#[test]
fn files_hold_what_the_answer_says_and_the_same_options_make_the_same() {
    let folder = tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let ran = made(&a, &["--seed", "5"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let said = ran.json();
    assert_eq!((&said["thefts"], &said["files"]), (&10.into(), &1.into()), "{said}");
    assert!(said["transactions"].as_u64().unwrap() >= 3_000);
    let truth = fs::read_to_string(a.join("truth.jsonl")).unwrap();
    let lines: Vec<Value> = truth.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said["labelled"], lines.len());
    let ways: BTreeSet<&str> = lines.iter().map(|line| line["way"].as_str().unwrap()).collect();
    assert_eq!(ways.len(), 10, "{ways:?}");
    assert!(lines.iter().any(|line| line["stale"] == true));
    let index = folder.path().join("index");
    let (blocks, index) = (a.join("blocks"), index.to_str().unwrap().to_owned());
    let built = run([
        "index",
        "build",
        "--chain",
        "btc",
        "--blocks",
        blocks.to_str().unwrap(),
        "--out",
        &index,
        "--json",
    ]);
    let built = built.json();
    assert_eq!(
        (&built["transactions"], &built["left_aside"]),
        (&said["transactions"], &said["stale_blocks"])
    );
    assert_eq!(built["tip"], said["tip"]);
    assert_eq!(made(&b, &["--seed", "5"]).json(), said);
    for name in ["truth.jsonl", "blocks/blk00000.dat"] {
        assert!(fs::read(a.join(name)).unwrap() == fs::read(b.join(name)).unwrap(), "{name}");
    }
    let other = made(&folder.path().join("c"), &["--seed", "6"]).json();
    assert_ne!(other["tip"], said["tip"]);
}

#[test]
fn a_folder_with_something_in_it_and_other_chains_are_refused() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let ran = made(folder.path(), &[]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("is not empty; name a new or an empty folder"), "{}", ran.err);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let ran = made(&folder.path().join("new"), &["--chain", "eth"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("want one of them"), "{}", ran.err);
    assert!(!folder.path().join("new").exists());
}

/// Blocks whose outputs anybody may spend, given to a daemon as files: it judges everything but signatures.
fn a_node_takes(kind: Kind, chain: &str) {
    let folder = tempdir().unwrap();
    let out = folder.path().join("made");
    let ran = made(&out, &["--open", "--chain", chain]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let said = ran.json();
    let file = out.join("blocks/blk00000.dat");
    let Some(daemon) = Daemon::start(kind, &[format!("-loadblock={}", file.display())]) else {
        println!("skipped: {} is not installed", kind.name());
        return;
    };
    let node = daemon.node();
    let tip = said["tip"]["hash"].as_str().unwrap();
    let start = Instant::now();
    while node.rpc.best_hash().unwrap().to_string() != tip {
        assert!(start.elapsed() < WITHIN, "{} is at {}", kind.name(), node.rpc.best_height().unwrap());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn litecoind_takes_the_blocks_of_an_open_economy() {
    a_node_takes(Kind::Litecoind, "ltc");
}

#[test]
fn bitcoind_takes_the_blocks_of_an_open_economy() {
    a_node_takes(Kind::Bitcoind, "btc");
}
