//! What the writer moves out of a vault from which somebody steals, with which fees, and when it tries again.

use std::sync::Arc;

use kuraban_base::{Amount, Asset, Digest, Height};
use kuraban_chain::btc::{Branch, Descriptor, Tx, TxOut};
use kuraban_vault::{
    Charter, PayoutKind, Policy, Roster, Vault,
    body::{Alarm, Evidence},
    breaker::{Service, Stage, Trip},
    coordinator::{Coin, Event},
    fold::{Record, Status},
    statement::Signed,
};

use crate::{
    exchange::{Exchange, approved},
    kit,
};

const DAY_MS: u64 = 24 * 3_600_000;

/// A thief's transaction that spends the vault's coin at this index.
fn theft(index: u32, value_sat: u64) -> (Tx, Tx) {
    let funding = kit::funding(index, 50_000_000);
    let loot = TxOut { value_sat, script: kit::address(0xee).script() };
    let tx = kit::tx(vec![kit::coin(&funding).outpoint], vec![loot]);
    (kit::steal(tx, &[funding.outputs[0].clone()], (Branch::Receive, index), &[1, 2]), funding)
}

fn alarm(rule: &str, subject: &str, (theft, prev): &(Tx, Tx)) -> Signed<Alarm> {
    let evidence = Some(Evidence { tx: theft.encode(), prevs: vec![prev.encode()] });
    let (rule, subject) = (rule.to_owned(), subject.to_owned());
    let (by, asset, detail) = (kit::machine(4), Asset::Btc, String::new());
    Signed::sign(Alarm { by, rule, subject, asset, detail, evidence, at: kit::NOW }, &kit::statement(4))
}

fn trip() -> Option<Box<Signed<Trip>>> {
    let (cells, evidence) = (vec![(Service::Withdrawal, Asset::Btc)], Digest::sha256(&[b"alarm"]));
    let (by, rule) = (kit::machine(4), "unexplained-spend".to_owned());
    let trip = Trip { by, cells, stage: Stage::Closed, rule, evidence, at: kit::NOW };
    Some(Box::new(Signed::sign(trip, &kit::statement(4))))
}

/// The coin at `index` is stolen, which a watcher saw.
fn stolen(exchange: &mut Exchange, index: u32) {
    let raised = alarm("unexplained-spend", &format!("theft-{index}"), &theft(index, 10_000_000));
    exchange.happen(Event::Alarm(Box::new(raised), trip()));
}

fn evacuations(exchange: &Exchange) -> Vec<&Record> {
    let evacuates = |record: &&Record| record.payout.kind == PayoutKind::Evacuation;
    exchange.writer.fold().payouts().filter(evacuates).collect()
}

/// Fee cap and coins spent of every evacuation, in their order.
fn moved(exchange: &Exchange) -> Vec<(u64, usize)> {
    let fees = |record: &&Record| record.payout.fee_cap.to_u64().unwrap();
    evacuations(exchange).iter().map(|record| (fees(record), record.drafts[0].tx.inputs.len())).collect()
}

fn mined(exchange: &mut Exchange, tx: &Tx) {
    let spends = tx.inputs.iter().map(|input| input.prev).collect();
    exchange.happen(Event::Mined { txid: tx.txid(), spends, height: Height::new(7) });
}

#[test]
fn nothing_is_evacuated_while_withdrawals_are_open() {
    let mut exchange = Exchange::new();
    exchange.fund(1, 300_000_000);
    let raised = alarm("unexplained-spend", "theft", &theft(0, 10_000_000));
    exchange.happen(Event::Alarm(Box::new(raised), None));
    exchange.happen(Event::Tick);
    assert_eq!(evacuations(&exchange).len(), 0);
    stolen(&mut exchange, 0);
    let [record] = evacuations(&exchange)[..] else { panic!("{:?}", moved(&exchange)) };
    let payout = &record.payout;
    assert_eq!((payout.fee_cap, payout.amount), (Amount::from(250_000), Amount::from(299_750_000)));
    assert_eq!(payout.destination, kit::cold().script());
    // Good at once, whatever the signers' clocks say, and for a day.
    let early = kit::NOW.ms() - payout.not_before.ms();
    assert_eq!((early, payout.expiry), (30_000, kit::NOW.plus_ms(DAY_MS)));
}

