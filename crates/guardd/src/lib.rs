//! The daemon of three roles: `guard` writes, `watch` watches and stops, `gate` answers gateways.
//!
//! Only executes: what may move, what is theft and what is open is decided in the crates below.

pub mod bridge;
pub mod clock;
pub mod config;
pub mod gate;
pub mod guard;
pub mod http;
pub mod log;
pub mod own;
pub mod secrets;
pub mod watch;
