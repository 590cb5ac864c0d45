//! How the writer takes up what it is asked, and what the chain makes of it: confirmed, cancelled, sent again, expired.

use std::sync::Arc;

use kuraban_base::{Amount, Height, Txid};
use kuraban_chain::btc::{Network, OutPoint, Tx};
use kuraban_vault::{
    APPROVE, Charter, Payout, Policy, REQUEST, Roster, Vault,
    coordinator::{Ask, Event, Reply, Token},
    fold::Status,
};

use crate::{
    exchange::{Exchange, approved},
    kit,
};

const DAY_MS: u64 = 24 * 3_600_000;

/// The usual charter, with a vault whose payouts count as confirmed at three blocks.
fn deep() -> Arc<Charter> {
    let vault = Vault::from_toml(&kit::hot_toml().replace("depth_min = 1", "depth_min = 3")).unwrap();
    let (roster, policy) = (kit::roster_toml(), kit::policy_toml());
    let (roster, policy) = (Roster::from_toml(&roster).unwrap(), Policy::from_toml(&policy).unwrap());
    Arc::new(Charter::new(roster, policy, vec![vault]).unwrap())
}

/// A payout whose transaction has been sent.
fn sent() -> (Exchange, Tx) {
    let mut exchange = Exchange::under(deep());
    exchange.fund(0, 300_000_000);
    let payout = Payout { expiry: kit::NOW.plus_ms(DAY_MS), ..kit::payout("w-1", 9, 100_000_000) };
    approved(&mut exchange, &payout);
    let tx = exchange.sent[0].clone();
    assert_eq!(exchange.status("w-1"), Status::Broadcast);
    (exchange, tx)
}

fn mined(exchange: &mut Exchange, txid: Txid, spends: Vec<OutPoint>) {
    exchange.happen(Event::Mined { txid, spends, height: Height::new(7) });
}

fn tip(exchange: &mut Exchange, network: Network, blocks: u32) -> Status {
    exchange.happen(Event::Tip(network, Height::new(blocks)));
    exchange.status("w-1")
}

fn spends(tx: &Tx) -> Vec<OutPoint> {
    tx.inputs.iter().map(|input| input.prev).collect()
}

#[test]
fn a_payout_is_confirmed_at_its_vaults_depth_on_its_own_chain() {
    let (mut exchange, tx) = sent();
    mined(&mut exchange, tx.txid(), spends(&tx));
    for (network, blocks, want) in [
        (kit::NETWORK, 7, Status::Broadcast),
        (kit::NETWORK, 8, Status::Broadcast),
        (Network::LtcRegtest, 100, Status::Broadcast),
        (kit::NETWORK, 9, Status::Confirmed),
    ] {
        assert_eq!(tip(&mut exchange, network, blocks), want, "{network} {blocks}");
    }
    // What is no longer in a block confirms nothing.
    let (mut exchange, tx) = sent();
    mined(&mut exchange, tx.txid(), spends(&tx));
    exchange.happen(Event::Unmined(tx.txid()));
    assert_eq!(tip(&mut exchange, kit::NETWORK, 9), Status::Broadcast);
}

#[test]
fn a_payout_is_cancelled_when_a_rival_is_as_deep_and_by_nothing_else() {
    let rival = Txid::from_bytes([1; 32]);
    let (mut exchange, tx) = sent();
    mined(&mut exchange, rival, vec![OutPoint { txid: rival, vout: 0 }]);
    assert_eq!(tip(&mut exchange, kit::NETWORK, 9), Status::Broadcast);
    mined(&mut exchange, rival, spends(&tx));
    assert_eq!(tip(&mut exchange, kit::NETWORK, 8), Status::Broadcast);
    assert_eq!(tip(&mut exchange, kit::NETWORK, 9), Status::Cancelled);
    // A payout without a transaction has none that a rival could take the coins of.
    let mut exchange = Exchange::under(deep());
    approved(&mut exchange, &kit::payout("w-1", 9, 100_000_000));
    mined(&mut exchange, rival, spends(&tx));
    assert_eq!(tip(&mut exchange, kit::NETWORK, 9), Status::Requested);
}

