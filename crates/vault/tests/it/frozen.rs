//! A signer that starts does nothing before it knows that its store is the latest, and never with one that was set back.

use kuraban_chain::btc::Tx;
use kuraban_vault::{
    Approval, Payout, RESUME,
    body::{Body, resume_digest},
    coordinator::{Ask, Event, Reply, Token},
    wire::Refused,
};

use crate::{
    exchange::{Exchange, approved},
    kit,
    rogue::{Rogue, draft, wanted},
};

const NOTHING: [String; 0] = [];

/// An order of these people that signer 1 resumes after a number.
fn resumed(seq: u64, people: &[u8]) -> Body {
    let signer = kit::machine(1);
    let digest = resume_digest(kit::ORIGIN, &signer, seq);
    let approvals = people.iter().map(|n| kit::sign(&kit::person(*n), RESUME, digest.as_bytes()));
    Body::SignerResumed { signer: signer.clone(), seq, approvals: approvals.collect() }
}

fn seq(body: &Body) -> u64 {
    let Body::PayoutReceipt(receipt) = body else { panic!("{body:?}") };
    receipt.claim_unverified().seq
}

/// A payout from its own coin, with its transaction in the log.
fn assembled(rogue: &mut Rogue, number: u8) -> (Payout, Tx, Tx) {
    let payout = kit::payout(&format!("w-{number}"), number, 100_000_000);
    let coin = kit::funding(number.into(), 300_000_000);
    let tx = draft(&payout, &coin);
    rogue.log(wanted(&payout));
    rogue.assemble(&payout, core::slice::from_ref(&tx));
    (payout, coin, tx)
}

#[test]
fn a_signer_that_starts_waits_for_a_quorum_that_cosigned_since() {
    let check = |signers: &[usize], watcher: bool, started_ms: u64, cosigned_ms: u64, want: &[&str]| {
        let mut rogue = Rogue::new();
        let (payout, coin, tx) = assembled(&mut rogue, 1);
        let receipt = rogue.receipt(0, &payout, &tx, &coin).unwrap();
        rogue.log(vec![receipt]);
        rogue.restart(0, rogue.stored(0));
        rogue.now = kit::NOW.plus_ms(started_ms);
        rogue.cosign(&[0], false);
        rogue.now = kit::NOW.plus_ms(cosigned_ms);
        rogue.cosign(signers, watcher);
        assert_eq!(rogue.release(0, &payout, &tx), want, "{signers:?} {watcher} {started_ms} {cosigned_ms}");
        // For a receipt that it gave before it says the same.
        let again = rogue.receipt(0, &payout, &tx, &coin);
        assert_eq!(again.err().unwrap_or_default(), want, "{signers:?} {watcher} {started_ms} {cosigned_ms}");
    };
    check(&[0, 1], true, 1000, 1000, &[]);
    check(&[0, 1], true, 1001, 2000, &[]);
    // Witnesses state whole seconds: a word from within the same one may be older.
    check(&[0, 1], true, 1001, 1999, &["signer-frozen"]);
    // Two of three that are asked for.
    check(&[0, 1], false, 1000, 2000, &["signer-frozen"]);
    check(&[0], true, 1000, 2000, &["signer-frozen"]);
}

#[test]
fn a_signer_that_was_set_back_gives_neither_receipts_nor_signatures_but_follows_the_log() {
    let mut rogue = Rogue::new();
    let (first, first_coin, first_tx) = assembled(&mut rogue, 1);
    let (second, second_coin, second_tx) = assembled(&mut rogue, 2);
    let earlier = rogue.stored(0);
    let receipt = rogue.receipt(0, &first, &first_tx, &first_coin).unwrap();
    rogue.log(vec![receipt]);
    assert_eq!(rogue.release(0, &first, &first_tx), NOTHING);
    rogue.restart(0, earlier);
    for _ in 0..2 {
        rogue.wait(1000);
        let given = rogue.receipt(0, &second, &second_tx, &second_coin);
        assert_eq!(given.unwrap_err(), ["signer-restored"]);
        assert_eq!(rogue.receipt(0, &first, &first_tx, &first_coin).unwrap_err(), ["signer-restored"]);
        assert_eq!(rogue.release(0, &first, &first_tx), ["log-not-included", "signer-restored"]);
        // Another start changes nothing.
        rogue.restart(0, rogue.stored(0));
    }
    // The other signer goes on.
    rogue.wait(1000);
    assert!(rogue.receipt(1, &second, &second_tx, &second_coin).is_ok());
}

