//! A witness follows the log: entries that it folds, dates that it takes, heads that it remembers, and when it is spoilt.

use kuraban_base::{Amount, Instant, TreeHash};
use kuraban_proof::{Entry, Frontier, Opening, SignedCheckpoint, TreeHead};
use kuraban_vault::{
    Payout,
    body::Body,
    follow::{FollowError, Followed, Follower, open},
    wire::LogEntry,
};

use crate::{kit, rogue::opened};

/// How many heads a witness remembers.
const HEADS: u64 = 1024;

/// A log and its only witness.
struct World {
    follower: Follower,
    frontier: Frontier,
    entries: Vec<LogEntry>,
    /// The heads that were co-signed, in order.
    heads: Vec<TreeHead>,
}

fn logged(body: &Body, at: Instant) -> LogEntry {
    let opening = Opening { salt: [7; 32], body: body.encode() };
    let (by, kind) = ("writer".parse().unwrap(), body.kind().parse().unwrap());
    let entry = Entry { at, by, kind, commit: opening.commit() };
    LogEntry { entry: entry.encode(), salt: opening.salt, body: opening.body }
}

fn requested(number: u64) -> Body {
    let payout = Payout { amount: Amount::from(number + 1000), ..kit::payout(&format!("w-{number}"), 9, 1) };
    Body::PayoutRequested { key: payout.id.to_string(), payout, request: None, evidence: None }
}

impl World {
    fn new() -> Self {
        let follower = Follower::new(kit::charter(), kit::cosigner(4));
        let (frontier, entries, heads) = (Frontier::new(), Vec::new(), Vec::new());
        let mut world = Self { follower, frontier, entries, heads };
        world.follow(logged(&opened(), kit::NOW)).unwrap();
        world
    }

    /// The log grows by an entry and the witness is asked to co-sign it.
    fn follow(&mut self, entry: LogEntry) -> Result<Followed, FollowError> {
        let mut frontier = self.frontier.clone();
        frontier.append(open(&entry).unwrap().1);
        let checkpoint = SignedCheckpoint::sign(&kit::log_key(), frontier.head()).unwrap().to_string();
        let from = self.follower.fold().size();
        let entries = std::slice::from_ref(&entry);
        let followed = self.follower.extend(from, entries, checkpoint.as_bytes(), kit::NOW)?;
        assert_eq!(followed.head, frontier.head());
        self.frontier = frontier;
        self.entries.push(entry);
        self.heads.push(followed.head);
        Ok(followed)
    }
}

#[test]
fn an_entry_is_dated_at_most_a_minute_ahead_of_the_witnesses_clock() {
    for (ahead_ms, want) in [(0, true), (60_000, true), (60_001, false)] {
        let mut world = World::new();
        let followed = world.follow(logged(&requested(1), kit::NOW.plus_ms(ahead_ms)));
        assert_eq!(followed.is_ok(), want, "{ahead_ms}");
        if !want {
            assert!(matches!(followed, Err(FollowError::Entry { index: 1, .. })), "{followed:?}");
            // Nothing has changed: once its time has come it is taken.
            assert_eq!((world.follower.fold().size(), world.follower.is_spoilt()), (1, false));
            world.follow(logged(&requested(1), kit::NOW)).unwrap();
        }
    }
    // The past is no later than now.
    let mut world = World::new();
    world.follow(logged(&requested(1), Instant::from_ms(0))).unwrap();
}

#[test]
fn a_witness_knows_the_heads_that_it_cosigned_as_far_back_as_it_remembers() {
    let mut world = World::new();
    for number in 1..HEADS {
        world.follow(logged(&requested(number), kit::NOW)).unwrap();
    }
    let knows = |world: &World, head: TreeHead| world.follower.knows(head.size, &head.root);
    assert!(world.heads.iter().all(|head| knows(&world, *head)));
    let [first, second] = [world.heads[0], world.heads[1]];
    assert!(
        !world.follower.knows(first.size, &second.root) && !world.follower.knows(second.size, &first.root)
    );
    assert!(!world.follower.knows(HEADS + 1, &first.root));
    world.follow(logged(&requested(HEADS), kit::NOW)).unwrap();
    assert_eq!([first, second, world.heads[1024]].map(|head| knows(&world, head)), [false, true, true]);
    assert_eq!(world.follower.head(), world.heads[1024]);
}

