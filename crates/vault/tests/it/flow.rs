//! Writer and signers together, message by message: a payout from request to a transaction that holds.

use std::sync::Arc;

use kuraban_base::{Amount, Asset, Digest, Height};
use kuraban_chain::btc::{Branch, Network, Script, Tx, TxOut, XPriv, verify_input};
use kuraban_vault::{
    Charter, Payout, Policy, RESET, Roster, Vault,
    body::{Alarm, Evidence, reset_digest},
    breaker::{Service, Stage, Trip},
    coordinator::{Ask, Event, Reply, Token},
    fold::Status,
    statement::Signed,
};

use crate::{
    exchange::{Exchange, approved},
    kit,
};

#[test]
fn a_payout_goes_from_request_to_a_transaction_that_holds_and_is_confirmed() {
    let mut exchange = Exchange::new();
    let spent = exchange.fund(0, 300_000_000);
    assert!(matches!(exchange.request("w-1", 9, 100_000_000), Reply::Logged { repeated: false, .. }));
    assert!(matches!(exchange.approve("w-1", 9, 100_000_000, 2), Reply::Logged { .. }));
    assert_eq!((exchange.status("w-1"), exchange.sent.len()), (Status::Requested, 0));
    exchange.approve("w-1", 9, 100_000_000, 3);
    assert_eq!(exchange.status("w-1"), Status::Broadcast);
    let [tx] = exchange.sent.as_slice() else { panic!("{:?}", exchange.sent) };
    let spend = verify_input(tx, 0, &[spent]).unwrap();
    assert_eq!(spend.signers().len(), 2);
    let paid = TxOut { value_sat: 100_000_000, script: kit::address(9).script() };
    assert_eq!(tx.outputs.iter().filter(|output| **output == paid).count(), 1);
    assert_eq!(tx.outputs.len(), 2);

    let spends = tx.inputs.iter().map(|input| input.prev).collect();
    let txid = tx.txid();
    exchange.happen(Event::Mined { txid, spends, height: Height::new(7) });
    exchange.happen(Event::Tip(kit::NETWORK, Height::new(7)));
    assert_eq!(exchange.status("w-1"), Status::Confirmed);
}

#[test]
fn the_same_request_again_gets_the_same_answer_and_another_body_is_refused() {
    let mut exchange = Exchange::new();
    let first = exchange.request("w-1", 9, 100_000_000);
    let Reply::Logged { digest, repeated: false } = first else { panic!("{first:?}") };
    assert_eq!(exchange.request("w-1", 9, 100_000_000), Reply::Logged { digest, repeated: true });
    let Reply::Conflict { code, .. } = exchange.request("w-1", 9, 100_000_001) else { panic!("taken twice") };
    assert_eq!(code, "payout-other-body");
}

#[test]
fn many_payouts_flow_at_once_until_the_days_limit() {
    let mut exchange = Exchange::new();
    for index in 0..10 {
        exchange.fund(index, 200_000_000);
    }
    for number in 0..10_u8 {
        let id = format!("w-{number}");
        exchange.request(&id, number, 100_000_000);
        exchange.approve(&id, number, 100_000_000, 2);
        exchange.approve(&id, number, 100_000_000, 3);
    }
    // Eight payouts of one coin with their fees stay under nine coins; the ninth would not.
    assert_eq!(exchange.sent.len(), 8);
}

#[test]
fn a_writer_that_restarts_goes_on_where_its_log_ends() {
    let mut exchange = Exchange::new();
    exchange.request("w-1", 9, 100_000_000);
    exchange.approve("w-1", 9, 100_000_000, 2);
    exchange.approve("w-1", 9, 100_000_000, 3);
    assert_eq!(exchange.sent.len(), 0);
    exchange.restart();
    exchange.fund(0, 300_000_000);
    assert_eq!((exchange.status("w-1"), exchange.sent.len()), (Status::Broadcast, 1));
}

