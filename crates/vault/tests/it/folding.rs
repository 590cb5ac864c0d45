//! What a log can and cannot say: entries that a hostile writer or signer would like to slip in.

use std::ops::Bound;

use kuraban_base::{
    Amount, Asset, Digest, Height, Instant, PayoutId, PolicyHash, RosterHash, Txid, VaultId, cbor::Value,
};
use kuraban_chain::btc::{Branch, Tx, TxOut};
use kuraban_vault::{
    APPROVE, LIABILITIES, Liabilities, Payout, PayoutKind, Publication, RESET,
    body::{Alarm, Body, Evidence, reset_digest},
    breaker::{Service, Stage, Trip},
    explain::{Unexplained, explain},
    fold::{Fold, FoldError, Status, unsigned_id},
    receipt::Receipt,
    statement::Signed,
};

use crate::kit;

pub(crate) fn opened() -> Fold {
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
fn liabilities_are_published_once_by_somebody_on_the_roster_for_this_log() {
    let of = |root: &[u8], as_of: Instant| {
        let (root, totals) = (Digest::sha256(&[root]), Digest::sha256(&[b"totals"]));
        Liabilities { root, totals, as_of, blocks: Vec::new(), veil: None }
    };
    let mut fold = opened();
    let mut check =
        |liabilities: &Liabilities, person: u8, namespace: &str, origin: &str, want: Option<&str>| {
            let digest = liabilities.digest(origin);
            let approval = kit::sign(&kit::person(person), namespace, digest.as_bytes());
            let before = fold.liabilities().count();
            let publication = Publication::Liabilities(liabilities.clone());
            let body = Body::Published { publication, approval };
            match (fold.apply(kit::NOW, body), want) {
                (Ok(()), None) => {
                    assert_eq!(fold.liabilities().last(), Some((fold.size() - 1, liabilities)))
                }
                (Err(problem), Some(want)) => {
                    assert!(problem.to_string().contains(want), "{problem}");
                    assert_eq!(fold.liabilities().count(), before);
                }
                (folded, want) => panic!("{folded:?}, want {want:?}"),
            }
        };
    let now = of(b"now", kit::NOW);
    check(&now, 9, LIABILITIES, kit::ORIGIN, Some("belongs to nobody"));
    check(&now, 1, RESET, kit::ORIGIN, Some("namespace"));
    check(&now, 1, LIABILITIES, "other.example", Some("not over this digest"));
    check(&of(b"late", Instant::from_ms(kit::NOW.ms() + 30_001)), 1, LIABILITIES, kit::ORIGIN, Some("as of"));
    check(&of(b"edge", Instant::from_ms(kit::NOW.ms() + 30_000)), 1, LIABILITIES, kit::ORIGIN, None);
    check(&now, 1, LIABILITIES, kit::ORIGIN, None);
    check(&now, 2, LIABILITIES, kit::ORIGIN, Some("already"));
    let veil = Some(Digest::sha256(&[b"veil"]));
    let veiled = Liabilities { veil, ..of(b"veiled", kit::NOW) };
    check(&veiled, 1, LIABILITIES, kit::ORIGIN, None);
    check(
        &Liabilities { veil, ..of(b"other", kit::NOW) },
        1,
        LIABILITIES,
        kit::ORIGIN,
        Some("this veil's root"),
    );
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

/// One step of a payout's life, by its kind of entry.
fn step(kind: &str, payout: &Payout, fold: &Fold) -> Body {
    let id = payout.id.clone();
    let (first, other) = (draft(payout, 0), draft(payout, 1));
    match kind {
        "approved" => {
            let approval =
                kit::sign(&kit::person(2), APPROVE, payout.digest(&kit::charter().context()).as_bytes());
            Body::PayoutApproved { payout: id, approval }
        }
        "refused" => Body::PayoutRefused { payout: id, codes: Vec::new() },
        "expired" => Body::PayoutExpired { payout: id },
        "assembled" => Body::PayoutAssembled { payout: id, tx: first.encode() },
        "assembled otherwise" => Body::PayoutAssembled { payout: id, tx: other.encode() },
        "receipt" => receipt(fold, 1, &id, unsigned_id(&first), 100_000_500),
        "signed" => Body::PayoutSigned { payout: id, tx: first.encode() },
        "broadcast" => Body::PayoutBroadcast { payout: id, txid: first.txid() },
        "confirmed" => Body::PayoutConfirmed { payout: id, txid: first.txid(), height: Height::new(7) },
        "cancelled" => Body::PayoutCancelled { payout: id, txid: Txid::from_bytes([1; 32]) },
        kind => panic!("{kind} is no step"),
    }
}

const STEPS: [&str; 10] = [
    "approved",
    "assembled",
    "assembled otherwise",
    "receipt",
    "signed",
    "broadcast",
    "confirmed",
    "cancelled",
    "refused",
    "expired",
];

/// From every point of its life on, a payout takes these steps and no other, and never goes back.
#[test]
fn a_payout_takes_one_step_after_the_other() {
    const UNDER_WAY: &[&str] =
        &["approved", "assembled otherwise", "receipt", "signed", "broadcast", "confirmed", "cancelled"];
    const ENDED: &[&str] = &["receipt"];
    #[rustfmt::skip]
    let rows: &[(&[&str], Status, &[&str])] = &[
        (&[], Status::Requested, &["approved", "assembled", "assembled otherwise", "cancelled", "refused", "expired"]),
        (&["approved"], Status::Requested, &["assembled", "assembled otherwise", "cancelled", "refused", "expired"]),
        (&["assembled"], Status::Assembled, &["approved", "assembled otherwise", "receipt", "signed", "confirmed", "cancelled", "refused", "expired"]),
        (&["assembled", "receipt"], Status::Assembled, &["approved", "assembled otherwise", "receipt", "signed", "confirmed", "cancelled"]),
        (&["assembled", "signed"], Status::Signed, UNDER_WAY),
        (&["assembled", "signed", "assembled otherwise"], Status::Signed, &["approved", "receipt", "signed", "broadcast", "confirmed", "cancelled"]),
        (&["assembled", "signed", "broadcast"], Status::Broadcast, UNDER_WAY),
        (&["assembled", "signed", "broadcast", "signed"], Status::Broadcast, UNDER_WAY),
        (&["assembled", "confirmed"], Status::Confirmed, ENDED),
        (&["assembled", "signed", "broadcast", "confirmed"], Status::Confirmed, ENDED),
        (&["assembled", "signed", "broadcast", "cancelled"], Status::Cancelled, ENDED),
        (&["assembled", "refused"], Status::Refused, ENDED),
        (&["assembled", "expired"], Status::Expired, ENDED),
        (&["refused"], Status::Refused, &[]),
        (&["expired"], Status::Expired, &[]),
        (&["cancelled"], Status::Cancelled, &[]),
    ];
    let payout = kit::payout("w-1", 9, 100_000_000);
    for (taken, status, want) in rows {
        let mut fold = opened();
        requested(&mut fold, payout.clone(), None);
        for kind in *taken {
            fold.apply(kit::NOW, step(kind, &payout, &fold)).unwrap();
        }
        let record = fold.payout(&payout.id).unwrap();
        assert_eq!(record.status, *status, "{taken:?}");
        let word = format!("{status:?}").to_lowercase();
        let over = [Status::Confirmed, Status::Refused, Status::Cancelled, Status::Expired].contains(status);
        assert_eq!((status.word(), status.ended()), (word.as_str(), over.then_some(word.as_str())));
        let size = fold.size();
        for kind in STEPS {
            let mut next = fold.clone();
            let folded = next.apply(kit::NOW, step(kind, &payout, &fold));
            assert_eq!(folded.is_ok(), want.contains(&kind), "{kind} after {taken:?}: {folded:?}");
            // On an error nothing has changed.
            if folded.is_err() {
                assert_eq!((next.size(), next.payout(&payout.id)), (size, fold.payout(&payout.id)));
            }
        }
    }
}

#[test]
fn a_log_is_opened_first_and_once_under_the_machines_own_charter() {
    let charter = kit::charter();
    let context = charter.context();
    let vaults: Vec<Value> = charter.vaults().map(|(vault, _)| vault.to_value()).collect();
    let (roster, policy) = (RosterHash::from_bytes([1; 32]), PolicyHash::from_bytes([1; 32]));
    let opened = |roster, policy, vaults| Body::LogOpened { roster, policy, vaults, retention_days: 1 };
    let other = |what| Err(FoldError::OtherCharter { what });
    for (body, want) in [
        (opened(context.roster, context.policy, vaults.clone()), Ok(())),
        (opened(roster, context.policy, vaults.clone()), other("roster")),
        (opened(context.roster, policy, vaults.clone()), other("policy")),
        (opened(context.roster, context.policy, Vec::new()), other("set of vaults")),
        (Body::PayoutExpired { payout: "w-1".parse().unwrap() }, Err(FoldError::Opened { index: 0 })),
    ] {
        let mut fold = Fold::new(charter.clone());
        assert_eq!(fold.apply(kit::NOW, body), want);
        assert_eq!(fold.size(), u64::from(want.is_ok()));
    }
    let again = self::opened().apply(kit::NOW, opened(context.roster, context.policy, vaults));
    assert_eq!(again, Err(FoldError::Opened { index: 1 }));
}

#[test]
fn a_payout_gathers_no_more_than_its_bounds_and_one_approval_per_key() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let mut fold = opened();
    requested(&mut fold, payout.clone(), None);
    let digest = payout.digest(&kit::charter().context());
    let id = payout.id.clone();
    let approve = |fold: &mut Fold, person: u8| {
        let approval = kit::sign(&kit::person(person), APPROVE, digest.as_bytes());
        fold.apply(kit::NOW, Body::PayoutApproved { payout: id.clone(), approval })
    };
    for person in 0..32 {
        assert_eq!(approve(&mut fold, person), Ok(()));
        if person < 31 {
            let repeated = approve(&mut fold, person).unwrap_err();
            assert_eq!(repeated, FoldError::ApprovalRepeated { payout: id.clone() });
        }
    }
    let more = FoldError::TooMany { payout: id.clone(), what: "approvals", max: 32 };
    assert_eq!(approve(&mut fold, 32), Err(more));
    for index in 0..16 {
        assert_eq!(assembled(&mut fold, &payout, &draft(&payout, index)), Ok(()));
    }
    let more = FoldError::TooMany { payout: id, what: "transactions", max: 16 };
    assert_eq!(assembled(&mut fold, &payout, &draft(&payout, 16)), Err(more));
}

#[test]
fn what_nobody_asked_for_and_what_was_asked_for_twice_does_not_follow() {
    let mut fold = opened();
    let payout = kit::payout("w-1", 9, 100_000_000);
    let unknown = FoldError::Unknown { payout: payout.id.clone() };
    assert_eq!(assembled(&mut fold, &payout, &draft(&payout, 0)), Err(unknown.clone()));
    assert_eq!(fold.apply(kit::NOW, Body::PayoutExpired { payout: payout.id.clone() }), Err(unknown));
    requested(&mut fold, payout.clone(), None);
    let request =
        |payout: Payout| Body::PayoutRequested { payout, key: "k".into(), request: None, evidence: None };
    let again = fold.apply(kit::NOW, request(payout.clone()));
    assert_eq!(again, Err(FoldError::Repeated { payout: payout.id.clone() }));
    let vault: VaultId = "warm".parse().unwrap();
    let elsewhere = Payout { id: "w-2".parse().unwrap(), vault: vault.clone(), ..payout.clone() };
    assert_eq!(fold.apply(kit::NOW, request(elsewhere)), Err(FoldError::UnknownVault { vault }));
    // A receipt is over the payout's own digest and one of its transactions.
    let tx = draft(&payout, 0);
    assembled(&mut fold, &payout, &tx).unwrap();
    let txid = Txid::from_bytes([9; 32]);
    let stray = fold.apply(kit::NOW, receipt(&fold, 1, &payout.id, txid, 100_000_000));
    assert_eq!(stray, Err(FoldError::UnknownTransaction { payout: payout.id.clone(), txid }));
    let other = Payout { amount: Amount::from(100_000_001), ..payout.clone() };
    let digest = other.digest(&kit::charter().context());
    let (by, outflow) = (kit::machine(1), payout.amount);
    let wrong = Receipt { by, payout: payout.id, digest, txid: tx.txid(), outflow, seq: 1, at: kit::NOW };
    let wrong = Body::PayoutReceipt(Signed::sign(wrong, &kit::statement(1)));
    assert!(matches!(fold.apply(kit::NOW, wrong), Err(FoldError::OtherDigest { .. })));
}

#[test]
fn payouts_are_listed_by_id_from_any_of_them_on() {
    let mut fold = opened();
    for id in ["b", "a", "d", "c"] {
        requested(&mut fold, kit::payout(id, 9, 100_000_000), None);
    }
    let from = |bound: Bound<&str>| {
        let id = bound.map(|id| id.parse::<PayoutId>().unwrap());
        let records = fold.payouts_from(id.as_ref());
        records.map(|record| record.payout.id.to_string()).collect::<Vec<_>>().concat()
    };
    assert_eq!(from(Bound::Unbounded), "abcd");
    assert_eq!(from(Bound::Included("b")), "bcd");
    assert_eq!(from(Bound::Excluded("b")), "cd");
    assert_eq!(from(Bound::Excluded("d")), "");
    assert_eq!(
        fold.payouts().map(|record| record.payout.id.to_string()).collect::<Vec<_>>().concat(),
        "abcd"
    );
}

/// The number of a receipt, the entry at which it stands, and the entry of the first for the same transaction.
type Latest = (u64, Option<u64>, Option<u64>);

/// What one signer says about one transaction: what it counted for itself, and what the log shows, in any order.
#[test]
fn of_a_signers_receipts_for_a_transaction_the_latest_counts_and_the_first_dates_it() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let tx = draft(&payout, 0);
    let of = |seq: u64| {
        let (by, digest) = (kit::machine(1), payout.digest(&kit::charter().context()));
        let (id, txid, outflow) = (payout.id.clone(), tx.txid(), payout.amount);
        Receipt { by, payout: id, digest, txid, outflow, seq, at: kit::NOW.plus_ms(seq) }
    };
    let (own, logged) = (|seq| (seq, false), |seq| (seq, true));
    // Entries 0 to 2 are the opening, the request and the transaction, so the first that is logged is entry 3.
    #[rustfmt::skip]
    let rows: &[(&[(u64, bool)], Latest)] = &[
        (&[own(1)], (1, None, None)),
        (&[logged(1)], (1, Some(3), Some(3))),
        (&[own(1), logged(1)], (1, Some(3), Some(3))),
        (&[logged(1), own(1)], (1, Some(3), Some(3))),
        (&[logged(1), logged(1)], (1, Some(3), Some(3))),
        (&[own(1), own(2)], (2, None, None)),
        (&[own(1), own(2), logged(1)], (2, None, Some(3))),
        (&[own(1), own(2), logged(1), logged(2)], (2, Some(4), Some(3))),
        (&[logged(1), own(2)], (2, None, Some(3))),
        (&[logged(1), logged(2)], (2, Some(4), Some(3))),
        (&[logged(2), logged(1)], (2, Some(3), Some(3))),
    ];
    for (given, want) in rows {
        let mut fold = opened();
        requested(&mut fold, payout.clone(), None);
        assembled(&mut fold, &payout, &tx).unwrap();
        for (seq, in_log) in *given {
            match in_log {
                true => {
                    let receipt = Signed::sign(of(*seq), &kit::statement(1));
                    fold.apply(kit::NOW, Body::PayoutReceipt(receipt)).unwrap();
                }
                false => fold.count_own(of(*seq)).unwrap(),
            }
        }
        let record = fold.payout(&payout.id).unwrap();
        let [only] = record.receipts.as_slice() else { panic!("{given:?}: {:?}", record.receipts) };
        assert_eq!((only.receipt.seq, only.index, only.first), *want, "{given:?}");
        assert_eq!(only.receipt, of(want.0), "{given:?}");
        assert_eq!(record.receipts_logged(&tx.txid()), usize::from(want.2.is_some()), "{given:?}");
        let highest = given.iter().filter(|(_, in_log)| *in_log).map(|(seq, _)| *seq).max().unwrap_or(0);
        assert_eq!((fold.seq(&kit::machine(1)), fold.seq(&kit::machine(2))), (highest, 0), "{given:?}");
    }
}

