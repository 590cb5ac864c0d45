//! What explains a spend, row by row: one log that does, and the same with one thing made wrong.

use std::sync::Arc;

use kuraban_base::{Amount, Asset, Height, Txid, VaultId};
use kuraban_chain::btc::{Branch, OutPoint, Tx, TxOut};
use kuraban_vault::{
    Charter, Payout, PayoutKind, Policy, Roster, Vault,
    body::{Alarm, Body, Evidence},
    explain::{decode, explain, spends, theft},
    fold::Fold,
    receipt::Receipt,
    statement::Signed,
};

use crate::{
    kit,
    rogue::{draft, wanted},
};

/// A log, and a spend of a vault that it has to explain.
struct Case {
    charter: Arc<Charter>,
    payout: Payout,
    /// The request and what people say about it.
    asked: Vec<Body>,
    /// What was assembled for it.
    drafts: Vec<Tx>,
    /// Signers, each with the draft that it gave a receipt for.
    receipts: Vec<(u8, usize)>,
    /// What was logged before and after all that.
    before: Vec<Body>,
    after: Vec<Body>,
    vault: VaultId,
    tx: Tx,
}

fn coin(index: u32) -> Tx {
    kit::funding(index, 300_000_000)
}

fn honest() -> Case {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let tx = draft(&payout, &coin(0));
    Case {
        charter: kit::charter(),
        asked: wanted(&payout),
        drafts: vec![tx.clone()],
        receipts: vec![(1, 0), (2, 0)],
        before: Vec::new(),
        after: Vec::new(),
        vault: kit::hot(),
        tx,
        payout,
    }
}

/// A receipt of `signer` over the payout's amount.
fn receipt(signer: u8, payout: &Payout, txid: Txid) -> Receipt {
    let (by, digest) = (kit::machine(signer), payout.digest(&kit::charter().context()));
    Receipt { by, payout: payout.id.clone(), digest, txid, outflow: payout.amount, seq: 1, at: kit::NOW }
}

fn opened(charter: &Arc<Charter>) -> Fold {
    let (context, mut fold) = (charter.context(), Fold::new(Arc::clone(charter)));
    let vaults = charter.vaults().map(|(vault, _)| vault.to_value()).collect();
    let (roster, policy) = (context.roster, context.policy);
    fold.apply(kit::NOW, Body::LogOpened { roster, policy, vaults, retention_days: 1 }).unwrap();
    fold
}

impl Case {
    fn fold(&self) -> Fold {
        let digest = self.payout.digest(&self.charter.context());
        let assembled = |tx: &Tx| Body::PayoutAssembled { payout: self.payout.id.clone(), tx: tx.encode() };
        let receipt = |(signer, at): &(u8, usize)| {
            let receipt = Receipt { digest, ..receipt(*signer, &self.payout, self.drafts[*at].txid()) };
            Body::PayoutReceipt(Signed::sign(receipt, &kit::statement(*signer)))
        };
        let drafts: Vec<Body> = self.drafts.iter().map(assembled).collect();
        let receipts: Vec<Body> = self.receipts.iter().map(receipt).collect();
        let mut fold = opened(&self.charter);
        for part in [&self.before, &self.asked, &drafts, &receipts, &self.after] {
            for body in part {
                fold.apply(kit::NOW, body.clone()).unwrap();
            }
        }
        fold
    }

    /// Why nothing explains the spend; empty if the payout does.
    fn why(&self) -> String {
        match explain(&self.fold(), &self.vault, &self.tx) {
            Ok(record) => {
                assert_eq!(record.payout, self.payout);
                String::new()
            }
            Err(why) => why.to_string(),
        }
    }

    /// The payout is the spoilt part: everybody signs it as it is, and its transaction pays what it says.
    fn amend(&mut self, amend: fn(&mut Payout)) {
        amend(&mut self.payout);
        self.asked = wanted(&self.payout);
        self.draft(vec![draft(&self.payout, &kit::funding(0, 900_000_000))]);
    }

    fn draft(&mut self, drafts: Vec<Tx>) {
        self.tx = drafts[0].clone();
        self.drafts = drafts;
    }
}

/// What one row does to the honest case.
type Spoil = fn(&mut Case);

fn check(make: fn() -> Case, rows: &[(&str, Spoil, &str)]) {
    for (what, spoil, want) in rows {
        let mut case = make();
        spoil(&mut case);
        assert_eq!(case.why(), *want, "{what}");
    }
}

