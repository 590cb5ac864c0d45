//! `kuraban tx decode` on real transactions, against what an explorer says of them.

use std::fs;

use serde_json::{Value, json};

use crate::run::{kuraban, run, shared};

const THEFT: &str = "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7";

#[test]
fn the_theft_is_decoded_as_an_explorer_decodes_it() {
    let Some(data) = shared() else { return };
    let folder = data.join("dmm");
    let explorer: Value =
        serde_json::from_slice(&fs::read(folder.join("975ec405_blockcypher_decoded.json")).unwrap()).unwrap();
    let theft = folder.join(format!("{THEFT}.hex"));
    let funding = folder.join("c03acb80562302248f8be621e765315345a85cd3856bf49583e97b0428342908.hex");
    let ran = run([
        "tx".into(),
        "decode".into(),
        "--chain".into(),
        "btc".into(),
        "--file".into(),
        theft.display().to_string(),
        "--prev".into(),
        format!("@{}", funding.display()),
        "--json".into(),
    ]);
    assert_eq!(ran.status, 0);
    let json = ran.json();
    assert_eq!(json["txid"], explorer["hash"]);
    assert_eq!((&json["size"], &json["vsize"]), (&explorer["size"], &explorer["vsize"]));
    assert_eq!(json["fee_sat"], explorer["fees"]);
    let inputs = json["inputs"].as_array().unwrap();
    assert_eq!(inputs.len(), 9);
    for (found, want) in inputs.iter().zip(explorer["inputs"].as_array().unwrap()) {
        assert_eq!(found["txid"], want["prev_hash"]);
        assert_eq!(found["vout"], want["output_index"]);
        assert_eq!(found["value_sat"], want["output_value"]);
        assert_eq!(found["address"], want["addresses"][0]);
    }
    let want = &explorer["outputs"][0];
    let output = &json["outputs"][0];
    assert_eq!((&output["value_sat"], &output["address"]), (&want["value"], &want["addresses"][0]));
    assert_eq!(
        (&output["n"], &output["kind"], &output["script"]),
        (&json!(0), &json!("p2pkh"), &want["script"])
    );
    let text = run(["tx", "decode", "--chain", "btc", "--file", theft.to_str().unwrap()]);
    for want in ["4502.9 BTC", "1B6r JRfj TXwE y36S Cs5z ofGM mdv2 kdZw 7P", "fee  not known"] {
        assert!(text.out.contains(want), "{} lacks {want}", text.out);
    }
}

/// A transaction of one input, spending output 1 of 0909…09, and one output of 546 units to P2WPKH 0101…01.
fn small() -> String {
    let input = format!("{}01000000", "09".repeat(32));
    format!("0200000001{input}00fdffffff01{}160014{}00000000", "2202000000000000", "01".repeat(20))
}

#[test]
fn what_is_not_proven_is_left_out() {
    let ran = run(["tx", "decode", "--chain", "btc", "--network", "regtest", "--json", "--hex", &small()]);
    let json = ran.json();
    assert_eq!(json["inputs"][0]["vout"], 1);
    for absent in ["address", "value_sat"] {
        assert_eq!(json["inputs"][0].get(absent), None);
    }
    assert_eq!((json.get("fee_sat"), json.get("wtxid")), (None, None));
    assert!(json["outputs"][0]["address"].as_str().unwrap().starts_with("bcrt1q"));
}

#[test]
fn a_file_may_be_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tx.hex");
    // In lines, as many tools write it.
    let (first, rest) = (&small()[..64], &small()[64..]);
    fs::write(&path, format!("{first}\r\n{rest}\n")).unwrap();
    let mut command = kuraban();
    command.args(["tx", "decode", "--chain", "ltc", "--network", "regtest", "--file", "-", "--json"]);
    let output = command.stdin(fs::File::open(&path).unwrap()).output().unwrap();
    let json = crate::run::Ran::of(&output).json();
    assert!(json["outputs"][0]["address"].as_str().unwrap().starts_with("rltc1q"));
}

#[test]
fn every_end_has_its_status_and_words() {
    let check = |args: &[&str], status: i32, want: &str| {
        let ran = run(["tx", "decode"].iter().chain(args));
        assert_eq!(ran.status, status, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(want), "{args:?}: {} lacks {want}", ran.err);
    };
    let tx = small();
    for chain in ["bch", "mona", "eth", "xrp", "xem"] {
        check(&["--chain", chain, "--hex", "00"], 3, "does not decode it yet");
    }
    check(&["--chain", "doge", "--hex", "00"], 2, "invalid value 'doge'");
    check(&["--chain", "btc"], 2, "required");
    check(&["--chain", "btc", "--hex", "00", "--file", "x"], 2, "cannot be used with");
    check(&["--chain", "ltc", "--network", "signet", "--hex", &tx], 2, "Litecoin has no signet");
    check(&["--chain", "btc", "--hex", &tx[..tx.len() - 2]], 2, "lock time");
    check(&["--chain", "btc", "--hex", &format!("{tx}00")], 2, "transaction");
    check(&["--chain", "btc", "--file", "/does/not/exist"], 2, "could not be opened");
    check(&["--chain", "btc", "--hex", &tx, "--prev", "zz"], 2, "--prev 1: character 'z' at 1");
}

#[test]
fn a_previous_transaction_that_nothing_spends_is_named() {
    let args = ["tx", "decode", "--chain", "btc", "--hex", &small(), "--prev", &small()];
    let json = run(args.iter().copied().chain(["--json"])).json();
    assert_eq!(json["prev_unspent"], json!([json["txid"]]));
    let ran = run(args);
    assert_eq!(ran.status, 0);
    assert!(ran.out.contains("note  no input spends anything of the transaction "), "{}", ran.out);
    assert_eq!(
        run(["tx", "decode", "--chain", "btc", "--json", "--hex", &small()]).json().get("prev_unspent"),
        None
    );
}

#[test]
fn a_transaction_that_is_cut_off_is_called_so() {
    let tx = small();
    let ran = run(["tx", "decode", "--chain", "btc", "--hex", &tx[..20]]);
    assert_eq!(ran.status, 2);
    let want = "number of inputs at offset 4 is 1, which needs at least 41 bytes, only 5 are left: cut off?";
    assert!(ran.err.contains(want), "{}", ran.err);
}

#[test]
fn a_command_line_that_cannot_be_used_is_json_where_json_is_asked_for() {
    let check = |args: &[&str], want: &str| {
        let ran = run(args);
        assert_eq!(ran.status, 2, "{args:?}");
        let error = ran.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(want), "{error} lacks {want}");
    };
    check(
        &["tx", "decode", "--json", "--chain", "doge", "--hex", "00"],
        "invalid value 'doge' for '--chain <CHAIN>'",
    );
    check(
        &["tx", "decode", "--chain", "btc", "--json"],
        "the following required arguments were not provided: ",
    );
    check(&["--json"], "'kuraban' requires a subcommand");
    check(&["--json", "tx"], "there is no command");
    check(&["nonsense", "--json"], "unrecognized subcommand 'nonsense'");
    let ran = run(["nonsense"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""));
    let ran = run(["--help", "--json"]);
    assert_eq!(ran.status, 0);
    assert!(ran.out.contains("Usage:"), "{}", ran.out);
}
