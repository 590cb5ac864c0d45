//! The index beside the `bitcoin` crate; the taint engine beside other ways to the same answer: units moved one by one,
//! and numbered ranges from the first subsidy on; on accounts, numbered units.
#![cfg(test)]

mod accounts;
mod dense;
mod ordinals;
mod random;
mod real;
mod real_blocks;
mod rows;
