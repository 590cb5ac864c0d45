//! The watcher from outside: an honest or lying node, a writer with its signers, and what is raised.
#![cfg(test)]

mod anew;
mod chain;
mod coins;
mod exchange;
#[path = "../../../vault/tests/it/kit.rs"]
mod kit;
mod node;
mod watcher;
mod world;
