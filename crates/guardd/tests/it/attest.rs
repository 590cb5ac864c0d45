//! An attestation through the real daemons: asked for and approved over HTTP, signed by signers, sent to nobody.

use std::collections::BTreeMap;

use kuraban_api::{AlarmList, PayoutView};
use kuraban_base::{Amount, hex};
use kuraban_chain::btc::{Branch, Funds, Network, ProofForm, Tx, TxOut};
use kuraban_node::rpc::Acceptance;
use kuraban_proof::SignedCheckpoint;
use kuraban_vault::{
    Payout, PayoutKind,
    attestation::{Challenge, first_output},
};

use crate::{exchange::Exchange, exchange::now, kit, process::until};

fn attestation(exchange: &Exchange, form: ProofForm) -> Payout {
    until("the log is witnessed", || {
        exchange.writer.get("/log/checkpoint").is_some_and(|answer| answer.status == 200)
    });
    let answer = exchange.writer.get("/log/checkpoint").unwrap();
    let log = kit::log_key().verifier().clone();
    let signed = SignedCheckpoint::open(answer.body.as_bytes(), &[log], &[]).unwrap();
    let head = signed.head();
    let challenge = Challenge {
        form,
        origin: signed.origin().to_owned(),
        size: head.size,
        root: head.root,
        block: exchange.node.rpc.best_hash().unwrap(),
        asset: Network::asset(kit::NETWORK),
        at: now(),
    };
    Payout {
        kind: PayoutKind::Attestation,
        destination: kit::descriptor().script_at(Branch::Receive, 0).unwrap(),
        memo: Some(challenge.text().unwrap()),
        amount: Amount::ZERO,
        fee_cap: Amount::ZERO,
        ..exchange.writer.payout(&format!("a-{form}"), 9, 0)
    }
}

#[test]
fn an_attestation_is_signed_by_the_daemons_and_sent_to_nobody() {
    let exchange = Exchange::start();
    for form in ProofForm::ALL {
        let payout = attestation(&exchange, form);
        for answer in [
            exchange.writer.request(&payout).unwrap(),
            exchange.writer.approve(&payout, 2).unwrap(),
            exchange.writer.approve(&payout, 3).unwrap(),
        ] {
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
        until("the attestation is signed", || exchange.writer.status(&payout).as_deref() == Some("attested"));
        let view: PayoutView = exchange.writer.read(&format!("/v1/payouts/{}", payout.id));
        let signed = hex::decode(view.transactions[0].signed.as_ref().unwrap()).unwrap();
        let tx = Tx::decode(kit::NETWORK, &signed).unwrap();
        let unspent = |at| exchange.node.rpc.unspent(at).unwrap().unwrap().output;
        let coins = tx.inputs.iter().skip(1).map(|input| unspent(input.prev));
        let spent: Vec<TxOut> = first_output(&payout).into_iter().chain(coins).collect();
        let text = payout.memo.as_ref().unwrap().as_bytes();
        let funds = Funds::assemble(form, text, &tx, &spent, &BTreeMap::new()).unwrap();
        let holds = funds.verify(text).unwrap();
        assert!(holds.sum_sat > 0 && holds.outputs.len() == tx.inputs.len() - 1);
        assert!(matches!(exchange.node.rpc.would_take(&tx).unwrap(), Acceptance::Refused { .. }));
    }
    assert!(exchange.node.rpc.mempool().unwrap().is_empty());
    // The same coins pay afterwards, and nobody is alarmed.
    let payout = exchange.writer.payout("w-1", 0x20, 1_000_000);
    for answer in [
        exchange.writer.request(&payout).unwrap(),
        exchange.writer.approve(&payout, 2).unwrap(),
        exchange.writer.approve(&payout, 3).unwrap(),
    ] {
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    until("the payout is confirmed", || {
        exchange.mine();
        exchange.writer.status(&payout).as_deref() == Some("confirmed")
    });
    assert_eq!(exchange.writer.read::<AlarmList>("/v1/alarms").alarms, []);
}
