//! Which coins the writer takes for a payout, what comes back as change and what goes to fees.

use kuraban_base::Amount;
use kuraban_chain::btc::{Branch, OutPoint, Tx, TxOut};
use kuraban_vault::{Payout, coordinator::Event, fold::Status};

use crate::{
    exchange::{Exchange, approved},
    kit,
};

const AMOUNT: u64 = 100_000_000;
/// Virtual bytes with all signatures, by hand: 42 weight units of frame, 164 for the input, 254 for its witness of two of
/// three keys, 124 for a payment to a witness script of 22 bytes, and 172 for change to one of 34 or without.
const VSIZE_WITH_CHANGE: u64 = 189;
const VSIZE_WITHOUT: u64 = 146;

/// A writer without signers, so that a payout comes no further than its transaction.
fn writer(coins: &[u64]) -> Exchange {
    let mut exchange = Exchange::new();
    for number in 1..=3 {
        exchange.happen(Event::Lost(kit::machine(number)));
    }
    for (index, value_sat) in (0..).zip(coins) {
        exchange.fund(index, *value_sat);
    }
    exchange
}

fn drafted(exchange: &Exchange, id: &str) -> Option<Tx> {
    let record = exchange.writer.fold().payout(&id.parse().unwrap()).unwrap();
    record.drafts.first().map(|draft| draft.tx.clone())
}

/// The values of the coins that the payout spends, in order.
fn spent(coins: &[u64], tx: &Tx) -> Vec<u64> {
    let outpoint = |(index, value_sat): (u32, &u64)| kit::coin(&kit::funding(index, *value_sat)).outpoint;
    let all: Vec<(OutPoint, u64)> = (0..).zip(coins).map(|coin| (outpoint(coin), *coin.1)).collect();
    let value = |prev: &OutPoint| all.iter().find(|(outpoint, _)| outpoint == prev).unwrap().1;
    tx.inputs.iter().map(|input| value(&input.prev)).collect()
}

fn change() -> kuraban_chain::btc::Script {
    kit::descriptor().script_at(Branch::Change, 0).unwrap()
}

#[test]
fn the_smallest_coin_that_suffices_is_taken_and_else_the_largest_until_they_do() {
    let rows: &[(&[u64], Option<&[u64]>)] = &[
        (&[300_000_000, 150_000_000, 200_000_000], Some(&[150_000_000])),
        (&[50_000_000, 150_000_000], Some(&[150_000_000])),
        (&[30_000_000, 60_000_000, 50_000_000], Some(&[60_000_000, 50_000_000])),
        (&[30_000_000, 60_000_000, 35_000_000], Some(&[60_000_000, 35_000_000, 30_000_000])),
        // Not for the fee.
        (&[100_000_000], None),
        (&[60_000_000, 40_000_000], None),
        (&[60_000_000, 30_000_000], None),
        (&[], None),
    ];
    for (coins, want) in rows {
        let mut exchange = writer(coins);
        approved(&mut exchange, &kit::payout("w-1", 9, AMOUNT));
        let found = drafted(&exchange, "w-1").map(|tx| spent(coins, &tx));
        assert_eq!(found.as_deref(), *want, "{coins:?}");
    }
}

#[test]
fn a_coin_is_one_payouts_until_that_has_ended() {
    let coins = [300_000_000, 200_000_000];
    let mut exchange = writer(&coins);
    for number in 1..=3 {
        approved(&mut exchange, &kit::payout(&format!("w-{number}"), number, AMOUNT));
    }
    let taken = ["w-1", "w-2", "w-3"].map(|id| drafted(&exchange, id).map(|tx| spent(&coins, &tx)));
    assert_eq!(taken, [Some(vec![200_000_000]), Some(vec![300_000_000]), None]);
    exchange.fund(2, 250_000_000);
    assert_eq!(exchange.status("w-3"), Status::Assembled);
}

