//! Judgement row by row: one honest case that is allowed, and the same with one thing made wrong.

use kuraban_base::{Amount, Asset, Instant};
use kuraban_chain::btc::{Branch, Mweb, Network, OutPoint, Script, Tx, TxOut};
use kuraban_vault::{
    APPROVE, Approval, Payout, PayoutKind, REQUEST, Verdict,
    breaker::{Breaker, Service, Stage},
    judge::{Ask, Facts, LogStanding, Now, Standing, Views, admit, imitation, judge, shown, vsize_signed},
    scripts::ScriptTable,
};

use crate::kit;

/// Everything a judgement is made from, so that a row can spoil one part.
struct Case {
    payout: Payout,
    request: Option<Approval>,
    approvals: Option<Vec<Approval>>,
    tx: Tx,
    prevs: Vec<Tx>,
    standing: Option<Standing>,
    log: Option<LogStanding>,
    now: Option<Now>,
}

const AMOUNT: u64 = 100_000_000;
const CHANGE: u64 = 199_990_000;

fn change_script(index: u32) -> Script {
    kit::descriptor().script_at(Branch::Change, index).unwrap()
}

fn honest() -> Case {
    let payout = kit::payout("w-1", 9, AMOUNT);
    let funding = kit::funding(0, 300_000_000);
    let outputs = vec![
        TxOut { value_sat: AMOUNT, script: payout.destination.clone() },
        TxOut { value_sat: CHANGE, script: change_script(0) },
    ];
    let mut case = Case {
        tx: kit::tx(vec![kit::coin(&funding).outpoint], outputs),
        prevs: vec![funding],
        request: None,
        approvals: None,
        standing: Some(Standing {
            stage: Stage::Open,
            before: Some(Amount::ZERO),
            ended: None,
            earlier: Vec::new(),
            evidence: Err("none was given".to_owned()),
            evacuation_fees: Amount::ZERO,
        }),
        log: Some(LogStanding::Witnessed),
        now: Some(Now { own: kit::NOW, witnesses: Some(kit::NOW) }),
        payout,
    };
    case.approve(&[2, 3]);
    case
}

impl Case {
    /// Signs the payout as it is now: by the requester and these approvers.
    fn approve(&mut self, people: &[u8]) {
        let digest = self.payout.digest(&kit::charter().context());
        self.request = Some(kit::sign(&kit::person(1), REQUEST, digest.as_bytes()));
        let approve = |n: &u8| kit::sign(&kit::person(*n), APPROVE, digest.as_bytes());
        self.approvals = Some(people.iter().map(approve).collect());
    }

    /// The virtual size that is judged while nothing is signed.
    fn vsize(&self) -> u64 {
        let charter = kit::charter();
        let (vault, policy) = charter.vault(&kit::hot()).unwrap();
        let scripts = ScriptTable::new(&vault.descriptor, vault.receive_count);
        let views = Views { vault, policy, roster: charter.roster(), scripts: &scripts };
        vsize_signed(views, &self.tx).try_into().unwrap()
    }

    /// Gives the input a witness, as where a signed transaction is judged; the virtual size that it then has.
    fn signed(&mut self) -> u64 {
        self.tx.inputs[0].witness = vec![vec![1; 72]; 3];
        self.tx.vsize().try_into().unwrap()
    }

    fn standing(&mut self) -> &mut Standing {
        self.standing.as_mut().unwrap()
    }

    /// The codes of the broken rules; none if it is allowed.
    fn codes(&self) -> Vec<&'static str> {
        let charter = kit::charter();
        let (vault, policy) = charter.vault(&kit::hot()).unwrap();
        let scripts = ScriptTable::new(&vault.descriptor, vault.receive_count);
        let views = Views { vault, policy, roster: charter.roster(), scripts: &scripts };
        let facts = Facts { standing: self.standing.as_ref(), log: self.log.as_ref(), now: self.now };
        let ask = Ask {
            payout: &self.payout,
            request: self.request.as_ref(),
            approvals: self.approvals.as_deref(),
            tx: &self.tx,
            prevs: &self.prevs,
        };
        match judge(views, facts, ask) {
            Verdict::Allow(judged) => {
                assert_eq!(judged.txid(), self.tx.txid());
                Vec::new()
            }
            Verdict::Refuse(reasons) => {
                assert!(!reasons.is_empty());
                assert!(reasons.iter().all(|reason| !reason.to_string().is_empty()));
                reasons.iter().map(kuraban_vault::Reason::code).collect()
            }
        }
    }
}

