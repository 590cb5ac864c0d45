//! What a signer answers to peers that ask for what they may not, lie about the log, or speak nonsense.

use std::{io::Write, net::TcpStream};

use kuraban_base::{Asset, Digest};
use kuraban_link::LinkError;
use kuraban_vault::{
    breaker::{Service, Stage, Trip},
    coordinator::{Coordinator, Effect, Event},
    fold::Status,
    statement::Signed,
    wire::{Refused, Request, Response},
};

use crate::{
    daemon::{Home, ask, identity},
    exchange::{Exchange, now},
    kit,
};

const WRITER: u8 = 0;
const WATCHER: u8 = 4;

fn code(response: Response) -> String {
    let Response::Refused(Refused { code, .. }) = response else { panic!("{response:?}") };
    code
}

/// A watcher's order to stop withdrawals, signed by the machine of that number.
fn trip(by: u8) -> Request {
    let trip = Trip {
        by: kit::machine(WATCHER),
        cells: vec![(Service::Withdrawal, Asset::Btc)],
        stage: Stage::Closed,
        rule: "unexplained-spend".to_owned(),
        evidence: Digest::sha256(&[b"evidence"]),
        at: now(),
    };
    Request::Trip(Signed::sign(trip, &kit::statement(by)))
}

#[test]
fn strangers_and_other_signers_are_refused_in_the_handshake() {
    let daemon = Home::with_store(1).start();
    for number in [2, 77] {
        let refused = daemon.link(number).unwrap_err();
        assert!(matches!(refused, LinkError::Refused { .. }), "{refused}");
    }
    TcpStream::connect(daemon.addr).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    daemon.wait_for("no TLS 1.3 with raw public keys");
    daemon.wait_for(&kuraban_base::hex::encode(&identity(77).public()));
    assert_eq!(daemon.ask(WRITER, &Request::Status), Response::Status { size: 0, epoch: 0 });
}

#[test]
fn nonsense_is_answered_and_the_conversation_goes_on() {
    let daemon = Home::with_store(1).start();
    let mut link = daemon.link(WRITER).unwrap();
    for nonsense in [&[][..], &[0xff], b"hello", &[0xa1, 0x61, b'x', 0xf6]] {
        link.send(nonsense).unwrap();
        let answer = Response::decode(&link.recv().unwrap()).unwrap();
        assert_eq!(code(answer), "request-malformed");
    }
    assert_eq!(ask(&mut link, &Request::Status).unwrap(), Response::Status { size: 0, epoch: 0 });
}

#[test]
fn each_role_may_ask_only_its_own() {
    let daemon = Home::with_store(1).start();
    let extend = Request::Extend { from: 0, entries: Vec::new(), checkpoint: Vec::new(), newest: 0 };
    let rows = [
        (WATCHER, extend.clone(), "request-not-allowed"),
        (WRITER, trip(WATCHER), "request-not-allowed"),
        (WRITER, Request::Permits { stream: [0; 32] }, "request-not-allowed"),
        (WATCHER, Request::Lease { challenges: Vec::new() }, "request-not-allowed"),
        (WATCHER, trip(1), "trip-invalid"),
        (WRITER, extend, "log-not-followed"),
    ];
    for (number, request, want) in rows {
        assert_eq!(code(daemon.ask(number, &request)), want, "{request:?} by {number}");
    }
    assert!(daemon.said().contains("trip-invalid"));
}

#[test]
fn a_log_that_forks_is_not_followed_before_or_after_a_kill() {
    let mut exchange = Exchange::new();
    exchange.pay("w-1", 0);
    exchange.settle("w-1");
    let size = exchange.writer.fold().size();
    let id = kit::machine(1);
    // The same key opens another log under the same origin.
    let mut other = Coordinator::new(&kit::machine(WRITER), kit::charter(), kit::log_key());
    let mut salt = 100;
    let mut fresh = || {
        salt += 1;
        [salt; 32]
    };
    other.open(now(), 3650, &mut fresh).unwrap();
    let Some(Effect::Persist { entries, checkpoint, .. }) = other.flush(now(), &mut fresh).into_iter().next()
    else {
        panic!("nothing was logged");
    };
    let forked =
        |from| Request::Extend { from, entries: Vec::new(), checkpoint: checkpoint.clone(), newest: 0 };
    let again = Request::Extend { from: 0, entries, checkpoint: checkpoint.clone(), newest: 0 };
    for killed in [false, true] {
        if killed {
            exchange.restart(&id);
        }
        let daemon = &exchange.daemons[&id];
        assert_eq!(daemon.ask(WRITER, &again), Response::Behind { size });
        assert_eq!(code(daemon.ask(WRITER, &forked(size))), "log-not-followed");
        assert_eq!(daemon.ask(WRITER, &Request::Status), Response::Status { size, epoch: 0 });
    }
}

#[test]
fn a_trip_stops_signing_and_outlives_a_kill() {
    let mut exchange = Exchange::new();
    for number in 1..=3 {
        let daemon = &exchange.daemons[&kit::machine(number)];
        // Told twice, taken once.
        assert_eq!(daemon.ask(WATCHER, &trip(WATCHER)), Response::Tripped);
        assert_eq!(daemon.ask(WATCHER, &trip(WATCHER)), Response::Tripped);
    }
    exchange.pay("w-1", 0);
    assert_eq!(exchange.status("w-1"), Status::Assembled);
    for number in 1..=3 {
        exchange.restart(&kit::machine(number));
    }
    exchange.happen(Event::Tick);
    assert_eq!((exchange.status("w-1"), exchange.sent.len()), (Status::Assembled, 0));
    assert!(exchange.receipts().is_empty());
}
