//! Watchers that are set up anew, and logs that come later than the blocks.

use std::sync::Arc;

use kuraban_base::Asset;
use kuraban_chain::btc::{Branch, OutPoint, Tx, TxOut};
use kuraban_vault::{
    Charter, Payout, Role,
    body::Body,
    breaker::{Service, Stage},
    permit::Passage,
    wire::{Request, Response},
};
use kuraban_watch::{
    Change,
    chain::UNDO_BLOCKS_MAX,
    watcher::{LOG_WITHHELD, UNEXPLAINED_SPEND},
};

use crate::{
    kit,
    watcher::{assert_quiet, assert_refused, assert_theft, lease, reset, story_under, two_watchers},
    world::{POLL_MS, STALL_MS, WRITER, World, clock},
};

const VALUE_SAT: u64 = 300_000_000;
const AMOUNT_SAT: u64 = 1_000_000;
/// More payouts than a table of scripts looks ahead.
const PAYOUTS: u32 = 25;

fn payout(number: u32) -> Payout {
    kit::payout(&format!("w-{number}"), 9, AMOUNT_SAT)
}

/// A payout from one output of the vault, with change at this index.
fn draft(number: u32, coin: (&Tx, u32), change: u32) -> Tx {
    let (tx, vout) = coin;
    let value_sat = tx.outputs[usize::try_from(vout).unwrap()].value_sat - AMOUNT_SAT - 10_000;
    let outputs = vec![
        TxOut { value_sat: AMOUNT_SAT, script: payout(number).destination },
        TxOut { value_sat, script: kit::descriptor().script_at(Branch::Change, change).unwrap() },
    ];
    kit::tx(vec![OutPoint { txid: tx.txid(), vout }], outputs)
}

fn signed(tx: Tx, coin: (&Tx, u32), place: (Branch, u32)) -> Tx {
    kit::steal(tx, &[coin.0.outputs[usize::try_from(coin.1).unwrap()].clone()], place, &[1, 2])
}

/// An exchange that made many payouts, each from the change of the one before; the last one's transaction.
fn busy() -> (World, Tx) {
    let mut world = World::new();
    let mut last = world.fund(0, VALUE_SAT);
    for number in 0..PAYOUTS {
        let (bodies, tx) = next(&world, &last, number);
        world.append(&bodies);
        last = tx;
        world.mine(vec![last.clone()]);
    }
    assert_quiet(&world);
    assert_eq!(coins(&world), [(last.txid(), 1)]);
    (world, last)
}

/// The payout of this number from the change of the one before: what the log says of it, and its transaction.
fn next(world: &World, last: &Tx, number: u32) -> (Vec<Body>, Tx) {
    let (vout, place) = match number {
        0 => (0, (Branch::Receive, 0)),
        _ => (1, (Branch::Change, number - 1)),
    };
    let tx = draft(number, (last, vout), number);
    let bodies = story_under(&world.charter, &payout(number), &tx);
    (bodies, signed(tx, (last, vout), place))
}

fn coins(world: &World) -> Vec<(kuraban_base::Txid, u32)> {
    let (_, coins) = world.watcher.network(kit::NETWORK).unwrap();
    coins.live().map(|coin| (coin.outpoint.txid, coin.outpoint.vout)).collect()
}

fn height(world: &World) -> u64 {
    let (chain, _) = world.watcher.network(kit::NETWORK).unwrap();
    u64::from(chain.tip().height.blocks())
}

/// The rows of this kind on the disk.
fn rows(world: &World, of: fn(&Change) -> bool) -> usize {
    world.disk.iter().map(|row| Change::decode(row).unwrap()).filter(of).count()
}

fn anew(world: &World) -> usize {
    rows(world, |change| matches!(change, Change::Anew { .. }))
}

fn steal_last(world: &mut World, last: &Tx) -> Tx {
    let loot = TxOut { value_sat: 5000, script: kit::address(0xee).script() };
    let theft = kit::tx(vec![OutPoint { txid: last.txid(), vout: 1 }], vec![loot]);
    let theft = signed(theft, (last, 1), (Branch::Change, PAYOUTS - 1));
    world.relay(&theft);
    theft
}

