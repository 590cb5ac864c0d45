//! A tag feed beside a plain model of it: entries kept in a list and read from the start.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{CaseId, Digest, Height, Instant};
use kuraban_chain::btc::Network;
use kuraban_proof::{NoteSigner, Resource, verify_log};
use kuraban_trace::{
    accounts,
    feed::{
        Block, Body, Chain, Entry, Feed, Growth, NAMED_MAX, Opened, Reach, Reason, Replica, Rules, Seed,
        Since, Standing, Subject, Tag, Taint, UpdateError,
    },
    tags::{Confidence, Pack, Store, SubjectKind, pack, store::Builder},
    taint::Method,
};
use proptest::prelude::*;

use crate::feed_bytes;

const BTC: Chain = Chain::Family(Network::BtcMain);
const ADDRESS: &str = "1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w";

fn log() -> NoteSigner {
    NoteSigner::from_seed("tags.example/feed".parse().unwrap(), &[9; 32])
}

fn case(name: &str) -> CaseId {
    name.parse().unwrap()
}

fn rules() -> Rules {
    Rules {
        methods: vec![Method::Haircut, Method::Fifo],
        follow_fees: false,
        dust_units: 546,
        tag_units_min: 1_000,
        hub_outputs_min: Some(10_000),
        lasts_ms: Some(86_400_000),
    }
}

fn opened(name: &str, chain: Chain) -> Body {
    Body::Opened(Opened {
        case: case(name),
        chain,
        token: None,
        label: "stolen funds".parse().unwrap(),
        concept: "hacking",
        source: "https://example.org/theft".parse().unwrap(),
        seeds: vec![Seed { tx: Digest::from_bytes([1; 32]), index: 0, units: 5_000_000_000 }],
        rules: rules(),
    })
}

fn tag(name: &str, output: u8) -> Tag {
    Tag {
        case: case(name),
        subject: Subject::Output {
            tx: Digest::from_bytes([output; 32]),
            index: u32::from(output),
            address: (!output.is_multiple_of(3)).then(|| ADDRESS.to_owned()),
        },
        taint: Taint::Span { least: 5, most: 7 },
        value: Some(8),
        reach: Reach::Followed,
        since: Since::Mempool,
        confidence: Confidence::of("forensic").unwrap(),
        expires: None,
    }
}

fn block(height: u32) -> Block {
    Block { height: Height::new(height), hash: Digest::from_bytes([3; 32]) }
}

fn at(ms: u64, body: Body) -> Entry {
    Entry { at: Instant::from_ms(ms), body }
}

/// What a feed has put out.
#[derive(Clone, Default)]
struct Served {
    files: BTreeMap<Resource, Vec<u8>>,
    checkpoint: Vec<u8>,
}

impl Served {
    fn put(&mut self, growth: &Growth) {
        self.files.extend(growth.files.iter().cloned());
        self.checkpoint = growth.sign(&log()).unwrap().note().to_string().into_bytes();
    }

    fn read(&self) -> impl FnMut(Resource) -> Result<Vec<u8>, String> {
        |resource| self.files.get(&resource).cloned().ok_or_else(|| format!("{resource} is not served"))
    }

    fn follow(&self, replica: &mut Replica) -> Result<(), UpdateError<String>> {
        replica.update(&self.checkpoint, self.read(), |_, _| {}).map(drop)
    }
}

fn replica() -> Replica {
    Replica::new(log().verifier().clone())
}

