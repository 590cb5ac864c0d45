//! Watching: follow each network's best chain through reorganisations, fold the vaults' own coins out of it, match
//! every spend with a payout whose approvals and receipts verify, and stop what must stop.
//!
//! State machines only: no I/O, no clock, no randomness. A driver carries messages, persists what a step says, and
//! sends what it says, in that order. Nothing here can move coins.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod chain;
pub mod coins;
mod permits;
pub mod watcher;

pub use permits::{PERMIT_EVERY_MS, STREAMS_MAX};
pub use watcher::{Change, Connection, Effect, Event, Step, Watcher};
