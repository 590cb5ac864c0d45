//! The crate beside other ways to the same answer: the index beside another decoder and the blocks themselves, taint beside
//! units moved one by one and numbered ranges from the first subsidy on, clusters beside sets relabelled.
#![cfg(test)]

mod clusters;
mod dense;
mod index_bad;
mod index_build;
mod index_chain;
mod index_real;
mod index_undo;
mod ordinals;
mod random;
mod real;
mod rows;
