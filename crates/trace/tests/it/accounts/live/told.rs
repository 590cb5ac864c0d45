//! What a feed is told of a small theft, entry by entry.

use std::collections::BTreeMap;

use kuraban_base::{Digest, Instant};
use kuraban_trace::{
    accounts::{
        BookError, Chain, Header, Kind, Mark, Opening, Transfer, UNDO_BLOCKS_MAX,
        live::{CASES_MAX, Live, OpenError, StepError},
    },
    feed::{self, Body, Entry, Feed, Growth, Opened, Reach, Rules, Subject},
    taint::Method,
};

use super::{opened, rules};

/// A theft of 10 by transaction 1, followed by haircut and FIFO.
struct Small {
    live: Live,
    feed: Feed,
    now: u64,
    fork: u8,
}

fn id(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

/// Transaction `number`: from an account, to an account, this much.
fn pay(number: u8, from: &str, to: &str, amount: u64) -> Transfer {
    Transfer {
        height: 0,
        position: u32::from(number),
        tx: id(number).to_string(),
        index: 0,
        asset: "xem".to_owned(),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        amount: amount.into(),
        kind: Kind::Payment,
    }
}

fn seed(units: u128) -> feed::Seed {
    feed::Seed { tx: id(1), index: 0, units }
}

fn engine(opening: Opening) -> Live {
    let stops = BTreeMap::from([("exchange".to_owned(), "Example Exchange".parse().unwrap())]);
    Live::new(Header { chain: Chain::Xem, opening }, stops)
}

fn theft(more: Rules) -> Opened {
    opened("theft", vec![seed(10)], more)
}

fn pair() -> Rules {
    Rules { tag_units_min: 2, ..rules(&[Method::Haircut, Method::Fifo]) }
}

impl Small {
    fn new(rules: Rules) -> Self {
        let mut live = engine(Opening::Unknown);
        live.open(theft(rules)).unwrap();
        let mut small = Self { live, feed: Feed::new(), now: 0, fork: 0 };
        small.mine(&[]);
        small
    }

    fn next(&self) -> Mark {
        let (height, prev) = match self.live.tip() {
            Some(tip) => (u64::from(tip.height.blocks()) + 1, tip.hash),
            None => (7, id(0xee)),
        };
        let hash = Digest::sha256(&[&height.to_le_bytes(), &[self.fork], prev.as_bytes()]);
        Mark { height, hash, prev }
    }

    fn mine(&mut self, transfers: &[Transfer]) {
        let mark = self.next();
        let at = |transfer: &Transfer| Transfer { height: mark.height, ..transfer.clone() };
        self.live.block(mark, &transfers.iter().map(at).collect::<Vec<_>>()).unwrap();
    }

    /// What the feed is told, in a few words each, heartbeats left out.
    fn told(&mut self) -> Vec<String> {
        let before = self.feed.standing().clone();
        let growth = self.live.publish(&mut self.feed, Instant::from_ms(self.now)).unwrap();
        let name = |subject: &Subject| match subject {
            Subject::Output { tx, index, .. } => format!("{}:{index}", tx.as_bytes()[0]),
            Subject::Account(account) => account.clone(),
        };
        let named = |tags: &[u64]| {
            let name = |number: &u64| {
                name(&before.tag(*number).or_else(|| self.feed.standing().tag(*number)).unwrap().subject)
            };
            tags.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let say = |entry: &Entry| match &entry.body {
            Body::Tag(tag) => {
                let to = if tag.reach == Reach::Followed { "" } else { " handed over" };
                Some(format!("{} {}..{}{to}", name(&tag.subject), tag.taint.least(), tag.taint.most()))
            }
            Body::Revoked { tags, reason } => Some(format!("{} {}", named(tags), reason.name())),
            Body::Closed { .. } => Some("closed".to_owned()),
            Body::Opened(_) => Some("opened".to_owned()),
            Body::Confirmed { .. } | Body::Appealed { .. } | Body::Heartbeat { .. } => None,
        };
        growth.iter().flat_map(entries).filter_map(|entry| say(&entry)).collect()
    }
}

/// The new entries, read from the files that are put out.
fn entries(growth: &Growth) -> Vec<Entry> {
    use kuraban_proof::Resource;
    let mut all = Vec::new();
    for (resource, bytes) in &growth.files {
        if let Resource::Entries(bundle) = resource {
            let numbers = bundle.start()..;
            let decoded = bundle.decode(bytes).unwrap();
            let new = numbers.zip(decoded).filter(|(number, _)| *number >= growth.first);
            all.extend(new.map(|(_, bytes)| Entry::decode(bytes).unwrap()));
        }
    }
    all
}

#[test]
fn each_change_is_told_once_and_with_its_reason() {
    let mut small = Small::new(pair());
    assert_eq!(small.told(), ["opened"]);
    small.mine(&[pay(0, "bank", "thief", 10), pay(1, "victim", "thief", 10)]);
    assert_eq!(small.told(), ["thief 10..10"]);
    assert_eq!(small.told(), [""; 0]);
    // Half of what the thief has: half is tainted by haircut, nothing by FIFO, which takes the bank's.
    small.mine(&[pay(3, "thief", "second", 10)]);
    assert_eq!(small.told(), ["thief 5..10", "second 0..5", "thief superseded"]);
    // Whoever sends the thief something changes no tag.
    small.mine(&[pay(4, "stranger", "thief", 1_000), pay(5, "stranger", "second", 1_000)]);
    assert_eq!(small.told(), [""; 0]);
    // To a service: FIFO takes the stolen ones, haircut next to nothing of so many.
    small.mine(&[pay(6, "thief", "exchange", 10), pay(7, "exchange", "customer", 10)]);
    assert_eq!(small.told(), ["thief 0..5", "6:0 0..10 handed over", "thief superseded"]);
}

#[test]
fn blocks_that_leave_the_chain_take_their_tags_along_and_leave_those_before() {
    let mut small = Small::new(pair());
    small.mine(&[pay(1, "victim", "thief", 10)]);
    small.mine(&[pay(3, "thief", "second", 4)]);
    assert_eq!(small.told(), ["opened", "thief 6..6", "second 4..4"]);
    small.live.undo().unwrap();
    assert_eq!(small.told(), ["thief 10..10", "thief second reorganised"]);
    // The same transfer in another block.
    small.fork = 1;
    small.mine(&[pay(3, "thief", "second", 4)]);
    assert_eq!(small.told(), ["thief 6..6", "second 4..4", "thief superseded"]);
    // Taken back and mined again between two tellings: the tags stand, since other blocks.
    small.live.undo().unwrap();
    small.fork = 2;
    small.mine(&[pay(3, "thief", "second", 4)]);
    assert_eq!(small.told(), ["thief 6..6", "second 4..4", "thief second reorganised"]);
    small.mine(&[pay(4, "second", "third", 4)]);
    assert_eq!(small.told(), ["third 4..4", "second spent"]);
    small.mine(&[pay(5, "third", "fourth", 3)]);
    assert_eq!(small.told(), ["fourth 3..3", "third below-threshold"]);
}

#[test]
fn a_deposit_is_handed_over_once_and_stays_when_the_service_pays_others() {
    let mut small = Small::new(pair());
    small.mine(&[pay(1, "victim", "thief", 10), pay(2, "thief", "exchange", 7)]);
    assert_eq!(small.told(), ["opened", "thief 3..3", "2:0 7..7 handed over"]);
    let (_, tag) = small.feed.standing().tags().find(|(_, tag)| tag.reach != Reach::Followed).unwrap();
    let want = Subject::Output { tx: id(2), index: 0, address: Some("exchange".to_owned()) };
    assert_eq!((&tag.subject, tag.value), (&want, Some(7)));
    assert_eq!(tag.reach, Reach::HandedOver { to: "Example Exchange".parse().unwrap() });
    small.mine(&[pay(3, "exchange", "customer", 7)]);
    assert_eq!(small.told(), [""; 0]);
    small.live.undo().unwrap();
    small.live.undo().unwrap();
    assert_eq!(small.told(), ["thief 2:0 reorganised"]);
}

#[test]
fn an_account_that_was_paid_often_is_a_hub_from_its_threshold_on() {
    let check = |payments: u8, want: &[&str]| {
        let mut small = Small::new(Rules { hub_outputs_min: Some(3), ..pair() });
        let mut block = vec![pay(1, "victim", "thief", 10)];
        block.extend((0..payments).map(|n| pay(10 + n, "customer", "hub", 1)));
        // What carries nothing makes no hub.
        block.extend((0..9).map(|n| pay(40 + n, "customer", "hub", 0)));
        block.push(pay(60, "thief", "hub", 10));
        small.mine(&block);
        assert_eq!(small.told()[1..], want.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
    };
    check(2, &["hub 10..10"]);
    check(3, &["60:0 10..10 handed over"]);
}

#[test]
fn a_tag_is_given_again_at_half_of_its_time_while_it_holds() {
    let mut small = Small::new(Rules { lasts_ms: Some(1_000), ..pair() });
    small.mine(&[pay(1, "victim", "thief", 10), pay(2, "thief", "exchange", 5)]);
    assert_eq!(small.told(), ["opened", "thief 5..5", "2:0 5..5 handed over"]);
    small.now = 499;
    assert_eq!(small.told(), [""; 0]);
    small.now = 500;
    assert_eq!(small.told(), ["thief 5..5", "thief superseded"]);
    let ends: Vec<_> = small.feed.standing().tags().map(|(_, tag)| tag.expires.unwrap().ms()).collect();
    assert_eq!(ends, [1_000, 1_500]);
}

#[test]
fn a_case_that_is_closed_is_told_and_dropped_and_its_name_stays_taken() {
    let mut small = Small::new(pair());
    small.mine(&[pay(1, "victim", "thief", 10)]);
    assert_eq!(small.told().len(), 2);
    let case = "theft".parse().unwrap();
    assert!(small.live.close(&case, "returned".parse().unwrap()));
    assert!(!small.live.close(&case, "returned".parse().unwrap()));
    assert_eq!(small.told(), ["closed"]);
    assert_eq!(small.live.open(theft(pair())), Err(OpenError::Known { case }));
    small.live.undo().unwrap();
    small.mine(&[pay(1, "victim", "thief", 10)]);
    assert_eq!(small.told(), [""; 0]);
    assert_eq!(small.feed.standing().tags().count(), 0);
}

#[test]
fn a_seed_that_the_chain_has_otherwise_is_named_and_passed_over() {
    let check = |units: u128, change: fn(&mut Transfer), want: &str| {
        let mut live = engine(Opening::Unknown);
        live.open(opened("theft", vec![seed(units)], pair())).unwrap();
        let mut transfer = Transfer { height: 7, ..pay(1, "victim", "thief", 10) };
        change(&mut transfer);
        let stirred = live.block(Mark { height: 7, hash: id(8), prev: id(9) }, &[transfer]).unwrap();
        let told: Vec<String> = stirred.misfits.iter().map(ToString::to_string).collect();
        assert_eq!(told, [format!("case theft: seed {}:0 {want}", id(1))]);
        assert_eq!(stirred.places, 0);
    };
    check(11, |_| (), "states 11 units, the transfer carries 10");
    check(10, |one| one.asset = "dim:coin".to_owned(), "moves dim:coin, the case is of xem");
    check(10, |one| one.to = one.from.clone(), "goes from an account to itself");
    check(0, |one| one.amount = 0.into(), "carries nothing");
    check(10, |one| (one.to, one.kind) = (None, Kind::Burn), "arrives nowhere: it is destroyed");
}

#[test]
fn a_block_that_cannot_be_changes_nothing() {
    let mut live = engine(Opening::Stated);
    live.open(theft(pair())).unwrap();
    let first = Mark { height: 7, hash: id(8), prev: id(9) };
    let opening = Transfer { kind: Kind::Opening, from: None, height: 7, ..pay(30, "", "victim", 12) };
    live.block(first, &[opening]).unwrap();
    let block = |height, hash, prev| Mark { height, hash: id(hash), prev: id(prev) };
    let at = |one: Transfer| Transfer { height: 8, ..one };
    let theft = at(pay(1, "victim", "thief", 10));
    let mut check = |mark: Mark, transfers: &[Transfer], want: fn(&StepError) -> bool| {
        let error = live.block(mark, transfers).unwrap_err();
        assert!(want(&error), "{error}");
        let outcomes = live.outcomes(&"theft".parse().unwrap()).unwrap();
        assert!(outcomes.iter().all(|(_, found)| found.held.is_empty() && found.seeds.is_empty()));
        assert_eq!(live.tip().unwrap().hash, first.hash);
    };
    let poor = at(pay(2, "victim", "thief", 3));
    check(block(8, 10, 8), &[theft.clone(), poor], |error| {
        matches!(error, StepError::Book { problem: BookError::Overdrawn(_), .. })
    });
    check(block(8, 10, 7), core::slice::from_ref(&theft), |error| matches!(error, StepError::NotNext { .. }));
    check(block(9, 10, 8), core::slice::from_ref(&theft), |error| matches!(error, StepError::NotNext { .. }));
    let elsewhere = Transfer { height: 9, ..pay(2, "victim", "thief", 1) };
    check(block(8, 10, 8), &[theft.clone(), elsewhere], |error| matches!(error, StepError::Elsewhere { .. }));
    let named = Transfer { tx: "7-0".to_owned(), ..at(pay(2, "victim", "thief", 1)) };
    check(block(8, 10, 8), &[theft.clone(), named], |error| matches!(error, StepError::Tx { .. }));
    live.block(block(8, 10, 8), &[theft]).unwrap();
    let outcomes = live.outcomes(&"theft".parse().unwrap()).unwrap();
    assert!(outcomes.iter().all(|(_, found)| found.held.len() == 1));
}

#[test]
fn as_many_blocks_are_taken_back_as_are_promised_and_none_more() {
    let mut small = Small::new(pair());
    for _ in 0..=UNDO_BLOCKS_MAX {
        small.mine(&[]);
    }
    for _ in 0..UNDO_BLOCKS_MAX {
        small.live.undo().unwrap();
    }
    assert!(small.live.undo().is_err());
    let mut young = Small::new(pair());
    assert!(young.live.undo().is_err(), "the first block stays");
}

#[test]
fn a_case_of_another_chain_and_one_too_many_are_refused() {
    let mut live = engine(Opening::Unknown);
    let other = Opened { chain: feed::Chain::Accounts(Chain::Eth), ..theft(pair()) };
    assert!(matches!(live.open(other), Err(OpenError::Chain { found: "eth", want: "xem", .. })));
    for number in 0..CASES_MAX {
        live.open(opened(&format!("case-{number}"), vec![seed(1)], rules(&[Method::Fifo]))).unwrap();
    }
    assert_eq!(live.open(theft(pair())), Err(OpenError::Many));
}
