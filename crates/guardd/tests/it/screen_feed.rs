//! The screening service as it follows a feed: what the feed says is answered, verified, kept and served onward, through
//! kills of either side; a second history is refused.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use kuraban_base::{Digest, Height, Instant, hex};
use kuraban_chain::btc::{Address, Network, Script};
use kuraban_proof::{NoteSigner, Resource};
use kuraban_trace::{
    feed::{
        Block, Body, Chain, Entry, Feed, Opened, Reach, Reason, Replica, Rules, Seed, Since, Subject, Tag,
        Taint,
    },
    tags::{
        Confidence, SubjectKind,
        store::{key, subject},
    },
    taint::Method,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, ask, ended, free, request, until};

const CHAIN: Chain = Chain::Family(Network::BtcMain);

/// Whoever keeps a feed: its files, served over HTTP.
struct Upstream {
    log: NoteSigner,
    feed: Mutex<Feed>,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    address: SocketAddr,
}

impl Upstream {
    fn new() -> Self {
        let log = NoteSigner::from_seed("tags.example/feed".parse().unwrap(), &[1; 32]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (files, address) =
            (Arc::<Mutex<BTreeMap<String, Vec<u8>>>>::default(), listener.local_addr().unwrap());
        let served = Arc::clone(&files);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut line) = (String::new(), String::new());
                drop(reader.read_line(&mut first));
                while reader.read_line(&mut line).is_ok_and(|_| line.trim().len() > 1) {
                    line.clear();
                }
                let name =
                    first.split(' ').nth(1).unwrap_or_default().trim_start_matches("/feed/").to_owned();
                let file = served.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
                let (status, bytes) = file.map_or(("404 Not Found", Vec::new()), |bytes| ("200 OK", bytes));
                let head = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    bytes.len()
                );
                drop(stream.write_all(&[head.as_bytes(), &bytes].concat()));
            }
        });
        Self { log, feed: Mutex::new(Feed::new()), files, address }
    }

    /// Appends, and puts out files and checkpoint. Gives the number of the first.
    fn say(&self, bodies: Vec<Body>) -> u64 {
        let entries = bodies.into_iter().map(|body| Entry { at: Instant::from_ms(1_000), body }).collect();
        let growth = self.feed.lock().unwrap().append(entries).unwrap();
        let checkpoint = growth.sign(&self.log).unwrap().note().to_string();
        let first = growth.first;
        let mut files = self.files.lock().unwrap();
        files.extend(growth.files.into_iter().map(|(name, bytes)| (name.to_string(), bytes)));
        files.insert("checkpoint".to_owned(), checkpoint.into_bytes());
        first
    }
}

fn opened(case: &str) -> Body {
    Body::Opened(Opened {
        case: case.parse().unwrap(),
        chain: CHAIN,
        token: None,
        label: "Stolen from an exchange".parse().unwrap(),
        concept: "hacking",
        source: "https://example.org/case".parse().unwrap(),
        seeds: vec![Seed { tx: Digest::from_bytes([9; 32]), index: 0, units: 5 }],
        rules: Rules {
            methods: vec![Method::Fifo],
            follow_fees: false,
            dust_units: 0,
            tag_units_min: 1,
            hub_outputs_min: None,
            lasts_ms: None,
        },
    })
}

fn address(number: u8) -> String {
    Address::from_script(Network::BtcMain, &Script::p2pkh(&[number; 20])).unwrap().to_string()
}

fn tag(case: &str, number: u8, units: u128) -> Body {
    Body::Tag(Tag {
        case: case.parse().unwrap(),
        subject: Subject::Output {
            tx: Digest::from_bytes([number; 32]),
            index: 1,
            address: Some(address(number)),
        },
        taint: Taint::By { method: Method::Fifo, units },
        value: None,
        reach: Reach::Followed,
        since: Since::Mempool,
        confidence: Confidence::of("forensic").unwrap(),
        expires: None,
    })
}

fn beats(count: usize) -> Vec<Body> {
    let tip = Block { height: Height::new(1), hash: Digest::from_bytes([7; 32]) };
    vec![Body::Heartbeat { chain: CHAIN, tip }; count]
}

/// A service that follows a feed.
struct Follower {
    folder: TempDir,
    address: SocketAddr,
}

