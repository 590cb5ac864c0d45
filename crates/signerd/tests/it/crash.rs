//! `kill -9` at any moment: what was answered is remembered, what was not may be asked again, nothing happens twice.

use std::{collections::BTreeMap, fs};

use kuraban_base::MachineId;
use kuraban_vault::{
    RESUME,
    body::resume_digest,
    coordinator::{Ask, Event, Token},
    fold::Status,
    wire::{Request, Response},
};

use crate::{
    exchange::{Exchange, Kill},
    kit,
};

/// Every signer's receipts are numbered from 1 without gap or repetition, and none is for a second transaction.
fn receipts_are_in_order(exchange: &Exchange) {
    let mut seen: BTreeMap<MachineId, u64> = BTreeMap::new();
    let mut given = BTreeMap::new();
    for receipt in exchange.receipts() {
        let last = seen.entry(receipt.by.clone()).or_default();
        assert_eq!(receipt.seq, *last + 1, "{receipt:?}");
        *last = receipt.seq;
        let first = given.entry((receipt.by.clone(), receipt.payout.clone())).or_insert(receipt.txid);
        assert_eq!(*first, receipt.txid, "{receipt:?}");
    }
}

#[test]
fn two_of_three_processes_sign_a_payout() {
    let mut exchange = Exchange::new();
    let spent = exchange.pay("w-1", 0);
    exchange.settle("w-1");
    let tx = exchange.last_sent(spent);
    let paid = tx.outputs.iter().filter(|output| output.script == kit::address(9).script());
    assert_eq!(paid.map(|output| output.value_sat).collect::<Vec<_>>(), [100_000_000]);
    assert_eq!(exchange.sent.len(), 1);
    receipts_are_in_order(&exchange);
}

/// How many messages signer 1 gets until a payout is sent, with nobody killed.
fn messages() -> usize {
    let mut exchange = Exchange::with_kill(Some((kit::machine(1), Kill::Asked(usize::MAX))));
    // With one signer gone the other two are needed.
    exchange.daemons.get_mut(&kit::machine(3)).unwrap().kill();
    exchange.happen(Event::Lost(kit::machine(3)));
    exchange.pay("w-1", 0);
    exchange.settle("w-1");
    exchange.messages
}

/// Signer 3 is gone, signer 1 is killed at the given moment and started again: the payout gets its one transaction.
fn check(kill: Kill) {
    let id = kit::machine(1);
    let mut exchange = Exchange::with_kill(Some((id.clone(), kill)));
    exchange.daemons.get_mut(&kit::machine(3)).unwrap().kill();
    exchange.happen(Event::Lost(kit::machine(3)));
    let spent = exchange.pay("w-1", 0);
    exchange.kill = None;
    exchange.restart(&id);
    exchange.settle("w-1");
    exchange.last_sent(spent);
    let spent = exchange.pay("w-2", 1);
    exchange.settle("w-2");
    exchange.last_sent(spent);
    assert_eq!(exchange.sent.len(), 2, "killed at {kill:?}");
    receipts_are_in_order(&exchange);
    let log = exchange.writer.fold().size();
    let size = |number: u8| {
        let answer = exchange.daemons[&kit::machine(number)].ask(0, &Request::Status);
        let Response::Status { size, .. } = answer else { panic!("{answer:?}") };
        size
    };
    assert_eq!([size(1), size(2)], [log, log], "killed at {kill:?}");
}

#[test]
fn a_signer_killed_before_it_answers_gives_no_second_receipt() {
    let messages = messages();
    assert!(messages > 6, "{messages}");
    for message in 1..=messages {
        check(Kill::Asked(message));
    }
}

#[test]
fn a_signer_killed_after_it_answered_remembers() {
    for message in 1..=messages() {
        check(Kill::Answered(message));
    }
}

/// As when an old backup is put back.
#[test]
fn a_signer_whose_store_was_set_back_does_nothing_until_a_quorum_lets_it_resume() {
    let id = kit::machine(1);
    let mut exchange = Exchange::new();
    // With one signer gone the other two are needed.
    exchange.daemons.get_mut(&kit::machine(3)).unwrap().kill();
    exchange.happen(Event::Lost(kit::machine(3)));
    exchange.pay("w-1", 0);
    exchange.settle("w-1");
    let mut backup = Vec::new();
    exchange.restart_after(&id, |store| backup = fs::read(store).unwrap());
    exchange.pay("w-2", 1);
    exchange.settle("w-2");
    exchange.restart_after(&id, |store| fs::write(store, &backup).unwrap());
    let spent = exchange.pay("w-3", 2);
    let payout = "w-3".parse().unwrap();
    let restored = |exchange: &Exchange| {
        let mut refusals = exchange.writer.refusals(&payout);
        refusals.any(|(_, refused)| refused.iter().any(|one| one.code == "signer-restored"))
    };
    exchange.tick_until("the signer has noticed", restored);
    assert_eq!((exchange.status("w-3"), exchange.sent.len()), (Status::Assembled, 2));

    let digest = resume_digest(kit::ORIGIN, &id, 2);
    let approvals = [2, 3].map(|person| kit::sign(&kit::person(person), RESUME, digest.as_bytes()));
    let order = Ask::Resume { signer: id, seq: 2, approvals: approvals.into() };
    exchange.happen(Event::Ask(Token(0), order));
    exchange.settle("w-3");
    exchange.last_sent(spent);
    receipts_are_in_order(&exchange);
}

#[test]
fn all_signers_killed_at_once_take_up_where_they_were() {
    let mut exchange = Exchange::new();
    exchange.pay("w-1", 0);
    exchange.settle("w-1");
    let before: Vec<Response> =
        exchange.daemons.values().map(|daemon| daemon.ask(0, &Request::Status)).collect();
    let receipts = exchange.receipts();
    for number in 1..=3 {
        exchange.restart(&kit::machine(number));
    }
    let after: Vec<Response> =
        exchange.daemons.values().map(|daemon| daemon.ask(0, &Request::Status)).collect();
    assert_eq!(after, before);
    let spent = exchange.pay("w-2", 1);
    exchange.settle("w-2");
    exchange.last_sent(spent);
    assert_eq!((exchange.sent.len(), exchange.status("w-1")), (2, Status::Broadcast));
    assert_eq!(exchange.receipts()[..receipts.len()], receipts);
    receipts_are_in_order(&exchange);
}