#[test]
fn receipts_are_counted_by_transaction_and_signer() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let mut fold = opened();
    requested(&mut fold, payout.clone(), None);
    let txs = [0, 1, 2].map(|index| draft(&payout, index));
    for tx in &txs {
        assembled(&mut fold, &payout, tx).unwrap();
    }
    for (signer, at) in [(1, 0), (2, 0), (3, 1)] {
        let body = receipt(&fold, signer, &payout.id, txs[at].txid(), 100_000_000);
        fold.apply(kit::NOW, body).unwrap();
    }
    let record = fold.payout(&payout.id).unwrap();
    assert_eq!(txs.each_ref().map(|tx| record.receipts_logged(&tx.txid())), [2, 1, 0]);
    assert_eq!(record.receipts.len(), 3);
    // Whoever signs another is told about those that got receipts, with the coins that they spend.
    let earlier = fold.standing(&payout.id, kit::NOW).unwrap().earlier;
    let spends = txs.each_ref().map(|tx| (tx.txid(), vec![tx.inputs[0].prev]));
    assert_eq!(earlier, spends[..2]);
}

/// What left long ago is dropped so that memory stays bounded, and nothing before.
#[test]
fn pruning_drops_what_no_later_clock_counts() {
    const WINDOW_MS: u64 = 24 * 3_600_000 + 11 * 60_000;
    let mut fold = opened();
    let (first, mut second) = (kit::payout("w-1", 9, 100_000_000), kit::payout("w-2", 9, 100_000_000));
    second.expiry = kit::NOW.plus_ms(2 * WINDOW_MS);
    for payout in [&first, &second] {
        requested(&mut fold, payout.clone(), None);
    }
    let tx = draft(&first, 0);
    assembled(&mut fold, &first, &tx).unwrap();
    let body = receipt(&fold, 1, &first.id, tx.txid(), 100_000_000);
    fold.apply(kit::NOW, body).unwrap();
    let before = |fold: &Fold| fold.standing(&second.id, kit::NOW).unwrap().before;
    for (later_ms, want) in [(0, 100_000_000), (WINDOW_MS - 1, 100_000_000), (WINDOW_MS, 0)] {
        let mut fold = fold.clone();
        fold.prune(kit::NOW.plus_ms(later_ms));
        assert_eq!(before(&fold), Some(Amount::from(want)), "{later_ms}");
    }
}
