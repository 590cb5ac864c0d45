//! The signer as its operator and its peers meet it: real processes, real files, real sockets, killed at any moment.
#![cfg(test)]

mod crash;
mod daemon;
mod exchange;
#[path = "../../../vault/tests/it/kit.rs"]
#[expect(dead_code, reason = "the vault's own tests use the rest of it")]
mod kit;
mod protocol;
mod startup;
