//! What the simulator found in the machines, each as small as it can be told.

use kuraban_chain::btc::{Branch, Tx, TxOut};
use kuraban_vault::{
    APPROVE, Payout, REQUEST,
    body::Body,
    fold::{Fold, FoldError},
    receipt::Receipt,
    statement::Signed,
};

use crate::kit;

/// The request and two approvals of a payout.
fn wanted(payout: &Payout) -> Vec<Body> {
    let digest = payout.digest(&kit::charter().context());
    let sign = |person: u8, namespace| kit::sign(&kit::person(person), namespace, digest.as_bytes());
    let (id, key) = (payout.id.clone(), payout.id.to_string());
    let requested = Body::PayoutRequested {
        payout: payout.clone(),
        key,
        request: Some(sign(1, REQUEST)),
        evidence: None,
    };
    let approved = |person| Body::PayoutApproved { payout: id.clone(), approval: sign(person, APPROVE) };
    vec![opened(), requested, approved(2), approved(3)]
}

fn opened() -> Body {
    let charter = kit::charter();
    let vaults = charter.vaults().map(|(vault, _)| vault.to_value()).collect();
    let context = charter.context();
    Body::LogOpened { roster: context.roster, policy: context.policy, vaults, retention_days: 1 }
}

/// A transaction that pays it from `funding`, with the rest as change.
fn draft(payout: &Payout, funding: &Tx) -> Tx {
    let value_sat = payout.amount.to_u64().unwrap();
    let change = kit::descriptor().script_at(Branch::Change, 0).unwrap();
    let outputs = vec![
        TxOut { value_sat, script: payout.destination.clone() },
        TxOut { value_sat: funding.outputs[0].value_sat - value_sat - 1000, script: change },
    ];
    kit::tx(vec![kit::coin(funding).outpoint], outputs)
}

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
        for body in wanted(&payout) {
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
