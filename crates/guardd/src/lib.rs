//! The daemon of three roles: `guard` writes, `watch` watches and stops, `gate` answers gateways.
//!
//! Only executes: what may move, what is theft and what is open is decided in the crates below.

pub mod node;
