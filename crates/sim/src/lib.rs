//! The world in which Kuraban is tried out: a chain of the BTC family that needs no node, and a simulator that runs
//! the real machines of a guarded exchange against faults and foes.
//!
//! Does no I/O, reads no clock and no randomness: the same calls make the same chain.

pub mod chain;
pub mod economy;
pub mod world;
