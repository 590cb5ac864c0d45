//! The screening service as its callers meet it: one address, thousands, a stream without an end, and without naming any.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kuraban_base::hex;
use kuraban_trace::tags::{
    Confidence, SubjectKind, Tag, TagType, Taint, filter,
    store::{Builder, Key, key},
    taxonomy,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Answer, LONG, Process, ask, ended, free, request, until};

const BTC: &str = "1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w";
const CLEAN: &str = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";

/// A tag on an address of a network.
fn tag(network: &str, address: &str, label: &str) -> Tag {
    let checked = kuraban_trace::tags::address::address(network, address).unwrap();
    Tag {
        kind: SubjectKind::Address,
        subject: address.to_owned(),
        normal: checked.normal,
        verified: checked.verified,
        currency: network.to_owned(),
        network: network.to_owned(),
        label: label.to_owned(),
        source: "https://example.org/list".to_owned(),
        confidence: Confidence::of("service_data").unwrap(),
        concepts: vec![taxonomy::concept("exchange").unwrap()],
        actor: None,
        tag_type: TagType::Actor,
        cluster_definer: false,
        lastmod: Some("2026-11-21".to_owned()),
        context: None,
        taint: None,
    }
}

fn tainted(mut tag: Tag, amount: u128, expires_ms: Option<u64>) -> Tag {
    let taint = Taint {
        case: "case-1".to_owned(),
        method: "fifo".to_owned(),
        amount,
        most: None,
        unit: "sat".to_owned(),
        outpoint: None,
        expires_ms,
        revoked: None,
        sequence: None,
        signature: None,
    };
    tag.context = Some(taint.to_context().to_string());
    tag.taint = Some(taint);
    tag
}

/// The address that belongs to a number.
fn ether(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ number;
    format!("0x{mixed:016x}{number:016x}{number:08x}")
}

struct Desk {
    folder: TempDir,
    address: SocketAddr,
}

