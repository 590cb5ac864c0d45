//! The watcher as a real process on the embedded node as a real process: what it opens, what it stops, and what it
//! still knows after it was killed.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use kuraban_base::Digest;
use kuraban_link::{Limits, Listener};
use kuraban_vault::{
    Role,
    breaker::Trip,
    coordinator::{Coordinator, Effect, Event},
    statement::Signed,
    wire::{Request, Response},
};
use serde_json::Value;

use crate::{
    front::Front,
    kit,
    place::{self, Node, Place, STALL, WATCHER, WRITER, identity},
    process::{Process, ask, ended, until},
};

/// Node, watcher and gate, with the gate open.
struct World {
    node: Node,
    place: Place,
    watch: Process,
    gate: Process,
    /// The log's first entry, as the writer sent it, and the watcher's answer.
    extend: Request,
    cosigned: Response,
}

impl World {
    fn new() -> Self {
        let node = Node::start();
        let place = Place::new(&node.p2p);
        place.init_watch();
        let (watch, gate) = (place.start_watch(), place.start_gate());
        watch.event("started");
        let extend = opened();
        let cosigned = put(&mut place.link(WRITER), &extend);
        watch.event("log-whole");
        let caught_up = watch.event("caught-up");
        assert_eq!(caught_up["height"].as_u64(), Some(103));
        gate.event("permit-open");
        until("open", || place.withdrawals() == 200);
        Self { node, place, watch, gate, extend, cosigned }
    }

    /// Kills the watcher and starts it again on its store.
    fn restart_watch(&mut self) {
        self.watch.kill();
        self.watch = self.place.start_watch();
    }
}

fn us(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_else(|| panic!("no {field} in {line}"))
}

#[test]
fn a_theft_closes_the_gate_and_the_front_within_milliseconds() {
    let world = World::new();
    let front = Front::start(world.place.gate);
    if let Some(front) = &front {
        assert_eq!(front.status(), 200);
    } else {
        println!("nginx is not installed, so the gate is asked alone");
    }
    let theft = world.node.theft(0);
    let closed_from = world.gate.said();
    world.node.send(&theft);
    let alarm = world.watch.event("alarm");
    let (_, closed) = world.gate.event_after(closed_from, "permit-closed");
    assert_eq!(alarm["rule"], "unexplained-spend");
    assert_eq!(alarm["subject"], theft.txid().to_string());
    assert_eq!(alarm["tripped"], true);
    assert_eq!(closed["cells"], "deposit BTC closed, withdrawal BTC closed");
    let (arrived, raised, taken) =
        (us(&alarm, "arrived_us"), us(&alarm, "raised_us"), us(&closed, "taken_us"));
    println!("arrived to raised {} us, raised to closed at the gate {} us", raised - arrived, taken - raised);
    assert!(taken - arrived < 1_000_000, "{alarm} {closed}");

    let answer = ask(world.place.gate, "GET", "/v1/permits/withdrawal/BTC").unwrap();
    assert_eq!((answer.status, &answer.json()["code"]), (403, &Value::from("service-stopped")));
    assert_eq!(world.place.withdrawals(), 403);
    assert_eq!(ask(world.place.gate, "GET", "/v1/permits/withdrawal/LTC").unwrap().status, 200);
    if let Some(front) = &front {
        assert_eq!(front.status(), 403);
    }
    // The block with the theft is no second alarm.
    world.node.mine(1, &kit::address(0xee).script());
    let height = || ask(world.place.page, "GET", "/metrics").unwrap().body;
    until("the block is connected", || {
        height().contains("kuraban_watch_height{network=\"bitcoin-regtest\"} 104")
    });
    assert_eq!(world.watch.count("alarm"), 1);
    assert!(height().contains("kuraban_watch_alarms_total 1"), "{}", height());
}

#[test]
fn a_front_stops_when_watcher_or_gate_is_killed_and_goes_on_when_they_are_back() {
    let mut world = World::new();
    let Some(front) = Front::start(world.place.gate) else {
        return println!("skipped: nginx is not installed");
    };
    assert_eq!(front.status(), 200);
    let killed = Instant::now();
    world.watch.kill();
    until("stopped without a watcher", || front.status() == 403);
    println!("stopped {} ms after the watcher was killed", killed.elapsed().as_millis());
    assert!(killed.elapsed() < Duration::from_millis(2_100), "{:?}", killed.elapsed());
    world.watch = world.place.start_watch();
    until("open again", || front.status() == 200);

    let killed = Instant::now();
    world.gate.kill();
    until("stopped without a gate", || front.status() == 500 || front.status() == 502);
    println!("stopped {} ms after the gate was killed", killed.elapsed().as_millis());
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    world.gate = world.place.start_gate();
    until("open again", || front.status() == 200);
}