#[test]
fn an_alarm_is_logged_once_by_what_fired_and_on_what() {
    let mut exchange = Exchange::new();
    let size = exchange.writer.head().size;
    let theft = theft(0, 10_000_000);
    for (rule, subject, logged) in
        [("a", "x", 1), ("a", "x", 1), ("a", "y", 2), ("b", "x", 3), ("b", "y", 4), ("a", "y", 4)]
    {
        exchange.happen(Event::Alarm(Box::new(alarm(rule, subject, &theft)), None));
        assert_eq!(exchange.writer.head().size - size, logged, "{rule} {subject}");
    }
    // One that nobody entitled signed is not, and its trip is not either.
    let forged = alarm("c", "z", &theft).claim_unverified().clone();
    exchange.happen(Event::Alarm(Box::new(Signed::sign(forged, &kit::statement(3))), trip()));
    assert_eq!(exchange.writer.head().size - size, 4);
}

#[test]
fn what_is_left_after_the_fee_is_worth_spending_or_stays() {
    for (value_sat, want) in [(250_546, true), (250_545, false)] {
        let mut exchange = Exchange::new();
        exchange.fund(1, value_sat);
        stolen(&mut exchange, 0);
        let found: Vec<_> = evacuations(&exchange).iter().map(|record| record.payout.amount).collect();
        assert_eq!(found, if want { vec![Amount::from(546)] } else { vec![] }, "{value_sat}");
    }
}

/// The budget is 500,000: half of what is left goes into each, and what expired unsigned has not used it.
#[test]
fn each_evacuation_takes_half_of_the_budget_that_is_left() {
    let mut exchange = Exchange::new();
    for number in 1..=3 {
        exchange.happen(Event::Lost(kit::machine(number)));
    }
    // An ordinary payout's fees are its own.
    approved(&mut exchange, &kit::payout("w-1", 9, 100_000_000));
    exchange.fund(1, 60_000_000);
    stolen(&mut exchange, 0);
    exchange.fund(2, 60_000_000);
    exchange.happen(Event::Tick);
    assert_eq!(moved(&exchange), [(250_000, 1), (125_000, 1)]);
    exchange.happen(Event::Tick);
    assert_eq!(moved(&exchange).len(), 2);
    exchange.now = kit::NOW.plus_ms(DAY_MS - 1);
    exchange.happen(Event::Tick);
    assert_eq!(moved(&exchange).len(), 2);
    exchange.now = kit::NOW.plus_ms(DAY_MS);
    exchange.happen(Event::Tick);
    assert_eq!(moved(&exchange), [(250_000, 1), (125_000, 1), (250_000, 2)]);
}

/// The usual charter, with this change to its order to evacuate, and with a second vault that may evacuate too.
fn charter(fee_max: u64) -> Arc<Charter> {
    let warm = kit::hot_toml().replacen("id = \"hot\"", "id = \"warm\"", 1);
    let warm = warm.split("descriptor").next().unwrap().to_owned();
    let key = |number: u8| format!("{}/<0;1>/*", kit::coin_key(number).xpub());
    let warm = format!("{warm}descriptor = \"wpkh({})\"\nreceive_count = 10\ndepth_min = 1\n", key(1));
    let more = format!(
        "[[limit]]\nvault = \"warm\"\nper_payout_max = 1\nrolling_24h_max = 1\nfee_max = 1\nfee_rate_max = 1000\n\
         [[evacuation]]\nvault = \"warm\"\ndestination = \"{}\"\nfee_max = 500000\n",
        kit::cold()
    );
    let policy = kit::policy_toml().replace("fee_max = 500000\n", &format!("fee_max = {fee_max}\n"));
    let policy = Policy::from_toml(&(policy + &more)).unwrap();
    let vaults = [kit::hot_toml(), warm].map(|text| Vault::from_toml(&text).unwrap()).to_vec();
    Arc::new(Charter::new(Roster::from_toml(&kit::roster_toml()).unwrap(), policy, vaults).unwrap())
}

#[test]
fn without_a_budget_nothing_moves() {
    for (fee_max, want) in [(1, 0), (2, 1)] {
        let mut exchange = Exchange::under(charter(fee_max));
        exchange.fund(1, 60_000_000);
        stolen(&mut exchange, 0);
        assert_eq!(evacuations(&exchange).len(), want, "{fee_max}");
    }
}