/// Nothing is open or leased, and no block is followed.
fn assert_waits(world: &mut World) {
    assert_eq!(world.passage(Service::Withdrawal), Passage::Tightened(Stage::Closed));
    assert_eq!(world.passage(Service::Deposit), Passage::Tightened(Stage::Closed));
    assert_eq!((height(world), world.raised()), (0, Vec::new()));
    let refused = lease(world);
    assert_refused(Some(refused), "log-not-whole");
}

#[test]
fn a_watcher_that_is_set_up_anew_follows_no_block_before_it_has_the_whole_log() {
    let (mut world, last) = busy();
    let (size, tip) = (world.log.size(), height(&world));
    world.wipe();
    assert_waits(&mut world);
    world.wait(POLL_MS);
    assert_waits(&mut world);
    // Piece by piece, with a kill in between, and with the node gone and back.
    let sizes: Vec<u64> = world.log.sizes().filter(|at| *at < size).step_by(4).collect();
    for (turn, until) in sizes.into_iter().enumerate() {
        world.hand(until, size);
        match turn % 3 {
            0 => world.restart(),
            1 => {
                world.hear(kuraban_watch::chain::FromNode::Closed);
                world.connect();
            }
            _ => world.mine(Vec::new()),
        }
        assert_waits(&mut world);
    }
    let mined = height_of_node(&world);
    assert!(mined > tip);
    world.hand(size, size);
    assert_eq!((height(&world), coins(&world)), (mined, vec![(last.txid(), 1)]));
    assert_eq!((world.watcher.explained(), anew(&world)), (u64::from(PAYOUTS), 0));
    assert_quiet(&world);
    assert!(matches!(lease(&mut world), Response::Lease(_)));
    // It stays so: after a restart nobody waits for the writer.
    world.restart();
    assert_eq!(height(&world), mined);
    assert_quiet(&world);
    let theft = steal_last(&mut world, &last);
    assert_theft(&world, &theft);
}

fn height_of_node(world: &World) -> u64 {
    let kuraban_watch::chain::FromNode::Ready { height } = world.node.ready() else { panic!("not ready") };
    u64::from(height.blocks())
}

#[test]
fn the_log_is_whole_at_what_the_writer_has_and_not_one_entry_before() {
    let check = |newest: u64, follows: bool| {
        let mut world = World::new();
        world.fund(0, VALUE_SAT);
        world.wipe();
        world.hand(1, newest);
        assert_eq!(height(&world) > 0, follows, "{newest}");
        // What is refused completes nothing.
        let request = Request::Extend { from: 1, entries: Vec::new(), checkpoint: b"x".to_vec(), newest: 0 };
        assert_refused(world.ask(WRITER, Role::Writer, request), "log-not-followed");
        let request = Request::Extend { from: 9, entries: Vec::new(), checkpoint: b"x".to_vec(), newest: 0 };
        assert_eq!(world.ask(WRITER, Role::Writer, request), Some(Response::Behind { size: 1 }));
        assert_eq!(height(&world) > 0, follows, "{newest}");
    };
    check(0, true);
    check(1, true);
    check(2, false);
    check(u64::MAX, false);
}

