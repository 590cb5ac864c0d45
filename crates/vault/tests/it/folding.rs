//! What a log can and cannot say: entries that a hostile writer or signer would like to slip in.

use kuraban_base::{Amount, Asset, Digest, Instant, PayoutId, Txid};
use kuraban_chain::btc::{Branch, Tx, TxOut};
use kuraban_vault::{
    Payout, PayoutKind, RESET,
    body::{Alarm, Body, Evidence, reset_digest},
    breaker::{Service, Stage, Trip},
    explain::{Unexplained, explain},
    fold::{Fold, FoldError, unsigned_id},
    receipt::Receipt,
    statement::Signed,
};

use crate::kit;

fn opened() -> Fold {
    let charter = kit::charter();
    let context = charter.context();
    let vaults = charter.vaults().map(|(vault, _)| vault.to_value()).collect();
    let (roster, policy) = (context.roster, context.policy);
    let mut fold = Fold::new(charter);
    fold.apply(kit::NOW, Body::LogOpened { roster, policy, vaults, retention_days: 1 }).unwrap();
    fold
}

fn requested(fold: &mut Fold, payout: Payout, evidence: Option<Evidence>) {
    let key = payout.id.to_string();
    fold.apply(kit::NOW, Body::PayoutRequested { payout, key, request: None, evidence }).unwrap();
}

fn draft(payout: &Payout, index: u32) -> Tx {
    let funding = kit::funding(index, payout.amount.to_u64().unwrap() + 1000);
    let output = TxOut { value_sat: payout.amount.to_u64().unwrap(), script: payout.destination.clone() };
    kit::tx(vec![kit::coin(&funding).outpoint], vec![output])
}

fn assembled(fold: &mut Fold, payout: &Payout, tx: &Tx) -> Result<(), FoldError> {
    fold.apply(kit::NOW, Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() })
}

fn receipt(fold: &Fold, signer: u8, id: &PayoutId, txid: Txid, outflow: u64) -> Body {
    let digest = fold.payout(id).unwrap().digest;
    let (by, payout, outflow) = (kit::machine(signer), id.clone(), Amount::from(outflow));
    let receipt = Receipt { by, payout, digest, txid, outflow, seq: 1, at: kit::NOW };
    Body::PayoutReceipt(Signed::sign(receipt, &kit::statement(signer)))
}

fn evidence() -> Evidence {
    let funding = kit::funding(0, 50_000_000);
    let loot = TxOut { value_sat: 10_000_000, script: kit::address(0xee).script() };
    let tx = kit::tx(vec![kit::coin(&funding).outpoint], vec![loot]);
    let theft = kit::steal(tx, &[funding.outputs[0].clone()], (Branch::Receive, 0), &[1, 2]);
    Evidence { tx: theft.encode(), prevs: vec![funding.encode()] }
}

fn alarm(fold: &mut Fold) {
    let alarm = Alarm {
        by: kit::machine(4),
        rule: "unexplained-spend".to_owned(),
        subject: "theft".to_owned(),
        asset: Asset::Btc,
        detail: String::new(),
        evidence: Some(evidence()),
        at: kit::NOW,
    };
    fold.apply(kit::NOW, Body::AlarmRaised(Signed::sign(alarm, &kit::statement(4)))).unwrap();
    let cells = vec![(Service::Withdrawal, Asset::Btc)];
    let evidence = Digest::sha256(&[b"alarm"]);
    let trip = Trip {
        by: kit::machine(4),
        cells,
        stage: Stage::Closed,
        rule: String::new(),
        evidence,
        at: kit::NOW,
    };
    fold.apply(kit::NOW, Body::BreakerTripped(Signed::sign(trip, &kit::statement(4)))).unwrap();
}

fn evacuation() -> Payout {
    let mut payout = kit::payout("evacuation-1", 0, 100_000_000);
    payout.kind = PayoutKind::Evacuation;
    payout.destination = kit::cold().script();
    payout
}

/// What signers make of an evacuation's evidence.
fn called_for(fold: &Fold) -> Result<(), String> {
    fold.standing(&evacuation().id, kit::NOW).unwrap().evidence
}

#[test]
fn an_evacuation_needs_an_alarm_that_no_reset_has_left_behind() {
    let mut fold = opened();
    requested(&mut fold, evacuation(), Some(evidence()));
    assert_eq!(called_for(&fold).unwrap_err(), "no alarm since the last reset carries it");
    alarm(&mut fold);
    assert_eq!(called_for(&fold), Ok(()));
    let (cells, epoch) = (vec![(Service::Withdrawal, Asset::Btc)], fold.breaker().epoch());
    let digest = reset_digest(kit::ORIGIN, epoch, &cells);
    let approvals = [2, 3].map(|n| kit::sign(&kit::person(n), RESET, digest.as_bytes())).to_vec();
    fold.apply(kit::NOW, Body::BreakerReset { cells, epoch, approvals }).unwrap();
    assert_eq!(called_for(&fold).unwrap_err(), "no alarm since the last reset carries it");
}

