//! What the watcher raises, stops, leases and remembers.

use std::sync::Arc;

use kuraban_base::{Asset, Digest, MachineId};
use kuraban_chain::btc::{Branch, Network, OutPoint, Tx, TxOut};
use kuraban_vault::{
    Charter, Payout, Policy, RESET, Role, Roster, Vault,
    body::{Alarm, Body, Evidence, reset_digest},
    breaker::{Service, Stage, Trip},
    permit::Passage,
    receipt::{Lease, PERMIT_MS},
    signer::Signer,
    statement::Signed,
    wire::{Request, Response},
};
use kuraban_watch::{
    Change, Connection, Effect, Event, PERMIT_EVERY_MS, STREAMS_MAX, Watcher,
    chain::{self, FromNode},
    watcher::{NODE_STALLED, RestoreError, Secrets, Settings, SettingsError, UNEXPLAINED_SPEND},
};

use crate::{
    kit,
    node::Node,
    world::{GATE, POLL_MS, STALL_MS, WRITER, World, assemble, clock, signed, story},
};

const VALUE_SAT: u64 = 300_000_000;
const AMOUNT_SAT: u64 = 100_000_000;

fn payout(id: &str) -> Payout {
    kit::payout(id, 9, AMOUNT_SAT)
}

/// A transaction of the thief's, who holds two keys, on the one output of `funding`.
fn theft(funding: &Tx, index: u32) -> Tx {
    let loot = TxOut { value_sat: VALUE_SAT - 5000, script: kit::address(0xee).script() };
    signed(&kit::tx(vec![OutPoint { txid: funding.txid(), vout: 0 }], vec![loot]), funding, index)
}

/// That exactly this theft was raised, tripped and told, and that services stopped.
pub(crate) fn assert_theft(world: &World, tx: &Tx) {
    let subject = tx.txid().to_string();
    assert_eq!(world.raised(), [(UNEXPLAINED_SPEND.to_owned(), subject)]);
    assert!(!world.runs(Service::Withdrawal) && !world.runs(Service::Deposit));
    assert!(world.runs(Service::Buy));
}

pub(crate) fn assert_quiet(world: &World) {
    assert_eq!(world.raised(), []);
    assert!(world.runs(Service::Withdrawal) && world.runs(Service::Deposit));
}

#[test]
fn a_payout_that_was_approved_and_receipted_is_no_alarm() {
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    let tx = assemble(&payout("w-1"), &funding);
    world.append(&story(&payout("w-1"), &tx, &[2, 3], &[1, 2]));
    let tx = signed(&tx, &funding, 0);
    world.relay(&tx);
    assert_eq!(world.watcher.explained(), 1);
    world.mine(vec![tx.clone()]);
    // A reorganisation puts it back and another block takes it again.
    world.node.undo(1);
    world.node.mine(Vec::new());
    world.mine(vec![tx]);
    assert_eq!(world.watcher.explained(), 1);
    assert_quiet(&world);
    let (_, coins) = world.watcher.network(kit::NETWORK).unwrap();
    assert_eq!(
        coins.live().map(|coin| coin.output.value_sat).collect::<Vec<_>>(),
        [VALUE_SAT - AMOUNT_SAT - 10_000]
    );
}

#[test]
fn what_differs_from_the_approved_payout_is_an_alarm() {
    type Bend = fn(&mut Tx);
    let check = |what: &str, people: &[u8], signers: &[u8], bend: Bend| {
        let mut world = World::new();
        let funding = world.fund(0, VALUE_SAT);
        let mut tx = assemble(&payout("w-1"), &funding);
        world.append(&story(&payout("w-1"), &tx, people, signers));
        bend(&mut tx);
        let tx = signed(&tx, &funding, 0);
        world.relay(&tx);
        assert_eq!(world.watcher.explained(), 0, "{what}");
        assert_theft(&world, &tx);
        let mut world = World::new();
        // And the same where it is first seen in a block.
        world.fund(0, VALUE_SAT);
        world.mine(vec![tx.clone()]);
        assert_theft(&world, &tx);
    };
    check("another amount", &[2, 3], &[1, 2], |tx| tx.outputs[0].value_sat += 1);
    check("another destination", &[2, 3], &[1, 2], |tx| {
        tx.outputs[0].script = kit::address(0xee).script();
    });
    check("one more output", &[2, 3], &[1, 2], |tx| {
        tx.outputs[1].value_sat -= 1000;
        tx.outputs.push(TxOut { value_sat: 1000, script: kit::address(0xee).script() });
    });
    check("an approval is missing", &[2], &[1, 2], |_| {});
    check("the requester approves", &[1, 2], &[1, 2], |_| {});
    check("a receipt is missing", &[2, 3], &[1], |_| {});
    check("no receipt", &[2, 3], &[], |_| {});
}

