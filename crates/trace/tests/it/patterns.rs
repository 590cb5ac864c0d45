//! What the detectors find among labelled mixes and in real blocks. The bounds were measured; they may only get better.

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};
use kuraban_trace::{
    cluster::looks_like_coinjoin,
    graph::{Memory, Node, TxNum},
    patterns::{
        Chain, Coin, FIRM, Kind, Known, View, classify,
        esplora::{DOCUMENT_BYTES_MAX, EsploraError, Transaction},
    },
};

use crate::corpus::{self, Set};

fn found(set: &Set, fits: impl Fn(Kind, u8) -> bool) -> usize {
    let known = Known { chain: Chain::Bitcoin, exchange_spends: false };
    let labels = set.views.iter().map(|view| classify(view, known));
    labels.filter(|labels| labels.iter().any(|label| fits(label.kind, label.confidence))).count()
}

#[test]
fn mixes_are_found_and_ordinary_transactions_are_not() {
    let Some(data) = corpus::shared() else {
        println!("skipped: there is no shared data");
        return;
    };
    let sets = corpus::sets(&data);
    let set = |name: &str| sets.iter().find(|set| set.name == name).unwrap();
    // Name, how many there are, how many are recognised at least, how many of them are taken for another mix at most.
    let check = |name: &str, count: usize, least: usize, other: usize| {
        let set = set(name);
        assert_eq!(set.views.len(), count, "{name}");
        let right = found(set, |kind, _| set.want.allows(kind));
        assert!(right >= least, "{name}: {right} of {count}");
        let wrong = found(set, |kind, sure| kind.is_mix() && sure >= FIRM && !set.want.allows(kind));
        assert!(wrong <= other, "{name}: {wrong} of {count} are another kind");
    };
    check("whirlpool", 1403, 1403, 0);
    check("whirlpool_beside_tx0", 151, 151, 0);
    check("whirlpool_tx0", 749, 749, 0);
    check("wasabi1", 196, 194, 2);
    check("joinmarket", 29, 26, 1);
    check("single_whirlpool", 1, 1, 0);
    check("single_joinmarket", 1, 1, 0);
    check("single_wasabi2", 1, 1, 0);
    // Name, how many there are, how many are firmly taken for mixes at most.
    let check = |name: &str, count: usize, most: usize| {
        let set = set(name);
        assert_eq!(set.views.len(), count, "{name}");
        let wrong = found(set, |kind, sure| kind.is_mix() && sure >= FIRM);
        assert!(wrong <= most, "{name}: {wrong} of {count}");
    };
    check("block_300025", 460, 1);
    check("testnet_928816", 888, 0);
    check("testnet_928831", 914, 0);
    check("testnet_1087400", 96, 0);
    check("single_others", 155, 0);
    check("token_marks", 278, 0);
    check("one_paid_twice", 112, 0);
}

/// A graph of what a transaction spends and of the transaction, which is its second.
fn graph(view: &View) -> Memory {
    let owner = |owner: u64| {
        let mut hash = [0; 20];
        hash[..8].copy_from_slice(&owner.to_le_bytes());
        Script::p2pkh(&hash)
    };
    let outputs = |coins: &[Coin]| -> Vec<TxOut> {
        coins.iter().map(|coin| TxOut { value_sat: coin.value, script: owner(coin.owner) }).collect()
    };
    let before =
        Node { txid: Txid::from_bytes([1; 32]), inputs: Vec::new(), outputs: outputs(view.inputs()) };
    let spent = (0..).zip(view.inputs()).map(|(vout, _)| OutPoint { txid: before.txid, vout });
    let mut made = outputs(view.outputs());
    let data = TxOut { value_sat: 0, script: Script::new(vec![0x6a]) };
    made.extend(vec![data; view.unspendable()]);
    let tx = Node { txid: Txid::from_bytes([2; 32]), inputs: spent.collect(), outputs: made };
    let mut graph = Memory::new(Network::BtcRegtest);
    graph.push_nodes(Height::new(1), BlockHash::ZERO, &[before, tx]).unwrap();
    graph
}

