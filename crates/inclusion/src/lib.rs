//! What a customer verifies: that a holding is counted in the liabilities that an exchange published under a root. The
//! format stands in `docs/liabilities.md`.
//!
//! Decides from a file's bytes and a root alone, so that it runs in a browser: no standard library, no I/O, no clock, no
//! randomness. Builds no trees, and says nothing of reserves.

#![no_std]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

extern crate alloc;

mod hash;
mod inclusion;
mod scope;
mod wire;

pub use hash::{Hasher, Node, NotRoot, Overflow, Root, Salt, totals_digest};
pub use inclusion::{
    INCLUSION_LENGTH_MAX, Inclusion, NAME_MAX, Opening, Refused, Verified, inclusion_head, put_opening,
    verify,
};
pub use scope::{ASSETS_MAX, Asset, Block, DEPTH_MAX, Scope, ScopeError};
pub use wire::{Cursor, WireError, put_amount};