#[test]
fn a_spend_is_explained_by_a_payout_that_was_asked_for_approved_and_receipted() {
    const NOBODY: &str = "no payout in the log has this transaction";
    #[rustfmt::skip]
    let rows: &[(&str, Spoil, &str)] = &[
        ("nothing", |_| {}, ""),
        ("signed by now", |c| c.tx.inputs[0].witness = vec![vec![1; 72]; 3], ""),
        ("all three signers", |c| c.receipts.push((3, 0)), ""),
        ("another transaction", |c| c.tx.outputs[1].value_sat -= 1, NOBODY),
        ("another vault's coin", |c| c.vault = "cold".parse().unwrap(), NOBODY),
        ("one approval", |c| c.asked.truncate(2), "payout w-1 has it, but is not approved: approvals-missing (1 approvals of group approvers, want 2)"),
        ("no request", |c| { let Body::PayoutRequested { request, .. } = &mut c.asked[0] else { panic!("no request") }; *request = None; }, "payout w-1 has it, but is not approved: request-unsigned (the request is not signed by a requester: there is no signature)"),
        ("an amount that no rule allows", |c| c.amend(|p| p.amount = Amount::from(500_000_001)), "payout w-1 has it, but is not approved: no-rule (no rule of the policy matches a customer-withdrawal of 500000001)"),
        ("an amount that a rule just allows", |c| c.amend(|p| p.amount = Amount::from(500_000_000)), ""),
        ("confirmed", |c| c.after = vec![Body::PayoutConfirmed { payout: c.payout.id.clone(), txid: c.tx.txid(), height: Height::new(7) }], ""),
        ("cancelled", |c| c.after = vec![Body::PayoutCancelled { payout: c.payout.id.clone(), txid: Txid::from_bytes([1; 32]) }], "payout w-1 has it, but is not approved: payout-ended (the payout is already cancelled)"),
        ("called off before any receipt", |c| { c.receipts.clear(); c.after = vec![Body::PayoutRefused { payout: c.payout.id.clone(), codes: Vec::new() }]; }, "payout w-1 has it, but is not approved: payout-ended (the payout is already refused)"),
        ("it pays a base unit more, with receipts of all", |c| { c.tx.outputs[0].value_sat += 1; c.draft(vec![c.tx.clone()]); }, "payout w-1 has it, but is not approved: amount-not-approved (pays 100000001, approved is 100000000)"),
        ("one receipt", |c| c.receipts.truncate(1), "payout w-1 has it, but only 1 of 2 signers gave a receipt"),
        ("the same signer twice", |c| c.receipts = vec![(1, 0), (1, 0)], "payout w-1 has it, but only 1 of 2 signers gave a receipt"),
        ("no receipts", |c| c.receipts.clear(), "payout w-1 has it, but only 0 of 2 signers gave a receipt"),
        ("another draft from another coin without receipts", |c| c.drafts.push(draft(&c.payout, &coin(1))), ""),
    ];
    check(honest, rows);
}

/// A second transaction that both could be mined with would pay a second time.
#[test]
fn of_two_transactions_with_receipts_that_can_both_be_mined_neither_is_explained() {
    let replaced = |tx: &Tx| {
        let mut other = tx.clone();
        other.outputs[1].value_sat -= 1000;
        other
    };
    let mut case = honest();
    case.drafts.push(replaced(&case.tx));
    case.receipts.extend([(1, 1), (2, 1)]);
    assert_eq!(case.why(), "");
    let mut case = honest();
    case.drafts.push(draft(&case.payout, &coin(1)));
    // One receipt is enough: who gave it may have signed.
    case.receipts.push((3, 1));
    let [first, second] = [0, 1].map(|at| case.drafts[at].clone());
    let rival = |txid: Txid| {
        format!(
            "payout w-1 has it, but is not approved: transaction-other (does not conflict with {txid}, which was \
             signed before for the same payout)"
        )
    };
    assert_eq!(case.why(), rival(second.txid()));
    case.tx = second;
    assert_eq!(case.why(), rival(first.txid()));
}

/// What a signer counts for itself is not in the log, so it explains nothing to anybody.
#[test]
fn a_receipt_that_is_not_in_the_log_does_not_count() {
    let mut case = honest();
    case.receipts.truncate(1);
    let mut fold = case.fold();
    fold.count_own(receipt(2, &case.payout, case.tx.txid())).unwrap();
    let why = explain(&fold, &case.vault, &case.tx).unwrap_err().to_string();
    assert_eq!(why, "payout w-1 has it, but only 1 of 2 signers gave a receipt");
}

/// A thief's transaction that spends `from`, signed with two of the vault's keys.
fn loot(from: &Tx, index: u32, value_sat: u64) -> Tx {
    let output = TxOut { value_sat, script: kit::address(0xee).script() };
    let tx = kit::tx(vec![kit::coin(from).outpoint], vec![output]);
    kit::steal(tx, &[from.outputs[0].clone()], (Branch::Receive, index), &[1, 2])
}