#[test]
fn every_mix_joins_nothing_in_clusters_and_few_others_do() {
    let Some(data) = corpus::shared() else {
        println!("skipped: there is no shared data");
        return;
    };
    let sets = corpus::sets(&data);
    // Name, how many spend from several addresses, how many of them are kept out of clusters.
    let check = |name: &str, count: usize, want: usize| {
        let set = sets.iter().find(|set| set.name == name).unwrap();
        let several: Vec<_> = set.views.iter().filter(|view| view.input_owners() >= 2).collect();
        let out = several.iter().filter(|view| looks_like_coinjoin(&graph(view), TxNum::new(1))).count();
        assert_eq!((several.len(), out), (count, want), "{name}");
    };
    check("whirlpool", 1403, 1403);
    check("whirlpool_beside_tx0", 151, 151);
    check("wasabi1", 196, 196);
    check("joinmarket", 29, 29);
    check("equal_pairs", 58, 58);
    check("single_whirlpool", 1, 1);
    check("single_joinmarket", 1, 1);
    check("single_wasabi2", 1, 1);
    // A tx0 is one holder's.
    check("whirlpool_tx0", 273, 33);
    check("token_marks", 278, 157);
    check("one_paid_twice", 112, 112);
    check("single_others", 2, 0);
    check("block_300025", 158, 3);
    // 710 transactions of one shape, ten equal outputs and one other from ten owners: no count tells them from a mix.
    check("testnet_928816", 782, 343);
    check("testnet_928831", 907, 367);
    check("testnet_1087400", 44, 0);
}

const TXID: &str = "323df21f0b0756f98336437aa3d2fb87e02b59f1946b714a7b09df04d429dec2";

fn document(vin: &str, vout: &str) -> String {
    format!(r#"{{"txid":"{TXID}","vin":[{vin}],"vout":[{vout}]}}"#)
}

fn input(value: &str) -> String {
    format!(r#"{{"prevout":{{"scriptpubkey":"51","value":{value}}}}}"#)
}

const OUTPUT: &str = r#"{"scriptpubkey":"51","value":5}"#;

#[test]
fn a_wrong_document_says_which_field_is_wrong() {
    let check = |document: &str, field: Option<&str>, words: &str| {
        let error = Transaction::parse(document.as_bytes()).unwrap_err();
        assert_eq!(error.field(), field, "{document}");
        assert!(error.to_string().contains(words), "{document}: {error}");
    };
    let fine = document(&input("9"), OUTPUT);
    assert_eq!(Transaction::parse(fine.as_bytes()).unwrap().view.fee(), 4);
    for length in 0..fine.len() {
        check(&fine[..length], None, "not JSON");
    }
    check("[]", Some("transaction"), "is a list, want an object");
    check("{}", Some("txid"), "is missing");
    check(&fine.replace(TXID, "zz"), Some("txid"), "character");
    check(&fine.replace(&format!("\"{TXID}\""), "5"), Some("txid"), "is a number, want text");
    check(&document("", OUTPUT), Some("vin"), "is empty");
    check(&document(&input("9"), ""), Some("vout"), "is empty");
    check(&document("5", OUTPUT), Some("vin[0]"), "is a number, want an object");
    check(&document("{}", OUTPUT), Some("vin[0]"), "lacks prevout");
    check(&document(&input("-1"), OUTPUT), Some("vin[0].prevout.value"), "is -1, want a whole number");
    check(&document(&input("0.5"), OUTPUT), Some("vin[0].prevout.value"), "is 0.5");
    check(&document(&input("\"9\""), OUTPUT), Some("vin[0].prevout.value"), "is text, want a number");
    check(&document(&input("9"), r#"{"value":5}"#), Some("vout[0].scriptpubkey"), "is missing");
    check(&document(&input("9"), r#"{"value":5,"scriptpubkey":"5"}"#), Some("vout[0].scriptpubkey"), "");
    check(&document(r#"{"is_coinbase":1}"#, OUTPUT), Some("vin[0].is_coinbase"), "want true or false");
    check(
        &document(r#"{"is_coinbase":true},{"is_coinbase":true}"#, OUTPUT),
        Some("vin[0]"),
        "not the only input",
    );
    check(&document(&input("4"), OUTPUT), None, "outputs are worth 5 base units, want at most the 4");
    check(&document(&input("18446744073709551615"), OUTPUT), None, "can exist");
    assert!(
        Transaction::parse(document(r#"{"is_coinbase":true}"#, OUTPUT).as_bytes())
            .unwrap()
            .view
            .is_coinbase()
    );
}

#[test]
fn what_is_too_much_is_refused() {
    let many = |count: usize, item: &str| vec![item; count].join(",");
    let check = |document: &str, fits: bool| {
        assert_eq!(Transaction::parse(document.as_bytes()).is_ok(), fits, "{} bytes", document.len());
    };
    check(&document(&many(25_000, &input("112")), OUTPUT), true);
    check(&document(&many(25_001, &input("112")), OUTPUT), false);
    let output = r#"{"scriptpubkey":"51","value":1}"#;
    check(&document(&input("112001"), &many(112_000, output)), true);
    check(&document(&input("112001"), &many(112_001, output)), false);
    let long = vec![b' '; DOCUMENT_BYTES_MAX + 1];
    assert!(matches!(Transaction::parse(&long), Err(EsploraError::Length { .. })));
}
