//! Bytes to blocks, transactions and addresses and back, digests to sign, signatures checked: one module
//! per chain family, each held to the same conformance suite.
//!
//! Decides what bytes say and whether a signature holds; never whether coins may move. Does no I/O, reads
//! no clock and no randomness.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

#[cfg(feature = "accounts")]
pub mod accounts;
pub mod base58;
pub mod btc;
#[cfg(feature = "accounts")]
pub mod evm;
#[cfg(feature = "accounts")]
pub mod nem;
#[cfg(feature = "accounts")]
pub mod xrp;
