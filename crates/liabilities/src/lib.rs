//! The operator's side of published liabilities: a salted sum tree over all holdings, of which each customer gets a file, and
//! the auditor's: the same tree recomputed. The format stands in `docs/liabilities.md`, the verification in
//! `kuraban-inclusion`.
//!
//! Decides by whole numbers alone. Reads no file, no clock and no randomness, and starts no threads: parts of the work come
//! as calls that do not depend on each other.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod audit;
mod book;
mod layout;
mod salt;
mod tree;

pub use audit::{Audit, Audited, Found};
pub use book::{Book, BookError};
pub use layout::{Layout, LayoutError};
pub use salt::{Round, Seed};
pub use tree::{Bough, BoughError, Crown, Subtree, TREE_MAGIC, bough_depth, boughs};
