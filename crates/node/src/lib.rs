//! Connections to nodes of the BTC family: P2P for speed, RPC for history and broadcast.
//!
//! Decides nothing about the chain: what a node says is handed on as it said it, decoded and stamped.

pub mod fetch;
pub mod p2p;
pub mod rpc;
