//! The crate beside other ways to the same answer: the index beside another decoder, a model of it and the blocks
//! themselves; taint beside units moved one by one and numbered ranges from the first subsidy on; clusters beside sets
//! relabelled; patterns and tags beside real ones.
#![cfg(test)]

mod accounts;
mod clusters;
mod corpus;
mod feed;
mod feed_bytes;
mod graph;
mod index_bad;
mod index_build;
mod index_bytes;
mod index_chain;
mod index_readers;
mod index_real;
mod index_undo;
mod live;
mod patterns;
mod picture;
mod tags;
mod taint_back;
mod taint_dense;
mod taint_indexed;
mod taint_mix;
mod taint_ordinals;
mod taint_random;
mod taint_real;
mod taint_rows;
mod thefts;