/// What one row does to the honest case.
type Spoil = fn(&mut Case);

fn pays(case: &mut Case, to: u8) {
    case.tx.outputs[0].script = kit::address(to).script();
}

/// The one coin that is spent has another value.
fn spends(case: &mut Case, value_sat: u64) {
    case.prevs[0].outputs[0].value_sat = value_sat;
    case.tx.inputs[0].prev.txid = case.prevs[0].txid();
}

/// The payout is the spoilt part, so everybody signs it as it is and the transaction follows it.
fn amended(case: &mut Case, amend: fn(&mut Payout)) {
    amend(&mut case.payout);
    case.tx.outputs[0] =
        TxOut { value_sat: case.payout.amount.to_u64().unwrap(), script: case.payout.destination.clone() };
    case.approve(&[2, 3]);
}

fn own(ms: u64) -> Option<Now> {
    Some(Now { own: Instant::from_ms(ms), witnesses: Some(Instant::from_ms(ms)) })
}

#[test]
#[expect(clippy::too_many_lines, reason = "one row per thing that can be wrong")]
fn one_thing_wrong_is_refused_with_its_own_reason() {
    let expiry = kit::NOW.ms() + 3_600_000;
    assert_eq!(expiry, kit::payout("w-1", 9, AMOUNT).expiry.ms());
    #[rustfmt::skip]
    let rows: &[(&str, Spoil, &[&str])] = &[
        ("nothing", |_| {}, &[]),
        ("no approvals given", |c| c.approvals = None, &["not-judged"]),
        ("neither request nor approvals given", |c| (c.request, c.approvals) = (None, None), &["not-judged"]),
        ("no state given", |c| c.standing = None, &["not-judged"]),
        ("no log proof given", |c| c.log = None, &["not-judged"]),
        ("no time given", |c| c.now = None, &["not-judged"]),
        ("another network", |c| amended(c, |p| p.network = Network::LtcRegtest), &["other-network"]),
        ("another vault", |c| amended(c, |p| p.vault = "cold".parse().unwrap()), &["other-vault"]),
        ("no request", |c| c.request = None, &["request-unsigned"]),
        ("an approval as request", |c| c.request = c.approvals.as_ref().map(|a| a[0].clone()), &["request-unsigned"]),
        ("a kind without rule", |c| amended(c, |p| p.kind = PayoutKind::Sweep), &["no-rule"]),
        ("an unlisted destination", |c| amended(c, |p| p.kind = PayoutKind::Rebalance), &["destination-not-listed"]),
        ("dust", |c| { amended(c, |p| p.amount = Amount::from(545)); c.tx.outputs[1].value_sat = 299_990_000; c.tx.outputs[1].value_sat -= 545; }, &["amount-too-small"]),
        ("the smallest amount", |c| { amended(c, |p| p.amount = Amount::from(546)); c.tx.outputs[1].value_sat = 299_990_000 - 546; }, &[]),
        ("a payment to a script of the vault's", |c| amended(c, |p| p.destination = kit::descriptor().script_at(Branch::Receive, 3).unwrap()), &[]),
        ("a second before its time", |c| c.now = own(kit::NOW.ms() - 1), &["not-yet-valid"]),
        ("in the second of its time", |c| { c.payout.not_before = kit::NOW.plus_ms(999); c.approve(&[2, 3]); }, &[]),
        ("one millisecond before expiry", |c| c.now = own(kit::NOW.ms() + 3_599_999), &[]),
        ("at its expiry", |c| c.now = own(kit::NOW.ms() + 3_600_000), &["expired"]),
        ("expired by the witnesses' clock", |c| { c.payout.expiry = kit::NOW.plus_ms(10); c.approve(&[2, 3]); c.now = Some(Now { own: kit::NOW, witnesses: Some(kit::NOW.plus_ms(10)) }); }, &["expired"]),
        ("clocks 30 s apart", |c| c.now = Some(Now { own: kit::NOW, witnesses: Some(kit::NOW.plus_ms(30_000)) }), &[]),
        ("clocks more than 30 s apart", |c| c.now = Some(Now { own: kit::NOW, witnesses: Some(kit::NOW.plus_ms(30_001)) }), &["clock-disagrees"]),
        ("one approval", |c| c.approve(&[2]), &["approvals-missing"]),
        ("one person twice", |c| c.approve(&[2, 2]), &["approval-repeated", "approvals-missing"]),
        ("the requester approves", |c| c.approve(&[1, 2]), &["requester-approves", "approvals-missing"]),
        ("a stranger approves", |c| c.approve(&[2, 3, 77]), &["approval-unknown-key"]),
        ("an approval of another payout", |c| { let other = kit::payout("w-2", 9, AMOUNT).digest(&kit::charter().context()); c.approvals.as_mut().unwrap()[1] = kit::sign(&kit::person(3), APPROVE, other.as_bytes()); }, &["approval-other", "approvals-missing"]),
        ("a request as approval", |c| { let digest = c.payout.digest(&kit::charter().context()); c.approvals.as_mut().unwrap()[1] = kit::sign(&kit::person(3), REQUEST, digest.as_bytes()); }, &["approval-other", "approvals-missing"]),
        ("no inputs", |c| { c.tx.inputs.clear(); c.tx.outputs.truncate(1); }, &["transaction-form", "fee-negative"]),
        ("locked until later", |c| c.tx.lock_time = 1, &["transaction-form"]),
        ("locked after its input", |c| c.tx.inputs[0].sequence = 10, &["transaction-form"]),
        ("coins into the extension block", |c| c.tx.mweb = Mweb::HogEx, &["transaction-form"]),
        ("one output spent twice", |c| { let again = c.tx.inputs[0].clone(); c.tx.inputs.push(again); c.tx.outputs[1].value_sat += 300_000_000; }, &["transaction-form"]),
        ("a previous transaction missing", |c| c.prevs.clear(), &["input-unproven"]),
        ("a previous output that is not there", |c| c.tx.inputs[0].prev.vout = 1, &["input-unproven"]),
        ("somebody else's input", |c| { c.prevs[0].outputs[0].script = kit::address(1).script(); c.tx.inputs[0].prev = OutPoint { txid: c.prevs[0].txid(), vout: 0 }; }, &["input-not-own"]),
        ("no payment", |c| { c.tx.outputs.remove(0); c.tx.outputs[0].value_sat += AMOUNT; }, &["payment-missing"]),
        ("another destination", |c| pays(c, 10), &["destination-not-approved"]),
        ("another amount", |c| { c.tx.outputs[0].value_sat += 1; c.tx.outputs[1].value_sat -= 1; }, &["amount-not-approved"]),
        ("one more output", |c| { c.tx.outputs[1].value_sat -= 1000; c.tx.outputs.push(TxOut { value_sat: 1000, script: kit::address(1).script() }); }, &["output-unknown"]),
        ("an output to the destination before the payment", |c| { c.tx.outputs[1].value_sat -= 1000; let script = c.payout.destination.clone(); c.tx.outputs.insert(0, TxOut { value_sat: 1000, script }); }, &["output-unknown"]),
        ("an output of the amount before the payment", |c| { spends(c, 400_000_000); c.tx.outputs.insert(0, TxOut { value_sat: AMOUNT, script: kit::address(10).script() }); }, &["output-unknown"]),
        ("too little to the destination beside more elsewhere", |c| { spends(c, 500_000_000); c.tx.outputs[0].value_sat -= 1; c.tx.outputs[1].value_sat += 1; c.tx.outputs.push(TxOut { value_sat: 200_000_000, script: kit::address(10).script() }); }, &["amount-not-approved", "output-unknown"]),
        ("the payment twice", |c| { c.tx.outputs[1].value_sat -= AMOUNT; c.tx.outputs.push(c.tx.outputs[0].clone()); }, &["output-unknown"]),
        ("change twice", |c| { c.tx.outputs[1].value_sat -= 10_000_000; c.tx.outputs.push(TxOut { value_sat: 10_000_000, script: change_script(1) }); }, &["change-repeated"]),
        ("change at the last index ahead", |c| c.tx.outputs[1].script = change_script(19), &[]),
        ("change further out than anybody looks", |c| c.tx.outputs[1].script = change_script(20), &["output-unknown"]),
        ("change to a receive script", |c| c.tx.outputs[1].script = kit::descriptor().script_at(Branch::Receive, 1).unwrap(), &["change-index"]),
        ("change below dust", |c| { c.tx.outputs[1].value_sat = 545; c.prevs[0].outputs[0].value_sat = AMOUNT + 10_545; c.tx.inputs[0].prev.txid = c.prevs[0].txid(); }, &["change-dust"]),
        ("change at dust", |c| { c.tx.outputs[1].value_sat = 546; spends(c, AMOUNT + 10_546); }, &[]),
        ("no fee", |c| c.tx.outputs[1].value_sat = 200_000_000, &[]),
        ("fee per size at the vault's cap", |c| c.tx.outputs[1].value_sat = 200_000_000 - 100 * c.vsize(), &[]),
        ("fee per size one beyond the vault's cap", |c| c.tx.outputs[1].value_sat = 199_999_999 - 100 * c.vsize(), &["fee-rate-above-cap"]),
        ("signed, fee per size at the vault's cap", |c| c.tx.outputs[1].value_sat = 200_000_000 - 100 * c.signed(), &[]),
        ("signed, fee per size one beyond the vault's cap", |c| c.tx.outputs[1].value_sat = 199_999_999 - 100 * c.signed(), &["fee-rate-above-cap"]),
        ("outputs above inputs", |c| c.tx.outputs[1].value_sat = 300_000_000, &["fee-negative"]),
        ("fee at the payout's cap", |c| { c.payout.fee_cap = Amount::from(10_000); c.approve(&[2, 3]); }, &[]),
        ("fee above the payout's cap", |c| { c.payout.fee_cap = Amount::from(9_999); c.approve(&[2, 3]); }, &["fee-above-cap"]),
        ("fee per size above the vault's cap", |c| c.tx.outputs[1].value_sat = CHANGE - 15_000, &["fee-rate-above-cap"]),
        ("as much at once as the vault allows", |c| { amended(c, |p| p.amount = Amount::from(499_990_000)); spends(c, 700_000_000); c.tx.outputs[1].value_sat = 200_000_000; }, &[]),
        ("more at once than the vault allows", |c| { amended(c, |p| p.amount = Amount::from(499_990_001)); c.prevs[0].outputs[0].value_sat = 700_000_000; c.tx.inputs[0].prev.txid = c.prevs[0].txid(); c.tx.outputs[1].value_sat = 200_000_000 - 1; }, &["limit-per-payout"]),
        ("the day's limit reached", |c| c.standing().before = Some(Amount::from(799_990_000)), &[]),
        ("the day's limit passed by one", |c| c.standing().before = Some(Amount::from(799_990_001)), &["limit-rolling"]),
        ("the day's sum beyond any amount", |c| c.standing().before = None, &["limit-rolling"]),
        ("the breaker delayed", |c| c.standing().stage = Stage::Delayed, &["breaker-closed"]),
        ("the payout confirmed", |c| c.standing().ended = Some("confirmed"), &["payout-ended"]),
        ("the same transaction again", |c| { let txid = c.tx.txid(); c.standing().earlier.push((txid, Vec::new())); }, &[]),
        ("another one that conflicts", |c| { let input = c.tx.inputs[0].prev; c.standing().earlier.push((kuraban_base::Txid::from_bytes([1; 32]), vec![input])); }, &[]),
        ("another one that does not conflict", |c| c.standing().earlier.push((kuraban_base::Txid::from_bytes([1; 32]), Vec::new())), &["transaction-other"]),
        ("too few witnesses", |c| c.log = Some(LogStanding::NotWitnessed("two of three".into())), &["log-not-witnessed"]),
        ("not in the log", |c| c.log = Some(LogStanding::NotIncluded("no".into())), &["log-not-included"]),
    ];
    for (what, spoil, want) in rows {
        let mut case = honest();
        spoil(&mut case);
        assert_eq!(case.codes(), *want, "{what}");
    }
}

