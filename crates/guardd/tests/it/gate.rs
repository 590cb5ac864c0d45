//! The gate against a double of the watcher that speaks the real protocol with the watcher's real keys: what it
//! answers, when it opens and when it closes.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use kuraban_base::{Asset, Instant as Wall};
use kuraban_link::{Connection, Limits, Listener};
use kuraban_vault::{
    breaker::{Cell, Service, Stage},
    receipt::Permit,
    statement::Signed,
    wire::{Request, Response},
};

use crate::{
    kit,
    place::{GATE, Place, WATCHER, identity, statement},
    process::{Process, ask, ended, until},
};

const OUT: Cell = (Service::Withdrawal, Asset::Btc);

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Wall::from_ms(u64::try_from(since.as_millis()).unwrap())
}

/// A watcher's end.
struct Double {
    listener: Listener,
}

/// A stream that a gate asked for.
struct Stream {
    link: Connection,
    nonce: [u8; 32],
    seq: u64,
}

impl Double {
    fn new(address: SocketAddr) -> Self {
        let limits =
            Limits { handshakes_max: 4, per_peer_max: 4, handshake_time_max: Duration::from_secs(10) };
        let allowed = vec![identity(GATE).public()];
        Self { listener: Listener::bind(address, &identity(WATCHER), allowed, limits).unwrap() }
    }

    /// Waits until the gate asks for permits.
    fn stream(&self) -> Stream {
        let (mut link, _) = self.listener.accept().unwrap();
        let request = Request::decode(&link.recv().unwrap()).unwrap();
        let Request::Permits { stream } = request else { panic!("{request:?}") };
        Stream { link, nonce: stream, seq: 0 }
    }
}

impl Stream {
    fn permit(&mut self, closed: &[Cell]) -> Permit {
        self.seq += 1;
        let tightened = if closed.is_empty() { Vec::new() } else { vec![(Stage::Closed, closed.to_vec())] };
        let (by, stream, seq) = (kit::machine(WATCHER), self.nonce, self.seq);
        Permit { by, stream, seq, epoch: 0, tightened, at: now() }
    }

    fn send(&mut self, permit: Permit) {
        let permit = Signed::sign(permit, &statement());
        self.link.send(&Response::Permit(Box::new(permit)).encode()).unwrap();
    }

    fn open(&mut self) {
        let permit = self.permit(&[]);
        self.send(permit);
    }
}

struct Setup {
    place: Place,
    double: Double,
    _gate: Process,
}

impl Setup {
    fn new() -> Self {
        let place = Place::new("127.0.0.1:1");
        let double = Double::new(place.watch);
        let gate = place.start_gate();
        Self { place, double, _gate: gate }
    }

    fn opened(&self) -> Stream {
        let mut stream = self.double.stream();
        stream.open();
        until("open", || self.place.withdrawals() == 200);
        stream
    }
}

#[test]
fn a_gate_is_closed_at_its_start_and_says_why() {
    let place = Place::new("127.0.0.1:1");
    let _gate = place.start_gate();
    let answer = ask(place.gate, "GET", "/v1/permits/withdrawal/BTC").unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["code"], "no-permit");
    assert_eq!(problem["type"], "urn:kuraban:problem:no-permit");
    assert_eq!((problem["status"].as_u64(), &problem["stage"]), (Some(403), &serde_json::Value::Null));
    assert_eq!(ask(place.gate, "GET", "/healthz").unwrap().status, 503);
}