#[test]
fn an_entry_that_does_not_follow_spoils_the_state_until_a_restart() {
    let mut world = World::new();
    let stray = Body::PayoutExpired { payout: "w-1".parse().unwrap() };
    let refused = world.follow(logged(&stray, kit::NOW)).unwrap_err();
    assert!(matches!(refused, FollowError::Fold { index: 1, .. }), "{refused}");
    assert!(world.follower.is_spoilt());
    let refused = world.follow(logged(&requested(1), kit::NOW)).unwrap_err();
    assert!(matches!(refused, FollowError::Spoilt), "{refused}");
    // Started anew from what it had stored, it goes on with a log that is mended.
    let mut follower = Follower::new(kit::charter(), kit::cosigner(4));
    follower.restore(&world.entries).unwrap();
    follower.restore_head(world.heads[0]).unwrap();
    world.follower = follower;
    assert!(!world.follower.is_spoilt() && world.follower.knows(1, &world.heads[0].root));
    world.follow(logged(&requested(1), kit::NOW)).unwrap();
}

#[test]
fn what_is_not_this_log_changes_nothing() {
    let mut world = World::new();
    let entry = logged(&requested(1), kit::NOW);
    let mut frontier = world.frontier.clone();
    frontier.append(TreeHash::from_bytes([1; 32]));
    let other = SignedCheckpoint::sign(&kit::log_key(), frontier.head()).unwrap().to_string();
    let mut extend = |from: u64, entries: &[LogEntry], checkpoint: &str| {
        world.follower.extend(from, entries, checkpoint.as_bytes(), kit::NOW).unwrap_err()
    };
    let entries = std::slice::from_ref(&entry);
    let refused = extend(1, entries, &other);
    assert!(matches!(refused, FollowError::Checkpoint { .. }), "{refused}");
    for from in [0, 2] {
        let refused = extend(from, entries, &other);
        assert!(matches!(refused, FollowError::Gap { from: found, size: 1 } if found == from), "{refused}");
    }
    let altered = LogEntry { salt: [8; 32], ..entry.clone() };
    let refused = extend(1, &[altered], &other);
    assert!(matches!(refused, FollowError::Entry { index: 1, .. }), "{refused}");
    let refused = extend(1, &[entry.clone(), LogEntry { entry: vec![0], ..entry.clone() }], &other);
    assert!(matches!(refused, FollowError::Entry { index: 2, .. }), "{refused}");
    assert_eq!((world.follower.fold().size(), world.follower.head()), (1, world.heads[0]));
    world.follow(entry).unwrap();
}

#[test]
fn a_store_that_its_entries_do_not_lead_to_is_refused() {
    let mut world = World::new();
    world.follow(logged(&requested(1), kit::NOW)).unwrap();
    let restored = |entries: &[LogEntry], head: TreeHead| {
        let mut follower = Follower::new(kit::charter(), kit::cosigner(4));
        follower.restore(entries).and_then(|()| follower.restore_head(head))?;
        Ok::<_, FollowError>((follower.head(), follower.fold().size()))
    };
    let (all, [first, second]) = (&world.entries, [world.heads[0], world.heads[1]]);
    assert_eq!(restored(all, second).unwrap(), (second, 2));
    for (entries, head) in [(&all[..], first), (&all[..1], second), (&all[..0], first)] {
        assert!(matches!(restored(entries, head), Err(FollowError::Checkpoint { .. })), "{head:?}");
    }
    assert!(matches!(restored(&all[1..], second), Err(FollowError::Fold { index: 0, .. })));
    let broken = LogEntry { body: Vec::new(), ..all[1].clone() };
    assert!(matches!(restored(&[all[0].clone(), broken], second), Err(FollowError::Entry { index: 1, .. })));
}
