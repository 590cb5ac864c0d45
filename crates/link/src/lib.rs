//! Frames between Kuraban's own machines: TLS 1.3 over blocking sockets, with the Ed25519 key of each side pinned by
//! the other (raw public keys, RFC 7250).
//!
//! Decides who may speak: whose key is not pinned gets no further than the handshake. Never looks into a frame. There
//! are no certificates, no names, no roots and no resumption, so there is nothing else that could vouch for a peer.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod connection;
mod error;
mod identity;
mod listener;
mod pin;

pub use connection::{Connection, FRAME_LENGTH_MAX, FRAME_TIME_MAX, connect};
pub use error::LinkError;
pub use identity::Identity;
pub use listener::{Limits, Listener};
