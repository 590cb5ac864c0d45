//! The index beside the `bitcoin` crate, a model of it in memory, and a real node.
#![cfg(test)]

mod index_real;