fn proof(theft: &Tx, prevs: &[&Tx]) -> Evidence {
    Evidence { tx: theft.encode(), prevs: prevs.iter().map(|prev| prev.encode()).collect() }
}

fn stolen() -> Evidence {
    proof(&loot(&coin(5), 5, 10_000_000), &[&coin(5)])
}

fn raised(evidence: Option<Evidence>) -> Body {
    let (by, rule, subject) = (kit::machine(4), "unexplained-spend".to_owned(), "theft".to_owned());
    let (asset, detail) = (Asset::Btc, String::new());
    let alarm = Alarm { by, rule, subject, asset, detail, evidence, at: kit::NOW };
    Body::AlarmRaised(Signed::sign(alarm, &kit::statement(4)))
}

fn evacuation() -> Case {
    let mut case = honest();
    case.payout.kind = PayoutKind::Evacuation;
    case.payout.destination = kit::cold().script();
    case.payout.fee_cap = Amount::from(500_000);
    case.before = vec![raised(Some(stolen()))];
    case.renew(Some(stolen()));
    case
}

impl Case {
    /// The evacuation as its payout now says, called for by this evidence.
    fn renew(&mut self, evidence: Option<Evidence>) {
        let (payout, key) = (self.payout.clone(), self.payout.id.to_string());
        self.draft(vec![draft(&payout, &coin(0))]);
        self.asked = vec![Body::PayoutRequested { payout, key, request: None, evidence }];
    }

    /// Under a policy without this table.
    fn without(&mut self, table: &str) {
        let text = kit::policy_toml();
        let (before, rest) = text.split_once(table).unwrap();
        let policy = format!("{before}[[reset]]{}", rest.split_once("[[reset]]").unwrap().1);
        let (roster, vault) = (kit::roster_toml(), kit::hot_toml());
        let (roster, vault) = (Roster::from_toml(&roster).unwrap(), Vault::from_toml(&vault).unwrap());
        self.charter =
            Arc::new(Charter::new(roster, Policy::from_toml(&policy).unwrap(), vec![vault]).unwrap());
    }
}

#[test]
fn an_evacuation_is_explained_by_a_theft_that_an_alarm_carries_and_the_standing_order() {
    const NOT: &str = "payout w-1 has it, but is not approved:";
    const UNALARMED: &str =
        "evacuation-no-evidence (no evidence that calls for evacuation: no alarm in the log carries it)";
    const ELSEWHERE: &str = "evacuation-not-ordered (the destination is not the one of the standing order)";
    #[rustfmt::skip]
    let rows: &[(&str, Spoil, &[&str])] = &[
        ("nothing", |_| {}, &[]),
        ("no alarm", |c| c.before.clear(), &[UNALARMED]),
        ("an alarm with other evidence", |c| c.before = vec![raised(Some(proof(&loot(&coin(5), 5, 1), &[&coin(5)])))], &[UNALARMED]),
        ("an alarm without evidence beside it", |c| c.before.insert(0, raised(None)), &[]),
        ("no evidence and an alarm without", |c| { c.before = vec![raised(None)]; c.renew(None); }, &["evacuation-no-evidence (no evidence that calls for evacuation: none was given)", UNALARMED]),
        ("evidence that proves nothing", |c| { let evidence = proof(&loot(&coin(5), 5, 10_000_000), &[]); c.before = vec![raised(Some(evidence.clone()))]; c.renew(Some(evidence)); }, &["evacuation-no-evidence (no evidence that calls for evacuation: the transaction spends nothing of the vault)"]),
        ("a fee cap above the order's", |c| { c.payout.fee_cap = Amount::from(500_001); c.renew(Some(stolen())); }, &["fee-above-cap (the fee is 500001, at most 500000)"]),
        ("a fee cap below the order's", |c| { c.payout.fee_cap = Amount::from(499_999); c.renew(Some(stolen())); }, &[]),
        ("another destination", |c| { c.payout.destination = kit::address(5).script(); c.renew(Some(stolen())); }, &[ELSEWHERE]),
        ("no standing order", |c| c.without("[[evacuation]]"), &["fee-above-cap (the fee is 500000, at most 0)", ELSEWHERE]),
    ];
    for (what, spoil, want) in rows {
        let mut case = evacuation();
        spoil(&mut case);
        let want = if want.is_empty() { String::new() } else { [&[NOT][..], *want].concat().join(" ") };
        assert_eq!(case.why(), want, "{what}");
    }
}