#[test]
fn a_payout_that_has_ended_gives_its_coin_back() {
    let (mut exchange, tx) = sent();
    let rival = Txid::from_bytes([1; 32]);
    mined(&mut exchange, rival, spends(&tx));
    approved(&mut exchange, &kit::payout("w-2", 8, 100_000_000));
    assert_eq!(exchange.status("w-2"), Status::Requested);
    assert_eq!(tip(&mut exchange, kit::NETWORK, 9), Status::Cancelled);
    assert_eq!(exchange.status("w-2"), Status::Broadcast);
    // Those of others stay theirs.
    let mut exchange = Exchange::new();
    exchange.fund(0, 300_000_000);
    exchange.fund(1, 400_000_000);
    approved(&mut exchange, &kit::payout("w-1", 9, 100_000_000));
    approved(&mut exchange, &kit::payout("w-2", 8, 100_000_000));
    let first = exchange.sent[0].clone();
    mined(&mut exchange, first.txid(), spends(&first));
    exchange.happen(Event::CoinGone(kit::hot(), spends(&first)[0]));
    assert_eq!(tip(&mut exchange, kit::NETWORK, 7), Status::Confirmed);
    approved(&mut exchange, &kit::payout("w-3", 7, 100_000_000));
    assert_eq!((exchange.status("w-2"), exchange.status("w-3")), (Status::Broadcast, Status::Requested));
}

#[test]
fn a_transaction_is_sent_again_every_half_minute_until_it_is_mined() {
    let (mut exchange, tx) = sent();
    let count = |exchange: &mut Exchange, ms: u64| {
        exchange.pass(ms);
        assert!(exchange.sent.iter().all(|sent| *sent == tx));
        exchange.sent.len()
    };
    for (ms, want) in [(29_900, 1), (100, 2), (29_900, 2), (100, 3)] {
        assert_eq!(count(&mut exchange, ms), want);
    }
    mined(&mut exchange, tx.txid(), spends(&tx));
    assert_eq!(count(&mut exchange, 60_000), 3);
    exchange.happen(Event::Unmined(tx.txid()));
    assert_eq!(count(&mut exchange, 100), 4);
    // After a restart at once.
    exchange.restart();
    assert_eq!(count(&mut exchange, 100), 5);
}

#[test]
fn a_payout_without_receipts_expires_at_its_expiry_and_no_other() {
    let mut exchange = Exchange::new();
    for (id, life_ms) in [("w-1", 1_000), ("w-2", 1_001)] {
        let payout = Payout { expiry: kit::NOW.plus_ms(life_ms), ..kit::payout(id, 9, 100_000_000) };
        approved(&mut exchange, &payout);
    }
    let mut at = |ms: u64| {
        exchange.now = kit::NOW.plus_ms(ms);
        exchange.happen(Event::Tick);
        [exchange.status("w-1"), exchange.status("w-2")]
    };
    assert_eq!(at(999), [Status::Requested; 2]);
    assert_eq!(at(1_000), [Status::Expired, Status::Requested]);
    // One that was sent goes on for ever.
    let (mut exchange, _) = sent();
    exchange.now = kit::NOW.plus_ms(2 * DAY_MS);
    exchange.happen(Event::Tick);
    assert_eq!(exchange.status("w-1"), Status::Broadcast);
}

fn ask(exchange: &mut Exchange, ask: Ask) -> Reply {
    exchange.happen(Event::Ask(Token(7), ask));
    exchange.reply(Token(7))
}

fn request(payout: &Payout, key: &str) -> Ask {
    let digest = payout.digest(&kit::charter().context());
    let request = kit::sign(&kit::person(1), REQUEST, digest.as_bytes());
    Ask::Request { payout: payout.clone(), request, key: key.to_owned() }
}

