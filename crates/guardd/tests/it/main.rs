//! The roles as their operator and their peers meet them: real processes, real files, real sockets.
#![cfg(test)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and passes over all others")]

mod attest;
mod chase;
mod compensation;
#[path = "../../../node/tests/it/conformance.rs"]
#[expect(dead_code, reason = "the node clients' own tests use the rest of it")]
mod conformance;
mod crash;
#[path = "../../../node/tests/it/daemon.rs"]
mod daemon;
mod exchange;
mod front;
mod gate;
#[path = "../../../vault/tests/it/kit.rs"]
#[expect(dead_code, reason = "the vault's own tests use the rest of it")]
mod kit;
mod place;
mod process;
mod rehearsal;
mod screen;
mod screen_appeals;
mod screen_feed;
mod watch;
mod writer;
