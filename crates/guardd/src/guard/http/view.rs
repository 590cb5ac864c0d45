//! From the domain's types to the contract's text. Shows; decides nothing.

use kuraban_api as api;
use kuraban_base::{MachineId, hex};
use kuraban_chain::btc::Address;
use kuraban_vault::{
    Approval, Charter, Roster,
    body::Alarm,
    breaker::Breaker,
    coordinator::Coordinator,
    fold::{Draft, Fold, Record},
    wire::Refused,
};

fn approval(roster: &Roster, approval: &Approval) -> api::ApprovalView {
    api::ApprovalView {
        person: roster.holder(approval.key()).map(ToString::to_string),
        key: hex::encode(approval.key()),
        signature: approval.pem().to_owned(),
    }
}

fn transaction(record: &Record, draft: &Draft) -> api::TransactionView {
    let receipts = record.receipts.iter().filter(|logged| logged.receipt.txid == draft.txid);
    let logged = receipts.filter(|logged| logged.index.is_some());
    let signed = record.signed.as_ref().filter(|(txid, _)| *txid == draft.txid);
    api::TransactionView {
        txid: draft.txid.to_string(),
        log_index: draft.index,
        unsigned: hex::encode(&draft.tx.encode()),
        receipts: logged.map(|logged| logged.receipt.by.to_string()).collect(),
        signed: signed.map(|(_, bytes)| hex::encode(bytes)),
    }
}

fn reason(refused: &Refused) -> api::ReasonView {
    api::ReasonView { code: refused.code.clone(), detail: refused.detail.clone() }
}

/// A payout, and how far it has come.
pub(super) fn payout(coordinator: &Coordinator, record: &Record) -> api::PayoutView {
    let charter: &Charter = coordinator.fold().charter();
    let (roster, context) = (charter.roster(), charter.context());
    let payout = &record.payout;
    let address = Address::from_script(payout.network, &payout.destination);
    let refusals = coordinator.refusals(&payout.id).map(|(machine, refused)| api::RefusalView {
        machine: machine.to_string(),
        reasons: refused.iter().map(reason).collect(),
    });
    api::PayoutView {
        payout: api::Payout {
            id: payout.id.to_string(),
            kind: payout.kind.to_string(),
            network: payout.network.to_string(),
            vault: payout.vault.to_string(),
            destination: address.map_or_else(String::new, |address| address.to_string()),
            memo: payout.memo.clone(),
            // Amounts of the BTC family fit; what came in over this contract does anyway.
            amount: payout.amount.to_u64().unwrap_or(u64::MAX),
            fee_cap: payout.fee_cap.to_u64().unwrap_or(u64::MAX),
            not_before_ms: payout.not_before.ms(),
            expiry_ms: payout.expiry.ms(),
        },
        destination_script: hex::encode(payout.destination.as_bytes()),
        asset: payout.asset().to_string(),
        origin: context.origin,
        roster_hash: context.roster.to_string(),
        policy_hash: context.policy.to_string(),
        digest: record.digest.to_string(),
        status: record.status.word().to_owned(),
        requested_at_ms: record.at.ms(),
        request: record.request.as_ref().map(|request| approval(roster, request)),
        approvals: record.approvals.iter().map(|one| approval(roster, one)).collect(),
        transactions: record.drafts.iter().map(|draft| transaction(record, draft)).collect(),
        refusals: refusals.collect(),
    }
}

/// The breaker.
pub(super) fn breaker(origin: &str, breaker: &Breaker) -> api::BreakerView {
    let cell = |((service, asset), stage): (kuraban_vault::breaker::Cell, kuraban_vault::breaker::Stage)| {
        api::CellView { service: service.to_string(), asset: asset.to_string(), stage: stage.to_string() }
    };
    api::BreakerView {
        epoch: breaker.epoch(),
        origin: origin.to_owned(),
        tightened: breaker.tightened().map(cell).collect(),
    }
}

/// A signer in the log.
pub(super) fn signer(fold: &Fold, id: &MachineId) -> api::SignerView {
    api::SignerView { id: id.to_string(), receipts: fold.seq(id), resumed: fold.resumed(id) }
}

/// An alarm and its place among all.
pub(super) fn alarm((number, alarm): (u64, &Alarm)) -> api::AlarmView {
    api::AlarmView {
        number,
        by: alarm.by.to_string(),
        rule: alarm.rule.clone(),
        subject: alarm.subject.clone(),
        asset: alarm.asset.to_string(),
        detail: alarm.detail.clone(),
        at_ms: alarm.at.ms(),
        evidence_tx: alarm.evidence.as_ref().map(|evidence| hex::encode(&evidence.tx)),
    }
}