#[test]
fn signers_are_not_sent_more_previous_transactions_at_once_than_a_link_carries() {
    let mut exchange = Exchange::new();
    for number in 1..=3 {
        exchange.happen(Event::Lost(kit::machine(number)));
    }
    for index in 0..60_u8 {
        // A batch of payments, as another exchange makes them; one of them is to this vault.
        let mut batch = kit::funding(0, 2_000_000);
        batch.lock_time = index.into();
        let other = TxOut { value_sat: 1_000, script: Script::new(vec![0x51; 9_000]) };
        batch.outputs.extend(vec![other; 110]);
        exchange.happen(Event::Coin(kit::hot(), kit::coin(&batch)));
        approved(&mut exchange, &kit::payout(&format!("w-{index}"), index, 1_000_000));
    }
    for number in 1..=3 {
        exchange.happen(Event::Joined(kit::machine(number)));
    }
    assert_eq!(exchange.sent.len(), 60);
}

#[test]
fn a_payout_that_waits_is_taken_up_when_fees_fall() {
    let mut exchange = Exchange::new();
    exchange.fund(0, 300_000_000);
    exchange.happen(Event::FeeRate(kit::NETWORK, Amount::from(20_000)));
    let payout = Payout { fee_cap: Amount::from(1_000), ..kit::payout("w-1", 9, 100_000_000) };
    approved(&mut exchange, &payout);
    exchange.happen(Event::Tick);
    assert_eq!(exchange.status("w-1"), Status::Requested);
    exchange.happen(Event::FeeRate(kit::NETWORK, Amount::from(2_000)));
    assert_eq!(exchange.status("w-1"), Status::Broadcast);
}

#[test]
fn a_payout_that_waits_is_taken_up_when_another_that_ran_out_frees_its_coin() {
    let mut exchange = Exchange::new();
    exchange.fund(0, 300_000_000);
    // Without signers the first comes no further than a transaction.
    for number in 1..=3 {
        exchange.happen(Event::Lost(kit::machine(number)));
    }
    let first = Payout { expiry: kit::NOW.plus_ms(1_000), ..kit::payout("w-1", 9, 100_000_000) };
    approved(&mut exchange, &first);
    approved(&mut exchange, &kit::payout("w-2", 9, 100_000_000));
    assert_eq!((exchange.status("w-1"), exchange.status("w-2")), (Status::Assembled, Status::Requested));
    exchange.now = kit::NOW.plus_ms(1_000);
    exchange.happen(Event::Tick);
    assert_eq!((exchange.status("w-1"), exchange.status("w-2")), (Status::Expired, Status::Assembled));
}

#[test]
fn with_two_signers_gone_nothing_is_signed_and_with_one_gone_it_is() {
    let mut exchange = Exchange::new();
    exchange.fund(0, 300_000_000);
    exchange.happen(Event::Lost(kit::machine(1)));
    exchange.happen(Event::Lost(kit::machine(2)));
    exchange.request("w-1", 9, 100_000_000);
    exchange.approve("w-1", 9, 100_000_000, 2);
    exchange.approve("w-1", 9, 100_000_000, 3);
    assert_eq!(exchange.sent.len(), 0);
    exchange.happen(Event::Joined(kit::machine(2)));
    assert_eq!(exchange.sent.len(), 1);
}

#[test]
fn a_signer_who_is_there_and_says_nothing_useful_holds_nothing_up() {
    for number in 1..=3 {
        let mut exchange = Exchange::new();
        exchange.mute = Some(kit::machine(number));
        exchange.fund(0, 300_000_000);
        exchange.request("w-1", 9, 100_000_000);
        exchange.approve("w-1", 9, 100_000_000, 2);
        exchange.approve("w-1", 9, 100_000_000, 3);
        exchange.pass(10_000);
        assert_eq!(exchange.sent.len(), 1, "without signer {number}");
    }
}