#[test]
fn stolen_signers_cannot_explain_what_nobody_approved() {
    // The log has everything for these, but the transaction is not the payout.
    let check = |what: &str, bend: fn(&mut Tx)| {
        let mut world = World::new();
        let funding = world.fund(0, VALUE_SAT);
        let mut tx = assemble(&payout("w-1"), &funding);
        bend(&mut tx);
        world.append(&story(&payout("w-1"), &tx, &[2, 3], &[1, 2, 3]));
        let tx = signed(&tx, &funding, 0);
        world.relay(&tx);
        assert_eq!(world.raised().len(), 1, "{what}");
        assert_theft(&world, &tx);
    };
    check("the change goes to somebody else", |tx| tx.outputs[1].script = kit::address(0xee).script());
    check("everything goes to the miner", |tx| drop(tx.outputs.pop()));
    check("the fee is one above what was approved", |tx| tx.outputs[1].value_sat -= 40_001);
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    let mut tx = assemble(&payout("w-1"), &funding);
    tx.outputs[1].value_sat -= 40_000;
    world.append(&story(&payout("w-1"), &tx, &[2, 3], &[1, 2]));
    world.relay(&signed(&tx, &funding, 0));
    assert_quiet(&world);
}

/// Whoever holds enough signers can log receipts for anything. What the watcher cannot find among the vaults' coins explains
/// nothing, even where payment, change and the fee that is known are right.
#[test]
fn a_payout_that_spends_a_coin_of_nobody_is_an_alarm_at_its_block() {
    let check = |foreign: &[u32], theirs: bool| {
        let mut world = World::new();
        let funding = world.fund(0, VALUE_SAT);
        let mut tx = assemble(&payout("w-1"), &funding);
        let another = |vout| OutPoint { txid: kit::funding(40, 1).txid(), vout };
        tx.inputs.extend(kit::tx(foreign.iter().copied().map(another).collect(), Vec::new()).inputs);
        world.append(&story(&payout("w-1"), &tx, &[2, 3], &[1, 2, 3]));
        let spent = vec![funding.outputs[0].clone(); tx.inputs.len()];
        let tx = kit::steal(tx, &spent, (Branch::Receive, 0), &[1, 2]);
        // Before a block holds it, a coin may only be unknown because its own block is late.
        world.relay(&tx);
        assert_quiet(&world);
        assert_eq!(world.watcher.explained(), u64::from(!theirs));
        world.mine(vec![tx.clone()]);
        if !theirs {
            return assert_quiet(&world);
        }
        assert_theft(&world, &tx);
        let detail = world.alarms()[0].0.detail.clone();
        assert!(detail.contains(&another(foreign[0]).to_string()), "{detail}");
        // And where the block is the first that shows it.
        let mut world = World::new();
        world.fund(0, VALUE_SAT);
        let assembled = {
            let mut draft = tx.clone();
            draft.inputs[0].witness.clear();
            draft
        };
        world.append(&story(&payout("w-1"), &assembled, &[2, 3], &[1, 2, 3]));
        world.mine(vec![tx.clone()]);
        assert_theft(&world, &tx);
    };
    check(&[], false);
    check(&[0], true);
    check(&[7, 8], true);
}

/// The watcher's node may be a block behind the writer's, or hold a block back.
#[test]
fn a_payout_that_is_seen_before_its_coins_is_explained_by_their_block() {
    let mut world = World::new();
    let (funding, late) = (world.fund(0, VALUE_SAT), kit::funding(1, 5000));
    let mut tx = assemble(&payout("w-1"), &funding);
    tx.inputs.extend(kit::tx(vec![OutPoint { txid: late.txid(), vout: 0 }], Vec::new()).inputs);
    world.append(&story(&payout("w-1"), &tx, &[2, 3], &[1, 2]));
    let spent = [funding.outputs[0].clone(), late.outputs[0].clone()];
    let tx = kit::steal(tx, &spent, (Branch::Receive, 0), &[1, 2]);
    world.relay(&tx);
    assert_eq!(world.watcher.explained(), 0);
    world.mine(vec![late]);
    world.mine(vec![tx]);
    assert_eq!(world.watcher.explained(), 1);
    assert_quiet(&world);
}