#[test]
fn change_comes_back_when_it_is_worth_spending_and_goes_to_fees_else() {
    for (rest, back) in [
        (VSIZE_WITH_CHANGE + 546, Some(546)),
        (VSIZE_WITH_CHANGE + 545, None),
        (VSIZE_WITHOUT, None),
        (VSIZE_WITH_CHANGE + 50_000_000, Some(50_000_000)),
    ] {
        let mut exchange = writer(&[AMOUNT + rest]);
        approved(&mut exchange, &kit::payout("w-1", 9, AMOUNT));
        let outputs = drafted(&exchange, "w-1").unwrap().outputs;
        let paid = TxOut { value_sat: AMOUNT, script: kit::address(9).script() };
        let back = back.map(|value_sat| TxOut { value_sat, script: change() });
        assert_eq!(outputs, [Some(paid), back].into_iter().flatten().collect::<Vec<_>>(), "{rest}");
    }
    let mut exchange = writer(&[AMOUNT + VSIZE_WITHOUT - 1]);
    approved(&mut exchange, &kit::payout("w-1", 9, AMOUNT));
    assert_eq!(drafted(&exchange, "w-1"), None);
}

/// It would tell everybody which of the outputs is change; the destination decides.
#[test]
fn the_payment_stands_first_after_an_odd_byte_and_second_after_an_even_one() {
    for (to, place) in [(0, 1), (1, 0), (2, 1), (9, 0), (10, 1), (255, 0)] {
        let mut exchange = writer(&[300_000_000]);
        approved(&mut exchange, &kit::payout("w-1", to, AMOUNT));
        let outputs = drafted(&exchange, "w-1").unwrap().outputs;
        assert_eq!(outputs.len(), 2);
        assert_eq!(outputs[place].script, kit::address(to).script(), "{to}");
    }
}

#[test]
fn the_fee_follows_the_nodes_rate_between_what_nodes_relay_and_what_the_vault_allows() {
    for (rate, want) in [
        (None, VSIZE_WITH_CHANGE),
        (Some(0), VSIZE_WITH_CHANGE),
        (Some(1_000), VSIZE_WITH_CHANGE),
        (Some(2_001), 379),
        (Some(100_000), 100 * VSIZE_WITH_CHANGE),
        (Some(100_001), 100 * VSIZE_WITH_CHANGE),
        (Some(u64::MAX), 100 * VSIZE_WITH_CHANGE),
    ] {
        let mut exchange = writer(&[300_000_000]);
        if let Some(rate) = rate {
            exchange.happen(Event::FeeRate(kit::NETWORK, Amount::from(rate)));
        }
        approved(&mut exchange, &kit::payout("w-1", 9, AMOUNT));
        let paid: u64 =
            drafted(&exchange, "w-1").unwrap().outputs.iter().map(|output| output.value_sat).sum();
        assert_eq!(300_000_000 - paid, want, "{rate:?}");
    }
}

#[test]
fn a_fee_is_at_most_what_payout_and_vault_allow() {
    for (fee_cap, want) in [(VSIZE_WITH_CHANGE, true), (VSIZE_WITH_CHANGE - 1, false)] {
        let mut exchange = writer(&[300_000_000]);
        let payout = Payout { fee_cap: Amount::from(fee_cap), ..kit::payout("w-1", 9, AMOUNT) };
        approved(&mut exchange, &payout);
        assert_eq!(drafted(&exchange, "w-1").is_some(), want, "{fee_cap}");
    }
}

#[test]
fn no_more_than_256_payouts_are_under_way_at_once() {
    let mut exchange = writer(&[]);
    for index in 0..258_u32 {
        let mut funding = kit::funding(0, 2_000_000);
        funding.lock_time = index;
        exchange.happen(Event::Coin(kit::hot(), kit::coin(&funding)));
    }
    let id = |number: u32| format!("w-{number:03}");
    for number in 0..258 {
        let expiry = kit::NOW.plus_ms(if number == 7 { 1_000 } else { 60_000 });
        approved(&mut exchange, &Payout { expiry, ..kit::payout(&id(number), 9, 1_000_000) });
    }
    let count = |exchange: &Exchange| (0..258).filter(|n| drafted(exchange, &id(*n)).is_some()).count();
    assert_eq!(count(&exchange), 256);
    // When one has ended the next is taken up.
    exchange.now = kit::NOW.plus_ms(1_000);
    exchange.happen(Event::Tick);
    assert_eq!((exchange.status(&id(7)), count(&exchange)), (Status::Expired, 257));
}