impl Desk {
    /// A service whose stores hold these tags.
    fn new(stores: &[(&str, &[Tag])]) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), address: free() };
        let mut text = format!("listen = \"{}\"\nthreads = 2\n", desk.address);
        for (name, tags) in stores {
            desk.fill(name, tags);
            text += &format!("[[store]]\nname = \"{name}\"\nfolder = \"{name}\"\n");
        }
        fs::write(desk.config(), text).unwrap();
        desk
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("screen.toml")
    }

    fn fill(&self, name: &str, tags: &[Tag]) {
        let mut builder = Builder::new();
        for tag in tags {
            builder.add(tag, "Pack", "Maker").unwrap();
        }
        builder.save(&self.folder.path().join(name)).unwrap();
    }

    fn start(&self) -> Process {
        let process = Process::role("screen", &self.config());
        process.event("started");
        process
    }

    fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path).unwrap()
    }

    fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let (head, body) = request(self.address, &format!("POST {path}"), "", body).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_slice(&body).unwrap())
    }

    /// What is said of an address alone, without freshness.
    fn one(&self, chain: &str, address: &str) -> Value {
        let mut answer = self.get(&format!("/v1/screen/{chain}/{address}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body.make_ascii_lowercase();
        let mut answer = answer.json();
        answer.as_object_mut().unwrap().remove("freshness").unwrap();
        answer
    }
}

fn small() -> Desk {
    let sure = Tag { confidence: Confidence::of("ownership").unwrap(), ..tag("BTC", BTC, "Sure") };
    Desk::new(&[
        ("one", &[tag("BTC", BTC, "F"), tainted(tag("BTC", BTC, "Stolen"), 4_217, None), sure]),
        (
            "two",
            &[
                tainted(tag("BTC", BTC, "Long ago"), 1, Some(1)),
                tag("ETH", &ether(1), "E"),
                tag("ZEC", "t1x", "Z"),
            ],
        ),
    ])
}

#[test]
fn an_address_is_answered_with_everything_that_holds_the_surest_first() {
    let desk = small();
    let _process = desk.start();
    let answer = desk.get(&format!("/v1/screen/btc/{BTC}"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let answer = answer.json();
    let labels: Vec<&str> =
        answer["hits"].as_array().unwrap().iter().map(|hit| hit["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["Sure", "F", "Stolen"], "{answer}");
    let hit = &answer["hits"][2];
    assert_eq!(hit["tainted_sat"], 4_217);
    assert_eq!((&hit["case"], &hit["from"]), (&json!("case-1"), &json!("one")));
    assert_eq!((&hit["category"], &hit["confidence"]), (&json!("exchange"), &json!(50)));
    let stores = answer["freshness"]["stores"].as_array().unwrap();
    assert_eq!((stores.len(), &stores[0]["tags"], &stores[1]["tags"]), (2, &json!(3), &json!(3)));
    let file = fs::read(desk.folder.path().join("two/tags.v1")).unwrap();
    assert_eq!(stores[1]["sha256"], hex::encode(file.last_chunk::<32>().unwrap()));
}

#[test]
fn a_clean_address_is_answered_200_without_hits() {
    let desk = small();
    let _process = desk.start();
    let answer = desk.get(&format!("/v1/screen/btc/{CLEAN}"));
    assert_eq!((answer.status, answer.json()["hits"].clone()), (200, json!([])));
    // Capitals in the chain's name, a checksum in the address, another store's network.
    assert_eq!(desk.one("BTC", CLEAN)["chain"], "btc");
    assert_eq!(desk.one("zec", "t1y")["hits"], json!([]));
    assert_eq!(desk.one("zec", "t1x")["hits"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_looked_up_is_a_problem_that_says_where() {
    let desk = small();
    let _process = desk.start();
    let check = |path: &str, status: u16, code: &str, detail: &str| {
        let answer = desk.get(path);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        let problem = answer.json();
        assert_eq!((answer.status, problem["code"].as_str().unwrap()), (status, code), "{problem}");
        assert_eq!(problem["type"], format!("urn:kuraban:problem:{code}"));
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    };
    check("/v1/screen/btx/x", 422, "unknown-chain", "\"btx\"");
    check("/v1/screen/b/x", 422, "unknown-chain", "\"b\"");
    check("/v1/screen/btc/1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9x", 422, "malformed-address", "checksum");
    check("/v1/screen/btc/1FmwHh6pgkf4meCMoqo8fHH3GNRF571f0w", 422, "malformed-address", "'0' at 33");
    let bech32 = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5";
    check(&format!("/v1/screen/btc/{bech32}"), 422, "malformed-address", "character 42 is wrong");
    check("/v1/screen/btc/%zz", 400, "malformed-path", "%zz");
    check("/v1/nothing", 404, "no-such-path", "/openapi.json");
    check("/v1/screen", 405, "wrong-method", "want POST");
    check("/v1/private/buckets/x/8", 400, "malformed-prefix", "\"x\" bits");
    check("/v1/private/buckets/4/4f", 400, "malformed-prefix", "2 digits for 4 bits, want 1");
    check("/v1/private/buckets/17/00008", 422, "prefix-bits", "want 0 to 0");
}

#[test]
fn many_are_answered_in_order_and_as_each_alone() {
    let desk = small();
    let _process = desk.start();
    let asked = [("btc", BTC), ("eth", &ether(1)), ("btc", CLEAN), ("ZEC", "t1x"), ("btc", BTC)];
    let subjects: Vec<Value> =
        asked.iter().map(|(chain, address)| json!({ "chain": chain, "address": address })).collect();
    let (status, answer) = desk.post("/v1/screen", json!({ "subjects": subjects }).to_string().as_bytes());
    assert_eq!(status, 200);
    let got: Vec<String> =
        answer["answers"].as_array().unwrap().iter().map(|row| row.to_string().to_lowercase()).collect();
    let want: Vec<String> =
        asked.iter().map(|(chain, address)| desk.one(chain, address).to_string()).collect();
    assert_eq!(got, want);
    assert_eq!(answer["freshness"]["stores"].as_array().unwrap().len(), 2);
}

#[test]
fn a_bad_row_costs_no_other_row() {
    let desk = small();
    let _process = desk.start();
    let body = json!({ "subjects": [
        { "chain": "btc", "address": BTC }, { "chain": "btx", "address": "x" }, 7, { "chain": "btc" },
        { "chain": "eth", "address": "0x12" }, { "chain": "btc", "address": CLEAN },
    ]});
    let (status, answer) = desk.post("/v1/screen", body.to_string().as_bytes());
    assert_eq!(status, 200);
    let rows = answer["answers"].as_array().unwrap();
    let codes: Vec<&str> = rows.iter().map(|row| row["problem"]["code"].as_str().unwrap_or("")).collect();
    assert_eq!(codes, ["", "unknown-chain", "malformed-row", "malformed-row", "malformed-address", ""]);
    assert_eq!(rows[0]["hits"].as_array().unwrap().len(), 3);
    assert_eq!((&rows[5]["hits"], &rows[4]["address"]), (&json!([]), &json!("0x12")));
}

#[test]
fn a_request_has_its_bounds() {
    let desk = small();
    let _process = desk.start();
    let rows = |count: usize| {
        json!({ "subjects": vec![json!({ "chain": "btc", "address": CLEAN }); count] }).to_string()
    };
    let check = |body: &str, status: u16, code: &str| {
        let (got, answer) = desk.post("/v1/screen", body.as_bytes());
        assert_eq!((got, answer["code"].as_str().unwrap_or("")), (status, code));
        answer
    };
    let answer = check(&rows(10_000), 200, "");
    assert_eq!(answer["answers"].as_array().unwrap().len(), 10_000);
    check(&rows(10_001), 413, "too-many-rows");
    check(&rows(0), 413, "too-many-rows");
    check("{\"subjects\":", 400, "malformed-body");
    check("{\"subject\":[]}", 400, "malformed-body");
    let long = " ".repeat(3 * 1024 * 1024 - rows(1).len());
    check(&(rows(1) + &long), 200, "");
    check(&(rows(1) + &long + " "), 413, "body-too-long");
}

fn chunked(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

fn open_stream(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head = "POST /v1/screen/stream HTTP/1.1\r\nHost: s\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The documents in an answer that comes in chunks.
fn documents(stream: TcpStream) -> Vec<Value> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    let mut bytes = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        std::io::Read::read_exact(&mut reader, &mut chunk).unwrap();
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..length]);
    }
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[test]
fn a_stream_is_answered_line_by_line_and_bad_lines_too() {
    let desk = small();
    let _process = desk.start();
    let mut stream = open_stream(desk.address);
    let line = |chain: &str, address: &str| json!({ "chain": chain, "address": address }).to_string() + "\n";
    chunked(&mut stream, line("btc", BTC).as_bytes()).unwrap();
    // A line in two pieces, one that is no JSON, one that is too long, an empty one, one without an end.
    let clean = line("btc", CLEAN);
    chunked(&mut stream, &clean.as_bytes()[..9]).unwrap();
    chunked(&mut stream, &clean.as_bytes()[9..]).unwrap();
    chunked(&mut stream, b"btc x\n").unwrap();
    chunked(&mut stream, (line("btc", &"x".repeat(2_000)) + "\n").as_bytes()).unwrap();
    chunked(&mut stream, line("eth", &ether(1)).trim().as_bytes()).unwrap();
    stream.write_all(b"0\r\n\r\n").unwrap();
    let got = documents(stream);
    assert_eq!(got.len(), 6, "{got:#?}");
    assert!(got[0]["freshness"]["stores"].is_array());
    assert_eq!(got[1].to_string().to_lowercase(), desk.one("btc", BTC).to_string());
    assert_eq!(got[2]["hits"], json!([]));
    assert_eq!(
        (&got[3]["problem"]["code"], &got[4]["problem"]["code"]),
        (&json!("malformed-row"), &json!("malformed-row"))
    );
    assert_eq!(got[5]["hits"][0]["label"], "E");
}

fn resident_kib(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_stream_that_nobody_reads_stands_still_and_takes_no_memory() {
    let desk = small();
    let process = desk.start();
    let before = resident_kib(&process);
    let stream = open_stream(desk.address);
    let (mut writer, written) = (stream.try_clone().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&written);
    const LINES: usize = 60_000;
    let writing = thread::spawn(move || {
        // Long lines, so that few fill what the system itself keeps for a connection.
        let line = format!("{:<999}\n", json!({ "chain": "btc", "address": BTC }).to_string());
        let piece = line.repeat(100);
        for _ in 0..LINES / 100 {
            chunked(&mut writer, piece.as_bytes()).unwrap();
            counted.fetch_add(100, Ordering::Relaxed);
        }
        writer.write_all(b"0\r\n\r\n").unwrap();
        // The service answers all of it before it closes.
        writer.shutdown(Shutdown::Write).unwrap();
    });
    // Without a reader the writer comes to a stop.
    let (mut last, mut since) = (usize::MAX, Instant::now());
    until("stands still", || {
        let now = written.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(500)
    });
    assert!(last < LINES, "all {last} lines were taken though no answer was read");
    let grown = resident_kib(&process).saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more for a stream that is not read");
    let reading = BufReader::new(stream).split(b'\n').map_while(Result::ok);
    let rows = reading.filter(|line| line.starts_with(b"{\"chain\"")).count();
    writing.join().unwrap();
    // Lines that begin a chunk have its length before them on a line of their own.
    assert_eq!(rows, LINES);
    let grown = resident_kib(&process).saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more after {LINES} lines");
}

/// Numbers without a visible order.
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn random_tags(seed: u64, count: usize) -> Vec<Tag> {
    let mut next = numbers(seed);
    let tags = (0..count).map(|_| {
        let address = ether(next() % 4_000);
        let plain = tag("ETH", &address, &format!("label {}", next() % 7));
        match next() % 10 {
            0 => tainted(plain, u128::from(next()), Some(1)),
            1 => tainted(plain, u128::from(next() % 1_000), None),
            2..=9 | 10.. => plain,
        }
    });
    tags.collect()
}

#[test]
fn asking_privately_finds_exactly_what_asking_openly_finds() {
    let (one, two) = (random_tags(1, 2_500), random_tags(2, 400));
    let desk = Desk::new(&[("one", &one), ("two", &two)]);
    let _process = desk.start();
    let terms = desk.get("/v1/private").json();
    let number = |field: &str| terms[field].as_u64().unwrap();
    let (bits_min, bits_max) = (number("bits_min"), number("bits_max"));
    assert!(bits_max >= 4 && number("subjects_min") >= 32, "{terms}");

    let asked: Vec<String> = (0..5_000).map(ether).collect();
    let mut open: BTreeMap<String, Value> = BTreeMap::new();
    for some in asked.chunks(1_000) {
        let subjects: Vec<Value> =
            some.iter().map(|address| json!({ "chain": "eth", "address": address })).collect();
        let (_, answer) = desk.post("/v1/screen", json!({ "subjects": subjects }).to_string().as_bytes());
        for (address, row) in some.iter().zip(answer["answers"].as_array().unwrap()) {
            open.insert(address.clone(), row["hits"].clone());
        }
    }
    let hit = open.values().filter(|hits| hits.as_array().is_some_and(|hits| !hits.is_empty())).count();
    assert!((1_000..3_000).contains(&hit), "{hit}");

    let key_of = |address: &String| key(SubjectKind::Address, "ETH", address);
    for bits in [bits_min, bits_max] {
        // Every bucket, and in each exactly the subjects that were found openly.
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        for place in 0..1_u128 << bits {
            let digits = usize::try_from(bits.div_ceil(4)).unwrap();
            let whole = if bits == 0 { 0 } else { place << (128 - bits) };
            let prefix = &format!("{whole:032x}")[..digits];
            let answer = desk.get(&format!("/v1/private/buckets/{bits}/{prefix}")).json();
            assert_eq!(answer["bits"], bits);
            for entry in answer["entries"].as_array().unwrap() {
                let key = entry["key"].as_str().unwrap();
                assert!(found.insert(key.to_owned(), entry["hits"].clone()).is_none(), "{key}");
            }
        }
        let want: BTreeMap<String, Value> = open
            .iter()
            .filter(|(_, hits)| hits.as_array().is_some_and(|hits| !hits.is_empty()))
            .map(|(address, hits)| (hex::encode(&key_of(address)), hits.clone()))
            .collect();
        assert!(found == want, "{} found, want {}", found.len(), want.len());
    }

    let (head, filter) = request(desk.address, "GET /v1/private/filter", "", b"").unwrap();
    let keys: Vec<Key> = asked.iter().map(key_of).collect();
    let maybe = filter::matches(&filter, &keys).unwrap();
    let tagged: BTreeSet<Key> = one.iter().chain(&two).map(|tag| key_of(&tag.normal)).collect();
    for (key, maybe) in keys.iter().zip(maybe) {
        // 5,000 questions and one error in 784,931: no false hit is expected, and this store has none.
        assert_eq!(maybe, tagged.contains(key));
    }
    assert!(head.contains(&format!("x-kuraban-filter-keys: {}", tagged.len())), "{head}");
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let lines = format!("If-None-Match: {etag}\r\n");
    let (head, body) = request(desk.address, "GET /v1/private/filter", &lines, b"").unwrap();
    assert!(head.starts_with("HTTP/1.1 304") && body.is_empty(), "{head}");
}

#[test]
fn a_store_that_is_imported_again_is_taken_up_and_a_damaged_one_is_not() {
    let desk = small();
    let process = desk.start();
    assert_eq!(desk.one("btc", CLEAN)["hits"], json!([]));
    desk.fill("one", &[tag("BTC", CLEAN, "New")]);
    until("taken up", || desk.one("btc", CLEAN)["hits"] != json!([]));
    assert_eq!(desk.one("btc", BTC)["hits"], json!([]));
    let path = desk.folder.path().join("one/tags.v1");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    let next = desk.folder.path().join("one/other");
    fs::write(&next, bytes).unwrap();
    fs::rename(&next, &path).unwrap();
    let said = process.event("store-refused");
    assert!(said["problem"].as_str().unwrap().contains("checksum"), "{said}");
    assert_eq!(desk.one("btc", CLEAN)["hits"][0]["label"], "new");
}

#[test]
fn a_service_that_is_killed_answers_the_same_when_it_is_started_again() {
    let desk = small();
    let mut process = desk.start();
    let before = desk.one("btc", BTC);
    process.kill();
    assert!(ask(desk.address, "GET", "/healthz").is_none());
    let _process = desk.start();
    assert_eq!(desk.one("btc", BTC), before);
}

#[test]
fn operators_see_that_it_answers_and_how_much() {
    let desk = small();
    let _process = desk.start();
    desk.one("btc", BTC);
    desk.get("/v1/screen/btc/x");
    let health = desk.get("/healthz");
    assert_eq!((health.status, health.body.as_str()), (200, "6 tags\n"));
    let metrics = desk.get("/metrics").body;
    for line in [
        "kuraban_screen_requests_total{kind=\"one\"} 2",
        "kuraban_screen_problems_total 1",
        "kuraban_screen_rows_total{outcome=\"hit\"} 1",
        "kuraban_screen_rows_total{outcome=\"wrong\"} 1",
        "kuraban_screen_tags{store=\"two\"} 3",
    ] {
        assert!(metrics.lines().any(|got| got == line), "{line}: {metrics}");
    }
    assert_eq!(desk.get("/openapi.json").json()["openapi"], "3.1.0");
}

#[test]
fn a_configuration_that_does_not_hold_together_is_named() {
    let desk = small();
    let (status, said) = ended(&["screen", "init"], &desk.config());
    assert_eq!(status, Some(0), "{said}");
    let good = fs::read_to_string(desk.config()).unwrap();
    let check = |text: &str, want: &str| {
        fs::write(desk.config(), text).unwrap();
        let (status, said) = ended(&["screen", "run"], &desk.config());
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains(want), "{said}");
    };
    check(&good.replace("threads = 2", "threads = 0"), "threads: 0, want 1 to 64");
    check(&good.replace("name = \"two\"", "name = \"one\""), "one stands there twice");
    check(&good.replace("name = \"two\"", "name = \"feed\""), "not `feed`");
    check(&good.replace("folder = \"two\"", "folder = \"three\""), "three/tags.v1");
    check(&good.replace("[[store]]", "[[shop]]"), "docs/configuration.md");
    fs::write(desk.folder.path().join("two/tags.v1"), b"KBRNTAG\x01").unwrap();
    check(&good, "its head is cut");
}
