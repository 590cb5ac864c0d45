//! The honest case is allowed; each part made wrong alone is refused with its own reasons and no other.

use std::{collections::BTreeSet, fs};

use kuraban_base::{Amount, Instant, TreeHash};
use kuraban_chain::btc::{BlockHash, Branch, Network, ProofForm, Tx, funds::unsigned};
use kuraban_vault::{PayoutKind, REQUEST, attestation::Challenge};
use serde_json::json;

use crate::{
    case::{
        AMOUNT, Case, FEE, FEE_CAP, FUNDED, IMITATION, NOW, ROLLING_MAX, ROUTINE, Signature, WORLD, codes,
        cold, funding, hex, output, own, script, signed, spending, stranger,
    },
    run::repository,
};

type Row = (&'static str, fn(&mut Case), &'static [&'static str]);

/// Inputs less change.
const OUTFLOW: u64 = AMOUNT + FEE;

fn replace(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "{from}");
    *text = text.replacen(from, to, 1);
}

/// Pays `paid` and keeps the rest but `fee` as change at index 0.
fn pays(case: &mut Case, paid: u64, fee: u64) {
    case.tx.outputs[0].value_sat = paid;
    case.tx.outputs[1].value_sat = FUNDED - paid - fee;
}

/// Funds the transaction with another previous one.
fn funded(case: &mut Case, prev: Tx) {
    case.tx = spending(&[&prev], case.tx.outputs.clone());
    case.prevs = vec![prev];
}

fn with_change(case: &mut Case, branch: Branch, index: u32) {
    case.tx.outputs[1].script = own(branch, index);
}

/// An evacuation of everything, on the evidence of a signed theft.
fn evacuates(case: &mut Case) {
    let prev = case.prevs[0].clone();
    let theft = signed(spending(&[&prev], vec![output(stranger(0xee), FUNDED - 1000)]), &prev);
    case.payout.kind = PayoutKind::Evacuation;
    case.payout.destination = cold().script();
    case.payout.amount = Amount::from(FUNDED - FEE);
    case.tx.outputs = vec![output(cold().script(), FUNDED - FEE)];
    case.request = None;
    case.approvals = Vec::new();
    case.state["stage"] = json!("closed");
    case.state["evidence"] = json!({ "tx": hex(&theft), "prevs": [hex(&prev)], "payout": null });
}

fn earlier(case: &mut Case, txs: &[&Tx]) {
    case.state["earlier"] = txs.iter().map(|tx| json!({ "hex": hex(tx) })).collect();
}

#[rustfmt::skip]
const WHAT_WAS_NOT_GIVEN: &[Row] = &[
    ("no approvals", |case| { case.without.insert("approvals"); }, &["not-judged"]),
    ("no state", |case| { case.without.insert("state"); }, &["not-judged"]),
    ("no log proof", |case| { case.without.insert("log-proof"); }, &["not-judged"]),
    ("no time", |case| { case.without.insert("now"); }, &["not-judged"]),
    ("no previous transaction", |case| case.prevs.clear(), &["input-unproven"]),
];

#[rustfmt::skip]
const PAYOUTS: &[Row] = &[
    ("another network", |case| case.payout.network = Network::BtcTest, &["other-network"]),
    ("another vault", |case| case.payout.vault = "cold".parse().unwrap(), &["other-vault"]),
    ("a kind without a rule", |case| case.payout.kind = PayoutKind::Fee, &["no-rule"]),
    ("above what the rule governs", |case| replace(&mut case.policy, "amount_max = 500000000", "amount_max = 99999999"), &["no-rule"]),
    ("as much as the rule governs", |case| replace(&mut case.policy, "amount_max = 500000000", "amount_max = 100000000"), &[]),
    ("a listed destination", |case| case.payout.kind = PayoutKind::Rebalance, &[]),
    ("a destination that is not listed", |case| {
        case.payout.kind = PayoutKind::Rebalance;
        case.payout.destination = stranger(1);
        case.tx.outputs[0].script = stranger(1);
    }, &["destination-not-listed"]),
    ("less than is relayed", |case| { case.payout.amount = Amount::from(545); pays(case, 545, FEE); }, &["amount-too-small"]),
    ("as little as is relayed", |case| { case.payout.amount = Amount::from(546); pays(case, 546, FEE); }, &[]),
    ("too early", |case| case.now = Instant::from_ms(NOW.ms() - 1), &["not-yet-valid"]),
    ("too late", |case| { case.now = case.payout.expiry; case.logged.cosigned_at = case.now; }, &["expired"]),
    ("just in time", |case| { case.now = Instant::from_ms(case.payout.expiry.ms() - 1); case.logged.cosigned_at = case.now; }, &[]),
];

#[rustfmt::skip]
const PEOPLE: &[Row] = &[
    ("no request", |case| case.request = None, &["request-unsigned"]),
    ("a request that is no signature", |case| case.request = Some(Signature::Text("ok".into())), &["request-unsigned"]),
    ("a stranger's request", |case| case.request = Some(Signature::By(9)), &["request-unsigned"]),
    ("an approval as request", |case| case.request = Some(Signature::As(1, "kuraban-payout")), &["request-unsigned"]),
    ("a request for another payout", |case| case.request = Some(Signature::OverOther(1)), &["request-unsigned"]),
    ("a third approval", |case| case.approvals.push(Signature::By(4)), &[]),
    ("an approval that is no signature", |case| case.approvals.push(Signature::Text("ok".into())), &["approval-invalid"]),
    ("an approval for another payout", |case| case.approvals.push(Signature::OverOther(4)), &["approval-other"]),
    ("a request as approval", |case| case.approvals.push(Signature::As(4, REQUEST)), &["approval-other"]),
    ("an approval for files", |case| case.approvals.push(Signature::As(4, "file")), &["approval-other"]),
    ("an approval by a stranger", |case| case.approvals.push(Signature::By(9)), &["approval-unknown-key"]),
    ("an approval by the requester", |case| case.approvals.push(Signature::By(1)), &["requester-approves"]),
    ("an approval repeated", |case| case.approvals.push(Signature::By(2)), &["approval-repeated"]),
    ("one approval missing", |case| { case.approvals.pop(); }, &["approvals-missing"]),
    ("the requester as second approver", |case| case.approvals[1] = Signature::By(1), &["requester-approves", "approvals-missing"]),
];

#[rustfmt::skip]
const TRANSACTIONS: &[Row] = &[
    ("locked", |case| case.tx.lock_time = 500_000, &["transaction-form"]),
    ("an input locked", |case| case.tx.inputs[0].sequence = 0xffff_fffc, &["transaction-form"]),
    ("an input that cannot be replaced", |case| case.tx.inputs[0].sequence = 0xffff_ffff, &[]),
    ("another's input", |case| funded(case, funding(stranger(2), FUNDED)), &["input-not-own"]),
    ("no payment", |case| {
        case.tx.outputs.remove(0);
        case.tx.outputs[0].value_sat = FUNDED - FEE;
    }, &["payment-missing"]),
    ("another destination", |case| case.tx.outputs[0].script = stranger(1), &["destination-not-approved"]),
    ("a destination that imitates", |case| case.tx.outputs[0].script = script(IMITATION),
        &["destination-not-approved", "destination-imitates"]),
    ("one unit more", |case| pays(case, AMOUNT + 1, FEE), &["amount-not-approved"]),
    ("one unit less", |case| pays(case, AMOUNT - 1, FEE), &["amount-not-approved"]),
    ("another output", |case| {
        case.tx.outputs[1].value_sat -= 1000;
        case.tx.outputs.push(output(stranger(1), 1000));
    }, &["output-unknown"]),
    ("the payment twice", |case| {
        case.tx.outputs[1].value_sat = FUNDED - FEE - 2 * 50_000_000;
        case.payout.amount = Amount::from(50_000_000);
        case.tx.outputs[0].value_sat = 50_000_000;
        case.tx.outputs.push(output(script(ROUTINE), 50_000_000));
    }, &["output-unknown"]),
    ("a second change", |case| {
        case.tx.outputs[1].value_sat -= 10_000;
        case.tx.outputs.push(output(own(Branch::Change, 1), 10_000));
    }, &["change-repeated"]),
    ("change that is dust", |case| {
        funded(case, funding(own(Branch::Receive, 0), AMOUNT + FEE + 545));
        case.tx.outputs[1].value_sat = 545;
    }, &["change-dust"]),
    ("change that is just none", |case| {
        funded(case, funding(own(Branch::Receive, 0), AMOUNT + FEE + 546));
        case.tx.outputs[1].value_sat = 546;
    }, &[]),
    ("change to a receive script", |case| with_change(case, Branch::Receive, 1), &["change-index"]),
    ("change as far ahead as is looked", |case| with_change(case, Branch::Change, 19), &[]),
    ("change further ahead", |case| with_change(case, Branch::Change, 20), &["output-unknown"]),
    ("change further ahead of what is used", |case| {
        case.state["change_used"] = json!(50);
        with_change(case, Branch::Change, 70);
    }, &[]),
    ("change too far ahead of what is used", |case| {
        case.state["change_used"] = json!(50);
        with_change(case, Branch::Change, 71);
    }, &["output-unknown"]),
];

#[rustfmt::skip]
const LIMITS: &[Row] = &[
    ("more than one payout may", |case| replace(&mut case.policy, "per_payout_max = 500000000", &format!("per_payout_max = {}", OUTFLOW - 1)), &["limit-per-payout"]),
    ("as much as one payout may", |case| replace(&mut case.policy, "per_payout_max = 500000000", &format!("per_payout_max = {OUTFLOW}")), &[]),
    ("more than a day may", |case| case.state["outflow_24h"] = json!(ROLLING_MAX - OUTFLOW + 1), &["limit-rolling"]),
    ("as much as a day may", |case| case.state["outflow_24h"] = json!(ROLLING_MAX - OUTFLOW), &[]),
    ("a fee above the payout's cap", |case| pays(case, AMOUNT, FEE_CAP + 1), &["fee-above-cap", "fee-rate-above-cap"]),
    ("a fee above the payout's cap alone", |case| {
        replace(&mut case.policy, "fee_rate_max = 200000", "fee_rate_max = 2000000");
        pays(case, AMOUNT, FEE_CAP + 1);
    }, &["fee-above-cap"]),
    ("a fee at the payout's cap", |case| {
        replace(&mut case.policy, "fee_rate_max = 200000", "fee_rate_max = 2000000");
        pays(case, AMOUNT, FEE_CAP);
    }, &[]),
    ("a fee above the vault's cap", |case| replace(&mut case.policy, "fee_max = 100000", "fee_max = 19999"), &["fee-above-cap"]),
    ("a fee rate above the cap", |case| replace(&mut case.policy, "fee_rate_max = 200000", "fee_rate_max = 50000"), &["fee-rate-above-cap"]),
    ("more out than in", |case| { case.tx.outputs[1].value_sat += FEE + 1; }, &["fee-negative"]),
];

#[rustfmt::skip]
const STANDINGS: &[Row] = &[
    ("breaker closed", |case| case.state["stage"] = json!("closed"), &["breaker-closed"]),
    ("breaker delayed", |case| case.state["stage"] = json!("delayed"), &["breaker-closed"]),
    ("breaker reduce-only", |case| case.state["stage"] = json!("reduce-only"), &["breaker-closed"]),
    ("confirmed before", |case| case.state["ended"] = json!("confirmed"), &["payout-ended"]),
    ("cancelled before", |case| case.state["ended"] = json!("cancelled"), &["payout-ended"]),
    ("the same transaction again", |case| { let tx = case.tx.clone(); earlier(case, &[&tx]); }, &[]),
    ("a conflicting transaction before", |case| {
        let prev = case.prevs[0].clone();
        earlier(case, &[&spending(&[&prev], vec![output(script(ROUTINE), AMOUNT)])]);
    }, &[]),
    ("a transaction before that stays valid", |case| {
        let other = funding(own(Branch::Receive, 1), FUNDED);
        earlier(case, &[&spending(&[&other], vec![output(script(ROUTINE), AMOUNT)])]);
    }, &["transaction-other"]),
];

#[rustfmt::skip]
const LOGS: &[Row] = &[
    ("all witnesses", |case| case.logged.witnesses = vec![0, 1, 2, 3], &[]),
    ("too few witnesses", |case| case.logged.witnesses = vec![0, 1], &["log-not-witnessed"]),
    ("no witnesses", |case| case.logged.witnesses = vec![], &["log-not-witnessed"]),
    ("another payout's entry", |case| case.logged.given = vec![0], &["log-not-included"]),
    ("the same id with other fields", |case| {
        let mut other = case.payout.clone();
        other.amount = Amount::from(AMOUNT - 1);
        case.logged.requested = Some(other);
    }, &["log-not-included"]),
    ("request and draft", |case| case.logged.given = vec![1, 2], &[]),
    ("the draft alone", |case| case.logged.given = vec![2], &["log-not-included"]),
    ("another draft", |case| {
        case.logged.given = vec![1, 2];
        let mut other = case.tx.clone();
        other.outputs[0].value_sat -= 1;
        case.logged.assembled = Some(other);
    }, &["log-not-included"]),
    ("another salt", |case| case.logged.spoil = |proof| proof["salt"] = json!("00".repeat(32)), &["log-not-included"]),
    ("another entry", |case| case.logged.spoil = |proof| proof["entry"] = json!("00"), &["log-not-included"]),
    ("another place", |case| case.logged.spoil = |proof| {
        proof["proof"] = json!(proof["proof"].as_str().unwrap().replace("index 1\n", "index 0\n"));
    }, &["log-not-included"]),
    ("another root", |case| case.logged.spoil = |proof| {
        proof["proof"] = json!(proof["proof"].as_str().unwrap().replace("\n3\n", "\n4\n"));
    }, &["log-not-witnessed"]),
    ("clocks 30 s apart", |case| case.now = NOW.plus_ms(30_000), &[]),
    ("clocks further apart", |case| case.now = NOW.plus_ms(30_001), &["clock-disagrees"]),
];

#[rustfmt::skip]
const EVACUATIONS: &[Row] = &[
    ("on evidence, with the breaker closed", evacuates, &[]),
    ("without an order", |case| {
        evacuates(case);
        replace(&mut case.policy, "[[evacuation]]\nvault = \"hot\"", "[[evacuation]]\nvault = \"other\"");
    }, &["evacuation-not-ordered"]),
    ("to another destination", |case| {
        evacuates(case);
        case.payout.destination = stranger(1);
        case.tx.outputs[0].script = stranger(1);
    }, &["evacuation-not-ordered"]),
    ("without evidence", |case| { evacuates(case); case.state["evidence"] = json!(null); }, &["evacuation-no-evidence"]),
    ("on a payout's own transaction", |case| { evacuates(case); case.state["evidence"]["payout"] = json!("w-7"); }, &["evacuation-no-evidence"]),
    ("on a spend that is not signed", |case| { evacuates(case); case.state["evidence"]["tx"] = json!(hex(&case.tx)); }, &["evacuation-no-evidence"]),
    ("on a spend that is not proven", |case| { evacuates(case); case.state["evidence"]["prevs"] = json!([]); }, &["evacuation-no-evidence"]),
    ("within what fees are left", |case| { evacuates(case); case.state["evacuation_fees"] = json!(10_000); }, &[]),
    ("beyond what fees are left", |case| { evacuates(case); case.state["evacuation_fees"] = json!(10_001); }, &["fee-above-cap"]),
];

/// An attestation of the one coin.
fn attests(case: &mut Case) {
    replace(&mut case.policy, "kinds = [\"rebalance\"]", "kinds = [\"rebalance\", \"attestation\"]");
    replace(&mut case.policy, &format!("destinations = [\"{ROUTINE}\"]"), "destinations = \"any\"");
    let challenge = Challenge {
        form: ProofForm::Bip322,
        origin: WORLD.origin.to_owned(),
        size: 3,
        root: TreeHash::from_bytes([7; 32]),
        block: BlockHash::from_bytes([8; 32]),
        asset: case.payout.asset(),
        at: NOW,
    };
    case.payout.kind = PayoutKind::Attestation;
    case.payout.destination = own(Branch::Receive, 1);
    (case.payout.amount, case.payout.fee_cap) = (Amount::ZERO, Amount::ZERO);
    case.payout.memo = Some(challenge.text().unwrap());
    // Whatever left within the day: an attestation takes nothing of it.
    case.state["outflow_24h"] = json!(900_000_000_000_u64);
    let text = challenge.to_string();
    let outputs = [(case.tx.inputs[0].prev, FUNDED)];
    case.tx = unsigned(ProofForm::Bip322, &case.payout.destination, text.as_bytes(), &outputs).unwrap();
}

#[rustfmt::skip]
const ATTESTATIONS: &[Row] = &[
    ("of a coin", attests, &[]),
    ("that is paid", |case| { attests(case); case.payout.amount = Amount::from(AMOUNT); }, &["attestation-value"]),
    ("without a challenge", |case| { attests(case); case.payout.memo = None; }, &["attestation-challenge"]),
    ("that pays somebody", |case| { attests(case); case.tx.outputs[0] = output(stranger(1), FUNDED - FEE); }, &["attestation-minable"]),
    ("by a transaction that could be mined", |case| { attests(case); case.tx.inputs.remove(0); }, &["attestation-minable"]),
    ("without the coin's transaction", |case| { attests(case); case.prevs.clear(); }, &["input-unproven"]),
];

const TABLES: [&[Row]; 9] =
    [WHAT_WAS_NOT_GIVEN, PAYOUTS, PEOPLE, TRANSACTIONS, LIMITS, STANDINGS, LOGS, EVACUATIONS, ATTESTATIONS];

#[test]
fn the_honest_case_is_allowed() {
    let ran = Case::honest().judge(&["--json"]);
    assert_eq!(codes(&ran), Vec::<String>::new());
    assert_eq!(ran.json(), json!({ "verdict": "allow", "reasons": [] }));
}

#[test]
fn each_part_made_wrong_is_refused_with_its_own_reasons_alone() {
    let mut wrong = Vec::new();
    for (name, spoil, want) in TABLES.into_iter().flatten() {
        let mut case = Case::honest();
        spoil(&mut case);
        let ran = case.judge(&["--json"]);
        let found = codes(&ran);
        if found != *want {
            wrong.push(format!("{name}: {found:?}, want {want:?}\n{}", ran.out));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_documented_code_is_in_the_tables() {
    let told: BTreeSet<&str> =
        TABLES.into_iter().flatten().flat_map(|(_, _, want)| want.iter().copied()).collect();
    let document = fs::read_to_string(repository().join("docs/reasons.md")).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut documented: BTreeSet<&str> = rows.map(|(code, _)| code).collect();
    // What only a running signer can find: a lease answers its random challenge, a receipt is its own, and so is its disk.
    for running in ["lease-invalid", "receipt-lapsed", "signer-frozen", "signer-restored"] {
        assert!(documented.remove(running), "{running}");
    }
    assert_eq!(told, documented);
}

#[test]
fn reasons_are_shown_in_both_languages() {
    let mut case = Case::honest();
    case.tx.outputs[0].script = script(IMITATION);
    let check = |lang: &str, wants: &[&str]| {
        let ran = case.judge(&["--lang", lang]);
        assert_eq!(ran.status, 1);
        for want in wants {
            assert!(ran.out.contains(want), "{} lacks {want}", ran.out);
        }
    };
    check("en", &["refused:", "destination-imitates", "the first 5 and the last 2 characters are equal"]);
    check("ja", &["拒否:", "destination-imitates", "先頭 5 文字と末尾 2 文字が同じ"]);
}

#[test]
fn input_that_cannot_be_read_is_told_apart_from_a_refusal() {
    let check = |spoil: &dyn Fn(&mut Vec<String>), want: &str| {
        let dir = tempfile::tempdir().unwrap();
        let mut args = Case::honest().write(dir.path());
        args.push("--json".to_owned());
        spoil(&mut args);
        let ran = crate::run::run(&args);
        assert_eq!(ran.status, 2, "{}", ran.err);
        let error = ran.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(want), "{error} lacks {want}");
    };
    fn at<'a>(args: &'a mut [String], option: &str) -> &'a mut String {
        let place = args.iter().position(|arg| arg == option).unwrap();
        &mut args[place + 1]
    }
    fn edit(args: &mut [String], option: &str, change: impl Fn(String) -> String) {
        let path = at(args, option).clone();
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(text, changed, "{option}");
        fs::write(path, changed).unwrap();
    }
    check(&|args| *at(args, "--tx") = "00".into(), "--tx: ");
    check(&|args| *at(args, "--tx") = "0g".into(), "character 'g' at 2");
    check(&|args| at(args, "--tx").push_str("00"), "--tx: ");
    check(&|args| *at(args, "--prev") = "@/does/not/exist".into(), "/does/not/exist: could not be opened");
    check(&|args| edit(args, "--vault", |text| text + "x = 1\n"), "unknown field `x`");
    check(
        &|args| edit(args, "--policy", |text| text.replace("count = 2", "count = 0")),
        "asks for 0 approvals",
    );
    check(
        &|args| edit(args, "--roster", |text| text.replace("witnesses_min = 3", "witnesses_min = 2")),
        "witnesses_min",
    );
    check(
        &|args| edit(args, "--payout", |text| text.replace("\"amount\"", "\"amount\":1,\"amount\"")),
        "duplicate field `amount`",
    );
    check(
        &|args| edit(args, "--payout", |text| text.replace(ROUTINE, "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7Q")),
        "destination: checksum",
    );
    check(&|args| edit(args, "--state", |text| text.replace("open", "ajar")), "stage \"ajar\" is not known");
    check(&|args| edit(args, "--state", |text| text.replace("\"ended\":null,", "")), "missing field `ended`");
    check(&|args| edit(args, "--state", |text| text.replace("null", "\"lost\"")), "ended is \"lost\"");
    check(&|args| edit(args, "--approvals", |_| "{}".to_owned()), "missing field `request`");
    check(
        &|args| edit(args, "--log-proof", |text| text.replace("\"salt\":\"", "\"salt\":\"00")),
        "salt: 33 bytes of hexadecimal, want 32",
    );
}

#[test]
fn a_time_that_is_none_is_bad_usage() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = Case::honest().write(dir.path());
    *args.last_mut().unwrap() = "noon".to_owned();
    let ran = crate::run::run(&args);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("want RFC 3339 such as 2024-05-31T04:12:00Z"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn what_is_no_signature_and_what_was_not_given_are_called_by_their_names() {
    let details = |case: &Case, dropped: &[&str]| -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let mut args = case.write(dir.path());
        for option in dropped {
            let at = args.iter().position(|arg| arg == option).unwrap();
            let rest = args[at + 1..].iter().position(|arg| arg.starts_with("--"));
            let end = rest.map_or(args.len(), |rest| at + 1 + rest);
            args.drain(at..end);
        }
        args.push("--json".to_owned());
        let json = crate::run::run(&args).json();
        let reasons = json["reasons"].as_array().unwrap().iter();
        reasons.map(|reason| reason["detail"].as_str().unwrap().to_owned()).collect()
    };
    let check = |text: &str, wants: [&str; 2]| {
        let mut case = Case::honest();
        case.request = Some(Signature::Text(text.to_owned()));
        case.approvals.push(Signature::Text(text.to_owned()));
        let found = details(&case, &[]);
        for want in wants {
            assert!(found.iter().any(|detail| detail.starts_with(want)), "{found:?} lacks {want}");
        }
        assert_eq!(found.len(), 2, "{found:?}");
    };
    let armour = "is no SSH signature, want -----BEGIN SSH SIGNATURE-----";
    let request = format!("the request is not signed by a requester: {armour}");
    check("hello", [&request, &format!("an approval does not verify: {armour}")]);
    check(
        "-----BEGIN SSH SIGNATURE-----\nAA",
        [
            "the request is not signed by a requester: not an SSH signature by an Ed25519 key: ",
            "an approval does not verify: not an SSH signature by an Ed25519 key: ",
        ],
    );
    for option in ["--approvals", "--state", "--log-proof", "--now"] {
        let want = format!("{option} was not given, so it could not be judged");
        assert!(details(&Case::honest(), &[option]).contains(&want), "{option}");
    }
}