#[test]
fn an_alarm_carries_evidence_that_a_signer_verifies_and_a_trip_for_every_signer() {
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    world.sent.clear();
    let tx = theft(&funding, 0);
    world.relay(&tx);
    let [(alarm, Some(trip))] = &world.alarms()[..] else { panic!("{:?}", world.alarms()) };
    assert_eq!(alarm.evidence, Some(Evidence { tx: tx.encode(), prevs: vec![funding.encode()] }));
    let fold = world.watcher.follower().fold();
    let evidence = alarm.evidence.clone().unwrap();
    assert_eq!(kuraban_vault::explain::theft(fold, &kit::hot(), &evidence), Ok(()));
    let signed_alarm = world.watcher.alarms()[0].0.clone();
    let own = kit::statement(4).public();
    signed_alarm.clone().verify(&own).unwrap();
    world.watcher.alarms()[0].1.clone().unwrap().verify(&own).unwrap();
    let digest = Digest::sha256(&[&Body::AlarmRaised(signed_alarm).encode()]);
    assert_eq!((trip.stage, trip.evidence), (Stage::Closed, digest));
    assert_eq!(trip.cells, [(Service::Withdrawal, Asset::Btc), (Service::Deposit, Asset::Btc)]);
    assert_eq!(world.trips_sent(), [1, 2, 3].map(kit::machine));
    // The gate hears before anybody else; the writer hears too.
    let kinds: Vec<&str> = world
        .sent
        .iter()
        .map(|effect| match effect {
            Effect::Answer { to: GATE, .. } => "permit",
            Effect::Answer { to: WRITER, .. } => "alarm",
            Effect::Answer { .. } | Effect::Node { .. } => "other",
            Effect::Trip { .. } => "trip",
        })
        .collect();
    assert_eq!(kinds, ["permit", "trip", "trip", "trip", "alarm"]);
    // And a signer takes the trip.
    let Effect::Trip { trip, .. } = world.sent[1].clone() else { panic!("{:?}", world.sent) };
    let mut signer: Signer = kit::signer(1, &world.charter);
    let step = signer.step(clock(0), Role::Watcher, [0; 32], Request::Trip(trip));
    assert_eq!(step.answer, Response::Tripped);
}

#[test]
fn a_lying_node_cannot_stop_the_exchange_with_what_is_not_signed() {
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    let mut forged = theft(&funding, 0);
    forged.outputs[0].value_sat -= 1;
    world.relay(&forged);
    let mut bare = theft(&funding, 0);
    bare.inputs[0].witness.clear();
    world.relay(&bare);
    assert_quiet(&world);
    assert_eq!(world.watcher.invalid(), 2);
    // The same transaction with its real witness is another matter, though its txid was seen before.
    let real = theft(&funding, 0);
    assert_eq!(bare.txid(), real.txid());
    world.relay(&real);
    assert_theft(&world, &real);
}

#[test]
fn a_theft_that_the_mempool_never_showed_is_an_alarm_at_its_block() {
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    let tx = theft(&funding, 0);
    world.mine(vec![tx.clone()]);
    assert_theft(&world, &tx);
}

#[test]
fn change_that_no_block_has_yet_is_guarded_too() {
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    let tx = assemble(&payout("w-1"), &funding);
    world.append(&story(&payout("w-1"), &tx, &[2, 3], &[1, 2]));
    let tx = signed(&tx, &funding, 0);
    world.relay(&tx);
    let change = TxOut { value_sat: 1, script: kit::address(0xee).script() };
    let stolen = kit::tx(vec![OutPoint { txid: tx.txid(), vout: 1 }], vec![change]);
    let stolen = kit::steal(stolen, &tx.outputs[1..], (Branch::Change, 0), &[2, 3]);
    world.relay(&stolen);
    assert_theft(&world, &stolen);
}

#[test]
fn an_alarm_is_raised_once_whatever_repeats() {
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    let tx = theft(&funding, 0);
    world.relay(&tx);
    world.sent.clear();
    world.relay(&tx);
    world.mine(vec![tx.clone()]);
    world.node.undo(1);
    world.node.mine(vec![tx.clone()]);
    world.mine(Vec::new());
    world.wait(POLL_MS);
    assert_theft(&world, &tx);
    assert_eq!(world.trips_sent(), Vec::<MachineId>::new());
    world.restart();
    assert_theft(&world, &tx);
    assert_eq!(world.trips_sent(), Vec::<MachineId>::new());
    // A second theft is a second alarm.
    let other = world.fund(1, VALUE_SAT);
    world.relay(&theft(&other, 1));
    assert_eq!(world.raised().len(), 2);
}

#[test]
fn a_theft_while_the_watcher_was_down_is_an_alarm_right_after_its_restart() {
    for in_block in [true, false] {
        let mut world = World::new();
        let funding = world.fund(0, VALUE_SAT);
        let tx = theft(&funding, 0);
        world.node.grow(5);
        if in_block {
            world.node.mine(vec![tx.clone()]);
            world.node.grow(5);
        } else {
            world.node.mempool.push(tx.clone());
        }
        world.restart();
        assert_theft(&world, &tx);
    }
}

