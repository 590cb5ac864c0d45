//! `kuraban tags feed` on a feed made here: verified, shown, packed, refused when anything is changed.

use std::{fs, path::Path};

use kuraban_base::{Digest, Height, Instant};
use kuraban_chain::btc::Network;
use kuraban_proof::{NoteSigner, Resource};
use kuraban_trace::{
    feed::{Block, Body, Chain, Entry, Feed, Opened, Reach, Reason, Rules, Seed, Since, Subject, Tag, Taint},
    tags::Confidence,
    taint::Method,
};
use serde_json::{Value, json};

use crate::{
    run::{Ran, run},
    server::Server,
};

const ADDRESS: &str = "1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w";

fn log() -> NoteSigner {
    NoteSigner::from_seed("tags.example/feed".parse().unwrap(), &[3; 32])
}

fn feed(args: &[&str]) -> Ran {
    let vkey = log().verifier().to_string();
    run(["tags", "feed"].iter().chain(args).chain(&["--vkey", &vkey]))
}

fn at(body: Body) -> Entry {
    Entry { at: Instant::from_ms(1_516_900_000_000), body }
}

fn opened() -> Body {
    Body::Opened(Opened {
        case: "zaif-2018".parse().unwrap(),
        chain: Chain::Family(Network::BtcMain),
        token: None,
        label: "stolen funds".parse().unwrap(),
        concept: "hacking",
        source: "https://example.org/zaif".parse().unwrap(),
        seeds: vec![Seed { tx: Digest::from_bytes([1; 32]), index: 0, units: 596_610_000_000 }],
        rules: Rules {
            methods: vec![Method::Haircut, Method::Fifo],
            follow_fees: false,
            dust_units: 0,
            tag_units_min: 1,
            hub_outputs_min: None,
            lasts_ms: None,
        },
    })
}

fn tag(number: u8, least: u128) -> Body {
    Body::Tag(Tag {
        case: "zaif-2018".parse().unwrap(),
        subject: Subject::Output {
            tx: Digest::from_bytes([number; 32]),
            index: 1,
            address: Some(ADDRESS.to_owned()),
        },
        taint: Taint::Span { least, most: 9_000 },
        value: Some(10_000),
        reach: Reach::HandedOver { to: "Example\u{a0}Exchange".parse().unwrap() },
        since: Since::Block(tip()),
        confidence: Confidence::of("forensic").unwrap(),
        expires: (number == 3).then(|| Instant::from_ms(2_000)),
    })
}

fn tip() -> Block {
    Block { height: Height::new(541_000), hash: Digest::from_bytes([5; 32]) }
}