#[test]
fn every_kind_of_entry_is_read_as_it_was_written_and_no_part_of_one_is() {
    let account = Tag {
        subject: Subject::Account("NDZZJBH6JZPYSWRPRYHALLWMITWHOYTQGXR53HAW".to_owned()),
        taint: Taint::By { method: Method::Poison, units: u128::MAX },
        value: None,
        reach: Reach::HandedOver { to: "an exchange".parse().unwrap() },
        since: Since::Block(block(9)),
        expires: Some(Instant::from_ms(u64::MAX)),
        ..tag("a", 1)
    };
    let bodies = [
        opened("zaif-2018", BTC),
        Body::Tag(tag("a", 0)),
        Body::Tag(tag("a", 1)),
        Body::Tag(account),
        Body::Confirmed { tags: vec![1, 2], block: block(u32::MAX) },
        Body::Revoked { tags: vec![u64::MAX], reason: Reason::BelowThreshold },
        Body::Appealed { tag: 3, reference: "appeal 17".parse().unwrap() },
        Body::Closed { case: case("a"), reason: "returned".parse().unwrap() },
        Body::Heartbeat { chain: Chain::Accounts(accounts::Chain::Xem), tip: block(1) },
    ];
    for body in bodies {
        let entry = at(1_700_000_000_000, body);
        let bytes = entry.encode().unwrap();
        assert_eq!(Entry::decode(&bytes).as_ref(), Ok(&entry));
        for length in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..length]).is_err(), "{length} of {entry:?}");
        }
    }
}

/// The inputs of the fuzz target, whole, cut anywhere, and with any byte changed.
#[test]
fn what_a_feed_serves_is_taken_up_as_it_was_signed_or_not_at_all() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/feed");
    let mut taken = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(bytes.len() < 4_096);
        taken += feed_bytes::check(&bytes);
        for at in (0..bytes.len()).step_by(5) {
            feed_bytes::check(&bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            feed_bytes::check(&changed);
        }
    }
    assert!(taken > 9, "{taken} entries were taken up");
}

