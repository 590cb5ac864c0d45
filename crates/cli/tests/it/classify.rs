//! `kuraban classify` on transactions as an explorer writes them.

use std::{fs, io::Write as _, process::Stdio};

use serde_json::{Value, json};

use crate::run::{Ran, kuraban, shared};

fn classify(args: &[&str], input: &[u8]) -> Ran {
    let mut command = kuraban();
    command.args(["classify", "--chain", "btc"]).args(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let ran = Ran::of(&child.wait_with_output().unwrap());
    writer.join().unwrap().unwrap();
    ran
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn known_mixes_are_named_in_the_order_of_the_lines() {
    let Some(data) = shared() else { return };
    let names = [
        "whirlpool-coinjoin",
        "joinmarket-coinjoin",
        "wabisabi-coinjoin",
        "batch-withdrawal-143",
        "simple-legacy-p2pkh",
    ];
    let mut input = Vec::new();
    for name in names {
        let document = fs::read(data.join("esplora").join(name).with_extension("json")).unwrap();
        let document: Value = serde_json::from_slice(&document).unwrap();
        input.extend_from_slice(format!("{document}\n\n").as_bytes());
    }
    let ran = classify(&[], &input);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let kinds: Vec<_> = lines(&ran).iter().map(|line| line["labels"][0]["kind"].clone()).collect();
    assert_eq!(kinds, ["whirlpool", "joinmarket", "wasabi2", "dispersal", "peel"]);
    assert_eq!(lines(&ran)[0]["labels"][0], json!({ "kind": "whirlpool", "confidence": 95 }));
    assert_eq!(lines(&ran)[0]["txid"], "323df21f0b0756f98336437aa3d2fb87e02b59f1946b714a7b09df04d429dec2");
}

const TXID: &str = "323df21f0b0756f98336437aa3d2fb87e02b59f1946b714a7b09df04d429dec2";

fn pays(address: &str) -> String {
    let coin = |script: &str, value: u64| json!({ "scriptpubkey": script, "value": value, "scriptpubkey_address": address });
    let vin = [json!({ "prevout": coin("51", 148_798) }), json!({ "prevout": coin("52", 1_448_113) })];
    let vout = [("53", 46_981), ("54", 100_420), ("55", 1_347_800), ("56", 100_420)]
        .map(|(script, value)| coin(script, value));
    json!({ "txid": TXID, "vin": vin, "vout": vout }).to_string()
}

#[test]
fn a_bad_line_is_named_and_the_others_are_classified() {
    let input = format!("{}\nnonsense\n{}\n{{\"txid\":\"{TXID}\"}}\n", pays("a"), pays("b"));
    let ran = classify(&[], input.as_bytes());
    assert_eq!(ran.status, 2);
    assert_eq!(lines(&ran).len(), 2);
    for want in ["line 2: document is not JSON", "line 4: vin: is missing", "2 of 4 lines could not be read"]
    {
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    }
}

#[test]
fn an_exchange_that_pays_out_is_no_party() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("addresses");
    fs::write(&list, "other\nbinance\n").unwrap();
    let input = format!("{}\n{}\n", pays("customer"), pays("binance"));
    let ran = classify(&["--exchanges", list.to_str().unwrap()], input.as_bytes());
    let kinds: Vec<_> = lines(&ran).iter().map(|line| line["labels"][0]["kind"].clone()).collect();
    assert_eq!(kinds, ["joinmarket", "none"]);
}