/// The writer's word is never more than a reason to wait: if it lies, payouts of the past are alarms, and what was missed is
/// found as soon as the log shows them.
#[test]
fn where_the_writer_called_a_part_of_the_log_whole_everything_is_followed_again() {
    // With and without a kill before a block comes again, and with all of it too deep to be undone.
    for (killed, deep) in [(false, 0), (true, 0), (false, UNDO_BLOCKS_MAX + 1)] {
        let (mut world, last) = busy();
        world.node.grow(deep);
        world.hear(world.node.headers(deep));
        let (size, tip) = (world.log.size(), height(&world));
        world.wipe();
        world.hand(1, 1);
        assert_eq!(height(&world), tip);
        // The change of number 20 is beyond the table, and nothing after it is seen.
        assert_eq!((world.raised().len(), coins(&world)), (21, Vec::new()));
        world.online = !killed;
        world.hand(size, size);
        assert_eq!(anew(&world), 1);
        if killed {
            // Nothing of the old blocks comes back with a restart.
            assert_eq!(height(&world), 0);
            world.restore();
            assert_eq!((height(&world), coins(&world)), (0, Vec::new()));
            assert_refused(Some(lease(&mut world)), "chain-not-current");
            world.connect();
        }
        assert_eq!((height(&world), coins(&world)), (tip, vec![(last.txid(), 1)]));
        assert_refused(Some(lease(&mut world)), "trip-not-logged");
        world.restart();
        assert_eq!((height(&world), coins(&world)), (tip, vec![(last.txid(), 1)]));
        assert_eq!((world.raised().len(), anew(&world)), (21, 1));
        let theft = steal_last(&mut world, &last);
        assert_eq!(world.raised()[21].1, theft.txid().to_string());
    }
}

#[test]
fn an_alarm_that_the_log_shows_with_its_trip_is_not_raised_again_by_a_watcher_that_is_set_up_anew() {
    let check = |tripped: bool| {
        let mut world = World::new();
        let funding = world.fund(0, VALUE_SAT);
        let loot = TxOut { value_sat: 5000, script: kit::address(0xee).script() };
        let theft = kit::tx(vec![OutPoint { txid: funding.txid(), vout: 0 }], vec![loot]);
        let theft = signed(theft, (&funding, 0), (Branch::Receive, 0));
        world.mine(vec![theft.clone()]);
        assert_theft(&world, &theft);
        let (alarm, trip) = world.watcher.alarms()[0].clone();
        world.append(&[Body::AlarmRaised(alarm)]);
        if tripped {
            world.append(&[Body::BreakerTripped(trip.unwrap())]);
            world.append(&[reset(&world)]);
            assert!(world.runs(Service::Withdrawal));
        }
        world.wipe();
        world.hand(world.log.size(), world.log.size());
        if tripped {
            return assert_quiet(&world);
        }
        assert_theft(&world, &theft);
    };
    check(true);
    // Somebody kept the trip out of the log; nobody ordered anything open again.
    check(false);
}

#[test]
fn a_log_that_does_not_come_is_told_once_and_trips_nothing() {
    let mut world = World::new();
    world.wipe();
    let since = clock(world.now_ms).wall.ms();
    world.wait(STALL_MS);
    assert_eq!(world.raised(), []);
    world.wait(1);
    assert_eq!(world.raised(), [(LOG_WITHHELD.to_owned(), format!("log since {since}"))]);
    let (alarm, trip) = world.alarms().remove(0);
    assert_eq!((alarm.asset, trip), (Asset::Btc, None));
    world.wait(10 * STALL_MS);
    assert_eq!(world.raised().len(), 1);
    world.hand(1, 1);
    assert!(world.runs(Service::Withdrawal));
    assert!(matches!(lease(&mut world), Response::Lease(_)));
    world.wait(10 * STALL_MS);
    assert!(world.raised().iter().filter(|(rule, _)| rule == LOG_WITHHELD).count() == 1);
}

/// Where another watcher leases, a block may come before its entries in the usual course of things.
#[test]
fn a_payout_that_waited_for_its_entries_in_a_block_is_followed_again_only_where_its_change_was_missed() {
    let charter: Arc<Charter> = two_watchers();
    let check = |change: u32, mined: bool, again: usize| {
        let mut world = World::under(Arc::clone(&charter));
        let (first, second) = (world.fund(0, VALUE_SAT), world.fund(1, VALUE_SAT));
        let other = draft(0, (&first, 0), 19);
        let tx = draft(1, (&second, 0), change);
        let paid = signed(tx.clone(), (&second, 0), (Branch::Receive, 1));
        if mined {
            world.mine(vec![paid.clone()]);
        } else {
            world.relay(&paid);
        }
        world.wait(POLL_MS);
        let mut bodies = story_under(&charter, &payout(0), &other);
        bodies.extend(story_under(&charter, &payout(1), &tx));
        world.append(&bodies);
        assert_eq!(anew(&world), again, "change {change}");
        assert_quiet(&world);
        if !mined {
            world.mine(vec![paid.clone()]);
        }
        assert!(coins(&world).contains(&(paid.txid(), 1)));
        world.restart();
        assert!(coins(&world).contains(&(paid.txid(), 1)));
    };
    check(0, true, 0);
    check(18, true, 0);
    check(20, true, 1);
    check(39, true, 1);
    // No block that holds it was followed yet.
    check(39, false, 0);
}