#[test]
fn a_watcher_who_refuses_a_lease_because_it_lacks_entries_gets_them() {
    let mut exchange = Exchange::new();
    exchange.leases_from = u64::MAX;
    exchange.fund(0, 300_000_000);
    exchange.request("w-1", 9, 100_000_000);
    exchange.approve("w-1", 9, 100_000_000, 2);
    exchange.approve("w-1", 9, 100_000_000, 3);
    exchange.happen(Event::Lost(kit::machine(4)));
    exchange.request("w-2", 8, 100_000_000);
    exchange.leases_from = exchange.writer.head().size;
    exchange.happen(Event::Joined(kit::machine(4)));
    exchange.pass(1000);
    assert_eq!(exchange.sent.len(), 1);
}

/// The usual charter with a second vault, of another asset, that has the same rules.
fn two_assets() -> Arc<Charter> {
    let xpub = |number| XPriv::from_seed(Network::LtcRegtest, &kit::seed(number, 0xb3)).unwrap().xpub();
    let keys: Vec<String> = (1..=3).map(|number| format!("{}/<0;1>/*", xpub(number))).collect();
    let lite =
        kit::hot_toml().replace("\"hot\"\nnetwork", "\"lite\"\nnetwork").replace("bitcoin", "litecoin");
    let lite = lite.lines().filter(|line| !line.starts_with("descriptor")).collect::<Vec<_>>().join("\n");
    let lite = format!("{lite}\ndescriptor = \"wsh(sortedmulti(2,{}))\"\n", keys.join(","));
    let limit = "[[limit]]\nvault = \"lite\"\nper_payout_max = 500000000\nrolling_24h_max = 900000000\n\
                 fee_max = 100000\nfee_rate_max = 100000\n";
    let policy = kit::policy_toml().replacen("vaults = [\"hot\"]", "vaults = [\"hot\", \"lite\"]", 1) + limit;
    let vaults = [kit::hot_toml(), lite].map(|text| Vault::from_toml(&text).unwrap()).to_vec();
    let (roster, policy) =
        (Roster::from_toml(&kit::roster_toml()).unwrap(), Policy::from_toml(&policy).unwrap());
    Arc::new(Charter::new(roster, policy, vaults).unwrap())
}

/// One stalled node stops the payouts of its own asset alone.
#[test]
fn a_payout_needs_a_lease_that_names_its_asset_and_others_go_on() {
    let mut exchange = Exchange::under(two_assets());
    let lite = Payout {
        vault: "lite".parse().unwrap(),
        network: Network::LtcRegtest,
        ..kit::payout("l-1", 9, 100_000_000)
    };
    let (vault, _) = exchange.charter.vault(&lite.vault).unwrap();
    let script = vault.descriptor.script_at(Branch::Receive, 0).unwrap();
    let funding = kit::tx(
        kit::funding(1, 1).inputs.iter().map(|input| input.prev).collect(),
        vec![TxOut { value_sat: 300_000_000, script }],
    );
    exchange.happen(Event::Coin(lite.vault.clone(), kit::coin(&funding)));
    exchange.fund(0, 300_000_000);
    exchange.seen = [Asset::Btc].into();
    exchange.request_payout("l-1", lite.clone());
    exchange.approve_payout("l-1", &lite, 2);
    exchange.approve_payout("l-1", &lite, 3);
    let asked = exchange.leases_asked;
    exchange.pass(4000);
    assert_eq!(exchange.status("l-1"), Status::Assembled);
    // It asks again, but not all the time.
    let again = exchange.leases_asked - asked;
    assert!((3..=4).contains(&again), "asked {again} times in 4 s");

    exchange.request("w-1", 9, 100_000_000);
    exchange.approve("w-1", 9, 100_000_000, 2);
    exchange.approve("w-1", 9, 100_000_000, 3);
    exchange.pass(1000);
    assert_eq!((exchange.status("w-1"), exchange.status("l-1")), (Status::Broadcast, Status::Assembled));

    exchange.seen = [Asset::Ltc].into();
    exchange.pass(2000);
    assert_eq!(exchange.status("l-1"), Status::Broadcast);
}

