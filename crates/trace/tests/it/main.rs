//! The index beside the `bitcoin` crate, a model of it in memory, and a real node; the taint engine beside other ways to
//! the same answer: units moved one by one, and numbered ranges from the first subsidy on; on accounts, numbered
//! units.
#![cfg(test)]

mod accounts;
mod index_bad;
mod index_build;
mod index_chain;
mod index_real;
mod index_undo;
mod taint_back;
mod taint_dense;
mod taint_indexed;
mod taint_ordinals;
mod taint_random;
mod taint_real;
mod taint_rows;