#[test]
fn a_restart_remembers_log_coins_and_alarms_and_undoes_what_was_undone_meanwhile() {
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    let tx = assemble(&payout("w-1"), &funding);
    world.append(&story(&payout("w-1"), &tx, &[2, 3], &[1, 2]));
    let tx = signed(&tx, &funding, 0);
    world.mine(vec![tx.clone()]);
    world.node.undo(1);
    world.node.grow(2);
    world.hear(world.node.headers(2));
    let held = |world: &World| -> Vec<u64> {
        let (chain, coins) = world.watcher.network(kit::NETWORK).unwrap();
        assert_eq!(chain.tip(), world.node.tip());
        coins.live().map(|coin| coin.output.value_sat).collect()
    };
    assert_eq!(held(&world), [VALUE_SAT]);
    let head = world.watcher.follower().head();
    world.restart();
    assert_eq!((held(&world), world.watcher.follower().head()), (vec![VALUE_SAT], head));
    world.node.undo(2);
    world.node.mine(vec![tx]);
    world.node.grow(2);
    world.restart();
    assert_eq!(held(&world), [VALUE_SAT - AMOUNT_SAT - 10_000]);
    assert_eq!(world.watcher.explained(), 1);
    assert_quiet(&world);
}

#[test]
fn a_damaged_store_is_noticed() {
    let mut world = World::new();
    world.fund(0, VALUE_SAT);
    world.relay(&theft(&kit::funding(0, VALUE_SAT), 0));
    let fresh = |world: &World| {
        let mut again = World::under(Arc::clone(&world.charter));
        again.disk.clear();
        again.restore();
        again
    };
    let changes: Vec<Change> = world.disk.iter().map(|row| Change::decode(row).unwrap()).collect();
    // Each change alone is missing once; the first that then does not fit is named.
    let mut named = Vec::new();
    for missing in 0..changes.len() {
        let mut again = fresh(&world);
        let rest = changes.iter().enumerate().filter(|(index, _)| *index != missing);
        let failed = rest.map(|(_, change)| again.watcher.restore(change.clone())).find_map(Result::err);
        named.push(match failed {
            Some(RestoreError::Chain { .. }) => "chain",
            Some(RestoreError::Log(_)) => "log",
            Some(_) => "other",
            None => "nothing",
        });
    }
    let kind = |change: &Change| match change {
        Change::Entries { .. } => "log",
        Change::Connected { .. } | Change::Disconnected { .. } => "chain",
        // Without its mark a log is waited for once more.
        Change::Cosigned(_) | Change::Alarm(_) | Change::Whole | Change::Anew { .. } => "nothing",
    };
    let mut want: Vec<&str> = changes.iter().map(kind).collect();
    // The last block has none after it that would miss it.
    let last = changes.iter().rposition(|change| matches!(change, Change::Connected { .. })).unwrap();
    want[last] = "nothing";
    assert_eq!(named, want);
    let mut again = fresh(&world);
    let (alarm, trip) = world.watcher.alarms()[0].clone();
    let forged = Signed::sign(alarm.claim_unverified().clone(), &kit::statement(1));
    let restored = again.watcher.restore(Change::Alarm(Box::new((forged, trip.clone()))));
    assert!(matches!(restored, Err(RestoreError::Statement { what: "alarm" })), "{restored:?}");
    let forged = trip.map(|trip| Signed::sign(trip.claim_unverified().clone(), &kit::statement(1)));
    let restored = again.watcher.restore(Change::Alarm(Box::new((alarm, forged))));
    assert!(matches!(restored, Err(RestoreError::Statement { what: "trip" })), "{restored:?}");
    for row in &world.disk {
        for cut in 0..row.len() {
            assert!(Change::decode(&row[..cut]).is_err());
        }
    }
}

#[test]
fn a_stalled_node_is_one_alarm_and_closes_until_it_is_back() {
    let mut world = World::new();
    world.wait(POLL_MS);
    assert_quiet(&world);
    world.online = false;
    world.hear(FromNode::Closed);
    for _ in 0..(STALL_MS / POLL_MS) {
        world.wait(POLL_MS);
    }
    assert_quiet(&world);
    world.wait(1);
    for _ in 0..10 {
        world.wait(POLL_MS);
    }
    let since = clock(POLL_MS).wall.ms();
    assert_eq!(world.raised(), [(NODE_STALLED.to_owned(), format!("bitcoin-regtest since {since}"))]);
    assert_eq!(world.alarms()[0].1, None);
    assert_eq!(world.passage(Service::Withdrawal), Passage::Tightened(Stage::Closed));
    assert_eq!(world.passage(Service::Deposit), Passage::Tightened(Stage::Closed));
    assert!(world.runs(Service::Buy));
    // A theft happened behind its back; it is found before anything opens again.
    let funding = kit::funding(0, VALUE_SAT);
    world.node.mine(vec![funding.clone()]);
    world.connect();
    assert_eq!(world.raised().len(), 1);
    assert!(world.runs(Service::Withdrawal));
    // The next stall is another alarm.
    world.online = false;
    for _ in 0..10 {
        world.wait(POLL_MS);
    }
    assert_eq!(world.raised().len(), 2);
    let stolen = theft(&funding, 0);
    world.node.mine(vec![stolen.clone()]);
    world.connect();
    assert_eq!(world.raised().last().unwrap().1, stolen.txid().to_string());
    assert!(!world.runs(Service::Withdrawal));
}

