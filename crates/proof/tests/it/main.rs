//! What the crate promises, against published vectors, oracles of another design and hostile input.
#![cfg(test)]

mod entry;
mod note;
mod oracle;
mod policy;
mod proof_file;
mod quorum;
mod tile;
mod tree;
mod verify_log;
mod witness;
