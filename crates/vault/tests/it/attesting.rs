//! Attestations: from the request to a proof that holds, without a coin that moves; and everything by which a hostile writer
//! would get a signature over something else.

use std::collections::BTreeMap;

use kuraban_base::{Amount, Asset, Instant, TreeHash, Txid};
use kuraban_chain::btc::{
    BlockHash, Branch, Funds, OutPoint, ProofForm, Script, Tx, TxOut,
    funds::{first_spent, unsigned},
};
use kuraban_vault::{
    Payout, PayoutKind, Verdict,
    attestation::{Challenge, ChallengeError, first_input},
    body::Body,
    breaker::Stage,
    coordinator::{Event, Reply},
    explain::{Unexplained, explain},
    fold::Status,
    judge::{Ask, CLOCKS_APART_MAX_MS, Facts, LogStanding, Now, Standing, Views, judge},
    scripts::ScriptTable,
};

use crate::{
    exchange::Exchange,
    kit,
    rogue::{Rogue, wanted},
};

fn owner() -> Script {
    kit::descriptor().script_at(Branch::Receive, 0).unwrap()
}

fn challenge(form: ProofForm) -> Challenge {
    Challenge {
        form,
        origin: kit::ORIGIN.to_owned(),
        size: 0,
        root: TreeHash::from_bytes([7; 32]),
        block: BlockHash::from_bytes([8; 32]),
        asset: Asset::Btc,
        at: kit::NOW,
    }
}

fn attestation(id: &str, challenge: &Challenge) -> Payout {
    Payout {
        kind: PayoutKind::Attestation,
        destination: owner(),
        memo: Some(challenge.text().unwrap()),
        amount: Amount::ZERO,
        fee_cap: Amount::ZERO,
        ..kit::payout(id, 9, 0)
    }
}

fn wants(exchange: &mut Exchange, payout: &Payout) {
    let id = payout.id.as_str();
    let logged = |reply: Reply| assert!(matches!(reply, Reply::Logged { .. }), "{reply:?}");
    logged(exchange.request_payout(id, payout.clone()));
    logged(exchange.approve_payout(id, payout, 2));
    logged(exchange.approve_payout(id, payout, 3));
}

/// The outputs that a payout's proof shows, and what they are worth together.
fn proven(exchange: &Exchange, payout: &Payout) -> (Vec<OutPoint>, u64) {
    let record = exchange.writer.fold().payout(&payout.id).unwrap();
    let (_, bytes) = record.signed.as_ref().unwrap();
    let tx = Tx::decode(kit::NETWORK, bytes).unwrap();
    let text = payout.memo.as_ref().unwrap();
    let form = Challenge::parse(text).unwrap().form;
    let funded: BTreeMap<OutPoint, TxOut> = (0..10)
        .flat_map(|index| [1_000_000, 2_000_000, 4_000_000].map(|value_sat| kit::funding(index, value_sat)))
        .map(|tx| (kit::coin(&tx).outpoint, tx.outputs[0].clone()))
        .collect();
    let spent: Vec<TxOut> = core::iter::once(first_spent(form, &owner()))
        .chain(tx.inputs.iter().skip(1).map(|input| funded[&input.prev].clone()))
        .collect();
    let funds = Funds::assemble(form, text.as_bytes(), &tx, &spent, &BTreeMap::new()).unwrap();
    let holds = funds.verify(text.as_bytes()).unwrap();
    assert_eq!((holds.form, &holds.owner), (form, &owner()));
    (holds.outputs.iter().map(|one| one.outpoint).collect(), holds.sum_sat)
}

fn at(index: u32, value_sat: u64) -> OutPoint {
    kit::coin(&kit::funding(index, value_sat)).outpoint
}

#[test]
fn an_attestation_proves_all_coins_moves_none_and_leaves_limits_alone() {
    for form in ProofForm::ALL {
        let mut exchange = Exchange::new();
        exchange.fund(1, 1_000_000);
        exchange.fund(2, 4_000_000);
        let payout = attestation("a-1", &challenge(form));
        wants(&mut exchange, &payout);
        assert_eq!((exchange.status("a-1"), exchange.sent.len()), (Status::Attested, 0));
        assert_eq!(proven(&exchange, &payout), (vec![at(2, 4_000_000), at(1, 1_000_000)], 5_000_000));
        // A second over the same challenge shows what the first does not, once there is something.
        let second = attestation("a-2", &challenge(form));
        wants(&mut exchange, &second);
        assert_eq!(exchange.status("a-2"), Status::Requested);
        exchange.fund(3, 2_000_000);
        assert_eq!(exchange.status("a-2"), Status::Attested);
        assert_eq!(proven(&exchange, &second), (vec![at(3, 2_000_000)], 2_000_000));
        // The coins are there for payouts, and the day's limit is as it was.
        exchange.request("w-1", 9, 3_900_000);
        exchange.approve("w-1", 9, 3_900_000, 2);
        exchange.approve("w-1", 9, 3_900_000, 3);
        assert_eq!((exchange.status("w-1"), exchange.sent.len()), (Status::Broadcast, 1));
        let standing = exchange.writer.fold().standing(&payout.id, kit::NOW).unwrap();
        let outflow = standing.before.unwrap().units();
        assert!((3_900_000..=3_950_000).contains(&outflow), "{outflow}");
        let (scripts, sent) = (exchange.charter.vaults().count(), &exchange.sent[0]);
        assert_eq!((scripts, sent.inputs[0].prev), (1, at(2, 4_000_000)));
        // Whatever becomes of the writer, nothing is sent.
        exchange.restart();
        exchange.pass(120_000);
        assert!(exchange.sent.iter().all(|tx| tx.txid() == exchange.sent[0].txid()));
        assert_eq!(exchange.status("a-1"), Status::Attested);
    }
}