/// Half of the witnesses are not asked for anything, so their cosignatures would stay as old as the last entry.
#[test]
fn old_cosignatures_of_witnesses_who_have_nothing_to_do_hold_up_no_payout() {
    for number in 1..=3 {
        let mut exchange = Exchange::new();
        exchange.refuses.insert(kit::machine(number), "input-unproven");
        exchange.breaks = true;
        exchange.fund(0, 300_000_000);
        approved(&mut exchange, &kit::payout("w-1", 9, 100_000_000));
        exchange.breaks = false;
        exchange.now = exchange.now.plus_ms(40_000);
        for other in (1..=3).filter(|other| *other != number) {
            exchange.happen(Event::Joined(kit::machine(other)));
        }
        exchange.pass(5_000);
        assert_eq!(exchange.sent.len(), 1, "without signer {number}");
    }
}

#[test]
fn a_payout_that_waits_long_for_a_lease_is_signed_when_there_is_one() {
    let mut exchange = Exchange::new();
    exchange.leases_from = u64::MAX;
    exchange.fund(0, 300_000_000);
    exchange.request("w-1", 9, 100_000_000);
    exchange.approve("w-1", 9, 100_000_000, 2);
    exchange.approve("w-1", 9, 100_000_000, 3);
    // Nothing is logged, so the same head is co-signed again and again.
    exchange.pass(200_000);
    exchange.leases_from = 0;
    exchange.pass(10_000);
    assert_eq!(exchange.sent.len(), 1);
}

/// A watcher's alarm over `theft`, with the trip that closes withdrawals.
fn alarm(theft: &Tx, prevs: &[&Tx]) -> Event {
    let cells = vec![(Service::Withdrawal, Asset::Btc), (Service::Deposit, Asset::Btc)];
    let evidence = Evidence { tx: theft.encode(), prevs: prevs.iter().map(|prev| prev.encode()).collect() };
    let alarm = Alarm {
        by: kit::machine(4),
        rule: "unexplained-spend".to_owned(),
        subject: theft.txid().to_string(),
        asset: Asset::Btc,
        detail: "no payout in the log has this transaction".to_owned(),
        evidence: Some(evidence),
        at: kit::NOW,
    };
    let trip = Trip {
        by: kit::machine(4),
        cells,
        stage: Stage::Closed,
        rule: alarm.rule.clone(),
        evidence: Digest::sha256(&[&theft.encode()]),
        at: kit::NOW,
    };
    let secret = kit::statement(4);
    Event::Alarm(Box::new(Signed::sign(alarm, &secret)), Some(Box::new(Signed::sign(trip, &secret))))
}

fn theft(funding: &Tx, machines: &[u8]) -> Tx {
    let loot = TxOut { value_sat: 10_000_000, script: kit::address(0xee).script() };
    let tx = kit::tx(vec![kit::coin(funding).outpoint], vec![loot]);
    kit::steal(tx, &[funding.outputs[0].clone()], (Branch::Receive, 0), machines)
}

/// A watcher that was set up anew raises its alarm again with a trip of its own, and leases nothing until the log shows it.
#[test]
fn a_trip_with_an_alarm_that_is_in_the_log_already_is_logged_too_and_once() {
    let mut exchange = Exchange::new();
    let funding = kit::funding(0, 50_000_000);
    let Event::Alarm(raised, Some(trip)) = alarm(&theft(&funding, &[1, 2]), &[&funding]) else {
        panic!("no trip")
    };
    let size = exchange.size();
    exchange.happen(Event::Alarm(raised.clone(), None));
    exchange.happen(Event::Alarm(raised.clone(), None));
    assert_eq!((exchange.size(), exchange.writer.fold().breaker().epoch()), (size + 1, 0));
    for _ in 0..2 {
        exchange.happen(Event::Alarm(raised.clone(), Some(trip.clone())));
        assert_eq!((exchange.size(), exchange.writer.fold().breaker().epoch()), (size + 2, 1));
    }
    assert!(exchange.writer.fold().has_trip(trip.claim_unverified()));
}