#[test]
fn what_an_entry_may_not_say_is_not_written() {
    let check = |body: Body, want: &str| {
        let error = at(0, body).encode().unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    let tagged = |change: fn(&mut Tag)| {
        let mut tag = tag("a", 1);
        change(&mut tag);
        Body::Tag(tag)
    };
    let revoked = |tags| Body::Revoked { tags, reason: Reason::Spent };
    let theft = |change: fn(&mut Opened)| {
        let Body::Opened(mut body) = opened("a", BTC) else { unreachable!() };
        change(&mut body);
        Body::Opened(body)
    };
    check(tagged(|tag| tag.taint = Taint::Span { least: 2, most: 1 }), "most: want more than nothing");
    check(tagged(|tag| tag.taint = Taint::Span { least: 0, most: 0 }), "most");
    check(tagged(|tag| tag.taint = Taint::Span { least: 0, most: 9 }), "at most value");
    check(tagged(|tag| tag.subject = Subject::Account("two words".to_owned())), "address");
    check(revoked(vec![]), "tags: want 1 to 4096");
    check(revoked(vec![2, 2]), "ascending");
    check(revoked((0..=u64::try_from(NAMED_MAX).unwrap()).collect()), "tags: want 1 to 4096");
    assert!(at(0, revoked((0..u64::try_from(NAMED_MAX).unwrap()).collect())).encode().is_ok());
    check(theft(|theft| theft.rules.methods.clear()), "methods: want at least one");
    check(theft(|theft| theft.rules.methods.reverse()), "in their order");
    check(theft(|theft| theft.seeds.clear()), "seeds: want 1 to 1000");
    check(theft(|theft| theft.concept = "theft"), "no concept of the taxonomy");
    let seeds = |count: u32| {
        let seed = |index| Seed { tx: Digest::from_bytes([255; 32]), index, units: u128::from(u64::MAX) };
        let Body::Opened(mut body) = opened("a", BTC) else { unreachable!() };
        body.seeds = (0..count).map(seed).collect();
        Body::Opened(body)
    };
    assert!(at(0, seeds(1_000)).encode().is_ok());
    check(seeds(1_001), "seeds: want 1 to 1000");
}

#[test]
fn on_accounts_a_transfer_has_a_tag_only_where_it_was_handed_over() {
    let mut feed = Feed::new();
    feed.append(vec![at(0, opened("a", Chain::Accounts(accounts::Chain::Xem)))]).unwrap();
    let subject = Subject::Output {
        tx: Digest::from_bytes([1; 32]),
        index: 0,
        address: Some("NDZZJBH6JZPYSWRPRYHALLWMITWHOYTQGXR53HAW".to_owned()),
    };
    let followed = Tag { subject, since: Since::Block(block(5)), ..tag("a", 1) };
    let error = feed.append(vec![at(1, Body::Tag(followed.clone()))]).unwrap_err();
    let said = std::error::Error::source(&error).unwrap_or(&error).to_string();
    assert!(said.contains("no such subjects"), "{said}");
    let reach = Reach::HandedOver { to: "an exchange".parse().unwrap() };
    feed.append(vec![at(1, Body::Tag(Tag { reach, ..followed }))]).unwrap();
    let exported: Vec<_> = feed.standing().export(Instant::from_ms(2)).collect();
    assert!(exported[0].label.contains(":0, handed over to an exchange"), "{}", exported[0].label);
}

#[test]
fn an_entry_that_does_not_fit_changes_nothing() {
    let mut feed = Feed::new();
    feed.append(vec![at(0, opened("a", BTC)), at(0, Body::Tag(tag("a", 1)))]).unwrap();
    let (before, head) = (feed.standing().clone(), feed.head());
    let stranger = Tag {
        subject: Subject::Output {
            tx: Digest::from_bytes([1; 32]),
            index: 0,
            address: Some("1Fmw".to_owned()),
        },
        ..tag("a", 1)
    };
    let account = Tag { subject: Subject::Account(ADDRESS.to_owned()), ..tag("a", 1) };
    let rows = [
        (opened("a", BTC), "was opened before"),
        (Body::Tag(tag("b", 1)), "case b is not open"),
        (Body::Tag(stranger), "address \"1Fmw\""),
        (Body::Tag(account), "no such subjects"),
        (Body::Revoked { tags: vec![0], reason: Reason::Error }, "0 is the number of no tag"),
        (Body::Revoked { tags: vec![1, 9], reason: Reason::Error }, "9 is the number of no tag"),
        (Body::Appealed { tag: 0, reference: "x".parse().unwrap() }, "0 is the number of no tag"),
        (Body::Closed { case: case("b"), reason: "x".parse().unwrap() }, "case b is not open"),
    ];
    for (body, want) in rows {
        // What stands before it in the same step is taken back with it.
        let steps = [
            Body::Confirmed { tags: vec![1], block: block(5) },
            Body::Tag(tag("a", 2)),
            Body::Appealed { tag: 1, reference: "y".parse().unwrap() },
            Body::Heartbeat { chain: BTC, tip: block(5) },
            Body::Revoked { tags: vec![3], reason: Reason::Replaced },
            body,
        ];
        let error = feed.append(steps.map(|body| at(1, body)).to_vec()).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap_or(&error).to_string().contains(want), "{error}");
        assert_eq!((feed.standing(), feed.head()), (&before, head));
    }
    let twice = [
        Body::Confirmed { tags: vec![1], block: block(5) },
        Body::Confirmed { tags: vec![1], block: block(6) },
    ];
    assert!(feed.append(twice.map(|body| at(1, body)).to_vec()).is_err());
    assert_eq!(feed.standing(), &before);
    let closed = Body::Closed { case: case("a"), reason: "x".parse().unwrap() };
    assert!(feed.append(vec![at(1, closed), at(1, opened("a", BTC))]).is_err());
    assert_eq!(feed.standing(), &before);
}

/// A random life of a feed: what is tried next depends on what stands.
fn step(standing: &Standing, size: u64, (kind, pick): (u8, u8)) -> Option<Body> {
    let tags: Vec<u64> = standing.tags().map(|(number, _)| number).collect();
    let some: BTreeSet<u64> = (0..=pick % 4)
        .filter_map(|step| tags.get(usize::from(pick.wrapping_mul(step + 1)) % tags.len().max(1)).copied())
        .collect();
    let name = format!("case-{}", pick % 3);
    let open = standing.case(&case(&name)).is_some_and(|case| case.closed.is_none());
    Some(match kind % 12 {
        0 if standing.case(&case(&name)).is_none() => opened(&name, BTC),
        0..=5 if open => Body::Tag(Tag {
            expires: (pick % 2 == 0).then(|| Instant::from_ms(u64::from(pick))),
            ..tag(&name, pick)
        }),
        6 | 7 if !some.is_empty() => {
            Body::Revoked { tags: some.into_iter().collect(), reason: Reason::Spent }
        }
        8 => {
            let waits = |number: &u64| standing.tag(*number).is_some_and(|tag| tag.since == Since::Mempool);
            let tags: Vec<u64> = some.into_iter().filter(waits).collect();
            if tags.is_empty() {
                return None;
            }
            Body::Confirmed { tags, block: block(u32::from(pick)) }
        }
        9 => {
            Body::Appealed { tag: some.first().copied()?, reference: format!("appeal {size}").parse().ok()? }
        }
        10 if open && pick > 240 => Body::Closed { case: case(&name), reason: "returned".parse().ok()? },
        11 => Body::Heartbeat { chain: BTC, tip: block(u32::from(pick)) },
        _ => return None,
    })
}