#[test]
fn a_receipt_is_over_what_the_payout_can_take_out() {
    let mut fold = opened();
    let payout = kit::payout("w-1", 9, 100_000_000);
    requested(&mut fold, payout.clone(), None);
    let tx = draft(&payout, 0);
    assembled(&mut fold, &payout, &tx).unwrap();
    // The amount, and the amount with the whole fee cap, are the bounds.
    for (outflow, want) in
        [(99_999_999, false), (100_000_000, true), (100_050_000, true), (100_050_001, false)]
    {
        let mut fold = fold.clone();
        let body = receipt(&fold, 1, &payout.id, unsigned_id(&tx), outflow);
        let folded = fold.apply(kit::NOW, body);
        assert_eq!(folded.is_ok(), want, "{outflow}");
        assert_eq!(matches!(folded, Err(FoldError::ReceiptOutflow { .. })), !want, "{outflow}");
    }
}

/// A receipt that is dated far ahead would never free its allowance: one hostile signer could use up a vault's limit for good.
#[test]
fn a_receipt_is_dated_no_later_than_its_entry_and_clocks_allow() {
    let mut fold = opened();
    let payout = kit::payout("w-1", 9, 100_000_000);
    requested(&mut fold, payout.clone(), None);
    let tx = draft(&payout, 0);
    assembled(&mut fold, &payout, &tx).unwrap();
    // Receipts here are dated `NOW`; what varies is their entry.
    for (behind_ms, want) in [(0, true), (90_000, true), (90_001, false)] {
        let mut fold = fold.clone();
        let body = receipt(&fold, 1, &payout.id, unsigned_id(&tx), 100_000_000);
        let folded = fold.apply(Instant::from_ms(kit::NOW.ms() - behind_ms), body);
        assert_eq!(folded.is_ok(), want, "{behind_ms}");
        assert_eq!(matches!(folded, Err(FoldError::ReceiptTime { .. })), !want, "{behind_ms}");
    }
}

#[test]
fn one_transaction_is_one_payouts() {
    let mut fold = opened();
    let (first, mut second) = (kit::payout("w-1", 9, 100_000_000), kit::payout("w-1", 9, 100_000_000));
    second.id = "w-2".parse().unwrap();
    requested(&mut fold, first.clone(), None);
    requested(&mut fold, second.clone(), None);
    let tx = draft(&first, 0);
    assembled(&mut fold, &first, &tx).unwrap();
    let taken = assembled(&mut fold, &second, &tx).unwrap_err();
    assert_eq!(taken, FoldError::TransactionTaken { txid: unsigned_id(&tx), holder: first.id });
}

#[test]
fn a_payout_that_was_called_off_explains_nothing() {
    let mut fold = opened();
    let payout = kit::payout("w-1", 9, 100_000_000);
    requested(&mut fold, payout.clone(), None);
    let tx = draft(&payout, 0);
    assembled(&mut fold, &payout, &tx).unwrap();
    let codes = |fold: &Fold| match explain(fold, &kit::hot(), &tx) {
        Err(Unexplained::NotApproved { reasons, .. }) => {
            reasons.iter().map(kuraban_vault::Reason::code).collect()
        }
        _ => Vec::new(),
    };
    assert!(!codes(&fold).contains(&"payout-ended"));
    let cancelled = Body::PayoutCancelled { payout: payout.id.clone(), txid: Txid::from_bytes([1; 32]) };
    fold.apply(kit::NOW, cancelled).unwrap();
    assert!(codes(&fold).contains(&"payout-ended"));
}

#[test]
fn receipts_are_summed_in_the_logs_order_whatever_a_signer_counted_before() {
    let mut fold = opened();
    let mut ids = Vec::new();
    for number in 0..3_u32 {
        let mut payout = kit::payout("w", 9, 100_000_000);
        payout.id = format!("w-{number}").parse().unwrap();
        requested(&mut fold, payout.clone(), None);
        let tx = draft(&payout, number);
        assembled(&mut fold, &payout, &tx).unwrap();
        ids.push((payout.id, unsigned_id(&tx)));
    }
    let before =
        |fold: &Fold, at: usize| fold.payout(&ids[at].0).unwrap().receipts[0].before.map(Amount::units);
    for at in [2, 0, 1] {
        let body = receipt(&fold, 1, &ids[at].0, ids[at].1, 100_000_500);
        fold.apply(kit::NOW, body).unwrap();
    }
    assert_eq!(
        [before(&fold, 2), before(&fold, 0), before(&fold, 1)],
        [Some(0), Some(100_000_500), Some(200_001_000)]
    );
}
