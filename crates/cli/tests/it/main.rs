//! The program as people and the demo start it.
#![cfg(test)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and passes over all others")]

#[path = "../../../guardd/tests/it/conformance.rs"]
mod conformance;
#[path = "../../../guardd/tests/it/daemon.rs"]
mod daemon;
mod embedded;
mod real_peer;