#[test]
fn the_watcher_takes_a_finished_attestation_for_no_theft() {
    let mut exchange = Exchange::new();
    exchange.fund(1, 1_000_000);
    let payout = attestation("a-1", &challenge(ProofForm::Bip322));
    wants(&mut exchange, &payout);
    let (_, bytes) = exchange.writer.fold().payout(&payout.id).unwrap().signed.clone().unwrap();
    let tx = Tx::decode(kit::NETWORK, &bytes).unwrap();
    let fold = exchange.watcher.fold();
    assert_eq!(explain(fold, &kit::hot(), &tx).map(|record| record.payout.id.clone()), Ok(payout.id));
}

#[test]
fn a_theft_that_is_logged_as_an_attestation_stays_a_theft() {
    let mut rogue = Rogue::new();
    let payout = attestation("a-1", &challenge(ProofForm::Bip322));
    let coin = kit::funding(1, 1_000_000);
    let theft = kit::tx(
        vec![kit::coin(&coin).outpoint],
        vec![TxOut { value_sat: 999_000, script: kit::address(6).script() }],
    );
    rogue.log(wanted(&payout));
    rogue.assemble(&payout, core::slice::from_ref(&theft));
    let codes = rogue.receipt(0, &payout, &theft, &coin).unwrap_err();
    assert!(codes.contains(&"attestation-minable".to_owned()), "{codes:?}");
    let mut fold = kuraban_vault::fold::Fold::new(kit::charter());
    let bodies = [crate::rogue::opened()].into_iter().chain(wanted(&payout));
    let assembled = Body::PayoutAssembled { payout: payout.id.clone(), tx: theft.encode() };
    for body in bodies.chain([assembled]) {
        fold.apply(kit::NOW, body).unwrap();
    }
    let Err(Unexplained::NotApproved { reasons, .. }) = explain(&fold, &kit::hot(), &theft) else {
        panic!("it explains a theft")
    };
    let codes: Vec<_> = reasons.iter().map(kuraban_vault::Reason::code).collect();
    assert_eq!(codes, ["attestation-minable"]);
}

#[test]
fn a_signer_refuses_another_log() {
    let check = |change: fn(&mut Challenge), want: &[&str]| {
        let mut rogue = Rogue::new();
        let mut challenge = challenge(ProofForm::Bip127);
        change(&mut challenge);
        let payout = attestation("a-1", &challenge);
        let coin = kit::funding(1, 1_000_000);
        let text = payout.memo.clone().unwrap();
        let outputs = [(kit::coin(&coin).outpoint, 1_000_000)];
        let tx = unsigned(challenge.form, &payout.destination, text.as_bytes(), &outputs).unwrap();
        rogue.log(wanted(&payout));
        rogue.assemble(&payout, core::slice::from_ref(&tx));
        let codes = rogue.receipt(0, &payout, &tx, &coin).err().unwrap_or_default();
        assert_eq!(codes, want, "{text}");
    };
    check(|_| {}, &[]);
    // A root that it co-signed otherwise, and a size that nobody has come to.
    check(|challenge| challenge.size = 1, &["attestation-challenge"]);
    check(|challenge| challenge.size = 1_000_000, &["attestation-challenge"]);
    check(|challenge| challenge.origin = "kuraban.example/other".to_owned(), &["attestation-challenge"]);
}

struct Case {
    payout: Payout,
    tx: Tx,
    prevs: Vec<Tx>,
    now: Instant,
    stage: Stage,
}

fn honest(form: ProofForm) -> Case {
    let payout = attestation("a-1", &challenge(form));
    let prevs = vec![kit::funding(1, 1_000_000), kit::funding(2, 2_000_000)];
    let mut case = Case { tx: prevs[0].clone(), payout, prevs, now: kit::NOW, stage: Stage::Open };
    case.follow();
    case
}

