//! Real daemons as peers of the embedded node: they sync its blocks, take its transactions, and judge the same
//! transactions as it does.

use std::time::{Duration, Instant};

use kuraban_chain::btc::{OutPoint, Script, Tx, TxOut};
use kuraban_node::rpc::{Acceptance, Sent};
use kuraban_sim::chain::{Regtest, dust_sat};

use crate::{
    conformance::{Node, Vault},
    daemon::{Daemon, Kind},
    embedded::Embedded,
};

const WITHIN: Duration = Duration::from_secs(60);

/// A daemon whose only peer is the embedded node.
fn beside(kind: Kind, embedded: &Embedded) -> Option<Daemon> {
    let daemon = Daemon::start(kind, &[format!("-connect={}", embedded.node().p2p)]);
    if daemon.is_none() {
        println!("skipped: {} is not installed", kind.name());
    }
    daemon
}

/// Waits until both have the same tip.
fn in_step(ours: &Node, theirs: &Node) {
    let start = Instant::now();
    while theirs.rpc.best_hash().unwrap() != ours.rpc.best_hash().unwrap() {
        assert!(start.elapsed() < WITHIN, "peer is at {}", theirs.rpc.best_height().unwrap());
        // It tells us nothing: it is the embedded node's peer, not ours.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn blocks_and_transactions_hold(kind: Kind) {
    let embedded = Embedded::start(kind.network(), &[]);
    let ours = embedded.node();
    let vault = Vault::new(ours.network);
    let coin = vault.funded(&ours);
    let value_sat = coin.1.value_sat;
    let confirmed = vault.spend(&[coin], vec![vault.pays(value_sat / 2), vault.pays(value_sat / 4)], 0);
    assert_eq!(ours.rpc.send(&confirmed).unwrap(), Sent::Pooled);
    ours.mine(60, &vault.script(1));

    let Some(daemon) = beside(kind, &embedded) else { return };
    let theirs = daemon.node();
    in_step(&ours, &theirs);
    let found = theirs.rpc.unspent(OutPoint { txid: confirmed.txid(), vout: 1 }).unwrap().unwrap();
    assert_eq!((found.output, found.confirmations), (confirmed.outputs[1].clone(), 60));

    // Beyond the first halving, through a reorganisation, and with a transaction that travels to it.
    let old = ours.mine(2, &vault.script(1));
    in_step(&ours, &theirs);
    ours.rpc.invalidate(old[0]).unwrap();
    let next = (OutPoint { txid: confirmed.txid(), vout: 0 }, confirmed.outputs[0].clone(), 9);
    let tx = vault.spend(&[next], vec![vault.pays(value_sat / 4)], 0);
    let mut watcher = theirs.connect();
    assert_eq!(ours.rpc.send(&tx).unwrap(), Sent::Pooled);
    watcher.announced(&tx);
    assert_eq!(theirs.rpc.mempool().unwrap(), [tx.txid()]);
    ours.mine(3, &vault.script(2));
    in_step(&ours, &theirs);
    assert!(theirs.rpc.mempool().unwrap().is_empty());
}

#[test]
fn litecoind_takes_blocks_and_transactions_of_the_embedded_node() {
    blocks_and_transactions_hold(Kind::Litecoind);
}

#[test]
fn bitcoind_takes_blocks_and_transactions_of_the_embedded_node() {
    blocks_and_transactions_hold(Kind::Bitcoind);
}

/// One script of each kind, made of nothing: only their form matters.
fn scripts() -> Vec<Script> {
    vec![
        Script::p2pkh(&[1; 20]),
        Script::p2sh(&[1; 20]),
        Script::witness(0, &[1; 20]).unwrap(),
        Script::witness(0, &[1; 32]).unwrap(),
        Script::witness(1, &[1; 32]).unwrap(),
        Script::new([&[33, 2][..], &[1; 32], &[0xac]].concat()),
    ]
}

/// Transactions at each bound and one beyond, all of one mature coin.
fn transactions(vault: &Vault, coin: &(OutPoint, TxOut, u32), tip: u32) -> Vec<(String, Tx)> {
    let regtest = Regtest::try_from(vault.network()).unwrap();
    let value_sat = coin.1.value_sat;
    let of = |outputs: Vec<TxOut>, lock_time| vault.spend(std::slice::from_ref(coin), outputs, lock_time);
    let rest = || vault.pays(value_sat - 100_000);
    let mut all = Vec::new();
    let mut add = |what: String, tx: Tx| all.push((what, tx));
    for script in scripts() {
        let least = dust_sat(regtest, &script);
        for value_sat in [least, least - 1] {
            let output = TxOut { value_sat, script: script.clone() };
            add(format!("{value_sat} to {}", script.kind().name()), of(vec![rest(), output], 0));
        }
    }
    let vsize = u64::try_from(of(vec![rest()], 0).vsize()).unwrap();
    add("fee at the bound".to_owned(), of(vec![vault.pays(value_sat - vsize)], 0));
    add("no fee".to_owned(), of(vec![vault.pays(value_sat)], 0));
    add("more out than in".to_owned(), of(vec![vault.pays(value_sat + 1)], 0));
    add("lock time come".to_owned(), of(vec![rest()], tip));
    add("lock time to come".to_owned(), of(vec![rest()], tip + 1));
    let odd = TxOut { value_sat: 100_000, script: Script::new(vec![0x51]) };
    add("unknown script".to_owned(), of(vec![rest(), odd], 0));
    let version = |version| {
        let mut tx = of(vec![rest()], 0);
        tx.version = version;
        tx
    };
    add("version 0".to_owned(), version(0));
    let mut tampered = of(vec![rest()], 0);
    tampered.outputs[0].value_sat -= 1;
    add("tampered".to_owned(), tampered);
    let mut short = of(vec![rest()], 0);
    short.inputs[0].witness.remove(1);
    add("one signature".to_owned(), short);
    let nothing = (OutPoint { txid: coin.0.txid, vout: 7 }, coin.1.clone(), coin.2);
    add("no such output".to_owned(), vault.spend(&[nothing], vec![rest()], 0));
    all
}

fn judgements_agree(kind: Kind) {
    let embedded = Embedded::start(kind.network(), &[]);
    let ours = embedded.node();
    let vault = Vault::new(ours.network);
    let coin = vault.funded(&ours);
    let Some(daemon) = beside(kind, &embedded) else { return };
    let theirs = daemon.node();
    in_step(&ours, &theirs);
    let tip = ours.rpc.best_height().unwrap();
    let young = ours.rpc.block_hash(kuraban_base::Height::new(3)).unwrap().unwrap();
    let young = vault.coin(&ours, young, 1);
    let mut all = transactions(&vault, &coin, tip.blocks());
    all.push(("immature".to_owned(), vault.spend(&[young], vec![vault.pays(50_000)], 0)));
    let allowed = |node: &Node, tx: &Tx| node.rpc.would_take(tx).unwrap();
    let mut taken = 0;
    for (what, tx) in &all {
        let (ours, theirs) = (allowed(&ours, tx), allowed(&theirs, tx));
        let agree = (ours == Acceptance::Allowed) == (theirs == Acceptance::Allowed);
        assert!(agree, "{what}: embedded {ours:?}, {} {theirs:?}", kind.name());
        taken += usize::from(ours == Acceptance::Allowed);
    }
    assert_eq!((taken, all.len()), (scripts().len() + 2, 2 * scripts().len() + 11));
}

#[test]
fn litecoind_judges_transactions_as_the_embedded_node_does() {
    judgements_agree(Kind::Litecoind);
}

#[test]
fn bitcoind_judges_transactions_as_the_embedded_node_does() {
    judgements_agree(Kind::Bitcoind);
}