impl Follower {
    fn new(url: &str, vkey: &str) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free());
        let text = format!(
            "listen = \"{address}\"\nthreads = 2\n[feed]\nurl = \"{url}\"\nvkey = \"{vkey}\"\nfolder = \"copy\"\npoll_ms = 50\n"
        );
        let follower = Self { folder, address };
        fs::write(follower.config(), text).unwrap();
        let (status, said) = ended(&["screen", "init"], &follower.config());
        assert_eq!(status, Some(0), "{said}");
        follower
    }

    fn of(upstream: &Upstream) -> Self {
        Self::new(&format!("http://{}/feed", upstream.address), &upstream.log.verifier().to_string())
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("screen.toml")
    }

    fn start(&self) -> Process {
        let process = Process::role("screen", &self.config());
        process.event("started");
        process
    }

    fn screened(&self, number: u8) -> Value {
        let answer = ask(self.address, "GET", &format!("/v1/screen/btc/{}", address(number))).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    fn hits(&self, number: u8) -> Vec<Value> {
        self.screened(number)["hits"].as_array().unwrap().clone()
    }

    fn feed(&self) -> Value {
        self.screened(0)["freshness"]["feed"].clone()
    }

    fn at_size(&self, size: u64) {
        until("the size", || self.feed()["size"] == size);
    }
}

#[test]
fn what_the_feed_says_is_answered_until_it_is_taken_back() {
    let upstream = Upstream::new();
    let follower = Follower::of(&upstream);
    let _process = follower.start();
    assert_eq!(follower.feed()["state"], "silent");
    upstream.say(vec![opened("case-1"), tag("case-1", 1, 700), tag("case-1", 2, 40)]);
    follower.at_size(3);
    let [hit] = follower.hits(1).try_into().unwrap();
    assert_eq!(
        (&hit["tainted_sat"], &hit["case"], &hit["from"]),
        (&json!(700), &json!("case-1"), &json!("feed"))
    );
    assert_eq!(
        (&hit["feed_number"], &hit["category"], &hit["confidence"]),
        (&json!(1), &json!("hacking"), &json!(50))
    );
    let feed = follower.feed();
    assert_eq!(
        (&feed["origin"], &feed["state"], &feed["entry_ms"]),
        (&json!("tags.example/feed"), &json!("following"), &json!(1_000))
    );
    assert_eq!(feed["root"], hex::encode(upstream.feed.lock().unwrap().head().root.as_bytes()));
    assert!(feed["age_ms"].as_u64().unwrap() < 30_000, "{feed}");

    upstream.say(vec![Body::Appealed { tag: 2, reference: "appeal 7".parse().unwrap() }]);
    follower.at_size(4);
    assert_eq!(follower.hits(2)[0]["appealed"], "appeal 7");
    upstream.say(vec![Body::Revoked { tags: vec![1], reason: Reason::Error }]);
    follower.at_size(5);
    assert_eq!((follower.hits(1).len(), follower.hits(2).len()), (0, 1));
    upstream.say(vec![Body::Closed { case: "case-1".parse().unwrap(), reason: "over".parse().unwrap() }]);
    follower.at_size(6);
    assert_eq!(follower.hits(2).len(), 0);
}