/// Puts out a feed of these entries, with heartbeats until there are two bundles.
fn put_out(folder: &Path, bodies: Vec<Body>) {
    let beats = (0..300).map(|_| Body::Heartbeat { chain: Chain::Family(Network::BtcMain), tip: tip() });
    let growth = Feed::new().append(bodies.into_iter().chain(beats).map(at).collect()).unwrap();
    for (resource, bytes) in &growth.files {
        let path = folder.join(resource.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let checkpoint = growth.sign(&log()).unwrap().note().to_string();
    fs::write(folder.join(Resource::Checkpoint.to_string()), checkpoint).unwrap();
}

fn example() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let revoked = Body::Revoked { tags: vec![2], reason: Reason::Spent };
    put_out(folder.path(), vec![opened(), tag(1, 4_000), tag(2, 5_000), tag(3, 6_000), revoked]);
    folder
}

#[test]
fn a_feed_is_verified_and_shown_from_a_folder_and_from_a_server() {
    let folder = example();
    let root = folder.path().to_owned();
    let server =
        Server::start(move |asked| match fs::read(root.join(asked.path.trim_start_matches("/feed/"))) {
            Ok(bytes) => (200, bytes),
            Err(_) => (404, Vec::new()),
        });
    let (dir, url) = (folder.path().to_str().unwrap(), format!("{}/feed", server.url));
    for place in [["--dir", dir], ["--url", &url]] {
        let ran = feed(&[&["verify", "--json"][..], &place].concat());
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        let said = ran.json();
        assert_eq!(
            [&said["ok"], &said["origin"], &said["size"], &said["cases"], &said["tags"]],
            [&json!(true), &json!("tags.example/feed"), &json!(305), &json!(1), &json!(2)]
        );
        assert_eq!(said["chains"][0]["height"], 541_000);
    }
    let shown = |now: &str| feed(&["show", "--json", "--dir", dir, "--now", now]).json()["tags"].clone();
    let numbers = |tags: &Value| -> Vec<u64> {
        tags.as_array().unwrap().iter().map(|tag| tag["tag"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&shown("1999")), [1, 3]);
    assert_eq!(numbers(&shown("2000")), [1]);
    let one = &shown("2000")[0];
    assert_eq!(
        [&one["tainted_sat"], &one["tainted_most_sat"], &one["value_sat"], &one["address"], &one["case"]],
        [&json!(4_000), &json!(9_000), &json!(10_000), &json!(ADDRESS), &json!("zaif-2018")]
    );
    let told = feed(&["show", "--dir", dir, "--now", "2000"]);
    assert!(told.out.contains("4000 to 9000") && told.out.contains("since block 541000"), "{}", told.out);
}

#[test]
fn a_feeds_pack_is_taken_into_a_store_and_screened() {
    let folder = example();
    let (dir, store) = (folder.path().to_str().unwrap(), folder.path().join("store"));
    let store = store.to_str().unwrap();
    let made = feed(&["show", "--dir", dir, "--pack", "--now", "1999"]);
    assert_eq!(made.status, 0, "{}", made.err);
    let pack = folder.path().join("feed.yaml");
    fs::write(&pack, &made.out).unwrap();
    let ran = run(["tags", "import", "--store", store, pack.to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let args = ["tags", "screen", "--json", "--store", store, "--chain", "btc", "--now", "1999", ADDRESS];
    let hits = run(args).json()["hits"].clone();
    let mut amounts: Vec<_> =
        hits.as_array().unwrap().iter().map(|hit| hit["tainted_sat"].as_u64()).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [Some(4_000), Some(6_000)]);
}

#[test]
fn a_feed_that_is_not_what_its_key_signed_is_refused() {
    let folder = example();
    let dir = folder.path().to_str().unwrap();
    let kept = folder.path().join("kept");
    fs::copy(folder.path().join("checkpoint"), &kept).unwrap();
    let kept = kept.to_str().unwrap();
    assert_eq!(feed(&["verify", "--dir", dir, "--before", kept]).status, 0);
    // The key signs another history of the same size: both checkpoints are given.
    put_out(folder.path(), vec![opened(), tag(1, 4_001), tag(2, 5_000), tag(3, 6_000), tag(4, 1)]);
    assert_eq!(feed(&["verify", "--dir", dir]).status, 0);
    let forked = feed(&["verify", "--json", "--dir", dir, "--before", kept]);
    assert_eq!((forked.status, &forked.json()["ok"]), (1, &json!(false)));
    assert_eq!(forked.json()["fork"][0].as_str(), Some(fs::read_to_string(kept).unwrap().as_str()));
    let bundle = folder.path().join("tile/entries/000");
    let mut bytes = fs::read(&bundle).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&bundle, bytes).unwrap();
    for command in ["verify", "show"] {
        let ran = feed(&[command, "--json", "--dir", dir]);
        assert_eq!(ran.status, 1, "{}", ran.out);
        assert!(ran.json()["error"].as_str().unwrap().contains("do not hash"), "{}", ran.out);
    }
    let other = NoteSigner::from_seed("tags.example/feed".parse().unwrap(), &[4; 32]).verifier().to_string();
    let ran = run(["tags", "feed", "verify", "--dir", dir, "--vkey", &other]);
    assert_eq!(ran.status, 1);
    let nowhere = feed(&["verify", "--dir", "/nowhere"]);
    assert_eq!(nowhere.status, 2);
    let folder = example();
    assert_eq!(feed(&["show", "--dir", folder.path().to_str().unwrap(), "--case", "none"]).status, 2);
}
