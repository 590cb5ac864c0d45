//! The index beside the `bitcoin` crate, a model of it in memory, and a real node.
#![cfg(test)]

mod index_bad;
mod index_build;
mod index_chain;
mod index_real;
mod index_undo;
