//! What the simulator found in the machines, each as small as it can be told.

use kuraban_base::Asset;
use kuraban_vault::{
    body::Body,
    fold::{Fold, FoldError},
    receipt::Receipt,
    statement::Signed,
};

use crate::{
    kit,
    rogue::{Rogue, draft, opened, wanted},
};

#[test]
fn a_payout_that_ends_while_a_receipt_is_lost_on_its_way_spoils_no_signer() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let tx = draft(&payout, &kit::funding(0, 300_000_000));
    let receipt = Receipt {
        by: kit::machine(1),
        payout: payout.id.clone(),
        digest: payout.digest(&kit::charter().context()),
        txid: tx.txid(),
        outflow: payout.amount,
        seq: 1,
        at: kit::NOW,
    };
    let fold = || {
        let mut fold = Fold::new(kit::charter());
        for body in [vec![opened()], wanted(&payout)].concat() {
            fold.apply(kit::NOW, body).unwrap();
        }
        fold.apply(kit::NOW, Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() }).unwrap();
        fold
    };
    for end in [
        Body::PayoutExpired { payout: payout.id.clone() },
        Body::PayoutRefused { payout: payout.id.clone(), codes: Vec::new() },
    ] {
        // The signer gave the receipt, and the writer, who never got it, ends the payout.
        let mut signer = fold();
        signer.count_own(receipt.clone()).unwrap();
        assert_eq!(signer.apply(kit::NOW, end.clone()), Ok(()));
        assert!(signer.payout(&payout.id).unwrap().status.ended().is_some());
        // With the receipt in the log a payout ends no more so.
        let mut signer = fold();
        let logged = Body::PayoutReceipt(Signed::sign(receipt.clone(), &kit::statement(1)));
        signer.apply(kit::NOW, logged).unwrap();
        assert!(matches!(signer.apply(kit::NOW, end), Err(FoldError::Step { .. })));
    }
}

/// The watcher's word on one chain says nothing about another.
#[test]
fn a_lease_that_does_not_name_the_asset_is_none() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let coin = kit::funding(0, 300_000_000);
    let tx = draft(&payout, &coin);
    let mut rogue = Rogue::new();
    rogue.log(wanted(&payout));
    rogue.assemble(&payout, std::slice::from_ref(&tx));
    for assets in [vec![], vec![Asset::Ltc]] {
        rogue.seen = assets.into_iter().collect();
        rogue.log(Vec::new());
        assert_eq!(rogue.receipt(0, &payout, &tx, &coin), Err(vec!["lease-invalid".to_owned()]));
    }
    rogue.seen = Asset::ALL.into();
    rogue.log(Vec::new());
    let receipts = [0, 1].map(|at| rogue.receipt(at, &payout, &tx, &coin).unwrap());
    rogue.seen = [Asset::Ltc].into();
    rogue.log(receipts.into());
    assert_eq!(rogue.release(0, &payout, &tx), ["lease-invalid"]);
    rogue.seen = [Asset::Btc].into();
    rogue.log(Vec::new());
    assert_eq!(rogue.release(0, &payout, &tx), Vec::<String>::new());
}

/// With the share of a third signer, one honest signature for each of two transactions would pay twice.
#[test]
fn two_signers_who_gave_receipts_for_different_transactions_do_not_both_sign() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let coins = [kit::funding(0, 300_000_000), kit::funding(1, 200_000_000)];
    let txs = coins.each_ref().map(|coin| draft(&payout, coin));
    let mut rogue = Rogue::new();
    rogue.log(wanted(&payout));
    rogue.assemble(&payout, &txs);
    let receipts = [0, 1].map(|at| rogue.receipt(at, &payout, &txs[at], &coins[at]).unwrap());
    let [first, second] = receipts;
    rogue.log(vec![second, first]);
    assert_eq!(rogue.release(1, &payout, &txs[1]), Vec::<String>::new());
    assert_eq!(rogue.release(0, &payout, &txs[0]), ["transaction-other"]);
}

/// A replacement shares an input with what it replaces, so that only one of them can be paid.
#[test]
fn two_signers_who_gave_receipts_for_a_transaction_and_its_replacement_both_sign() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let coin = kit::funding(0, 300_000_000);
    let tx = draft(&payout, &coin);
    let mut replacement = tx.clone();
    replacement.outputs[1].value_sat -= 1000;
    let txs = [tx, replacement];
    let mut rogue = Rogue::new();
    rogue.log(wanted(&payout));
    rogue.assemble(&payout, &txs);
    let receipts = [0, 1].map(|at| rogue.receipt(at, &payout, &txs[at], &coin).unwrap());
    rogue.log(receipts.into());
    assert_eq!(rogue.release(0, &payout, &txs[0]), Vec::<String>::new());
    assert_eq!(rogue.release(1, &payout, &txs[1]), Vec::<String>::new());
}