#[test]
fn a_theft_while_the_watcher_was_down_is_an_alarm_at_its_restart() {
    for mined in [false, true] {
        let mut world = World::new();
        world.watch.kill();
        let theft = world.node.theft(1);
        world.node.send(&theft);
        if mined {
            world.node.mine(3, &kit::address(0xee).script());
        }
        world.watch = world.place.start_watch();
        let alarm = world.watch.event("alarm");
        assert_eq!(alarm["subject"], theft.txid().to_string(), "mined: {mined}");
        until("closed", || world.place.withdrawals() == 403);
    }
}

#[test]
fn an_alarm_outlives_the_process_and_is_raised_once() {
    let mut world = World::new();
    world.node.send(&world.node.theft(2));
    world.watch.event("alarm");
    until("closed", || world.place.withdrawals() == 403);
    for _ in 0..2 {
        let from = world.gate.said();
        world.restart_watch();
        world.watch.event("caught-up");
        let (_, closed) = world.gate.event_after(from, "permit-closed");
        assert_eq!(closed["cells"], "deposit BTC closed, withdrawal BTC closed");
        assert_eq!((world.watch.count("alarm"), world.place.withdrawals()), (0, 403));
    }
    assert_eq!(world.gate.count("permit-open"), 1);
}

#[test]
fn a_node_that_stalls_is_an_alarm_and_closes_until_it_is_back() {
    let world = World::new();
    let stopped = Instant::now();
    world.node.process.signal("STOP");
    let alarm = world.watch.event("alarm");
    println!("alarm {} ms after the node was stopped", stopped.elapsed().as_millis());
    assert_eq!(alarm["rule"], "node-stalled");
    assert_eq!(alarm["tripped"], false);
    assert!(stopped.elapsed() > STALL / 2 && stopped.elapsed() < STALL * 3, "{:?}", stopped.elapsed());
    until("closed", || world.place.withdrawals() == 403);
    let from = world.watch.said();
    world.node.process.signal("CONT");
    let back = Instant::now();
    world.watch.event_after(from, "caught-up");
    until("open again", || world.place.withdrawals() == 200);
    println!("open {} ms after the node went on", back.elapsed().as_millis());
}

#[test]
fn a_trip_is_sent_to_a_signer_until_it_has_stopped() {
    let world = World::new();
    let theft = world.node.theft(0);
    world.node.send(&theft);
    world.watch.event("alarm");
    // The signer comes up only now, and dies once before it answers.
    let limits = Limits { handshakes_max: 4, per_peer_max: 4, handshake_time_max: Duration::from_secs(10) };
    let allowed = vec![identity(WATCHER).public()];
    let listener = Listener::bind(world.place.signer, &identity(1), allowed, limits).unwrap();
    for answers in [false, true] {
        let (mut link, _) = listener.accept().unwrap();
        let trip = loop {
            match Request::decode(&link.recv().unwrap()).unwrap() {
                Request::Status => link.send(&Response::Status { size: 0, epoch: 0 }.encode()).unwrap(),
                Request::Trip(trip) => break trip,
                other => panic!("a signer is not asked {other:?} by a watcher"),
            }
        };
        check_trip(trip);
        assert_eq!(world.watch.count("trip-delivered"), 0);
        if answers {
            link.send(&Response::Tripped.encode()).unwrap();
            let delivered = world.watch.event("trip-delivered");
            assert_eq!(
                (&delivered["signer"], &delivered["rule"]),
                (&"signer-1".into(), &"unexplained-spend".into())
            );
        }
    }
}

fn check_trip(trip: Signed<Trip>) {
    let charter = place::charter();
    let key = charter.roster().statement_key(&kit::machine(WATCHER), Role::Watcher).unwrap();
    let trip = trip.verify(key).unwrap().into_claim();
    assert_eq!(trip.rule, "unexplained-spend");
    assert_eq!(trip.cells.len(), 2);
}

fn random(count: &mut u64) -> [u8; 32] {
    *count += 1;
    *Digest::sha256(&[b"test", &count.to_be_bytes()]).as_bytes()
}

/// The log as a writer opens it.
fn opened() -> Request {
    let mut writer = Coordinator::new(&kit::machine(WRITER), place::charter(), kit::log_key());
    let mut count = 0;
    let now = kuraban_guardd::clock::wall;
    writer.open(now(), 3650, &mut || random(&mut count)).unwrap();
    writer.step(now(), Event::Tick, &mut || random(&mut count));
    let persisted =
        writer.flush(now(), &mut || random(&mut count)).into_iter().find_map(|effect| match effect {
            Effect::Persist { from, entries, checkpoint } => {
                Some(Request::Extend { from, entries, checkpoint, newest: 1 })
            }
            _ => None,
        });
    persisted.unwrap()
}

