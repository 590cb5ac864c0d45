//! The crate beside other ways to the same answer: taint beside units moved one by one and numbered ranges from the first
//! subsidy on, the index beside another decoder, clusters beside relabelling.
#![cfg(test)]

mod clusters;
mod dense;
mod ordinals;
mod random;
mod real;
mod real_blocks;
mod rows;