/// A hostile writer shows the signer the log as it was before its receipt, with cosignatures of then.
#[test]
fn a_signer_that_was_set_back_is_not_deceived_by_the_log_of_before() {
    let mut rogue = Rogue::new();
    let (first, first_coin, first_tx) = assembled(&mut rogue, 1);
    let (second, second_coin, second_tx) = assembled(&mut rogue, 2);
    let (earlier, before) = (rogue.stored(0), rogue.checkpoint.clone());
    let receipt = rogue.receipt(0, &first, &first_tx, &first_coin).unwrap();
    rogue.log(vec![receipt]);
    rogue.restart(0, earlier);
    rogue.now = rogue.now.plus_ms(1000);
    rogue.challenge(0);
    rogue.checkpoint = before;
    let given = rogue.receipt(0, &second, &second_tx, &second_coin);
    assert_eq!(given.unwrap_err(), ["lease-invalid", "signer-frozen"]);
}

#[test]
fn a_quorum_lets_a_signer_resume_after_the_last_receipt_that_it_gave() {
    let mut rogue = Rogue::new();
    let (first, first_coin, first_tx) = assembled(&mut rogue, 1);
    let (second, second_coin, second_tx) = assembled(&mut rogue, 2);
    let earlier = rogue.stored(0);
    let receipt = rogue.receipt(0, &first, &first_tx, &first_coin).unwrap();
    rogue.log(vec![receipt]);
    rogue.restart(0, earlier);
    rogue.log(vec![resumed(1, &[2, 3])]);
    let receipt = rogue.receipt(0, &second, &second_tx, &second_coin).unwrap();
    assert_eq!(seq(&receipt), 2);
    rogue.log(vec![receipt]);
    assert_eq!(rogue.release(0, &second, &second_tx), NOTHING);
    // What it forgot is judged anew, and as one payout with what the log says of it.
    let again = rogue.receipt(0, &first, &first_tx, &first_coin).unwrap();
    assert_eq!(seq(&again), 3);
    rogue.log(vec![again]);
    assert_eq!(rogue.release(0, &first, &first_tx), NOTHING);
    // It starts again from all that it has, and when it is set back once more it wants another order.
    rogue.restart(0, rogue.stored(0));
    rogue.wait(0);
    assert_eq!(rogue.release(0, &second, &second_tx), NOTHING);
    rogue.restart(0, earlier);
    rogue.wait(0);
    assert_eq!(rogue.release(0, &second, &second_tx), ["log-not-included", "signer-restored"]);
}

#[test]
fn that_a_signer_resumes_takes_a_quorum_and_where_its_receipts_end() {
    let mut rogue = Rogue::new();
    let (payout, coin, tx) = assembled(&mut rogue, 1);
    let check = |rogue: &Rogue, body: Body, want: Option<&str>| {
        let mut fold = rogue.fold().clone();
        let refused = fold.apply(kit::NOW, body).err().map(|refused| refused.to_string());
        let want = want.map(|want| format!("that signer-1 resumes is not ordered by a quorum: {want}"));
        assert_eq!(refused, want);
    };
    check(&rogue, resumed(0, &[2, 3]), Some("it is for number 0, the signer's receipts end at 0"));
    check(&rogue, resumed(1, &[2, 3]), Some("it is for number 1, the signer's receipts end at 0"));
    let receipt = rogue.receipt(0, &payout, &tx, &coin).unwrap();
    rogue.log(vec![receipt]);
    check(&rogue, resumed(1, &[2, 3]), None);
    check(&rogue, resumed(2, &[2, 3]), Some("it is for number 2, the signer's receipts end at 1"));
    check(&rogue, resumed(1, &[2, 2]), Some("1 approvals of group approvers, want 2"));
    let Body::SignerResumed { approvals, .. } = resumed(2, &[2, 3]) else { panic!("no such body") };
    let other = Body::SignerResumed { signer: kit::machine(1), seq: 1, approvals };
    check(&rogue, other, Some("p2's signature is not over this digest"));
}

