//! Connections to nodes: of the BTC family P2P for speed, RPC for history and broadcast; of chains of accounts what an account
//! held after a block.
//!
//! Decides nothing about the chain: what a node says is handed on as it said it, decoded and stamped.

pub mod accounts;
pub mod fetch;
pub mod p2p;
pub mod rpc;