#[test]
fn only_what_a_permit_leaves_open_passes() {
    let setup = Setup::new();
    let mut stream = setup.opened();
    let gate = setup.place.gate;
    let check = |method: &str, path: &str, want: u16, code: Option<&str>| {
        let answer = ask(gate, method, path).unwrap();
        assert_eq!(answer.status, want, "{method} {path}");
        let found = (!answer.body.is_empty()).then(|| answer.json()["code"].as_str().unwrap().to_owned());
        assert_eq!(found.as_deref(), code, "{method} {path}");
        answer
    };
    let open = check("GET", "/v1/permits/withdrawal/BTC", 200, None);
    assert_eq!(open.header("x-kuraban-permit"), Some("1/1"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"] {
        check(method, "/v1/permits/withdrawal/BTC", 200, None);
    }
    for path in ["/", "/original/path?with=query", "//", "/../.."] {
        check("GET", &format!("/v1/permits/withdrawal/BTC{path}"), 200, None);
    }
    check("GET", "/v1/permits/point-of-sale/LTC", 200, None);
    check("GET", "/v1/permits/withdrawal/XYZ", 404, Some("unknown-asset"));
    check("GET", "/v1/permits/withdrawal/btc", 404, Some("unknown-asset"));
    check("GET", "/v1/permits/withdrawal/BTC%00", 404, Some("unknown-asset"));
    check("GET", "/v1/permits/withdrawal/", 404, Some("unknown-asset"));
    check("GET", "/v1/permits/withdrawal", 404, Some("unknown-asset"));
    check("GET", "/v1/permits/loan/BTC", 404, Some("unknown-service"));
    check("GET", "/v1/permits//BTC", 404, Some("unknown-service"));
    for path in ["/", "/v1/permits", "/v1/permits/", "/v2/permits/withdrawal/BTC"] {
        assert_eq!(ask(gate, "GET", path).unwrap().status, 404, "{path}");
    }

    let permit = stream.permit(&[OUT]);
    stream.send(permit);
    until("closed", || setup.place.withdrawals() == 403);
    let stopped = check("GET", "/v1/permits/withdrawal/BTC/and/more", 403, Some("service-stopped"));
    assert_eq!(stopped.json()["stage"], "closed");
    assert_eq!(stopped.header("x-kuraban-permit"), None);
    check("GET", "/v1/permits/deposit/BTC", 200, None);
    assert_eq!(ask(gate, "GET", "/healthz").unwrap().status, 200);

    let metrics = ask(gate, "GET", "/metrics").unwrap().body;
    let count = |line: &str| {
        let found = metrics.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in {metrics}")).parse::<u64>().unwrap()
    };
    assert!(count("kuraban_gate_checks_total{outcome=\"open\"}") >= 13);
    assert!(count("kuraban_gate_checks_total{outcome=\"stopped\"}") >= 2);
    assert_eq!(count("kuraban_gate_checks_total{outcome=\"unknown\"}"), 7);
    assert!(count("kuraban_gate_permit_age_ms{watcher=\"watcher-1\"}") < 10_000);
}

#[test]
fn silence_closes_within_two_seconds_and_not_before_one() {
    let setup = Setup::new();
    let mut stream = setup.opened();
    stream.open();
    let begun = Instant::now();
    until("closed", || setup.place.withdrawals() == 403);
    let open_for = begun.elapsed();
    println!("open for {} ms after the last permit", open_for.as_millis());
    assert!(open_for > Duration::from_secs(1) && open_for < Duration::from_millis(2_100), "{open_for:?}");
    let answer = ask(setup.place.gate, "GET", "/v1/permits/withdrawal/BTC").unwrap();
    assert_eq!(answer.json()["code"], "no-permit");
}

#[test]
fn permits_of_another_stream_key_or_time_open_nothing() {
    let setup = Setup::new();
    // Each is refused, and the gate comes back with a fresh number each time.
    let check = |change: &dyn Fn(&mut Permit)| {
        let mut stream = setup.double.stream();
        let mut permit = stream.permit(&[]);
        change(&mut permit);
        stream.send(permit);
        let next = setup.double.stream();
        assert_ne!(next.nonce, stream.nonce);
        assert_eq!(setup.place.withdrawals(), 403);
    };
    check(&|permit| permit.stream = [7; 32]);
    check(&|permit| permit.by = kit::machine(1));
    check(&|permit| permit.at = Wall::from_ms(permit.at.ms() - 2_000));
    check(&|permit| permit.at = permit.at.plus_ms(2_000));
    let mut stream = setup.double.stream();
    let forged = Signed::sign(stream.permit(&[]), &kit::statement(1));
    stream.link.send(&Response::Permit(Box::new(forged)).encode()).unwrap();
    let mut stream = setup.double.stream();
    assert_eq!(setup.place.withdrawals(), 403);
    stream.link.send(&Response::Tripped.encode()).unwrap();
    let mut stream = setup.double.stream();
    stream.link.send(b"no response").unwrap();
    let mut stream = setup.double.stream();
    assert_eq!(setup.place.withdrawals(), 403);
    stream.open();
    until("open", || setup.place.withdrawals() == 200);
}

#[test]
fn what_is_wrong_with_a_configuration_is_named() {
    let place = Place::new("127.0.0.1:1");
    let good = place.gate_toml();
    let file = place.path("gate.toml");
    let (status, said) = ended(&["gate", "init"], &file);
    assert_eq!((status, said.starts_with("nothing to create")), (Some(0), true), "{said}");
    let check = |from: &str, to: &str, want: &str| {
        assert!(good.contains(from), "{from}");
        place.write("gate.toml", &good.replace(from, to));
        for step in ["init", "run"] {
            let (status, said) = ended(&["gate", step], &file);
            assert_eq!(status, Some(2), "{said}");
            assert!(said.contains(want), "{said}\nwant {want}");
        }
    };
    check("roster =", "open = true\nroster =", "unknown field `open`");
    check("machine = \"gate-1\"", "", "missing field `machine`");
    check("machine = \"gate-1\"", "machine = \"gate-2\"", "the roster has no tls key of a gate named gate-2");
    check("machine = \"gate-1\"", "machine = \"watcher-1\"", "no tls key of a gate named watcher-1");
    check("machine = \"watcher-1\"", "machine = \"signer-1\"", "the roster has no watcher signer-1");
    check("listen = \"127", "listen = \"local", "invalid socket address syntax");
    check("\"roster.toml\"", "\"nowhere.toml\"", "nowhere.toml cannot be read");
    check("\"gate.tls\"", "\"watch.tls\"", "is the secret of ");
    let table = good.find("[[watcher]]").unwrap();
    check(&good[table..], "", "want at least one [[watcher]]");
    check(&good[table..], &good[table..].repeat(2), "watcher-1 stands there twice");
    place.write("gate.toml", &good);
    place.write("gate.tls", "00");
    check("gate-1", "gate-1", "is not one line of 64 hexadecimal digits");
    std::fs::remove_file(&file).unwrap();
    let (status, said) = ended(&["gate", "run"], &file);
    assert_eq!((status, said.contains("cannot be read")), (Some(2), true), "{said}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let place = Place::new("127.0.0.1:1");
    let _taken = TcpListener::bind(place.gate).unwrap();
    let (status, said) = ended(&["gate", "run"], &place.path("gate.toml"));
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains(&format!("cannot listen on {}", place.gate)), "{said}");
    assert!(TcpStream::connect(place.gate).is_ok());
}
