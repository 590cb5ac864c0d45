//! A signer that starts does nothing before it knows that its store is the latest, and never with one that was set back.

use kuraban_chain::btc::Tx;
use kuraban_vault::Payout;

use crate::{
    flow::{Exchange, approved},
    kit,
    rogue::{Rogue, draft, wanted},
};

const NOTHING: [String; 0] = [];

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