impl Case {
    /// The transaction that the payout and the previous transactions demand.
    fn follow(&mut self) {
        let outputs: Vec<(OutPoint, u64)> =
            self.prevs.iter().map(|tx| (kit::coin(tx).outpoint, tx.outputs[0].value_sat)).collect();
        let text = self.payout.memo.clone().unwrap_or_default();
        let form = Challenge::parse(&text).map_or(ProofForm::Bip322, |challenge| challenge.form);
        self.tx = unsigned(form, &self.payout.destination, text.as_bytes(), &outputs).unwrap();
    }

    fn codes(&self) -> Vec<&'static str> {
        let charter = kit::charter();
        let (vault, policy) = charter.vault(&kit::hot()).unwrap();
        let scripts = ScriptTable::new(&vault.descriptor, vault.receive_count);
        let views = Views { vault, policy, roster: charter.roster(), scripts: &scripts };
        let standing = Standing {
            stage: self.stage,
            // The day's limit is used up: an attestation takes nothing of it.
            before: None,
            ended: None,
            earlier: Vec::new(),
            evidence: Err("none was given".to_owned()),
            evacuation_fees: Amount::ZERO,
        };
        let digest = self.payout.digest(&charter.context());
        let request = kit::sign(&kit::person(1), kuraban_vault::REQUEST, digest.as_bytes());
        let approve = |number| kit::sign(&kit::person(number), kuraban_vault::APPROVE, digest.as_bytes());
        let approvals = [2, 3].map(approve);
        let facts = Facts {
            standing: Some(&standing),
            log: Some(&LogStanding::Witnessed),
            now: Some(Now { own: self.now, witnesses: Some(self.now) }),
        };
        let ask = Ask {
            payout: &self.payout,
            request: Some(&request),
            approvals: Some(&approvals),
            tx: &self.tx,
            prevs: &self.prevs,
        };
        match judge(views, facts, ask) {
            Verdict::Allow(judged) => {
                assert_eq!(judged.outflow(), Amount::ZERO);
                Vec::new()
            }
            Verdict::Refuse(reasons) => reasons.iter().map(kuraban_vault::Reason::code).collect(),
        }
    }
}

type Spoil = fn(&mut Case);
const MINABLE: &[&str] = &["attestation-minable"];
const CHALLENGE: &[&str] = &["attestation-challenge"];

/// What one row does to the honest case, and the codes that answer it.
const ROWS: &[(&str, Spoil, &[&str])] = &[
    ("honest", |_| {}, &[]),
    ("signed already", |case| case.tx.inputs[1].witness = vec![vec![1]], &[]),
    ("no virtual input", |case| drop(case.tx.inputs.remove(0)), MINABLE),
    ("a real coin first", |case| case.tx.inputs.swap(0, 1), &["input-unproven", "attestation-minable"]),
    ("another vout", |case| case.tx.inputs[0].prev.vout = 1, MINABLE),
    ("yesterday's", |case| case.tx.inputs[0].prev.txid = Txid::from_bytes([9; 32]), MINABLE),
    ("no output named", |case| case.tx.inputs.truncate(1), MINABLE),
    ("a payment", |case| case.tx.outputs[0].script = kit::address(6).script(), MINABLE),
    ("another output", |case| case.tx.outputs.push(case.tx.outputs[0].clone()), MINABLE),
    ("another value", |case| case.tx.outputs[0].value_sat += 1, MINABLE),
    ("another version", |case| case.tx.version = 2, MINABLE),
    ("a lock time", |case| case.tx.lock_time = 1, MINABLE),
    ("a sequence", |case| case.tx.inputs[1].sequence = 1, MINABLE),
    ("an unproven input", |case| drop(case.prevs.pop()), &["input-unproven"]),
    (
        "a foreign input",
        |case| {
            case.prevs[0].outputs[0].script = kit::address(6).script();
            case.follow();
        },
        &["input-not-own"],
    ),
    ("an amount", |case| case.payout.amount = Amount::new(1000), &["attestation-value"]),
    ("a fee", |case| case.payout.fee_cap = Amount::new(1), &["attestation-value"]),
    ("no challenge", |case| case.payout.memo = None, CHALLENGE),
    ("a text", |case| case.payout.memo = Some("we are solvent".to_owned()), CHALLENGE),
    (
        "another's script",
        |case| {
            case.payout.destination = kit::address(6).script();
            case.follow();
        },
        CHALLENGE,
    ),
    ("a closed breaker", |case| case.stage = Stage::Closed, &["breaker-closed"]),
];

