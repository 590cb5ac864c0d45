//! The real theft from DMM Bitcoin against the files of `examples/dmm`: refused; an honest transaction of the same
//! vault under the same files: allowed.

use std::{fs, path::PathBuf};

use kuraban_chain::btc::{Address, Mweb, Network, OutPoint, Script, Tx, TxIn, TxOut};

use crate::{
    case::{IMITATION, ROUTINE, codes, hex},
    run::{Ran, repository, run, shared},
};

const THEFT: &str = "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7";
const FUNDING: &str = "c03acb80562302248f8be621e765315345a85cd3856bf49583e97b0428342908";

fn raw(txid: &str) -> Option<PathBuf> {
    Some(shared()?.join("dmm").join(format!("{txid}.hex")))
}

fn judge(tx: &str, prev: &str, more: &[&str]) -> Ran {
    let file = |name: &str| repository().join("examples/dmm").join(name).display().to_string();
    let mut args = vec!["judge".to_owned()];
    for (option, name) in [
        ("--vault", "vault.toml"),
        ("--policy", "policy.toml"),
        ("--roster", "roster.toml"),
        ("--payout", "payout.json"),
        ("--approvals", "approvals.json"),
        ("--state", "state.json"),
        ("--log-proof", "log-proof.json"),
    ] {
        args.extend([option.to_owned(), file(name)]);
    }
    args.extend(["--now", "2024-05-31T04:12:00Z", "--tx", tx, "--prev", prev].map(str::to_owned));
    args.extend(more.iter().map(|more| (*more).to_owned()));
    run(args)
}

#[test]
fn the_theft_is_refused_for_seven_reasons() {
    let (Some(theft), Some(funding)) = (raw(THEFT), raw(FUNDING)) else { return };
    let ran = judge(&format!("@{}", theft.display()), &format!("@{}", funding.display()), &["--json"]);
    assert_eq!(
        codes(&ran),
        [
            "limit-per-payout",
            "limit-rolling",
            "destination-not-approved",
            "destination-imitates",
            "amount-not-approved",
            "fee-above-cap",
            "fee-rate-above-cap",
        ]
    );
    let json = ran.json();
    let detail = |code: &str| {
        let reasons = json["reasons"].as_array().unwrap();
        let reason = reasons.iter().find(|reason| reason["code"] == code).unwrap();
        reason["detail"].as_str().unwrap().to_owned()
    };
    let check = |code: &str, wants: &[&str]| {
        let detail = detail(code);
        for want in wants {
            assert!(detail.contains(want), "{code}: {detail} lacks {want}");
        }
    };
    check("destination-imitates", &[IMITATION, ROUTINE, "first 5", "last 2"]);
    check("destination-not-approved", &[IMITATION, ROUTINE]);
    check("amount-not-approved", &["450290000000", "1000000000"]);
    check("fee-above-cap", &["10000000", "100000"]);
    check("limit-rolling", &["450300000000", "10000000000"]);
}

#[test]
fn an_honest_transaction_of_the_same_vault_is_allowed() {
    let Some(path) = raw(FUNDING) else { return };
    let text = fs::read_to_string(&path).unwrap();
    let bytes = kuraban_base::hex::decode(text.trim()).unwrap();
    let funding = Tx::decode(Network::BtcMain, &bytes).unwrap();
    // Outputs 1 and 2 have ten bitcoin each.
    let input = |vout| TxIn {
        prev: OutPoint { txid: funding.txid(), vout },
        script_sig: Script::default(),
        sequence: 0xffff_fffd,
        witness: Vec::new(),
    };
    let destination = Address::parse(Network::BtcMain, ROUTINE).unwrap().script();
    let change = funding.outputs[1].script.clone();
    let tx = Tx {
        version: 2,
        inputs: vec![input(1), input(2)],
        outputs: vec![
            TxOut { value_sat: 1_000_000_000, script: destination },
            TxOut { value_sat: 999_950_000, script: change },
        ],
        lock_time: 0,
        mweb: Mweb::None,
    };
    let prev = format!("@{}", path.display());
    assert_eq!(codes(&judge(&hex(&tx), &prev, &["--json"])), Vec::<String>::new());
    let without = judge(&hex(&tx), &hex(&tx), &["--json"]);
    assert_eq!(codes(&without), ["input-unproven"; 2]);
}