fn put(link: &mut kuraban_link::Connection, request: &Request) -> Response {
    link.send(&request.encode()).unwrap();
    Response::decode(&link.recv().unwrap()).unwrap()
}

#[test]
fn a_writers_log_is_cosigned_leased_and_still_there_after_a_kill() {
    let mut world = World::new();
    let mut link = world.place.link(WRITER);
    let (extend, cosigned) = (world.extend.clone(), world.cosigned.clone());
    let lease = Request::Lease { challenges: vec![[5; 32]] };
    let Response::Cosigned { size, line, challenge } = cosigned else { panic!("{cosigned:?}") };
    assert_eq!(size, 1);
    let Response::Lease(first) = put(&mut link, &lease) else { panic!("no lease") };
    let key =
        place::charter().roster().statement_key(&kit::machine(WATCHER), Role::Watcher).copied().unwrap();
    assert_eq!(first.clone().verify(&key).unwrap().claim().size, 1);

    world.restart_watch();
    world.watch.event("caught-up");
    let mut link = world.place.link(WRITER);
    assert_eq!(put(&mut link, &Request::Status), Response::Status { size: 1, epoch: 0 });
    // The same entries again do not start where it is.
    assert_eq!(put(&mut link, &extend), Response::Behind { size: 1 });
    until("leases again", || matches!(put(&mut link, &lease), Response::Lease(_)));
    let Response::Lease(second) = put(&mut link, &lease) else { panic!("no lease") };
    assert_eq!(second.claim_unverified().root, first.claim_unverified().root);
    assert!(!line.is_empty() && challenge != [0; 32]);
}

#[test]
fn each_role_gets_only_what_is_its_own() {
    let world = World::new();
    let refused = |number: u8, request: &Request, want: &str| {
        let answer = put(&mut world.place.link(number), request);
        let Response::Refused(refused) = answer else { panic!("{answer:?}") };
        assert_eq!(refused.code, want);
    };
    refused(place::GATE, &Request::Lease { challenges: vec![[1; 32]] }, "request-not-allowed");
    refused(place::GATE, &Request::Alarms { from: 0 }, "request-not-allowed");
    refused(WRITER, &Request::Permits { stream: [1; 32] }, "request-not-allowed");
    // Signers do not connect to watchers; whoever is not on the roster does not either.
    for number in [1, 77] {
        let expected = identity(WATCHER).public();
        let link =
            kuraban_link::connect(world.place.watch, &identity(number), &expected, Duration::from_secs(10));
        assert!(matches!(link, Err(kuraban_link::LinkError::Refused { .. })), "{number}: {link:?}");
    }
    // What is no request ends the connection and nothing else.
    let mut link = world.place.link(WRITER);
    link.send(b"no request").unwrap();
    assert!(matches!(link.recv(), Err(kuraban_link::LinkError::Closed { .. })));
    assert_eq!(world.place.withdrawals(), 200);
}

#[test]
fn a_writer_that_asks_for_alarms_gets_those_from_before_and_those_that_come() {
    let world = World::new();
    let next = |link: &mut kuraban_link::Connection| match Response::decode(&link.recv().unwrap()).unwrap() {
        Response::Alarm(alarm, trip) => (alarm.claim_unverified().subject.clone(), trip.is_some()),
        other => panic!("no alarm: {other:?}"),
    };
    let subscribe = |from: u64| {
        let mut link = world.place.link(WRITER);
        link.send(&Request::Alarms { from }.encode()).unwrap();
        link
    };
    let (first, second) = (world.node.theft(0), world.node.theft(1));
    let mut early = subscribe(0);
    world.node.send(&first);
    assert_eq!(next(&mut early), (first.txid().to_string(), true));
    let (mut late, mut counted) = (subscribe(0), subscribe(1));
    assert_eq!(next(&mut late), (first.txid().to_string(), true));
    world.node.send(&second);
    for link in [&mut early, &mut late, &mut counted] {
        assert_eq!(next(link), (second.txid().to_string(), true));
    }
}