/// The feed's tags by reading every entry from the start, in another way than the crate does.
fn model(entries: &[Entry]) -> BTreeMap<u64, (Tag, bool)> {
    let mut tags = BTreeMap::new();
    for (number, entry) in (0_u64..).zip(entries) {
        match &entry.body {
            Body::Tag(tag) => drop(tags.insert(number, (tag.clone(), false))),
            Body::Confirmed { tags: named, block } => {
                for number in named {
                    tags.get_mut(number).unwrap().0.since = Since::Block(*block);
                }
            }
            Body::Revoked { tags: named, .. } => tags.retain(|number, _| !named.contains(number)),
            Body::Appealed { tag, .. } => tags.get_mut(tag).unwrap().1 = true,
            Body::Closed { case, .. } => tags.retain(|_, (tag, _)| tag.case != *case),
            Body::Opened(_) | Body::Heartbeat { .. } => {}
        }
    }
    tags
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_replica_says_what_the_feed_says_however_often_it_reads_and_restarts(
        steps in prop::collection::vec((any::<(u8, u8)>(), 0_u8..8), 1..400),
    ) {
        let (mut feed, mut served, mut follower) = (Feed::new(), Served::default(), replica());
        let mut entries: Vec<Entry> = Vec::new();
        served.put(&feed.append(vec![]).unwrap());
        for (pick, event) in steps {
            let entry = step(feed.standing(), feed.size(), pick).map(|body| at(u64::from(pick.1), body));
            entries.extend(entry.clone());
            served.put(&feed.append(entry.into_iter().collect()).unwrap());
            match event {
                2 => served.follow(&mut follower).unwrap(),
                3 => follower = Replica::restore(follower.key().clone(), &follower.snapshot()).unwrap(),
                4 => {
                    let mut caught_up = replica();
                    served.follow(&mut caught_up).unwrap();
                    feed = Feed::resume(caught_up, served.read()).unwrap();
                }
                _ => {}
            }
        }
        served.follow(&mut follower).unwrap();
        prop_assert_eq!(follower.standing(), feed.standing());
        prop_assert_eq!(follower.head(), feed.head());
        let found: BTreeMap<u64, (Tag, bool)> = feed.standing().tags()
            .map(|(number, tag)| (number, (tag.clone(), feed.standing().appeal(number).is_some())))
            .collect();
        prop_assert_eq!(&found, &model(&entries));
        // By address or transaction every tag is found where it is.
        for (number, (tag, _)) in &found {
            let (kind, normal) = match &tag.subject {
                Subject::Output { tx, address: None, .. } => (SubjectKind::Tx, tx.to_string()),
                Subject::Output { address: Some(address), .. } | Subject::Account(address) => {
                    (SubjectKind::Address, address.clone())
                }
            };
            prop_assert!(feed.standing().on(kind, &normal).any(|(found, _)| found == *number));
        }
        // An outsider's reading of the same files, tiles and all.
        let mut seen = 0;
        let counts = verify_log(feed.head(), 0, served.read(), |_, _| seen += 1).unwrap();
        prop_assert_eq!((counts.entries, seen), (feed.size(), entries.len()));
        // A snapshot that is cut or changed anywhere is refused.
        let snapshot = follower.snapshot();
        for place in (0..snapshot.len()).step_by(97) {
            let mut changed = snapshot.clone();
            changed[place] ^= 1;
            prop_assert!(Replica::restore(follower.key().clone(), &changed).is_err());
            prop_assert!(Replica::restore(follower.key().clone(), &snapshot[..place]).is_err());
        }
    }
}