/// With several watchers payouts go on while one is down.
#[test]
fn where_another_watcher_leases_a_restarted_watcher_waits_for_the_log_again() {
    for several in [true, false] {
        let mut world = World::under(if several { two_watchers() } else { kit::charter() });
        let mut last = world.fund(0, VALUE_SAT);
        let before = height(&world);
        if several {
            for number in 0..PAYOUTS {
                let (bodies, tx) = next(&world, &last, number);
                world.log.append(clock(world.now_ms).wall, &bodies);
                last = tx;
                world.node.mine(vec![last.clone()]);
            }
        } else {
            // Nothing is leased without it.
            world.node.mine(Vec::new());
        }
        world.restart();
        if !several {
            assert_eq!(height(&world), height_of_node(&world));
            assert_quiet(&world);
            continue;
        }
        let size = world.log.size();
        let sizes: Vec<u64> = world.log.sizes().filter(|at| *at > 1 && *at < size).step_by(6).collect();
        for until in sizes {
            world.hand(until, size);
            world.wait(POLL_MS);
            assert_eq!((height(&world), world.runs(Service::Withdrawal)), (before, false));
            assert_refused(Some(lease(&mut world)), "log-not-whole");
        }
        assert_eq!(world.raised(), []);
        world.hand(size, size);
        assert_eq!((height(&world), coins(&world)), (height_of_node(&world), vec![(last.txid(), 1)]));
        assert_eq!((world.watcher.explained(), anew(&world)), (u64::from(PAYOUTS), 0));
        for _ in 0..5 {
            world.wait(POLL_MS);
        }
        assert_eq!(world.raised(), []);
        // The next start waits as well, though there is nothing new, and tells where nobody comes.
        world.restart();
        world.wait(STALL_MS + 1);
        assert_eq!(world.raised().iter().filter(|(rule, _)| rule == LOG_WITHHELD).count(), 1);
        assert_refused(Some(lease(&mut world)), "log-not-whole");
        world.hand(size, size);
        assert!(matches!(lease(&mut world), Response::Lease(_)));
        let theft = steal_last(&mut world, &last);
        world.wait(500);
        assert!(world.raised().contains(&(UNEXPLAINED_SPEND.to_owned(), theft.txid().to_string())));
    }
}

#[test]
fn a_payout_that_waited_in_a_block_when_its_watcher_went_down_waits_for_the_whole_log() {
    let mut world = World::under(two_watchers());
    let (first, second) = (world.fund(0, VALUE_SAT), world.fund(1, VALUE_SAT));
    let tx = draft(1, (&second, 0), 39);
    let paid = signed(tx.clone(), (&second, 0), (Branch::Receive, 1));
    world.mine(vec![paid.clone()]);
    let mut bodies = story_under(&world.charter, &payout(0), &draft(0, (&first, 0), 19));
    bodies.extend(story_under(&world.charter, &payout(1), &tx));
    let at = clock(world.now_ms).wall;
    bodies.chunks(2).for_each(|some| drop(world.log.append(at, some)));
    world.restart();
    let (size, sizes) = (world.log.size(), world.log.sizes().filter(|at| *at > 1).collect::<Vec<_>>());
    for until in sizes {
        world.wait(900);
        assert!(!world.raised().iter().any(|(rule, _)| rule == UNEXPLAINED_SPEND));
        world.hand(until, size);
    }
    world.wait(900);
    assert!(!world.raised().iter().any(|(rule, _)| rule == UNEXPLAINED_SPEND));
    // Its change was where nobody looked.
    assert_eq!(anew(&world), 1);
    assert!(coins(&world).contains(&(paid.txid(), 1)));
}