#[test]
fn where_the_node_shows_the_past_nothing_is_open_or_leased_and_somebody_is_told() {
    let mut world = World::new();
    let (today_s, old_s) = (world.node.time_s, world.node.time_s - 2 * 86_400);
    world.node = Node::new(kit::NETWORK);
    world.node.time_s = old_s;
    world.node.grow(3);
    world.wipe();
    world.hand(1, 1);
    for _ in 0..20 {
        world.mine(Vec::new());
        world.wait(POLL_MS);
        assert_eq!(world.passage(Service::Withdrawal), Passage::Tightened(Stage::Closed));
        assert_eq!(world.passage(Service::Deposit), Passage::Tightened(Stage::Closed));
        let refused = lease(&mut world);
        assert_refused(Some(refused), "chain-not-current");
    }
    let rules: Vec<String> = world.raised().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, [NODE_STALLED]);
    world.node.time_s = today_s;
    world.mine(Vec::new());
    assert!(world.runs(Service::Withdrawal));
    assert!(matches!(lease(&mut world), Response::Lease(_)));
}

#[test]
fn a_slow_restart_is_no_stall() {
    let mut world = World::new();
    world.restore();
    world.now_ms += 100 * STALL_MS;
    world.wait(0);
    world.connect();
    world.open_gate();
    assert_quiet(&world);
}

#[test]
fn permits_come_every_half_second_and_at_once_on_a_change() {
    let mut world = World::new();
    let permits = |world: &mut World| {
        let sent = core::mem::take(&mut world.sent);
        let seq = |effect: Effect| match effect {
            Effect::Answer { to: GATE, response } => {
                let Response::Permit(permit) = *response else { panic!("{response:?}") };
                Some(permit.claim_unverified().seq)
            }
            Effect::Answer { .. } | Effect::Trip { .. } | Effect::Node { .. } => None,
        };
        sent.into_iter().filter_map(seq).collect::<Vec<u64>>()
    };
    let first = permits(&mut world).last().copied().unwrap();
    world.wait(PERMIT_EVERY_MS - 1);
    assert_eq!(permits(&mut world), []);
    world.wait(1);
    assert_eq!(permits(&mut world), [first + 1]);
    let funding = world.fund(0, VALUE_SAT);
    assert_eq!(permits(&mut world), []);
    world.relay(&theft(&funding, 0));
    assert_eq!(permits(&mut world), [first + 2]);
    // The gate is closed by silence alone.
    world.now_ms += PERMIT_MS;
    assert_eq!(world.passage(Service::Buy), Passage::Silent);
    world.wait(0);
    assert!(world.runs(Service::Buy));
    world.happen(Event::Gone(GATE));
    permits(&mut world);
    world.wait(PERMIT_EVERY_MS);
    assert_eq!(permits(&mut world), []);
}

#[test]
fn before_the_chain_is_caught_up_nothing_is_open_and_nothing_is_leased() {
    let mut world = World::new();
    world.restore();
    world.open_gate();
    assert_eq!(world.passage(Service::Withdrawal), Passage::Tightened(Stage::Closed));
    assert_eq!(world.passage(Service::Deposit), Passage::Tightened(Stage::Closed));
    assert!(world.runs(Service::Buy));
    assert_refused(
        world.ask(WRITER, Role::Writer, Request::Lease { challenges: vec![[1; 32]] }),
        "chain-not-current",
    );
    world.connect();
    assert!(world.runs(Service::Withdrawal) && world.runs(Service::Deposit));
    assert!(matches!(lease(&mut world), Response::Lease(_)));
}

pub(crate) fn lease(world: &mut World) -> Response {
    world.ask(WRITER, Role::Writer, Request::Lease { challenges: vec![[1; 32], [2; 32]] }).unwrap()
}

pub(crate) fn assert_refused(response: Option<Response>, code: &str) {
    let Some(Response::Refused(refused)) = response else { panic!("{response:?}, want {code}") };
    assert_eq!(refused.code, code);
}

/// A writer that keeps the trip out of the log, and signers that the trip does not reach, must not go on.
#[test]
fn nothing_is_leased_until_the_log_shows_the_trip() {
    let mut world = World::new();
    let funding = world.fund(0, VALUE_SAT);
    world.relay(&theft(&funding, 0));
    let refused = lease(&mut world);
    assert_refused(Some(refused), "trip-not-logged");
    world.restart();
    let refused = lease(&mut world);
    assert_refused(Some(refused), "trip-not-logged");
    let trip = world.watcher.alarms()[0].1.clone().unwrap();
    world.append(&[Body::BreakerTripped(trip)]);
    // The evacuation has its leases, at the epoch after the trip.
    let Response::Lease(given) = lease(&mut world) else { panic!("no lease") };
    assert_eq!(given.claim_unverified().epoch, 1);
}