#[test]
fn only_the_one_transaction_of_a_fresh_challenge_is_signed() {
    let amend = |case: &mut Case, change: fn(&mut Challenge)| {
        let mut challenge = Challenge::parse(case.payout.memo.as_ref().unwrap()).unwrap();
        change(&mut challenge);
        case.payout.memo = Some(challenge.text().unwrap());
        case.follow();
    };
    for form in ProofForm::ALL {
        for (name, spoil, want) in ROWS {
            let mut case = honest(form);
            spoil(&mut case);
            assert_eq!(case.codes(), *want, "{form}: {name}");
        }
        let mut case = honest(form);
        amend(&mut case, |challenge| challenge.asset = Asset::Ltc);
        assert_eq!(case.codes(), CHALLENGE);
        // A challenge is good for a day and not before its time, at the bound and one beyond.
        let dated = |ms: u64, want: &[&str]| {
            let mut case = honest(form);
            let mut challenge = challenge(form);
            challenge.at = Instant::from_ms(ms);
            case.payout.memo = Some(challenge.text().unwrap());
            case.follow();
            assert_eq!(case.codes(), want, "{ms}");
        };
        let now = kit::NOW.ms();
        dated(now - 86_400_000, &[]);
        dated(now - 86_400_001, CHALLENGE);
        dated(now + CLOCKS_APART_MAX_MS, &[]);
        dated(now + CLOCKS_APART_MAX_MS + 1, CHALLENGE);
    }
}

#[test]
fn an_attestation_that_finds_no_coins_or_no_signers_ends_with_its_time() {
    let mut exchange = Exchange::new();
    let mut payout = attestation("a-1", &challenge(ProofForm::Bip322));
    payout.expiry = kit::NOW.plus_ms(60_000);
    wants(&mut exchange, &payout);
    let mut second = attestation("a-2", &challenge(ProofForm::Bip127));
    second.expiry = payout.expiry;
    exchange.pass(1000);
    assert_eq!(exchange.status("a-1"), Status::Requested);
    // One signer's receipt stands in the log, the second never comes.
    exchange.refuses.insert(kit::machine(1), "breaker-closed");
    exchange.refuses.insert(kit::machine(2), "breaker-closed");
    exchange.fund(1, 1_000_000);
    wants(&mut exchange, &second);
    exchange.pass(70_000);
    assert_eq!((exchange.status("a-1"), exchange.status("a-2")), (Status::Expired, Status::Expired));
    assert!(!exchange.writer.fold().payout(&second.id).unwrap().receipts.is_empty());
}

#[test]
fn an_attestation_of_a_coin_that_is_spent_first_is_cancelled() {
    let mut exchange = Exchange::new();
    exchange.refuses.insert(kit::machine(1), "breaker-closed");
    exchange.refuses.insert(kit::machine(2), "breaker-closed");
    exchange.fund(1, 1_000_000);
    let payout = attestation("a-1", &challenge(ProofForm::Bip322));
    wants(&mut exchange, &payout);
    assert_eq!(exchange.status("a-1"), Status::Assembled);
    let height = kuraban_base::Height::new(7);
    exchange.happen(Event::Mined { txid: Txid::from_bytes([3; 32]), spends: vec![at(1, 1_000_000)], height });
    exchange.happen(Event::Tip(kit::NETWORK, height));
    assert_eq!(exchange.status("a-1"), Status::Cancelled);
}

#[test]
fn a_challenge_has_one_spelling() {
    let text = challenge(ProofForm::Bip322).text().unwrap();
    let want = "kuraban-reserves-v1 bip-322 kuraban.example/log 0 \
        0707070707070707070707070707070707070707070707070707070707070707 \
        0808080808080808080808080808080808080808080808080808080808080808 BTC 1800000000000";
    assert_eq!(text, want);
    assert_eq!(Challenge::parse(&text), Ok(challenge(ProofForm::Bip322)));
    for length in 0..text.len() {
        // Cut within the time it is another time.
        let cut = Challenge::parse(&text[..length]);
        assert!(cut.is_err() || length > text.len() - 13, "{length}");
    }
    let check = |from: &str, to: &str| {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        assert!(Challenge::parse(&other).is_err(), "{other}");
    };
    check("v1", "v2");
    check("bip-322", "bip-323");
    check(" 0 ", " 00 ");
    check(" 0 ", " -1 ");
    check(" 0 ", "  0 ");
    check("0707", "07");
    check("BTC", "btc");
    check("BTC", "XEM");
    check("180000", "+180000");
    check("1800000000000", "18446744073709551616");
    let mut long = challenge(ProofForm::Bip127);
    long.origin = "o".repeat(256 - (want.len() - kit::ORIGIN.len()));
    assert_eq!(long.text().map(|text| text.len()), Ok(256));
    long.origin.push('o');
    assert_eq!(long.text(), Err(ChallengeError::Length { got: 257 }));
    long.origin = "a b".to_owned();
    assert_eq!(long.text(), Err(ChallengeError::Form));
    let withdrawal = kit::payout("w-1", 9, 1);
    assert_eq!(first_input(&withdrawal), None);
}