fn approve(payout: &Payout, person: u8) -> Ask {
    let digest = payout.digest(&kit::charter().context());
    Ask::Approve {
        payout: payout.id.clone(),
        approval: kit::sign(&kit::person(person), APPROVE, digest.as_bytes()),
    }
}

/// The conflict's code, or whether it was logged anew.
fn told(reply: &Reply) -> String {
    match reply {
        Reply::Logged { repeated, .. } => if *repeated { "again" } else { "logged" }.to_owned(),
        Reply::Refused(reasons) => reasons.iter().map(|reason| reason.code()).collect::<Vec<_>>().join(" "),
        Reply::Conflict { code, .. } => (*code).to_owned(),
    }
}

#[test]
fn a_key_and_an_id_name_one_request_for_ever() {
    let first = kit::payout("w-1", 9, 100_000_000);
    let second = kit::payout("w-2", 9, 100_000_000);
    let more = Payout { amount: Amount::from(100_000_001), ..first.clone() };
    let mut exchange = Exchange::new();
    for restarts in [false, true] {
        if restarts {
            exchange.restart();
        }
        let rows = [
            (&first, "k", if restarts { "again" } else { "logged" }),
            (&first, "k", "again"),
            (&first, "other", "again"),
            (&second, "k", "payout-other-body"),
            (&more, "k", "payout-other-body"),
            (&more, "other", "payout-other-body"),
        ];
        for (payout, key, want) in rows {
            assert_eq!(told(&ask(&mut exchange, request(payout, key))), want, "{} {key}", payout.id);
        }
    }
    let elsewhere = Payout { vault: "warm".parse().unwrap(), ..kit::payout("w-3", 9, 100_000_000) };
    assert_eq!(told(&ask(&mut exchange, request(&elsewhere, "w"))), "vault-unknown");
    let unlisted = Payout { amount: Amount::from(500_000_001), ..kit::payout("w-4", 9, 1) };
    assert_eq!(told(&ask(&mut exchange, request(&unlisted, "u"))), "no-rule limit-per-payout");
}

#[test]
fn an_approval_counts_once_for_what_was_requested_and_until_it_expires() {
    let payout = Payout { expiry: kit::NOW.plus_ms(1_000), ..kit::payout("w-1", 9, 100_000_000) };
    let mut exchange = Exchange::new();
    assert_eq!(told(&ask(&mut exchange, approve(&payout, 2))), "payout-unknown");
    assert_eq!(told(&ask(&mut exchange, request(&payout, "k"))), "logged");
    for (person, want) in
        [(1, "requester-approves"), (77, "approval-unknown-key"), (2, "logged"), (2, "again")]
    {
        assert_eq!(told(&ask(&mut exchange, approve(&payout, person))), want, "{person}");
    }
    let other = Payout { amount: Amount::from(100_000_001), ..payout.clone() };
    assert_eq!(told(&ask(&mut exchange, approve(&other, 3))), "approval-other");
    exchange.now = kit::NOW.plus_ms(1_000);
    assert_eq!(told(&ask(&mut exchange, approve(&payout, 3))), "expired");
    exchange.now = kit::NOW.plus_ms(999);
    assert_eq!(told(&ask(&mut exchange, approve(&payout, 3))), "logged");
}

#[test]
fn the_coin_of_a_payout_that_expired_with_receipts_is_taken_at_once() {
    let mut exchange = Exchange::new();
    exchange.fund(0, 300_000_000);
    exchange.breaks = true;
    let payout =
        |id: &str, life_ms| Payout { expiry: kit::NOW.plus_ms(life_ms), ..kit::payout(id, 9, 100_000_000) };
    approved(&mut exchange, &payout("w-1", 60_000));
    approved(&mut exchange, &payout("w-2", DAY_MS));
    for (now_ms, want) in [(59_999, Status::Requested), (60_000, Status::Assembled)] {
        exchange.now = kit::NOW.plus_ms(now_ms);
        exchange.happen(Event::Tick);
        assert_eq!(exchange.status("w-2"), want, "{now_ms}");
    }
}
