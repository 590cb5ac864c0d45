//! The clients against real daemons on regression test networks, and against hostile ones.
#![cfg(test)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and passes over all others")]

mod accounts;
mod conformance;
mod daemon;
mod hostile;
mod hostile_rpc;

use daemon::{Daemon, Kind};

fn check(kind: Kind, holds: fn(&conformance::Node)) {
    match Daemon::start(kind, &[]) {
        Some(daemon) => holds(&daemon.node()),
        None => println!("skipped: {} is not installed", kind.name()),
    }
}

#[test]
fn litecoind_is_followed_block_by_block() {
    check(Kind::Litecoind, conformance::blocks_are_followed);
}

#[test]
fn litecoind_carries_transactions_from_peer_to_peer() {
    check(Kind::Litecoind, conformance::transactions_travel);
}

#[test]
fn litecoind_reorganises() {
    check(Kind::Litecoind, conformance::reorganisations_are_told);
}

#[test]
fn litecoind_answers_calls() {
    check(Kind::Litecoind, conformance::calls_are_answered);
}

#[test]
fn litecoind_is_found_again() {
    check(Kind::Litecoind, conformance::connections_are_made_anew);
}

#[test]
fn bitcoind_is_followed_block_by_block() {
    check(Kind::Bitcoind, conformance::blocks_are_followed);
}

#[test]
fn bitcoind_carries_transactions_from_peer_to_peer() {
    check(Kind::Bitcoind, conformance::transactions_travel);
}

#[test]
fn bitcoind_reorganises() {
    check(Kind::Bitcoind, conformance::reorganisations_are_told);
}

#[test]
fn bitcoind_answers_calls() {
    check(Kind::Bitcoind, conformance::calls_are_answered);
}

#[test]
fn bitcoind_is_found_again() {
    check(Kind::Bitcoind, conformance::connections_are_made_anew);
}