#[test]
fn a_lease_says_what_the_watcher_folded_and_is_refused_when_it_is_blind() {
    let mut world = World::new();
    let Response::Lease(given) = lease(&mut world) else { panic!("no lease") };
    let given = given.verify(&kit::statement(4).public()).unwrap().into_claim();
    let head = world.watcher.follower().head();
    let want = Lease {
        by: kit::machine(4),
        challenges: vec![[1; 32], [2; 32]],
        assets: [Asset::Btc].into(),
        epoch: 0,
        size: head.size,
        root: head.root,
        at: clock(0).wall,
    };
    assert_eq!(given, want);
    world.hear(FromNode::Closed);
    let refused = lease(&mut world);
    assert_refused(Some(refused), "chain-not-current");
    world.connect();
    assert!(matches!(lease(&mut world), Response::Lease(_)));
    // An entry that does not follow spoils the log for good.
    let stray = Body::PayoutExpired { payout: "w-9".parse().unwrap() };
    let (from, entries, checkpoint) = world.log.append(kit::NOW, &[stray]);
    assert_refused(
        world.ask(WRITER, Role::Writer, Request::Extend { from, entries, checkpoint, newest: 0 }),
        "log-not-followed",
    );
    let refused = lease(&mut world);
    assert_refused(Some(refused), "log-not-followed");
}

#[test]
fn a_lease_names_the_assets_whose_chains_are_all_seen() {
    let check = |dark: &[Network], want: Option<&[Asset]>| {
        let mut world = World::new();
        world.dark = dark.to_vec();
        world.restart();
        match (lease(&mut world), want) {
            (Response::Lease(given), Some(want)) => {
                assert_eq!(given.claim_unverified().assets, want.iter().copied().collect());
                assert!(world.runs(Service::Withdrawal));
                let ltc = (Service::Withdrawal, Asset::Ltc);
                let open = world.gate.passage(clock(world.now_ms), ltc);
                let tightened = Passage::Tightened(Stage::Closed);
                assert_eq!(open == tightened, dark.contains(&Network::LtcRegtest));
            }
            (refused, None) => assert_refused(Some(refused), "chain-not-current"),
            (given, Some(_)) => panic!("{given:?}"),
        }
        // What is wrong with the log is wrong for all.
        let funding = world.fund(0, VALUE_SAT);
        world.relay(&theft(&funding, 0));
        let code = if want.is_some() { "trip-not-logged" } else { "chain-not-current" };
        let refused = lease(&mut world);
        assert_refused(Some(refused), code);
    };
    check(&[], Some(&[Asset::Btc]));
    check(&[Network::LtcRegtest], Some(&[Asset::Btc]));
    check(&[Network::LtcRegtest, Network::LtcTest], Some(&[Asset::Btc]));
    // One of an asset's two networks.
    check(&[Network::BtcTest], None);
    check(&[Network::BtcTest, Network::LtcRegtest], None);
}

#[test]
fn entries_are_on_disk_before_they_are_cosigned_and_gaps_are_told() {
    let mut world = World::new();
    let rows = world.disk.len();
    let funding = kit::funding(0, VALUE_SAT);
    let tx = assemble(&payout("w-1"), &funding);
    world.append(&story(&payout("w-1"), &tx, &[2, 3], &[]));
    let kinds: Vec<Change> = world.disk[rows..].iter().map(|row| Change::decode(row).unwrap()).collect();
    assert!(matches!(kinds.as_slice(), [Change::Entries { from: 1, .. }, Change::Cosigned(_)]), "{kinds:?}");
    let size = world.watcher.follower().head().size;
    // Co-signing the same head again leaves nothing.
    for _ in 0..3 {
        world.hand(size, size);
    }
    assert_eq!(world.disk.len(), rows + 2);
    let ahead = Request::Extend { from: size + 1, entries: Vec::new(), checkpoint: Vec::new(), newest: 0 };
    assert_eq!(world.ask(WRITER, Role::Writer, ahead), Some(Response::Behind { size }));
    let torn = Request::Extend { from: size, entries: Vec::new(), checkpoint: b"x".to_vec(), newest: 0 };
    assert_refused(world.ask(WRITER, Role::Writer, torn), "log-not-followed");
    assert!(matches!(lease(&mut world), Response::Lease(_)));
    assert_eq!(world.disk.len(), rows + 2);
    assert_eq!(world.ask(GATE, Role::Gate, Request::Status), Some(Response::Status { size, epoch: 0 }));
}

#[test]
fn each_role_may_ask_only_its_own() {
    let mut world = World::new();
    let challenges = vec![[1; 32]];
    for role in [Role::Gate, Role::Signer, Role::Watcher] {
        for request in [
            Request::Extend { from: 0, entries: Vec::new(), checkpoint: Vec::new(), newest: 0 },
            Request::Lease { challenges: challenges.clone() },
            Request::Alarms { from: 0 },
        ] {
            assert_refused(world.ask(Connection(9), role, request), "request-not-allowed");
        }
    }
    for role in [Role::Writer, Role::Signer, Role::Watcher] {
        assert_refused(
            world.ask(Connection(9), role, Request::Permits { stream: [1; 32] }),
            "request-not-allowed",
        );
    }
}