/// One incident, two vaults: each is evacuated on its own evidence, out of its own budget.
#[test]
fn every_vault_that_is_stolen_from_is_evacuated() {
    let mut exchange = Exchange::under(charter(500_000));
    let (warm, _) = exchange.writer.fold().charter().vault(&"warm".parse().unwrap()).unwrap();
    let (id, descriptor): (_, Descriptor) = (warm.id.clone(), warm.descriptor.clone());
    let paid = |index: u32| {
        let output =
            TxOut { value_sat: 70_000_000, script: descriptor.script_at(Branch::Receive, index).unwrap() };
        kit::tx(kit::funding(index + 50, 1).inputs.iter().map(|input| input.prev).collect(), vec![output])
    };
    exchange.fund(1, 60_000_000);
    let kept: Coin = kit::coin(&paid(1));
    exchange.happen(Event::Coin(id.clone(), kept));
    stolen(&mut exchange, 0);
    let vaults = |exchange: &Exchange| {
        let all = evacuations(exchange);
        all.iter()
            .map(|record| (record.payout.vault.to_string(), record.payout.fee_cap.to_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(vaults(&exchange), [("hot".to_owned(), 250_000)]);
    // Now from the other one too.
    let loot = TxOut { value_sat: 10_000_000, script: kit::address(0xee).script() };
    let mut taken = kit::tx(vec![kit::coin(&paid(0)).outpoint], vec![loot]);
    let unsigned = taken.clone();
    let spent = [paid(0).outputs[0].clone()];
    let digests = kuraban_chain::btc::Digests::new(&unsigned, &spent).unwrap();
    let code = descriptor.script_code_at(Branch::Receive, 0).unwrap();
    let all = kuraban_chain::btc::EcdsaSighash::All;
    let child = kit::coin_key(1).child(Branch::Receive, 0).unwrap();
    let signature = child.sign(&digests.witness_v0(0, &code, all).unwrap(), all).unwrap();
    let satisfied = descriptor.satisfy(Branch::Receive, 0, &[(child.public(), signature)]).unwrap();
    taken.inputs[0].witness = satisfied.witness;
    let raised = alarm("unexplained-spend", "warm", &(taken, paid(0)));
    exchange.happen(Event::Alarm(Box::new(raised), None));
    let mut found = vaults(&exchange);
    found.sort();
    assert_eq!(found, [("hot".to_owned(), 250_000), ("warm".to_owned(), 250_000)]);
}

/// Coins on their way to a block stay there. Those of a payout that lacks signatures will not get any more.
#[test]
fn a_payouts_coins_are_taken_unless_it_has_been_signed() {
    for (signed, want) in [(true, 1), (false, 2)] {
        let mut exchange = Exchange::new();
        if !signed {
            (1..=3).for_each(|number| exchange.happen(Event::Lost(kit::machine(number))));
        }
        exchange.fund(1, 300_000_000);
        approved(&mut exchange, &kit::payout("w-1", 9, 100_000_000));
        let status = if signed { Status::Broadcast } else { Status::Assembled };
        assert_eq!(exchange.status("w-1"), status);
        exchange.fund(2, 60_000_000);
        stolen(&mut exchange, 0);
        assert_eq!(moved(&exchange), [(250_000, want)], "{signed}");
    }
}

#[test]
fn coins_are_moved_again_only_when_a_rival_was_mined() {
    let mut exchange = Exchange::new();
    exchange.fund(1, 60_000_000);
    exchange.fund(2, 70_000_000);
    stolen(&mut exchange, 0);
    let own = exchange.sent[0].clone();
    assert_eq!(moved(&exchange), [(250_000, 2)]);
    // What spends none of its coins is no rival, nor is it itself.
    let other = kit::tx(vec![kit::coin(&kit::funding(9, 1)).outpoint], Vec::new());
    for tx in [&other, &own] {
        mined(&mut exchange, tx);
        exchange.happen(Event::Tick);
        assert_eq!(moved(&exchange).len(), 1);
    }
    exchange.happen(Event::Unmined(own.txid()));
    exchange.happen(Event::Tick);
    assert_eq!(moved(&exchange).len(), 1);
    let first = kit::coin(&kit::funding(1, 60_000_000)).outpoint;
    mined(&mut exchange, &kit::tx(vec![first], Vec::new()));
    exchange.happen(Event::CoinGone(kit::hot(), first));
    exchange.happen(Event::Tick);
    assert_eq!(moved(&exchange), [(250_000, 2), (125_000, 1)]);
}

/// Coins that a thief bids for are tried for apart, and no more of either than one transaction holds.
#[test]
fn an_evacuation_spends_at_most_400_coins_the_largest_first() {
    let mut exchange = Exchange::new();
    for number in 1..=3 {
        exchange.happen(Event::Lost(kit::machine(number)));
    }
    for index in 0..401_u32 {
        let mut funding = kit::funding(0, 10_000_000 + u64::from(index));
        funding.lock_time = index;
        exchange.happen(Event::Coin(kit::hot(), kit::coin(&funding)));
    }
    stolen(&mut exchange, 5);
    assert_eq!(moved(&exchange), [(250_000, 400), (125_000, 1)]);
    let all = evacuations(&exchange);
    let least = Amount::from(10_000_000 - 125_000);
    assert_eq!(all[1].payout.amount, least);
}