#[test]
fn after_a_proven_theft_the_rest_goes_to_the_cold_vault_and_nothing_else_is_signed() {
    let mut exchange = Exchange::new();
    let stolen = kit::funding(0, 50_000_000);
    exchange.fund(0, 50_000_000);
    exchange.fund(1, 300_000_000);
    exchange.fund(2, 400_000_000);
    exchange.request("w-1", 9, 100_000_000);
    exchange.approve("w-1", 9, 100_000_000, 2);
    exchange.happen(Event::CoinGone(kit::hot(), kit::coin(&stolen).outpoint));
    exchange.happen(alarm(&theft(&stolen, &[1, 2]), &[&stolen]));
    exchange.approve("w-1", 9, 100_000_000, 3);
    let [tx] = exchange.sent.as_slice() else { panic!("{} transactions", exchange.sent.len()) };
    let paid = TxOut { value_sat: 700_000_000 - 250_000, script: kit::cold().script() };
    assert_eq!(tx.outputs, vec![paid]);
    assert_eq!(tx.inputs.len(), 2);
    // The same alarm again moves nothing again.
    exchange.happen(alarm(&theft(&stolen, &[1, 2]), &[&stolen]));
    exchange.happen(Event::Tick);
    assert_eq!(exchange.sent.len(), 1);
}

#[test]
fn coins_that_a_theft_spends_are_raced_for_apart_from_the_others() {
    let mut exchange = Exchange::new();
    let stolen = kit::funding(0, 50_000_000);
    exchange.fund(0, 50_000_000);
    exchange.fund(1, 300_000_000);
    exchange.happen(alarm(&theft(&stolen, &[1, 2]), &[&stolen]));
    let inputs = |tx: &Tx| tx.inputs.iter().map(|input| input.prev).collect::<Vec<_>>();
    let [rest, race] = exchange.sent.as_slice() else { panic!("{} transactions", exchange.sent.len()) };
    assert_eq!(inputs(rest), [kit::coin(&kit::funding(1, 300_000_000)).outpoint]);
    assert_eq!(inputs(race), [kit::coin(&stolen).outpoint]);
}

#[test]
fn an_evacuation_is_sent_again_soon_until_it_is_mined() {
    let mut exchange = Exchange::new();
    let stolen = kit::funding(0, 50_000_000);
    exchange.fund(1, 300_000_000);
    exchange.happen(alarm(&theft(&stolen, &[1, 2]), &[&stolen]));
    assert_eq!(exchange.sent.len(), 1);
    exchange.pass(1900);
    assert_eq!(exchange.sent.len(), 1);
    exchange.pass(100);
    assert_eq!(exchange.sent.len(), 2);
    let tx = exchange.sent[0].clone();
    assert_eq!(exchange.sent[1], tx);
    let spends = tx.inputs.iter().map(|input| input.prev).collect();
    exchange.happen(Event::Mined { txid: tx.txid(), spends, height: Height::new(7) });
    exchange.pass(60_000);
    assert_eq!(exchange.sent.len(), 2);
}

#[test]
fn what_a_lost_race_leaves_behind_is_evacuated_again() {
    let mut exchange = Exchange::new();
    let (stolen, next) = (kit::funding(0, 50_000_000), kit::funding(1, 300_000_000));
    exchange.fund(0, 50_000_000);
    exchange.fund(1, 300_000_000);
    exchange.fund(2, 400_000_000);
    exchange.happen(Event::CoinGone(kit::hot(), kit::coin(&stolen).outpoint));
    exchange.happen(alarm(&theft(&stolen, &[1, 2]), &[&stolen]));
    assert_eq!(exchange.sent.len(), 1);
    // A miner takes the thief's second transaction; ours can't be mined any more.
    let spends = vec![kit::coin(&next).outpoint];
    exchange.happen(Event::CoinGone(kit::hot(), kit::coin(&next).outpoint));
    exchange.happen(Event::Mined { txid: next.txid(), spends, height: Height::new(7) });
    exchange.happen(Event::Tick);
    let [_, again] = exchange.sent.as_slice() else { panic!("{} transactions", exchange.sent.len()) };
    let left = kit::coin(&kit::funding(2, 400_000_000)).outpoint;
    assert_eq!(again.inputs.iter().map(|input| input.prev).collect::<Vec<_>>(), [left]);
    exchange.happen(Event::Tick);
    assert_eq!(exchange.sent.len(), 2);
}