#[test]
fn streams_are_bounded() {
    let mut world = World::new();
    let mut open = |number: u64| {
        world.sent.clear();
        world.ask(Connection(number), Role::Gate, Request::Permits { stream: [1; 32] })
    };
    let first = 1000;
    // One stream is the gate's own.
    for number in 1..u64::try_from(STREAMS_MAX).unwrap() {
        assert!(matches!(open(first + number), Some(Response::Permit(_))));
    }
    assert_refused(open(first), "too-many-streams");
    assert!(matches!(open(first + 1), Some(Response::Permit(_))));
}

/// An order of two approvers to open both cells again, for the log's epoch.
pub(crate) fn reset(world: &World) -> Body {
    let cells = vec![(Service::Withdrawal, Asset::Btc), (Service::Deposit, Asset::Btc)];
    let epoch = world.watcher.follower().fold().breaker().epoch();
    let digest = reset_digest(kit::ORIGIN, epoch, &cells);
    let approvals = [2, 3].map(|number| kit::sign(&kit::person(number), RESET, digest.as_bytes())).to_vec();
    Body::BreakerReset { cells, epoch, approvals }
}

#[test]
fn a_reset_opens_what_the_log_showed_and_nothing_else() {
    let mut world = World::new();
    let (first, second) = (world.fund(0, VALUE_SAT), world.fund(1, VALUE_SAT));
    world.relay(&theft(&first, 0));
    let trip = |world: &World, index: usize| world.watcher.alarms()[index].1.clone().unwrap();
    // A reset that does not know of the trip leaves it.
    world.append(&[reset(&world)]);
    assert!(!world.runs(Service::Withdrawal));
    world.append(&[Body::BreakerTripped(trip(&world, 0))]);
    world.relay(&theft(&second, 1));
    world.append(&[reset(&world)]);
    assert!(!world.runs(Service::Withdrawal));
    // Signers that reconnect hear only of what still stands.
    world.sent.clear();
    world.happen(Event::Signer(kit::machine(2)));
    let standing = Effect::Trip { signer: kit::machine(2), trip: trip(&world, 1) };
    assert_eq!(world.sent, [standing]);
    world.append(&[Body::BreakerTripped(trip(&world, 1))]);
    world.append(&[reset(&world)]);
    assert!(world.runs(Service::Withdrawal) && world.runs(Service::Deposit));
    world.restart();
    assert!(world.runs(Service::Withdrawal) && world.runs(Service::Deposit));
    world.sent.clear();
    world.happen(Event::Signer(kit::machine(2)));
    assert_eq!(world.sent, []);
}

#[test]
fn the_tighter_of_log_and_own_trips_counts() {
    let mut world = World::new();
    let trip = Trip {
        by: kit::machine(4),
        cells: vec![(Service::Buy, Asset::Btc), (Service::Withdrawal, Asset::Btc)],
        stage: Stage::Delayed,
        rule: "somebody's".to_owned(),
        evidence: Digest::sha256(&[]),
        at: kit::NOW,
    };
    world.append(&[Body::BreakerTripped(Signed::sign(trip, &kit::statement(4)))]);
    assert_eq!(world.passage(Service::Buy), Passage::Tightened(Stage::Delayed));
    assert_eq!(world.passage(Service::Withdrawal), Passage::Tightened(Stage::Delayed));
    let funding = world.fund(0, VALUE_SAT);
    world.relay(&theft(&funding, 0));
    assert_eq!(world.passage(Service::Buy), Passage::Tightened(Stage::Delayed));
    assert_eq!(world.passage(Service::Withdrawal), Passage::Tightened(Stage::Closed));
}

#[test]
fn a_writer_that_comes_later_hears_of_every_alarm_it_has_not_counted() {
    let mut world = World::new();
    for index in 0..3 {
        let funding = world.fund(index, VALUE_SAT);
        world.relay(&theft(&funding, index));
    }
    let heard = |world: &mut World, from: u64| -> Vec<Alarm> {
        world.sent.clear();
        world.ask(Connection(11), Role::Writer, Request::Alarms { from });
        let alarm = |effect: &Effect| match effect {
            Effect::Answer { to: Connection(11), response } => {
                let Response::Alarm(alarm, Some(_)) = &**response else { panic!("{response:?}") };
                Some(alarm.claim_unverified().clone())
            }
            Effect::Answer { .. } | Effect::Trip { .. } | Effect::Node { .. } => None,
        };
        world.sent.iter().filter_map(alarm).collect()
    };
    let all: Vec<Alarm> = world.alarms().into_iter().map(|(alarm, _)| alarm).collect();
    assert_eq!(heard(&mut world, 0), all);
    assert_eq!(heard(&mut world, 2), all[2..]);
    assert_eq!(heard(&mut world, 3), []);
    assert_eq!(heard(&mut world, u64::MAX), []);
    world.restart();
    assert_eq!(heard(&mut world, 1), all[1..]);
}