/// A feed of some hundred entries, and the same feed with one entry less at its end.
fn two_sizes() -> (Served, Served) {
    let (mut feed, mut served) = (Feed::new(), Served::default());
    let tags = (0..299_u32).map(|place| at(0, Body::Tag(tag("a", u8::try_from(place % 200).unwrap()))));
    served.put(&feed.append([at(0, opened("a", BTC))].into_iter().chain(tags).collect()).unwrap());
    let shorter = served.clone();
    served.put(&feed.append(vec![at(0, Body::Tag(tag("a", 7)))]).unwrap());
    (shorter, served)
}

#[test]
fn a_second_history_is_refused_with_both_checkpoints_and_other_bytes_are_no_evidence() {
    let (shorter, longer) = two_sizes();
    let mut follower = replica();
    shorter.follow(&mut follower).unwrap();
    let before = follower.clone();
    // The key signs another history of the same size, and one that is longer.
    for extra in [0, 1, 300] {
        let (mut feed, mut other) = (Feed::new(), Served::default());
        let tags = (0..299 + extra).map(|_| at(1, Body::Tag(tag("a", 1))));
        other.put(&feed.append([at(0, opened("a", BTC))].into_iter().chain(tags).collect()).unwrap());
        let Err(UpdateError::Fork(fork)) = other.follow(&mut follower) else { panic!("{extra}: no fork") };
        assert_eq!(fork.ours.as_bytes(), shorter.checkpoint);
        assert_eq!(fork.theirs.as_bytes(), other.checkpoint);
        assert_eq!(follower, before);
    }
    // One that contradicts ours where they part is a fork too, and not only unreadable.
    let mut other = Served::default();
    let beats: Vec<Entry> = (0..301).map(|_| at(0, Body::Heartbeat { chain: BTC, tip: block(1) })).collect();
    other.put(&Feed::new().append([beats, vec![at(0, opened("a", BTC))]].concat()).unwrap());
    assert!(matches!(other.follow(&mut follower), Err(UpdateError::Fork(_))));
    // Bytes that nobody signed are somebody else's doing.
    for place in [0, 2, 40] {
        let mut changed = longer.clone();
        for (resource, bytes) in &mut changed.files {
            if matches!(resource, Resource::Entries(bundle) if bundle.start() == 256) {
                let last = bytes.len() - 1 - place;
                bytes[last] ^= 1;
            }
        }
        let error = changed.follow(&mut follower).unwrap_err();
        assert!(matches!(error, UpdateError::Root { .. } | UpdateError::Form(_)), "{error}");
        assert_eq!(follower, before);
    }
    longer.follow(&mut follower).unwrap();
    assert!(matches!(shorter.follow(&mut follower), Err(UpdateError::Older { ours: 301, theirs: 300 })));
    assert_eq!(follower.head().size, 301);
}

#[test]
fn only_the_feeds_key_is_believed_and_partial_bundles_may_be_gone() {
    let (shorter, longer) = two_sizes();
    let stranger = NoteSigner::from_seed("tags.example/feed".parse().unwrap(), &[8; 32]);
    let mut other = Replica::new(stranger.verifier().clone());
    assert!(matches!(longer.follow(&mut other), Err(UpdateError::Checkpoint(_))));
    // A reader that comes when the feed has grown to full bundles finds no partial ones.
    let mut gone = shorter.clone();
    gone.files.retain(|resource, _| !matches!(resource, Resource::Entries(bundle) if bundle.width() < 256));
    assert!(matches!(gone.follow(&mut replica()), Err(UpdateError::Read { .. })));
    let mut feed = Feed::new();
    let beats =
        |count: usize| (0..count).map(|_| at(0, Body::Heartbeat { chain: BTC, tip: block(1) })).collect();
    let mut served = Served::default();
    served.put(&feed.append(beats(200)).unwrap());
    let early = served.checkpoint.clone();
    served.put(&feed.append(beats(100)).unwrap());
    served
        .files
        .retain(|resource, _| !matches!(resource, Resource::Entries(bundle) if bundle.width() == 200));
    let mut follower = replica();
    follower.update(&early, served.read(), |_, _| {}).unwrap();
    assert_eq!(follower.head().size, 200);
}