#[test]
fn the_writer_asks_a_signer_again_when_it_resumes() {
    let mut exchange = Exchange::new();
    exchange.fund(0, 300_000_000);
    approved(&mut exchange, &kit::payout("w-1", 9, 100_000_000));
    assert_eq!(exchange.sent.len(), 1);
    // Both signers that gave receipts have lost their disks.
    exchange.now = exchange.now.plus_ms(1_000);
    exchange.lose_disks();
    exchange.fund(1, 300_000_000);
    approved(&mut exchange, &kit::payout("w-2", 8, 100_000_000));
    exchange.pass(5_000);
    assert_eq!(exchange.sent.len(), 1);
    let id = "w-2".parse().unwrap();
    let restored = |refused: &[Refused]| refused.iter().any(|one| one.code == "signer-restored");
    let signer = exchange.writer.refusals(&id).find(|(_, refused)| restored(refused));
    let signer = signer.map(|(signer, _)| signer.clone()).unwrap();
    let digest = resume_digest(kit::ORIGIN, &signer, 1);
    let approvals: Vec<_> =
        [2, 3].iter().map(|n| kit::sign(&kit::person(*n), RESUME, digest.as_bytes())).collect();
    let mut order = |approvals: &[Approval]| {
        let resume = Ask::Resume { signer: signer.clone(), seq: 1, approvals: approvals.to_vec() };
        exchange.happen(Event::Ask(Token(1), resume));
        exchange.pass(1_000);
        exchange.reply(Token(1))
    };
    assert!(matches!(order(&approvals[..1]), Reply::Conflict { code: "resume-not-ordered", .. }));
    assert!(matches!(order(&approvals), Reply::Logged { .. }));
    exchange.pass(2_000);
    assert_eq!(exchange.sent.len(), 2);
}

#[test]
fn an_exchange_whose_signers_all_start_anew_signs_as_soon_as_they_cosigned_since() {
    let mut exchange = Exchange::new();
    exchange.now = kit::NOW.plus_ms(100_437);
    exchange.restart_signers();
    exchange.fund(0, 300_000_000);
    approved(&mut exchange, &kit::payout("w-1", 9, 100_000_000));
    assert_eq!(exchange.sent.len(), 0);
    exchange.pass(3_000);
    assert_eq!(exchange.sent.len(), 1);
}

/// A signer that was set back has nothing new to say before it has folded more of the log itself.
#[test]
fn a_signer_that_was_set_back_is_asked_again_when_it_has_more_of_the_log_and_not_when_another_has() {
    let mut exchange = Exchange::new();
    exchange.happen(Event::Lost(kit::machine(3)));
    exchange.fund(0, 300_000_000);
    approved(&mut exchange, &kit::payout("w-1", 9, 100_000_000));
    assert_eq!(exchange.sent.len(), 1);
    exchange.now = exchange.now.plus_ms(1_000);
    exchange.signers.insert(kit::machine(1), kit::signer(1, &kit::charter()));
    exchange.happen(Event::Lost(kit::machine(1)));
    exchange.happen(Event::Joined(kit::machine(1)));
    exchange.fund(1, 300_000_000);
    approved(&mut exchange, &kit::payout("w-2", 8, 100_000_000));
    exchange.pass(2_000);
    let id = "w-2".parse().unwrap();
    let set_back = |exchange: &Exchange| {
        let mut refusals = exchange.writer.refusals(&id);
        refusals.any(|(by, refused)| *by == kit::machine(1) && refused[0].code == "signer-restored")
    };
    assert!(set_back(&exchange));
    exchange.held.insert(kit::machine(1));
    approved(&mut exchange, &kit::payout("w-3", 7, 100_000_000));
    exchange.pass(1_000);
    assert!(set_back(&exchange));
}
