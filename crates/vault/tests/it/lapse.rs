//! A receipt lives ten minutes: what a signer releases after it, what it judges anew, and how the writer gets on.

use kuraban_base::{Amount, Height};
use kuraban_chain::btc::Tx;
use kuraban_vault::{Payout, body::Body, coordinator::Event, fold::Status, receipt::RECEIPT_MS};

use crate::{
    exchange::{Exchange, approved},
    kit,
    rogue::{Rogue, draft, wanted},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const NOTHING: [String; 0] = [];

/// Payout, coin and transaction, all approved, assembled and in the log.
fn assembled(rogue: &mut Rogue, number: u8, amount: u64) -> (Payout, Tx, Tx) {
    let mut payout = kit::payout(&format!("w-{number}"), number, amount);
    payout.not_before = rogue.now;
    payout.expiry = rogue.now.plus_ms(4 * DAY_MS);
    let coin = kit::funding(number.into(), 600_000_000);
    let tx = draft(&payout, &coin);
    rogue.log(wanted(&payout));
    rogue.assemble(&payout, core::slice::from_ref(&tx));
    (payout, coin, tx)
}

fn seq(body: &Body) -> u64 {
    let Body::PayoutReceipt(receipt) = body else { panic!("{body:?}") };
    receipt.claim_unverified().seq
}

#[test]
fn a_signer_releases_until_its_receipt_lapses_and_not_after() {
    let check = |waits_ms: u64, want: &[&str]| {
        let mut rogue = Rogue::new();
        let (payout, coin, tx) = assembled(&mut rogue, 9, 100_000_000);
        let receipt = rogue.receipt(0, &payout, &tx, &coin).unwrap();
        rogue.log(vec![receipt]);
        rogue.wait(waits_ms);
        assert_eq!(rogue.release(0, &payout, &tx), want, "after {waits_ms} ms");
    };
    check(0, &[]);
    check(RECEIPT_MS - 1, &[]);
    check(RECEIPT_MS, &["receipt-lapsed"]);
    check(3 * DAY_MS, &["receipt-lapsed"]);
}

#[test]
fn a_signer_releases_nothing_for_a_payout_that_expired() {
    let check = |waits_ms: u64, want: &[&str]| {
        let mut rogue = Rogue::new();
        let payout = Payout { expiry: kit::NOW.plus_ms(60_000), ..kit::payout("w-1", 9, 100_000_000) };
        let coin = kit::funding(0, 600_000_000);
        let tx = draft(&payout, &coin);
        rogue.log(wanted(&payout));
        rogue.assemble(&payout, core::slice::from_ref(&tx));
        let receipt = rogue.receipt(0, &payout, &tx, &coin).unwrap();
        rogue.log(vec![receipt]);
        rogue.wait(waits_ms);
        assert_eq!(rogue.release(0, &payout, &tx), want, "after {waits_ms} ms");
        assert_eq!(rogue.release(0, &payout, &tx), want, "again after {waits_ms} ms");
    };
    check(59_999, &[]);
    check(60_000, &["expired"]);
}

#[test]
fn a_lapsed_receipt_is_followed_by_another_once_all_is_judged_again() {
    let mut rogue = Rogue::new();
    let (payout, coin, tx) = assembled(&mut rogue, 9, 100_000_000);
    let first = rogue.receipt(0, &payout, &tx, &coin).unwrap();
    rogue.log(vec![first.clone()]);
    rogue.wait(RECEIPT_MS - 1);
    assert_eq!(rogue.receipt(0, &payout, &tx, &coin).unwrap(), first);
    rogue.wait(1);
    let second = rogue.receipt(0, &payout, &tx, &coin).unwrap();
    assert_eq!((seq(&first), seq(&second)), (1, 2));
    // Not before it stands in the log, and not on the strength of the first. A writer that lost it is told to ask for it again.
    assert_eq!(rogue.release(0, &payout, &tx), ["log-not-included", "receipt-lapsed"]);
    rogue.log(vec![first]);
    assert_eq!(rogue.release(0, &payout, &tx), ["log-not-included", "receipt-lapsed"]);
    rogue.log(vec![second]);
    assert_eq!(rogue.release(0, &payout, &tx), NOTHING);
    // What speaks against it now is said now: it expires.
    rogue.wait(4 * DAY_MS);
    assert_eq!(rogue.receipt(0, &payout, &tx, &coin).unwrap_err(), ["expired"]);
}

#[test]
fn a_signer_that_was_killed_releases_on_its_receipt_until_it_lapses() {
    let mut rogue = Rogue::new();
    let (payout, coin, tx) = assembled(&mut rogue, 9, 100_000_000);
    let receipt = rogue.receipt(0, &payout, &tx, &coin).unwrap();
    rogue.log(vec![receipt]);
    assert_eq!(rogue.release(0, &payout, &tx), NOTHING);
    // The answer was lost with the signer.
    rogue.restart(0, rogue.stored(0));
    rogue.wait(0);
    rogue.wait(RECEIPT_MS - 1);
    assert_eq!(rogue.release(0, &payout, &tx), NOTHING);
    rogue.wait(1);
    let second = rogue.receipt(0, &payout, &tx, &coin).unwrap();
    assert_eq!(seq(&second), 2);
    rogue.restart(0, rogue.stored(0));
    rogue.wait(0);
    rogue.log(vec![second]);
    assert_eq!(rogue.release(0, &payout, &tx), NOTHING);
}

/// The day's limit is 900,000,000, two payouts of 490,000,000 are beyond it. A writer that keeps receipts of one day for the next must not get both days' worth.
#[test]
fn receipts_of_two_days_do_not_leave_in_one() {
    let mut rogue = Rogue::new();
    let (first, first_coin, first_tx) = assembled(&mut rogue, 1, 490_000_000);
    let (second, second_coin, second_tx) = assembled(&mut rogue, 2, 490_000_000);
    let kept = rogue.receipt(0, &first, &first_tx, &first_coin).unwrap();
    rogue.log(vec![kept]);
    // One that was given at the last moment may leave ten minutes later, so the day counts from then, and clocks may be apart.
    for (waits_ms, want) in [(0, false), (DAY_MS, false), (RECEIPT_MS + 60_000 - 1, false), (1, true)] {
        rogue.wait(waits_ms);
        let given = rogue.receipt(0, &second, &second_tx, &second_coin);
        let refused = given.as_ref().err().cloned().unwrap_or_default();
        assert_eq!(refused, if want { vec![] } else { vec!["limit-rolling"] }, "after {waits_ms} ms more");
        rogue.log(given.into_iter().collect());
    }
    assert_eq!(rogue.release(0, &second, &second_tx), NOTHING);
    assert_eq!(rogue.release(0, &first, &first_tx), ["receipt-lapsed"]);
    assert_eq!(rogue.receipt(0, &first, &first_tx, &first_coin).unwrap_err(), ["limit-rolling"]);
}

/// Two signers, neither of whom saw the other's receipt: the log's order decides, and it counts as long.
#[test]
fn receipts_of_two_signers_and_two_days_do_not_leave_in_one() {
    let check = |waits_ms: u64, want: &[&str]| {
        let mut rogue = Rogue::new();
        let (first, first_coin, first_tx) = assembled(&mut rogue, 1, 490_000_000);
        let (second, second_coin, second_tx) = assembled(&mut rogue, 2, 490_000_000);
        let kept = rogue.receipt(0, &first, &first_tx, &first_coin).unwrap();
        rogue.wait(waits_ms);
        let given = rogue.receipt(1, &second, &second_tx, &second_coin).unwrap();
        rogue.log(vec![kept, given]);
        assert_eq!(rogue.release(1, &second, &second_tx), want, "after {waits_ms} ms");
    };
    check(0, &["limit-rolling"]);
    check(DAY_MS, &["limit-rolling"]);
    // Clocks may be half a minute apart, each signer's to its own side, and a receipt's time is the faster one's.
    check(DAY_MS + RECEIPT_MS + 89_999, &["limit-rolling"]);
    check(DAY_MS + RECEIPT_MS + 90_000, &[]);
}

/// With the share of a third signer one honest signature is enough. The first transaction's may be out, so a fresh receipt
/// must not let the second one's signer believe that its own came first.
#[test]
fn a_fresh_receipt_keeps_its_place_before_another_transactions() {
    let payout = Payout { expiry: kit::NOW.plus_ms(DAY_MS), ..kit::payout("w-1", 9, 100_000_000) };
    let coins = [kit::funding(0, 300_000_000), kit::funding(1, 200_000_000)];
    let txs = coins.each_ref().map(|coin| draft(&payout, coin));
    let mut rogue = Rogue::new();
    rogue.log(wanted(&payout));
    rogue.assemble(&payout, &txs);
    let [first, second] = [0, 1].map(|at| rogue.receipt(at, &payout, &txs[at], &coins[at]).unwrap());
    rogue.log(vec![first.clone(), second]);
    assert_eq!(rogue.release(0, &payout, &txs[0]), NOTHING);
    // The first signer judges anew and refuses, because of the second; a hostile one with its key would not.
    rogue.wait(RECEIPT_MS);
    assert_eq!(rogue.receipt(0, &payout, &txs[0], &coins[0]).unwrap_err(), ["transaction-other"]);
    let Body::PayoutReceipt(first) = first else { panic!("{first:?}") };
    let mut again = first.claim_unverified().clone();
    (again.seq, again.at, again.outflow) = (2, rogue.now, Amount::new(100_001_000));
    rogue.log(vec![Body::PayoutReceipt(kuraban_vault::statement::Signed::sign(again, &kit::statement(1)))]);
    assert_eq!(rogue.release(1, &payout, &txs[1]), ["transaction-other", "receipt-lapsed"]);
}

/// An exchange in which signers gave receipts for a payout and no signature arrived.
fn receipted(life_ms: u64) -> Exchange {
    let mut exchange = Exchange::new();
    exchange.fund(0, 300_000_000);
    exchange.breaks = true;
    approved(
        &mut exchange,
        &Payout { expiry: kit::NOW.plus_ms(life_ms), ..kit::payout("w-1", 9, 100_000_000) },
    );
    exchange.breaks = false;
    let record = exchange.writer.fold().payout(&"w-1".parse().unwrap()).unwrap();
    assert_eq!((record.status, record.receipts.len()), (Status::Assembled, 3));
    exchange
}

/// The receipts in the log: signer and number.
fn receipts(exchange: &Exchange) -> Vec<(String, u64)> {
    let opened = exchange.disk.iter().filter_map(|entry| kuraban_vault::follow::open(entry).ok());
    let receipt = |body| if let Body::PayoutReceipt(receipt) = body { Some(receipt) } else { None };
    let receipts = opened.filter_map(|(_, _, body)| receipt(body));
    receipts
        .map(|receipt| receipt.claim_unverified().clone())
        .map(|one| (one.by.to_string(), one.seq))
        .collect()
}

#[test]
fn a_writer_that_was_gone_longer_than_receipts_live_gets_fresh_ones_and_pays_once() {
    for (restarts, away_ms, want) in [
        (false, RECEIPT_MS - 3_000, 3),
        (true, RECEIPT_MS - 3_000, 3),
        (false, RECEIPT_MS, 5),
        (true, RECEIPT_MS, 5),
    ] {
        let mut exchange = receipted(DAY_MS);
        exchange.now = exchange.now.plus_ms(away_ms);
        if restarts {
            exchange.restart();
            exchange.fund(0, 300_000_000);
        } else {
            exchange.join();
        }
        exchange.pass(2_000);
        assert_eq!((exchange.status("w-1"), exchange.sent.len()), (Status::Broadcast, 1), "{away_ms} ms");
        let receipts = receipts(&exchange);
        assert_eq!(receipts.len(), want, "{restarts} {receipts:?}");
    }
}

#[test]
fn a_payout_that_expired_with_receipts_lets_go_of_its_coin_and_ends_when_that_is_spent() {
    let mut exchange = receipted(60_000);
    exchange.breaks = true;
    approved(
        &mut exchange,
        &Payout { expiry: kit::NOW.plus_ms(DAY_MS), ..kit::payout("a-2", 8, 50_000_000) },
    );
    exchange.join();
    exchange.now = kit::NOW.plus_ms(59_999);
    exchange.happen(Event::Tick);
    // While it may still be signed the coin is its own.
    assert_eq!((exchange.status("w-1"), exchange.status("a-2")), (Status::Assembled, Status::Requested));
    exchange.now = kit::NOW.plus_ms(60_000);
    exchange.breaks = false;
    exchange.join();
    exchange.happen(Event::Tick);
    exchange.pass(2_000);
    assert_eq!((exchange.status("w-1"), exchange.status("a-2")), (Status::Assembled, Status::Broadcast));
    // Nobody is asked to sign it any more.
    assert_eq!(exchange.writer.refusals(&"w-1".parse().unwrap()).count(), 0);
    // After a restart the coin is still the second payout's.
    exchange.restart();
    exchange.fund(0, 300_000_000);
    exchange.happen(Event::Tick);
    let third = Payout { expiry: kit::NOW.plus_ms(DAY_MS), ..kit::payout("a-3", 7, 50_000_000) };
    approved(&mut exchange, &third);
    exchange.pass(2_000);
    assert_eq!((exchange.status("w-1"), exchange.status("a-3")), (Status::Assembled, Status::Requested));
    let tx = exchange.sent[0].clone();
    let spends = tx.inputs.iter().map(|input| input.prev).collect();
    exchange.happen(Event::Mined { txid: tx.txid(), spends, height: Height::new(7) });
    exchange.happen(Event::Tip(kit::NETWORK, Height::new(7)));
    assert_eq!((exchange.status("w-1"), exchange.status("a-2")), (Status::Cancelled, Status::Confirmed));
}

#[test]
fn a_payout_with_receipts_is_tried_again_when_the_days_limit_has_room() {
    let mut exchange = receipted(4 * DAY_MS);
    // When nothing of it counts any more, others use up the day.
    exchange.now = kit::NOW.plus_ms(DAY_MS + RECEIPT_MS + 60_000);
    let expiry = exchange.now.plus_ms(DAY_MS);
    exchange.restart();
    for number in [1, 2] {
        exchange.fund(number.into(), 500_000_000);
        approved(
            &mut exchange,
            &Payout { expiry, ..kit::payout(&format!("big-{number}"), number, 430_000_000) },
        );
    }
    assert_eq!((exchange.status("big-1"), exchange.status("big-2")), (Status::Broadcast, Status::Broadcast));
    exchange.fund(0, 300_000_000);
    exchange.pass(2_000);
    assert_eq!(exchange.status("w-1"), Status::Assembled);
    let refusals: Vec<_> = exchange.writer.refusals(&"w-1".parse().unwrap()).collect();
    assert!(
        refusals.len() > 1 && refusals.iter().all(|(_, refused)| refused[0].code == "limit-rolling"),
        "{refusals:?}"
    );
    exchange.now = exchange.now.plus_ms(DAY_MS + RECEIPT_MS + 60_000);
    exchange.pass(10_000);
    assert_eq!(exchange.status("w-1"), Status::Broadcast);
}