/// The same roster with one more watcher.
pub(crate) fn two_watchers() -> Arc<Charter> {
    let key = kuraban_base::hex::encode(kit::statement(5).public().as_bytes());
    let tls = kuraban_base::hex::encode(&kit::seed(5, 0xb4));
    let roster = kit::roster_toml().replace("witnesses_min = 3", "witnesses_min = 4")
        + &format!(
            "[[machine]]\nid = \"watcher-2\"\nrole = \"watcher\"\ntls = \"{tls}\"\nwitness = \"{}\"\nstatement = \"{key}\"\n",
            kit::cosigner(5).verifier()
        );
    let (roster, policy) =
        (Roster::from_toml(&roster).unwrap(), Policy::from_toml(&kit::policy_toml()).unwrap());
    Arc::new(Charter::new(roster, policy, vec![Vault::from_toml(&kit::hot_toml()).unwrap()]).unwrap())
}

/// The story of a payout under another charter than the usual one.
pub(crate) fn story_under(charter: &Charter, payout: &Payout, tx: &Tx) -> Vec<Body> {
    use kuraban_vault::{APPROVE, REQUEST, receipt::Receipt};
    let digest = payout.digest(&charter.context());
    let id = payout.id.clone();
    let mut bodies = story(payout, tx, &[], &[]);
    if let Body::PayoutRequested { request, .. } = &mut bodies[0] {
        *request = Some(kit::sign(&kit::person(1), REQUEST, digest.as_bytes()));
    }
    for number in [2, 3] {
        let approval = kit::sign(&kit::person(number), APPROVE, digest.as_bytes());
        bodies.push(Body::PayoutApproved { payout: id.clone(), approval });
    }
    for number in [1, 2] {
        let receipt = Receipt {
            by: kit::machine(number),
            payout: id.clone(),
            digest,
            txid: tx.txid(),
            outflow: payout.amount,
            seq: 1,
            at: kit::NOW,
        };
        bodies.push(Body::PayoutReceipt(Signed::sign(receipt, &kit::statement(number))));
    }
    bodies
}

#[test]
fn where_another_watcher_leases_a_spend_may_wait_for_its_entries_and_not_longer() {
    let charter = two_watchers();
    let ready = || {
        let mut world = World::under(Arc::clone(&charter));
        let funding = world.fund(0, VALUE_SAT);
        let tx = assemble(&payout("w-1"), &funding);
        (world, tx.clone(), signed(&tx, &funding, 0))
    };
    let (mut world, draft, tx) = ready();
    world.relay(&tx);
    world.wait(499);
    assert_quiet(&world);
    world.append(&story_under(&charter, &payout("w-1"), &draft));
    world.wait(POLL_MS);
    assert_eq!(world.watcher.explained(), 1);
    assert_quiet(&world);

    let (mut world, _, tx) = ready();
    world.relay(&tx);
    world.wait(499);
    assert_quiet(&world);
    world.wait(1);
    assert_theft(&world, &tx);

    // A restart in between does not forget what waits in a block.
    let (mut world, _, tx) = ready();
    world.mine(vec![tx.clone()]);
    assert_quiet(&world);
    world.restart();
    world.wait(500);
    assert_eq!(world.raised(), []);
    world.hand(1, 1);
    world.wait(POLL_MS);
    assert_theft(&world, &tx);
}

#[test]
fn settings_must_fit_the_vaults_and_the_roster() {
    let node = Node::new(kit::NETWORK);
    let chain = |network| chain::Settings {
        network,
        birthday: node.birthday(),
        poll_ms: 100,
        stall_ms: 1000,
        block_ms_max: 1000,
    };
    let check = |me: u8, chains: Vec<chain::Settings>, want: Option<SettingsError>| {
        let secrets = Secrets { statement: kit::statement(4), cosigner: kit::cosigner(4) };
        let settings = Settings { chains, log_wait_ms: 0 };
        let made = Watcher::new(kit::machine(me), kit::charter(), secrets, &settings, clock(0));
        assert_eq!(made.err(), want);
    };
    let own = kit::NETWORK;
    check(4, vec![chain(own)], None);
    check(4, vec![chain(own), chain(Network::LtcRegtest)], None);
    check(1, vec![chain(own)], Some(SettingsError::Stranger { me: kit::machine(1) }));
    check(4, vec![chain(own), chain(own)], Some(SettingsError::Repeated { network: own }));
    let vault = kit::hot();
    check(4, vec![chain(Network::LtcRegtest)], Some(SettingsError::NotFollowed { vault, network: own }));
    let problem = chain::SettingsError::Poll { poll_ms: 501, stall_ms: 1000 };
    let late = chain::Settings { poll_ms: 501, ..chain(own) };
    check(4, vec![late], Some(SettingsError::Chain { network: own, problem }));
}