#[test]
fn a_feed_s_tags_are_found_privately_too() {
    let upstream = Upstream::new();
    upstream
        .say((0..=40).map(|number| if number == 0 { opened("c") } else { tag("c", number, 1) }).collect());
    let follower = Follower::of(&upstream);
    let _process = follower.start();
    follower.at_size(41);
    let terms = ask(follower.address, "GET", "/v1/private").unwrap().json();
    assert_eq!((&terms["bits_max"], &terms["subjects_min"]), (&json!(0), &json!(40)));
    let answer = ask(follower.address, "GET", "/v1/private/buckets/0/").unwrap().json();
    let found: BTreeMap<&str, &Value> = answer["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["key"].as_str().unwrap(), &entry["hits"]))
        .collect();
    assert_eq!(found.len(), 40);
    let (_, filter) = request(follower.address, "GET /v1/private/filter", "", b"").unwrap();
    for number in 1..=41 {
        let (kind, checked) = subject("BTC", &address(number)).unwrap();
        assert_eq!(kind, SubjectKind::Address);
        let key = key(kind, "BTC", &checked.normal);
        let hits = Value::from(follower.hits(number));
        assert_eq!(found.get(hex::encode(&key).as_str()).map_or(json!([]), |hits| (*hits).clone()), hits);
        let maybe = kuraban_trace::tags::filter::matches(&filter, &[key]).unwrap();
        assert_eq!(maybe, [number <= 40]);
    }
}

#[test]
fn a_replica_of_a_replica_says_the_same_and_anybody_can_check_it() {
    let upstream = Upstream::new();
    upstream.say(vec![opened("c"), tag("c", 1, 9)]);
    let first = Follower::of(&upstream);
    let _first = first.start();
    let second = Follower::new(
        &format!("http://{}/v1/tags/feed", first.address),
        &upstream.log.verifier().to_string(),
    );
    let _second = second.start();
    second.at_size(2);
    // Over the edge of a bundle, in steps, so that partial ones were kept before.
    for count in [100, 200, 300] {
        upstream.say(beats(count));
    }
    upstream.say(vec![tag("c", 2, 8)]);
    second.at_size(603);
    assert_eq!(second.hits(2)[0]["tainted_sat"], 8);
    assert_eq!((&first.feed()["root"], first.hits(1).len()), (&second.feed()["root"], second.hits(1).len()));
    // A reader of our own follows the copy of the copy; and its tiles are the keeper's.
    let get = |name: &str| {
        let (head, body) = request(second.address, &format!("GET /v1/tags/feed/{name}"), "", b"").unwrap();
        head.starts_with("HTTP/1.1 200").then_some(body).ok_or(std::fmt::Error)
    };
    let mut reader = Replica::new(upstream.log.verifier().clone());
    reader.update(&get("checkpoint").unwrap(), |name: Resource| get(&name.to_string()), |_, _| {}).unwrap();
    assert_eq!(reader.head(), upstream.feed.lock().unwrap().head());
    for name in ["tile/0/000", "tile/0/001", "tile/0/002.p/91", "tile/1/000.p/2", "tile/entries/001"] {
        assert!(get(name).unwrap() == upstream.files.lock().unwrap()[name], "{name}");
    }
    for name in ["tile/0/003", "tile/entries/../checkpoint", "tile/0/0", "tile/x"] {
        assert!(get(name).is_err(), "{name}");
    }
}

#[test]
fn a_replica_that_is_killed_goes_on_from_its_copy() {
    let upstream = Upstream::new();
    upstream.say(vec![opened("c"), tag("c", 1, 9)]);
    upstream.say(beats(500));
    let follower = Follower::of(&upstream);
    let mut process = follower.start();
    for number in 2..=12 {
        // Killed wherever it happens to be in taking up what has just come.
        upstream.say(vec![tag("c", number, 5)]);
        if number % 2 == 0 {
            process.event("feed-taken-up");
        }
        process.kill();
        process = follower.start();
    }
    follower.at_size(513);
    assert!((1..=12).all(|number| follower.hits(number).len() == 1));
    // Without the upstream it answers what it has verified, and says that nobody confirms it.
    process.kill();
    upstream.files.lock().unwrap().clear();
    let _process = follower.start();
    assert_eq!(
        (follower.hits(12).len(), &follower.feed()["state"], &follower.feed()["checked_ms"]),
        (1, &json!("silent"), &Value::Null)
    );
}

/// What was verified is kept with its signed head, through kills; where it does not hold the copy is verified again.
#[test]
fn a_copy_whose_full_files_came_before_its_checkpoint_is_followed_on() {
    let upstream = Upstream::new();
    upstream.say(vec![opened("c"), tag("c", 1, 9)]);
    upstream.say(beats(198));
    let follower = Follower::of(&upstream);
    let mut process = follower.start();
    follower.at_size(200);
    process.kill();
    upstream.say(beats(100));
    // Killed when the full files were there, and the partial ones gone, and the checkpoint still of 200 entries.
    let copy = follower.folder.path().join("copy");
    for name in ["tile/0/000", "tile/entries/000"] {
        fs::write(copy.join(name), &upstream.files.lock().unwrap()[name]).unwrap();
        fs::remove_dir_all(copy.join(format!("{name}.p"))).unwrap();
    }
    let _process = follower.start();
    follower.at_size(300);
    assert_eq!((follower.hits(1).len(), &follower.feed()["state"]), (1, &json!("following")));
}

#[test]
fn a_restart_goes_on_from_what_was_verified_unless_that_does_not_hold() {
    let upstream = Upstream::new();
    upstream.say(vec![opened("c"), tag("c", 1, 9), tag("c", 2, 8)]);
    let follower = Follower::of(&upstream);
    let mut process = follower.start();
    let resumed = |process: &Process| {
        let line = process.event("feed-resumed");
        (line["from"].as_u64().unwrap(), line["size"].as_u64().unwrap())
    };
    // Below the bound nothing is kept, at it all is.
    upstream.say(beats(996));
    follower.at_size(999);
    let snapshot = follower.folder.path().join("copy/snapshot");
    assert!(!snapshot.exists());
    upstream.say(vec![Body::Revoked { tags: vec![2], reason: Reason::Error }]);
    assert_eq!(process.event("snapshot-kept")["size"], 1_000);
    let says = |process: &Process, from: u64| {
        assert_eq!(resumed(process).0, from, "{:?}", process.lines());
        assert_eq!((follower.hits(1).len(), follower.hits(2).len()), (1, 0));
        assert_eq!(follower.feed()["entry_ms"], 1_000);
    };
    process.kill();
    process = follower.start();
    says(&process, 1_000);
    // Killed wherever it is in taking up, keeping a copy and keeping what was verified.
    for round in 0..6_u8 {
        upstream.say(beats(1_200));
        upstream.say(vec![tag("c", 10 + round, 5)]);
        if round % 2 == 1 {
            process.event("feed-taken-up");
        }
        process.kill();
        process = follower.start();
        let (from, size) = resumed(&process);
        assert!((1_000..=size).contains(&from), "{from} of {size}");
    }
    let size = 1_000 + 6 * 1_201;
    follower.at_size(size);
    assert!((10..16).all(|number| follower.hits(number).len() == 1));
    process.kill();
    // Damaged, of another key, or of a later feed than the copy: verified from the beginning, with the same answers.
    let kept = fs::read(&snapshot).unwrap();
    let mut changed = kept.clone();
    changed[kept.len() / 2] ^= 1;
    for bytes in [&changed[..], &kept[..40], &[]] {
        fs::write(&snapshot, bytes).unwrap();
        let mut process = follower.start();
        process.event("snapshot-not-used");
        says(&process, 0);
        process.kill();
    }
    fs::write(&snapshot, &kept).unwrap();
    let stranger = Upstream::new();
    stranger.say(vec![opened("d"), tag("d", 1, 9), tag("d", 3, 9)]);
    let copy = |name: &str| follower.folder.path().join("copy").join(name);
    for (name, bytes) in stranger.files.lock().unwrap().iter() {
        fs::create_dir_all(copy(name).parent().unwrap()).unwrap();
        fs::write(copy(name), bytes).unwrap();
    }
    let process = follower.start();
    process.event("snapshot-not-used");
    assert_eq!(resumed(&process).0, 0);
    assert_eq!((follower.hits(1).len(), follower.hits(3).len()), (1, 1));
}

#[test]
fn a_copy_that_was_changed_is_not_used() {
    let upstream = Upstream::new();
    upstream.say(vec![opened("c"), tag("c", 1, 9)]);
    let follower = Follower::of(&upstream);
    let mut process = follower.start();
    follower.at_size(2);
    process.kill();
    let path = follower.folder.path().join("copy/tile/entries/000.p/2");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (status, said) = ended(&["screen", "run"], &follower.config());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("move it away"), "{said}");
}