/// Blocks, a reorganisation and a theft go on while the watcher dies again and again, at first before it has the log and then
/// before it has synced.
#[test]
fn a_watcher_that_is_killed_at_any_moment_misses_nothing() {
    let node = Node::start();
    let place = Place::new(&node.p2p);
    place.init_watch();
    let burnt = kit::address(0xee).script();
    let theft = node.theft(0);
    for round in 0..12_u64 {
        let mut watch = place.start_watch();
        if round == 3 {
            watch.event("started");
            put(&mut place.link(WRITER), &opened());
        }
        if round == 6 {
            node.send(&theft);
        }
        if round == 8 {
            node.rpc.invalidate(node.rpc.best_hash().unwrap()).unwrap();
            node.mine(1, &burnt);
        }
        node.mine(1, &burnt);
        std::thread::park_timeout(Duration::from_millis(3 + 17 * round));
        watch.kill();
    }
    let watch = place.start_watch();
    let caught_up = watch.event("caught-up");
    assert_eq!(caught_up["height"].as_u64(), Some(u64::from(node.rpc.best_height().unwrap().blocks())));
    assert_eq!(caught_up["hash"], node.rpc.best_hash().unwrap().to_string());
    let mut link = place.link(WRITER);
    link.send(&Request::Alarms { from: 0 }.encode()).unwrap();
    let alarm = Response::decode(&link.recv().unwrap()).unwrap();
    let Response::Alarm(alarm, Some(_)) = alarm else { panic!("{alarm:?}") };
    assert_eq!(alarm.claim_unverified().subject, theft.txid().to_string());
    let metrics = ask(place.page, "GET", "/metrics").unwrap().body;
    assert!(metrics.contains("kuraban_watch_alarms_total 1"), "{metrics}");
}

#[test]
fn init_creates_and_run_never_does() {
    let place = Place::new("127.0.0.1:1");
    let (file, store) = (place.path("watch.toml"), place.path("watch.redb"));
    let check = |step: &str, want: Option<i32>, words: &str| {
        let (status, said) = ended(&["watch", step], &file);
        assert_eq!(status, want, "{said}");
        assert!(said.contains(words), "{said}\nwant {words}");
    };
    check("run", Some(3), "there is no store at ");
    assert!(!store.exists());
    check("init", Some(0), "created ");
    let bytes = std::fs::read(&store).unwrap();
    check("init", Some(3), "is there already; init never touches a store");
    assert_eq!(std::fs::read(&store).unwrap(), bytes);

    let taken = TcpListener::bind(place.watch).unwrap();
    check("run", Some(3), &format!("cannot listen on {}", place.watch));
    drop(taken);
    let running = place.start_watch();
    running.event("started");
    check("run", Some(3), "the store failed");
    drop(running);

    let policy = kit::policy_toml();
    place.write("policy.toml", &policy.replace("fee_max = 100000", "fee_max = 100001"));
    check("run", Some(2), "the store was made for policy ");
    place.write("policy.toml", &policy);
    std::fs::write(&store, b"no store").unwrap();
    check("run", Some(3), "the store failed");
}

#[test]
fn what_is_wrong_with_a_watchers_configuration_is_named() {
    let place = Place::new("127.0.0.1:1");
    let good = place.watch_toml("127.0.0.1:1");
    let file = place.path("watch.toml");
    let check = |from: &str, to: &str, want: &str| {
        assert!(good.contains(from), "{from}");
        place.write("watch.toml", &good.replace(from, to));
        for step in ["init", "run"] {
            let (status, said) = ended(&["watch", step], &file);
            assert_eq!(status, Some(2), "{said}");
            assert!(said.contains(want), "{said}\nwant {want}");
            assert!(!place.path("watch.redb").exists());
        }
    };
    check("store =", "trust = \"all\"\nstore =", "unknown field `trust`");
    check("birthday_height = 0\n", "", "missing field `birthday_height`");
    check("birthday_hash = \"0f", "birthday_hash = \"0", "birthday_hash: ");
    check("stall_ms = 1000", "stall_ms = 199", "poll_ms is 100, want 1 to half of stall_ms, which is 199");
    check("\"bitcoin-regtest\"", "\"litecoin-regtest\"", "vault hot is on bitcoin-regtest, which has none");
    check(
        "machine = \"watcher-1\"",
        "machine = \"gate-1\"",
        "the roster has no tls key of a watcher named gate-1",
    );
    check("witness = \"watch.witness\"", "witness = \"watch.tls\"", "the witness key of watcher-1");
    check("statement = \"watch.statement\"", "statement = \"watch.tls\"", "the statement key of watcher-1");
    check("machine = \"signer-3\"", "machine = \"signer-2\"", "signer-2 stands there twice");
    let last = good.rfind("[[signer]]").unwrap();
    check(&good[last..], "", "signer-3 has no address here");
    check("vaults = [\"hot.toml\"]", "vaults = [\"roster.toml\"]", "roster.toml");
}