#[test]
fn a_theft_is_a_validly_signed_spend_of_the_vault_that_no_payout_has() {
    let fold = opened(&kit::charter());
    let (mine, next) = (coin(5), coin(6));
    // Somebody else's coin is spent first, and the vault's with its own signature.
    let foreign = TxOut { value_sat: 1000, script: kit::address(1).script() };
    let theirs = kit::tx(vec![OutPoint { txid: Txid::from_bytes([3; 32]), vout: 0 }], vec![foreign.clone()]);
    let spent = [kit::coin(&theirs).outpoint, kit::coin(&mine).outpoint];
    let output = TxOut { value_sat: 10_000_000, script: kit::address(0xee).script() };
    let prevouts = [foreign, mine.outputs[0].clone()];
    let mixed = kit::steal(kit::tx(spent.to_vec(), vec![output]), &prevouts, (Branch::Receive, 5), &[1, 2]);
    let mut forged = loot(&mine, 5, 10_000_000);
    forged.outputs[0].value_sat -= 1;
    let mut bare = loot(&mine, 5, 10_000_000);
    bare.inputs[0].witness.clear();
    // One input is validly signed and the other, in front of it, is not.
    let half = {
        let inputs = vec![kit::coin(&next).outpoint, kit::coin(&mine).outpoint];
        let prevouts = [next.outputs[0].clone(), mine.outputs[0].clone()];
        let tx = kit::tx(inputs, forged.outputs.clone());
        kit::steal(tx, &prevouts, (Branch::Receive, 5), &[1, 2])
    };
    let check = |what: &str, evidence: &Evidence, want: Result<(), &str>| {
        let found = theft(&fold, &kit::hot(), evidence);
        match (&found, want) {
            (Ok(()), Ok(())) => {}
            (Err(problem), Err(start)) if problem.starts_with(start) => {}
            (Ok(()) | Err(_), Ok(()) | Err(_)) => panic!("{what}: {found:?}, want {want:?}"),
        }
    };
    let whole = loot(&mine, 5, 10_000_000);
    check("with its previous transaction", &proof(&whole, &[&mine]), Ok(()));
    check("with more than it needs", &proof(&whole, &[&next, &mine]), Ok(()));
    check("without it", &proof(&whole, &[]), Err("the transaction spends nothing of the vault"));
    check("with another", &proof(&whole, &[&next]), Err("the transaction spends nothing of the vault"));
    check("after somebody else's coin", &proof(&mixed, &[&theirs, &mine]), Ok(()));
    check("after a coin that nobody knows", &proof(&mixed, &[&mine]), Ok(()));
    check("somebody else's alone", &proof(&mixed, &[&theirs]), Err("the transaction spends nothing"));
    check("forged", &proof(&forged, &[&mine]), Err("input 0 is not validly signed: "));
    check("unsigned", &proof(&bare, &[&mine]), Err("input 0 is not validly signed: "));
    check("half of it signed", &proof(&half, &[&mine, &next]), Ok(()));
    check("the unsigned half", &proof(&half, &[&next]), Err("input 0 is not validly signed: "));
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 1].to_vec();
    let broken = Evidence { tx: cut(whole.encode()), prevs: vec![mine.encode()] };
    check("cut short", &broken, Err("the transaction does not decode: "));
    let broken = Evidence { tx: whole.encode(), prevs: vec![mine.encode(), cut(next.encode())] };
    check("with a previous one cut short", &broken, Err("a previous transaction does not decode: "));
    assert_eq!(
        decode(kit::NETWORK, &proof(&whole, &[&next, &mine])),
        Ok((whole.clone(), vec![next, mine.clone()]))
    );
    let elsewhere = theft(&fold, &"cold".parse().unwrap(), &proof(&whole, &[&mine]));
    assert_eq!(elsewhere, Err("vault cold is not known".to_owned()));
    // To whom no script is its own nothing is stolen.
    assert!(spends(&whole, std::slice::from_ref(&mine), |script| *script == mine.outputs[0].script).is_ok());
    assert!(spends(&whole, &[mine], |_| false).is_err());
}

/// It may only be waiting for its receipts, so it must not set off an evacuation.
#[test]
fn a_spend_that_a_payout_has_is_no_theft_however_far_it_has_come() {
    let case = honest();
    let signed = {
        let spent = [coin(0).outputs[0].clone()];
        kit::steal(case.tx.clone(), &spent, (Branch::Receive, 0), &[1, 2])
    };
    let evidence = proof(&signed, &[&coin(0)]);
    assert_eq!(theft(&opened(&case.charter), &case.vault, &evidence), Ok(()));
    for receipts in [vec![], case.receipts.clone()] {
        let fold = Case { receipts, ..honest() }.fold();
        let found = theft(&fold, &case.vault, &evidence);
        assert_eq!(found, Err("payout w-1 has this transaction".to_owned()));
    }
}