#[test]
fn a_feed_whose_files_are_not_its_checkpoints_is_not_gone_on_with() {
    let (_, served) = two_sizes();
    let mut follower = replica();
    served.follow(&mut follower).unwrap();
    let names: Vec<Resource> = served.files.keys().copied().collect();
    let mut refused = 0;
    for name in names {
        let mut changed = served.clone();
        changed.files.get_mut(&name).unwrap()[5] ^= 1;
        // Full tiles and bundles are not read again, and neither are narrower ones than the last.
        refused += u32::from(Feed::resume(follower.clone(), changed.read()).is_err());
    }
    assert_eq!(refused, 3, "the open bundle and the open tiles of two levels");
}

#[test]
fn what_stands_can_be_taken_into_packs_and_stores() {
    let mut feed = Feed::new();
    let expiring = Tag { expires: Some(Instant::from_ms(50)), ..tag("a", 4) };
    let held = Tag {
        reach: Reach::HandedOver { to: "an exchange".parse().unwrap() },
        since: Since::Block(block(1)),
        taint: Taint::By { method: Method::Fifo, units: 8 },
        ..tag("a", 5)
    };
    let steps = [
        opened("a", BTC),
        Body::Tag(tag("a", 1)),
        Body::Tag(tag("a", 3)),
        Body::Tag(expiring),
        Body::Tag(held),
    ];
    feed.append(steps.map(|body| at(0, body)).to_vec()).unwrap();
    for (now, want) in [(0, 4), (49, 4), (50, 3)] {
        assert_eq!(feed.standing().export(Instant::from_ms(now)).count(), want, "{now}");
    }
    let tags: Vec<_> = feed.standing().export(Instant::from_ms(0)).collect();
    let again = Pack::parse(&pack::write("Feed", "Example", &tags), |_| Err(String::new())).unwrap();
    assert_eq!((again.tags.as_slice(), again.rejects.len()), (tags.as_slice(), 0));
    let mut builder = Builder::new();
    for tag in &tags {
        builder.add(tag, "Feed", "Example").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    builder.save(folder.path()).unwrap();
    let hits = Store::open(folder.path()).unwrap().find(SubjectKind::Address, "BTC", ADDRESS);
    let labels: BTreeSet<&str> = hits.iter().map(|hit| hit.tag.label.as_str()).collect();
    assert_eq!(hits.len(), 3);
    let want = format!("stolen funds: a in {}:5, handed over to an exchange", "05".repeat(32));
    assert!(labels.contains(want.as_str()), "{labels:?}");
    let taint = hits.iter().find(|hit| hit.tag.label == want).unwrap().tag.taint.clone().unwrap();
    assert_eq!((taint.amount, taint.sequence, taint.method.as_str()), (8, Some(4), "fifo"));
}

#[test]
fn a_feed_whose_writer_was_killed_before_the_checkpoint_is_taken_up() {
    let beats = |count: usize| vec![at(1, Body::Heartbeat { chain: BTC, tip: block(7) }); count];
    for (before, after) in [(1, 256), (200, 255), (255, 300), (256, 600), (300, 70_000)] {
        let mut feed = Feed::new();
        let mut served = Served::default();
        served.put(&feed.append(beats(before)).unwrap());
        // Whatever of the growth is there, in its order: full files take the place of partial ones at once.
        let growth = feed.append(beats(after - before)).unwrap();
        for written in [0, 1, growth.files.len() / 2, growth.files.len()] {
            let mut found = served.clone();
            for (resource, bytes) in growth.files.iter().take(written) {
                if resource.fallback().is_none() {
                    found.files.retain(|other, _| other.fallback() != Some(*resource));
                }
                found.files.insert(*resource, bytes.clone());
            }
            let mut follower = replica();
            found.follow(&mut follower).unwrap();
            let resumed = Feed::resume(follower, found.read());
            let mut resumed =
                resumed.unwrap_or_else(|error| panic!("{before} to {after}, {written} files: {error}"));
            let again = resumed.append(beats(after - before)).unwrap();
            assert_eq!(again.files, growth.files);
        }
    }
}