#[test]
fn what_every_signer_would_refuse_is_not_taken_up() {
    let codes = |spoil: Spoil, breaker: &Breaker, now: Instant| {
        let mut case = honest();
        spoil(&mut case);
        let charter = kit::charter();
        let (vault, policy) = charter.vault(&kit::hot()).unwrap();
        let scripts = ScriptTable::new(&vault.descriptor, vault.receive_count);
        let views = Views { vault, policy, roster: charter.roster(), scripts: &scripts };
        let reasons = admit(views, breaker, &case.payout, case.request.as_ref().unwrap(), now);
        reasons.iter().map(kuraban_vault::Reason::code).collect::<Vec<_>>()
    };
    #[rustfmt::skip]
    let rows: &[(&str, Spoil, &[&str])] = &[
        ("nothing", |_| {}, &[]),
        ("as much as the vault allows", |c| amended(c, |p| p.amount = Amount::from(500_000_000)), &[]),
        ("more than the vault allows", |c| amended(c, |p| p.amount = Amount::from(500_000_001)), &["no-rule", "limit-per-payout"]),
        ("another network", |c| amended(c, |p| p.network = Network::LtcRegtest), &["other-network"]),
        ("an unlisted destination", |c| amended(c, |p| p.kind = PayoutKind::Rebalance), &["destination-not-listed"]),
        ("a request for something else", |c| { let other = kit::payout("w-2", 9, AMOUNT).digest(&kit::charter().context()); c.request = Some(kit::sign(&kit::person(1), REQUEST, other.as_bytes())); }, &["request-unsigned"]),
    ];
    for (what, spoil, want) in rows {
        assert_eq!(codes(*spoil, &Breaker::default(), kit::NOW), *want, "{what}");
    }
    let expiry = honest().payout.expiry;
    assert_eq!(codes(|_| {}, &Breaker::default(), Instant::from_ms(expiry.ms() - 1)), [""; 0]);
    assert_eq!(codes(|_| {}, &Breaker::default(), expiry), ["expired"]);
    let mut breaker = Breaker::default();
    breaker.tighten([(Service::Withdrawal, Asset::Btc)], Stage::Delayed);
    assert_eq!(codes(|_| {}, &breaker, kit::NOW), ["breaker-closed"]);
}