#[test]
fn an_evacuation_does_not_wait_for_signers_whose_clocks_are_behind() {
    let mut exchange = Exchange::behind(kit::charter(), 9000);
    let stolen = kit::funding(0, 50_000_000);
    exchange.fund(0, 50_000_000);
    exchange.fund(1, 300_000_000);
    exchange.happen(Event::CoinGone(kit::hot(), kit::coin(&stolen).outpoint));
    exchange.happen(alarm(&theft(&stolen, &[1, 2]), &[&stolen]));
    assert_eq!(exchange.sent.len(), 1);
}

#[test]
fn signers_do_not_evacuate_on_evidence_that_is_not_validly_signed() {
    let mut exchange = Exchange::new();
    let funding = kit::funding(0, 50_000_000);
    exchange.fund(0, 50_000_000);
    exchange.fund(1, 300_000_000);
    let mut forged = theft(&funding, &[1, 2]);
    forged.outputs[0].value_sat -= 1;
    exchange.happen(alarm(&forged, &[&funding]));
    assert_eq!(exchange.sent.len(), 0);
    assert!(exchange.writer.fold().payouts().next().is_none());
}

/// What signers would refuse takes no coin, and goes on by itself when a quorum has opened the breaker again.
#[test]
fn an_approved_payout_waits_while_the_breaker_is_closed() {
    let mut exchange = Exchange::new();
    let funding = kit::funding(0, 50_000_000);
    exchange.fund(0, 50_000_000);
    exchange.request("w-1", 9, 100_000_000);
    exchange.happen(Event::CoinGone(kit::hot(), kit::coin(&funding).outpoint));
    exchange.happen(alarm(&theft(&funding, &[1, 2]), &[&funding]));
    exchange.fund(3, 300_000_000);
    exchange.approve("w-1", 9, 100_000_000, 2);
    exchange.approve("w-1", 9, 100_000_000, 3);
    assert_eq!(exchange.status("w-1"), Status::Requested);
    let cells = vec![(Service::Withdrawal, Asset::Btc)];
    assert!(matches!(reset(&mut exchange, &cells, &[2, 3]), Reply::Logged { .. }));
    assert_eq!(exchange.status("w-1"), Status::Broadcast);
}

/// People order that these cells are open again.
fn reset(exchange: &mut Exchange, cells: &[(Service, Asset)], people: &[u8]) -> Reply {
    let epoch = exchange.writer.fold().breaker().epoch();
    let digest = reset_digest(kit::ORIGIN, epoch, cells);
    let approvals = people.iter().map(|n| kit::sign(&kit::person(*n), RESET, digest.as_bytes())).collect();
    exchange.happen(Event::Ask(Token(1), Ask::Reset { cells: cells.to_vec(), epoch, approvals }));
    exchange.replies.remove(&Token(1)).unwrap()
}

#[test]
fn a_quorum_opens_the_breaker_again_and_one_person_does_not() {
    let mut exchange = Exchange::new();
    let funding = kit::funding(0, 50_000_000);
    exchange.fund(0, 50_000_000);
    exchange.happen(Event::CoinGone(kit::hot(), kit::coin(&funding).outpoint));
    exchange.happen(alarm(&theft(&funding, &[1, 2]), &[&funding]));
    let cells = vec![(Service::Withdrawal, Asset::Btc)];
    for people in [&[2][..], &[2, 2]] {
        let reply = reset(&mut exchange, &cells, people);
        assert!(matches!(reply, Reply::Conflict { code: "reset-not-ordered", .. }));
    }
    assert!(matches!(reset(&mut exchange, &cells, &[2, 3]), Reply::Logged { .. }));
    assert_eq!(exchange.writer.fold().breaker().stage(cells[0]), Stage::Open);
    exchange.fund(3, 300_000_000);
    exchange.request("w-1", 9, 100_000_000);
    exchange.approve("w-1", 9, 100_000_000, 2);
    exchange.approve("w-1", 9, 100_000_000, 3);
    assert_eq!(exchange.status("w-1"), Status::Broadcast);
}
