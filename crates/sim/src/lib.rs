//! The world in which Kuraban is tried out: a chain of the BTC family that needs no node.
//!
//! Does no I/O, reads no clock and no randomness: the same calls make the same chain.

pub mod chain;