#[test]
fn a_second_history_is_refused_and_told_until_somebody_has_looked() {
    let upstream = Upstream::new();
    upstream.say(vec![opened("c"), tag("c", 1, 9)]);
    let follower = Follower::of(&upstream);
    let mut process = follower.start();
    follower.at_size(2);
    // The same key, another past.
    let other = Upstream::new();
    other.say(vec![opened("d"), tag("d", 2, 9), tag("d", 3, 9)]);
    let theirs = other.files.lock().unwrap().clone();
    *upstream.files.lock().unwrap() = theirs;
    until("forked", || follower.feed()["state"] == "forked");
    let health = ask(follower.address, "GET", "/healthz").unwrap();
    assert_eq!(health.status, 503, "{health:?}");
    assert!(health.body.contains("forked"), "{health:?}");
    assert!(ask(follower.address, "GET", "/metrics").unwrap().body.contains("kuraban_screen_feed_state 3\n"));
    assert_eq!((follower.hits(1).len(), follower.hits(2).len(), &follower.feed()["size"]), (1, 0, &json!(2)));
    for name in ["ours", "theirs"] {
        let kept = fs::read_to_string(follower.folder.path().join("copy/fork").join(name)).unwrap();
        assert!(kept.starts_with("tags.example/feed\n"), "{kept}");
    }
    process.kill();
    let _process = follower.start();
    assert_eq!(follower.feed()["state"], "forked");
}

#[test]
fn what_does_not_verify_is_refused_and_taken_up_once_it_does() {
    let upstream = Upstream::new();
    upstream.say(vec![opened("c"), tag("c", 1, 9)]);
    let good = upstream.files.lock().unwrap().clone();
    let name = "tile/entries/000.p/2";
    upstream.files.lock().unwrap().get_mut(name).unwrap().push(0);
    let follower = Follower::of(&upstream);
    let process = follower.start();
    until("refused", || follower.feed()["state"] == "refused");
    assert_eq!((&follower.feed()["size"], follower.hits(1).len()), (&json!(0), 0));
    *upstream.files.lock().unwrap() = good;
    follower.at_size(2);
    assert_eq!(follower.feed()["state"], "following");
    // Asked for again without anything new, it is taken up once.
    let checked = || follower.feed()["checked_ms"].as_u64().unwrap();
    let first = checked();
    until("asked again", || checked() > first);
    assert_eq!(process.count("feed-taken-up"), 1);
    // An older checkpoint takes nothing back.
    let old = upstream.files.lock().unwrap().clone();
    upstream.say(vec![tag("c", 2, 1)]);
    follower.at_size(3);
    *upstream.files.lock().unwrap() = old;
    until("refused", || follower.feed()["state"] == "refused");
    assert_eq!((&follower.feed()["size"], follower.hits(2).len()), (&json!(3), 1));
}
