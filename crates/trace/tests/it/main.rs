//! The index beside the `bitcoin` crate; the taint engine beside other ways to the same answer: units moved one by one,
//! and numbered ranges from the first subsidy on.
#![cfg(test)]

mod dense;
mod ordinals;
mod random;
mod real;
mod real_blocks;
mod rows;