#[test]
fn a_script_is_shown_as_its_address_or_its_bytes() {
    assert_eq!(shown(kit::NETWORK, &kit::address(9).script()), kit::address(9).to_string());
    assert_eq!(shown(kit::NETWORK, &Script::new(vec![0x6a, 0x01])), "script 6a01");
}

fn evacuation(case: &mut Case) {
    case.payout.kind = PayoutKind::Evacuation;
    case.payout.destination = kit::cold().script();
    case.payout.amount = Amount::from(299_990_000);
    case.tx.outputs = vec![TxOut { value_sat: 299_990_000, script: kit::cold().script() }];
    (case.request, case.approvals) = (None, None);
    let standing = case.standing();
    standing.stage = Stage::Closed;
    standing.evidence = Ok(());
}

#[test]
fn an_evacuation_needs_evidence_and_obeys_the_standing_order() {
    #[rustfmt::skip]
    let rows: &[(&str, Spoil, &[&str])] = &[
        ("no evidence", |c| c.standing().evidence = Err("none".into()), &["evacuation-no-evidence"]),
        ("elsewhere", |c| { c.payout.destination = kit::address(5).script(); c.tx.outputs[0].script = kit::address(5).script(); }, &["evacuation-not-ordered"]),
        ("the budget spent but for the fee", |c| c.standing().evacuation_fees = Amount::from(490_000), &[]),
        ("the budget spent", |c| c.standing().evacuation_fees = Amount::from(490_001), &["fee-above-cap"]),
    ];
    for (what, spoil, want) in rows {
        let mut case = honest();
        evacuation(&mut case);
        spoil(&mut case);
        assert_eq!(case.codes(), *want, "{what}");
    }
}

#[test]
fn an_imitation_shares_more_characters_than_chance_gives() {
    // The routine destination and the thief's address of 31 May 2024.
    let routine = "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P";
    let check = |found: &str, want: &str, shared| {
        assert_eq!(imitation(Network::BtcMain, found, want), shared, "{found} for {want}");
    };
    check("1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P", routine, Some((5, 2)));
    check(routine, routine, None);
    check("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", routine, None);
    // Four characters beyond the version, and three.
    check("1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7x", routine, Some((5, 0)));
    check("1B6rxRfjTXwEy36SCs5zofGMmdv2kdZw7x", routine, None);
    // A `1` within a base58 address separates nothing.
    check("1B6rJ1xEEEEEEEEEEEEEEEEEEEEEEEEEEx", "1B6rJ1wwwwwwwwwwwwwwwwwwwwwwwwwwwy", Some((6, 0)));
    // Every address of a form shares what the form begins with.
    let a = "bcrt1qpyysjzgfpyysjzgfpyysjzgfpyysjzgfhq3slp";
    let b = "bcrt1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg35trkyu";
    assert_eq!(imitation(Network::BtcRegtest, a, b), None);
}
